//! What Nix writes while it builds, as `--log-format internal-json`: what was built on which machine, the end of each
//! log, and what failed. The same for Nix 2.8 and newer ones, whose messages differ: what failed is known by the paths
//! in the messages, not by their words.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

/// Start of each line of this format.
const MARK: &str = "@nix ";
/// Number of lines of a log that are kept.
const LINES: usize = 12;
/// Kinds of activities and results, as Nix numbers them.
const BUILDS: u64 = 104;
const BUILD: u64 = 105;
const LOG_LINE: u64 = 101;
const PROGRESS: u64 = 105;
/// Level of errors, and the last one that Nix shows by default.
const ERROR: u64 = 0;
const SHOWN: u64 = 3;

#[derive(Deserialize)]
struct Raw {
    action: String,
    #[serde(default)]
    id: u64,
    #[serde(default)]
    level: u64,
    #[serde(default, rename = "type")]
    kind: u64,
    #[serde(default)]
    fields: Vec<Value>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    msg: String,
}

/// A build that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Build {
    derivation: String,
    /// Machine that it was given to; empty for this one.
    machine: String,
    /// The end of its log.
    lines: Vec<String>,
    /// Error messages that name it.
    errors: Vec<String>,
    running: bool,
}

/// Something for the manager to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A message of Nix.
    Message(String),
    /// A line of a build's log, with the build's name.
    Log { name: String, line: String },
    /// Something goes on, which only changes the progress.
    Progress,
}

/// How a build failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The build itself fails.
    Broken,
    /// The machine that built it was lost.
    Lost,
    /// The machine that built it has no space left.
    Full,
}

/// A build that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Path of the derivation.
    pub derivation: String,
    /// Machine that it was given to; empty for this one.
    pub machine: String,
    pub kind: Kind,
    /// Nix's reason, on one line.
    pub reason: String,
    /// The end of its log.
    pub lines: Vec<String>,
}

impl Failure {
    /// Name of the derivation.
    pub fn name(&self) -> &str {
        name(&self.derivation)
    }

    fn place(&self) -> String {
        if self.machine.is_empty() { "here".to_owned() } else { format!("on {}", self.machine) }
    }
}

/// The name, the machine and the reason on one line; then the end of the log.
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, place, reason) = (self.name(), self.place(), &self.reason);
        match self.kind {
            Kind::Broken => write!(f, "cannot build {name} {place}: {reason}")?,
            Kind::Lost => write!(f, "{} was lost while it built {name}: {reason}", self.machine)?,
            Kind::Full if self.machine.is_empty() => write!(f, "no space was left here for {name}: {reason}")?,
            Kind::Full => write!(f, "{} had no space left for {name}: {reason}", self.machine)?,
        }
        for line in &self.lines {
            write!(f, "\n  | {line}")?;
        }
        Ok(())
    }
}

/// The builds of one run of Nix.
#[derive(Debug, Clone, Default)]
pub struct Builds {
    builds: Vec<Build>,
    by_activity: BTreeMap<u64, usize>,
    /// Systems and features that a machine is missing for, by the derivation's base name.
    unplaced: BTreeMap<String, String>,
    /// Activity that counts all builds.
    all: Option<u64>,
    /// Number of builds that are done, and that are expected.
    counted: (u64, u64),
    /// Errors that name no derivation.
    loose: Vec<String>,
    /// Errors that name derivations of which none was started.
    waiting: Vec<String>,
    /// The last lines that are not in Nix's format.
    plain: Vec<String>,
}

impl Builds {
    /// Takes a line that Nix wrote.
    pub fn hear(&mut self, line: &str) -> Heard {
        let Some(raw) = line.strip_prefix(MARK).and_then(|json| serde_json::from_str::<Raw>(json).ok()) else {
            keep(&mut self.plain, line);
            return Heard::Message(line.to_owned());
        };
        let text = |at: usize| raw.fields.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |at: usize| raw.fields.get(at).and_then(Value::as_u64).unwrap_or_default();
        match (raw.action.as_str(), raw.kind) {
            ("start", BUILDS) => self.all = Some(raw.id),
            ("start", BUILD) => {
                self.by_activity.insert(raw.id, self.builds.len());
                let (lines, errors) = (Vec::new(), Vec::new());
                self.builds.push(Build { derivation: text(0), machine: text(1), lines, errors, running: true });
                return Heard::Message(plain(&raw.text));
            }
            ("stop", _) => {
                if let Some(build) = self.by_activity.get(&raw.id).and_then(|at| self.builds.get_mut(*at)) {
                    build.running = false;
                }
            }
            ("result", LOG_LINE) => {
                let line = plain(&text(0));
                // With an error, SSH ends its message with an empty line.
                if let Some(build) = self.by_activity.get(&raw.id).and_then(|at| self.builds.get_mut(*at)) {
                    if !line.trim().is_empty() {
                        keep(&mut build.lines, &line);
                    }
                    return Heard::Log { name: name(&build.derivation).to_owned(), line };
                }
            }
            ("result", PROGRESS) if self.all == Some(raw.id) => self.counted = (number(0), number(1)),
            ("msg", _) => return self.message(raw.level, &plain(&raw.msg)),
            _ => {}
        }
        Heard::Progress
    }

    fn message(&mut self, level: u64, text: &str) -> Heard {
        if let Some(("", rest)) = text.split_once("Failed to find a machine for remote build!") {
            let after = |start: &str| rest.lines().find_map(|line| line.strip_prefix(start));
            if let (Some(derivation), Some(required)) = (after("derivation: "), after("required (system, features): "))
            {
                self.unplaced.insert(derivation.to_owned(), required.trim_matches(['(', ')']).to_owned());
            }
            // Nix says it again and again while it waits for a machine.
            return Heard::Progress;
        }
        if level > SHOWN {
            return Heard::Progress;
        }
        if level == ERROR {
            let mut named = false;
            let failed: Vec<String> = std::mem::take(&mut self.loose);
            for build in self.builds.iter_mut().filter(|build| text.contains(&format!("'{}'", build.derivation))) {
                // What was said before it, about no build, is the reason of the first that fails.
                build.errors.extend(failed.iter().cloned());
                build.errors.push(text.to_owned());
                named = true;
            }
            if !named {
                self.loose = failed;
                let names = text.contains(".drv'");
                keep(if names { &mut self.waiting } else { &mut self.loose }, text);
            }
            // They are reported at the end; until then, one line says that something failed.
            let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            return Heard::Message(first.trim().to_owned());
        }
        Heard::Message(text.trim_end().to_owned())
    }

    /// Returns what is being built, on one line for people; `None` if nothing is.
    pub fn now(&self) -> Option<String> {
        let running: Vec<&Build> = self.builds.iter().filter(|build| build.running).collect();
        let last = running.last()?;
        let place = if last.machine.is_empty() { String::new() } else { format!(" on {}", last.machine) };
        let more = if running.len() > 1 { format!(" and {} more", running.len() - 1) } else { String::new() };
        let (done, expected) = self.counted;
        let line = last.lines.last().map(|line| format!(": {line}")).unwrap_or_default();
        Some(format!("{done} of {expected} built; {}{place}{more}{line}", name(&last.derivation)))
    }

    /// Returns the builds that failed, in the order in which they were started.
    pub fn failures(&self) -> Vec<Failure> {
        let mut failures = Vec::<Failure>::new();
        for build in self.builds.iter().filter(|build| !build.errors.is_empty()) {
            let failure = build.failure();
            // Nix itself tries another machine if it does not get as far as building.
            match failures.iter_mut().find(|earlier| earlier.derivation == failure.derivation) {
                Some(earlier) => *earlier = failure,
                None => failures.push(failure),
            }
        }
        failures
    }

    /// Whether a derivation was started.
    pub fn started(&self, derivation: &str) -> bool {
        self.builds.iter().any(|build| build.derivation == derivation)
    }

    /// Returns the derivations that no machine could be found for, by name, with the system and the features that they
    /// require.
    pub fn unplaced(&self) -> BTreeSet<(String, String)> {
        let started = |base: &str| self.builds.iter().any(|build| build.derivation.ends_with(base));
        let missing = self.unplaced.iter().filter(|(base, _)| !started(base));
        missing.map(|(base, required)| (name(base).to_owned(), requirement(required))).collect()
    }

    /// Returns the last errors and lines that name no build.
    pub fn others(&self) -> Vec<String> {
        self.plain.iter().chain(&self.waiting).chain(&self.loose).cloned().collect()
    }
}

impl Build {
    fn failure(&self) -> Failure {
        let remote = !self.machine.is_empty();
        // The builder answered, and its answer is that the build failed.
        let answered =
            self.errors.iter().find_map(|error| Some(error.split_once("build of '")?.1.split_once("failed:")?.1));
        let full = ["No space left on device", "database or disk is full", "Disk quota exceeded"];
        let all = || self.errors.iter().chain(&self.lines);
        let kind = if all().any(|text| full.iter().any(|sign| text.contains(sign))) {
            Kind::Full
        } else if remote && answered.is_none() {
            Kind::Lost
        } else {
            Kind::Broken
        };
        let first = || self.errors.first().map(String::as_str).unwrap_or_default();
        let reason = reason(answered.unwrap_or_else(first), &self.derivation);
        Failure {
            derivation: self.derivation.clone(),
            machine: self.machine.clone(),
            kind,
            reason,
            lines: self.lines.clone(),
        }
    }
}

/// Returns the name of a derivation from its path, or from the last part of it.
fn name(derivation: &str) -> &str {
    let base = derivation.rsplit('/').next().unwrap_or(derivation);
    let name = base.split_once('-').map_or(base, |(_, name)| name);
    name.strip_suffix(".drv").unwrap_or(name)
}

/// `aarch64-darwin, [kvm]` becomes `aarch64-darwin with kvm`.
fn requirement(required: &str) -> String {
    let (system, features) = required.split_once(',').unwrap_or((required, ""));
    let features = features.trim().trim_matches(['[', ']']).trim();
    if features.is_empty() { system.to_owned() } else { format!("{system} with {features}") }
}

/// Returns the reason in an error message, on one line.
fn reason(error: &str, derivation: &str) -> String {
    let given = error.lines().find_map(|line| line.trim().strip_prefix("Reason:"));
    let line = given.or_else(|| error.lines().find(|line| !line.trim().is_empty())).unwrap_or("no reason was given");
    let line = line.trim().trim_start_matches("error:").trim().trim_end_matches(['.', ';']);
    match line.strip_prefix("builder failed") {
        Some(rest) => format!("its builder failed{rest}"),
        None => line.replace(&format!("builder for '{derivation}' failed"), "its builder failed"),
    }
}

fn keep(lines: &mut Vec<String>, line: &str) {
    if lines.len() == LINES {
        lines.remove(0);
    }
    lines.push(line.to_owned());
}

/// Removes the escape sequences that colour a text: `ESC [ … m`.
fn plain(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        plain.push_str(piece.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, after)| after));
    }
    // A line that a build redrew: only its last state.
    match plain.trim_end_matches('\r').rsplit_once('\r') {
        Some((_, last)) if !plain.contains('\n') => last.to_owned(),
        _ => plain.trim_end_matches('\r').to_owned(),
    }
}

#[cfg(test)]
mod tests;
