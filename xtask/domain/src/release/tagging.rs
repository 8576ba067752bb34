//! The shape of a tagged release in git's history, and whether a repository has it.
//!
//! On branch B at commit P: the release commit R has parent P and changes one flag; the annotated tag points at R; the
//! merge commit M has parents [P, R] and the tree of P, so that the branch contains the tag without the flag.
//! Refuses to make or read any of these.

use serde::{Deserialize, Serialize};

use crate::oid::Oid;
use crate::version::Version;

/// A finished tag, as `release/tag.json` records it for `build` and `upload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagRecord {
    pub version: Version,
    /// The annotated tag itself.
    pub tag_object: Oid,
    /// R, to which the tag points.
    pub commit: Oid,
    /// R's tree: what is built.
    pub tree: Oid,
    /// B, without `refs/heads/`.
    pub branch: String,
    /// M.
    pub merge_commit: Oid,
}

/// A commit's place in history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub oid: Oid,
    pub tree: Oid,
    pub parents: Vec<Oid>,
}

/// How a branch relates to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It contains the commit.
    Contains,
    /// It is at an ancestor of the commit.
    Behind,
    Diverged,
}

/// What a ref below `refs/tags/` points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tag {
    /// At a tag object, which names a commit, a tagger and a message.
    Annotated { object: Oid, commit: Oid },
    /// At a commit itself, or at something that is not a commit.
    Lightweight(Oid),
}

impl Tag {
    /// What the ref itself points at.
    pub fn object(&self) -> &Oid {
        match self {
            Tag::Annotated { object, .. } | Tag::Lightweight(object) => object,
        }
    }
}

/// Whether `merge` brings `release` back to the branch that `release` was made from: its parents are [P, R], and its
/// tree is that of `base`, which is P.
pub fn is_merge_back(merge: &Commit, release: &Commit, base: &Commit) -> bool {
    release.parents == [base.oid.clone()]
        && merge.parents == [base.oid.clone(), release.oid.clone()]
        && merge.tree == base.tree
}
