//! A release as it is published in an environment: its record, and what can be downloaded of it to be published again
//! under other names. Refuses to judge whether it is whole; that is `verify`'s.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use camino::Utf8Path;
use xtask::domain::build::record::{Files, Record};
use xtask::domain::layout::{INSTALLER_RECORD, Layout, MANUAL, RECORD};
use xtask::domain::product::Product;
use xtask::domain::release::Release;
use xtask::domain::version::Version;
use xtask::tools::files;

use crate::domain::publication::acts::Subject;
use crate::domain::publication::installer::InstallerRecord;
use crate::site::built::{Built, LocalFile, LocalFiles};
use crate::tools::content::Content;
use crate::tools::store::Store;
use crate::tools::transfer;

/// No record, page or installer is nearly this long, in bytes.
pub const LIMIT: u64 = 256 << 20;

/// Finds a release by its record.
///
/// # Errors
/// It has none, or one that makes no sense.
pub async fn find(releases: &Store, product: &Arc<Product>, version: &Version) -> Result<Built> {
    let layout = Layout::new(product, version);
    let text = releases.get(&format!("{}/{RECORD}", layout.version_directory()), LIMIT).await?;
    let text =
        text.with_context(|| format!("{version} has no {RECORD} here: it is not published, or by an older tool"))?;
    let record = Record::parse_published(&String::from_utf8_lossy(&text))
        .map_err(|why| anyhow!("the published record {why}"))?;
    ensure!(
        record.version == version.to_string(),
        "the record that is published as {version} is of {}",
        record.version
    );
    let release = Release::new(product, version.clone(), record.name.as_deref().unwrap_or_default())?;
    Built::published(record, files::digest_of(&text).sha256, Subject::Official(Box::new(release)))
}

/// Downloads the manual of a published release to `scratch`.
///
/// # Errors
/// A page is gone or damaged, or there is no room.
pub async fn manual(releases: &Store, built: &Built, scratch: &Utf8Path) -> Result<LocalFiles> {
    let directory = format!("{}/{MANUAL}", built.layout().version_directory());
    download(releases, &directory, built.record.manual(), scratch).await
}

/// A record of installers and its text, if there is one.
///
/// # Errors
/// The bucket cannot be read, or the record makes no sense.
async fn installer_record(install: &Store, layout: &Layout) -> Result<Option<(InstallerRecord, String)>> {
    let key = layout.installer_record();
    let Some(text) = install.get(&key, LIMIT).await? else { return Ok(None) };
    let text = String::from_utf8(text).map_err(|_| anyhow!("{key} is not UTF-8"))?;
    let record = InstallerRecord::parse(layout, &text).map_err(|why| anyhow!("{key} {why}"))?;
    Ok(Some((record, text)))
}

/// Downloads the installers of a published release to `scratch`; none if it has none.
///
/// # Errors
/// As for [`manual`].
pub async fn installers(install: &Store, built: &Built, scratch: &Utf8Path) -> Result<LocalFiles> {
    let layout = built.layout();
    let Some((record, text)) = installer_record(install, &layout).await? else { return Ok(LocalFiles::new()) };
    let key = layout.installer_record();
    ensure!(record.version == built.record.version, "{key} is of {}", record.version);
    let mut files = download(install, &layout.version_directory(), record.files, scratch).await?;
    let path = scratch.join(INSTALLER_RECORD);
    files::create(&path, &text)?;
    files.insert(INSTALLER_RECORD.to_owned(), LocalFile { path, content: Content::of_bytes(text.as_bytes()) });
    Ok(files)
}

async fn download(store: &Store, directory: &str, expected: Files, scratch: &Utf8Path) -> Result<LocalFiles> {
    let downloads = expected.into_iter().map(|(name, facts)| {
        let (store, key, path) = (store.clone(), format!("{directory}/{name}"), scratch.join(&name));
        async move {
            ensure!(
                facts.size <= LIMIT,
                "{key} has {} bytes by its record: that is not a page or an installer",
                facts.size
            );
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).with_context(|| format!("cannot make {parent}"))?;
            }
            // Never more than was published, and never in memory.
            let content = store.save(&key, &path, facts.size).await?.with_context(|| format!("{key} is gone"))?;
            ensure!(
                (content.size, content.sha256) == (facts.size, facts.sha256),
                "{key} is not what was published: `cargo xtask release verify` tells"
            );
            Ok((name, LocalFile { path, content }))
        }
    });
    Ok(transfer::all(downloads).await?.into_iter().collect())
}
