//! Adds a line to a TOML file that people write: every other byte stays, comments and line endings included.
//!
//! The text is parsed before and after, and the values must differ in what was asked for and nothing else. Where that
//! is impossible, as in a table that is written in one line, the change is refused.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};
use toml::{Table, Value};

/// Why a text was not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The text is not TOML: what is wrong, and where.
    Invalid(String),
    /// The text is written in a way that this code cannot add to.
    Unusual,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Invalid(why) => write!(f, "is not TOML: {why}"),
            Fault::Unusual => f.write_str("is written in an unusual way"),
        }
    }
}

/// Parses a text.
///
/// # Errors
/// It is not TOML.
pub fn parse(text: &str) -> Result<Table, Fault> {
    text.parse().map_err(|error: toml::de::Error| Fault::Invalid(error.to_string().trim_end().to_owned()))
}

/// Adds `item` at the end of the list `key` of an existing table. A missing list is added below the entry `after`, or
/// else at the top of the table.
///
/// # Errors
/// The text is not TOML, or cannot be added to.
pub fn with_item(text: &str, table: &str, key: &str, item: &str, after: &str) -> Result<String, Fault> {
    let mut wanted = parse(text)?;
    let entries = wanted.get_mut(table).and_then(Value::as_table_mut).ok_or(Fault::Unusual)?;
    let list = entries.entry(key).or_insert_with(|| Value::Array(Vec::new())).as_array_mut().ok_or(Fault::Unusual)?;
    list.push(Value::String(item.to_owned()));

    let document = DeTable::parse(text).map_err(|error| Fault::Invalid(error.to_string()))?;
    let (header, entries) = table_in(&document, table).ok_or(Fault::Unusual)?;
    let quoted = quoted(item);
    let changed = match find(entries, key) {
        Some(Entry { value, .. }) => into_list(text, value.get_ref().as_array().ok_or(Fault::Unusual)?, value, &quoted),
        None => below(text, header, find(entries, after), table, key, &format!("[{quoted}]"))?,
    };
    checked(changed, &wanted)
}

/// Adds an entry with a string value at the end of a table; adds the table if it is missing.
///
/// # Errors
/// The text is not TOML, or cannot be added to.
pub fn with_entry(text: &str, table: &str, key: &str, value: &str) -> Result<String, Fault> {
    let mut wanted = parse(text)?;
    let entries = wanted.entry(table).or_insert_with(|| Value::Table(Table::new()));
    let entries = entries.as_table_mut().ok_or(Fault::Unusual)?;
    if entries.insert(key.to_owned(), Value::String(value.to_owned())).is_some() {
        return Err(Fault::Unusual);
    }
    let quoted = quoted(value);
    let document = DeTable::parse(text).map_err(|error| Fault::Invalid(error.to_string()))?;
    let changed = match table_in(&document, table) {
        Some((header, entries)) => {
            let last = entries.iter().max_by_key(|(_, value)| value.span().end);
            let last = last.map(|(key, value)| Entry { key: key.span(), value });
            below(text, header, last, table, key, &quoted)?
        }
        None => {
            let newline = newline(text);
            let end = if text.is_empty() || text.ends_with('\n') { "" } else { newline };
            let gap = if text.is_empty() { "" } else { newline };
            format!("{text}{end}{gap}[{table}]{newline}{key} = {quoted}{newline}")
        }
    };
    checked(changed, &wanted)
}

/// A key and its value, with their positions.
struct Entry<'a> {
    key: Range<usize>,
    value: &'a Spanned<DeValue<'a>>,
}

fn find<'a>(table: &'a DeTable<'a>, key: &str) -> Option<Entry<'a>> {
    let (key, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
    Some(Entry { key: key.span(), value })
}

/// Finds a table: the position of its name, and its entries.
fn table_in<'a>(document: &'a Spanned<DeTable<'a>>, table: &str) -> Option<(Range<usize>, &'a DeTable<'a>)> {
    let Entry { key, value } = find(document.get_ref(), table)?;
    Some((key, value.get_ref().as_table()?))
}

/// Inserts a line below an entry, or below the table's header.
fn below(
    text: &str,
    header: Range<usize>,
    entry: Option<Entry>,
    table: &str,
    key: &str,
    value: &str,
) -> Result<String, Fault> {
    let (before, end) = match entry {
        // `a.b = …` gets `a.c = …` below it.
        Some(entry) => (&text[line_start(text, entry.key.start)..entry.key.start], entry.value.span().end),
        None => {
            let line = &text[line_start(text, header.start)..line_end(text, header.end)];
            let name = line.trim().strip_prefix('[').and_then(|rest| rest.trim_start().strip_prefix(table));
            let is_header = name.is_some_and(|rest| rest.trim_start().starts_with(']'));
            (if is_header { "" } else { return Err(Fault::Unusual) }, header.end)
        }
    };
    // A table in braces, or a quoted key.
    if before.contains(['{', '=', '"', '\'']) {
        return Err(Fault::Unusual);
    }
    let end = line_end(text, end);
    Ok(format!("{}{}{before}{key} = {value}{}", &text[..end], newline(text), &text[end..]))
}

/// Appends an item, on a separate line if the last one is on a separate line.
fn into_list(text: &str, list: &DeArray, value: &Spanned<DeValue>, item: &str) -> String {
    let Some(last) = list.iter().last().map(Spanned::span) else {
        let start = value.span().start + 1;
        return format!("{}{item}{}", &text[..start], &text[start..]);
    };
    let indent = &text[line_start(text, last.start)..last.start];
    if !indent.trim().is_empty() {
        return format!("{}, {item}{}", &text[..last.end], &text[last.end..]);
    }
    // After the comma and the comment that the last item may have.
    let end = line_end(text, last.end);
    let comma = if text[last.end..end].trim_start().starts_with(',') { "" } else { "," };
    let (before, rest) = (&text[..last.end], &text[last.end..end]);
    if rest.trim_start().starts_with(']') {
        format!("{before}, {item}{}", &text[last.end..])
    } else {
        format!("{before}{comma}{rest}{}{indent}{item},{}", newline(text), &text[end..])
    }
}

fn checked(changed: String, wanted: &Table) -> Result<String, Fault> {
    match parse(&changed) {
        Ok(table) if table == *wanted => Ok(changed),
        _ => Err(Fault::Unusual),
    }
}

/// Quotes a text as a basic string; what this cannot express shows when the result is parsed.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Returns the end of the line, before its line ending.
fn line_end(text: &str, at: usize) -> usize {
    let line = text[at..].split('\n').next().unwrap_or_default();
    at + line.strip_suffix('\r').unwrap_or(line).len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn exclude(text: &str) -> Result<String, Fault> {
        with_item(text, "workspace", "exclude", "xtask", "members")
    }

    fn alias(text: &str) -> Result<String, Fault> {
        with_entry(text, "alias", "xtask", "run --")
    }

    #[test]
    fn a_list_gets_one_more() {
        let cases = [
            "[workspace]\nmembers = [\"a\"] # why\nresolver = \"2\"\n",
            "# first\n[workspace] # here\nresolver = \"2\"",
            "[workspace]\nmembers = [\n\t\"a\",\n\t\"b\",\n]\n\n[profile.dev]\n",
            "[workspace]\n\"members\" = []\n",
            "[workspace]\nexclude = []\n",
            "[workspace]\nexclude = [ \"a\", 'b' ]\n",
            "[workspace]\nexclude = [\n    \"a\", # first\n    \"b\" # last ]\n]\n",
            "[workspace]\nexclude = [\n    \"a\",\n    \"b\"]\n",
            "[workspace]\nexclude = [\"a\",\n  \"b\",\n  # end\n]\n",
            "workspace.members = []\n[package]\nname = \"x\"\n",
            "[package]\nname = \"\"\"\n[workspace]\n\"\"\"\n[ workspace ]\n",
        ];
        let changed = cases.map(|text| exclude(text).expect(text));
        expect![[r#"
            [workspace]
            members = ["a"] # why
            exclude = ["xtask"]
            resolver = "2"

            ----
            # first
            [workspace] # here
            exclude = ["xtask"]
            resolver = "2"
            ----
            [workspace]
            members = [
            	"a",
            	"b",
            ]
            exclude = ["xtask"]

            [profile.dev]

            ----
            [workspace]
            "members" = []
            exclude = ["xtask"]

            ----
            [workspace]
            exclude = ["xtask"]

            ----
            [workspace]
            exclude = [ "a", 'b', "xtask" ]

            ----
            [workspace]
            exclude = [
                "a", # first
                "b", # last ]
                "xtask",
            ]

            ----
            [workspace]
            exclude = [
                "a",
                "b", "xtask"]

            ----
            [workspace]
            exclude = ["a",
              "b",
              "xtask",
              # end
            ]

            ----
            workspace.members = []
            workspace.exclude = ["xtask"]
            [package]
            name = "x"

            ----
            [package]
            name = """
            [workspace]
            """
            [ workspace ]
            exclude = ["xtask"]
        "#]]
        .assert_eq(&changed.join("\n----\n"));
    }

    #[test]
    fn a_table_gets_one_more() {
        let cases = [
            "",
            "[build]\njobs = 1",
            "[alias]\n",
            "[alias]\nb = \"build\" # short\n\n[build]\njobs = 1\n",
            "alias.b = [\n  \"build\",\n]\n[build]\n",
            "[build]\n\n[alias]\n# none yet\n\n[net]\n",
        ];
        let changed = cases.map(|text| alias(text).expect(text));
        expect![[r#"
            [alias]
            xtask = "run --"

            ----
            [build]
            jobs = 1

            [alias]
            xtask = "run --"

            ----
            [alias]
            xtask = "run --"

            ----
            [alias]
            b = "build" # short
            xtask = "run --"

            [build]
            jobs = 1

            ----
            alias.b = [
              "build",
            ]
            alias.xtask = "run --"
            [build]

            ----
            [build]

            [alias]
            xtask = "run --"
            # none yet

            [net]
        "#]]
        .assert_eq(&changed.join("\n----\n"));
    }

    #[test]
    fn line_endings_stay() {
        let text = "[workspace]\r\nmembers = [\r\n  \"é\",\r\n]\r\n";
        assert_eq!(exclude(text).expect("TOML"), format!("{text}exclude = [\"xtask\"]\r\n"));
        let text = "\u{feff}[workspace]\r\nexclude = [\r\n  \"é\"\r\n]";
        let wanted = "\u{feff}[workspace]\r\nexclude = [\r\n  \"é\",\r\n  \"xtask\",\r\n]";
        assert_eq!(exclude(text).expect("TOML"), wanted);
        assert_eq!(alias("[a]\r\n").expect("TOML"), "[a]\r\n\r\n[alias]\r\nxtask = \"run --\"\r\n");
    }

    #[test]
    fn what_cannot_be_added_to_is_refused() {
        let unusual = [
            "workspace = { members = [] }\n",
            "[workspace.package]\nedition = \"2021\"\n",
            "[workspace]\nexclude = \"a\"\n",
            "workspace = 1\n",
            "[package]\n",
        ];
        for text in unusual {
            assert_eq!(exclude(text), Err(Fault::Unusual), "{text}");
        }
        for text in ["alias = { b = \"build\" }\n", "[alias]\nxtask = \"other\"\n", "alias = 1\n"] {
            assert_eq!(alias(text), Err(Fault::Unusual), "{text}");
        }
        expect![[r#"
            is not TOML: TOML parse error at line 2, column 12
              |
            2 | members = [
              |            ^
            unclosed array, expected `]`"#]]
        .assert_eq(&exclude("[workspace]\nmembers = [\n").expect_err("not TOML").to_string());
    }
}
