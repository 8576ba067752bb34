//! What people see, and how much is said. This is the only way to the terminal.
//!
//! Messages go to stderr, so that stdout stays data. Whatever is said passes [`rendered`], which spells out characters
//! that steer a terminal or cannot be seen: file names, answers of servers and lines of other programs are written by
//! others. A message's lines after its first are indented, so that no text of others can pass for a message of ours.
//! Only a [`Tone`] of ours becomes an escape sequence. Colours vanish where stderr is not a terminal or `NO_COLOR` is set.
//!
//! Exempt are programs that get the terminal itself ([`super::process::show`], [`super::process::ask`]), and cargo, whose
//! words are passed on as they are ([`relay`]): what they write is theirs.

use std::collections::hash_map::RandomState;
use std::fmt::{self, Display};
use std::hash::BuildHasher;
use std::io::{BufRead, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result};
use serde::Serialize;

use super::advice;
use crate::domain::shown::{self, is_hidden};

/// A style of ours: `{BOLD}` begins it, `{BOLD:#}` ends it. It is text that only [`rendered`] understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tone(usize);

pub const BOLD: Tone = Tone(1);
pub const DIM: Tone = Tone(2);
pub const GOOD: Tone = Tone(3);
pub const WARNING: Tone = Tone(4);
pub const BAD: Tone = Tone(5);
pub const BLUE: Tone = Tone(6);
pub const GREEN: Tone = Tone(7);
pub const RED: Tone = Tone(5);

/// By a tone's number; the first ends any other.
const STYLES: [Style; 8] = [
    Style::new(),
    Style::new().bold(),
    Style::new().dimmed(),
    AnsiColor::Green.on_default(),
    AnsiColor::Yellow.on_default(),
    AnsiColor::Red.on_default().bold(),
    AnsiColor::Blue.on_default().bold(),
    AnsiColor::Green.on_default().bold(),
];

/// What a tone begins with. Nothing written before this process started can contain it.
fn mark() -> &'static str {
    static MARK: OnceLock<String> = OnceLock::new();
    MARK.get_or_init(|| format!("\u{fdd0}{:016x}", RandomState::new().hash_one(std::process::id())))
}

impl Display for Tone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", mark(), if f.alternate() { 0 } else { self.0 })
    }
}

/// The gate: tones become escape sequences if there is to be colour, and hidden characters of others are spelled out.
fn rendered(text: &str, colour: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let tone = rest.strip_prefix(mark()).and_then(|after| after.chars().next()?.to_digit(10));
        if let Some(style) = tone.and_then(|tone| STYLES.get(tone as usize)) {
            if colour && tone == Some(0) {
                shown += &anstyle::Reset.to_string();
            } else if colour {
                shown += &style.to_string();
            }
            rest = &rest[mark().len() + 1..];
            continue;
        }
        match c {
            '\n' | '\t' => shown.push(c),
            c if is_hidden(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    shown
}

/// Writes to stderr. If nobody can read it, the work goes on: what it does matters more than what it says.
fn emit(text: &str) {
    let _ = try_emit(text);
}

fn try_emit(text: &str) -> std::io::Result<()> {
    raw(&rendered(text, has_colour()))
}

fn raw(text: &str) -> std::io::Result<()> {
    let mut stderr = std::io::stderr();
    stderr.write_all(text.as_bytes())?;
    stderr.flush()
}

/// How much is said; set once, from the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors and warnings.
    Quiet,
    Normal,
    /// Also each program that is run.
    Verbose,
}

static VERBOSITY: AtomicU8 = AtomicU8::new(Verbosity::Normal as u8);

pub fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Ordering::Relaxed);
}

/// Whether people asked for silence: then other programs are asked for it, too.
pub fn is_quiet() -> bool {
    !at_least(Verbosity::Normal)
}

/// Whether people asked for every detail.
pub fn is_verbose() -> bool {
    at_least(Verbosity::Verbose)
}

/// Whether stderr is a terminal, where progress can be drawn.
pub fn is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}

/// Whether stderr is a terminal on which a line can be written over.
pub fn can_redraw() -> bool {
    is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether what is written to stderr is in colour.
pub fn has_colour() -> bool {
    AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

fn at_least(verbosity: Verbosity) -> bool {
    VERBOSITY.load(Ordering::Relaxed) >= verbosity as u8
}

/// What stands before the name of a phase.
pub const PHASE: &str = "cargo xtask release ";

/// What every command was told about where to work, as it would be typed again.
static EVERYWHERE: OnceLock<String> = OnceLock::new();

/// Chooses what [`next`] adds, once, from the command line.
pub fn set_everywhere(words: String) {
    // A second choice would come too late for what was said after the first.
    let _ = EVERYWHERE.set(words);
}

/// A word as a shell wants it.
pub fn typed(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A phase to type next, in the same tree and with the same `releng.toml` as this one.
pub fn next(phase: &str) -> String {
    format!("{PHASE}{phase}{}", EVERYWHERE.get().map_or("", String::as_str))
}

/// A word of success.
pub fn good(word: &str) -> String {
    format!("{GOOD}{word}{GOOD:#}")
}

/// A word of failure.
pub fn bad(word: &str) -> String {
    format!("{BAD}{word}{BAD:#}")
}

/// The ordinary account of what happens: one message.
pub fn say(message: impl Display) {
    if at_least(Verbosity::Normal) {
        emit(&format!("{}\n", one_message(&message.to_string())));
    }
}

/// A line that is written over by the next of its kind, where [`can_redraw`] says so. [`erase`] ends it.
pub fn redraw(line: impl Display) {
    if at_least(Verbosity::Normal) {
        // Nobody may be looking.
        let _ = raw(&format!("{LINE_START}{}", rendered(&line.to_string(), has_colour())));
    }
}

/// Takes the line away that was drawn last.
pub fn erase() {
    if at_least(Verbosity::Normal) {
        let _ = raw(LINE_START);
    }
}

/// To the start of an empty line.
const LINE_START: &str = "\r\u{1b}[2K";

/// A line of cargo's, as it is: it writes to terminals by itself, too.
pub fn relay(line: &str) {
    let _ = raw(&format!("{line}\n"));
}

/// A page of ours, of several lines, each as it is: whoever makes it puts what others wrote through
/// [`shown::one_line`].
pub fn page(text: impl Display) {
    if at_least(Verbosity::Normal) {
        emit(&format!("{text}\n"));
    }
}

/// Empty lines that stand before the message stay; its lines after the first are indented.
fn one_message(text: &str) -> String {
    let message = text.trim_start_matches('\n');
    let gap = &text[..text.len() - message.len()];
    format!("{gap}{}", indented(message, CONTINUED))
}

/// The parts of a long piece of work, announced as they begin, and how long each took.
#[derive(Default)]
pub struct Steps(Vec<(&'static str, Duration)>);

impl Steps {
    /// # Errors
    /// Those of `work`.
    pub fn run<T>(&mut self, name: &'static str, what: impl Display, work: impl FnOnce() -> Result<T>) -> Result<T> {
        say(format_args!("  {name:<9} {what}"));
        let start = Instant::now();
        let value = work()?;
        self.0.push((name, start.elapsed()));
        Ok(value)
    }
}

/// `done in 9.9 s: evaluate 4.1, realise 5.8`
impl Display for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let total: Duration = self.0.iter().map(|(_, time)| time).sum();
        write!(f, "{GOOD}done{GOOD:#} in {:.1} s:", total.as_secs_f64())?;
        for (i, (name, time)) in self.0.iter().enumerate() {
            write!(f, "{} {name} {:.1}", if i == 0 { "" } else { "," }, time.as_secs_f64())?;
        }
        Ok(())
    }
}

/// A page for people, to stdout, whatever the verbosity. A reader that has seen enough (`| head`) is no error.
///
/// # Errors
/// stdout cannot be written to.
pub fn data(text: impl Display) -> Result<()> {
    let colour = AutoStream::choice(&std::io::stdout()) != ColorChoice::Never;
    to_stdout(&rendered(&text.to_string(), colour))
}

/// One message of a page that is shown bit by bit, as [`data`].
///
/// # Errors
/// As for [`data`].
pub fn row(message: impl Display) -> Result<()> {
    data(format_args!("{}\n", one_message(&message.to_string())))
}

/// Data for programs, as [`data`].
///
/// # Errors
/// As for [`data`].
pub fn json(value: &impl Serialize) -> Result<()> {
    to_stdout(&(shown::json(&serde_json::to_string_pretty(value)?) + "\n"))
}

/// A text whose every byte counts: changed only on its way to a terminal.
///
/// # Errors
/// As for [`data`].
pub fn exact(text: &str) -> Result<()> {
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) { data(text) } else { to_stdout(text) }
}

fn to_stdout(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to stdout"),
    }
}

/// Shows a question, whatever the verbosity, and leaves the cursor behind it.
///
/// # Errors
/// stderr cannot be written to: then nobody can answer.
pub fn prompt(question: impl Display) -> Result<()> {
    try_emit(&question.to_string()).context("cannot show a question on stderr")
}

/// Asks for a yes; whatever else is typed, or nothing, is a no.
///
/// # Errors
/// The answer cannot be read.
pub fn ask(question: impl Display) -> Result<bool> {
    prompt(format_args!("{BOLD}{question}{BOLD:#} [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("cannot read your answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// A plan's page in colour: headings bold, marks by what they mean.
pub fn paint_plan(text: &str) -> String {
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

/// A page of checks in colour: headings bold, marks by what they mean.
pub fn paint_checks(text: &str) -> String {
    let paint = |line: &str| {
        let painted = line.replacen('✓', &good("✓"), 1).replacen('✗', &bad("✗"), 1);
        let heading = !line.is_empty() && !line.starts_with(' ');
        if heading { format!("{BOLD}{line}{BOLD:#}\n") } else { format!("{painted}\n") }
    };
    text.lines().map(paint).collect()
}

/// For `--verbose` only.
pub fn detail(message: impl Display) {
    if at_least(Verbosity::Verbose) {
        emit(&format!("{DIM}{}{DIM:#}\n", indented(&message.to_string(), CONTINUED)));
    }
}

/// Something odd that does not stop the work; shown even when quiet.
pub fn warn(message: impl Display) {
    emit(&format!("{WARNING}warning:{WARNING:#} {}\n", indented(&message.to_string(), CONTINUED)));
}

/// An error and what led to it, outermost first, and then what to do about it.
pub fn error(error: &anyhow::Error) {
    let mut text = format!("{BAD}error:{BAD:#} {}\n", indented(&error.to_string(), "  "));
    for cause in error.chain().skip(1) {
        text += &format!("  {}\n", indented(&cause.to_string(), "  "));
    }
    if let Some(next) = advice::next(error) {
        text += &format!("next: {}\n", indented(&next, "  "));
    }
    emit(&text);
}

/// What stands before the lines of a message after its first.
const CONTINUED: &str = "      ";

/// Lines after the first move right, below the text of the first; empty ones stay empty.
fn indented(text: &str, by: &str) -> String {
    let mut lines = text.trim_end().split('\n');
    let mut indented = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        indented.push('\n');
        if !line.is_empty() {
            indented += by;
            indented += line;
        }
    }
    indented
}

#[cfg(test)]
mod tests;
