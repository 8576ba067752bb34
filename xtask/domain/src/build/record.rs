//! `release.json`: what a release consists of, to the byte.
//!
//! Its only paths are store paths and its only time is the commit's, so the same tag gives the same record, wherever
//! and whenever it is built. It is in the version directory and so cannot list itself: it lists everything that was
//! built, the statement of [`super::provenance`] lists those files and the record, and `SHA256SUMS` lists all of these, so
//! that `SHA256SUMS` vouches for everything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::OUT;
use super::flake_lock::Inputs;
use super::manifest::Manifest;
use crate::digest::{Digest, FileFacts, oci};
use crate::environment::named_keys::NamedKeys;
use crate::format::{self, Format, Misread};
use crate::layout::MANUAL;
use crate::oid::Oid;
use crate::problem::Problems;
use crate::profile::BuiltProfile;
use crate::shown::{excerpt, is_hidden};
use crate::store_path::StorePath;
use crate::system::{Platform, System};
use crate::version::Version;

/// Longest version in bytes, far above that of any.
const LONGEST_VERSION: usize = 100;
/// Longest path of a file in bytes, which leaves room in a key of a bucket for the directory.
const LONGEST_PATH: usize = 900;

/// The files in a directory, by path relative to it.
pub type Files = BTreeMap<String, FileFacts>;

/// The record of a release, or of a manual that was built alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    #[serde(default)]
    pub format: Format,
    /// Version as the builds' names spell it: with a suffix if this is not an official release.
    pub version: String,
    /// The name of the series.
    pub name: Option<String>,
    /// The tag; `None` if what was built is not what the tag of its version names.
    pub tag: Option<Version>,
    pub commit: Oid,
    /// The commit's tree.
    pub tree: Oid,
    /// The commit's time, in UTC.
    pub committed: String,
    /// The version of this tool.
    pub tool: String,
    pub profile: BuiltProfile,
    pub builds: BTreeMap<System, Build>,
    /// What it was made of. `None` in the record of a manual, and in an older tool's, which made no statement of provenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub materials: Option<Materials>,
    /// The public keys that the tree names for its environments, by which users know who may have signed this. They
    /// prove nothing here: anyone who replaces the record replaces them. Empty if the tree names none.
    #[serde(default, skip_serializing_if = "NamedKeys::is_empty")]
    pub keys: NamedKeys,
    /// `None` in the record of a manual.
    pub image: Option<ImageRecord>,
    /// Files of the version directory, except the record itself, the statement and `SHA256SUMS`. Those below `manual/` are also
    /// `release/manual/`; the record of a manual has no others.
    pub files: Files,
}

/// What a release was made of, besides its commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Materials {
    /// Address of the repository, for people.
    pub repository: String,
    /// The tag object; `None` if this is not an official release.
    pub tag: Option<Oid>,
    /// Whether something else was built than the commit and the inputs that it names: changes that were not committed, or
    /// inputs that the manager replaced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub modified: bool,
    /// The inputs in `flake.lock`.
    pub inputs: Inputs,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    pub derivation: StorePath,
    pub outputs: BTreeMap<String, StorePath>,
    /// Everything that users of the output [`OUT`] download. Empty in the record of a manual, and in an older tool's.
    #[serde(default, skip_serializing_if = "Closure::is_empty")]
    pub closure: Closure,
    /// The NAR of each output, by the output's name. Empty in the record of a manual, and in an older tool's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nars: BTreeMap<String, FileFacts>,
}

/// Store paths that refer to each other, with the size of the NAR of each in bytes.
pub type Closure = BTreeMap<StorePath, u64>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Digest of the index.
    #[serde(with = "oci")]
    pub digest: Digest,
    pub platforms: Vec<Platform>,
}

/// The store paths whose closures go to the binary cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    pub outputs: Vec<StorePath>,
    pub derivations: Vec<StorePath>,
}

impl Record {
    /// Returns the day of the commit, in UTC.
    pub fn committed_on(&self) -> &str {
        self.committed.split('T').next().unwrap_or_default()
    }

    /// Reads the record in `release/`, which this tool wrote: an unknown key is an error.
    ///
    /// # Errors
    /// What is wrong with the text, without its path.
    pub fn parse(text: &str) -> Result<Record, String> {
        let record = Record::parse_published(text).map_err(|why| why.to_string())?;
        match format::unknown(text, &record) {
            Some(key) => {
                Err(format!("is not a record of a release: it has `{}`, which this tool does not know", excerpt(&key)))
            }
            None => Ok(record),
        }
    }

    /// Reads a published record, to which a newer tool may have added keys.
    ///
    /// # Errors
    /// As for [`Record::parse`]; or the record has a newer format.
    pub fn parse_published(text: &str) -> Result<Record, Misread> {
        let record: Record = format::parse(text, "a record of a release")?;
        let wrong = |what: String| Err(Misread::Wrong(format!("is not a record of a release: {what}")));
        if let Some(path) = record.files.keys().find(|path| !stays_below(path)) {
            return wrong(format!("it lists `{}`", excerpt(path)));
        }
        if !is_plain(&record.version) {
            return wrong(format!("its version is `{}`", excerpt(&record.version)));
        }
        if let Some(tag) = record.tag.as_ref().filter(|tag| tag.to_string() != record.version) {
            return wrong(format!("it is of {}, and of the tag {tag}", excerpt(&record.version)));
        }
        // The users of this system would get no more upgrades, without any message.
        let without = |(_, build): &(&System, &Build)| !build.outputs.contains_key(OUT);
        if let Some((system, _)) = record.builds.iter().find(without).filter(|_| record.image.is_some()) {
            return wrong(format!("its build for {system} has no output `{OUT}`"));
        }
        Ok(record)
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a record has only string keys") + "\n"
    }

    /// Returns the content of `manifest.nix`.
    pub fn manifest(&self) -> Manifest {
        let out = |(system, build): (&System, &Build)| Some((system.clone(), build.outputs.get(OUT)?.to_string()));
        self.builds.iter().filter_map(out).collect()
    }

    /// Returns what goes to the binary cache: the builds, not the tarballs made from them.
    pub fn cached(&self) -> Roots {
        Roots {
            outputs: self.builds.values().flat_map(|build| build.outputs.values().cloned()).collect(),
            derivations: self.builds.values().map(|build| build.derivation.clone()).collect(),
        }
    }

    /// Returns the text of `drvs.txt`, for the binary cache.
    pub fn drvs(&self) -> String {
        self.cached().derivations.iter().map(|derivation| format!("{derivation}\n")).collect()
    }

    /// Returns the text of `SHA256SUMS`, given the digests of the record's own text and of what else follows from it. Pages
    /// of the manual are not in it. Published releases have these bytes: they must not change.
    pub fn sums<'a>(&'a self, others: impl IntoIterator<Item = (&'a str, Digest)>) -> String {
        let files = self.files.iter().filter(|(path, _)| page(path).is_none());
        let mut sums: BTreeMap<&str, Digest> = files.map(|(path, facts)| (path.as_str(), facts.sha256)).collect();
        sums.extend(others);
        sums.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect()
    }

    /// Returns the files of `release/manual/`.
    pub fn manual(&self) -> Files {
        self.files.iter().filter_map(|(path, facts)| Some((page(path)?.to_owned(), *facts))).collect()
    }

    /// Compares what was built with the files `found` in the version directory. Ignores the files `others`, whose texts
    /// follow from the rest.
    ///
    /// # Errors
    /// What is missing, extra or different, by name.
    pub fn compare(&self, found: &Files, others: &Files) -> Result<(), Problems> {
        compare(&self.files, found, others)
    }

    /// Like [`Record::compare`], for `release/manual/`.
    ///
    /// # Errors
    /// As for [`Record::compare`].
    pub fn compare_manual(&self, found: &Files) -> Result<(), Problems> {
        compare(&self.manual(), found, &Files::new())
    }
}

/// Whether a version can be a part of names.
fn is_plain(version: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"+-._".contains(&b);
    (1..=LONGEST_VERSION).contains(&version.len()) && version.bytes().all(is_plain) && !version.starts_with('.')
}

/// Whether a path stays below the directory that it is relative to: records also come from buckets.
fn stays_below(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !path.contains('\\')
        && !path.chars().any(is_hidden)
        && path.len() <= LONGEST_PATH
}

/// Returns the path within the manual of a path in the version directory.
fn page(path: &str) -> Option<&str> {
    path.strip_prefix(MANUAL)?.strip_prefix('/')
}

fn compare(recorded: &Files, found: &Files, ignored: &Files) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for (path, facts) in recorded {
        match found.get(path) {
            None => problems.add(format!("{path} is missing")),
            // The digests would add nothing.
            Some(found) if found.size != facts.size => problems
                .add(format!("{path} has changed: built with {} bytes, and now it has {}", facts.size, found.size)),
            Some(found) if found != facts => problems.add(format!(
                "{path} has changed: built with SHA-256 {}, and now it has {}",
                facts.sha256, found.sha256
            )),
            Some(_) => {}
        }
    }
    let extra = found.keys().filter(|path| !recorded.contains_key(*path) && !ignored.contains_key(*path));
    extra.for_each(|path| problems.add(format!("{path} was not built with the rest")));
    problems.into_result()
}

#[cfg(test)]
pub(super) mod tests;
