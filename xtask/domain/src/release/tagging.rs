//! The shape of a tagged release in git's history, and whether a repository has it.
//!
//! On branch B at commit P: the release commit R has parent P and changes one flag; the annotated tag points at R; the
//! merge commit M has parents [P, R] and the tree of P, so that the branch contains the tag without the flag.

use serde::{Deserialize, Serialize};

use crate::oid::Oid;
use crate::version::Version;

/// A finished tag, as `release/tag.json` records it for `build` and `upload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagRecord {
    pub version: Version,
    /// Object of the annotated tag.
    pub tag_object: Oid,
    /// Release commit R, which the tag names.
    pub commit: Oid,
    /// Tree of R, which is built.
    pub tree: Oid,
    /// Name of the branch B, without `refs/heads/`.
    pub branch: String,
    /// Merge commit M.
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
    /// A tag object, which names a commit, a tagger and a message.
    Annotated { object: Oid, commit: Oid },
    /// A commit itself, or something that is not a commit.
    Lightweight(Oid),
}

impl Tag {
    /// Returns the object that the ref itself points at.
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
