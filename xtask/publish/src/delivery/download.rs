//! A release as it is published in an environment: its record, and the files to download in order to publish them again
//! under other names. `verify` checks whether it is complete.

use anyhow::{Context, Result, anyhow, ensure};
use camino::Utf8Path;
use xtask::domain::build::record::{Files, Record};
use xtask::domain::layout::{INSTALLER_RECORD, Layout, MANUAL, RECORD};
use xtask::domain::release::Release;
use xtask::domain::version::Version;
use xtask::tools::files;

use crate::domain::limits;
use crate::domain::publication::acts::Subject;
use crate::domain::publication::installer::InstallerRecord;
use crate::site::Site;
use crate::site::built::{Built, LocalFile, LocalFiles};
use crate::site::published::prove;
use crate::tools::content::Content;
use crate::tools::store::Store;
use crate::tools::transfer;

/// Finds a release by its record.
///
/// # Errors
/// The record is missing, invalid or not signed.
pub async fn find(releases: &Store, site: &Site, version: &Version) -> Result<Built> {
    let layout = site.layout(version);
    let text = releases.get(&format!("{}/{RECORD}", layout.version_directory()), limits::RECORD).await?;
    let text = text.with_context(|| {
        format!("{version} has no {RECORD} here: it is not published, or an older tool published it")
    })?;
    prove(releases, site, &layout, &text).await?;
    let record = Record::parse_published(&String::from_utf8_lossy(&text))
        .map_err(|why| anyhow!("the published record {why}"))?;
    ensure!(
        record.version == version.to_string(),
        "the record that is published as {version} is for {}",
        record.version
    );
    let release = Release::new(&site.product, version.clone(), record.name.as_deref().unwrap_or_default())?;
    Ok(Built::published(record, files::digest_of(&text).sha256, Subject::Official(Box::new(release))))
}

/// Downloads the manual of a published release to `scratch`.
///
/// # Errors
/// A page is missing or damaged, or the disk is full.
pub async fn manual(releases: &Store, built: &Built, scratch: &Utf8Path) -> Result<LocalFiles> {
    let directory = format!("{}/{MANUAL}", built.layout().version_directory());
    download(releases, &directory, built.record.manual(), scratch).await
}

/// Reads the record of a release's installers, with its text, if there is one.
///
/// # Errors
/// The bucket cannot be read, or the record is invalid.
async fn installer_record(install: &Store, layout: &Layout) -> Result<Option<(InstallerRecord, String)>> {
    let key = layout.installer_record();
    let Some(text) = install.get(&key, limits::RECORD).await? else { return Ok(None) };
    let text = String::from_utf8(text).map_err(|_| anyhow!("{key} is not UTF-8"))?;
    let record = InstallerRecord::parse(layout, &text).map_err(|why| anyhow!("{key} {why}"))?;
    Ok(Some((record, text)))
}

/// Downloads the installers of a published release, if it has any, to `scratch`.
///
/// # Errors
/// As for [`manual`].
pub async fn installers(install: &Store, site: &Site, built: &Built, scratch: &Utf8Path) -> Result<LocalFiles> {
    let layout = built.layout();
    let Some((record, text)) = installer_record(install, &layout).await? else { return Ok(LocalFiles::new()) };
    let key = layout.installer_record();
    ensure!(record.version == built.record.version, "{key} is for {}", record.version);
    let keys = site.trusted()?;
    if !keys.is_empty() {
        let signature = install.get(&layout.installer_signature(), limits::SIGNATURE).await?;
        let proof = record.proof(&layout, text.as_bytes(), signature.as_deref(), &keys);
        proof.map_err(|why| anyhow!("the installers are not proven: {why}"))?;
    }
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
                facts.size <= limits::DOWNLOAD,
                "{key} has {} bytes according to its record, too many for a page or an installer",
                facts.size
            );
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).with_context(|| format!("cannot make {parent}"))?;
            }
            // At most as many bytes as were published, and to disk.
            let content = store.save(&key, &path, facts.size).await?.with_context(|| format!("{key} is missing"))?;
            ensure!(
                (content.size, content.sha256) == (facts.size, facts.sha256),
                "{key} is not what was published: `cargo xtask release verify` shows the difference"
            );
            Ok((name, LocalFile { path, content }))
        }
    });
    Ok(transfer::all(downloads).await?.into_iter().collect())
}
