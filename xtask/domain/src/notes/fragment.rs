//! One release-note fragment: YAML front matter and a Markdown body, describing one unreleased change.
//!
//! Owns the keys and the categories. Where a YAML reader could understand something other than what the author sees
//! (`0123`, `yes`, `#561`), the answer is an error, not a guess.

use field::Field;

use super::reference::Reference;
use super::yaml::{self, Fault, Value};
use crate::problem::nearest;

mod field;
pub mod name;

/// A fragment that is valid by itself; whether its credits exist is decided against [`super::authors::Authors`].
#[derive(Debug)]
pub struct Fragment {
    /// The file, as the reader would type it: for messages alone.
    pub path: String,
    pub synopsis: Placed<String>,
    pub issues: Vec<Reference>,
    pub prs: Vec<Reference>,
    /// Gerrit change numbers.
    pub cls: Vec<Placed<u64>>,
    pub category: Category,
    /// Significant entries come first in their category.
    pub significant: bool,
    pub credits: Vec<Placed<String>>,
    /// Markdown with LF line ends, trimmed at both ends.
    pub body: String,
}

/// A value and the line on which it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    pub line: usize,
    pub value: T,
}

/// In the order of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    BreakingChanges,
    Features,
    Improvements,
    Fixes,
    Packaging,
    Development,
    Miscellany,
}

impl Category {
    pub const ALL: [Category; 7] = [
        Category::BreakingChanges,
        Category::Features,
        Category::Improvements,
        Category::Fixes,
        Category::Packaging,
        Category::Development,
        Category::Miscellany,
    ];

    /// As in front matter and in headings.
    pub fn name(self) -> &'static str {
        match self {
            Category::BreakingChanges => "Breaking Changes",
            Category::Features => "Features",
            Category::Improvements => "Improvements",
            Category::Fixes => "Fixes",
            Category::Packaging => "Packaging",
            Category::Development => "Development",
            Category::Miscellany => "Miscellany",
        }
    }
}

/// A file that is not a valid fragment.
#[derive(Debug)]
pub struct Invalid {
    /// All of them, by line.
    pub faults: Vec<Fault>,
    /// The credits that could be read all the same, so that unknown ones are reported in the same breath.
    pub credits: Vec<Placed<String>>,
}

impl IntoIterator for Invalid {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.faults.into_iter()
    }
}

impl From<Fault> for Invalid {
    fn from(fault: Fault) -> Invalid {
        Invalid { faults: vec![fault], credits: Vec::new() }
    }
}

const KEYS: [&str; 7] = ["synopsis", "cls", "issues", "prs", "category", "significance", "credits"];

/// What to write instead of an unknown key: one that other tools for release notes call so, or a similar one.
fn instead_of(key: &str) -> String {
    let known_elsewhere = match key.to_lowercase().as_str() {
        "description" | "details" | "text" | "body" | "content" => {
            return "the text goes below the second line `---`".to_owned();
        }
        "title" | "summary" | "headline" => Some("synopsis"),
        "author" | "authors" | "thanks" => Some("credits"),
        "type" | "kind" | "section" => Some("category"),
        _ => None,
    };
    known_elsewhere
        .or_else(|| nearest(key, KEYS))
        .map_or_else(|| format!("known are {}", KEYS.join(", ")), |key| format!("did you mean `{key}`?"))
}

impl Fragment {
    /// Reads the bytes of one file. CRLF counts as LF; a byte-order mark is skipped.
    ///
    /// # Errors
    /// Every fault of the file, by line.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Fragment, Invalid> {
        let text = text_of(bytes)?;
        if let Some(fault) = conflict(&text) {
            return Err(fault.into());
        }
        let source = split(&text)?;
        let root = yaml::parse(source.front_matter, source.first_line)?;
        let Value::Map(entries) = root.value else {
            let what = "the front matter is not a mapping: expected lines such as `synopsis: …`";
            return Err(Fault::new(root.line, what).into());
        };

        let mut faults = Vec::new();
        let mut synopsis = None;
        let mut fragment = Fragment {
            path: path.to_owned(),
            synopsis: Placed { line: 1, value: String::new() },
            issues: Vec::new(),
            prs: Vec::new(),
            cls: Vec::new(),
            category: Category::Miscellany,
            significant: false,
            credits: Vec::new(),
            body: source.body.trim().to_owned(),
        };
        for (key, node) in entries {
            let mut field = Field { key: &key.name, front_matter: &source, faults: &mut faults };
            match key.name.as_str() {
                "synopsis" => synopsis = Some(Placed { line: node.line, value: field.synopsis(&node) }),
                "cls" => fragment.cls = field.each(&node, Field::change),
                "issues" => fragment.issues = field.each(&node, Field::issue),
                "prs" => fragment.prs = field.each(&node, Field::pull_request),
                "category" => fragment.category = field.category(&node).unwrap_or(fragment.category),
                "significance" => fragment.significant = field.significance(&node),
                "credits" => fragment.credits = field.each(&node, Field::credit),
                other => {
                    let what = format!("unknown key `{}`: {}", other.escape_debug(), instead_of(other));
                    faults.push(Fault::new(key.line, what));
                }
            }
        }
        match synopsis {
            Some(synopsis) => fragment.synopsis = synopsis,
            None => faults.push(Fault::new(1, "there is no `synopsis`: add `synopsis: one line of Markdown`")),
        }
        if faults.is_empty() { Ok(fragment) } else { Err(Invalid { faults, credits: fragment.credits }) }
    }

    /// The last component of the path, by which entries are sorted.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// Decodes UTF-8 strictly, skips a byte-order mark, reads CRLF as LF.
///
/// # Errors
/// The line of the first byte that is not UTF-8, or of a character that text does not have.
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

/// Where git could not merge, if anywhere.
pub fn conflict(text: &str) -> Option<Fault> {
    let at = text.lines().position(|line| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> "))?;
    Some(Fault::new(at + 1, "this is the mark of a merge conflict: resolve it"))
}

/// Whether a terminal or a browser would take a character for something other than text.
fn control(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
}

/// A file cut into its two parts.
struct Source<'a> {
    front_matter: &'a str,
    /// The line of the file on which the front matter's first line stands.
    first_line: usize,
    body: &'a str,
}

impl Source<'_> {
    /// What a YAML reader leaves out of a line of the file: `#561` of `issues: #561`. Says nothing about lines in which a
    /// quoted value stands.
    fn comment(&self, line: usize) -> Option<&str> {
        let source = self.front_matter.lines().nth(line.saturating_sub(self.first_line))?;
        let at = source.find(" #").or_else(|| source.find("\t#"))?;
        Some(source[at + 1..].trim_end())
    }
}

fn split(text: &str) -> Result<Source<'_>, Fault> {
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
            _ if first.split_once(':').is_some_and(|(key, _)| KEYS.contains(&key)) => {
                "the line `---` above the keys is missing"
            }
            _ => "there is no front matter",
        };
        return Err(missing(opening, why));
    }
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        if is_fence(line) {
            return Ok(Source { front_matter: &rest[..end], first_line: opening + 1, body: &rest[end + line.len()..] });
        }
        end += line.len();
    }
    Err(missing(opening, "the front matter has no end"))
}

#[cfg(test)]
mod tests;
