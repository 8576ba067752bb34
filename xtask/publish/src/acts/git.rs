//! A release's branch, review and tag on a git remote.

use anyhow::Result;
use xtask::domain::environment::GitTarget;
use xtask::domain::oid::Oid;
use xtask::domain::release::Release;
use xtask::domain::release::tagging::{Relation, TagRecord};
use xtask::tools::git::Git;
use xtask::tools::remote::Remote;

use crate::domain::publication::acts::Push;
use crate::domain::publication::judgement::{Review, Seen};

/// What is pushed of a release, and where.
pub struct GitSide<'a> {
    pub remote: Remote<'a>,
    /// Name of the release branch.
    branch: String,
    tag: TagRecord,
    /// Name of the tag.
    name: String,
}

/// A push that may be necessary.
pub struct Prospect<'a> {
    remote: &'a Remote<'a>,
    refspec: String,
    pub(super) seen: Seen,
}

/// Looks at what a remote has of a release.
///
/// # Errors
/// The remote cannot be asked.
pub fn look<'a>(side: &'a GitSide<'_>, push: Push, is_reviewed: bool, force_tag: bool) -> Result<Prospect<'a>> {
    let seen = match push {
        Push::Branch => side.branch()?,
        Push::Review => side.review()?,
        Push::Tag => side.tag(is_reviewed)?,
    };
    Ok(Prospect { remote: &side.remote, refspec: side.refspec(push, force_tag), seen })
}

impl Prospect<'_> {
    pub(super) fn apply(&self) -> Result<()> {
        self.remote.push(std::slice::from_ref(&self.refspec)).map(drop)
    }
}

impl<'a> GitSide<'a> {
    /// Finds the remote for a release.
    ///
    /// # Errors
    /// The remote does not exist.
    pub fn find(git: &'a Git, target: &GitTarget, release: &Release, tag: &TagRecord) -> Result<GitSide<'a>> {
        let (branch, name) = (release.release_branch(), release.tag());
        Ok(GitSide { remote: Remote::find(git, target)?, branch, tag: tag.clone(), name })
    }

    /// Returns the refspec of a push. `force_tag` replaces a different tag on the remote; the judgement allows that
    /// only with the manager's consent.
    pub fn refspec(&self, push: Push, force_tag: bool) -> String {
        let GitSide { branch, tag, name, .. } = self;
        match push {
            Push::Branch => format!("{}:refs/heads/{branch}", tag.merge_commit),
            Push::Review => format!("{}:refs/for/{branch}", tag.merge_commit),
            Push::Tag if force_tag => format!("+{}:refs/tags/{name}", tag.tag_object),
            Push::Tag => format!("{}:refs/tags/{name}", tag.tag_object),
        }
    }

    fn branch(&self) -> Result<Seen> {
        let ours = self.tag.merge_commit.clone();
        let tip = self.remote.branch(&self.branch)?;
        let relation = match &tip {
            None => Relation::Behind,
            Some(tip) => self.remote.history(&self.branch, tip)?.relation(&ours, tip)?,
        };
        Ok(Seen::Branch { ours, remote: tip, relation })
    }

    fn review(&self) -> Result<Seen> {
        let review = review(&self.remote, &self.branch, &self.tag)?;
        Ok(Seen::Review { review, branch: self.branch.clone(), tag: Box::new(self.tag.clone()) })
    }

    fn tag(&self, reviewed: bool) -> Result<Seen> {
        let heads = self.remote.heads(&[&self.branch], Some(&self.name))?;
        let there = heads.tag(&self.name);
        let ready = if !reviewed || there.is_some() {
            Ok(())
        } else {
            match review_at(&self.remote, &self.branch, &self.tag, heads.branch(&self.branch))? {
                Review::Submitted => Ok(()),
                Review::Half { .. } => Err("the commit that merges it back is not submitted yet".to_owned()),
                Review::Unknown | Review::Open | Review::Rewritten(_) => {
                    Err("its commit is not submitted yet, and Gerrit accepts the tag only once it is".to_owned())
                }
            }
        };
        Ok(Seen::Tag { ours: self.tag.tag_object.clone(), remote: there, ready })
    }
}

/// Returns the state of the release's commits in Gerrit.
///
/// # Errors
/// The remote cannot be asked.
pub fn review(remote: &Remote, branch: &str, tag: &TagRecord) -> Result<Review> {
    review_at(remote, branch, tag, remote.branch(branch)?)
}

/// Returns the state of the release's commits, given the tip of the branch.
fn review_at(remote: &Remote, branch: &str, tag: &TagRecord, tip: Option<Oid>) -> Result<Review> {
    if let Some(tip) = tip {
        let history = remote.history(branch, &tip)?;
        if history.contains(&tip, &tag.merge_commit)? {
            return Ok(Review::Submitted);
        }
        let base = history.commit(&tag.merge_commit)?.tree;
        let submitted = history.only_in(&tip, &tag.commit)?;
        if history.contains(&tip, &tag.commit)? {
            // Another commit may merge it back, because Gerrit may have rewritten ours.
            let is_merged_back = submitted.iter().any(|it| it.parents.contains(&tag.commit) && it.tree == base);
            return Ok(if is_merged_back {
                Review::Submitted
            } else {
                Review::Half { pushed: remote.has_in_review(&tag.merge_commit)? }
            });
        }
        if let Some(rewritten) = submitted.into_iter().find(|commit| commit.tree == tag.tree) {
            return Ok(Review::Rewritten(rewritten.oid));
        }
    }
    Ok(if remote.has_in_review(&tag.merge_commit)? { Review::Open } else { Review::Unknown })
}
