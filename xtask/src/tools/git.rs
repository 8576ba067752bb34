//! The repository that is released: how to read it, and the few ways to change it.
//!
//! Owns git's command line and its formats. New objects are made in [`super::scratch_repo`]; refs are moved here, in
//! one step and without hooks.

mod contents;
pub mod environment;
pub mod halfway;
pub mod lists;
pub mod locks;
mod refs;
mod settings;
pub mod tag_object;

use std::ffi::OsStr;
use std::process::Output;

use anyhow::{Context, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use xshell::{Cmd, Shell};

use super::{paint, process, room};
use crate::domain::amounts::counted;
use crate::domain::oid::Oid;
use crate::domain::release::tagging::Commit;

/// A work tree and its repository.
pub struct Git {
    sh: Shell,
    root: Utf8PathBuf,
}

/// Where HEAD is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub commit: Oid,
    /// Name of the branch without `refs/heads/`; `None` if HEAD is detached.
    pub branch: Option<String>,
}

/// One line of `git ls-tree`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Mode: `100644`, `100755`, `120000` (symlink), `040000` (directory), `160000` (submodule).
    pub mode: String,
    pub oid: Oid,
    /// Path relative to the root of the tree.
    pub path: String,
}

impl TreeEntry {
    /// Whether this is a file with content: not a link, a directory or a submodule.
    pub fn is_file(&self) -> bool {
        self.mode.starts_with("100")
    }
}

impl Git {
    /// Opens the work tree that contains `dir`.
    ///
    /// # Errors
    /// `dir` does not exist, or is not in a git work tree.
    pub fn open(dir: &Utf8Path) -> Result<Git> {
        if !dir.is_dir() {
            bail!("{dir} is not a directory: `--repo` names the tree to release");
        }
        halfway::mend_head(dir)?;
        let git = Git { sh: process::shell_in(dir)?, root: dir.to_owned() };
        let root = git.read(["rev-parse", "--show-toplevel"]).with_context(|| {
            format!("{dir} is not in a git work tree, or git refuses to use it: a release needs the tree's history")
        })?;
        git.sh.change_dir(&root);
        room::is_needed_in(Utf8Path::new(&root));
        Ok(Git { root: Utf8PathBuf::from(root), ..git })
    }

    /// Returns the top of the work tree.
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// Returns a git command that runs at the top of the work tree.
    pub fn cmd(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Cmd<'_> {
        environment::plain(self.raw()).args(args)
    }

    /// Returns a git command that runs at the top of the work tree in an unchanged environment.
    pub(super) fn raw(&self) -> Cmd<'_> {
        self.sh.cmd("git")
    }

    fn read(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String> {
        process::read(self.cmd(args))
    }

    /// Returns the object that a revision names; `None` if there is no such ref or object, or if it is not of the kind
    /// that the revision asks for.
    ///
    /// # Errors
    /// The ref exists, but its object cannot be read.
    pub fn resolve(&self, revision: &str) -> Result<Option<Oid>> {
        let options = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
        let cmd = self.cmd(options).arg(revision);
        let shown = cmd.to_string();
        let output = process::capture(cmd)?;
        if output.status.success() {
            return parse_oid(String::from_utf8_lossy(&output.stdout).trim_end()).map(Some);
        }
        let reference = revision.split("^{").next().unwrap_or(revision);
        let peeled = || self.find(options.into_iter().chain([format!("{reference}^{{}}").as_str()]));
        if !is_no(&output) {
            // git also complains about an object of another kind, in spite of `--quiet`.
            return if peeled()?.is_some() { Ok(None) } else { process::check(&shown, &output).map(|()| None) };
        }
        // git answers the same if the object is missing or damaged.
        if reference.starts_with("refs/") {
            let listed = self.read(["for-each-ref", "--format=%(refname)", reference])?;
            if listed.lines().any(|name| name == reference) && peeled()?.is_none() {
                bail!("{reference} names an object that this repository does not have or cannot read: try `git fsck`");
            }
        }
        Ok(None)
    }

    /// Runs a command that exits with 1 if it finds nothing. Returns its output, or `None`.
    fn find(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Option<String>> {
        let cmd = self.cmd(args);
        let shown = cmd.to_string();
        let output = process::capture(cmd)?;
        if is_no(&output) {
            return Ok(None);
        }
        process::check(&shown, &output)?;
        process::text(&shown, output.stdout).map(Some)
    }

    /// Returns where HEAD is.
    ///
    /// # Errors
    /// The branch has no commit yet, or the commit cannot be read.
    pub fn head(&self) -> Result<Head> {
        let branch = self.find(["symbolic-ref", "--quiet", "HEAD"]).context("cannot see which branch HEAD is on")?;
        let commit = match &branch {
            Some(branch) => self.resolve(&format!("{branch}^{{commit}}"))?,
            None => self.resolve("HEAD^{commit}")?,
        };
        let commit = commit.with_context(|| match branch {
            Some(_) => "this repository has no commit yet: there is nothing to release",
            None => "HEAD names a commit that this repository does not have or cannot read: try `git fsck`",
        })?;
        Ok(Head { commit, branch: branch.and_then(|name| name.strip_prefix("refs/heads/").map(str::to_owned)) })
    }

    /// Returns the names of all tags, except those that are not UTF-8, which are never versions.
    pub fn tags(&self) -> Result<Vec<String>> {
        self.names(["for-each-ref", "--format=%(refname:strip=2)", "refs/tags"])
    }

    /// Returns the lines that a command prints, except those that are not UTF-8.
    fn names<const N: usize>(&self, args: [&str; N]) -> Result<Vec<String>> {
        process::read_bytes(self.cmd(args)).map(|list| lists::names(&list))
    }

    /// Returns the tracked files that differ from HEAD, in the index or in the work tree, for messages.
    pub fn dirty_files(&self) -> Result<Vec<String>> {
        let look = ["status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames"];
        let status = process::read_bytes(self.cmd(look).arg("--ignore-submodules=untracked"))?;
        let status = String::from_utf8_lossy(&status);
        let path = |line: &str| line.get(3..).map(str::to_owned);
        let lines = status.split_terminator('\0');
        lines.map(|line| path(line).with_context(|| format!("`git status` wrote an unexpected line: {line}"))).collect()
    }

    /// Returns the entries directly in the directory `dir` of a commit; none if there is no such directory.
    pub fn list(&self, commit: &Oid, dir: &str) -> Result<Vec<TreeEntry>> {
        self.ls_tree(commit, &format!("{dir}/"))
    }

    fn ls_tree(&self, commit: &Oid, path: &str) -> Result<Vec<TreeEntry>> {
        let bytes = process::read_bytes(self.cmd(["ls-tree", "-z", "--full-tree", commit.as_str(), "--", path]))?;
        lists::tree_entries(&bytes)
    }

    /// Reads one file of a commit as text; `None` if the commit does not have it.
    ///
    /// # Errors
    /// The path is a directory, or the file is not UTF-8.
    pub fn file(&self, commit: &Oid, path: &str) -> Result<Option<String>> {
        let entries = self.ls_tree(commit, path)?;
        let Some(entry) = entries.first() else { return Ok(None) };
        let bytes = process::read_bytes(self.cmd(["cat-file", "blob", entry.oid.as_str()]))
            .with_context(|| format!("cannot read {path} from commit {}", commit.short()))?;
        String::from_utf8(bytes).map(Some).with_context(|| format!("{path} is not UTF-8"))
    }

    /// Returns the path of a file or directory in this work tree's repository.
    pub fn path(&self, name: &str) -> Result<Utf8PathBuf> {
        self.read(["rev-parse", "--path-format=absolute", "--git-path", name]).map(Utf8PathBuf::from)
    }

    /// Returns the object format: `sha1` or `sha256`.
    pub fn object_format(&self) -> Result<String> {
        self.read(["rev-parse", "--show-object-format"])
    }

    /// Checks that Nix can read the repository's object format.
    ///
    /// # Errors
    /// It cannot.
    pub fn require_format_of_nix(&self) -> Result<()> {
        match self.object_format()?.as_str() {
            "sha1" => Ok(()),
            _ => bail!("its objects use SHA-256, which Nix cannot read: use a repository with SHA-1"),
        }
    }

    /// Whether refs are stored in a reftable.
    pub fn has_reftable(&self) -> Result<bool> {
        let formats = self.settings(|key| key == "extensions.refstorage")?;
        Ok(formats.last().is_some_and(|(_, format)| format.starts_with("reftable")))
    }

    /// Checks that every object of a commit's tree is here; with `history`, also those of all commits before it.
    ///
    /// # Errors
    /// Objects are missing; the message says how to fetch them.
    pub fn require_objects(&self, commit: &Oid, history: bool) -> Result<()> {
        let which = if history { "--in-commit-order" } else { "--no-walk" };
        let list = process::read_bytes(self.cmd(["rev-list", "--objects", "--missing=print", which, commit.as_str()]))?;
        let missing = list.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"?")).count();
        if missing == 0 {
            return Ok(());
        }
        let what = if history { "the history of commit" } else { "commit" };
        let what = format!("{what} {} is missing {}", commit.short(), counted(missing, "object"));
        let promisor = |key: &str| key.starts_with("remote.") && key.ends_with(".promisor");
        match self.settings(promisor)?.pop() {
            Some((key, _)) => {
                let remote = key.trim_start_matches("remote.").trim_end_matches(".promisor");
                bail!("this is a partial clone: {what}; fetch them with `git fetch --refetch --no-filter {remote}`")
            }
            None => bail!("this repository is damaged: {what}; `git fsck` shows more"),
        }
    }

    /// Returns the directories of this repository's objects, in the format of `objects/info/alternates`.
    pub fn object_directories(&self) -> Result<String> {
        let counted = self.read(["count-objects", "--verbose"])?;
        let alternates = counted.lines().filter_map(|line| line.strip_prefix("alternate: "));
        Ok([self.path("objects")?.as_str()].into_iter().chain(alternates).map(|line| format!("{line}\n")).collect())
    }

    /// Prints the diff of two trees to stdout, see [`paint::diff`].
    pub fn show_diff(&self, from: &Oid, to: &Oid, environment: &[(&str, String)]) -> Result<()> {
        // Unlike `git diff`, it ignores the user's settings.
        let cmd = self.cmd(["--no-pager", "diff-tree", "-r", "--patch", "--no-ext-diff", "--no-textconv"]);
        let cmd = cmd.args(["--find-renames", "--no-color", from.as_str(), to.as_str()]);
        let diff = process::read_bytes(cmd.envs(environment.iter().map(|(key, value)| (key, value))))?;
        paint::diff(&String::from_utf8_lossy(&diff))
    }

    /// Returns the commit that an annotated tag points at; `None` if there is no annotated tag of this name.
    pub fn tagged_commit(&self, tag: &str) -> Result<Option<Oid>> {
        match self.resolve(&format!("refs/tags/{tag}^{{tag}}"))? {
            Some(_) => self.resolve(&format!("refs/tags/{tag}^{{commit}}")),
            None => Ok(None),
        }
    }

    /// Returns the commit's time in UTC, such as `2025-06-18T20:00:00Z`.
    pub fn committed_at(&self, commit: &Oid) -> Result<String> {
        let format = ["--no-commit-header", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd"];
        let cmd = self.cmd(["rev-list", "--max-count=1"]).args(format).args([commit.as_str(), "--"]);
        process::read(cmd.env("TZ", "UTC0"))
    }

    fn show(&self, commit: &Oid, format: &str) -> Result<String> {
        let format = format!("--format={format}");
        self.read(["rev-list", "--max-count=1", "--no-commit-header", &format, commit.as_str(), "--"])
    }

    /// Whether `descendant` contains `ancestor`.
    pub fn contains(&self, descendant: &Oid, ancestor: &Oid) -> Result<bool> {
        Ok(self.find(["merge-base", "--is-ancestor", ancestor.as_str(), descendant.as_str()])?.is_some())
    }

    /// Returns the commits that change a file on the line of first parents that ends in `tip`, newest first.
    pub fn changes_of(&self, tip: &Oid, path: &str) -> Result<Vec<Oid>> {
        let list = self.read(["rev-list", "--first-parent", tip.as_str(), "--", path])?;
        list.lines().map(parse_oid).collect()
    }

    /// Returns the first line of a commit's message.
    pub fn subject(&self, commit: &Oid) -> Result<String> {
        self.show(commit, "%s")
    }

    /// Returns a commit's tree and parents.
    pub fn commit(&self, oid: &Oid) -> Result<Commit> {
        let commits = self.log(["--max-count=1", oid.as_str()])?;
        commits.into_iter().next().with_context(|| format!("there is no commit {oid}"))
    }

    /// Returns the merge commits on the way from `ancestor` to `tip`, newest first.
    pub fn merges_between(&self, ancestor: &Oid, tip: &str) -> Result<Vec<Commit>> {
        self.log(["--merges", "--ancestry-path", &format!("{ancestor}..{tip}")])
    }

    fn log<const N: usize>(&self, which: [&str; N]) -> Result<Vec<Commit>> {
        let list = process::read(self.cmd(LOG).args(which).arg("--"))?;
        list.lines().map(parse_commit).collect()
    }

    /// Returns the local branches that contain a commit, without `refs/heads/`.
    pub fn branches_with(&self, commit: &Oid) -> Result<Vec<String>> {
        let contains = format!("--contains={commit}");
        self.names(["for-each-ref", "--format=%(refname:lstrip=2)", &contains, "refs/heads"])
    }

    /// Whether the history of this clone is cut off.
    pub fn is_shallow(&self) -> Result<bool> {
        Ok(self.read(["rev-parse", "--is-shallow-repository"])? == "true")
    }

    /// Whether there is a remote of this name.
    pub fn has_remote(&self, remote: &str) -> Result<bool> {
        Ok(self.read(["remote"])?.lines().any(|line| line == remote))
    }
}

/// Arguments that list history, one commit per line, for [`parse_commit`].
pub(super) const LOG: [&str; 3] = ["rev-list", "--no-commit-header", "--format=%H %T %P"];

/// Whether a command that looks for something found nothing: it exits with 1 and prints no message.
fn is_no(output: &Output) -> bool {
    output.status.code() == Some(1) && output.stderr.is_empty()
}

pub(super) fn parse_commit(line: &str) -> Result<Commit> {
    let oids: Result<Vec<Oid>> = line.split_whitespace().map(parse_oid).collect();
    match oids.with_context(|| format!("`git rev-list` wrote an unexpected line: {line}"))?.as_slice() {
        [oid, tree, parents @ ..] => Ok(Commit { oid: oid.clone(), tree: tree.clone(), parents: parents.to_vec() }),
        _ => bail!("`git rev-list` wrote an unexpected line: {line}"),
    }
}

/// Parses an object name that git wrote.
pub(super) fn parse_oid(name: &str) -> Result<Oid> {
    name.parse().map_err(|why| anyhow!("git wrote something unexpected: {why}"))
}
