//! Sorts what cargo writes to stderr while it builds: progress, accounts of steps, which are dropped, and messages,
//! which are shown. Decides when the progress is shown.

use std::time::Duration;

/// Builds that are quicker than this show no progress.
const PATIENCE: Duration = Duration::from_secs(2);
/// Interval between lines where a line cannot be rewritten.
const AGAIN: Duration = Duration::from_secs(10);
/// Interval at which a line is rewritten.
const REDRAWN: Duration = Duration::from_millis(100);

/// What cargo is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has reported nothing yet.
    Reading,
    /// It waits for another cargo.
    Waiting,
    /// It asks the registry.
    Asking,
    /// It downloads crates; `left` are still missing.
    Downloading { left: u32 },
    /// It compiles, or runs build scripts.
    Building { done: u32, total: u32 },
}

/// The kind of a line on cargo's stderr.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Progress.
    Stage(Stage),
    /// An account of a step: `Compiling anyhow v1.0.104`.
    Step,
    /// A warning, an error, or another message for people.
    Words,
}

/// Verbs that cargo's accounts of its steps begin with.
const STEPS: [&str; 11] = [
    "Adding",
    "Checking",
    "Compiling",
    "Dirty",
    "Documenting",
    "Downloaded",
    "Finished",
    "Fresh",
    "Locking",
    "Removed",
    "Running",
];

/// Classifies a line without its line end. `is_redrawn`: it ended with a carriage return, as progress does.
pub(super) fn heard(line: &str, is_redrawn: bool) -> Heard {
    let plain = without_colours(line);
    // cargo right-aligns its verbs in twelve columns.
    let column = plain.len() - plain.trim_start_matches(' ').len();
    let Some((verb, rest)) =
        plain.trim_start_matches(' ').split_once(' ').filter(|(verb, _)| column + verb.len() == 12)
    else {
        return Heard::Words;
    };
    match verb {
        "Building" if is_redrawn => counted(rest).map_or(Heard::Step, Heard::Stage),
        "Blocking" => Heard::Stage(Stage::Waiting),
        "Downloading" => first_number(rest).map_or(Heard::Step, |left| Heard::Stage(Stage::Downloading { left })),
        "Updating" | "Fetch" => Heard::Stage(Stage::Asking),
        verb if is_redrawn || STEPS.contains(&verb) => Heard::Step,
        _ => Heard::Words,
    }
}

/// Parses the numbers after a bar: `[===>   ] 214/380: tokio, aws-sdk-s3`.
fn counted(bar: &str) -> Option<Stage> {
    let (_, numbers) = bar.split_once("] ")?;
    let (done, rest) = numbers.split_once('/')?;
    Some(Stage::Building { done: done.trim().parse().ok()?, total: first_number(rest)? })
}

fn first_number(text: &str) -> Option<u32> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Removes the escape sequences that colour a line: `ESC [ … m`.
fn without_colours(line: &str) -> String {
    let mut pieces = line.split("\u{1b}[");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        plain.push_str(piece.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, after)| after));
    }
    plain
}

/// When the progress of a build is shown, and in which words.
pub(super) struct Telling<'a> {
    /// Name of what is built.
    what: &'a str,
    /// Whether the line is rewritten, as on a terminal. Elsewhere, a line is added from time to time.
    rewrites: bool,
    stage: Stage,
    /// Time from the start of the build at which the next line is due.
    due: Duration,
    told: Option<Stage>,
}

impl<'a> Telling<'a> {
    pub(super) fn new(what: &'a str, rewrites: bool) -> Telling<'a> {
        Telling { what, rewrites, stage: Stage::Reading, due: PATIENCE, told: None }
    }

    pub(super) fn note(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// Forgets the line on the terminal, so that it is drawn again when due. Returns whether there is one to erase.
    pub(super) fn erase(&mut self) -> bool {
        self.told.take().is_some() && self.rewrites
    }

    /// Returns the line for this moment, if one is due.
    pub(super) fn line(&mut self, elapsed: Duration) -> Option<String> {
        if elapsed < self.due {
            return None;
        }
        self.due = elapsed + if self.rewrites { REDRAWN } else { AGAIN };
        if self.rewrites && self.told == Some(self.stage) {
            return None;
        }
        self.told = Some(self.stage);
        let what = self.what;
        Some(match self.stage {
            Stage::Reading => format!("building {what}"),
            Stage::Waiting => format!("building {what}: waiting for another cargo to finish"),
            Stage::Asking => format!("building {what}: asking the registry for its crates"),
            Stage::Downloading { left } => format!("building {what}: downloading crates, {left} to go"),
            Stage::Building { done, total } => format!("building {what}: {done} of {total}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_from_words() {
        let building = |done, total| Heard::Stage(Stage::Building { done, total });
        for (line, is_redrawn, expected) in [
            ("    Building [======>         ] 214/380: tokio, aws-sdk-s3     ", true, building(214, 380)),
            ("\u{1b}[1m\u{1b}[36m    Building\u{1b}[0m [> ] 0/4: one(build.rs)", true, building(0, 4)),
            ("    Building [> ]   7/380", true, building(7, 380)),
            ("    Building something that a later cargo says", true, Heard::Step),
            ("    Blocking waiting for file lock on artifact directory", false, Heard::Stage(Stage::Waiting)),
            ("    Updating crates.io index", false, Heard::Stage(Stage::Asking)),
            (" Downloading 12 crates, remaining bytes: 3.1MiB", true, Heard::Stage(Stage::Downloading { left: 12 })),
            (" Downloading crates ...", false, Heard::Step),
            ("       Fetch [===>  ] 12 complete; 33 pending", true, Heard::Stage(Stage::Asking)),
            ("   Compiling one v0.1.0 (/x/one)", false, Heard::Step),
            ("\u{1b}[1m\u{1b}[92m    Finished\u{1b}[0m `dev` profile in 3.71s", false, Heard::Step),
            ("warning: unused variable: `x`", false, Heard::Words),
            ("  Compiling 3 things at once", false, Heard::Words),
            ("   |         12/380", false, Heard::Words),
            ("12 |    Building [> ] 1/2", true, Heard::Words),
            ("  Unreadable verbs of a later cargo", false, Heard::Words),
            ("", false, Heard::Words),
        ] {
            assert_eq!(heard(line, is_redrawn), expected, "{line:?}");
        }
    }

    /// Returns what is shown at these tenths of a second, while the numbers grow with the seconds.
    fn told(rewrites: bool, tenths: &[u64]) -> Vec<String> {
        let mut telling = Telling::new("xtask-publish", rewrites);
        let at = |tenth: &u64| {
            let done = u32::try_from(tenth / 10).expect("a small number");
            telling.note(Stage::Building { done, total: 380 });
            telling.line(Duration::from_millis(tenth * 100)).map(|line| format!("{tenth}: {line}"))
        };
        tenths.iter().filter_map(at).collect()
    }

    #[test]
    fn a_quick_build_shows_no_progress_and_a_slow_one_does() {
        assert_eq!(told(true, &[0, 5, 19]), [""; 0]);
        let line = |tenth, done| format!("{tenth}: building xtask-publish: {done} of 380");
        assert_eq!(told(false, &[5, 19, 20, 21, 60, 119, 120, 121]), [line(20, 2), line(120, 12)]);
        assert_eq!(told(true, &[19, 20, 21, 25, 29, 30]), [line(20, 2), line(30, 3)]);
    }

    #[test]
    fn what_was_erased_is_written_again() {
        let mut telling = Telling::new("it", true);
        telling.note(Stage::Waiting);
        let line = Some("building it: waiting for another cargo to finish".to_owned());
        assert_eq!(telling.line(Duration::from_secs(2)), line);
        assert_eq!(telling.line(Duration::from_secs(3)), None);
        assert!(telling.erase());
        assert!(!telling.erase());
        assert_eq!(telling.line(Duration::from_secs(4)), line);
    }
}
