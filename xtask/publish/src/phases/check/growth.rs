//! The check of growth: the release compared with the one before, as its published record and bills of materials describe
//! it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail, ensure};
use xtask::cli::Against;
use xtask::domain::build::record::Record;
use xtask::domain::build::sbom::Sbom;
use xtask::domain::environment::Storage;
use xtask::domain::layout::{Layout, MANIFEST, RECORD, SUMS, SUMS_SIGNATURE};
use xtask::domain::problem::Problems;
use xtask::domain::shown::excerpt;
use xtask::domain::system::System;
use xtask::domain::version::Version;
use xtask::tools::files;

use super::{Candidate, outcome};
use crate::domain::cache::keys::known;
use crate::domain::cache::signing::PublicKey;
use crate::domain::checks::growth::{Change, Parts, changes, listed, lost_systems, recorded};
use crate::domain::checks::report::Outcome;
use crate::domain::limits;
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::signature::proof;
use crate::site::Destination;
use crate::tools::http::Http;
use crate::tools::root_manifest;
use crate::tools::source::Readable;

/// Longest manifest that is read, in bytes.
const MANIFEST_LIMIT: u64 = 1 << 20;

/// Compares the release with the one before.
pub async fn growth(candidate: &Candidate) -> Result<Outcome> {
    if candidate.against == Some(Against::None) {
        return Ok(Outcome::Accepted {
            problems: Vec::new(),
            reason: "compared with nothing, by `--against none`".to_owned(),
        });
    }
    let Some(environment) = &candidate.settings.compare_with else {
        return Ok(Outcome::Passed { told: "releng.toml names no environment to compare with".to_owned() });
    };
    let asked = earlier(candidate, environment).await;
    let asked = asked
        .with_context(|| format!("cannot read what {environment} has (`--against none` compares with nothing)"))?;
    let Some(Earlier { record: before, sboms }) = asked else {
        return Ok(Outcome::Passed { told: format!("{environment} has no earlier release") });
    };
    let now = &candidate.record;
    let changes = changes(&before, now);
    let percent = candidate.settings.growth_percent;
    let mut problems = Problems::default();
    for change in changes.iter().filter(|change| change.exceeds(percent)) {
        problems.add(format!("{} since {}, more than {percent} %", change.line(), before.version));
    }
    for system in lost_systems(&before, now) {
        problems.add(format!("{system} is gone: {} has it", before.version));
    }
    let mut details = Problems::default();
    for (system, build) in &now.builds {
        let Some(earlier) = before.builds.get(system).filter(|earlier| !earlier.closure.is_empty()) else { continue };
        let was = sboms.get(system).map_or_else(|| recorded(&earlier.closure), listed);
        let is = candidate.sbom(system)?.as_ref().map_or_else(|| recorded(&build.closure), listed);
        let Parts { new, gone, changed, relicensed } = Parts::compare(&was, &is);
        for (what, parts) in [("new since", new), ("with other licenses than", relicensed)] {
            if !parts.is_empty() {
                problems.add(format!("closure of {system}, {what} {}: {}", before.version, parts.join("; ")));
            }
        }
        for (word, parts) in [("gone", gone), ("changed", changed)] {
            if !parts.is_empty() {
                details.add(format!("closure of {system}, {word}: {}", parts.join("; ")));
            }
        }
    }
    if !problems.is_empty() {
        problems.extend(details);
    }
    let largest = changes.iter().max_by_key(|change| change.permille()).map_or_else(String::new, Change::line);
    Ok(outcome(problems, format!("compared with {}: {largest}", before.version)))
}

/// The release before.
struct Earlier {
    record: Record,
    /// Its bills of materials; an older tool made none.
    sboms: BTreeMap<System, Sbom>,
}

/// Reads the release before.
async fn earlier(candidate: &Candidate, environment: &str) -> Result<Option<Earlier>> {
    let site = candidate.environments.named(environment)?;
    // Its server ends with it.
    let destination;
    let (releases, keys) = match (&site.public, &site.storage) {
        (Some(public), _) => {
            let keys = known(&site.cache).map_err(|why| anyhow!(why))?;
            (Readable::Public(Http::impatient(&public.releases)), keys)
        }
        (None, Storage::Embedded { .. }) => {
            destination =
                Destination::open(&candidate.environments, &candidate.tree, environment, &[Bucket::Releases]).await?;
            let releases = destination.read.of(Bucket::Releases).clone();
            (Readable::Store(Box::new(releases)), destination.site.trusted()?)
        }
        // No check needs a key.
        (None, Storage::S3 { .. }) => bail!("{environment} has no public address in releng.toml"),
    };
    let Some(record) = find(candidate, &releases, &keys).await? else { return Ok(None) };
    let sboms = sboms(candidate, &releases, &record).await?;
    Ok(Some(Earlier { record, sboms }))
}

/// Reads the bills of materials of the release before. Its record, which is proven, proves them.
async fn sboms(candidate: &Candidate, releases: &Readable, record: &Record) -> Result<BTreeMap<System, Sbom>> {
    let layout = Layout::new(&candidate.product, &record.version);
    let mut sboms = BTreeMap::new();
    for system in candidate.record.builds.keys() {
        let Some(facts) = record.files.get(&layout.sbom(system)) else { continue };
        let key = format!("{}/{}", layout.version_directory(), layout.sbom(system));
        let text = releases.get_at_most(&key, limits::BILL_OF_MATERIALS).await?;
        let text = text.with_context(|| format!("{key}, which {RECORD} lists, does not exist"))?;
        ensure!(files::digest_of(&text) == *facts, "{key} is not what {RECORD} lists");
        let sbom = Sbom::parse(&String::from_utf8_lossy(&text)).map_err(|why| anyhow!("{key} {why}"))?;
        sboms.insert(system.clone(), sbom);
    }
    Ok(sboms)
}

/// Finds the record of the release before.
async fn find(candidate: &Candidate, releases: &Readable, keys: &[PublicKey]) -> Result<Option<Record>> {
    let record = async |version: &Version| record(candidate, releases, keys, version).await;
    if let Some(Against::Version(version)) = &candidate.against {
        let named = record(version).await?;
        return named.map(Some).with_context(|| format!("{version} has no {RECORD} there"));
    }
    let Some(version) = &candidate.record.tag else { return Ok(None) };
    for patch in (0..version.patch()).rev() {
        let of_series: Version = format!("{}.{patch}", version.series()).parse().map_err(|why| anyhow!("{why}"))?;
        if let Some(found) = record(&of_series).await? {
            return Ok(Some(found));
        }
    }
    let Some(manifest) = releases.get_at_most(MANIFEST, MANIFEST_LIMIT).await? else { return Ok(None) };
    match root_manifest::read(&manifest).await?.leads_to(&candidate.product) {
        Some(newest) if newest < *version => {
            let found = record(&newest).await?;
            found.map(Some).with_context(|| format!("{newest} was published without {RECORD}"))
        }
        Some(_) | None => Ok(None),
    }
}

/// Reads a published record. If keys are known, one of them must have signed it.
async fn record(
    candidate: &Candidate,
    releases: &Readable,
    keys: &[PublicKey],
    version: &Version,
) -> Result<Option<Record>> {
    let layout = Layout::new(&candidate.product, version);
    let key = |name: &str| format!("{}/{name}", layout.version_directory());
    let Some(text) = releases.get(&key(RECORD)).await? else { return Ok(None) };
    if !keys.is_empty() {
        let (sums, signature) = (releases.get(&key(SUMS)).await?, releases.get(&key(SUMS_SIGNATURE)).await?);
        let digest = files::digest_of(&text).sha256;
        proof(&layout.namespace(), sums.as_deref(), signature.as_deref(), digest, keys)
            .map_err(|why| anyhow!("{} is not proven: {why}", key(RECORD)))?;
    }
    let key = key(RECORD);
    let record = Record::parse_published(&String::from_utf8_lossy(&text)).map_err(|why| anyhow!("{key} {why}"))?;
    ensure!(record.version == version.to_string(), "{key} is that of {}", excerpt(&record.version));
    Ok(Some(record))
}
