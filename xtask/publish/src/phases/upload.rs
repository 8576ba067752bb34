//! `release upload` and `release train`: publish what was built in one tree, or in several.
//!
//! An upload is a train of one release. In a train, the contents of all releases come first, then git for all, then
//! each pointer, once, to where it belongs when all of them are published.

use std::fmt::Display;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::cli::{Invocation, Outcome, TrainArgs, UploadArgs};
use xtask::domain::version::Version;
use xtask::tools::git::Git;
use xtask::tools::term;
use xtask::tree::{movement, release_dir};

use super::{environments, request, wanted};
use crate::acts::cache;
use crate::acts::delivery::Delivery;
use crate::delivery::carry_out::write_missing_receipts;
use crate::delivery::publish::{Ended, publish};
use crate::delivery::train::{PlannedTrain, Train};
use crate::delivery::trees::with_train;
use crate::domain::publication::acts::Act;
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::pointers::{Follows, Published, target};
use crate::site::published::live;

/// Publishes what was built in one tree.
///
/// # Errors
/// A precondition is not met, the manager does not agree, or an act fails. What is done by then stays done, and the
/// same command continues from there.
pub async fn run(invocation: &Invocation, args: &UploadArgs) -> Result<Outcome> {
    publish_trees(invocation, &[Git::open(&invocation.tree)?], args, false).await
}

/// Publishes what was built in several trees.
///
/// # Errors
/// As for [`run`]; or the list of trees cannot be read.
pub async fn run_train(invocation: &Invocation, args: &TrainArgs) -> Result<Outcome> {
    let mut trees = invocation.named_trees.clone();
    if let Some(file) = &args.file {
        trees.extend(listed(file)?);
    }
    let open =
        |tree: &Utf8PathBuf| Git::open(tree).with_context(|| format!("cannot open {tree}, a tree of this train"));
    let trees = trees.iter().map(open).collect::<Result<Vec<_>>>()?;
    for (position, tree) in trees.iter().enumerate() {
        let twice = trees[..position].iter().any(|other| other.root() == tree.root());
        ensure!(!twice, "{} is named twice", tree.root());
    }
    publish_trees(invocation, &trees, &args.upload, args.dry_run).await
}

/// Reads a list of trees: a directory on each line, relative to the file.
fn listed(file: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    let beside = file.parent().unwrap_or(Utf8Path::new("."));
    // `#` starts a comment only after a blank, because names of directories may contain it.
    let tree = |line: &str| line.split(" #").next().unwrap_or_default().trim().to_owned();
    let trees = text.lines().map(tree).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let trees: Vec<_> = trees.map(|line| beside.join(line)).collect();
    ensure!(!trees.is_empty(), "{file} lists no trees: write one directory on each line");
    Ok(trees)
}

async fn publish_trees(invocation: &Invocation, trees: &[Git], args: &UploadArgs, dry_run: bool) -> Result<Outcome> {
    let mut working = Vec::new();
    for git in trees {
        working.push(release_dir::hold(git.root())?);
        movement::require_none(git)?;
        if !dry_run {
            cache::forget_staged(git.root());
        }
    }
    with_train(&environments(invocation), trees, &wanted(&args.plan), async |train| {
        let planned = train.plan().await?;
        let sentence = format!("I want to release this to {}", train.site().name);
        let request = request(invocation, sentence, &args.agreement, dry_run);
        let ended = publish(&planned, &request).await?;
        match &ended {
            Ended::Shown => return Ok(Outcome::Done),
            Ended::Done(done) if done.after.waiting().is_empty() => done.write_receipts(&planned.plans()),
            Ended::Done(_) => {}
            Ended::NothingToDo if planned.waiting().is_empty() => write_missing_receipts(&planned),
            Ended::NothingToDo => {}
        }
        finish(ended.after(&planned)).await
    })
    .await
}

/// Says what is published now.
async fn finish(planned: &PlannedTrain<'_>) -> Result<Outcome> {
    let (train, waiting) = (planned.train, planned.waiting());
    let environment = &train.site().name;
    let published = train.published().await?;
    let withdrawn: Vec<&Version> = published.arriving.intersection(&published.withdrawn).collect();
    let is_offered = |delivery: &Delivery| delivery.version().is_none_or(|version| !withdrawn.contains(&version));
    let offered = planned.deliveries.iter().filter(|(delivery, _)| is_offered(delivery));
    let offered: Vec<&str> = offered.map(|(_, plan)| plan.version.as_str()).collect();
    if !offered.is_empty() && waiting.is_empty() {
        let verify = term::next(&format!("verify --env {environment}"));
        let (is, next) = match offered.len() {
            // `verify` checks releases, not a manual alone.
            count if !planned.acts().any(|(_, planned)| planned.act == Act::Receipt) => {
                (if count == 1 { "is" } else { "are" }, String::new())
            }
            1 => ("is", format!("; next: {verify}")),
            _ => ("are", format!("; next, for each: {verify} VERSION")),
        };
        let left_out = planned.left_out();
        let without = if left_out.is_empty() {
            String::new()
        } else {
            format!(", without {left_out}, which the next upload completes")
        };
        term::say(format_args!(
            "{} {} {is} published to {environment}{without}{next}",
            term::good("done:"),
            offered.join(", ")
        ));
    } else if !offered.is_empty() {
        let are = if offered.len() == 1 { "is not completely" } else { "are not all" };
        term::say(format_args!("{} {are} published to {environment} yet", offered.join(", ")));
    }
    match (withdrawn.is_empty(), waiting.is_empty()) {
        (true, true) => Ok(Outcome::Done),
        (true, false) => Ok(Outcome::Waiting),
        (false, _) => tell_of_rollback(train, &published, &withdrawn, !waiting.is_empty()).await,
    }
}

/// Says of uploaded versions that a rollback withdrew them, which version users have, and how to bring them back.
/// `is_half` says that a pointer still leads to one of them.
async fn tell_of_rollback(
    train: &Train<'_>,
    published: &Published,
    withdrawn: &[&Version],
    is_half: bool,
) -> Result<Outcome> {
    let environment = &train.site().name;
    let rollback = |to: &dyn Display| term::next(&format!("rollback --env {environment} --to {to}"));
    let live = live(train.deliveries[0].read.of(Bucket::Releases), &train.site().product).await?;
    if is_half || live.as_ref().is_some_and(|live| published.withdrawn.contains(live)) {
        let to = target(Follows::NewestStable, published).map_or_else(|| "VERSION".to_owned(), Version::to_string);
        let withdrawn: Vec<String> = withdrawn.iter().map(ToString::to_string).collect();
        term::say(format_args!(
            "the rollback of {environment} that withdrew {} is not finished, so pointers still lead to it; next: {}",
            withdrawn.join(", "),
            rollback(&to)
        ));
        return Ok(Outcome::Waiting);
    }
    let live = live.map_or_else(|| "no version".to_owned(), |live| live.to_string());
    for version in withdrawn {
        term::say(format_args!(
            "{version} is published to {environment}, but withdrawn: a rollback took users of the newest stable \
             release back to {live}; to bring them to {version}: {}",
            rollback(version)
        ));
    }
    Ok(Outcome::Done)
}
