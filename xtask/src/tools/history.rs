//! Our history and a remote branch's, side by side, in a scratch repository that has the objects of both.
//!
//! If git cannot tell, that is an error, never a no. [`super::remote`] fetches what is needed.

use anyhow::{Context, Result};
use camino::Utf8Path;
use xshell::Cmd;

use super::git::{Git, LOG, parse_commit, parse_oid};
use super::process;
use super::scratch_dir::ScratchDir;
use crate::domain::oid::Oid;
use crate::domain::release::tagging::{Commit, Relation};

/// Our history and a remote branch's, side by side.
pub struct History<'a> {
    git: &'a Git,
    scratch: ScratchDir,
}

impl<'a> History<'a> {
    /// Makes a scratch repository that has our objects.
    pub(super) fn new(git: &'a Git) -> Result<History<'a>> {
        let scratch = ScratchDir::new()?;
        let dir = scratch.path();
        let format = format!("--object-format={}", git.object_format()?);
        process::read(git.cmd(["init", "--quiet", "--bare", "--template=", &format, dir.as_str()]))?;
        let (alternates, objects) = (dir.join("objects/info/alternates"), git.object_directories()?);
        std::fs::create_dir_all(dir.join("objects/info"))
            .and_then(|()| std::fs::write(&alternates, objects))
            .with_context(|| format!("cannot write {alternates}"))?;
        Ok(History { git, scratch })
    }

    /// Returns the directory of the scratch repository.
    pub fn dir(&self) -> &Utf8Path {
        self.scratch.path()
    }

    fn cmd(&self, args: &[&str]) -> Cmd<'a> {
        self.git.cmd(["--git-dir", self.dir().as_str()]).args(args)
    }

    /// Whether `descendant` contains `ancestor`.
    ///
    /// # Errors
    /// The history of `descendant` is incomplete.
    pub fn contains(&self, descendant: &Oid, ancestor: &Oid) -> Result<bool> {
        let cmd = self.cmd(&["merge-base", "--is-ancestor", ancestor.as_str(), descendant.as_str()]);
        let shown = cmd.to_string();
        let output = process::capture(cmd)?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            // A commit that is not here is not in a history that is complete.
            _ if !self.has(ancestor)? && self.is_complete(descendant)? => Ok(false),
            _ => process::check(&shown, &output).map(|()| false).with_context(|| self.why_incomplete(descendant)),
        }
    }

    /// Returns how a branch of the remote relates to a commit of ours.
    ///
    /// # Errors
    /// As for [`History::contains`].
    pub fn relation(&self, ours: &Oid, theirs: &Oid) -> Result<Relation> {
        Ok(if self.contains(theirs, ours)? {
            Relation::Contains
        } else if self.contains(ours, theirs)? {
            Relation::Behind
        } else {
            Relation::Diverged
        })
    }

    fn has(&self, object: &Oid) -> Result<bool> {
        let output = process::capture(self.cmd(&["cat-file", "-e", &format!("{object}^{{commit}}")]))?;
        Ok(output.status.success())
    }

    fn is_complete(&self, tip: &Oid) -> Result<bool> {
        Ok(process::capture(self.cmd(&["rev-list", "--quiet", tip.as_str()]))?.status.success())
    }

    fn why_incomplete(&self, tip: &Oid) -> String {
        let tip = tip.short();
        match self.git.is_shallow() {
            Ok(true) => {
                format!("this clone is shallow, so the history of {tip} is incomplete: `git fetch --unshallow`")
            }
            _ => format!("the history of {tip} is incomplete: `git fsck --connectivity-only` says what is missing"),
        }
    }

    /// Returns a commit's tree and parents.
    ///
    /// # Errors
    /// There is no such commit.
    pub fn commit(&self, oid: &Oid) -> Result<Commit> {
        let line = process::read(self.cmd(&LOG).args(["--max-count=1", oid.as_str(), "--"]))?;
        parse_commit(&line)
    }

    /// Reads one file of a commit as text; `None` if the commit does not have it.
    ///
    /// # Errors
    /// The commit or the file is not there, or the file is not UTF-8.
    pub fn file(&self, commit: &Oid, path: &str) -> Result<Option<String>> {
        let listed =
            process::read(self.cmd(&["ls-tree", "--object-only", "--full-tree", commit.as_str(), "--", path]))?;
        if listed.is_empty() {
            return Ok(None);
        }
        let blob = parse_oid(&listed)?;
        let bytes = process::read_bytes(self.cmd(&["cat-file", "blob", blob.as_str()]))?;
        String::from_utf8(bytes).map(Some).with_context(|| format!("{path} is not UTF-8"))
    }

    /// Returns the commits of `tip` that `known` does not contain, newest first.
    ///
    /// # Errors
    /// The history is incomplete.
    pub fn only_in(&self, tip: &Oid, known: &Oid) -> Result<Vec<Commit>> {
        let list = process::read(self.cmd(&LOG).args([tip.as_str(), "--not", known.as_str(), "--"]))
            .with_context(|| self.why_incomplete(tip))?;
        list.lines().map(parse_commit).collect()
    }
}
