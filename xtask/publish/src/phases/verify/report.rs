//! What was found, told as it is found: a line each for people, or all of it as JSON in the end.

use anyhow::Result;
use xtask::cli::Outcome;
use xtask::domain::version::Version;
use xtask::tools::term;

/// Lines about one thing that somebody would read.
const NAMED: usize = 5;

/// Where findings go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// To stdout, as they are found.
    Page,
    /// To stdout, all of them in the end.
    Json,
    /// To stderr: another command's output is the data.
    Aside,
}

/// What was found.
pub(super) struct Report {
    told: Told,
    entries: Vec<serde_json::Value>,
    pub(super) broken: usize,
}

impl Report {
    pub(super) fn new(told: Told) -> Report {
        Report { told, entries: Vec::new(), broken: 0 }
    }

    /// One check: what is good about it, or what is broken and for whom.
    pub(super) fn check(&mut self, title: &str, good: &str, broken: Vec<String>, who: &str) {
        self.broken += broken.len();
        self.entries
            .push(serde_json::json!({ "what": title, "good": broken.is_empty(), "broken": broken, "affects": who }));
        if broken.is_empty() {
            self.line(format_args!("{} {title:<34} {good}", term::good("ok    ")));
        }
        let shown = if term::is_verbose() { broken.len() } else { NAMED };
        for why in broken.iter().take(shown) {
            self.line(format_args!("{} {title:<34} {why}; affects {who}", term::bad("broken")));
        }
        if broken.len() > shown {
            let more = broken.len() - shown;
            self.line(format_args!("{} {title:<34} and {more} more (`--verbose` lists them)", term::bad("broken")));
        }
    }

    /// Something that could not be checked, and why.
    pub(super) fn note(&mut self, title: &str, why: &str) {
        self.entries.push(serde_json::json!({ "what": title, "note": why }));
        self.line(format_args!("note   {title:<34} {why}"));
    }

    fn line(&self, line: std::fmt::Arguments) {
        match self.told {
            // Whoever closed the pipe has seen enough; the exit code still tells.
            Told::Page => drop(term::row(line)),
            Told::Aside => term::say(line),
            Told::Json => {}
        }
    }

    pub(super) fn finish(self, version: &Version, environment: &str) -> Result<Outcome> {
        if self.told == Told::Json {
            term::json(&self.entries)?;
        }
        if self.broken > 0 {
            term::say(format_args!("{} of {version} in {environment}: {} broken", term::bad("failed:"), self.broken));
            return Ok(Outcome::Failed);
        }
        term::say(format_args!("{} {version} in {environment} is what was released", term::good("verified:")));
        Ok(Outcome::Done)
    }
}
