//! The judgement of branches, reviews and tags. What was pushed cannot be taken back.

use xtask::domain::oid::Oid;
use xtask::domain::release::tagging::{Relation, Tag, TagRecord};

use super::Waivers;
use crate::domain::publication::plan::{Judgement, Status};

/// A release's commits in Gerrit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Review {
    /// Not pushed, as far as the remote shows.
    Unknown,
    /// Waiting for review.
    Open,
    /// The branch contains the tagged commit, but not the commit that merges it back, which may have been pushed.
    Half { pushed: bool },
    /// The branch contains both commits.
    Submitted,
    /// The branch contains this commit instead, with the same tree as the tagged one.
    Rewritten(Oid),
}

pub(super) fn judge_branch(ours: &Oid, remote: Option<&Oid>, relation: Relation) -> Judgement {
    let change = |from: &str| (format!("{from} -> {}", ours.short()), vec![format!("{from} -> {ours}")]);
    match (remote, relation) {
        (None, _) => Judgement::absent(format!("to {}", ours.short()), vec![format!("to {ours}")]),
        (Some(remote), Relation::Contains) => Judgement::same(remote.short()),
        (Some(remote), Relation::Behind) => {
            let (summary, changes) = change(remote.short());
            Judgement::different(summary, changes)
        }
        (Some(remote), Relation::Diverged) => {
            let why = format!(
                "the remote branch is at {}, which ours does not contain: fetch it, and tag the release on top of it",
                remote.short()
            );
            let (summary, changes) = change(remote.short());
            Judgement::new(Status::Refused(vec![why]), summary, changes)
        }
    }
}

pub(super) fn judge_tag(ours: &Oid, remote: Option<&Tag>, ready: &Result<(), String>, waivers: &Waivers) -> Judgement {
    let is_ours = |tag: &Tag| matches!(tag, Tag::Annotated { object, .. } if object == ours);
    match (remote, ready) {
        (Some(remote), _) if is_ours(remote) => Judgement::same(ours.short()),
        (Some(remote), _) if !waivers.force_push_tag => {
            let theirs = match remote {
                Tag::Annotated { object, commit } => {
                    format!("another tag of this name, {}, for the commit {}", object.short(), commit.short())
                }
                Tag::Lightweight(object) => format!(
                    "a lightweight tag of this name, for {}, while ours is an annotated one, {}",
                    object.short(),
                    ours.short()
                ),
            };
            let why = format!("the remote has {theirs}: a published tag stays (`--force-push-tag` replaces it anyway)");
            Judgement::refused(vec![why])
        }
        (remote, Ok(())) => {
            let object = remote.map(Tag::object);
            let (status, from) = match object {
                Some(object) => (Status::Different, format!("{} -> ", object.short())),
                None => (Status::Absent, "to ".to_owned()),
            };
            Judgement::new(status, format!("{from}{}", ours.short()), vec![format!("{from}{ours}")])
        }
        (_, Err(why)) => {
            let waits = Status::Waiting(why.clone());
            Judgement::new(waits, format!("to {}", ours.short()), vec![format!("to {ours}")])
        }
    }
}

pub(super) fn judge_review(review: &Review, branch: &str, tag: &TagRecord) -> Judgement {
    let merge = tag.merge_commit.short();
    match review {
        Review::Unknown => {
            Judgement::absent(format!("push {merge}"), vec![format!("push {} for {branch}", tag.merge_commit)])
        }
        Review::Open => {
            let why = format!("submit the changes up to {merge} in Gerrit, without rebasing, then run this again");
            Judgement::new(Status::Waiting(why), format!("pushed {merge}"), Vec::new())
        }
        Review::Half { pushed: false } => {
            let summary = format!("push {merge}: {branch} has only the release commit {}", tag.commit.short());
            Judgement::absent(summary, vec![format!("push {} for {branch}", tag.merge_commit)])
        }
        Review::Half { pushed: true } => {
            let why = format!(
                "{branch} has the release commit {}, and is marked as an official release until the commit that merges \
                 it back, {merge}, is there, too: submit that change in Gerrit, without rebasing, then run this again",
                tag.commit.short()
            );
            Judgement::new(Status::Waiting(why), format!("pushed {merge}"), Vec::new())
        }
        Review::Submitted => Judgement::same(format!("{branch} has {merge}")),
        Review::Rewritten(other) => {
            let why = format!(
                "Gerrit rewrote the release commit: {branch} has {} with the same tree, and the tag is for {}, which is \
                 on no branch. If the tag is not public yet: `git switch {branch}`, `git pull`, and \
                 `cargo xtask release tag --force-tag` there, then build again. Next time, submit by fast-forward",
                other.short(),
                tag.commit.short()
            );
            Judgement::refused(vec![why])
        }
    }
}
