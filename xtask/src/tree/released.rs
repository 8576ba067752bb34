//! What was released before: the versions that are tagged, and the fragments that became release notes, which are gone
//! from the tree, but git still has them.

use anyhow::Result;

use crate::domain::amounts::enumerate;
use crate::domain::notes;
use crate::domain::notes::forward::{self, ReleasedFragment};
use crate::domain::oid::Oid;
use crate::domain::product::Product;
use crate::domain::version::Version;
use crate::tools::git::{Git, TreeEntry};
use crate::tree::fragments;

/// The fragments that releases were made from.
#[derive(Debug, Default)]
pub struct Past {
    pub taken: Vec<ReleasedFragment>,
    /// Releases whose fragments are unknown because history is cut off before them, oldest first.
    pub unknown: Vec<Version>,
}

/// Reads the fragments of those releases that are tagged here and `wanted`.
///
/// # Errors
/// git fails.
pub fn past(git: &Git, product: &Product, wanted: impl Fn(&Version) -> bool) -> Result<Past> {
    let mut past = Past::default();
    let versions: Vec<Version> = releases(git)?.into_iter().filter(wanted).collect();
    for series in versions.chunk_by(|a, b| a.series() == b.series()) {
        // The history of the last one contains the others, except releases that were made elsewhere.
        let mut left = series.to_vec();
        while let Some(last) = left.pop() {
            let Some(commit) = git.resolve(&format!("refs/tags/{last}^{{commit}}"))? else { continue };
            for (version, taken) in line(git, product, &commit, &notes::page_path(last.series()))? {
                if version != last && !left.contains(&version) {
                    continue;
                }
                left.retain(|other| *other != version);
                match taken {
                    Some(files) => past.taken.extend(read(git, &version, files)?),
                    None => past.unknown.push(version),
                }
            }
        }
    }
    past.unknown.sort();
    Ok(past)
}

/// Returns the warning that fragments cannot be compared with those of some releases.
pub fn cannot_compare(unknown: &[Version]) -> String {
    let versions = enumerate(unknown);
    format!(
        "cannot tell whether {versions} announced a fragment of this tree already, because history is cut off: \
         `git fetch --unshallow`"
    )
}

/// Returns the versions that are tagged here, oldest first. A tag that is not a version does not belong to a release.
///
/// # Errors
/// git fails.
pub fn tagged(git: &Git) -> Result<Vec<Version>> {
    let mut versions: Vec<Version> = git.tags()?.iter().filter_map(|tag| tag.parse().ok()).collect();
    versions.sort();
    Ok(versions)
}

/// Returns the versions that are tagged here, except pre-releases, oldest first.
///
/// # Errors
/// git fails.
pub fn releases(git: &Git) -> Result<Vec<Version>> {
    let mut versions = tagged(git)?;
    versions.retain(|version| !version.is_pre_release());
    Ok(versions)
}

/// Reads the fragments that a release's notes were made from, as far as history has them.
///
/// # Errors
/// git fails.
pub fn fragments_of(git: &Git, product: &Product, version: &Version, release: &Oid) -> Result<Vec<ReleasedFragment>> {
    let line =
        line(git, product, release, &notes::page_path(version.series()))?.into_iter().find(|(of, _)| of == version);
    line.and_then(|(_, files)| files).map_or_else(|| Ok(Vec::new()), |files| read(git, version, files))
}

/// Returns the versions whose sections were added to a page on the line of first parents that ends in `tip`, newest
/// first, each with the fragments that the same commit removed; `None` for fragments if history is cut off there.
fn line(git: &Git, product: &Product, tip: &Oid, page: &str) -> Result<Vec<(Version, Option<Vec<TreeEntry>>)>> {
    let changes = git.changes_of(tip, page)?;
    let pages = git.versions_of(page, &changes)?;
    let sections: Vec<Vec<Version>> =
        pages.into_iter().map(|page| forward::versions(product, &page.unwrap_or_default()).collect()).collect();
    let mut line = Vec::new();
    for (at, commit) in changes.iter().enumerate() {
        let before = sections.get(at + 1).map_or(&[][..], Vec::as_slice);
        let added: Vec<&Version> = sections[at].iter().filter(|version| !before.contains(version)).collect();
        if added.is_empty() {
            continue;
        }
        let files = if at + 1 == changes.len() && git.commit(commit)?.parents.is_empty() {
            // In complete history, the page was there from the start.
            (!git.is_shallow()?).then(Vec::new)
        } else {
            Some(fragments::removed(git, commit, notes::FRAGMENTS)?)
        };
        line.extend(added.into_iter().map(|version| (version.clone(), files.clone())));
    }
    Ok(line)
}

fn read(git: &Git, version: &Version, files: Vec<TreeEntry>) -> Result<Vec<ReleasedFragment>> {
    let taken = |(path, text)| ReleasedFragment { version: version.clone(), path, text };
    Ok(with_texts(git, files)?.map(taken).collect())
}

/// Reads the fragments of a commit, paths and texts; what is not UTF-8 gets replacement characters.
///
/// # Errors
/// git fails.
pub fn texts(git: &Git, commit: &Oid) -> Result<Vec<(String, String)>> {
    Ok(with_texts(git, fragments::tracked(git, commit, notes::FRAGMENTS)?)?.collect())
}

fn with_texts(git: &Git, mut files: Vec<TreeEntry>) -> Result<impl Iterator<Item = (String, String)>> {
    files.retain(TreeEntry::is_file);
    let contents = git.contents(files.iter().map(|file| &file.oid))?;
    let text = |content: Vec<u8>| String::from_utf8_lossy(&content).into_owned();
    Ok(files.into_iter().map(|file| file.path).zip(contents.into_iter().map(text)))
}
