//! The fragments that became releases' notes: they are gone from the tree, and git still has them.

use anyhow::Result;

use crate::domain::notes;
use crate::domain::notes::forward::{self, ReleasedFragment};
use crate::domain::oid::Oid;
use crate::domain::product::Product;
use crate::domain::version::Version;
use crate::tools::git::{Git, TreeEntry};
use crate::tree::fragments;

/// What releases were made of.
#[derive(Debug, Default)]
pub struct Past {
    pub taken: Vec<ReleasedFragment>,
    /// The releases whose fragments nobody can tell here, oldest first: history is cut off before them.
    pub unknown: Vec<Version>,
}

/// The fragments of those releases that are tagged here and `wanted`.
///
/// # Errors
/// git's own.
pub fn past(git: &Git, product: &Product, wanted: impl Fn(&Version) -> bool) -> Result<Past> {
    let mut past = Past::default();
    let versions: Vec<Version> = releases(git)?.into_iter().filter(wanted).collect();
    for series in versions.chunk_by(|a, b| a.series() == b.series()) {
        // The line of the last one has the others, but for releases that were made elsewhere.
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

/// That fragments cannot be compared with those of some releases.
pub fn cannot_compare(unknown: &[Version]) -> String {
    let versions = notes::enumerate(&unknown.iter().map(Version::to_string).collect::<Vec<_>>());
    format!(
        "cannot tell whether {versions} released a fragment of this tree already: history is cut off here; \
         `git fetch --unshallow` completes it"
    )
}

/// The versions that are tagged here, but for pre-releases, oldest first.
///
/// # Errors
/// git's own.
pub fn releases(git: &Git) -> Result<Vec<Version>> {
    let mut versions: Vec<Version> = git.tags()?.iter().filter_map(|tag| tag.parse().ok()).collect();
    versions.retain(|version| !version.is_pre_release());
    versions.sort();
    Ok(versions)
}

/// The fragments that a release's notes were made of, as far as history tells.
///
/// # Errors
/// git's own.
pub fn fragments_of(git: &Git, product: &Product, version: &Version, release: &Oid) -> Result<Vec<ReleasedFragment>> {
    let line =
        line(git, product, release, &notes::page_path(version.series()))?.into_iter().find(|(of, _)| of == version);
    line.and_then(|(_, files)| files).map_or_else(|| Ok(Vec::new()), |files| read(git, version, files))
}

/// The versions that got their sections on a page, on the line of first parents that ends in `tip`, newest first, and
/// the fragments that the same commit removed; `None` where history is cut off before it.
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

/// The fragments of a commit, paths and texts; what is not UTF-8, with replacement characters.
///
/// # Errors
/// git's own.
pub fn texts(git: &Git, commit: &Oid) -> Result<Vec<(String, String)>> {
    Ok(with_texts(git, fragments::tracked(git, commit, notes::FRAGMENTS)?)?.collect())
}

fn with_texts(git: &Git, mut files: Vec<TreeEntry>) -> Result<impl Iterator<Item = (String, String)>> {
    files.retain(TreeEntry::is_file);
    let contents = git.contents(files.iter().map(|file| &file.oid))?;
    let text = |content: Vec<u8>| String::from_utf8_lossy(&content).into_owned();
    Ok(files.into_iter().map(|file| file.path).zip(contents.into_iter().map(text)))
}
