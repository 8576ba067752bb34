//! A complete clone of a repository, with all files of HEAD's history. What a shallow or partial clone is missing is
//! fetched from its remote. The repository itself does not change.

use anyhow::{Context, Result};
use camino::Utf8Path;
use xtask::tools::git::{Git, environment};
use xtask::tools::{process, term};

/// Refs in the clone that only keep fetched objects.
const KEPT: &str = "refs/releng";
/// Refspec for all tags; the repository's own take precedence, because they are fetched last.
const TAGS: &str = "+refs/tags/*:refs/tags/*";
/// Prefixes of the settings for reaching a remote.
const TRANSPORT: [&str; 9] =
    ["core.askpass", "core.gitproxy", "core.sshcommand", "credential.", "http.", "protocol.", "safe.", "ssh.", "url."];

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

/// Makes a git command that runs no hooks and makes repositories that Nix can read.
fn plain<'a>(git: &'a Git, args: &[&str]) -> xshell::Cmd<'a> {
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
    let url = format!("remote.{remote}.url");
    let settings = git.settings(|key| key == url || TRANSPORT.iter().any(|start| key.starts_with(start)))?;
    // Runs here, because a relative address starts here; without the settings that leave out objects.
    let fetch = git.cmd(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options", remote]);
    let fetch = fetch.args([format!("+refs/heads/*:{KEPT}/heads/*"), TAGS.to_owned()]);
    let fetch = environment::without_settings(fetch, &settings).env("GIT_DIR", tree.join(".git"));
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
