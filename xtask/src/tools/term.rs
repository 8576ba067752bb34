//! What people see: styles, and how much is said.
//!
//! Everything here goes to stderr, so that stdout stays data. Colours vanish by themselves where stderr is not a
//! terminal or `NO_COLOR` is set. Refuses to know what is worth saying.

use std::fmt::Display;
use std::io::{BufRead, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result};

pub const BOLD: Style = Style::new().bold();
pub const DIM: Style = Style::new().dimmed();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const WARNING: Style = AnsiColor::Yellow.on_default();
pub const BLUE: Style = AnsiColor::Blue.on_default().bold();
pub const GREEN: Style = AnsiColor::Green.on_default().bold();
pub const RED: Style = AnsiColor::Red.on_default().bold();
pub const BAD: Style = AnsiColor::Red.on_default().bold();

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

/// The ordinary account of what happens.
pub fn say(line: impl Display) {
    if at_least(Verbosity::Normal) {
        anstream::eprintln!("{line}");
    }
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

/// Data, to stdout: whatever the verbosity. A reader that has seen enough (`| head`) is no error.
///
/// # Errors
/// stdout cannot be written to.
pub fn data(text: impl Display) -> Result<()> {
    match write!(anstream::stdout(), "{text}").and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to stdout"),
    }
}

/// Asks for a yes; whatever else is typed, or nothing, is a no.
///
/// # Errors
/// The answer cannot be read.
pub fn ask(question: impl Display) -> Result<bool> {
    anstream::eprint!("{BOLD}{question}{BOLD:#} [y/N] ");
    std::io::stderr().flush().context("cannot write to stderr")?;
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
pub fn detail(line: impl Display) {
    if at_least(Verbosity::Verbose) {
        anstream::eprintln!("{DIM}{line}{DIM:#}");
    }
}

/// Something odd that does not stop the work; shown even when quiet.
pub fn warn(line: impl Display) {
    anstream::eprintln!("{WARNING}warning:{WARNING:#} {line}");
}

/// An error and what led to it, outermost first.
pub fn error(error: &anyhow::Error) {
    anstream::eprintln!("{BAD}error:{BAD:#} {}", indent(&error.to_string()));
    for cause in error.chain().skip(1) {
        anstream::eprintln!("  {}", indent(&cause.to_string()));
    }
}

/// Lines after the first move right, below the text of the first; empty ones stay empty.
fn indent(text: &str) -> String {
    text.trim_end().replace('\n', "\n  ").replace("\n  \n", "\n\n")
}
