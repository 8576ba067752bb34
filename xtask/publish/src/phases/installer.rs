//! `release installer`: publishes the installers of a published release, which are built elsewhere, and those at the
//! top of the bucket, which follow the newest stable release.
//!
//! The acts, rules and consent are as in `upload`. Everything about the release comes from what is published.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use xtask::cli::{InstallerArgs, Invocation, Outcome};
use xtask::domain::amounts::bytes_for_people;
use xtask::domain::build::record::Record;
use xtask::domain::digest::FileFacts;
use xtask::domain::format::Format;
use xtask::domain::layout::{INSTALLER_RECORD, Layout};
use xtask::domain::system::System;
use xtask::domain::version::Version;
use xtask::tools::git::Git;
use xtask::tools::scratch_dir::ScratchDir;
use xtask::tools::{files, term};
use xtask::tree::{self, release_dir};

use super::{environments, request};
use crate::acts::delivery::Delivery;
use crate::delivery::download;
use crate::delivery::publish::{Ended, publish};
use crate::delivery::train::Train;
use crate::domain::limits;
use crate::domain::publication::acts::INSTALLER_ACTS;
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::executable::{HEADER, system_of};
use crate::domain::publication::installer::{InstallerRecord, check};
use crate::domain::publication::judgement::Waivers;
use crate::site::Destination;
use crate::site::built::{Built, LocalFile, LocalFiles};
use crate::site::published::receipt;
use crate::tools::content::Content;

/// Publishes installers.
///
/// # Errors
/// The release is not published there, a file does not match its name, the manager does not agree, or an act fails.
/// What is done by then stays done, and the same command continues from there.
pub async fn run(invocation: &Invocation, args: &InstallerArgs) -> Result<Outcome> {
    let git = Git::open(&invocation.tree)?;
    let _working = release_dir::hold(git.root())?;
    let version = match &args.version {
        Some(version) => version.clone(),
        None => {
            tree::version_file(&git, &git.head()?.commit)
                .context("cannot read the default version from version.json: pass VERSION")?
                .version
        }
    };
    let destination =
        Destination::open(&environments(invocation), git.root(), &args.env, &[Bucket::Releases, Bucket::Install])
            .await?;
    let published = finished(&destination, &version).await;
    let published = published.with_context(|| {
        format!("installers follow their release: {version} must be published to {} first", args.env)
    })?;
    let scratch = ScratchDir::new()?;
    let installers = open(&args.from, &published.layout(), &published.record, scratch.path()).await?;

    let built = Built { installers, ..published };
    let waivers = Waivers { drop_systems: args.drop_system.clone(), ..Waivers::default() };
    let delivery = Delivery::of_published(&destination, &git, built, INSTALLER_ACTS.to_vec(), waivers, Vec::new());
    let train = Train::new(vec![delivery])?;
    let planned = train.plan().await?;
    let sentence = format!("I want to release these installers to {}", args.env);
    let request = request(invocation, sentence, &args.agreement, args.dry_run);
    let ended = publish(&planned, &request).await?;
    if let Ended::Shown = ended {
        return Ok(Outcome::Done);
    }
    if !ended.waiting(&planned).is_empty() {
        term::say(format_args!("the installers of {version} are not completely published to {} yet", args.env));
        return Ok(Outcome::Waiting);
    }
    term::say(format_args!(
        "{} the installers of {version} are published to {}; next: {}",
        term::good("done:"),
        args.env,
        term::next(&format!("verify --env {} {version}", args.env))
    ));
    Ok(Outcome::Done)
}

/// Finds a release that is completely published: no pointer may lead to installers of one that waits for its review.
async fn finished(destination: &Destination, version: &Version) -> Result<Built> {
    let published = download::find(destination.read.of(Bucket::Releases), &destination.site, version).await?;
    let own = receipt(destination, &published.record.version).await?;
    ensure!(own.is_of(published.record_digest), "its upload is not finished: run `upload` again");
    Ok(published)
}

/// Opens the installers in a directory, and makes their record. They are copied to `scratch`, so that what was checked
/// is what is sent.
async fn open(dir: &Utf8Path, layout: &Layout, release: &Record, scratch: &Utf8Path) -> Result<LocalFiles> {
    let mut runs_on = BTreeMap::new();
    for entry in dir.read_dir_utf8().with_context(|| format!("cannot read {dir}"))? {
        let entry = entry.with_context(|| format!("cannot read {dir}"))?;
        let (path, name) = (entry.path(), entry.file_name().to_owned());
        if layout.installer_system(&name).is_some() {
            let copy = scratch.join(&name);
            let says = match objection(path) {
                Some(why) => Err(why),
                None => {
                    files::copy(path, &[&copy])?;
                    system_of(&files::read_prefix(&copy, HEADER)?)
                }
            };
            runs_on.insert(name, says);
        }
    }
    let systems: BTreeSet<&System> = release.builds.keys().collect();
    let names = check(layout, &runs_on, &systems)
        .with_context(|| format!("{dir} does not have the installers of {}", release.version))?;

    let mut installers = LocalFiles::new();
    for name in names.into_values() {
        let path = scratch.join(&name);
        installers.insert(name, LocalFile { content: Content::of_file(&path).await?, path });
    }
    let facts = |content: &Content| FileFacts { size: content.size, sha256: content.sha256 };
    let listed = installers.iter().map(|(name, file)| (name.clone(), facts(&file.content))).collect();
    let record = InstallerRecord { format: Format, version: release.version.clone(), files: listed };
    let path = scratch.join(INSTALLER_RECORD);
    files::create(&path, record.to_json())?;
    let content = Content::of_bytes(record.to_json().as_bytes());
    installers.insert(INSTALLER_RECORD.to_owned(), LocalFile { path, content });
    Ok(installers)
}

/// Returns why a file cannot be an installer, without reading it.
fn objection(path: &Utf8Path) -> Option<String> {
    match path.metadata() {
        Err(error) => Some(format!("cannot be read: {error}")),
        Ok(metadata) if !metadata.is_file() => Some("is not a file".to_owned()),
        Ok(metadata) if metadata.len() > limits::DOWNLOAD => {
            Some(format!("has more than {}", bytes_for_people(limits::DOWNLOAD)))
        }
        Ok(_) => None,
    }
}
