//! What differs inside of the files that differ: entries of archives, and fields of documents.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde_json::Value;
use xtask::domain::build::record::Record;
use xtask::domain::shown::excerpt;
use xtask::tools::files;

use super::super::report::Findings;
use super::super::sides::Sides;
use crate::domain::checks::entry;
use crate::domain::limits;
use crate::domain::rebuilt::{Comparison, Differs, InBucket, differences, fault};
use crate::site::rebuilt::{Clone, Rebuilt};
use crate::tools::archive;
use crate::tools::unusable::usable;

/// Most differences that are named in one file.
const NAMED: usize = 100;

/// What was found in the files that differ.
#[derive(Default)]
pub struct Found {
    pub findings: Findings,
    /// Documents that are the same, but for what a newer tool adds.
    pub newer: Vec<String>,
}

/// What differs inside of a file.
enum Inside {
    /// Nothing is known about its inside.
    Opaque,
    /// It is what was published, with more.
    Newer,
    Differences(Vec<String>),
}

/// Where to look for what was published.
pub struct Published<'a> {
    pub releases: &'a Sides,
    /// Key of the version directory.
    pub directory: String,
    pub record: &'a Record,
    /// Whether a known key has signed the record.
    pub is_signed: bool,
    /// Files that the bucket has otherwise than they are recorded, by path in the directory.
    pub damaged: &'a [String],
}

impl Published<'_> {
    /// Downloads each file that differs, or that the bucket has otherwise, and compares it with what was built.
    pub async fn look_inside(&self, comparison: &Comparison, clone: &Clone, rebuilt: &Rebuilt) -> Result<Found> {
        let Published { releases, directory, record, is_signed, damaged } = self;
        let (mut found, is_signed) = (Found::default(), *is_signed);
        let damaged = damaged.iter().filter(|path| comparison.same.contains_key(*path));
        let paths: BTreeSet<&String> = comparison.files.keys().chain(damaged).collect();
        for path in paths {
            let built = rebuilt.artifacts.join(directory).join(path);
            let shown = excerpt(path);
            let (facts, is_built) = match (record.files.get(path), comparison.files.get(path)) {
                (Some(_), Some(Differs::NotBuilt)) => {
                    found.findings.broken.push(format!("{shown} was published, and the tag does not build it"));
                    continue;
                }
                (None, _) | (_, Some(Differs::NotPublished)) => {
                    found.findings.broken.push(format!("{shown} is built from the tag, and was not published"));
                    continue;
                }
                (Some(facts), Some(Differs::Content)) => (facts, false),
                (Some(facts), None) => (facts, true),
            };
            let published = clone.beside().join("published");
            let saved = releases.save(&format!("{directory}/{path}"), &published, facts).await;
            let there = match usable(saved) {
                Ok(Ok(None)) => InBucket::Missing,
                Ok(Ok(Some(there))) if there == *facts => InBucket::AsRecorded,
                Ok(Ok(Some(_))) => InBucket::Other,
                Ok(Err(why)) => {
                    let fault = fault(InBucket::Other, is_signed, is_built).unwrap_or_default();
                    found.findings.broken.push(format!("{shown}: {fault}: {why}"));
                    continue;
                }
                Err(error) => {
                    let why = format!("{shown} is not what the tag builds, and cannot be read: {error:#}");
                    found.findings.append(Findings::unknown(why));
                    continue;
                }
            };
            // Only its headers were wrong, or it could not be read before.
            let Some(why) = fault(there, is_signed, is_built) else { continue };
            let (name, is_there) = (path.clone(), there != InBucket::Missing);
            let looking = move || if is_there { inside(&name, &published, &built) } else { Inside::Opaque };
            match tokio::task::spawn_blocking(looking).await.context("it panicked")? {
                Inside::Newer if there == InBucket::AsRecorded => found.newer.push(path.clone()),
                Inside::Opaque | Inside::Newer => found.findings.broken.push(format!("{shown}: {why}")),
                Inside::Differences(all) => {
                    let more = all.len().saturating_sub(NAMED);
                    let named = all.into_iter().take(NAMED).map(|inner| format!("{shown}: {why}: {inner}"));
                    found.findings.broken.extend(named);
                    if more > 0 {
                        found.findings.broken.push(format!("{shown}: {why}: and {more} more"));
                    }
                }
            }
        }
        Ok(found)
    }
}

fn inside(name: &str, published: &Utf8Path, built: &Utf8Path) -> Inside {
    if name.contains(".tar") {
        // An archive needs the ending that says how it is compressed.
        let theirs = published.with_extension(Utf8Path::new(name).extension().unwrap_or_default());
        let renamed = std::fs::rename(published, &theirs).with_context(|| format!("cannot rename {published}"));
        let entries = renamed.and_then(|()| archive::entries(&theirs));
        return Inside::Differences(match (entries, archive::entries(built)) {
            (Ok(theirs), Ok(ours)) => entry::differences(&theirs, &ours),
            (Err(why), _) => vec![format!("what was published cannot be read as an archive: {why:#}")],
            (_, Err(why)) => vec![format!("what is built cannot be read as an archive: {why:#}")],
        });
    }
    if !name.ends_with(".json") {
        return Inside::Opaque;
    }
    let is_short = |path: &Utf8Path| path.metadata().is_ok_and(|file| file.len() <= limits::BILL_OF_MATERIALS);
    let read = |path: &Utf8Path| serde_json::from_slice::<Value>(&files::read(path).ok()?).ok();
    let parsed = |path: &Utf8Path| is_short(path).then(|| read(path)).flatten();
    match (parsed(published), parsed(built)) {
        (Some(published), Some(built)) => {
            let mut all = Vec::new();
            differences("", &published, &built, &mut all, &mut Vec::new());
            if all.is_empty() { Inside::Newer } else { Inside::Differences(all) }
        }
        _ => Inside::Opaque,
    }
}

#[cfg(test)]
mod tests {
    use xtask::tools::scratch_dir::ScratchDir;

    use super::*;

    #[test]
    fn only_documents_of_a_sensible_size_are_read() {
        let scratch = ScratchDir::new().expect("a directory");
        let place = |name: &str| scratch.path().join(name);
        std::fs::write(place("built"), r#"{"a": 1, "b": [2]}"#).expect("written");
        let look = |name: &str, text: &str| {
            std::fs::write(place("published"), text).expect("written");
            match inside(name, &place("published"), &place("built")) {
                Inside::Opaque => "opaque".to_owned(),
                Inside::Newer => "newer".to_owned(),
                Inside::Differences(all) => all.join("\n"),
            }
        };
        let long = usize::try_from(limits::BILL_OF_MATERIALS).expect("it fits");
        assert_eq!(look("a.json", r#"{"a": 1}"#), "newer");
        assert_eq!(look("a.json", r#"{"a": 2}"#), "a: published as 2, built as 1");
        assert_eq!(look("a.html", r#"{"a": 2}"#), "opaque");
        assert_eq!(look("a.json", &format!(r#"{{"a": 2}}{}"#, " ".repeat(long))), "opaque");
        assert_eq!(look("a.json", "{"), "opaque");
    }
}
