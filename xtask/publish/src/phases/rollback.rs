//! `release rollback`: takes the users of the newest stable release back to an older one that is published and whole.
//!
//! Moves pointers, deletes nothing, and needs no `release/`: everything comes from what is published. The versions that
//! are left behind are recorded in the environment as withdrawn, so that no later upload of an older release undoes it.

use anyhow::{Context, Result, anyhow, ensure};
use camino::Utf8Path;
use xtask::cli::{Outcome, Place, RollbackArgs};
use xtask::domain::environment::Access;
use xtask::domain::image_target::ImageTag;
use xtask::domain::judgement::Consent;
use xtask::domain::layout::{Docs, Layout, MANIFEST, MANUAL, RECORD, RELEASE};
use xtask::domain::plan::Plan;
use xtask::domain::pointers::{Published, withdrawn_by_rollback};
use xtask::domain::publication::{Act, Official, Subject};
use xtask::domain::record::Record;
use xtask::domain::release::Release;
use xtask::domain::tagging::TagRecord;
use xtask::domain::version::Version;
use xtask::tools::git::Git;
use xtask::tools::{files, swap, term};

use super::sealed::{LocalFile, LocalFiles, Sealed};
use super::session::{Bucket, Session, Stores, WITHDRAWN, World, published};
use super::upload::{Agreement, Journal, ask, carry_out, owner};
use super::verify;
use crate::tools::content::Content;
use crate::tools::store::{Properties, Store};
use crate::tools::{lock, transfer};

/// No record and no page is nearly this long.
const LIMIT: u64 = 64 << 20;

/// Rolls back.
///
/// # Errors
/// The version is not published or not whole, the manager does not agree, or a pointer cannot be moved.
pub async fn run(place: &Place, args: &RollbackArgs) -> Result<Outcome> {
    let git = Git::open(&place.tree)?;
    let _working = swap::lock(git.root())?;
    let world = World::open(place, git.root(), &args.env).await?;
    let read = world.connect(Access::Read, &[Bucket::Docs, Bucket::Releases, Bucket::Cache]).await?;
    let now = published(read.of(Bucket::Releases)).await?;
    ensure!(
        now.versions.contains(&args.to) && !args.to.is_pre_release(),
        "{} is no stable release that is published in {}",
        args.to,
        world.name
    );
    term::say(format_args!("Is {} whole in {}?", args.to, world.name));
    ensure!(
        verify::contents(&git, &world, &read, &args.to).await?,
        "{} is not whole in {}: roll back to another version",
        args.to,
        world.name
    );

    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    let scratch =
        Utf8Path::from_path(scratch.path()).context("the temporary directory's name is not UTF-8")?.to_owned();
    let sealed = from_published(read.of(Bucket::Releases), &args.to, &scratch).await?;
    let after = Published { withdrawn: withdrawn_by_rollback(&args.to, &now), ..now.clone() };
    let session = Session {
        acts: pointers(&world),
        world,
        sealed,
        remote: None,
        consent: Consent { shrink: true, drop_systems: args.drop_system.clone(), force_push_tag: false },
        deletes: false,
        read,
    };
    publish(&session, &git, args, &now, &after).await
}

/// Shows, asks, and does.
async fn publish(
    session: &Session<'_>,
    git: &Git,
    args: &RollbackArgs,
    now: &Published,
    after: &Published,
) -> Result<Outcome> {
    let environment = &session.world.name;
    let plan = Plan { kind: "rollback", ..session.plan_with(after).await? };
    term::say(term::paint_plan(&plan.to_text(term::is_verbose())));
    let refusals = plan.refusals();
    ensure!(refusals.is_empty(), "the plan may not be carried out:\n{}", refusals.join("\n"));
    for version in after.withdrawn.difference(&now.withdrawn) {
        term::say(format_args!("  withdraws {version}: it stays published, and no pointer goes back to it by itself"));
    }
    if plan.is_done() && after.withdrawn == now.withdrawn {
        term::say(format_args!("{} {environment} is on {} already", term::good("done:"), args.to));
        return Ok(Outcome::Done);
    }
    let sentence = format!("I want to roll {environment} back to {}", args.to);
    ask(&session.world, &plan, &sentence, &Agreement { plan: args.agreed.as_deref(), noconfirm: args.noconfirm })?;

    let stores = session.world.connect(Access::ReadWrite, &[Bucket::Docs, Bucket::Releases]).await?;
    let held = lock::take(stores.of(Bucket::Docs), owner(git), session.world.settle()).await?;
    let journal = Journal::new(git.root().join(RELEASE).join(format!("journal-{environment}.jsonl")));
    let done = roll_back(session, &plan, &stores, after, &journal).await;
    // What went wrong before matters more than a lock that expires by itself.
    let released = held.release().await;
    done?;
    released.context("everything is done, but the lock could not be given back; it expires by itself")?;
    term::say(format_args!(
        "{} users of {environment} are back on {}; `rollback --to` a newer version undoes it",
        term::good("done:"),
        args.to
    ));
    Ok(Outcome::Done)
}

/// First the record of it, so that nobody's upload moves the pointers forward again meanwhile.
async fn roll_back(
    session: &Session<'_>,
    plan: &Plan,
    stores: &Stores,
    after: &Published,
    journal: &Journal,
) -> Result<()> {
    let properties = Properties { content_type: "application/json".into(), cache_control: "no-store".into() };
    let withdrawn = serde_json::to_vec_pretty(&after.withdrawn)?;
    stores.of(Bucket::Releases).put_bytes(WITHDRAWN, withdrawn, &properties).await?;
    carry_out(session, plan, stores, journal).await.map(drop)
}

/// What follows the newest stable release.
fn pointers(world: &World) -> Vec<Act> {
    let latest = |target: &xtask::domain::image_target::ImageTarget| Act::ImageTag {
        target: target.clone(),
        tag: ImageTag::Latest,
    };
    let tags = world.environment.images.targets.iter().map(latest);
    [Act::RootManifest, Act::Docs(Docs::Stable)].into_iter().chain(tags).collect()
}

/// A release as it is published, with its manual downloaded.
async fn from_published(releases: &Store, version: &Version, scratch: &Utf8Path) -> Result<Sealed> {
    let layout = Layout::new(&version.to_string());
    let directory = layout.version_directory();
    let text = releases.get(&format!("{directory}/{RECORD}"), LIMIT).await?;
    let text = text.with_context(|| format!("{version} has no {RECORD}: it was published by an older tool"))?;
    let record = Record::parse(&String::from_utf8_lossy(&text)).map_err(|why| anyhow!("the published record {why}"))?;
    let manifest =
        releases.get(&format!("{directory}/{MANIFEST}"), LIMIT).await?.context("the published manifest is gone")?;
    let release = Release::new(version.clone(), record.name.as_deref().unwrap_or_default())?;
    let commit = record.commit_oid();
    // No act of a rollback touches git: the tag is here for its version alone.
    let tag = TagRecord {
        version: version.clone(),
        tag_object: commit.clone(),
        merge_commit: commit.clone(),
        tree: xtask::domain::oid::Oid::new(record.tree.clone()),
        branch: release.release_branch(),
        commit,
    };
    let manual = download(releases, &format!("{directory}/{MANUAL}"), &record, scratch).await?;
    Sealed::published(
        record,
        files::facts(&text).sha256,
        Subject::Official(Box::new(Official { release, tag, layout })),
        manual,
        String::from_utf8_lossy(&manifest).into_owned(),
    )
}

async fn download(releases: &Store, directory: &str, record: &Record, scratch: &Utf8Path) -> Result<LocalFiles> {
    let pages = record.manual().into_keys().map(|page| {
        let (releases, key, path) = (releases.clone(), format!("{directory}/{page}"), scratch.join(&page));
        async move {
            let bytes = releases.get(&key, LIMIT).await?.with_context(|| format!("{key} is gone"))?;
            files::write(&path, &bytes)?;
            Ok((page, LocalFile { path, content: Content::of_bytes(&bytes) }))
        }
    });
    Ok(transfer::all(pages).await?.into_iter().collect())
}
