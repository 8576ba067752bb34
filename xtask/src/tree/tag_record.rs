//! `release/tag.json`: which tag is being released, for the phases after `tag`.
//!
//! The record is a convenience and git is the truth: it is recomputed where it is missing or of another version, and
//! refused where it disagrees.

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;

use crate::domain::oid::Oid;
use crate::domain::release::tagging::{Commit, TagRecord, is_merge_back};
use crate::domain::version::Version;
use crate::tools::files;
use crate::tools::git::Git;
use crate::tools::process;
use crate::tools::term;

fn path(git: &Git) -> Utf8PathBuf {
    git.root().join("release/tag.json")
}

/// A version's tag, as git has it.
enum Found {
    Nothing,
    /// As `tag` makes it, with its merge.
    Tagged(TagRecord),
    /// A ref that leads straight to a commit, or to something that is no commit.
    Lightweight(Oid),
    /// A tag object that is not the one of this version's release commit: what is wrong with it.
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
        return Ok(Found::Odd("names another tag, and not the release commit".to_owned()));
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

/// The tag of a version, with its merge, as git has them; `None` if there is no such tag, or it has not the shape that
/// `tag` gives it.
///
/// # Errors
/// git's own.
pub fn find(git: &Git, version: &Version) -> Result<Option<TagRecord>> {
    match look(git, version)? {
        Found::Tagged(record) => Ok(Some(record)),
        Found::Nothing | Found::Lightweight(_) | Found::Odd(_) | Found::NotMerged(_) => Ok(None),
    }
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
    // One of another version says nothing of this one.
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
    .map(|(what, recorded, found)| format!("{what} {}, and git has {}", recorded.short(), found.short()))
    .collect();
    // Several branches may have the merge; which of them is the release's, only the record knows.
    if differences.is_empty() && !git.branches_with(&found.merge_commit)?.contains(&recorded.branch) {
        differences.push(format!("branch {}, and git has the merge on {}", recorded.branch, found.branch));
    }
    if !differences.is_empty() {
        let all = differences.join("; ");
        bail!("{} records of {version} the {all}: if git is right, remove the file", path(git));
    }
    Ok(recorded)
}

/// That a tag is a lightweight one, and how the annotated one comes back.
fn lightweight(git: &Git, version: &Version, object: &Oid, recorded: Option<&TagRecord>) -> Result<String> {
    let what = format!(
        "the tag {version} is a lightweight tag, which names {} directly; a release needs the annotated one, which has a \
         tagger and a message",
        object.short()
    );
    if let Some(annotated) = recorded.map(|recorded| &recorded.tag_object)
        && git.resolve(&format!("{annotated}^{{tag}}"))?.is_some()
    {
        return Ok(format!("{what}. It is still here: `git update-ref refs/tags/{version} {annotated}`"));
    }
    Ok(format!(
        "{what}. If it was pushed, fetch it: `git fetch --force REMOTE tag {version}`. If it never was, take this one \
         away (`git tag --delete {version}`), `git switch` to the branch and run `{}`",
        term::next("tag")
    ))
}

/// That no local branch has the commit that merges a release back, and which remote one has it.
fn not_merged(git: &Git, version: &Version, commit: &Oid) -> Result<String> {
    let contains = format!("--contains={commit}");
    let format = "--format=%(refname:lstrip=2)";
    let remote = process::read(git.cmd(["for-each-ref", format, &contains, "refs/remotes"]))?;
    // `origin/HEAD` stands for another one.
    let Some(remote) = remote.lines().find(|name| !name.ends_with("/HEAD")) else {
        return Ok(format!(
            "the tag {version} is here, and no branch that merges it back: fetch the branch that it was tagged on, and \
             `git switch` to it"
        ));
    };
    let branch = remote.split_once('/').map_or(remote, |(_, branch)| branch);
    let here = git.resolve(&format!("refs/heads/{branch}"))?.is_some();
    let remedy = if here {
        format!("`git switch {branch}`, then `git merge --ff-only {remote}`")
    } else {
        format!("`git switch {branch}`")
    };
    Ok(format!("the tag {version} is merged back to {remote}, which is not on a branch here: {remedy}"))
}

/// The version that was tagged last, if the record of it is still there and its tag is, too.
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
        format!("{path} is not a record of a tag that this tool can read: remove it, it is made again from git")
    })?;
    Ok(Some(record))
}

/// Whether this is what the record says. One that cannot be read says nothing.
pub fn holds(git: &Git, record: &TagRecord) -> bool {
    read(git).is_ok_and(|recorded| recorded.as_ref() == Some(record))
}

/// Whether the record, if there is one of this version, agrees with git.
///
/// # Errors
/// It does not.
pub fn check(git: &Git, version: &Version) -> Result<()> {
    match read(git)? {
        Some(recorded) if recorded.version == *version => load(git, version).map(drop),
        _ => Ok(()),
    }
}

/// Leaves the record for the next phases.
///
/// # Errors
/// The file cannot be written.
pub fn write(git: &Git, record: &TagRecord) -> Result<()> {
    let json = serde_json::to_string_pretty(record).context("cannot write the record as JSON")?;
    files::write_atomic(&path(git), &format!("{json}\n"))
}
