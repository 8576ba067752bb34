//! Looking at what a git remote has of a release: its branch, its review, its tag.

use anyhow::{Context, Result};
use xtask::domain::environment::GitTarget;
use xtask::domain::oid::Oid;
use xtask::domain::release::Release;
use xtask::domain::release::tagging::{Relation, TagRecord};
use xtask::tools::git::Git;
use xtask::tools::remote::Remote;

use crate::acts::Looked;
use crate::delivery::train::Session;
use crate::domain::publication::judgement::{Review, Seen};

/// What git publishes of a release, and where it goes.
pub struct GitSide<'a> {
    pub remote: Remote<'a>,
    /// Its branch.
    branch: String,
    tag: TagRecord,
    /// What the tag is called.
    name: String,
}

pub(super) fn look(session: &Session, look: impl FnOnce(&GitSide) -> Result<Seen>) -> Result<Looked> {
    look(session.git_side.as_ref().context("this release is not pushed anywhere")?).map(Looked::Other)
}

impl<'a> GitSide<'a> {
    /// # Errors
    /// There is no such remote.
    pub fn find(git: &'a Git, target: &GitTarget, release: &Release, tag: &TagRecord) -> Result<GitSide<'a>> {
        let (branch, name) = (release.release_branch(), release.tag());
        Ok(GitSide { remote: Remote::find(git, target)?, branch, tag: tag.clone(), name })
    }

    /// What is pushed to the branch.
    pub fn branch_refspec(&self) -> String {
        format!("{}:refs/heads/{}", self.tag.merge_commit, self.branch)
    }

    /// What is pushed for review.
    pub fn review_refspec(&self) -> String {
        format!("{}:refs/for/{}", self.tag.merge_commit, self.branch)
    }

    /// What is pushed as the tag. One that is there and another is replaced only after consent, which is `force`: the
    /// judgement has seen to that.
    pub fn tag_refspec(&self, force: bool) -> String {
        let plus = if force { "+" } else { "" };
        format!("{plus}{}:refs/tags/{}", self.tag.tag_object, self.name)
    }

    pub(super) fn branch(&self) -> Result<Seen> {
        let ours = self.tag.merge_commit.clone();
        let tip = self.remote.branch(&self.branch)?;
        let relation = match &tip {
            None => Relation::Behind,
            Some(tip) => self.remote.history(&self.branch, tip)?.relation(&ours, tip)?,
        };
        Ok(Seen::Branch { ours, remote: tip, relation })
    }

    pub(super) fn review(&self) -> Result<Seen> {
        let review = review(&self.remote, &self.branch, &self.tag)?;
        Ok(Seen::Review { review, branch: self.branch.clone(), tag: Box::new(self.tag.clone()) })
    }

    pub(super) fn tag(&self, reviewed: bool) -> Result<Seen> {
        let heads = self.remote.heads(&[&self.branch], Some(&self.name))?;
        let there = heads.tag(&self.name);
        let ready = if !reviewed || there.is_some() {
            Ok(())
        } else {
            match review_at(&self.remote, &self.branch, &self.tag, heads.branch(&self.branch))? {
                Review::Submitted => Ok(()),
                Review::Half { .. } => Err("the commit that merges it back is not submitted yet".to_owned()),
                Review::Unknown | Review::Open | Review::Rewritten(_) => {
                    Err("its commit is not submitted yet, and Gerrit takes the tag only then".to_owned())
                }
            }
        };
        Ok(Seen::Tag { ours: self.tag.tag_object.clone(), remote: there, ready })
    }
}

/// What has become of the release's commits in Gerrit.
///
/// # Errors
/// The remote cannot be asked.
pub fn review(remote: &Remote, branch: &str, tag: &TagRecord) -> Result<Review> {
    review_at(remote, branch, tag, remote.branch(branch)?)
}

/// The same where the tip of the branch is known.
fn review_at(remote: &Remote, branch: &str, tag: &TagRecord, tip: Option<Oid>) -> Result<Review> {
    if let Some(tip) = tip {
        let history = remote.history(branch, &tip)?;
        if history.contains(&tip, &tag.merge_commit)? {
            return Ok(Review::Submitted);
        }
        let base = history.commit(&tag.merge_commit)?.tree;
        let submitted = history.only_in(&tip, &tag.commit)?;
        if history.contains(&tip, &tag.commit)? {
            // Another commit may bring it back: Gerrit can have written the last one anew.
            let brings_back = submitted.iter().any(|it| it.parents.contains(&tag.commit) && it.tree == base);
            return Ok(match brings_back {
                true => Review::Submitted,
                false => Review::Half { pushed: remote.has_in_review(&tag.merge_commit)? },
            });
        }
        if let Some(rewritten) = submitted.into_iter().find(|commit| commit.tree == tag.tree) {
            return Ok(Review::Rewritten(rewritten.oid));
        }
    }
    Ok(if remote.has_in_review(&tag.merge_commit)? { Review::Open } else { Review::Unknown })
}
