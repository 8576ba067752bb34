//! A complete clone of a repository, with all files of HEAD's history. What a shallow or partial clone is missing is
//! fetched from its remote. The repository itself does not change.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8Path;
use xshell::Cmd;
use xtask::domain::environment::remote_url;
use xtask::tools::git::{Git, environment};
use xtask::tools::{process, term};

/// The remote that a clone came from.
const ORIGIN: &str = "origin";
/// Refs in the clone that only keep fetched objects.
const KEPT: &str = "refs/releng";
/// Refspec for all tags; the repository's own take precedence, because they are fetched last.
const TAGS: &str = "+refs/tags/*:refs/tags/*";
/// Prefixes of the settings for reaching a remote.
const TRANSPORT: [&str; 9] =
    ["core.askpass", "core.gitproxy", "core.sshcommand", "credential.", "http.", "protocol.", "safe.", "ssh.", "url."];

/// Time limit for fetching one tag.
const PATIENCE: Duration = Duration::from_secs(300);

/// Makes the clone in `tree`, with `git` as its `origin`, on a new branch at HEAD. Hooks are not run.
///
/// # Errors
/// The repository is damaged, or missing objects cannot be fetched.
pub fn clone(git: &Git, tree: &Utf8Path, branch: &str) -> Result<()> {
    let head = match incomplete(git)? {
        None => {
            let options = ["clone", "--quiet", "--no-checkout", "--no-hardlinks", "--origin=origin"];
            process::read(plain(git, &options).args([git.root(), tree]))?;
            "HEAD".to_owned()
        }
        Some(incomplete) => complete(git, tree, &incomplete)?,
    };
    process::read(plain(git, &["-C", tree.as_str(), "switch", "--quiet", "-C", branch, &head])).map(drop)
}

/// The remotes that are asked for a tag.
pub enum Remotes {
    /// Only the one that the repository came from.
    Origin,
    /// All of the repository, and the one at an address.
    AllAnd(String),
}

/// Fetches a tag into a clone that was made here, from the first of the repository's remotes that has it. Nothing is asked on
/// the terminal.
///
/// # Errors
/// None of them has it, and why.
pub fn fetch_tag(git: &Git, tree: &Utf8Path, tag: &str, remotes: &Remotes) -> Result<()> {
    let urls = git.settings(|key| key.starts_with("remote.") && key.ends_with(".url"))?;
    let name = |(key, _): &(String, String)| Some(key.strip_prefix("remote.")?.strip_suffix(".url")?.to_owned());
    let mut names: Vec<String> = urls.iter().filter_map(name).collect();
    match remotes {
        Remotes::Origin => names.retain(|name| name == ORIGIN),
        Remotes::AllAnd(address) => names.push(address.clone()),
    }
    // The one that the clone came from is asked first.
    names.sort_by_key(|name| name != ORIGIN);
    let mut refused = Vec::new();
    for name in names {
        let fetch = fetch(git, tree, &name, &[format!("+refs/tags/{tag}:refs/tags/{tag}")])?;
        let fetch = fetch.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "").env("SSH_ASKPASS_REQUIRE", "never");
        match process::read_within(PATIENCE, fetch) {
            Ok(_) => return Ok(()),
            Err(why) => {
                let urls = urls.iter().map(|(_, url)| url.as_str()).filter(|url| url.contains("://"));
                refused.push(remote_url::redact(&format!("from {}: {why:#}", remote_url::shown(&name)), urls));
            }
        }
    }
    ensure!(!refused.is_empty(), "this repository does not have it, and no remote to fetch it from");
    bail!("this repository does not have it, and it cannot be fetched {}", refused.join("\n"))
}

/// Makes a command that fetches refs of one of the repository's remotes into a clone.
fn fetch<'a>(git: &'a Git, tree: &Utf8Path, remote: &str, refspecs: &[String]) -> Result<Cmd<'a>> {
    let url = format!("remote.{remote}.url");
    let settings = git.settings(|key| key == url || TRANSPORT.iter().any(|start| key.starts_with(start)))?;
    // Runs here, because a relative address starts here; without the settings that leave out objects.
    let fetch = git.cmd(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options", remote]);
    Ok(environment::without_settings(fetch.args(refspecs), &settings).env("GIT_DIR", tree.join(".git")))
}

/// Makes a git command that runs no hooks and makes repositories that Nix can read.
fn plain<'a>(git: &'a Git, args: &[&str]) -> Cmd<'a> {
    // A git that knows only this format of refs ignores the variable.
    git.cmd(["-c", "core.hooksPath=/dev/null"]).args(args).env("GIT_DEFAULT_REF_FORMAT", "files")
}

/// A repository that a plain clone would not complete.
struct Incomplete {
    /// Kind of clone that the repository is, with the command that completes it.
    kind: String,
    /// The remote that has the missing objects.
    remote: String,
}

/// Returns how the repository is incomplete, if it is.
fn incomplete(git: &Git) -> Result<Option<Incomplete>> {
    let remotes = git.settings(|key| key.starts_with("remote."))?;
    let named = |ending: &str| -> Vec<&str> {
        remotes.iter().filter_map(|(key, _)| key.split_once('.')?.1.strip_suffix(ending)).collect()
    };
    if let Some(promisor) = named(".promisor").pop() {
        // A partial clone may have everything.
        if git.is_shallow()? || git.require_objects(&git.head()?.commit, true).is_err() {
            let kind = format!("partial (`git fetch --refetch --no-filter {promisor}`)");
            return Ok(Some(Incomplete { kind, remote: promisor.to_owned() }));
        }
        return Ok(None);
    }
    if !git.is_shallow()? {
        return git.require_objects(&git.head()?.commit, true).map(|()| None);
    }
    let kind = "shallow (`git fetch --unshallow`)".to_owned();
    let names = named(".url");
    let remote = names.iter().find(|name| **name == "origin").or(names.first());
    let remote = remote.with_context(|| format!("this clone is {kind}, and has no remote to fetch the rest from"))?;
    Ok(Some(Incomplete { kind, remote: (*remote).to_owned() }))
}

/// Fetches everything that the remote has, and then what only this repository has. Returns the ref of HEAD.
fn complete(git: &Git, tree: &Utf8Path, Incomplete { kind, remote }: &Incomplete) -> Result<String> {
    term::say(format_args!("this clone is {kind}: fetching the rest from `{remote}` for the scratch clone"));
    process::read(plain(git, &["init", "--quiet", "--template=", tree.as_str()]))?;
    let fetch = fetch(git, tree, remote, &[format!("+refs/heads/*:{KEPT}/heads/*"), TAGS.to_owned()])?;
    process::read(fetch)
        .with_context(|| format!("this clone is {kind}, and the rest cannot be fetched from `{remote}`"))?;

    let head = format!("{KEPT}/head");
    let inside = |args: &[&str]| process::read(plain(git, &["-C", tree.as_str()]).args(args)).map(drop);
    inside(&["remote", "add", "origin", git.root().as_str()])?;
    inside(&["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "origin", &format!("+HEAD:{head}"), TAGS])
        .and_then(|()| Git::open(tree)?.require_objects(&git.head()?.commit, true))
        .with_context(|| format!("this clone is {kind}, and `{remote}` does not have all of the rest"))?;
    Ok(head)
}
