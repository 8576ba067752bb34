//! A git remote: what it has, how that relates to ours, and pushing to it.
//!
//! Looking never writes to our repository: what has to be fetched goes into one of its own, which shares our objects
//! and vanishes. Refuses to know what is pushed when, and to hold credentials; git and ssh have their own.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use super::git::{Git, LOG, parse_commit, parse_oid};
use super::process;
use crate::domain::environment::{GitTarget, same_but_for_user};
use crate::domain::oid::Oid;
use crate::domain::tagging::Commit;

/// A place to push to.
pub struct Remote<'a> {
    git: &'a Git,
    url: String,
    /// A bare repository on this machine that is made when it is first pushed to.
    directory: Option<Utf8PathBuf>,
    /// How long a look may take; without it, as long as it takes, and git may ask for a passphrase.
    patience: Option<Duration>,
}

impl<'a> Remote<'a> {
    /// Finds where an environment's branch and tag go.
    ///
    /// # Errors
    /// No remote of the repository has the URL; the message says how to add it.
    pub fn find(git: &'a Git, target: &GitTarget) -> Result<Remote<'a>> {
        let (url, directory) = match target {
            GitTarget::Directory { path, .. } => {
                let path = git.root().join(path);
                (path.to_string(), Some(path))
            }
            GitTarget::Plain { url, .. } => (url.clone(), None),
            GitTarget::Gerrit { url: wanted, .. } => {
                let urls = git.remote_urls()?;
                let found = urls.into_iter().find(|url| same_but_for_user(url, wanted));
                let remedy = wanted.replacen("://", "://USER@", 1);
                let url = found.with_context(|| {
                    format!("no git remote has the URL {wanted} (with any user): `git remote add gerrit {remedy}`")
                })?;
                (url, None)
            }
        };
        Ok(Remote { git, url, directory, patience: None })
    }

    /// Gives up looking after a while, and is asked nothing: for a look that is worth no wait.
    #[must_use]
    pub fn impatient(self, patience: Duration) -> Remote<'a> {
        Remote { patience: Some(patience), ..self }
    }

    /// Runs a git that speaks to the remote and changes nothing there.
    fn look(&self, cmd: xshell::Cmd) -> Result<String> {
        let cmd = cmd.env("GIT_TERMINAL_PROMPT", "0");
        match self.patience {
            // A window that asks for a passphrase is a question, too.
            Some(patience) => process::read_within(patience, cmd.env("SSH_ASKPASS_REQUIRE", "never")),
            None => process::read(cmd),
        }
    }

    /// For messages: without a password, should somebody have put one there.
    pub fn shown(&self) -> String {
        match self.url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?))) {
            Some((scheme, (user, rest))) => format!("{scheme}://{}@{rest}", user.split(':').next().unwrap_or(user)),
            None => self.url.clone(),
        }
    }

    /// Whether there is nothing to look at yet.
    fn is_to_be_made(&self) -> bool {
        self.directory.as_ref().is_some_and(|directory| !directory.exists())
    }

    /// The refs that match the patterns, with what they point at.
    ///
    /// # Errors
    /// The remote cannot be reached.
    pub fn refs(&self, patterns: &[&str]) -> Result<BTreeMap<String, Oid>> {
        if self.is_to_be_made() {
            return Ok(BTreeMap::new());
        }
        let cmd = self.git.cmd(["ls-remote", "--quiet", &self.url]).args(patterns);
        let list = self.look(cmd).with_context(|| format!("cannot look at the git remote {}", self.shown()))?;
        let entry = |line: &str| {
            let (oid, name) = line.split_once('\t').with_context(|| format!("`git ls-remote` wrote `{line}`"))?;
            Ok((name.to_owned(), parse_oid(oid)?))
        };
        list.lines().map(entry).collect()
    }

    /// The history that ends in `tip`, fetched if we do not have it.
    ///
    /// # Errors
    /// It cannot be fetched.
    pub fn history(&self, reference: &str, tip: &Oid) -> Result<History<'a>> {
        let objects = process::read(self.git.cmd(["rev-parse", "--path-format=absolute", "--git-path", "objects"]))?;
        let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
        let dir =
            Utf8Path::from_path(scratch.path()).context("the temporary directory's name is not UTF-8")?.to_owned();
        process::read(self.git.cmd(["init", "--quiet", "--bare", "--template=", dir.as_str()]))?;
        let alternates = dir.join("objects/info/alternates");
        std::fs::create_dir_all(dir.join("objects/info"))
            .and_then(|()| std::fs::write(&alternates, objects + "\n"))
            .with_context(|| format!("cannot write {alternates}"))?;
        let history = History { git: self.git, dir, _scratch: scratch };
        if self.git.resolve(&format!("{tip}^{{commit}}"))?.is_none() {
            let fetch =
                history.cmd(&["fetch", "--quiet", "--no-tags", &self.url, &format!("{reference}:refs/seen/tip")]);
            self.look(fetch).with_context(|| format!("cannot fetch {reference} from {}", self.shown()))?;
        }
        Ok(history)
    }

    /// Whether we may push, found out without pushing.
    ///
    /// # Errors
    /// The remote's refusal.
    pub fn try_push(&self, refspecs: &[String]) -> Result<()> {
        if self.is_to_be_made() {
            return Ok(());
        }
        self.git_push(&["--dry-run"], refspecs)
    }

    /// Pushes; makes the repository first, if it is one that we make.
    ///
    /// # Errors
    /// The remote's refusal, with its words.
    pub fn push(&self, refspecs: &[String]) -> Result<()> {
        if let Some(directory) = self.directory.as_ref().filter(|directory| !directory.exists()) {
            self.make(directory).with_context(|| format!("cannot make the repository {directory}"))?;
        }
        self.git_push(&[], refspecs)
    }

    /// Makes a bare repository beside its place and renames it there: half of one would be taken for a broken one.
    fn make(&self, directory: &Utf8Path) -> Result<()> {
        let parent = directory.parent().context("it has no parent directory")?;
        std::fs::create_dir_all(parent)?;
        let scratch = tempfile::tempdir_in(parent)?;
        let new = Utf8Path::from_path(scratch.path()).context("the path is not UTF-8")?.join("git");
        process::read(self.git.cmd(["init", "--quiet", "--bare", "--initial-branch=main", new.as_str()]))?;
        Ok(std::fs::rename(&new, directory)?)
    }

    fn git_push(&self, options: &[&str], refspecs: &[String]) -> Result<()> {
        // Our own hooks have nothing to say about a release that was checked here.
        let cmd = self.git.cmd(["-c", "core.hooksPath=/dev/null", "push", "--porcelain"]);
        let cmd =
            cmd.args(options).args(["--no-follow-tags", &self.url]).args(refspecs).env("GIT_TERMINAL_PROMPT", "0");
        process::read(cmd).map(drop).with_context(|| format!("cannot push to {}", self.shown()))
    }
}

/// Our history and a remote branch's, side by side.
pub struct History<'a> {
    git: &'a Git,
    dir: Utf8PathBuf,
    _scratch: TempDir,
}

impl History<'_> {
    fn cmd(&self, args: &[&str]) -> xshell::Cmd<'_> {
        self.git.cmd(["--git-dir", self.dir.as_str()]).args(args)
    }

    /// Whether `descendant` contains `ancestor`.
    pub fn contains(&self, descendant: &Oid, ancestor: &Oid) -> Result<bool> {
        let cmd = self.cmd(&["merge-base", "--is-ancestor", ancestor.as_str(), descendant.as_str()]);
        Ok(process::capture(cmd)?.status.success())
    }

    /// The commits of `tip` that `known` does not contain, newest first.
    pub fn only_in(&self, tip: &Oid, known: &Oid) -> Result<Vec<Commit>> {
        let list = process::read(self.cmd(&LOG).args([tip.as_str(), "--not", known.as_str(), "--"]))?;
        list.lines().map(parse_commit).collect()
    }
}
