//! The commands of the publisher, one file for each.

pub mod check;
pub mod doctor;
pub mod installer;
pub mod plan;
pub mod rehearse;
pub mod rollback;
pub mod status;
pub mod upload;
pub mod verify;
pub mod world;

use std::sync::Arc;

use anyhow::{Context, Result};
use xtask::cli::{Agreement, Invocation, Outcome, PlanArgs, Publish, WorldCommand};
use xtask::tools::advice;

use crate::delivery::agreement::Answer;
use crate::delivery::publish::Request;
use crate::delivery::train::Wanted;
use crate::domain::publication::judgement::Waivers;
use crate::site::Environments;
use crate::tools::wire::cannot_be_asked;

/// Runs a command.
///
/// # Errors
/// The command failed; the message is for people.
pub async fn run(command: Publish, invocation: &Invocation) -> Result<Outcome> {
    match command {
        Publish::Check(args) => check::run(invocation, &args).await.context("the checks are not finished"),
        Publish::Plan(args) => plan::run(invocation, &args).await.context("cannot plan the publication"),
        Publish::Upload(args) => again(upload::run(invocation, &args).await).context("the upload is not finished"),
        Publish::Train(args) => again(upload::run_train(invocation, &args).await).context("the train is not finished"),
        Publish::Installer(args) => {
            again(installer::run(invocation, &args).await).context("the upload of the installers is not finished")
        }
        Publish::Verify(args) => verify::run(invocation, &args).await.context("cannot verify what is published"),
        Publish::Rollback(args) => again(rollback::run(invocation, &args).await),
        Publish::Doctor(args) => doctor::run(invocation, &args).await.context("cannot check the preconditions"),
        Publish::Status => status::run(invocation).await.context("cannot show the state of the release"),
        Publish::Rehearse(args) => rehearse::run(invocation, &args).await.context("the rehearsal failed"),
        Publish::World(WorldCommand::Up) => world::up(invocation).await.context("cannot start the test servers"),
        Publish::World(WorldCommand::Down) => world::down(invocation).await.context("cannot stop the test servers"),
    }
}

/// Adds what to do to an error that passes, because a server could not be asked.
fn again(outcome: Result<Outcome>) -> Result<Outcome> {
    match outcome {
        Err(error) if cannot_be_asked(&error) => Err(advice::advised(error, "run the same command again")),
        outcome => outcome,
    }
}

/// The environments that the invocation names, for the floors below, which know nothing of the command line.
fn environments(invocation: &Invocation) -> Environments {
    Environments { file: invocation.config_file(), product: Arc::clone(&invocation.product) }
}

/// What the options of `plan`, `upload` and `train` ask for.
fn wanted(args: &PlanArgs) -> Wanted {
    Wanted {
        environment: args.env.clone(),
        target: args.target,
        waivers: Waivers {
            shrink: args.allow_shrink,
            drop_systems: args.drop_system.clone(),
            force_push_tag: args.force_push_tag,
            unreadable_manifest: false,
        },
        check_git: !args.no_check_git,
        skip_staging: args.skip_staging.clone(),
        skip_checks: args.skip_checks.clone(),
        without: args.without.clone(),
    }
}

/// The request to publish after the manager agrees to `sentence`.
fn request(invocation: &Invocation, sentence: String, agreement: &Agreement, dry_run: bool) -> Request {
    let answer = match (agreement.plan, agreement.noconfirm) {
        (Some(digest), _) => Answer::Plan(digest),
        (None, true) => Answer::Unasked,
        (None, false) => Answer::Typed,
    };
    Request { sentence, answer, as_json: invocation.json, dry_run }
}
