//! One release-note fragment: YAML front matter and a Markdown body, describing one unreleased change.
//!
//! Knows what each key means. Where a YAML reader could understand something other than what the author sees
//! (`0123`, `yes`, `#561`), the answer is an error, not a guess.

mod field;
pub mod name;
pub mod source;

use self::field::Field;
use self::source::{conflict, split, text_of};
use super::category::Category;
use super::reference::Reference;
use super::yaml::{self, Fault, Placed, Value};
use crate::problem::nearest;
use crate::product::Product;
use crate::shown::excerpt;

/// A fragment that is valid in itself; whether its credits exist is checked against [`super::authors::Authors`].
#[derive(Debug)]
pub struct Fragment {
    /// Path of the file as the reader would type it, only for messages.
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

/// A file that is an invalid fragment.
#[derive(Debug)]
pub struct Invalid {
    /// All faults, by line.
    pub faults: Vec<Fault>,
    /// Credits that could be read nevertheless, so that unknown ones are reported at the same time.
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

/// The keys of a front matter. [`Fragment::parse`] says what each of them means.
const KEYS: [&str; 7] = ["synopsis", "cls", "issues", "prs", "category", "significance", "credits"];

/// Suggests what to write instead of an unknown key: one that has this name in other release-note tools, or a similar
/// one.
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
        .map_or_else(|| format!("known keys are {}", KEYS.join(", ")), |key| format!("did you mean `{key}`?"))
}

impl Fragment {
    /// Reads the bytes of one file. CRLF counts as LF; a byte-order mark is skipped.
    ///
    /// # Errors
    /// Every fault of the file, by line.
    pub fn parse(product: &Product, path: &str, bytes: &[u8]) -> Result<Fragment, Invalid> {
        let text = text_of(bytes)?;
        if let Some(fault) = conflict(&text) {
            return Err(fault.into());
        }
        let source = split(&text, &KEYS)?;
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
            let mut field = Field { product, key: &key.name, front_matter: &source, faults: &mut faults };
            match key.name.as_str() {
                "synopsis" => synopsis = Some(Placed { line: node.line, value: field.synopsis(&node) }),
                "cls" => fragment.cls = field.each(&node, Field::change),
                "issues" => fragment.issues = field.each(&node, Field::issue),
                "prs" => fragment.prs = field.each(&node, Field::pull_request),
                "category" => fragment.category = field.category(&node).unwrap_or(fragment.category),
                "significance" => fragment.significant = field.significance(&node),
                "credits" => fragment.credits = field.each(&node, Field::credit),
                other => {
                    let what = format!("unknown key `{}`: {}", excerpt(other), instead_of(other));
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

    /// Returns the last component of the path, by which entries are sorted.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

#[cfg(test)]
mod tests;
