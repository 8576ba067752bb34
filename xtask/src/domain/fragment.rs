//! One release-note fragment: YAML front matter and a Markdown body, describing one unreleased change.
//!
//! Owns the keys, the categories and the notation of references. Where a YAML reader could understand something other
//! than what the author sees (`0123`, `yes`, `#561`), the answer is an error, not a guess. Refuses to read files and to
//! know how fragments become pages ([`super::notes`]).

use std::fmt;

use super::problem::nearest;
use super::yaml::{self, Fault, Node, Reading, Scalar, Value};

/// A fragment that is valid by itself; whether its credits exist is decided against [`super::authors::Authors`].
#[derive(Debug)]
pub struct Fragment {
    /// The file, as the reader would type it: for messages.
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

/// An issue or a pull request, `fj#496`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    pub tracker: Tracker,
    pub number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracker {
    /// Lix's Forgejo.
    Lix,
    /// CppNix on GitHub.
    Nix,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tracker = match self.tracker {
            Tracker::Lix => "lix",
            Tracker::Nix => "nix",
        };
        write!(f, "{tracker}#{}", self.number)
    }
}

const KEYS: [&str; 7] = ["synopsis", "cls", "issues", "prs", "category", "significance", "credits"];

impl Fragment {
    /// Reads the bytes of one file. CRLF counts as LF; a byte-order mark is skipped.
    ///
    /// # Errors
    /// Every fault of the file, by line.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Fragment, Vec<Fault>> {
        let text = text_of(bytes).map_err(|fault| vec![fault])?;
        let source = split(&text).map_err(|fault| vec![fault])?;
        let root = yaml::parse(source.front_matter, source.first_line).map_err(|fault| vec![fault])?;
        let Value::Map(entries) = root.value else {
            return Err(vec![Fault::new(
                root.line,
                "the front matter is not a mapping: expected lines such as `synopsis: …`",
            )]);
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
                "synopsis" => synopsis = Some(Placed { line: node.line, value: field.synopsis(node) }),
                "cls" => fragment.cls = field.each(node, Field::change),
                "issues" => fragment.issues = field.each(node, Field::reference),
                "prs" => fragment.prs = field.each(node, Field::reference),
                "category" => fragment.category = field.category(&node).unwrap_or(fragment.category),
                "significance" => fragment.significant = field.significance(&node),
                "credits" => fragment.credits = field.each(node, Field::credit),
                other => {
                    let near = nearest(other, KEYS).map_or_else(
                        || format!("known are {}", KEYS.join(", ")),
                        |key| format!("did you mean `{key}`?"),
                    );
                    faults.push(Fault::new(key.line, format!("unknown key `{}`: {near}", other.escape_debug())));
                }
            }
        }
        match synopsis {
            Some(synopsis) => fragment.synopsis = synopsis,
            None => faults.push(Fault::new(1, "there is no `synopsis`: add `synopsis: one line of Markdown`")),
        }
        if faults.is_empty() { Ok(fragment) } else { Err(faults) }
    }

    /// The last component of the path, by which entries are sorted.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// Decodes UTF-8 strictly, skips a byte-order mark, reads CRLF as LF.
///
/// # Errors
/// The line of the first byte that is not UTF-8.
pub fn text_of(bytes: &[u8]) -> Result<String, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|&&b| b == b'\n').count() + 1;
        Fault::new(line, "this is not UTF-8: save the file in that encoding")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n"))
}

/// A file cut into its two parts.
struct Source<'a> {
    front_matter: &'a str,
    /// The line of the file on which the front matter's first line stands.
    first_line: usize,
    body: &'a str,
}

impl Source<'_> {
    /// The line of the file numbered `line`, as far as it belongs to the front matter.
    fn line(&self, line: usize) -> &str {
        self.front_matter.lines().nth(line.saturating_sub(self.first_line)).unwrap_or_default()
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

/// Reads the value of one key, and says what is wrong with it.
struct Field<'a> {
    key: &'a str,
    front_matter: &'a Source<'a>,
    faults: &'a mut Vec<Fault>,
}

impl Field<'_> {
    fn fault(&mut self, line: usize, what: impl fmt::Display) {
        self.faults.push(Fault::new(line, format!("{}: {what}", self.key)));
    }

    /// Text, quoted where a YAML reader could see something else.
    fn text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        let Value::Scalar(scalar) = &node.value else {
            self.fault(node.line, "expected text, found a list or a mapping");
            return None;
        };
        match scalar.reading() {
            Reading::Text if scalar.text.trim().is_empty() => self.fault(node.line, "the text is empty"),
            Reading::Text => return Some(scalar.text.trim()),
            Reading::Null => self.null(node.line),
            Reading::Bool => self.fault(node.line, quote(scalar, "a boolean")),
            Reading::Number => self.fault(node.line, quote(scalar, "a number")),
            Reading::Date => self.fault(node.line, quote(scalar, "a date")),
        }
        None
    }

    fn null(&mut self, line: usize) {
        let source = self.front_matter.line(line);
        match source.find(" #") {
            Some(at) => {
                let comment = source[at + 1..].trim_end();
                let digits: String = comment.chars().skip(1).take_while(char::is_ascii_digit).collect();
                let remedy = if digits.is_empty() {
                    "put it in quotes".to_owned()
                } else {
                    format!("write fj#{digits} (Lix) or gh#{digits} (CppNix)")
                };
                self.fault(line, format!("`{comment}` is a YAML comment, so there is no value: {remedy}"));
            }
            None => self.fault(line, "there is no value: fill it in or remove the line"),
        }
    }

    fn synopsis(&mut self, node: Node) -> String {
        match self.text(&node) {
            Some(text) if text.contains('\n') => {
                self.fault(node.line, "a synopsis is one line");
                String::new()
            }
            text => text.unwrap_or_default().to_owned(),
        }
    }

    fn category(&mut self, node: &Node) -> Option<Category> {
        let text = self.text(node)?;
        let found = Category::ALL.into_iter().find(|category| category.name() == text);
        if found.is_none() {
            let names = Category::ALL.map(Category::name);
            let near = nearest(text, names)
                .map_or_else(|| format!("known are {}", names.join(", ")), |name| format!("did you mean `{name}`?"));
            self.fault(node.line, format!("unknown category `{}`: {near}", text.escape_debug()));
        }
        found
    }

    fn significance(&mut self, node: &Node) -> bool {
        match self.text(node) {
            Some("significant") => return true,
            Some(other) => {
                let what = format!("unknown significance `{}`: only `significant` is known", other.escape_debug());
                self.fault(node.line, what);
            }
            None => {}
        }
        false
    }

    /// A value, or a list of values.
    fn each<T>(&mut self, node: Node, read: fn(&mut Self, &Node) -> Option<T>) -> Vec<T> {
        match &node.value {
            Value::List(items) => items.iter().filter_map(|item| read(self, item)).collect(),
            _ => read(self, &node).into_iter().collect(),
        }
    }

    fn credit(&mut self, node: &Node) -> Option<Placed<String>> {
        self.text(node).map(|text| Placed { line: node.line, value: text.to_owned() })
    }

    /// A Gerrit change number: plain decimal digits.
    fn change(&mut self, node: &Node) -> Option<Placed<u64>> {
        let Value::Scalar(scalar) = &node.value else {
            self.fault(node.line, "expected a change number or a list of them, as in [1234, 5678]");
            return None;
        };
        if scalar.reading() == Reading::Null {
            self.null(node.line);
            return None;
        }
        let number = decimal(&scalar.text);
        if number.is_none() {
            let what = format!(
                "`{}` is not a Gerrit change number: write its decimal digits, as in 1234",
                scalar.text.escape_debug()
            );
            self.fault(node.line, what);
        }
        number.map(|value| Placed { line: node.line, value })
    }

    fn reference(&mut self, node: &Node) -> Option<Reference> {
        let Value::Scalar(scalar) = &node.value else {
            self.fault(node.line, "expected a reference or a list of them, as in [fj#496, gh#10877]");
            return None;
        };
        if scalar.reading() == Reading::Null {
            self.null(node.line);
            return None;
        }
        let (tracker, number) = match scalar.text.split_once('#') {
            Some(("fj" | "lix", number)) => (Some(Tracker::Lix), number),
            Some(("gh" | "nix", number)) => (Some(Tracker::Nix), number),
            Some(_) => (None, ""),
            None => (Some(Tracker::Lix), scalar.text.as_str()),
        };
        let reference = tracker.zip(decimal(number)).map(|(tracker, number)| Reference { tracker, number });
        if reference.is_none() {
            let what = format!(
                "`{}` is not a reference: write fj#N or N (Lix), gh#N (CppNix), with decimal digits for N",
                scalar.text.escape_debug()
            );
            self.fault(node.line, what);
        }
        reference
    }
}

fn quote(scalar: &Scalar, what: &str) -> String {
    format!("`{}` is {what} to YAML, not text: put it in quotes", scalar.text)
}

/// Decimal digits without sign, leading zeros or separators: what every reader takes for the same number.
fn decimal(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    canonical.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn parse(text: &str) -> Result<Fragment, Vec<Fault>> {
        Fragment::parse("x.md", text.as_bytes())
    }

    fn faults(front_matter: &str, expected: Expect) {
        let faults = parse(&format!("---\n{front_matter}\n---\nbody\n")).expect_err(front_matter);
        let shown: Vec<String> = faults.iter().map(|f| format!("{}: {}", f.line, f.what)).collect();
        expected.assert_eq(&shown.join("\n"));
    }

    #[test]
    fn every_key_and_both_spellings_of_lists() {
        let text = "\u{feff}---\r\nsynopsis: 'It''s `x`: done'\r\ncls: 12\nissues: [fj#1, gh#2, lix#3, nix#4, 5]\nprs: gh#9\ncategory: \"Breaking Changes\"\nsignificance: significant\ncredits:\n  - 9p4\n  - horrors\n---  \n\n  body\r\n\n---\nmore  \n\n";
        let fragment = parse(text).expect("valid");
        assert_eq!(fragment.synopsis.value, "It's `x`: done");
        assert_eq!(fragment.cls, [Placed { line: 3, value: 12 }]);
        let issues: Vec<String> = fragment.issues.iter().map(Reference::to_string).collect();
        assert_eq!(issues, ["lix#1", "nix#2", "lix#3", "nix#4", "lix#5"]);
        assert_eq!(fragment.category, Category::BreakingChanges);
        assert!(fragment.significant);
        assert_eq!(fragment.credits[1], Placed { line: 10, value: "horrors".into() });
        assert_eq!(fragment.body, "body\n\n---\nmore");
    }

    #[test]
    fn what_the_author_sees_is_what_is_read_or_an_error() {
        faults(
            "synopsis: yes\ncls: [0123, +5, 1.5, true, \"x\", ５]\nissues: #561\nprs: [~, fj#, gh#+1, xx#1, 0x10]\ncredits: [12, 2026-01-01]",
            expect![[r#"
                2: synopsis: `yes` is a boolean to YAML, not text: put it in quotes
                3: cls: `0123` is not a Gerrit change number: write its decimal digits, as in 1234
                3: cls: `+5` is not a Gerrit change number: write its decimal digits, as in 1234
                3: cls: `1.5` is not a Gerrit change number: write its decimal digits, as in 1234
                3: cls: `true` is not a Gerrit change number: write its decimal digits, as in 1234
                3: cls: `x` is not a Gerrit change number: write its decimal digits, as in 1234
                3: cls: `５` is not a Gerrit change number: write its decimal digits, as in 1234
                4: issues: `#561` is a YAML comment, so there is no value: write fj#561 (Lix) or gh#561 (CppNix)
                5: prs: there is no value: fill it in or remove the line
                5: prs: `fj#` is not a reference: write fj#N or N (Lix), gh#N (CppNix), with decimal digits for N
                5: prs: `gh#+1` is not a reference: write fj#N or N (Lix), gh#N (CppNix), with decimal digits for N
                5: prs: `xx#1` is not a reference: write fj#N or N (Lix), gh#N (CppNix), with decimal digits for N
                5: prs: `0x10` is not a reference: write fj#N or N (Lix), gh#N (CppNix), with decimal digits for N
                6: credits: `12` is a number to YAML, not text: put it in quotes
                6: credits: `2026-01-01` is a date to YAML, not text: put it in quotes"#]],
        );
        faults(
            "synopsis:\ncls: {a: 1}\ncategory: feature\nsignificance: very\nsynopsys: x",
            expect![[r#"
            2: synopsis: there is no value: fill it in or remove the line
            3: cls: expected a change number or a list of them, as in [1234, 5678]
            4: category: unknown category `feature`: did you mean `Features`?
            5: significance: unknown significance `very`: only `significant` is known
            6: unknown key `synopsys`: did you mean `synopsis`?"#]],
        );
        faults(
            "synopsis: |\n  two\n  lines\ncategory: Fixtures of a kitchen\nissues:\n  - #561\n",
            expect![[r#"
            3: synopsis: a synopsis is one line
            5: category: unknown category `Fixtures of a kitchen`: did you mean `Fixes`?
            7: issues: `#561` is a YAML comment, so there is no value: write fj#561 (Lix) or gh#561 (CppNix)"#]],
        );
        faults("cls: 1", expect!["1: there is no `synopsis`: add `synopsis: one line of Markdown`"]);
        faults("just text", expect!["2: the front matter is not a mapping: expected lines such as `synopsis: …`"]);
        faults("synopsis: a\nsynopsis: b", expect!["3: the key `synopsis` is already set on line 2: keep one of them"]);
        faults(
            "issues: [fj#1, #561]\nsynopsis: x",
            expect![
                "2: a `#` after a space starts a comment, so this list has no end: write fj#N or gh#N, or use quotes"
            ],
        );
    }

    #[test]
    fn what_is_no_fragment() {
        let shown: Vec<String> = ["", "\n\n", "{\"synopsis\": 1}\n", "+++\n", "hello\n", "\n---\nsynopsis: x\n"]
            .iter()
            .flat_map(|text| parse(text).expect_err(text))
            .map(|f| format!("{}: {}", f.line, f.what))
            .collect();
        expect![[r#"
            1: the file is empty: a fragment starts with a line `---`, YAML, and another line `---`
            1: the file is empty: a fragment starts with a line `---`, YAML, and another line `---`
            1: JSON front matter is not supported: a fragment starts with a line `---`, YAML, and another line `---`
            1: TOML front matter is not supported: a fragment starts with a line `---`, YAML, and another line `---`
            1: there is no front matter: a fragment starts with a line `---`, YAML, and another line `---`
            2: the front matter has no end: a fragment starts with a line `---`, YAML, and another line `---`"#]]
        .assert_eq(&shown.join("\n"));
        let fault = Fragment::parse("x.md", b"---\nsynopsis: x\n---\n\xff").expect_err("invalid");
        assert_eq!(fault[0].line, 4);
    }
}
