//! The colours of pages.

use std::io::IsTerminal;

use anyhow::Result;

use super::term::{self, BAD, BOLD, DIM, GOOD, WARNING, bad, good};

/// Colours a plan's page: headings bold, marks by what they mean.
pub fn plan(text: &str) -> String {
    let paint = |line: &str| match line.trim_start().chars().next() {
        Some('+' | '~') if line.starts_with("  ") => format!("{GOOD}{line}{GOOD:#}\n"),
        Some('=' | '-') if line.starts_with("  ") => format!("{DIM}{line}{DIM:#}\n"),
        Some('…') => format!("{WARNING}{line}{WARNING:#}\n"),
        Some('!') => format!("{BAD}{line}{BAD:#}\n"),
        Some(_) if !line.starts_with(' ') => format!("{BOLD}{line}{BOLD:#}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(paint).collect()
}

/// Colours a page of checks: headings bold, marks by what they mean.
pub fn checks(text: &str) -> String {
    let paint = |line: &str| {
        let painted = line.replacen('✓', &good("✓"), 1).replacen('✗', &bad("✗"), 1);
        let heading = !line.is_empty() && !line.starts_with(' ');
        if heading { format!("{BOLD}{line}{BOLD:#}\n") } else { format!("{painted}\n") }
    };
    text.lines().map(paint).collect()
}

/// Prints the difference of two trees: as it is, so that git can apply it; on a terminal in colour, and with hidden
/// characters escaped, because reviewers have to see them.
///
/// # Errors
/// stdout cannot be written to.
pub fn diff(text: &str) -> Result<()> {
    if std::io::stdout().is_terminal() { term::data(painted_diff(text)) } else { term::exact(text) }
}

fn painted_diff(text: &str) -> String {
    let tone = |line: &str| match line.chars().next() {
        Some('+') if !line.starts_with("+++") => Some(GOOD),
        Some('-') if !line.starts_with("---") => Some(BAD),
        Some('@') => Some(DIM),
        Some(' ' | '+' | '-') | None => None,
        Some(_) => Some(BOLD),
    };
    let paint = |line: &str| match tone(line) {
        Some(tone) => format!("{tone}{line}{tone:#}\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(paint).collect()
}
