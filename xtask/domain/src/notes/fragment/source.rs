//! The text of a fragment, split into front matter and body, and the messages about a file that cannot be split.

use crate::notes::yaml::Fault;

/// Decodes UTF-8 strictly, skips a byte-order mark, reads CRLF as LF.
///
/// # Errors
/// The line of the first byte that is not UTF-8, or of the first control character.
pub fn text_of(bytes: &[u8]) -> Result<String, Fault> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Fault::new(1, "this is UTF-16, not UTF-8: save the file in that encoding"));
    }
    let line_of = |end: usize| bytes[..end].iter().filter(|&&b| b == b'\n').count() + 1;
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Fault::new(line_of(error.valid_up_to()), "this is not UTF-8: save the file in that encoding")
    })?;
    let lines = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    if let Some(at) = lines.find(control) {
        let found = lines[at..].chars().next().unwrap_or_default();
        let what = match found {
            '\r' => "this line ends with a carriage return alone: save the file with LF line ends".to_owned(),
            '\0' => "this is a NUL character, which text does not have: save the file as UTF-8 text".to_owned(),
            found => format!("this line has the control character {}: remove it", found.escape_unicode()),
        };
        return Err(Fault::new(lines[..at].matches('\n').count() + 1, what));
    }
    Ok(lines)
}

/// Finds a mark of a merge conflict.
pub fn conflict(text: &str) -> Option<Fault> {
    let at = text.lines().position(|line| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> "))?;
    Some(Fault::new(at + 1, "this is the marker of a merge conflict: resolve it"))
}

/// Whether a terminal or a browser would take a character for something other than text: it controls a terminal, ends a
/// line, or turns the direction of the text around it.
pub(crate) fn control(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A file split into its two parts.
pub(super) struct Split<'a> {
    pub front_matter: &'a str,
    /// Line of the file on which the front matter begins.
    pub first_line: usize,
    pub body: &'a str,
}

impl Split<'_> {
    /// Returns what a YAML reader leaves out of a line as a comment: `#561` of `issues: #561`. Meaningless for a line
    /// with a quoted value.
    pub fn comment(&self, line: usize) -> Option<&str> {
        let source = self.front_matter.lines().nth(line.saturating_sub(self.first_line))?;
        let at = source.find(" #").or_else(|| source.find("\t#"))?;
        Some(source[at + 1..].trim_end())
    }
}

/// Splits a text at the lines `---`. `keys` are those of a front matter, by which one without the first line is known.
pub(super) fn split<'a>(text: &'a str, keys: &[&str]) -> Result<Split<'a>, Fault> {
    let missing = |line, why: &str| {
        Fault::new(line, format!("{why}: a fragment starts with a line `---`, YAML, and another line `---`"))
    };
    let is_fence =
        |line: &str| line.strip_prefix("---").is_some_and(|rest| rest.trim_start_matches('-').trim().is_empty());

    let start = text.len() - text.trim_start_matches([' ', '\t', '\n']).len();
    let opening = text[..start].matches('\n').count() + 1;
    let Some((first, rest)) =
        text[start..].split_once('\n').or((!text[start..].is_empty()).then_some((&text[start..], "")))
    else {
        return Err(missing(1, "the file is empty"));
    };
    if !is_fence(first) {
        let why = match first.as_bytes().first() {
            Some(b'{' | b';') => "JSON front matter is not supported",
            Some(b'+') => "TOML front matter is not supported",
            _ if first.split_once(':').is_some_and(|(key, _)| keys.contains(&key)) => {
                "the line `---` above the keys is missing"
            }
            _ => "there is no front matter",
        };
        return Err(missing(opening, why));
    }
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        if is_fence(line) {
            return Ok(Split { front_matter: &rest[..end], first_line: opening + 1, body: &rest[end + line.len()..] });
        }
        end += line.len();
    }
    Err(missing(opening, "the front matter has no end"))
}
