//! A git remote: what it has, how that relates to ours, and pushing to it.
//!
//! Looking never writes to our repository: what has to be fetched goes into a scratch repository, which shares our
//! objects and is removed afterwards. Holds no credentials: git and ssh have their own.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Output;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use xshell::Cmd;

use super::files;
use super::git::{Git, lists, locks};
use super::history::History;
use super::patience::{NoAnswer, Patience};
use super::process::{self, environment};
use crate::domain::environment::refusal::Refusal;
use crate::domain::environment::remote_url;
use crate::domain::environment::{GitTarget, same_but_for_user};
use crate::domain::oid::Oid;
use crate::domain::release::tagging::Tag;

/// A git remote to look at or to push to.
pub struct Remote<'a> {
    git: &'a Git,
    /// Name of the remote for git.
    name: String,
    /// URL as it is configured: it may contain a password.
    url: String,
    /// Path of a bare repository on this machine that is made by the first push; `None` for other remotes.
    directory: Option<Utf8PathBuf>,
    /// Time limit for looks; if `None`, [`LOOK`] counts, and ssh may ask for a passphrase.
    patience: Option<Duration>,
    /// Commits that were taken for review since we started: not every server shows its changes.
    taken: Mutex<Vec<String>>,
}

/// Name for git of a remote whose URL we pass in the environment, because every user can read command lines.
const GIVEN: &str = "releng-remote";
/// How long a remote may be silent during a look.
const LOOK: Duration = Duration::from_secs(60);
/// How long a remote may be silent during a push: its hooks may take a while.
const PUSH: Duration = Duration::from_secs(300);

/// How a push ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    Done,
    /// Gerrit has these commits already.
    NothingNew,
}

/// The branches and tags of a remote that were asked for, at one moment.
pub struct Heads(BTreeMap<String, Oid>);

impl Heads {
    /// Returns the commit that a branch is at; `None` if the remote has no such branch.
    pub fn branch(&self, name: &str) -> Option<Oid> {
        self.0.get(&format!("refs/heads/{name}")).cloned()
    }

    /// Returns a tag; `None` if the remote has no tag of this name.
    pub fn tag(&self, name: &str) -> Option<Tag> {
        let reference = format!("refs/tags/{name}");
        let object = self.0.get(&reference)?.clone();
        // Only an annotated tag is peeled.
        Some(match self.0.get(&format!("{reference}^{{}}")).cloned() {
            Some(commit) => Tag::Annotated { object, commit },
            None => Tag::Lightweight(object),
        })
    }
}

impl<'a> Remote<'a> {
    /// Finds the remote of an environment's branches and tags.
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
                let remedy = wanted.replacen("://", "://USER@", 1);
                let url = written_url(git, wanted)?.with_context(|| {
                    format!("no git remote has the URL {wanted} (with any user): `git remote add gerrit {remedy}`")
                })?;
                (url, None)
            }
        };
        Ok(Remote::new(git, GIVEN, url, directory))
    }

    /// Returns a remote of the repository, to look at; `None` if there is none of this name.
    ///
    /// # Errors
    /// git fails.
    pub fn named(git: &'a Git, name: &str) -> Result<Option<Remote<'a>>> {
        if !git.has_remote(name)? {
            return Ok(None);
        }
        let url = process::read(git.cmd(["ls-remote", "--get-url", name]))?;
        Ok(Some(Remote::new(git, name, url, None)))
    }

    fn new(git: &'a Git, name: &str, url: String, directory: Option<Utf8PathBuf>) -> Remote<'a> {
        Remote { git, name: name.to_owned(), url, directory, patience: None, taken: Mutex::default() }
    }

    /// Limits the time that looks may take, and lets nothing be asked: for a look that is not worth a wait.
    #[must_use]
    pub fn impatient(self, patience: Duration) -> Remote<'a> {
        Remote { patience: Some(patience), ..self }
    }

    /// Runs a git command that talks to the remote, whatever its exit status.
    ///
    /// It has no terminal at first. Only if ssh wants to ask something, and there is a terminal to ask on, is it run
    /// again with one.
    fn speak(&self, silence: Duration, cmd: &dyn Fn() -> Cmd<'a>) -> Result<(String, Output)> {
        let quiet = |cmd: Cmd<'a>| {
            let cmd = cmd.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "");
            if self.name == GIVEN { with_config(cmd, &format!("remote.{GIVEN}.url"), &self.url) } else { cmd }
        };
        let shown = cmd().to_string().replace(GIVEN, &self.shown());
        let patience = Patience::with(self.shown(), self.patience.unwrap_or(silence));
        let cmd_without_terminal = quiet(cmd()).env("SSH_ASKPASS_REQUIRE", "never");
        let mut output = patience.capture(cmd_without_terminal, &shown)?;
        if self.patience.is_none() && wants_to_ask(&output) && File::open("/dev/tty").is_ok() {
            output = environment::prepared(quiet(cmd()))
                .ignore_status()
                .output()
                .with_context(|| format!("cannot run `{shown}`"))?;
        }
        if !output.status.success() {
            let urls = self.urls()?;
            output.stdout = self.readable(&output.stdout, &urls).into_bytes();
            output.stderr = self.readable(&output.stderr, &urls).into_bytes();
        }
        Ok((shown, output))
    }

    /// Returns every URL that may be in use for this remote: settings can make git replace the start of one by another.
    fn urls(&self) -> Result<Vec<String>> {
        let settings = self.git.settings(|key| key.starts_with("url.") || key.starts_with("remote."))?;
        let base = |key: &str| Some(key.strip_prefix("url.")?.rsplit_once('.')?.0.to_owned());
        let of_setting = |(key, value): (String, String)| base(&key).unwrap_or(value);
        Ok(std::iter::once(self.url.clone()).chain(settings.into_iter().map(of_setting)).collect())
    }

    /// Returns git's messages without credentials, and without progress that was overwritten.
    fn readable(&self, messages: &[u8], urls: &[String]) -> String {
        let text = String::from_utf8_lossy(messages);
        let last = |line: &'_ str| line.trim_end().rsplit('\r').next().unwrap_or_default().to_owned();
        let lines: Vec<String> = text.lines().map(last).collect();
        let urls = urls.iter().map(String::as_str).filter(|url| url.contains("://"));
        remote_url::redact(&lines.join("\n"), urls).replace(GIVEN, &self.shown())
    }

    /// Runs a git command that talks to the remote and changes nothing there.
    fn look(&self, cmd: &dyn Fn() -> Cmd<'a>) -> Result<String> {
        let (shown, output) = self.speak(LOOK, cmd)?;
        check(&shown, &output)?;
        String::from_utf8(output.stdout).with_context(|| format!("`{shown}` wrote something other than UTF-8"))
    }

    /// Returns the URL for messages, without its password.
    pub fn shown(&self) -> String {
        remote_url::shown(&self.url)
    }

    /// Whether this is a repository on this machine that has not been made yet.
    fn is_to_be_made(&self) -> bool {
        self.directory.as_ref().is_some_and(|directory| !directory.exists())
    }

    /// Returns the refs that match the patterns, with the objects that they name.
    ///
    /// # Errors
    /// The remote cannot be reached.
    pub fn refs(&self, patterns: &[&str]) -> Result<BTreeMap<String, Oid>> {
        if self.is_to_be_made() {
            return Ok(BTreeMap::new());
        }
        let cmd = || self.git.cmd(["ls-remote", "--quiet", &self.name]).args(patterns);
        let list = self.look(&cmd).with_context(|| format!("cannot look at the git remote {}", self.shown()))?;
        lists::remote_refs(&list)
    }

    /// Returns the commit that a branch is at; `None` if the remote has no such branch.
    ///
    /// # Errors
    /// The remote cannot be reached.
    pub fn branch(&self, name: &str) -> Result<Option<Oid>> {
        Ok(self.heads(&[name], None)?.branch(name))
    }

    /// Returns a tag; `None` if the remote has no tag of this name.
    ///
    /// # Errors
    /// The remote cannot be reached.
    pub fn tag(&self, name: &str) -> Result<Option<Tag>> {
        Ok(self.heads(&[], Some(name))?.tag(name))
    }

    /// Reads some branches and, if one is given, a tag at one moment, with one connection.
    ///
    /// # Errors
    /// The remote cannot be reached.
    pub fn heads(&self, branches: &[&str], tag: Option<&str>) -> Result<Heads> {
        let tags = tag.iter().flat_map(|tag| [format!("refs/tags/{tag}"), format!("refs/tags/{tag}^{{}}")]);
        let patterns: Vec<String> = branches.iter().map(|name| format!("refs/heads/{name}")).chain(tags).collect();
        self.refs(&patterns.iter().map(String::as_str).collect::<Vec<_>>()).map(Heads)
    }

    /// Whether a commit is in review: among the changes that the remote shows, or taken since we started.
    ///
    /// # Errors
    /// The remote cannot be reached.
    pub fn has_in_review(&self, commit: &Oid) -> Result<bool> {
        if self.taken.lock().expect("nothing panics with it").iter().any(|taken| taken == commit.as_str()) {
            return Ok(true);
        }
        // A pattern matches the end of a name, too.
        let is_change = |(name, oid): (&String, &Oid)| name.starts_with("refs/changes/") && oid == commit;
        Ok(self.refs(&["refs/changes/*"])?.iter().any(is_change))
    }

    /// Returns the history of a branch that is at `tip`, fetched if we do not have it.
    ///
    /// # Errors
    /// The branch cannot be fetched.
    pub fn history(&self, branch: &str, tip: &Oid) -> Result<History<'a>> {
        self.fetched(&format!("refs/heads/{branch}"), tip)
    }

    /// Returns our objects together with the history of a ref, which is at `object`.
    ///
    /// # Errors
    /// The ref cannot be fetched.
    pub fn fetched(&self, reference: &str, object: &Oid) -> Result<History<'a>> {
        let history = History::new(self.git)?;
        if self.git.resolve(&format!("{object}^{{}}"))?.is_none() {
            let refspec = format!("{reference}:refs/seen/tip");
            let git_dir = history.dir().to_owned();
            let fetch = || {
                let options =
                    ["--git-dir", git_dir.as_str(), "fetch", "--progress", "--no-tags", "--no-auto-maintenance"];
                self.git.cmd(options).args([&self.name, &refspec])
            };
            self.look(&fetch).with_context(|| format!("cannot fetch {reference} from {}", self.shown()))?;
        }
        Ok(history)
    }

    /// Checks that we may push, as far as that shows without pushing.
    ///
    /// # Errors
    /// The remote's refusal, with its words.
    pub fn try_push(&self, refspecs: &[String]) -> Result<()> {
        if self.is_to_be_made() {
            return Ok(());
        }
        self.git_push(&["--dry-run"], refspecs).map(drop)
    }

    /// Pushes. Makes the repository first, if it is one that we make.
    ///
    /// # Errors
    /// The remote's refusal, with its words.
    pub fn push(&self, refspecs: &[String]) -> Result<Pushed> {
        let _held = self.directory.as_ref().map(|directory| self.make_ready(directory)).transpose()?;
        let pushed = self.git_push(&[], refspecs)?;
        let review = |refspec: &String| Some(refspec.split_once(":refs/for/")?.0.to_owned());
        self.taken.lock().expect("nothing panics with it").extend(refspecs.iter().filter_map(review));
        Ok(pushed)
    }

    /// Removes what a push of ours has left that was stopped, if we made the repository.
    ///
    /// # Errors
    /// Another run pushes there.
    pub fn clear(&self) -> Result<()> {
        self.directory
            .as_ref()
            .filter(|directory| directory.exists())
            .map_or(Ok(()), |directory| self.make_ready(directory).map(drop))
    }

    /// Makes a repository if it is missing, removes what a stopped push has left in it, and keeps other runs out.
    fn make_ready(&self, directory: &Utf8Path) -> Result<File> {
        let parent = directory.parent().with_context(|| format!("{directory} has no parent directory"))?;
        files::make_dirs(parent)?;
        let held = locks::hold(parent)?;
        if !directory.exists() {
            self.make(directory).with_context(|| format!("cannot make the repository {directory}"))?;
        }
        locks::remove(&locks::find_all(directory), &[directory])?;
        Ok(held)
    }

    /// Makes a bare repository under another name and renames it: an unfinished one would be taken for a broken one.
    fn make(&self, directory: &Utf8Path) -> Result<()> {
        let new = Utf8PathBuf::from(format!("{directory}.new"));
        if new.exists() {
            std::fs::remove_dir_all(&new)?;
        }
        let format = format!("--object-format={}", self.git.object_format()?);
        let options = ["--quiet", "--bare", "--template=", "--initial-branch=main", &format, new.as_str()];
        process::read(self.git.cmd(["init"]).args(options))?;
        // A push ends when everything is there and on disk: no process goes on after it, and a power cut undoes nothing.
        for (key, value) in [("receive.autogc", "false"), ("maintenance.auto", "false"), ("core.fsync", "all")] {
            process::read(self.git.cmd(["--git-dir", new.as_str(), "config", key, value]))?;
        }
        // git does not sync what `init` and `config` write.
        files::sync_below(&new)?;
        std::fs::rename(&new, directory)?;
        files::sync(directory.parent().unwrap_or(directory))
    }

    fn git_push(&self, options: &[&str], refspecs: &[String]) -> Result<Pushed> {
        let cmd = || {
            // The clone's hooks do not apply to a release that was checked here.
            let cmd = self.git.cmd(["-c", "core.hooksPath=/dev/null", "push", "--porcelain", "--progress"]);
            cmd.args(options).args(["--no-follow-tags", &self.name]).args(refspecs)
        };
        let doing = || format!("cannot push to {}", self.shown());
        let (shown, output) = self.speak(PUSH, &cmd).with_context(doing)?;
        if output.status.success() {
            return Ok(Pushed::Done);
        }
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        match Refusal::read(&stdout, &stderr) {
            Some(refusal) if refusal.is_nothing_new() => Ok(Pushed::NothingNew),
            Some(refusal) => Err(anyhow!("{refusal}")).with_context(doing),
            None => check(&shown, &output).map(|()| Pushed::Done).with_context(doing),
        }
    }
}

/// Finds a remote that leads to `wanted`, with any user. Returns its URL as it is configured: git rewrites it
/// (`insteadOf`) when it is used.
fn written_url(git: &Git, wanted: &str) -> Result<Option<String>> {
    for name in process::read(git.cmd(["remote"]))?.lines() {
        let leads_to = process::read(git.cmd(["ls-remote", "--get-url", name]))?;
        if same_but_for_user(&leads_to, wanted) {
            let written = process::read(git.cmd(["config", "--get-all", &format!("remote.{name}.url")]))?;
            return Ok(written.lines().next().map(str::to_owned));
        }
    }
    Ok(None)
}

/// Passes git a setting in its environment, after those that are there already.
fn with_config<'c>(cmd: Cmd<'c>, key: &str, value: &str) -> Cmd<'c> {
    let number: usize = std::env::var("GIT_CONFIG_COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(0);
    cmd.env("GIT_CONFIG_COUNT", (number + 1).to_string())
        .env(format!("GIT_CONFIG_KEY_{number}"), key)
        .env(format!("GIT_CONFIG_VALUE_{number}"), value)
}

/// What git, ssh and curl say of a remote that cannot be reached or is overloaded, in lower case.
const NOT_REACHED: [&str; 12] = [
    "could not resolve host",
    "connection refused",
    "connection timed out",
    "operation timed out",
    "failed to connect",
    "couldn't connect",
    "network is unreachable",
    "no route to host",
    "connection reset",
    "connection closed by",
    "the requested url returned error: 429",
    "the requested url returned error: 5",
];

/// Checks that git succeeded. A remote that could not be reached is told apart from one that refuses.
fn check(shown: &str, output: &Output) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
    process::check(shown, output).map_err(|error| {
        if NOT_REACHED.iter().any(|words| said.contains(words)) { NoAnswer(error.to_string()).into() } else { error }
    })
}

/// Whether ssh needs a terminal, to ask for a passphrase or a password, or about a host that it does not know.
fn wants_to_ask(output: &Output) -> bool {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let asks = ["Permission denied (", "Host key verification failed"];
    !output.status.success() && asks.iter().any(|text| stderr.contains(text))
}
