//! Text that others wrote, made safe to show: a file name, an answer of a server, a line of another program.
//!
//! Characters that control a terminal, or that are invisible, are escaped: `\u{1b}`. Line breaks are left to the
//! caller, because only the caller knows whether the text may have several lines.

use std::fmt::{Display, Write};

/// Whether a character controls a terminal, changes the direction of the text around it, or is invisible.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Puts a text on one line: escapes hidden characters, line breaks and tabs among them.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if is_hidden(c) => line.extend(c.escape_unicode()),
            c => line.push(c),
        }
    }
    line
}

/// Largest number of characters of a message that quotes foreign text, as those of parsers do.
const REASON: usize = 400;

/// Makes the message of a parser fit to be shown: on one line, without hidden characters, and not too long.
pub fn reason(error: impl Display) -> String {
    shortened(&one_line(error.to_string().trim_end()), REASON)
}

/// Largest number of characters of a message of several lines, and how many of them are from its start: other programs
/// often give the reason last.
const LINES: (usize, usize) = (8000, 2000);

/// Makes a message of several lines fit to be shown: without hidden characters other than line breaks, and not too long.
pub fn lines(text: &str) -> String {
    let text = text.trim_end().split('\n').map(line).collect::<Vec<_>>().join("\n");
    let (most, first) = LINES;
    let length = text.chars().count();
    if length <= most {
        return text;
    }
    let last: String = text.chars().skip(length - (most - first)).collect();
    format!("{}\n{last}", shortened(&text, first))
}

/// Escapes hidden characters of a line of several, where tabs do no harm.
fn line(text: &str) -> String {
    text.split('\t').map(one_line).collect::<Vec<_>>().join("\t")
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Largest number of characters of foreign text that a message quotes.
const QUOTED: usize = 120;

/// Makes foreign text fit to be quoted in a message: on one line, without control characters, and not too long.
pub fn excerpt(text: &str) -> String {
    let shown = |c: char| match c {
        '\'' | '"' | '\\' => c.to_string(),
        c => c.escape_debug().to_string(),
    };
    let rest = if text.chars().nth(QUOTED).is_some() { "…" } else { "" };
    text.chars().take(QUOTED).map(shown).collect::<String>() + rest
}

/// Escapes hidden characters in JSON. Line breaks between values stay; JSON has none within strings.
pub fn json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !is_hidden(c) {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn hidden_characters_are_escaped() {
        let text = "a\u{1b}[31mb\u{9b}2Jc\rd\ne\tf\u{7f}g\u{202e}h\u{200b}i\u{2028}j\u{e0041}k\u{0}l é 中 ✓";
        expect![[r"a\u{1b}[31mb\u{9b}2Jc\rd\ne\tf\u{7f}g\u{202e}h\u{200b}i\u{2028}j\u{e0041}k\u{0}l é 中 ✓"]]
            .assert_eq(&one_line(text));
        let value = serde_json::json!({ "a": text, "b": [1] });
        let shown = json(&serde_json::to_string_pretty(&value).expect("JSON"));
        assert!(shown.chars().all(|c| c == '\n' || !is_hidden(c)), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("still JSON"), value);
    }
}
