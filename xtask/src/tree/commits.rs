//! Commits that a phase plans on top of a branch: shown first, made in a scratch repository, and landed in one step.

use anyhow::{Context, Result};

use crate::domain::oid::Oid;
use crate::domain::release::intent::RefMove;
use crate::tools::git::Git;
use crate::tools::scratch_repo::{Edit, ScratchRepo};
use crate::tools::term;
use crate::tree::movement::{Movement, Step};

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
pub fn land(movement: &Movement, branch: &str, from: &Oid, to: &Oid) -> Result<()> {
    let forward = [Step::FastForward { branch, from, to }];
    let moved = match movement.git().work_tree_of(branch)? {
        Some(work_tree) if work_tree == movement.git().root() => movement.carry_out(&forward),
        Some(work_tree) => {
            let there = Git::open(&work_tree)?;
            Movement::begin(&there, movement.command())?.carry_out(&forward)
        }
        None => {
            let name = format!("refs/heads/{branch}");
            movement.carry_out(&[Step::Refs(vec![RefMove { name, from: Some(from.clone()), to: to.clone() }])])
        }
    };
    moved.with_context(|| format!("cannot move the branch {branch} to its new commits"))
}
