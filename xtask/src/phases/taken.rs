//! The fragments that became a release's notes: they are gone from the tree, and git still has them.

use anyhow::Result;

use crate::domain::forward::Taken;
use crate::domain::notes;
use crate::domain::oid::Oid;
use crate::domain::version::Version;
use crate::tools::fragments;
use crate::tools::git::Git;

/// The fragments that a release's notes were made of: those that the commit removed which gave the page its section.
///
/// # Errors
/// As for [`texts`].
pub fn by(git: &Git, version: &Version, release: &Oid, page: &str) -> Result<Vec<Taken>> {
    for commit in git.changes_of(release, page)? {
        let Some(before) = git.commit(&commit)?.parents.into_iter().next() else { break };
        if notes::section_date(&git.file(&before, page)?.unwrap_or_default(), version).is_some() {
            continue;
        }
        let kept = fragments::tracked(git, &commit, notes::FRAGMENTS)?;
        let taken = texts(git, &before)?.into_iter().filter(|(path, _)| !kept.contains(path));
        return Ok(taken.map(|(path, text)| Taken { version: version.clone(), path, text }).collect());
    }
    Ok(Vec::new())
}

/// The fragments of a commit, paths and texts.
///
/// # Errors
/// git's own, or a fragment that is not UTF-8.
pub fn texts(git: &Git, commit: &Oid) -> Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for path in fragments::tracked(git, commit, notes::FRAGMENTS)? {
        if let Some(text) = git.file(commit, &path)? {
            texts.push((path, text));
        }
    }
    Ok(texts)
}
