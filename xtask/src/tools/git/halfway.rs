//! What git leaves behind when it is stopped while it moves HEAD, the index and files; and how that is completed.
//!
//! git writes files first, then the index in one step, then refs and HEAD. Stopped in between, it leaves the file that
//! it was at incomplete, and `*.lock` files that make every later git refuse. `tree::movement` knows which movement it was.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::time::SystemTime;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::lists::{self, Difference};
use super::{Git, TreeEntry, locks};
use crate::domain::oid::Oid;
use crate::domain::release::intent::{At, Intent, Place, SeenPath, Way};
use crate::tools::files;
use crate::tools::process;

/// Name of the record of a movement ([`Intent`]) in the git directory of its work tree.
pub const INTENT: &str = "release-intent.json";

/// Mode of a submodule's entry, whose files are not in this repository.
const SUBMODULE: &str = "160000";

/// Writes HEAD again if a power cut left it incomplete while it was moved to a branch: git does not sync it then, and
/// afterwards, git finds no repository. Without a record of a movement around `dir`, does nothing.
///
/// # Errors
/// HEAD or the record cannot be read, or HEAD cannot be written.
pub(super) fn mend_head(dir: &Utf8Path) -> Result<()> {
    let Some(dir) = git_directory(dir)?.filter(|dir| files::is_there(&dir.join(INTENT))) else { return Ok(()) };
    let head = dir.join("HEAD");
    if files::read_text(&head)?.ends_with('\n') {
        return Ok(());
    }
    let text = files::read_text(&dir.join(INTENT))?;
    let intent: Intent = serde_json::from_str(&text).with_context(|| {
        format!("{head} is incomplete, and so is the record of what was moved, {}", dir.join(INTENT))
    })?;
    let place = match &intent.head.to {
        Place::Branch(branch) => format!("ref: refs/heads/{branch}\n"),
        Place::Commit(commit) => format!("{commit}\n"),
    };
    files::write_atomic(&head, &place)
}

/// Returns the git directory of the work tree around `dir`, without git.
fn git_directory(dir: &Utf8Path) -> Result<Option<Utf8PathBuf>> {
    let Some(found) = dir.ancestors().map(|dir| dir.join(".git")).find(|path| files::is_there(path)) else {
        return Ok(None);
    };
    if found.is_dir() {
        return Ok(Some(found));
    }
    // A work tree beside the first one: the file leads to its directory.
    let text = files::read_text(&found)?;
    let named = text.strip_prefix("gitdir: ").map(str::trim_end);
    Ok(named.map(|named| found.parent().unwrap_or(&found).join(named)))
}

impl Git {
    /// Returns what HEAD names.
    pub fn place(&self) -> Result<Place> {
        let head = self.head()?;
        Ok(head.branch.map_or(Place::Commit(head.commit), Place::Branch))
    }

    /// Returns the directory of this work tree's HEAD and index.
    pub fn dir(&self) -> Result<Utf8PathBuf> {
        self.read(["rev-parse", "--path-format=absolute", "--git-dir"]).map(Utf8PathBuf::from)
    }

    /// Returns the directory of what all work trees share: refs and objects.
    pub fn common_dir(&self) -> Result<Utf8PathBuf> {
        self.read(["rev-parse", "--path-format=absolute", "--git-common-dir"]).map(Utf8PathBuf::from)
    }

    /// Returns the paths that differ between two commits.
    ///
    /// # Errors
    /// A commit is missing, or the name of a path is not UTF-8.
    pub fn differences(&self, way: &Way<Oid>) -> Result<Vec<Difference>> {
        let raw = ["diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames"];
        let written = process::read_bytes(self.cmd(raw).args([way.from.as_str(), way.to.as_str()]))?;
        let text = String::from_utf8(written).context("the name of a file that differs is not UTF-8")?;
        let all = lists::differences(&text);
        all.with_context(|| format!("`git diff-tree` wrote something unexpected about {}", way.to))
    }

    /// Tells which of two commits the index and the files agree with, path by path.
    ///
    /// # Errors
    /// The index or a file cannot be read.
    pub fn seen_paths(&self, differences: &[Difference]) -> Result<Vec<SeenPath>> {
        let staged = lists::staged(&process::read_bytes(self.cmd(["ls-files", "-t", "--stage", "-z"]))?)?;
        let hashes = self.hashes(differences)?;
        let mut seen = Vec::new();
        for difference in differences {
            let there = staged.get(&difference.path);
            let entry = |side: &Option<TreeEntry>| side.as_ref().map(|entry| (entry.mode.clone(), entry.oid.clone()));
            let index = at(
                there.map(|there| (there.mode.clone(), there.oid.clone())),
                [entry(&difference.from), entry(&difference.to)],
            );
            let sides = [&difference.from, &difference.to];
            let has_no_file = there.is_some_and(|there| there.skipped)
                || sides.iter().any(|side| side.as_ref().is_some_and(|entry| entry.mode == SUBMODULE));
            let file = if has_no_file { None } else { Some(self.file_at(difference, hashes.get(&difference.path))?) };
            seen.push(SeenPath { path: difference.path.clone(), index, file });
        }
        Ok(seen)
    }

    fn file_at(&self, difference: &Difference, hash: Option<&Oid>) -> Result<At> {
        let oid = |side: &Option<TreeEntry>| side.as_ref().map(|entry| entry.oid.clone());
        let found = at(hash.cloned(), [oid(&difference.from), oid(&difference.to)]);
        let Some(to) = difference.to.as_ref().filter(|_| found == At::Elsewhere) else { return Ok(found) };
        let Some(written) = files::bytes_if_there(&self.root().join(&difference.path))? else { return Ok(At::Between) };
        let whole = self.cmd(["cat-file", "--filters", &format!("--path={}", difference.path), to.oid.as_str()]);
        let is_beginning = process::read_bytes(whole)?.starts_with(&written);
        Ok(if is_beginning { At::Between } else { At::Elsewhere })
    }

    /// Returns the object names that git would give the files that are there.
    fn hashes(&self, differences: &[Difference]) -> Result<BTreeMap<String, Oid>> {
        let mut hashes = BTreeMap::new();
        let mut regular = Vec::new();
        for Difference { path, .. } in differences {
            let file = self.root().join(path);
            match fs::symlink_metadata(&file) {
                // Names that `--stdin-paths` would misread.
                Ok(facts) if facts.is_file() && path.contains(['\n', '"', '\\']) => {
                    let hash = self.cmd(["hash-object", "--", path]);
                    hashes.insert(path.clone(), super::parse_oid(&process::read(hash)?)?);
                }
                Ok(facts) if facts.is_file() => regular.push(path),
                Ok(facts) if facts.is_symlink() => {
                    let target = file.read_link_utf8().with_context(|| format!("cannot read the link {file}"))?;
                    let hash = self.cmd(["hash-object", "--stdin"]).stdin(target.as_str());
                    hashes.insert(path.clone(), super::parse_oid(&process::read(hash)?)?);
                }
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(error) => return Err(error).with_context(|| format!("cannot look at {file}")),
            }
        }
        if !regular.is_empty() {
            let list: String = regular.iter().map(|path| format!("{path}\n")).collect();
            let written = process::read(self.cmd(["hash-object", "--stdin-paths"]).stdin(list))?;
            for (path, oid) in regular.into_iter().zip(written.lines()) {
                hashes.insert(path.clone(), super::parse_oid(oid)?);
            }
        }
        Ok(hashes)
    }

    /// Completes what [`Git::seen_paths`] found halfway: index and files become those of the second commit. Paths that
    /// do not differ are left alone.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn complete(&self, way: &Way<Oid>, differences: &[Difference], seen: &[SeenPath]) -> Result<()> {
        for (difference, seen) in differences.iter().zip(seen).filter(|(_, seen)| seen.file.is_some()) {
            // git keeps a file that the index does not know: it could be the user's.
            let is_half_made = difference.from.is_none() && seen.index != At::To;
            let is_half_removed = difference.to.is_none() && seen.index == At::To;
            if is_half_made || is_half_removed {
                files::remove_if_there(&self.root().join(&difference.path))?;
            }
        }
        let paths = ["read-tree", "--reset", "-u", way.from.as_str(), way.to.as_str()];
        process::read_bytes(self.cmd(paths))?;
        // What the index had already counts as written, although a power cut may have taken the file.
        let is_missing = |(difference, seen): &(&Difference, &SeenPath)| {
            difference.to.is_some() && seen.index == At::To && seen.file.is_some_and(|file| file != At::To)
        };
        let missing: String =
            differences.iter().zip(seen).filter(is_missing).map(|(one, _)| format!("{}\0", one.path)).collect();
        if !missing.is_empty() {
            process::read_bytes(self.cmd(["checkout-index", "--force", "-u", "-z", "--stdin"]).stdin(missing))?;
        }
        Ok(())
    }

    /// Points HEAD at a branch or a commit; index and files stay as they are.
    pub fn put_head(&self, place: &Place, reason: &str) -> Result<()> {
        let cmd = match place {
            Place::Branch(branch) => self.cmd(["symbolic-ref", "-m", reason, "HEAD", &format!("refs/heads/{branch}")]),
            Place::Commit(commit) => self.cmd(["update-ref", "--no-deref", "-m", reason, "HEAD", commit.as_str()]),
        };
        process::read_bytes(cmd).map(drop)
    }

    /// Removes the lock files that a stopped git has left since `begun`, of what a movement of these refs changes.
    ///
    /// # Errors
    /// git is still running here.
    pub fn clear_locks(&self, refs: &[&str], begun: SystemTime) -> Result<()> {
        let (dir, common) = (self.dir()?, self.common_dir()?);
        let mut places = vec![dir.clone(), common.clone(), common.join("reftable")];
        places.extend(refs.iter().filter_map(|name| Some(common.join(name).parent()?.to_owned())));
        places.sort();
        places.dedup();
        locks::remove(&locks::find(&places, begun), &[self.root(), &dir, &common])
    }
}

fn at<T: PartialEq>(now: Option<T>, [from, to]: [Option<T>; 2]) -> At {
    if now == to {
        At::To
    } else if now == from {
        At::From
    } else if now.is_none() {
        At::Between
    } else {
        At::Elsewhere
    }
}
