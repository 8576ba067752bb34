//! The steps common to every command that publishes: the plan is shown, agreed to and carried out, and the result
//! shown.
//!
//! If there is nothing to do, the manager is not asked, but what an earlier run left unfinished (a lock, a purge) is
//! completed. The command itself decides which acts are planned, and what it says at the end.

use anyhow::{Error, Result, anyhow};
use xtask::domain::environment::Access;
use xtask::tools::term;

use super::agreement::Answer;
use super::carry_out::{Done, carry_out};
use super::failures::Failures;
use super::train::{PlannedTrain, Train};
use super::{agreement, preflight, purge};
use crate::domain::publication::bucket::Bucket;
use crate::tools::lock;

/// The manager's request.
pub struct Request {
    /// The sentence to type.
    pub sentence: String,
    pub answer: Answer,
    /// Whether data on stdout is JSON.
    pub as_json: bool,
    /// Whether to show the plan only.
    pub dry_run: bool,
}

/// How publishing ended.
pub enum Ended<'a> {
    /// Only the plan was to be shown.
    Shown,
    /// There was nothing to do.
    NothingToDo,
    Done(Done<'a>),
}

/// Why publishing did not end well.
#[derive(Debug)]
pub enum Stopped {
    /// Nothing was written.
    Before(Error),
    /// Some acts may be done, and stay done.
    UnderWay(Error),
    /// Everything was done, but the output could not be written.
    Untold(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Stopped {
        Stopped::Before(error)
    }
}

impl From<Stopped> for Error {
    fn from(stopped: Stopped) -> Error {
        match stopped {
            Stopped::Before(error) | Stopped::UnderWay(error) | Stopped::Untold(error) => error,
        }
    }
}

/// Shows a plan, asks, and carries it out.
///
/// # Errors
/// The plan must not be carried out, a precondition is not met, the manager does not agree, or an act fails.
pub async fn publish<'a>(planned: &PlannedTrain<'a>, request: &Request) -> Result<Ended<'a>, Stopped> {
    let (train, plans) = (planned.train, planned.plans());
    if request.dry_run {
        agreement::data(request.as_json, &plans)?;
        return Ok(Ended::Shown);
    }
    agreement::show(&plans);
    let mut refusals = plans.refusals();
    if !refusals.is_empty() {
        if planned.is_incomplete() {
            // Everything that has to be made is named at once.
            refusals.extend(preflight::problems(planned).await);
        }
        return Err(anyhow!("this plan cannot be carried out:\n{}", refusals.join("\n")).into());
    }
    let ended = if plans.is_done() {
        remove_left_lock(train).await;
        for side in train.deliveries.iter().filter_map(|delivery| delivery.git_side.as_ref()) {
            side.remote.clear()?;
        }
        let failures = Failures::of(planned);
        if !failures.is_empty() {
            return Err(Stopped::UnderWay(failures.into_error()));
        }
        Ended::NothingToDo
    } else {
        let signing_key = preflight::check_plan(planned).await?;
        agreement::ask(train.site(), &plans, &request.sentence, request.answer)?;
        let done = carry_out(planned, signing_key).await.map_err(Stopped::UnderWay)?;
        term::say(done.summary());
        Ended::Done(done)
    };
    let waiting = ended.waiting(planned);
    for why in &waiting {
        term::say(format_args!("waits  {why}"));
    }
    if waiting.is_empty() {
        // Including what an earlier run noted.
        purge::run(&train.deliveries).await;
    }
    if request.as_json {
        agreement::data(true, &plans).map_err(Stopped::Untold)?;
    }
    Ok(ended)
}

/// Removes the lock that a killed run of ours left. Without anything to do, no lock is taken that would replace it.
async fn remove_left_lock(train: &Train<'_>) {
    let site = train.site();
    let removed = async {
        let read = site.connect(Access::Read, &[Bucket::Docs]).await?;
        let writable = async || Ok(site.connect(Access::ReadWrite, &[Bucket::Docs]).await?.of(Bucket::Docs).clone());
        lock::remove_left(read.of(Bucket::Docs), writable).await
    };
    match removed.await {
        Ok(true) => term::say(format_args!("removed the lock on {} that an earlier run left", site.name)),
        Ok(false) => {}
        Err(error) => term::warn(format_args!("cannot check whether an earlier run left its lock: {error:#}")),
    }
}

impl<'a> Ended<'a> {
    /// The plan with the result of each act.
    pub fn after<'b>(&'b self, planned: &'b PlannedTrain<'a>) -> &'b PlannedTrain<'a> {
        match self {
            Ended::Shown | Ended::NothingToDo => planned,
            Ended::Done(done) => &done.after,
        }
    }

    /// The acts that wait for something outside, with the reasons.
    pub fn waiting(&self, planned: &PlannedTrain<'a>) -> Vec<String> {
        self.after(planned).waiting()
    }
}
