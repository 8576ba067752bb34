//! The acts of a run that failed or could not be tried, what they hold back, and the report of all of them at the end.

use anyhow::{Error, anyhow};
use xtask::domain::amounts::counted;
use xtask::domain::shown::one_line;
use xtask::tools::advice;

use super::outlook::reason;
use super::train::PlannedTrain;
use crate::domain::publication::acts::Act;
use crate::domain::publication::plan::Status;
use crate::tools::wire::{CannotAsk, cannot_be_asked};

/// What to do after an act failed.
const AGAIN: &str = "run the same command again; what is done stays done";
/// What to do after an act failed for a reason that does not pass.
const AGAIN_THEN: &str = "fix that, then run the same command again; what is done stays done";

/// Number of acts that were not tried that a message names.
const NAMED: usize = 4;

/// The failures of a run, in their order.
#[derive(Default)]
pub struct Failures {
    failed: Vec<Failure>,
    /// Titles of acts that were not tried, because they need one that failed.
    held_back: Vec<(Act, String)>,
    /// Whether a pointer has moved all the same.
    pub pointers_moved: bool,
}

struct Failure {
    /// The act; `None` if the failure is not one act's.
    act: Option<Act>,
    title: String,
    error: Error,
    /// Whether the plan has said how to leave the target out.
    is_known: bool,
}

impl Failures {
    /// The failures of a plan: acts whose server cannot be asked.
    pub fn of(planned: &PlannedTrain) -> Failures {
        let mut failures = Failures::default();
        for (delivery, act) in planned.acts() {
            if let Status::Unreachable(why) = &act.status {
                let title = planned.train.title(delivery, act);
                if !failures.hold_back(&act.act, &title) {
                    let error = CannotAsk(why.clone()).into();
                    failures.failed.push(Failure { act: Some(act.act.clone()), title, error, is_known: true });
                }
            }
        }
        failures
    }

    /// Notes that an act failed.
    pub fn add(&mut self, act: &Act, title: String, error: Error) {
        self.failed.push(Failure { act: Some(act.clone()), title, error, is_known: false });
    }

    /// Notes a failure after which nothing else can be done.
    pub fn stop(mut self, error: Error) -> Failures {
        self.failed.push(Failure { act: None, title: "the rest".to_owned(), error, is_known: false });
        self
    }

    /// Whether an act must not be tried; notes it.
    pub fn hold_back(&mut self, act: &Act, title: &str) -> bool {
        let holds = self.failed.iter().filter_map(|failure| failure.act.as_ref()).any(|failed| act.needs(failed));
        if holds {
            self.held_back.push((act.clone(), title.to_owned()));
        }
        holds
    }

    /// Whether an act failed, or was not tried.
    pub fn has(&self, act: &Act) -> bool {
        let failed = self.failed.iter().filter_map(|failure| failure.act.as_ref());
        failed.chain(self.held_back.iter().map(|(act, _)| act)).any(|one| one == act)
    }

    /// Whether a server could not be asked.
    pub fn are_of_silence(&self) -> bool {
        self.failed.iter().any(|failure| cannot_be_asked(&failure.error))
    }

    pub fn is_empty(&self) -> bool {
        self.failed.is_empty()
    }

    /// Makes one error of all of them, with what to do: a line for each, if there are several.
    pub fn into_error(mut self) -> Error {
        let not_tried = self.not_tried();
        if let [only] = self.failed.as_slice() {
            let next = only.next();
            let error = self.failed.remove(0).error;
            let error = if self.held_back.is_empty() {
                error
            } else {
                error.context(format!("everything that does not need it is done; not tried: {not_tried}"))
            };
            return advice::advised(error, next);
        }
        let failed = counted(self.failed.len(), "failure");
        let mut lines = vec![format!("{failed}; everything that does not need what failed is done")];
        lines.extend(self.failed.iter().map(Failure::line));
        if !self.held_back.is_empty() {
            lines.push(format!("not tried: {not_tried}"));
        }
        let text = lines.join("\n");
        if self.are_of_silence() { CannotAsk(text).into() } else { anyhow!(text) }
    }

    /// Titles of the acts that were held back, the first of them.
    fn not_tried(&self) -> String {
        let titles: Vec<String> = self.held_back.iter().take(NAMED).map(|(_, title)| one_line(title)).collect();
        match self.held_back.len().saturating_sub(NAMED) {
            0 => titles.join(", "),
            more => format!("{} and {more} more", titles.join(", ")),
        }
    }
}

impl Failure {
    fn next(&self) -> String {
        let again = if cannot_be_asked(&self.error) { AGAIN } else { AGAIN_THEN };
        match self.act.as_ref().and_then(Act::image_target) {
            Some(target) if !self.is_known => format!("{again} (or leave it out with `--without {target}`)"),
            Some(_) | None => again.to_owned(),
        }
    }

    fn line(&self) -> String {
        let why = one_line(&reason(&self.error));
        let why = why.strip_prefix(&format!("cannot publish {}: ", self.title)).unwrap_or(&why);
        let next = advice::next(&self.error).unwrap_or_else(|| self.next());
        format!("{}: {why}; next: {next}", one_line(&self.title))
    }
}
