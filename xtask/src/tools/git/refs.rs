//! Refs and what is checked out: the commands that move them. One that was stopped is completed by `tree::movement`.
//!
//! git runs to its end even if we are killed, and holds `lock` until then.

use std::fs::File;

use anyhow::Result;
use camino::Utf8PathBuf;

use super::{Git, lists};
use crate::domain::oid::Oid;
use crate::domain::release::intent::RefMove;
use crate::tools::process;

impl Git {
    /// Moves the branch, the index and the work tree from HEAD to a descendant, in one step of git's, without hooks.
    /// Untracked files are never overwritten.
    ///
    /// # Errors
    /// The branch has moved, so that `to` is not a descendant, or a file is in the way; or the disk is full.
    pub fn fast_forward(&self, to: &Oid, reason: &str, lock: &File) -> Result<()> {
        let cmd = self.cmd(["-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "maintenance.auto=false"]);
        // A branch may have options for `merge` among its settings.
        let cmd = cmd
            .args(["merge", "--quiet", "--ff-only", "--commit", "--no-squash", "--no-autostash"])
            .args(["--no-verify-signatures", "--no-overwrite-ignore", to.as_str()])
            .env("GIT_REFLOG_ACTION", reason);
        process::run_uninterruptible(cmd, "", lock)
    }

    /// Creates and moves refs, all of them or none, if each still has its old value.
    ///
    /// # Errors
    /// A ref has another value by now.
    pub fn move_refs(&self, moves: &[RefMove], reason: &str, lock: &File) -> Result<()> {
        let mut input = String::new();
        for RefMove { name, from, to } in moves {
            match from {
                Some(from) => input += &format!("update {name}\0{to}\0{from}\0"),
                None => input += &format!("create {name}\0{to}\0"),
            }
        }
        let cmd = self.cmd(["-c", "core.hooksPath=/dev/null", "update-ref", "-m", reason, "--stdin", "-z"]);
        process::run_uninterruptible(cmd, &input, lock)
    }

    /// Detaches HEAD at a commit, and moves the work tree with it.
    ///
    /// # Errors
    /// A file in the work tree is in the way.
    pub fn detach_at(&self, commit: &Oid, lock: &File) -> Result<()> {
        let cmd = self.cmd(["-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false"]);
        process::run_uninterruptible(cmd.args(["checkout", "--quiet", "--detach", commit.as_str()]), "", lock)
    }

    /// Switches HEAD to a branch, and moves the work tree with it.
    ///
    /// # Errors
    /// A file in the work tree is in the way, or another work tree has the branch.
    pub fn switch_to(&self, branch: &str, lock: &File) -> Result<()> {
        let cmd = self.cmd(["-c", "core.hooksPath=/dev/null", "switch", "--quiet", "--no-guess", "--end-of-options"]);
        process::run_uninterruptible(cmd.arg(branch), "", lock)
    }

    /// Returns the work trees of this repository; some may be gone.
    ///
    /// # Errors
    /// The path of one is not UTF-8.
    pub fn work_trees(&self) -> Result<Vec<Utf8PathBuf>> {
        let list = self.read(["worktree", "list", "--porcelain"])?;
        Ok(lists::work_trees(&list))
    }

    /// Returns the work tree that has a branch checked out, if there is one.
    pub fn work_tree_of(&self, branch: &str) -> Result<Option<Utf8PathBuf>> {
        let reference = format!("refs/heads/{branch}");
        let list = self.read(["for-each-ref", "--format=%(refname) %(worktreepath)", &reference])?;
        Ok(lists::work_tree_of(&list, &reference))
    }
}
