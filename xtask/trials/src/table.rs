//! The table that a trial shows: a row for each phase, and how its points ended.

use std::collections::BTreeSet;
use std::time::Duration;

/// How the points of a phase ended.
#[derive(Debug, Default)]
pub struct Row {
    pub points: usize,
    pub kinds: BTreeSet<String>,
    /// The same command failed afterwards.
    pub stuck: usize,
    /// Users saw something incomplete.
    pub wrong_view: usize,
    /// The end was not that of an undisturbed run.
    pub differs: usize,
    /// Something stayed that no run needs.
    pub litter: usize,
    /// It failed without saying why.
    pub unclear: usize,
}

impl Row {
    /// Whether every point ended well.
    pub fn is_well(&self) -> bool {
        self.stuck + self.wrong_view + self.differs + self.litter + self.unclear == 0
    }

    /// The row as a line below [`heading`].
    pub fn line(&self, phase: &str, how: &str, took: Duration) -> String {
        let Self { points, kinds, stuck, wrong_view, differs, litter, unclear } = self;
        let (kinds, seconds) = (kinds.len(), took.as_secs());
        format!(
            "{phase:<10} {how:<10} {points:>6} {kinds:>6} {stuck:>6} {wrong_view:>11} {differs:>8} {litter:>7} {unclear:>8} {seconds:>6}"
        )
    }
}

/// The table's first line; `how` heads the column of what was done to the phase.
pub fn heading(how: &str) -> String {
    format!(
        "{:<10} {how:<10} {:>6} {:>6} {:>6} {:>11} {:>8} {:>7} {:>8} {:>6}",
        "phase", "points", "kinds", "stuck", "wrong view", "differs", "litter", "unclear", "s"
    )
}
