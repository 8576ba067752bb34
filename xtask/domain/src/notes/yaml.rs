//! The subset of YAML in which front matter and the author list are written: mappings, lists and scalars, with the line
//! of each.
//!
//! The grammar is `saphyr-parser`'s. This module decides what else is refused (aliases, tags, several documents, deep
//! nesting, duplicate keys), and which plain scalars other YAML readers would not take for text. A data model (serde)
//! would hide both the exact spelling and the position.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

/// Greatest depth of nesting: what we read is no deeper than a list in a mapping in a mapping.
const MAX_DEPTH: usize = 8;

/// A value and the line (from 1) on which it starts.
#[derive(Debug)]
pub struct Node {
    pub line: usize,
    pub value: Value,
}

#[derive(Debug)]
pub enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order of the file; no key appears twice.
    Map(Vec<(Key, Node)>),
}

#[derive(Debug)]
pub struct Key {
    pub line: usize,
    pub name: String,
}

/// A scalar as written: `text` without quotes and escapes, and whether it had none.
#[derive(Debug)]
pub struct Scalar {
    pub text: String,
    pub plain: bool,
}

/// What a plain scalar would be to a YAML reader that follows the 1.1 or the 1.2 rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Text,
    Null,
    Bool,
    Number,
    Date,
}

/// A value and the line that it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    pub line: usize,
    pub value: T,
}

/// Something wrong on one line of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong, and how to fix it.
    pub what: String,
}

impl Fault {
    pub fn new(line: usize, what: impl Into<String>) -> Fault {
        Fault { line, what: what.into() }
    }
}

impl Scalar {
    /// Returns what a YAML reader may take the scalar for. Readers disagree on some (`yes`, `0o17`): it is text only if
    /// all of them take it for text.
    pub fn reading(&self) -> Reading {
        if !self.plain {
            return Reading::Text;
        }
        let lower = self.text.to_ascii_lowercase();
        match lower.as_str() {
            "" | "~" | "null" => Reading::Null,
            "true" | "false" | "yes" | "no" | "on" | "off" => Reading::Bool,
            _ if is_date(&lower) => Reading::Date,
            _ if is_number(&lower) => Reading::Number,
            _ => Reading::Text,
        }
    }
}

/// Whether a text is a date such as `2026-03-13`, perhaps with a time after it: a timestamp in YAML 1.1.
fn is_date(text: &str) -> bool {
    let digits = |part: Option<&str>, most: usize| {
        part.is_some_and(|p| (1..=most).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut parts = text.split(['t', ' ']).next().unwrap_or_default().split('-');
    digits(parts.next(), 4) && digits(parts.next(), 2) && digits(parts.next(), 2) && parts.next().is_none()
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".nan") {
        return true;
    }
    let plain = unsigned.replace('_', "");
    let radix = ["0x", "0o", "0b"].iter().any(|prefix| {
        plain.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    // Base 60 (`1:30`) and everything that Rust reads as a float, except words such as `infinity`.
    let starts_as_number = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    radix || (starts_as_number && plain.replace(':', "").parse::<f64>().is_ok())
}

/// Reads one document whose first line is line `first_line` of its file. An empty text is an empty mapping.
///
/// # Errors
/// The first thing that is not YAML, or is YAML that is not allowed here.
pub fn parse(text: &str, first_line: usize) -> Result<Node, Fault> {
    let mut reader = Reader { parser: Parser::new_from_str(text), text, first_line };
    reader.document().map_err(|fault| Fault { line: fault.line + first_line - 1, ..fault })
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    first_line: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Node, Fault> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(Fault::new(line(&span), "a second YAML document starts here: only one is allowed"));
                }
                Event::DocumentStart(_) => {}
                Event::StreamEnd => break,
                event => root = Some(self.node(event, &span, 0)?),
            }
        }
        Ok(root.unwrap_or(Node { line: self.first_line, value: Value::Map(Vec::new()) }))
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Fault> {
        let at = line(span);
        if depth > MAX_DEPTH {
            return Err(Fault::new(at, "nested too deeply: a value is text, a number, or a list of these"));
        }
        let value = match event {
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
                if anchor != 0 =>
            {
                return Err(Fault::new(
                    at,
                    "anchors (`&name`) and aliases (`*name`) are not allowed: write the value out",
                ));
            }
            Event::Scalar(_, _, _, Some(tag))
            | Event::SequenceStart(_, Some(tag))
            | Event::MappingStart(_, Some(tag)) => {
                let tag = format!("{}{}", tag.handle, tag.suffix);
                return Err(Fault::new(
                    at,
                    format!("the YAML tag `{tag}` is not allowed: put text that starts with `!` in quotes"),
                ));
            }
            Event::Scalar(text, style, ..) => {
                Value::Scalar(Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain })
            }
            Event::SequenceStart(..) => self.list(depth)?,
            Event::MappingStart(..) => self.map(depth)?,
            Event::Alias(_) => {
                return Err(Fault::new(
                    at,
                    "aliases (`*name`) are not allowed: write the value out, or put text that starts with `*` in quotes",
                ));
            }
            _ => return Err(Fault::new(at, "expected a value")),
        };
        Ok(Node { line: at + self.first_line - 1, value })
    }

    fn list(&mut self, depth: usize) -> Result<Value, Fault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, span) => items.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Fault> {
        let mut seen = std::collections::HashMap::new();
        let mut entries = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Map(entries));
            }
            let key = self.node(event, &span, depth + 1)?;
            let Value::Scalar(Scalar { text: name, .. }) = key.value else {
                return Err(Fault::new(line(&span), "a key is one word, not a list or a mapping"));
            };
            if let Some(first) = seen.insert(name.clone(), key.line) {
                let what = format!("the key `{name}` is already set on line {first}: keep one of them");
                return Err(Fault::new(line(&span), what));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, &span, depth + 1)?;
            entries.push((Key { line: key.line, name }, value));
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.explain(&error)),
            None => Err(Fault::new(self.text.lines().count().max(1), "the YAML ends in the middle")),
        }
    }

    /// Returns the scanner's message, with the usual reason if the text shows it.
    fn explain(&self, error: &ScanError) -> Fault {
        let at = error.marker().line().max(1);
        let cut_list = |line: &str| {
            let comment = [" #", "[#", ",#"].into_iter().filter_map(|start| line.find(start)).min();
            comment.is_some_and(|at| line[..=at].contains('[') && !line[..at].contains(']'))
        };
        let so_far: Vec<&str> = self.text.lines().take(at).collect();
        if let Some(comment) = so_far.iter().rposition(|line| cut_list(line)) {
            let what = "a `#` here starts a comment, so this list has no end: write fj#N or gh#N, or use quotes";
            return Fault::new(comment + 1, what);
        }
        let source = so_far.last().copied().unwrap_or_default();
        let hint = if source.contains('\t') || error.info().contains(" tab") {
            " (YAML is indented with spaces, not tabs)"
        } else if source.contains(": ") {
            " (text that contains `: ` or quotes, or starts with a special character, goes in quotes)"
        } else {
            ""
        };
        Fault::new(at, format!("this is not YAML: {}{hint}", error.info()))
    }
}

/// Returns the line of a span, from 1.
fn line(span: &Span) -> usize {
    span.start.line().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn what_readers_disagree_on_is_not_text() {
        let reading = |text: &str| Scalar { text: text.into(), plain: true }.reading();
        for text in ["yes", "No", "TRUE", "off"] {
            assert_eq!(reading(text), Reading::Bool, "{text}");
        }
        for text in ["0", "0123", "0x1F", "0o17", "+5", "-3", "1.5", "1e3", "1_000", "1:30", ".inf", ".5"] {
            assert_eq!(reading(text), Reading::Number, "{text}");
        }
        for text in ["2026-03-13", "2026-3-1", "2026-03-13T10:00:00Z"] {
            assert_eq!(reading(text), Reading::Date, "{text}");
        }
        for text in ["", "~", "Null"] {
            assert_eq!(reading(text), Reading::Null, "{text}");
        }
        for text in ["9p4", "fj#496", "infinity", "nan", "a", "commentator2.0", "1-2", "５", "e3"] {
            assert_eq!(reading(text), Reading::Text, "{text}");
        }
    }

    #[test]
    fn what_is_refused_names_the_line() {
        let refuse = |text: &str| parse(text, 2).expect_err(text);
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
        let deep = "[".repeat(50_000);
        let shown: Vec<String> = [
            "a: 1\na: 2\n",
            "a: [1\nb: 2\n",
            "a: [x #y]\n",
            "a: *b\n",
            "a: !!str x\n",
            "? [a]\n: b\n",
            bomb,
            &deep,
            "a: x\n...\n---\nb: y\n",
            "a: b: c\n",
            "a:\n\t- b\n",
            "a: `x`\n",
        ]
        .iter()
        .map(|text| refuse(text))
        .map(|fault| format!("{}: {}", fault.line, fault.what))
        .collect();
        expect![[r#"
            3: the key `a` is already set on line 2: keep one of them
            3: this is not YAML: illegal placement of ':' indicator (text that contains `: ` or quotes, or starts with a special character, goes in quotes)
            2: a `#` here starts a comment, so this list has no end: write fj#N or gh#N, or use quotes
            2: this is not YAML: while parsing node, found unknown anchor (text that contains `: ` or quotes, or starts with a special character, goes in quotes)
            2: the YAML tag `tag:yaml.org,2002:str` is not allowed: put text that starts with `!` in quotes
            2: a key is one word, not a list or a mapping
            2: anchors (`&name`) and aliases (`*name`) are not allowed: write the value out
            2: this is not YAML: recursion limit exceeded
            4: a second YAML document starts here: only one is allowed
            2: this is not YAML: mapping values are not allowed in this context (text that contains `: ` or quotes, or starts with a special character, goes in quotes)
            3: this is not YAML: tabs disallowed within this context (block indentation) (YAML is indented with spaces, not tabs)
            2: this is not YAML: unexpected character: ``' (text that contains `: ` or quotes, or starts with a special character, goes in quotes)"#]].assert_eq(&shown.join("\n"));
    }
}
