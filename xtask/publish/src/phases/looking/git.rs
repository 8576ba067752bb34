//! Looking at what a git remote has of a release: its branch, its review, its tag.

use anyhow::{Result, bail};
use xtask::domain::oid::Oid;
use xtask::domain::release::tagging::Relation;
use xtask::tools::remote::Remote;

use super::Looked;
use crate::domain::publication::acts::{Official, Subject};
use crate::domain::publication::judgement::{Review, Seen};
use crate::phases::session::Session;

pub(super) fn look(session: &Session, look: impl FnOnce(&Remote, &Official) -> Result<Seen>) -> Result<Looked> {
    let (Some(remote), Subject::Official(official)) = (&session.remote, &session.sealed.subject) else {
        bail!("there is no git remote for what is no release");
    };
    look(remote, official).map(Looked::Other)
}

pub(super) fn branch(remote: &Remote, official: &Official) -> Result<Seen> {
    let branch = official.release.release_branch();
    let ours = official.tag.merge_commit.clone();
    let tip = remote.branch(&branch)?;
    let relation = match &tip {
        None => Relation::Behind,
        Some(tip) => remote.history(&branch, tip)?.relation(&ours, tip)?,
    };
    Ok(Seen::Branch { ours, remote: tip, relation })
}

/// What has become of the release's commits in Gerrit.
///
/// # Errors
/// The remote cannot be asked.
pub fn review(remote: &Remote, official: &Official) -> Result<Review> {
    let tip = remote.branch(&official.release.release_branch())?;
    review_at(remote, official, tip)
}

/// The same where the tip of the branch is known.
fn review_at(remote: &Remote, official: &Official, tip: Option<Oid>) -> Result<Review> {
    let branch = official.release.release_branch();
    let tag = &official.tag;
    if let Some(tip) = tip {
        let history = remote.history(&branch, &tip)?;
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

pub(super) fn tag(remote: &Remote, official: &Official, reviewed: bool) -> Result<Seen> {
    let (branch, name) = (official.release.release_branch(), official.release.tag());
    let heads = remote.heads(&[&branch], Some(&name))?;
    let there = heads.tag(&name);
    let ready = if !reviewed || there.is_some() {
        Ok(())
    } else {
        match review_at(remote, official, heads.branch(&branch))? {
            Review::Submitted => Ok(()),
            Review::Half { .. } => Err("the commit that merges it back is not submitted yet".to_owned()),
            Review::Unknown | Review::Open | Review::Rewritten(_) => {
                Err("its commit is not submitted yet, and Gerrit takes the tag only then".to_owned())
            }
        }
    };
    Ok(Seen::Tag { ours: official.tag.tag_object.clone(), remote: there, ready })
}
