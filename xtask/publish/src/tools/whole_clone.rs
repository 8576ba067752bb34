//! A plain clone of a repository with all files of HEAD's history, also of a repository that has not got them itself:
//! what a shallow or a partial clone lacks is fetched from its remote. Changes nothing in the repository.

use anyhow::{Context, Result};
use camino::Utf8Path;
use xtask::tools::git::{Git, environment};
use xtask::tools::{process, term};

/// Where the clone keeps the refs that only hold what was fetched.
const KEPT: &str = "refs/releng";
/// All tags; those of the repository itself count, since they are fetched last.
const TAGS: &str = "+refs/tags/*:refs/tags/*";
/// The settings that say how a remote is reached, by how they begin.
const TRANSPORT: [&str; 9] =
    ["core.askpass", "core.gitproxy", "core.sshcommand", "credential.", "http.", "protocol.", "safe.", "ssh.", "url."];

/// Makes the clone in `tree`, with `git` as its `origin`, on a new branch at HEAD. Hooks are not run.
///
/// # Errors
/// The repository is damaged, or what it lacks cannot be fetched.
pub fn clone(git: &Git, tree: &Utf8Path, branch: &str) -> Result<()> {
    let head = match what_lacks(git)? {
        None => {
            let options = ["clone", "--quiet", "--no-checkout", "--no-hardlinks", "--origin=origin"];
            process::read(plain(git, &options).args([git.root(), tree]))?;
            "HEAD".to_owned()
        }
        Some(lack) => complete(git, tree, &lack)?,
    };
    process::read(plain(git, &["-C", tree.as_str(), "switch", "--quiet", "-C", branch, &head])).map(drop)
}

/// A git command without hooks, which makes no other kind of repository than Nix reads.
fn plain<'a>(git: &'a Git, args: &[&str]) -> xshell::Cmd<'a> {
    // A git that knows only this format of refs takes no notice.
    git.cmd(["-c", "core.hooksPath=/dev/null"]).args(args).env("GIT_DEFAULT_REF_FORMAT", "files")
}

/// Why a clone of this repository would not do.
struct Lack {
    /// What kind of clone the repository is, with the command that makes it a whole one.
    kind: String,
    /// The remote that has the rest.
    remote: String,
}

fn what_lacks(git: &Git) -> Result<Option<Lack>> {
    let remotes = git.settings(|key| key.starts_with("remote."))?;
    let named = |ending: &str| -> Vec<&str> {
        remotes.iter().filter_map(|(key, _)| key.split_once('.')?.1.strip_suffix(ending)).collect()
    };
    if let Some(promisor) = named(".promisor").pop() {
        // Nothing may be missing all the same.
        if git.is_shallow()? || git.require_objects(&git.head()?.commit, true).is_err() {
            let kind = format!("partial (`git fetch --refetch --no-filter {promisor}`)");
            return Ok(Some(Lack { kind, remote: promisor.to_owned() }));
        }
        return Ok(None);
    }
    if !git.is_shallow()? {
        return git.require_objects(&git.head()?.commit, true).map(|()| None);
    }
    let kind = "shallow (`git fetch --unshallow`)".to_owned();
    let names = named(".url");
    let remote = names.iter().find(|name| **name == "origin").or(names.first());
    let remote = remote.with_context(|| format!("this clone is {kind}, and has no remote that has the rest"))?;
    Ok(Some(Lack { kind, remote: (*remote).to_owned() }))
}

/// Fetches everything that the remote has, and then what is only here. Gives the ref of HEAD.
fn complete(git: &Git, tree: &Utf8Path, Lack { kind, remote }: &Lack) -> Result<String> {
    term::say(format_args!("this clone is {kind}: what is missing is fetched from `{remote}` for the scratch clone"));
    process::read(plain(git, &["init", "--quiet", "--template=", tree.as_str()]))?;
    let url = format!("remote.{remote}.url");
    let settings = git.settings(|key| key == url || TRANSPORT.iter().any(|start| key.starts_with(start)))?;
    // Run here, since a relative address counts from here; of the settings, none that says which objects are left out.
    let fetch = git.cmd(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options", remote]);
    let fetch = fetch.args([format!("+refs/heads/*:{KEPT}/heads/*"), TAGS.to_owned()]);
    let fetch = environment::without_settings(fetch, &settings).env("GIT_DIR", tree.join(".git"));
    process::read(fetch).with_context(|| format!("this clone is {kind}, and `{remote}` does not give the rest"))?;

    let head = format!("{KEPT}/head");
    let inside = |args: &[&str]| process::read(plain(git, &["-C", tree.as_str()]).args(args)).map(drop);
    inside(&["remote", "add", "origin", git.root().as_str()])?;
    inside(&["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "origin", &format!("+HEAD:{head}"), TAGS])
        .and_then(|()| Git::open(tree)?.require_objects(&git.head()?.commit, true))
        .with_context(|| format!("this clone is {kind}, and `{remote}` does not have everything that is missing"))?;
    Ok(head)
}
