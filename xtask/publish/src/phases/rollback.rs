//! `release rollback`: takes the users of the newest stable release back to an older one that is published and whole.
//!
//! Moves pointers, deletes nothing, and needs no `release/`: everything comes from what is published. The versions that
//! are left behind are recorded in the environment as withdrawn, so that no later upload of an older release undoes it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8Path;
use xtask::cli::{Outcome, Place, RollbackArgs};
use xtask::domain::environment::image_target::ImageTarget;
use xtask::domain::layout::{Docs, WITHDRAWN, WITHDRAWN_COPY};
use xtask::domain::version::Version;
use xtask::tools::git::Git;
use xtask::tools::term;
use xtask::tree::release_dir;

use super::carrying::{carry_out, remove_left_lock};
use super::consent;
use super::destination::{Bucket, Stores, World};
use super::published::{Unclear, published_in_any_case};
use super::published_release;
use super::purge;
use super::sealed::Sealed;
use super::session::{Destination, PlannedTrain, Session, Train};
use super::verify::{self, Contents};
use crate::domain::publication::acts::Act;
use crate::domain::publication::image_tag::ImageTag;
use crate::domain::publication::judgement::Consent;
use crate::domain::publication::plan::Status;
use crate::domain::publication::pointers::{Published, withdrawn_by_rollback};
use crate::domain::publication::withdrawn;
use crate::tools::store::Properties;

/// Rolls back.
///
/// # Errors
/// The version is not published or not whole, the manager does not agree, or a pointer cannot be moved. The message says
/// what moved and what did not.
pub async fn run(place: &Place, args: &RollbackArgs) -> Result<Outcome> {
    plan_and_publish(place, args).await.context("nothing was rolled back by this run")?
}

/// The outer error: nothing was written. The inner one says how things stand.
async fn plan_and_publish(place: &Place, args: &RollbackArgs) -> Result<Result<Outcome>> {
    let git = Git::open(&place.tree)?;
    let _working = release_dir::lock(git.root())?;
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
    if let Some(Unclear { why, .. }) = unclear {
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
    let mut planned = train.plan_with(&after).await?;
    let withdraws: BTreeSet<Version> = after.withdrawn.difference(&now.withdrawn).cloned().collect();
    for (_, plan) in &mut planned.sessions {
        (plan.kind, plan.withdraws) = ("rollback", withdraws.clone());
    }
    if args.dry_run {
        return super::plan::show(place, &planned.plans()).map(|()| Ok(Outcome::Done));
    }
    let ended = publish(&planned, args, &found, &after).await?;
    Ok(ended.and_then(|outcome| super::plan::tell(place, &planned.plans()).map(|()| outcome)))
}

/// Shows, asks, and does. Errors are as those of [`plan_and_publish`].
async fn publish(
    planned: &PlannedTrain<'_>,
    args: &RollbackArgs,
    found: &(Published, Option<Unclear>),
    after: &Published,
) -> Result<Result<Outcome>> {
    let train = planned.train;
    let (environment, plans) = (&train.world().name, planned.plans());
    consent::show(&plans)?;
    let (now, unclear) = found;
    if plans.is_done() && after.withdrawn == now.withdrawn && unclear.is_none() {
        remove_left_lock(train).await;
        term::say(format_args!("{} {environment} is on {} already", term::good("done:"), args.to));
        purge::run(train).await;
        return Ok(Ok(Outcome::Done));
    }
    let sentence = format!("I want to roll {environment} back to {}", args.to);
    consent::ask(train.world(), &plans, &sentence, &args.agreement)?;
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
    if let Err(error) = carry_out(planned, None, first).await {
        return Ok(Err(error.context(how_it_stands(planned, args, after).await)));
    }
    purge::run(train).await;
    term::say(format_args!(
        "{} users of {environment} are back on {}; `rollback --to` a newer version undoes it",
        term::good("done:"),
        args.to
    ));
    Ok(Ok(Outcome::Done))
}

/// How far a rollback came that failed, as it is seen now.
async fn how_it_stands(planned: &PlannedTrain<'_>, args: &RollbackArgs, after: &Published) -> String {
    let train = planned.train;
    let (environment, to) = (&train.world().name, &args.to);
    let seen = async {
        let (now, unclear) = published_in_any_case(train.sessions[0].read.of(Bucket::Releases)).await?;
        Ok::<_, anyhow::Error>((unclear.is_none() && now.withdrawn == after.withdrawn, train.plan_with(after).await?))
    };
    let (is_recorded, seen) = match seen.await {
        Ok(seen) => seen,
        Err(error) => {
            return format!(
                "the rollback of {environment} to {to} is not finished, and how far it came cannot be seen ({error:#})"
            );
        }
    };
    let (mut moved, mut left) = (Vec::new(), Vec::new());
    for (_, planned) in planned.acts().filter(|(_, planned)| planned.is_to_do()) {
        let is_done = seen.acts().any(|(_, now)| now.act == planned.act && now.status == Status::Same);
        if is_done { moved.push(planned.title.as_str()) } else { left.push(planned.title.as_str()) }
    }
    match (moved.as_slice(), left.as_slice()) {
        ([], _) if is_recorded => format!(
            "the rollback of {environment} to {to} is only begun: what it withdraws is recorded, and no pointer has moved, so \
             users see what they saw before"
        ),
        ([], _) => "nothing was rolled back by this run".to_owned(),
        (_, []) => {
            format!("all pointers of {environment} are on {to}, and the rollback is not finished all the same")
        }
        _ => format!(
            "the rollback of {environment} to {to} is half done\nmoved: {}\nnot moved, or not all of it: {}",
            moved.join(", "),
            left.join(", ")
        ),
    }
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
