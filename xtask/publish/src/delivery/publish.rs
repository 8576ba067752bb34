//! The story of every command that changes what is published: the plan is shown, agreed to, carried out, and told.
//!
//! A plan with nothing to do is not asked about: what an earlier run left half done around it is made up for. Which
//! acts are planned, and what is said of the end, is the command's.

use anyhow::{Error, Result};
use xtask::cli::{Agreement, Invocation};
use xtask::tools::term;

use super::carry_out::{Done, carry_out, remove_left_lock};
use super::train::PlannedTrain;
use super::{agreement, preflight, purge};

/// What a manager asked for.
pub struct Request<'a> {
    pub invocation: &'a Invocation,
    /// The sentence to type.
    pub sentence: String,
    /// What stands in for the sentence.
    pub agreement: &'a Agreement,
    /// Whether to show the plan and do nothing.
    pub dry_run: bool,
}

/// How publishing ended.
pub enum Ended<'a> {
    /// The plan was shown, and nothing else was asked for.
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
    /// What was done by then stays done.
    UnderWay(Error),
    /// Everything was done, and could not be told.
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
/// The plan may not be carried out, something stands in the way, the manager does not agree, or an act fails.
pub async fn publish<'a>(planned: &PlannedTrain<'a>, request: &Request<'_>) -> Result<Ended<'a>, Stopped> {
    let (train, plans) = (planned.train, planned.plans());
    if request.dry_run {
        agreement::data(request.invocation, &plans)?;
        return Ok(Ended::Shown);
    }
    agreement::show(&plans)?;
    let ended = if plans.is_done() {
        remove_left_lock(train).await;
        Ended::NothingToDo
    } else {
        let signing_key = preflight::check_plan(planned).await?;
        agreement::ask(train.site(), &plans, &request.sentence, request.agreement)?;
        let done = carry_out(planned, signing_key).await.map_err(Stopped::UnderWay)?;
        term::say(done.summary());
        Ended::Done(done)
    };
    let waiting = ended.waiting(planned);
    for why in &waiting {
        term::say(format_args!("waits  {why}"));
    }
    if waiting.is_empty() {
        // Also what an earlier run left.
        purge::run(&train.deliveries).await;
    }
    if request.invocation.json {
        agreement::data(request.invocation, &plans).map_err(Stopped::Untold)?;
    }
    Ok(ended)
}

impl<'a> Ended<'a> {
    /// How things stand now: every act with what became of it.
    pub fn after<'b>(&'b self, planned: &'b PlannedTrain<'a>) -> &'b PlannedTrain<'a> {
        match self {
            Ended::Shown | Ended::NothingToDo => planned,
            Ended::Done(done) => &done.after,
        }
    }

    /// What waits for something outside, and for what.
    pub fn waiting(&self, planned: &PlannedTrain<'a>) -> Vec<String> {
        self.after(planned).waiting()
    }
}
