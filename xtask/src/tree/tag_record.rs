//! `release/tag.json`: which tag is being released, for the phases after `tag`.
//!
//! The record is a convenience; git is authoritative. A record that is missing or of another version is computed again
//! from git; one that disagrees with git is refused.

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;

use crate::domain::layout::{RELEASE, TAG_RECORD};
use crate::domain::oid::Oid;
use crate::domain::release::tagging::{Commit, TagRecord, is_merge_back};
use crate::domain::version::Version;
use crate::tools::files;
use crate::tools::git::Git;
use crate::tools::process;
use crate::tools::term;

fn path(git: &Git) -> Utf8PathBuf {
    git.root().join(RELEASE).join(TAG_RECORD)
}

/// What git has as a version's tag.
enum Found {
    Nothing,
    /// A tag as `tag` makes it, with its merge.
    Tagged(TagRecord),
    /// A ref that names an object directly, usually a commit.
    Lightweight(Oid),
    /// A tag object that is not this version's: the reason.
    Odd(String),
    /// An annotated tag of this commit, which no local branch has merged back.
    NotMerged(Oid),
}

fn look(git: &Git, version: &Version) -> Result<Found> {
    let tag = format!("refs/tags/{version}");
    let Some(tag_object) = git.resolve(&tag)? else { return Ok(Found::Nothing) };
    if git.resolve(&format!("{tag}^{{tag}}"))?.is_none() {
        return Ok(Found::Lightweight(tag_object));
    }
    let Some(commit) = git.resolve(&format!("{tag}^{{commit}}"))? else {
        return Ok(Found::Odd("does not lead to a commit".to_owned()));
    };
    let text = process::read_bytes(git.cmd(["cat-file", "tag", tag_object.as_str()]))?;
    let text = String::from_utf8_lossy(&text);
    let header = |key: &str| text.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(key));
    if header("object ") != Some(commit.as_str()) {
        return Ok(Found::Odd("names another tag instead of the release commit".to_owned()));
    }
    if header("tag ") != Some(&version.to_string()) {
        return Ok(Found::Odd(format!("is the tag {} under another name", header("tag ").unwrap_or_default())));
    }
    let release = git.commit(&commit)?;
    let [base] = &release.parents[..] else {
        return Ok(Found::Odd(format!("names {}, which has {} parents", commit.short(), release.parents.len())));
    };
    let base = git.commit(base)?;
    let Some((branch, merge)) = merge_back(git, &release, &base)? else { return Ok(Found::NotMerged(commit)) };
    Ok(Found::Tagged(TagRecord {
        version: version.clone(),
        tag_object,
        commit,
        tree: release.tree,
        branch,
        merge_commit: merge.oid,
    }))
}

/// Finds the tag of a version and its merge in git; `None` if there is no such tag, or it is not as `tag` makes it.
///
/// # Errors
/// git fails.
pub fn find(git: &Git, version: &Version) -> Result<Option<TagRecord>> {
    match look(git, version)? {
        Found::Tagged(record) => Ok(Some(record)),
        Found::Nothing | Found::Lightweight(_) | Found::Odd(_) | Found::NotMerged(_) => Ok(None),
    }
}

/// Finds the commit that merges a release back, and the branch that has it: the checked-out one, or else the first.
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

/// Returns the record of a version's tag: from the file, or computed from git if there is none.
///
/// # Errors
/// The version is not tagged as `tag` does it, or the record disagrees with git.
pub fn load(git: &Git, version: &Version) -> Result<TagRecord> {
    // A record of another version says nothing about this one.
    let recorded = read(git)?.filter(|recorded| recorded.version == *version);
    let found = match look(git, version)? {
        Found::Tagged(found) => found,
        Found::Nothing => bail!("there is no tag {version} here: run `{}`", term::next("tag")),
        Found::Lightweight(object) => bail!(lightweight(git, version, &object, recorded.as_ref())?),
        Found::Odd(why) => bail!("the tag {version} {why}: a release needs the tag that `{}` makes", term::next("tag")),
        Found::NotMerged(commit) => bail!(not_merged(git, version, &commit)?),
    };
    let Some(recorded) = recorded else { return Ok(found) };
    let mut differences: Vec<String> = [
        ("tag object", &recorded.tag_object, &found.tag_object),
        ("commit", &recorded.commit, &found.commit),
        ("tree", &recorded.tree, &found.tree),
        ("merge commit", &recorded.merge_commit, &found.merge_commit),
    ]
    .into_iter()
    .filter(|(_, recorded, found)| recorded != found)
    .map(|(what, recorded, found)| format!("{what} {}, but git has {}", recorded.short(), found.short()))
    .collect();
    // Several branches may have the merge; only the record tells which of them the release was tagged on.
    if differences.is_empty() && !git.branches_with(&found.merge_commit)?.contains(&recorded.branch) {
        differences.push(format!("branch {}, but git has the merge on {}", recorded.branch, found.branch));
    }
    if !differences.is_empty() {
        let all = differences.join("; ");
        bail!("{} disagrees with git about {version}: it has {all}. If git is right, remove the file", path(git));
    }
    Ok(recorded)
}

/// Returns the error about a lightweight tag, with how to restore the annotated one.
fn lightweight(git: &Git, version: &Version, object: &Oid, recorded: Option<&TagRecord>) -> Result<String> {
    let what = format!(
        "the tag {version} is a lightweight tag, which names {} directly; a release needs the annotated one, which has a \
         tagger and a message",
        object.short()
    );
    if let Some(annotated) = recorded.map(|recorded| &recorded.tag_object)
        && git.resolve(&format!("{annotated}^{{tag}}"))?.is_some()
    {
        return Ok(format!(
            "{what}. The annotated tag is still in this repository, so restore it: `git update-ref refs/tags/{version} {annotated}`"
        ));
    }
    Ok(format!(
        "{what}. If the annotated tag was pushed, fetch it: `git fetch --force REMOTE tag {version}`. If not, delete this tag \
         (`git tag --delete {version}`), `git switch` to the branch and run `{}`",
        term::next("tag")
    ))
}

/// Returns the error that no local branch has the commit that merges a release back, with the remote branch that has
/// it.
fn not_merged(git: &Git, version: &Version, commit: &Oid) -> Result<String> {
    let contains = format!("--contains={commit}");
    let format = "--format=%(refname:lstrip=2)";
    let remote = process::read(git.cmd(["for-each-ref", format, &contains, "refs/remotes"]))?;
    // `origin/HEAD` is an alias of another branch.
    let Some(remote) = remote.lines().find(|name| !name.ends_with("/HEAD")) else {
        return Ok(format!(
            "the tag {version} is here, but no branch here merges it back: fetch the branch that it was tagged on, and \
             `git switch` to it"
        ));
    };
    let branch = remote.split_once('/').map_or(remote, |(_, branch)| branch);
    let here = git.resolve(&format!("refs/heads/{branch}"))?.is_some();
    let remedy = if here {
        format!("`git switch {branch}`, then `git merge --ff-only {remote}`")
    } else {
        // HEAD may be on the tag, where it should stay.
        format!("`git branch {branch} {remote}`")
    };
    Ok(format!("the tag {version} is merged back to {remote}, but not to a local branch: {remedy}"))
}

/// Returns the version that was tagged last, if its record and its tag still exist.
///
/// # Errors
/// The record cannot be read.
pub fn version(git: &Git) -> Result<Option<Version>> {
    let Some(recorded) = read(git)? else { return Ok(None) };
    let there = git.resolve(&format!("refs/tags/{}", recorded.version))?.is_some();
    Ok(there.then_some(recorded.version))
}

fn read(git: &Git) -> Result<Option<TagRecord>> {
    let path = path(git);
    let Some(text) = files::read_if_there(&path)? else { return Ok(None) };
    let record = serde_json::from_str(&text).with_context(|| {
        format!("{path} is not a tag record that this tool can read: remove it, and it is made again from git")
    })?;
    Ok(Some(record))
}

/// Whether the file holds this record. A file that cannot be read does not.
pub fn holds(git: &Git, record: &TagRecord) -> bool {
    read(git).is_ok_and(|recorded| recorded.as_ref() == Some(record))
}

/// Checks that the record, if there is one of this version, agrees with git.
///
/// # Errors
/// The record disagrees.
pub fn check(git: &Git, version: &Version) -> Result<()> {
    match read(git)? {
        Some(recorded) if recorded.version == *version => load(git, version).map(drop),
        _ => Ok(()),
    }
}

/// Writes the record for the next phases.
///
/// # Errors
/// The file cannot be written.
pub fn write(git: &Git, record: &TagRecord) -> Result<()> {
    let json = serde_json::to_string_pretty(record).context("cannot write the record as JSON")?;
    files::write_atomic(&path(git), &format!("{json}\n"))
}
