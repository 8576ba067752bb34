//! The terminal: everything that the manager sees goes through here.
//!
//! Messages go to stderr, so that stdout is only data. Every message passes [`rendered`], which escapes control and
//! invisible characters: file names, answers of servers and output of other programs are not ours. The lines of a
//! message after its first are indented, so that foreign text cannot pass for a message of ours. Only a [`Tone`]
//! becomes an escape sequence. There are no colours if stderr is not a terminal or `NO_COLOR` is set.
//!
//! The exceptions are programs that get the terminal itself ([`super::process::show`], [`super::process::ask`]), and
//! cargo, whose output is passed on unchanged ([`relay`]).

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

/// Styles by a tone's number; the first ends any other.
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

/// Returns the mark that a tone begins with. Nothing written before this process started can contain it.
fn mark() -> &'static str {
    static MARK: OnceLock<String> = OnceLock::new();
    MARK.get_or_init(|| format!("\u{fdd0}{:016x}", RandomState::new().hash_one(std::process::id())))
}

impl Display for Tone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", mark(), if f.alternate() { 0 } else { self.0 })
    }
}

/// Replaces tones by escape sequences, or removes them without `colour`, and escapes hidden characters.
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

/// Writes to stderr. If that fails, the work goes on: it matters more than its messages.
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

/// How much is printed; set once, from the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors and warnings.
    Quiet,
    Normal,
    /// Also each command that is run.
    Verbose,
}

static VERBOSITY: AtomicU8 = AtomicU8::new(Verbosity::Normal as u8);

pub fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Ordering::Relaxed);
}

/// Whether `--quiet` was given: other programs are then asked to be quiet, too.
pub fn is_quiet() -> bool {
    !at_least(Verbosity::Normal)
}

/// Whether `--verbose` was given.
pub fn is_verbose() -> bool {
    at_least(Verbosity::Verbose)
}

/// Whether stderr is a terminal, where progress can be drawn.
pub fn is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}

/// Whether stderr is a terminal on which a line can be overwritten.
pub fn can_redraw() -> bool {
    is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether messages on stderr are in colour.
pub fn has_colour() -> bool {
    AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

fn at_least(verbosity: Verbosity) -> bool {
    VERBOSITY.load(Ordering::Relaxed) >= verbosity as u8
}

/// The command line up to the name of a phase.
pub const PHASE: &str = "cargo xtask release ";

/// Options that say which tree and which `releng.toml` to use, as they would be typed again.
static EVERYWHERE: OnceLock<String> = OnceLock::new();

/// Sets the options that [`next`] adds, once, from the command line.
pub fn set_everywhere(words: String) {
    // A second call would come too late for messages after the first.
    let _ = EVERYWHERE.set(words);
}

/// Quotes a word for a shell, if necessary.
pub fn typed(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Returns the command line of a phase to run next, in the same tree and with the same `releng.toml` as this one.
pub fn next(phase: &str) -> String {
    format!("{PHASE}{phase}{}", EVERYWHERE.get().map_or("", String::as_str))
}

/// Returns a word in the colour of success.
pub fn good(word: &str) -> String {
    format!("{GOOD}{word}{GOOD:#}")
}

/// Returns a word in the colour of failure.
pub fn bad(word: &str) -> String {
    format!("{BAD}{word}{BAD:#}")
}

/// Prints one message.
pub fn say(message: impl Display) {
    if at_least(Verbosity::Normal) {
        emit(&format!("{}\n", one_message(&message.to_string())));
    }
}

/// Draws a line that the next one overwrites, where [`can_redraw`] allows it. [`erase`] removes it.
pub fn redraw(line: impl Display) {
    if at_least(Verbosity::Normal) {
        // A failure does not matter.
        let _ = raw(&format!("{LINE_START}{}", rendered(&line.to_string(), has_colour())));
    }
}

/// Erases the line that was drawn last.
pub fn erase() {
    if at_least(Verbosity::Normal) {
        let _ = raw(LINE_START);
    }
}

/// Goes to the start of the line, and empties it.
const LINE_START: &str = "\r\u{1b}[2K";

/// Prints a line of cargo's unchanged, as cargo itself would.
pub fn relay(line: &str) {
    let _ = raw(&format!("{line}\n"));
}

/// Prints a page of several lines, without indenting them. The caller passes foreign text through [`shown::one_line`].
pub fn page(text: impl Display) {
    if at_least(Verbosity::Normal) {
        emit(&format!("{text}\n"));
    }
}

/// Indents the lines of a message after its first; empty lines before the message stay.
fn one_message(text: &str) -> String {
    let message = text.trim_start_matches('\n');
    let gap = &text[..text.len() - message.len()];
    format!("{gap}{}", indented(message, CONTINUED))
}

/// The steps of a long task, each announced as it begins, and how long they took.
#[derive(Default)]
pub struct Steps(Vec<(&'static str, Duration)>);

impl Steps {
    /// Announces a step, runs it and takes the time.
    ///
    /// # Errors
    /// `work` fails.
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

/// Prints a page for people to stdout, whatever the verbosity. A reader that stops early (`| head`) is not an error.
///
/// # Errors
/// stdout cannot be written to.
pub fn data(text: impl Display) -> Result<()> {
    let colour = AutoStream::choice(&std::io::stdout()) != ColorChoice::Never;
    to_stdout(&rendered(&text.to_string(), colour))
}

/// Prints one message of a page that is shown piece by piece, like [`data`].
///
/// # Errors
/// As for [`data`].
pub fn row(message: impl Display) -> Result<()> {
    data(format_args!("{}\n", one_message(&message.to_string())))
}

/// Prints data for programs, like [`data`].
///
/// # Errors
/// As for [`data`].
pub fn json(value: &impl Serialize) -> Result<()> {
    to_stdout(&(shown::json(&serde_json::to_string_pretty(value)?) + "\n"))
}

/// Prints a text byte for byte, except on a terminal, where hidden characters are escaped.
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

/// Shows a question, whatever the verbosity, and leaves the cursor after it.
///
/// # Errors
/// stderr cannot be written to.
pub fn prompt(question: impl Display) -> Result<()> {
    try_emit(&question.to_string()).context("cannot show a question on stderr")
}

/// Asks a yes-or-no question; every answer other than yes is a no.
///
/// # Errors
/// The answer cannot be read.
pub fn ask(question: impl Display) -> Result<bool> {
    prompt(format_args!("{BOLD}{question}{BOLD:#} [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("cannot read your answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Prints a message only with `--verbose`.
pub fn detail(message: impl Display) {
    if at_least(Verbosity::Verbose) {
        emit(&format!("{DIM}{}{DIM:#}\n", indented(&message.to_string(), CONTINUED)));
    }
}

/// Prints a warning, even with `--quiet`.
pub fn warn(message: impl Display) {
    emit(&format!("{WARNING}warning:{WARNING:#} {}\n", indented(&message.to_string(), CONTINUED)));
}

/// Prints an error and its causes, outermost first, and then what to do about it.
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

/// Indentation of the lines of a message after its first.
const CONTINUED: &str = "      ";

/// Indents the lines after the first; empty lines stay empty.
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
