//! `release/tag.json`: which tag is being released, for the phases after `tag`.
//!
//! The record is a convenience and git is the truth: it is recomputed where it is missing, and refused where it
//! disagrees.

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;

use crate::domain::tagging::{Commit, TagRecord, is_merge_back};
use crate::domain::version::Version;
use crate::tools::files;
use crate::tools::git::Git;

fn path(git: &Git) -> Utf8PathBuf {
    git.root().join("release/tag.json")
}

/// The tag of a version, with its merge, as git has them; `None` if there is no such tag, or it has not the shape that
/// `tag` gives it.
///
/// # Errors
/// git's own.
pub fn find(git: &Git, version: &Version) -> Result<Option<TagRecord>> {
    let tag = format!("refs/tags/{version}");
    let (Some(tag_object), Some(commit)) = (git.resolve(&tag)?, git.resolve(&format!("{tag}^{{commit}}"))?) else {
        return Ok(None);
    };
    let release = git.commit(&commit)?;
    let [base] = &release.parents[..] else { return Ok(None) };
    let base = git.commit(base)?;
    let Some((branch, merge)) = merge_back(git, &release, &base)? else { return Ok(None) };
    Ok(Some(TagRecord {
        version: version.clone(),
        tag_object,
        commit,
        tree: release.tree,
        branch,
        merge_commit: merge.oid,
    }))
}

/// The commit that merges a release back, and the branch that has it: the checked-out one, or else the first.
fn merge_back(git: &Git, release: &Commit, base: &Commit) -> Result<Option<(String, Commit)>> {
    let mut branches = git.branches_with(&release.oid)?;
    let current = git.head()?.branch;
    branches.sort_by_key(|branch| Some(branch) != current.as_ref());
    for branch in branches {
        let merges = git.merges_between(&release.oid, &format!("refs/heads/{branch}"))?;
        if let Some(merge) = merges.into_iter().find(|merge| is_merge_back(merge, release, base)) {
            return Ok(Some((branch, merge)));
        }
    }
    Ok(None)
}

/// The record of a version's tag: read if it is there, recomputed from git if not.
///
/// # Errors
/// The version is not tagged as `tag` does it, or the record disagrees with git.
pub fn load(git: &Git, version: &Version) -> Result<TagRecord> {
    let found = find(git, version)?.with_context(|| {
        format!("there is no tag {version} that is merged back to a branch: run `cargo xtask release tag`")
    })?;
    let Some(recorded) = read(git)? else { return Ok(found) };
    // Several branches may have the merge; which of them is the release's, only the record knows.
    let same = TagRecord { branch: found.branch.clone(), ..recorded.clone() } == found;
    if !same || !git.branches_with(&found.merge_commit)?.contains(&recorded.branch) {
        bail!(
            "{} says that {} is commit {} on {}, and git has {version} at {} on {}: if git is right, remove the file",
            path(git),
            recorded.version,
            recorded.commit.short(),
            recorded.branch,
            found.commit.short(),
            found.branch
        );
    }
    Ok(recorded)
}

/// The version that was tagged last, if the record of it is still there.
///
/// # Errors
/// The record cannot be read.
pub fn version(git: &Git) -> Result<Option<Version>> {
    Ok(read(git)?.map(|record| record.version))
}

fn read(git: &Git) -> Result<Option<TagRecord>> {
    let path = path(git);
    let Some(text) = files::read_if_there(&path)? else { return Ok(None) };
    let record = serde_json::from_str(&text)
        .with_context(|| format!("{path} is not a record of a tag: remove it, it is made again from git"))?;
    Ok(Some(record))
}

/// Whether the record, if there is one, agrees with git.
///
/// # Errors
/// It does not.
pub fn check(git: &Git, version: &Version) -> Result<()> {
    if path(git).exists() { load(git, version).map(drop) } else { Ok(()) }
}

/// Leaves the record for the next phases.
///
/// # Errors
/// The file cannot be written.
pub fn write(git: &Git, record: &TagRecord) -> Result<()> {
    let json = serde_json::to_string_pretty(record).context("cannot write the record as JSON")?;
    files::replace(&path(git), &format!("{json}\n"))
}
