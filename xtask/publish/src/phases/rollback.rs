//! `release rollback`: takes users of the newest stable release back to an older one that is completely published.
//!
//! Moves pointers, deletes nothing, and needs no `release/`: everything comes from what is published. The newer
//! versions are recorded in the environment as withdrawn, so that no later upload of an older release undoes the
//! rollback.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use xtask::cli::{Invocation, Outcome, RollbackArgs};
use xtask::domain::environment::image_target::ImageTarget;
use xtask::domain::layout::{Docs, WITHDRAWN};
use xtask::domain::version::Version;
use xtask::tools::git::Git;
use xtask::tools::scratch_dir::ScratchDir;
use xtask::tools::term;
use xtask::tree::release_dir;

use super::verify::{self, Contents};
use super::{environments, request};
use crate::acts::delivery::Delivery;
use crate::delivery::carry_out::soon;
use crate::delivery::publish::{Ended, Stopped, publish};
use crate::delivery::train::{PlannedTrain, Train};
use crate::delivery::{download, outlook};
use crate::domain::publication::acts::{Act, Wave};
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::image_tag::ImageTag;
use crate::domain::publication::judgement::Waivers;
use crate::domain::publication::plan::{Planned, Status};
use crate::domain::publication::pointers::{Published, withdrawn_by_rollback};
use crate::domain::publication::receipt::StoredReceipt;
use crate::domain::publication::servers::LeftOut;
use crate::site::built::Built;
use crate::site::published::{Unclear, published_in_any_case, receipt_in};
use crate::site::{Destination, Site};
use crate::tools::wire::cannot_be_asked;

/// Rolls back.
///
/// # Errors
/// The version is not completely published, the manager does not agree, or a pointer cannot be moved. The message says
/// what moved and what did not.
pub async fn run(invocation: &Invocation, args: &RollbackArgs) -> Result<Outcome> {
    roll_back(invocation, args).await.map_err(|stopped| match stopped {
        Stopped::Before(error) => error.context("nothing was rolled back by this run"),
        Stopped::UnderWay(error) | Stopped::Untold(error) => error,
    })
}

/// Rolls back; errors under way say what has moved.
async fn roll_back(invocation: &Invocation, args: &RollbackArgs) -> Result<Outcome, Stopped> {
    let git = Git::open(&invocation.tree)?;
    let _working = release_dir::hold(git.root())?;
    let destination = Destination::open(&environments(invocation), git.root(), &args.env, &Bucket::ALL).await?;
    let (site, read, to) = (&destination.site, &destination.read, &args.to);
    let found = published_in_any_case(read.of(Bucket::Releases), site).await?;
    let (now, unclear) = &found;
    let left_out = left_out(&destination, args).await?;
    check_target(&git, &destination, now, unclear.as_ref(), to, &left_out).await?;

    let scratch = ScratchDir::new()?;
    let built = download::find(read.of(Bucket::Releases), site, to).await?;
    let built = Built {
        manual: download::manual(read.of(Bucket::Releases), &built, &scratch.path().join("manual")).await?,
        installers: download::installers(
            read.of(Bucket::Install),
            &destination.site,
            &built,
            &scratch.path().join("installers"),
        )
        .await?,
        ..built
    };
    // An unfinished upload must not stop a rollback, for instance a fix that waits for its review.
    let after = Published { withdrawn: withdrawn_by_rollback(to, now), begun: BTreeSet::new(), ..now.clone() };
    let waivers = Waivers {
        shrink: true,
        drop_systems: args.drop_system.clone(),
        force_push_tag: false,
        unreadable_manifest: true,
    };
    let acts = acts(site, to);
    let train = Train::new(vec![Delivery::of_published(&destination, &git, built, acts, waivers, left_out)])?;
    let train = train.beside(found, after);
    let planned = train.plan().await?;
    let sentence = format!("I want to roll {} back to {to}", site.name);
    let request = request(invocation, sentence, &args.agreement, args.dry_run);
    let said = match publish(&planned, &request).await {
        Ok(Ended::Shown) => return Ok(Outcome::Done),
        Ok(Ended::NothingToDo) => format!("{} is on {to} already", site.name),
        Ok(Ended::Done(_)) => {
            format!("users of {} are back on {to}; `rollback --to` a newer version undoes it", site.name)
        }
        Err(Stopped::UnderWay(error)) => {
            let is_silent = cannot_be_asked(&error);
            return Err(Stopped::UnderWay(error.context(how_it_stands(&planned, to, is_silent).await)));
        }
        Err(stopped) => return Err(stopped),
    };
    term::say(format_args!("{} {said}", term::good("done:")));
    Ok(Outcome::Done)
}

/// What is left out: on request, or because the version was published without it.
async fn left_out(destination: &Destination, args: &RollbackArgs) -> Result<Vec<LeftOut>> {
    let Destination { site, read } = destination;
    let acts = acts(site, &args.to);
    let mut left_out = outlook::left_out(&args.without, &acts, site).await?;
    let there = receipt_in(site, read, &args.to.to_string()).await?;
    let StoredReceipt::Is(receipt) = there else { return Ok(left_out) };
    for target in &site.environment.images.targets {
        let is_named = left_out.iter().any(|left_out| left_out.target == *target);
        let missing = receipt.missing.iter().find(|missing| missing.target == target.to_string() && !is_named);
        left_out.extend(missing.map(|missing| LeftOut { target: target.clone(), why: missing.why.clone() }));
    }
    Ok(left_out)
}

/// Makes sure that users can be taken back to a version: it must be published and complete.
async fn check_target(
    git: &Git,
    destination: &Destination,
    now: &Published,
    unclear: Option<&Unclear>,
    to: &Version,
    left_out: &[LeftOut],
) -> Result<()> {
    let Destination { site, read } = destination;
    ensure!(
        !now.begun.contains(to),
        "the upload of {to} to {} was begun, but is not finished: finish it first, or roll back to another version",
        site.name
    );
    ensure!(
        now.versions.contains(to) && !to.is_pre_release(),
        "{to} is not a stable release that is published in {}",
        site.name
    );
    if let Some(Unclear { why, .. }) = unclear {
        term::warn(format_args!("{why}; this rollback rewrites {WITHDRAWN}"));
    }
    term::say(format_args!("Checking that {to} is complete in {}", site.name));
    match verify::contents(git, site, read, to, left_out).await? {
        Contents::Complete => Ok(()),
        Contents::Broken => bail!("{to} is not complete in {}: roll back to another version", site.name),
        Contents::Unclear => bail!(
            "could not check whether {to} is complete in {}, for the reasons above: run the same command again \
             (`--without NAME` leaves out a target of images that does not answer)",
            site.name
        ),
    }
}

/// Looks how far a failed rollback came, and describes it. A server that `is_silent` is not asked for long.
async fn how_it_stands(planned: &PlannedTrain<'_>, to: &Version, is_silent: bool) -> String {
    let train = planned.train;
    let environment = &train.site().name;
    let seen = match if is_silent { soon(train.plan()).await } else { train.plan().await } {
        Ok(seen) => seen,
        Err(error) => {
            return format!(
                "the rollback of {environment} to {to} is not finished, and how far it came is unknown ({error:#})"
            );
        }
    };
    let is_done = |planned: &Planned| seen.acts().any(|(_, now)| now.act == planned.act && now.status == Status::Same);
    let of = |wave| planned.acts().map(|(_, planned)| planned).filter(move |planned| planned.wave == wave);
    let is_recorded = of(Wave::Withdrawal).all(is_done);
    let (mut moved, mut left) = (Vec::new(), Vec::new());
    for planned in of(Wave::Pointers).filter(|planned| planned.is_to_do()) {
        if is_done(planned) { moved.push(planned.title.as_str()) } else { left.push(planned.title.as_str()) }
    }
    match (moved.as_slice(), left.as_slice()) {
        ([], _) if is_recorded => format!(
            "the rollback of {environment} to {to} has only begun: what it withdraws is recorded, but no pointer has \
             moved, so users see what they saw before"
        ),
        ([], _) => "nothing was rolled back by this run".to_owned(),
        (_, []) => {
            format!("all pointers of {environment} are on {to}, but the rollback is not finished")
        }
        _ => format!(
            "the rollback of {environment} to {to} is half done\nmoved: {}\nnot moved, or only in part: {}",
            moved.join(", "),
            left.join(", ")
        ),
    }
}

/// Lists the acts of a rollback: the record of withdrawn versions, and every pointer to the newest stable release.
fn acts(site: &Site, to: &Version) -> Vec<Act> {
    let latest = |target: &ImageTarget| Act::ImageTag { target: target.clone(), tag: ImageTag::Latest };
    let tags = site.environment.images.targets.iter().map(latest);
    let withdraw = Act::Withdraw { to: to.clone() };
    [withdraw, Act::RootManifest, Act::Docs { docs: Docs::Stable, deletes: false }, Act::InstallerPointers]
        .into_iter()
        .chain(tags)
        .collect()
}
