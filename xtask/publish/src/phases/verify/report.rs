//! The report of `verify`: lines for people as things are found, or JSON at the end.

use anyhow::{Error, Result};
use serde::Serialize;
use xtask::cli::Outcome;
use xtask::domain::format::Misread;
use xtask::domain::version::Version;
use xtask::tools::term;

use crate::domain::publication::servers::names;

fn upload(environment: &str) -> String {
    term::next(&format!("upload --env {environment}"))
}

/// Most lines about one thing.
const NAMED: usize = 5;

/// Where findings go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// To stdout, as they are found.
    Page,
    /// To stdout, all together at the end.
    Json,
    /// To stderr, because stdout is for the data of another command.
    Aside,
}

/// What is wrong with one thing; empty if nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Differences from what was released, which waiting does not fix.
    pub broken: Vec<String>,
    /// Things that are right in the bucket, while a cache in front of it still shows something older.
    pub stale: Vec<String>,
    /// Things that could not be checked, with the reason.
    pub unknown: Vec<String>,
}

impl From<Vec<String>> for Findings {
    fn from(broken: Vec<String>) -> Findings {
        Findings { broken, ..Findings::default() }
    }
}

impl From<Misread> for Findings {
    fn from(why: Misread) -> Findings {
        match why {
            Misread::Newer(why) => Findings::unknown(why),
            Misread::Wrong(why) => Findings::broken(why),
        }
    }
}

impl Findings {
    pub fn is_empty(&self) -> bool {
        self.broken.is_empty() && self.stale.is_empty() && self.unknown.is_empty()
    }

    pub fn broken(why: String) -> Findings {
        Findings { broken: vec![why], ..Findings::default() }
    }

    pub fn stale(why: String) -> Findings {
        Findings { stale: vec![why], ..Findings::default() }
    }

    pub fn unknown(why: String) -> Findings {
        // Some errors quote the output of a program, on separate lines.
        let lines: Vec<&str> = why.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        Findings { unknown: vec![format!("could not be checked: {}", lines.join("; "))], ..Findings::default() }
    }

    pub fn sort(&mut self) {
        for findings in [&mut self.broken, &mut self.stale, &mut self.unknown] {
            findings.sort();
        }
    }

    pub fn append(&mut self, mut other: Findings) {
        self.broken.append(&mut other.broken);
        self.stale.append(&mut other.stale);
        self.unknown.append(&mut other.unknown);
    }
}

/// One line of the report, as `--json` has it.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry {
    Check {
        what: String,
        good: bool,
        /// Whether what it was compared with is not signed.
        #[serde(skip_serializing_if = "is_false")]
        unproven: bool,
        broken: Vec<String>,
        stale: Vec<String>,
        unknown: Vec<String>,
        affects: String,
    },
    Note {
        what: String,
        note: String,
    },
    Missing {
        what: String,
        missing: String,
    },
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The findings so far.
pub(super) struct Report {
    output: Output,
    entries: Vec<Entry>,
    pub(super) broken: usize,
    pub(super) stale: usize,
    pub(super) unknown: usize,
    /// Targets that the publication left out.
    missing: Vec<String>,
    /// Whether later checks compare with what nobody has signed.
    pub(super) unproven: bool,
    /// Files of the version directory that are not as they were released, by path there.
    pub(super) damaged: Vec<String>,
    /// What building again proved, if that was asked for.
    pub(super) rebuilt: Option<String>,
}

impl Report {
    pub(super) fn new(output: Output) -> Report {
        Report {
            output,
            entries: Vec::new(),
            broken: 0,
            stale: 0,
            unknown: 0,
            missing: Vec::new(),
            unproven: false,
            damaged: Vec::new(),
            rebuilt: None,
        }
    }

    /// Reports one check: `good` if nothing was found, otherwise the findings and who is affected.
    pub(super) fn check(&mut self, title: &str, good: &str, findings: impl Into<Findings>, who: &str) {
        let findings = findings.into();
        let is_good = findings.is_empty();
        let Findings { broken, stale, unknown } = findings;
        if is_good {
            let mark = if self.unproven { "unproven".to_owned() } else { term::good("ok    ").to_string() };
            self.line(format_args!("{mark} {title:<34} {good}"));
        }
        let affects = format!("; affects {who}");
        self.lines(&term::bad("broken"), title, &broken, &affects);
        self.lines("stale ", title, &stale, "");
        self.lines("?     ", title, &unknown, "");
        self.broken += broken.len();
        self.stale += stale.len();
        self.unknown += unknown.len();
        self.entries.push(Entry::Check {
            what: title.to_owned(),
            good: is_good,
            unproven: self.unproven,
            broken,
            stale,
            unknown,
            affects: who.to_owned(),
        });
    }

    /// Reports something that could not be checked.
    pub(super) fn unknown(&mut self, title: &str, error: &Error) {
        self.check(title, "", Findings::unknown(format!("{error:#}")), "");
    }

    /// Reports something worth knowing that does not affect the result.
    pub(super) fn note(&mut self, title: &str, why: &str) {
        self.entries.push(Entry::Note { what: title.to_owned(), note: why.to_owned() });
        self.line(format_args!("note   {title:<34} {why}"));
    }

    /// Reports a target that the publication left out, and why.
    pub(super) fn missing(&mut self, target: &str, why: &str) {
        self.entries.push(Entry::Missing { what: target.to_owned(), missing: why.to_owned() });
        self.missing.push(target.to_owned());
        self.line(format_args!("missing {target:<33} was left out: {why}; the next upload completes it"));
    }

    /// Whether another command asked.
    pub(super) fn is_aside(&self) -> bool {
        self.output == Output::Aside
    }

    fn lines(&self, mark: &str, title: &str, findings: &[String], after: &str) {
        let shown = if term::is_verbose() { findings.len() } else { NAMED };
        for why in findings.iter().take(shown) {
            self.line(format_args!("{mark} {title:<34} {why}{after}"));
        }
        if findings.len() > shown {
            let more = findings.len() - shown;
            self.line(format_args!("{mark} {title:<34} and {more} more (`--verbose` lists them)"));
        }
    }

    fn line(&self, line: std::fmt::Arguments) {
        match self.output {
            // If the reader has closed the pipe, the exit code still has the result.
            Output::Page => drop(term::row(line)),
            Output::Aside => term::say(line),
            Output::Json => {}
        }
    }

    pub(super) fn finish(self, version: &Version, environment: &str) -> Result<Outcome> {
        if self.output == Output::Json {
            term::json(&self.entries)?;
        }
        let at = format!("{version} in {environment}");
        match (self.broken, self.unknown, self.stale) {
            (0, 0, 0) if !self.missing.is_empty() => {
                let (missing, upload) = (names(self.missing.iter().map(String::as_str)), upload(environment));
                term::say(format_args!(
                    "incomplete: {at} is what was released, without {missing}, which was left out; next: {upload}"
                ));
                Ok(Outcome::Waiting)
            }
            (0, 0, 0) if self.unproven => {
                term::say(format_args!(
                    "{} {at} agrees with itself, and nothing proves that it is what was released",
                    term::bad("unproven:")
                ));
                Ok(Outcome::Done)
            }
            (0, 0, 0) => {
                let built = self.rebuilt.map(|built| format!(", and {built}")).unwrap_or_default();
                term::say(format_args!("{} {at} is what was released{built}", term::good("verified:")));
                Ok(Outcome::Done)
            }
            (0, 0, stale) => {
                term::say(format_args!(
                    "waiting: {at} is what was released, but a cache in front of it still shows users something older \
                     ({stale} stale): wait until it expires, or purge it, and verify again"
                ));
                Ok(Outcome::Waiting)
            }
            (0, unknown, _) if !self.entries.iter().any(|entry| matches!(entry, Entry::Check { good: true, .. })) => {
                term::say(format_args!("{} {at} could not be checked ({unknown} unknown)", term::bad("failed:")));
                Ok(Outcome::Failed)
            }
            (0, unknown, _) if self.unproven => {
                term::say(format_args!(
                    "{} {at}: not everything could be checked ({unknown} unknown), and nothing of the rest is proven",
                    term::bad("failed:")
                ));
                Ok(Outcome::Failed)
            }
            (0, unknown, _) => {
                term::say(format_args!(
                    "{} {at}: not everything could be checked ({unknown} unknown); the rest is what was released",
                    term::bad("failed:")
                ));
                Ok(Outcome::Failed)
            }
            (broken, unknown, _) => {
                let unknown = match unknown {
                    0 => String::new(),
                    unknown => format!(", and not everything could be checked ({unknown} unknown)"),
                };
                term::say(format_args!("{} {at}: {broken} broken{unknown}", term::bad("failed:")));
                Ok(Outcome::Failed)
            }
        }
    }
}
