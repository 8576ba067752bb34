//! Commits that a phase plans on top of a branch: shown first, made in a scratch repository, and landed in one step.

use anyhow::{Context, Result};

use crate::domain::oid::Oid;
use crate::tools::git::{Git, RefMove};
use crate::tools::scratch_repo::{Edit, ScratchRepo};
use crate::tools::term;

/// A commit on top of the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub message: String,
    pub edits: Vec<Edit>,
}

impl Commit {
    /// Prints the subject and the files.
    pub fn show(&self) {
        term::say(format_args!("  commit  {}", self.message.lines().next().unwrap_or_default()));
        let (written, removed): (Vec<_>, Vec<_>) = self.edits.iter().partition(|edit| edit.content.is_some());
        for edit in written {
            term::say(format_args!("    write   {}", edit.path));
        }
        match removed.len() {
            0 => {}
            1 => term::say("    remove  1 fragment"),
            n => term::say(format_args!("    remove  {n} fragments")),
        }
        for edit in removed {
            term::detail(format_args!("            {}", edit.path));
        }
    }

    /// Makes the commit on top of `base`; no ref names it yet.
    ///
    /// # Errors
    /// The `commit-msg` hook refuses the message, or git fails.
    pub fn make(&self, scratch: &ScratchRepo, base: &Oid) -> Result<Oid> {
        let tree = scratch.tree(base, &self.edits)?;
        let message = scratch.through_commit_msg_hook(&self.message)?;
        scratch.commit(&tree, &[base], &message, false)
    }
}

/// Moves a branch from `from` to its descendant `to`. If a work tree has the branch checked out, its index and files
/// move, too.
///
/// # Errors
/// The branch has moved in the meantime, or a file is in the way; nothing has changed then.
pub fn land(git: &Git, branch: &str, from: &Oid, to: &Oid, reason: &str) -> Result<()> {
    let moved = match git.work_tree_of(branch)? {
        Some(work_tree) => Git::open(&work_tree)?.fast_forward(to, reason),
        None => {
            let name = format!("refs/heads/{branch}");
            git.move_refs(&[RefMove { name, from: Some(from.clone()), to: to.clone() }], reason)
        }
    };
    moved.with_context(|| format!("cannot move the branch {branch} to its new commits"))
}
