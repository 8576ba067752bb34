//! What is published in an environment: which versions are finished, which were only begun, and which a rollback withdrew.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use xtask::domain::format::Misread;
use xtask::domain::layout::{Layout, MANIFEST, RECEIPTS, RECORD, SUMS, WITHDRAWN, WITHDRAWN_COPY};
use xtask::domain::product::Product;
use xtask::domain::version::Version;

use crate::domain::publication::pointers::Published;
use crate::domain::publication::receipt::StoredReceipt;
use crate::domain::publication::withdrawn;
use crate::site::{Bucket, Destination, Site, Stores};
use crate::tools::root_manifest;
use crate::tools::store::Store;
use crate::tools::transfer;

/// No list of versions and no manifest is nearly this long, in bytes.
const LIMIT: u64 = 1 << 20;

/// What is published.
///
/// # Errors
/// The bucket cannot be read, or it cannot be told which versions are withdrawn: an upload could take users to one.
pub async fn published(releases: &Store, product: &Product) -> Result<Published> {
    let (published, withdrawn) = look(releases, product).await?;
    match withdrawn {
        Withdrawn::Told(withdrawn) => Ok(Published { withdrawn, ..published }),
        Withdrawn::Unclear(Unclear { why, is_damaged: false }, _) => {
            bail!("{why}\nso this run cannot tell which versions a rollback withdrew, and moves no pointer")
        }
        Withdrawn::Unclear(Unclear { why, is_damaged: true }, _) => bail!(
            "{why}\nso it is unknown which versions a rollback withdrew: look at it; `rollback --to VERSION`, the version \
             that users should have, writes it anew"
        ),
    }
}

/// The same for a rollback, which is the way out of whatever lies there; and what is wrong with the list of withdrawn
/// versions that it replaces.
///
/// # Errors
/// The bucket cannot be read.
pub async fn published_in_any_case(releases: &Store, product: &Product) -> Result<(Published, Option<Unclear>)> {
    let (published, withdrawn) = look(releases, product).await?;
    Ok(match withdrawn {
        Withdrawn::Told(withdrawn) => (Published { withdrawn, ..published }, None),
        Withdrawn::Unclear(unclear, names) => (Published { withdrawn: names, ..published }, Some(unclear)),
    })
}

/// What the environment says of withdrawn versions.
enum Withdrawn {
    Told(BTreeSet<Version>),
    /// It cannot be told. These are named all the same.
    Unclear(Unclear, BTreeSet<Version>),
}

/// Why it cannot be told which versions are withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclear {
    pub why: String,
    /// Whether the list is wrong. Otherwise it could not be read: there was no answer, or a newer tool made it.
    pub is_damaged: bool,
}

/// Everything but the withdrawn versions, and those.
async fn look(releases: &Store, product: &Product) -> Result<(Published, Withdrawn)> {
    let start = format!("{0}/{0}-", product.prefix);
    // What is not called like a version is not one of ours.
    let version = |directory: &String| directory.strip_prefix(&start)?.parse::<Version>().ok();
    let there: BTreeSet<Version> = releases.directories(&start).await?.iter().filter_map(version).collect();
    let receipts: BTreeSet<String> = releases.list(RECEIPTS).await?.into_keys().collect();
    let withdrawn = look_at_withdrawn(releases, receipts.contains(WITHDRAWN_COPY)).await?;

    let (mut finished, unclear): (BTreeSet<_>, BTreeSet<_>) =
        there.into_iter().partition(|version| receipts.contains(&Layout::new(product, version).receipt()));
    let live = if unclear.is_empty() { None } else { live(releases, product).await? };
    let kinds = transfer::all(unclear.into_iter().map(|version| {
        let releases = releases.clone();
        let layout = Layout::new(product, &version);
        let is_live = live.as_ref() == Some(&version);
        async move { Ok((is_live || is_of_an_earlier_tool(&releases, &layout).await?, version)) }
    }));
    let mut begun = BTreeSet::new();
    for (is_finished, version) in kinds.await? {
        if is_finished {
            finished.insert(version)
        } else {
            begun.insert(version)
        };
    }
    Ok((Published { versions: finished, begun, ..Published::default() }, withdrawn))
}

/// Whether what is there without a receipt was published before there were receipts. This tool sends the sums first, and
/// a release has a manifest: anything else is an upload that was only begun, or a stray object.
async fn is_of_an_earlier_tool(releases: &Store, layout: &Layout) -> Result<bool> {
    let directory = layout.version_directory();
    let has = async |name: &str| Ok::<_, anyhow::Error>(releases.head(&format!("{directory}/{name}")).await?.is_some());
    Ok(!has(SUMS).await? && !has(RECORD).await? && has(MANIFEST).await?)
}

/// The version that the root manifest leads to: users have it, whatever became of its upload. A manifest that cannot be
/// read is its own judgement's matter.
///
/// # Errors
/// The bucket cannot be read, or what is there is no such manifest.
pub async fn live(releases: &Store, product: &Product) -> Result<Option<Version>> {
    match releases.get(MANIFEST, LIMIT).await? {
        Some(bytes) => Ok(root_manifest::read(&bytes).await?.version(product).parse().ok()),
        None => Ok(None),
    }
}

async fn look_at_withdrawn(releases: &Store, has_copy: bool) -> Result<Withdrawn> {
    let name = |key: &str| format!("s3://{}/{key}", releases.bucket());
    let (why, is_damaged, mut names) = match releases.get(WITHDRAWN, LIMIT).await {
        Ok(None) if !has_copy => return Ok(Withdrawn::Told(BTreeSet::new())),
        Ok(None) => (
            format!("{} is missing, and a rollback wrote it: see {}", name(WITHDRAWN), name(WITHDRAWN_COPY)),
            true,
            BTreeSet::new(),
        ),
        Ok(Some(text)) => match withdrawn::parse(&text) {
            Ok(withdrawn) => return Ok(Withdrawn::Told(withdrawn)),
            Err(why) => {
                let is_damaged = matches!(why, Misread::Wrong(_));
                (format!("{} {why}", name(WITHDRAWN)), is_damaged, withdrawn::salvage(&text))
            }
        },
        Err(error) => (format!("{error:#}"), false, BTreeSet::new()),
    };
    if has_copy && let Some(copy) = releases.get(WITHDRAWN_COPY, LIMIT).await? {
        names.append(&mut withdrawn::salvage(&copy));
    }
    Ok(Withdrawn::Unclear(Unclear { why, is_damaged }, names))
}

/// No receipt is nearly this long.
const RECEIPT_LIMIT: u64 = 1 << 20;

/// The receipt that an environment has of a version.
///
/// # Errors
/// The bucket cannot be read.
pub async fn receipt(destination: &Destination, version: &str) -> Result<StoredReceipt> {
    receipt_in(&destination.site, &destination.read, version).await
}

/// The same, given the environment and connections to it.
///
/// # Errors
/// As for [`receipt`].
pub async fn receipt_in(site: &Site, read: &Stores, version: &str) -> Result<StoredReceipt> {
    let text = read.of(Bucket::Releases).get(&site.layout(version).receipt(), RECEIPT_LIMIT).await?;
    Ok(StoredReceipt::parse(text.as_deref(), &site.name, version))
}
