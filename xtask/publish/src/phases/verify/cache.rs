//! The binary cache, walked as a client does: from the published record through the references of every narinfo.
//!
//! Each signature is checked here, with the keys that users trust according to `releng.toml`. At the end, Nix checks
//! the same.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use xtask::domain::amounts::{bytes_for_people, counted};
use xtask::domain::build::record::{Record, Roots};
use xtask::domain::store_path::StorePath;
use xtask::tools::{files, process};

use super::report::Findings;
use super::sides::Sides;
use super::{Report, View};
use crate::domain::cache::faults::{INFO, Keys, Signed, encoding_fault, header_fault, is_good_info, nar_fault};
use crate::domain::cache::narinfo::NarInfo;
use crate::domain::limits;
use crate::domain::serving::Served;
use crate::tools::anonymous::Anonymous;
use crate::tools::listing;
use crate::tools::nix_cache;
use crate::tools::source::Readable;
use crate::tools::transfer;
use crate::tools::unusable::usable;

pub(super) const TITLE: &str = "cache closures";
const NIX: &str = "cache, as Nix reads it";
const WHO: &str = "everyone who downloads Lix instead of building it";

impl View<'_> {
    pub(super) async fn check_cache(&self, record: &Record, report: &mut Report) -> Result<()> {
        let keys = match self.site.cache_keys() {
            Ok(Keys { own: None, .. }) => {
                report.check(TITLE, "", vec!["its key was never made, so nothing is signed".to_owned()], WHO);
                return Ok(());
            }
            Ok(keys) => Arc::new(keys),
            Err(why) => {
                report.check(TITLE, "", vec![why], WHO);
                return Ok(());
            }
        };
        let roots = record.cached();
        let starts: Vec<StorePath> = roots.outputs.iter().chain(&roots.derivations).cloned().collect();
        // The bucket first, because caches also remember that a narinfo does not exist.
        let edge = if let Sides::Both(_, edge) = &self.sources.cache { Some(edge) } else { None };
        let deep_there = self.deep && edge.is_none();
        let bucket = self.sources.cache.source();
        let mut walk = Walk::through(&starts, &bucket, &keys, deep_there).await?;
        let mut findings = Findings::from(std::mem::take(&mut walk.broken));
        if let (true, Some(edge)) = (findings.is_empty(), edge) {
            walk = Walk::through(&starts, &Readable::Public(edge.clone()), &keys, self.deep).await?;
            let shown = std::mem::take(&mut walk.broken);
            let damaged = if self.deep && !shown.is_empty() {
                Walk::through(&starts, &bucket, &keys, true).await?.broken
            } else {
                Vec::new()
            };
            findings = if damaged.is_empty() {
                Findings {
                    stale: shown.into_iter().map(|why| format!("{why}: it is right in the bucket")).collect(),
                    ..Findings::default()
                }
            } else {
                damaged.into()
            };
        }
        let sound = findings.is_empty();
        let depth = if self.deep { "downloaded" } else { "by name and size; --deep downloads them" };
        let good =
            format!("{}, {} compressed, {depth}", counted(walk.seen.len(), "path"), bytes_for_people(walk.bytes));
        report.check(TITLE, &good, findings, WHO);
        for (key, paths) in walk.signed_by {
            let paths = counted(paths, "path");
            report.note(TITLE, &format!("{paths} signed by {key} and not yet by our key: `upload` adds our signature"));
        }
        if sound { self.let_nix_judge(roots, &keys, report).await } else { Ok(()) }
    }

    async fn let_nix_judge(&self, roots: Roots, keys: &Keys, report: &mut Report) -> Result<()> {
        if !files::on_path("nix") {
            let error = anyhow!("Nix is not installed");
            if report.is_aside() {
                report.note(NIX, &error.to_string())
            } else {
                report.unknown(NIX, &error)
            }
            return Ok(());
        }
        let (url, _server) = match &self.sources.cache {
            Sides::Both(_, http) | Sides::Public(http) => (http.base().to_owned(), None),
            Sides::Bucket(bucket) => {
                let server = Anonymous::start(bucket.clone()).await?;
                (server.url().to_owned(), Some(server))
            }
        };
        let sh = process::shell_in(self.git.root())?;
        let objection = match nix_cache::verify(&sh, &url, &keys.trusted(), self.deep, &roots).await {
            Ok(objection) => objection,
            // Every signature was checked above, so a Nix that cannot check must not stop a rollback.
            Err(error) if report.is_aside() => {
                report.note(NIX, &format!("{error:#}"));
                return Ok(());
            }
            Err(error) => {
                report.unknown(NIX, &error);
                return Ok(());
            }
        };
        let good = if self.deep { "signed, and every NAR has the right contents" } else { "signed" };
        report.check(NIX, good, objection.into_iter().collect::<Vec<_>>(), WHO);
        Ok(())
    }
}

/// A walk through a cache.
#[derive(Default)]
struct Walk {
    seen: HashSet<StorePath>,
    /// Total size of the compressed NARs in bytes.
    bytes: u64,
    broken: Vec<String>,
    /// Number of paths that only an older key has signed, by its name.
    signed_by: BTreeMap<String, usize>,
}

impl Walk {
    /// Walks from some paths through everything that they refer to.
    async fn through(starts: &[StorePath], source: &Readable, keys: &Arc<Keys>, deep: bool) -> Result<Walk> {
        let mut walk = Walk::default();
        walk.from(starts.to_vec(), source, keys, deep).await?;
        let info = usable(source.read(INFO, limits::NARINFO).await)?;
        match info.map(Option::unwrap_or_default) {
            Ok((info, served)) if is_good_info(&String::from_utf8_lossy(&info)) => {
                walk.broken.extend(misserved(INFO, served.as_ref()));
            }
            Ok(_) => walk.broken.push(format!("{INFO} is missing, or is for another store")),
            Err(why) => walk.broken.push(format!("{INFO} cannot be read: {why}")),
        }
        Ok(walk)
    }

    async fn from(&mut self, starts: Vec<StorePath>, source: &Readable, keys: &Arc<Keys>, deep: bool) -> Result<()> {
        let mut next = starts;
        while !next.is_empty() {
            next.retain(|path| self.seen.insert(path.clone()));
            let checking = next.drain(..).map(|path| {
                let (source, keys) = (source.clone(), Arc::clone(keys));
                async move { check_path(&source, path, &keys, deep).await }
            });
            let mut found = Vec::new();
            for checked in transfer::all(checking).await? {
                let path = checked.path;
                self.bytes += checked.bytes;
                found.extend(checked.wrong.into_iter().map(|why| format!("{path}: {why}")));
                next.extend(checked.references);
                if let Some(key) = checked.signed_by {
                    *self.signed_by.entry(key).or_default() += 1;
                }
            }
            found.sort();
            self.broken.extend(found);
        }
        Ok(())
    }
}

/// What was found about a path.
struct Checked {
    path: StorePath,
    references: Vec<StorePath>,
    bytes: u64,
    wrong: Option<String>,
    /// The key that signed it, if that is not the cache's own.
    signed_by: Option<String>,
}

async fn check_path(source: &Readable, path: StorePath, keys: &Keys, deep: bool) -> Result<Checked> {
    let nothing = |path, why| Checked { path, references: Vec::new(), bytes: 0, wrong: Some(why), signed_by: None };
    let (text, served) = match usable(source.read(&path.narinfo(), limits::NARINFO).await)? {
        Ok(Some(read)) => read,
        Ok(None) => return Ok(nothing(path, "its narinfo is missing".to_owned())),
        Err(why) => return Ok(nothing(path, format!("its narinfo cannot be read: {why}"))),
    };
    let narinfo = match NarInfo::parse(&String::from_utf8_lossy(&text)) {
        Ok(narinfo) if narinfo.info.path == path => narinfo,
        Ok(narinfo) => return Ok(nothing(path, format!("its narinfo is for {}", narinfo.info.path))),
        Err(why) => return Ok(nothing(path, format!("its narinfo is invalid: {why}"))),
    };
    if let Some(why) = narinfo.nar_name_fault() {
        return Ok(nothing(path, why));
    }
    let (size, nar) = check_nar(source, &narinfo, deep).await?;
    let listing = match usable(source.read(&path.listing(), limits::LISTING).await)? {
        Ok(None) => Some("its listing is missing".to_owned()),
        Ok(Some((text, served))) => {
            listing::looks_wrong(&text).map(str::to_owned).or_else(|| misserved(&path.listing(), served.as_ref()))
        }
        Err(why) => Some(format!("its listing cannot be read: {why}")),
    };
    let wrong = keys.fault(&narinfo).or(nar).or_else(|| misserved(&path.narinfo(), served.as_ref())).or(listing);
    let signed_by = match keys.signed(&narinfo) {
        Signed::Otherwise(by) => by.into_iter().next(),
        Signed::ByOwn => None,
    };
    let references = narinfo.info.references.into_iter().collect();
    Ok(Checked { path, references, bytes: size.unwrap_or(0), wrong, signed_by })
}

/// Returns the size of a compressed NAR in bytes, and what is wrong with it.
async fn check_nar(source: &Readable, narinfo: &NarInfo, deep: bool) -> Result<(Option<u64>, Option<String>)> {
    let url = &narinfo.url;
    let Some((size, served)) = source.look(url).await? else { return Ok((None, nar_fault(narinfo, None))) };
    if let Some(why) = encoding_fault(narinfo, &served) {
        return Ok((None, Some(why)));
    }
    let in_bucket = matches!(source, Readable::Store(_)).then_some(&served);
    if !deep {
        let size = if size.is_none() { source.size(url).await? } else { size };
        return Ok((size, nar_fault(narinfo, size).or_else(|| misserved(url, in_bucket))));
    }
    let facts = source.facts(url).await?;
    let content = facts.zip(narinfo.file_hash).filter(|(found, expected)| found.sha256 != *expected);
    let content =
        content.map(|(found, expected)| format!("its NAR has SHA-256 {} instead of {expected}: {url}", found.sha256));
    let size = facts.map(|facts| facts.size);
    Ok((size, nar_fault(narinfo, size).or(content).or_else(|| misserved(url, in_bucket))))
}

/// Returns what is wrong with an object's headers in the bucket, and what to do.
fn misserved(key: &str, in_bucket: Option<&Served>) -> Option<String> {
    header_fault(key, in_bucket?).map(|why| format!("{why}: `upload` repairs it"))
}
