//! What is published in an environment: the versions that are finished, only begun, or withdrawn by a rollback.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow, bail};
use xtask::domain::build::record::Record;
use xtask::domain::format::Misread;
use xtask::domain::layout::{Layout, MANIFEST, RECEIPTS, RECORD, SUMS, SUMS_SIGNATURE, WITHDRAWN, WITHDRAWN_COPY};
use xtask::domain::product::Product;
use xtask::domain::version::Version;
use xtask::tools::files;

use crate::domain::cache::signing::PublicKey;
use crate::domain::limits;
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::pointers::Published;
use crate::domain::publication::receipt::StoredReceipt;
use crate::domain::publication::{signature, withdrawn};
use crate::site::{Destination, Site, Stores};
use crate::tools::http::Http;
use crate::tools::root_manifest;
use crate::tools::source::Readable;
use crate::tools::store::Store;
use crate::tools::transfer;

/// Reads what is published.
///
/// # Errors
/// The bucket cannot be read, or a newer tool wrote the list of withdrawn versions.
pub async fn published(releases: &Store, site: &Site) -> Result<Published> {
    let (published, withdrawn) = look(releases, site, &site.trusted()?).await?;
    Ok(match withdrawn {
        Withdrawn::Known(withdrawn) => Published { withdrawn, ..published },
        Withdrawn::Unclear(Unclear { why, is_damaged: false }, _) => {
            bail!("{why}\nso this run does not know which versions a rollback withdrew, and moves no pointer")
        }
        // What was published before can be repaired all the same, also if only the key that signed the list is not
        // trusted any more.
        Withdrawn::Unclear(Unclear { why, is_damaged: true }, withdrawn) => Published {
            withdrawn,
            unclear: Some(format!(
                "{why}, so it is unknown which versions a rollback withdrew: look at it, or rewrite it with \
                 `rollback --to VERSION`, naming the version that users should have"
            )),
            ..published
        },
    })
}

/// Reads what is published for a rollback, which must work whatever is there, and says what is wrong with the list of
/// withdrawn versions, which the rollback replaces.
///
/// # Errors
/// The bucket cannot be read.
pub async fn published_in_any_case(releases: &Store, site: &Site) -> Result<(Published, Option<Unclear>)> {
    published_by(releases, site, &site.trusted()?).await
}

/// As [`published_in_any_case`], if one of `keys` must have signed what was decided.
///
/// # Errors
/// The bucket cannot be read.
pub async fn published_by(releases: &Store, site: &Site, keys: &[PublicKey]) -> Result<(Published, Option<Unclear>)> {
    let (published, withdrawn) = look(releases, site, keys).await?;
    Ok(match withdrawn {
        Withdrawn::Known(withdrawn) => (Published { withdrawn, ..published }, None),
        Withdrawn::Unclear(unclear, names) => (Published { withdrawn: names, ..published }, Some(unclear)),
    })
}

/// Reads at a public address, which cannot be listed, whether `version` and the one that the root manifest leads to are
/// published, and what is wrong with the list of withdrawn versions. Other versions are unknown.
///
/// # Errors
/// The address cannot be read.
pub async fn published_in_public(
    releases: &Http,
    site: &Site,
    keys: &[PublicKey],
    version: &Version,
) -> Result<(Published, Option<Unclear>)> {
    // What does not exist is asked for with a query, because a cache would remember the answer for users.
    let time = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
    let releases = Readable::Public(releases.with_query(&format!("nocache={time}-{}", std::process::id())));
    let has_copy = releases.size(WITHDRAWN_COPY).await?.is_some();
    let withdrawn = look_at_withdrawn(&releases, has_copy, site, keys).await?;
    let live = match releases.get_at_most(MANIFEST, limits::POINTER).await? {
        Some(bytes) => root_manifest::read(&bytes).await?.leads_to(&site.product),
        None => None,
    };
    // Users have it, also without a receipt.
    let mut published: Published = live.into_iter().collect();
    if releases.size(&site.layout(version).receipt()).await?.is_some() {
        published.versions.insert(version.clone());
    }
    Ok(match withdrawn {
        Withdrawn::Known(withdrawn) => (Published { withdrawn, ..published }, None),
        Withdrawn::Unclear(unclear, names) => (Published { withdrawn: names, ..published }, Some(unclear)),
    })
}

/// The withdrawn versions of an environment.
enum Withdrawn {
    Known(BTreeSet<Version>),
    /// The list cannot be read; these versions are mentioned in it.
    Unclear(Unclear, BTreeSet<Version>),
}

/// Why the withdrawn versions are unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclear {
    pub why: String,
    /// Whether the list is damaged. Otherwise the server did not answer, or a newer tool wrote the list.
    pub is_damaged: bool,
}

/// Reads the published versions and, separately, the withdrawn ones.
async fn look(releases: &Store, site: &Site, keys: &[PublicKey]) -> Result<(Published, Withdrawn)> {
    let product = &site.product;
    let start = Layout::version_prefix(product);
    // Directories that are not named after a version are ignored.
    let version = |directory: &String| directory.strip_prefix(&start)?.parse::<Version>().ok();
    let there: BTreeSet<Version> = releases.directories(&start).await?.iter().filter_map(version).collect();
    let receipts: BTreeSet<String> = releases.list(RECEIPTS).await?.into_keys().collect();
    let source = Readable::Store(Box::new(releases.clone()));
    let withdrawn = look_at_withdrawn(&source, receipts.contains(WITHDRAWN_COPY), site, keys).await?;

    let (mut finished, unclear): (BTreeSet<_>, BTreeSet<_>) =
        there.into_iter().partition(|version| receipts.contains(&Layout::new(product, version).receipt()));
    let live = if unclear.is_empty() { None } else { live(releases, product).await? };
    let kinds = transfer::all(unclear.into_iter().map(|version| {
        let releases = releases.clone();
        let layout = Layout::new(product, &version);
        let is_live = live.as_ref() == Some(&version);
        let may_be_old = site.environment.signed_from.as_ref().is_none_or(|from| version < *from);
        async move { Ok((is_live || may_be_old && is_of_an_earlier_tool(&releases, &layout).await?, version)) }
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

/// Whether a version without a receipt was published before receipts existed: it then has a manifest, and neither sums,
/// which this tool sends first, nor a record. Anything else is an unfinished upload or a stray object.
async fn is_of_an_earlier_tool(releases: &Store, layout: &Layout) -> Result<bool> {
    let directory = layout.version_directory();
    let has = async |name: &str| Ok::<_, anyhow::Error>(releases.head(&format!("{directory}/{name}")).await?.is_some());
    Ok(!has(SUMS).await? && !has(RECORD).await? && has(MANIFEST).await?)
}

/// Returns the version that the root manifest leads to: users have it, even if its upload did not finish. `None` if the
/// manifest is missing or unreadable, which the judgement of the manifest reports.
///
/// # Errors
/// The bucket cannot be read.
pub async fn live(releases: &Store, product: &Product) -> Result<Option<Version>> {
    match releases.get(MANIFEST, limits::POINTER).await? {
        Some(bytes) => Ok(root_manifest::read(&bytes).await?.leads_to(product)),
        None => Ok(None),
    }
}

async fn look_at_withdrawn(releases: &Readable, has_copy: bool, site: &Site, keys: &[PublicKey]) -> Result<Withdrawn> {
    let copy = if has_copy { releases.get_at_most(WITHDRAWN_COPY, limits::POINTER).await? } else { None };
    let proven = copy.as_ref().map(|copy| withdrawn::proven(copy, &site.name, keys));
    let name = |key: &str| releases.name(key);
    let (why, is_damaged, mut names) = match releases.get_at_most(WITHDRAWN, limits::POINTER).await {
        Ok(None) if !has_copy => return Ok(Withdrawn::Known(BTreeSet::new())),
        Ok(None) => (
            format!("{} is missing, although a rollback wrote it: see {}", name(WITHDRAWN), name(WITHDRAWN_COPY)),
            true,
            BTreeSet::new(),
        ),
        Ok(Some(text)) => match withdrawn::parse(&text) {
            Ok(withdrawn) if keys.is_empty() || proven.as_ref() == Some(&Ok(withdrawn.clone())) => {
                return Ok(Withdrawn::Known(withdrawn));
            }
            Ok(withdrawn) => {
                let why = match &proven {
                    None => format!("is not signed: {} is missing", name(WITHDRAWN_COPY)),
                    Some(Err(why)) => format!("is not proven: {} {why}", name(WITHDRAWN_COPY)),
                    Some(Ok(_)) => format!("is not what was signed in {}", name(WITHDRAWN_COPY)),
                };
                (format!("{} {why}", name(WITHDRAWN)), true, withdrawn)
            }
            Err(why) => {
                let is_damaged = matches!(why, Misread::Wrong(_));
                (format!("{} {why}", name(WITHDRAWN)), is_damaged, withdrawn::salvage(&text))
            }
        },
        Err(error) => (format!("{error:#}"), false, BTreeSet::new()),
    };
    match (proven, copy) {
        // Whatever the list says, this is what the last rollback withdrew.
        (Some(Ok(proven)), _) if !keys.is_empty() => names = proven,
        (_, Some(copy)) => names.append(&mut withdrawn::salvage(&copy)),
        (_, None) => {}
    }
    Ok(Withdrawn::Unclear(Unclear { why, is_damaged }, names))
}

/// Reads the receipt for a version in an environment.
///
/// # Errors
/// The bucket cannot be read.
pub async fn receipt(destination: &Destination, version: &str) -> Result<StoredReceipt> {
    receipt_in(&destination.site, &destination.read, version).await
}

/// Reads the receipt for a version, given an environment and connections to it.
///
/// # Errors
/// As for [`receipt`].
pub async fn receipt_in(site: &Site, read: &Stores, version: &str) -> Result<StoredReceipt> {
    let text = read.of(Bucket::Releases).get(&site.layout(version).receipt(), limits::POINTER).await?;
    Ok(StoredReceipt::parse(text.as_deref(), &site.name, version, &site.trusted()?))
}

/// Makes sure that a published record, whose text is `text`, is signed, if a key is known.
///
/// # Errors
/// It is not; or the bucket cannot be read.
pub async fn prove(releases: &Store, site: &Site, layout: &Layout, text: &[u8]) -> Result<()> {
    let keys = site.trusted()?;
    if keys.is_empty() {
        return Ok(());
    }
    let signer = signer(releases, layout, text, &keys).await?;
    signer.map(drop).map_err(|why| anyhow!("{}/{RECORD} is not proven: {why}", layout.version_directory()))
}

/// Returns the name of the key that has signed a published record, or why it is not proven.
async fn signer(releases: &Store, layout: &Layout, text: &[u8], keys: &[PublicKey]) -> Result<Result<String, String>> {
    let directory = layout.version_directory();
    let sums = releases.get(&format!("{directory}/{SUMS}"), limits::RECORD).await?;
    let signature = releases.get(&format!("{directory}/{SUMS_SIGNATURE}"), limits::SIGNATURE).await?;
    let digest = files::digest_of(text).sha256;
    let proof = signature::proof(&layout.namespace(), sums.as_deref(), signature.as_deref(), digest, keys);
    Ok(proof.map(|key| key.name().to_owned()))
}

/// Returns which key has signed each version, or why it is not proven.
///
/// # Errors
/// The bucket cannot be read.
pub async fn signers(
    releases: &Store,
    site: &Site,
    versions: &BTreeSet<Version>,
) -> Result<BTreeMap<Version, Result<String, String>>> {
    let keys = site.trusted()?;
    let looks = versions.iter().map(|version| {
        let (version, layout, releases, keys) = (version.clone(), site.layout(version), releases.clone(), keys.clone());
        async move {
            let text = releases.get(&format!("{}/{RECORD}", layout.version_directory()), limits::RECORD).await?;
            let Some(text) = text else { return Ok((version, Err(format!("without {RECORD}")))) };
            let signer = match Record::parse_published(&String::from_utf8_lossy(&text)) {
                Ok(record) if record.version == version.to_string() => signer(&releases, &layout, &text, &keys).await?,
                Ok(_) => Err(format!("{RECORD} is that of another version")),
                Err(why) => Err(format!("{RECORD} {why}")),
            };
            Ok((version, signer))
        }
    });
    Ok(transfer::all(looks).await?.into_iter().collect())
}
