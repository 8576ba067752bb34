//! `release rollback`: takes the users of the newest stable release back to an older one that is published and whole.
//!
//! Moves pointers, deletes nothing, and needs no `release/`: everything comes from what is published. The versions that
//! are left behind are recorded in the environment as withdrawn, so that no later upload of an older release undoes it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8Path;
use xtask::cli::{Outcome, Place, RollbackArgs};
use xtask::domain::image_target::{ImageTag, ImageTarget};
use xtask::domain::judgement::Consent;
use xtask::domain::layout::{Docs, WITHDRAWN, WITHDRAWN_COPY};
use xtask::domain::plan::{Plan, Plans};
use xtask::domain::pointers::{Published, withdrawn_by_rollback};
use xtask::domain::publication::Act;
use xtask::domain::version::Version;
use xtask::domain::withdrawn;
use xtask::tools::git::Git;
use xtask::tools::{swap, term};

use super::carrying::{carry_out, remove_left_lock};
use super::consent;
use super::destination::{Bucket, Stores, World};
use super::published::published_in_any_case;
use super::published_release;
use super::purge;
use super::sealed::Sealed;
use super::session::{Destination, Session, Train};
use super::verify::{self, Contents};
use crate::tools::store::Properties;

/// Rolls back.
///
/// # Errors
/// The version is not published or not whole, the manager does not agree, or a pointer cannot be moved.
pub async fn run(place: &Place, args: &RollbackArgs) -> Result<Outcome> {
    let git = Git::open(&place.tree)?;
    let _working = swap::lock(git.root())?;
    let destination = Destination::open(place, git.root(), &args.env, &Bucket::ALL).await?;
    let (world, read, to) = (&destination.world, &destination.read, &args.to);
    let found = published_in_any_case(read.of(Bucket::Releases)).await?;
    let (now, unclear) = &found;
    ensure!(
        !now.begun.contains(to),
        "the upload of {to} to {} was begun and is not finished: finish it first, or roll back to another version",
        world.name
    );
    ensure!(
        now.versions.contains(to) && !to.is_pre_release(),
        "{to} is not a stable release that is published in {}",
        world.name
    );
    if let Some(why) = unclear {
        term::warn(format_args!("{why}; this rollback writes {WITHDRAWN} anew"));
    }
    term::say(format_args!("Checking that {to} is complete in {}", world.name));
    match verify::contents(&git, world, read, to).await? {
        Contents::Complete => {}
        Contents::Broken => bail!("{to} is not complete in {}: roll back to another version", world.name),
        Contents::Unclear => bail!(
            "whether {to} is complete in {} could not be checked, for the reasons above: run the same command again",
            world.name
        ),
    }

    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    let scratch = Utf8Path::from_path(scratch.path()).context("the temporary directory's name is not UTF-8")?;
    let sealed = published_release::find(read.of(Bucket::Releases), to).await?;
    let layout = sealed.layout();
    let sealed = Sealed {
        manual: published_release::manual(read.of(Bucket::Releases), &sealed.record, &scratch.join("manual")).await?,
        installers: published_release::installers(read.of(Bucket::Install), &layout, &scratch.join("installers"))
            .await?,
        ..sealed
    };
    // What was only begun holds no rollback back: it is the way out, also while a fix waits for its review.
    let withdrawn = withdrawn_by_rollback(to, now);
    let after = Published { withdrawn, begun: BTreeSet::new(), ..now.clone() };
    let consent = Consent {
        shrink: true,
        drop_systems: args.drop_system.clone(),
        force_push_tag: false,
        unreadable_manifest: true,
    };
    let train = Train::new(vec![Session::of_published(&destination, &git, sealed, pointers(world), consent)])?;
    let Plans(plans) = train.plan_with(&after).await?;
    let withdraws: BTreeSet<Version> = after.withdrawn.difference(&now.withdrawn).cloned().collect();
    let rollback = |plan| Plan { kind: "rollback", withdraws: withdraws.clone(), ..plan };
    let plans = Plans(plans.into_iter().map(rollback).collect());
    if args.dry_run {
        return super::plan::show(place, &plans).map(|()| Outcome::Done);
    }
    let outcome = publish(&train, &plans, args, &found, &after).await?;
    super::plan::tell(place, &plans)?;
    Ok(outcome)
}

/// Shows, asks, and does.
async fn publish(
    train: &Train<'_>,
    plans: &Plans,
    args: &RollbackArgs,
    found: &(Published, Option<String>),
    after: &Published,
) -> Result<Outcome> {
    let environment = &train.world().name;
    consent::show(plans)?;
    let (now, unclear) = found;
    if plans.is_done() && after.withdrawn == now.withdrawn && unclear.is_none() {
        remove_left_lock(train).await;
        term::say(format_args!("{} {environment} is on {} already", term::good("done:"), args.to));
        purge::run(train).await;
        return Ok(Outcome::Done);
    }
    let sentence = format!("I want to roll {environment} back to {}", args.to);
    consent::ask(train.world(), plans, &sentence, &args.agreement)?;
    let first = async |stores: &Stores| {
        // What the plan says is withdrawn follows from this; nobody else publishes while we hold the lock.
        ensure!(
            published_in_any_case(stores.of(Bucket::Releases)).await? == *found,
            "somebody published to {environment} since the plan was made: run the same command again, and read its plan"
        );
        // The record of it comes first, so that nobody's upload moves the pointers forward again meanwhile.
        withdraw(stores, after).await?;
        // It is known, and not read back: a bucket may answer for a moment as it did before.
        Ok(Some(after.clone()))
    };
    carry_out(train, plans, None, first).await?;
    purge::run(train).await;
    term::say(format_args!(
        "{} users of {environment} are back on {}; `rollback --to` a newer version undoes it",
        term::good("done:"),
        args.to
    ));
    Ok(Outcome::Done)
}

/// Records which versions are withdrawn from now on.
async fn withdraw(stores: &Stores, after: &Published) -> Result<()> {
    let properties = Properties { content_type: "application/json".into(), cache_control: "no-store".into() };
    let (releases, list) = (stores.of(Bucket::Releases), withdrawn::to_json(&after.withdrawn));
    releases.put_bytes(WITHDRAWN, list.clone(), &properties).await?;
    releases.put_bytes(WITHDRAWN_COPY, list, &properties).await
}

/// What follows the newest stable release.
fn pointers(world: &World) -> Vec<Act> {
    let latest = |target: &ImageTarget| Act::ImageTag { target: target.clone(), tag: ImageTag::Latest };
    let tags = world.environment.images.targets.iter().map(latest);
    [Act::RootManifest, Act::Docs(Docs::Stable), Act::InstallerPointers].into_iter().chain(tags).collect()
}
