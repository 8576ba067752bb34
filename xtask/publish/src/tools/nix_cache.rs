//! What Nix (2.8 or newer) does for a binary cache: listing a closure, compressing and signing it, verifying it.
//!
//! Nix writes to local directories only, because Debian's Nix is built without S3. Outputs are named by their paths,
//! and derivations with `--derivation`: a bare `.drv` means different things to older and newer versions of Nix.

use std::time::Duration;

use anyhow::{Result, anyhow};
use xshell::{Cmd, Shell};
use xtask::domain::build::path_info::{FORMAT, PathInfo, Unread, has_one_format, parse_path_infos};
use xtask::domain::build::record::Roots;
use xtask::domain::store_path::StorePath;
use xtask::tools::process;
use xtask::tools::scratch_dir::ScratchDir;

use super::child::{self, Wait};
use super::secret_file;
use crate::domain::cache::signing::SecretKey;

/// Number of lines of Nix's output that an error quotes.
const LAST_LINES: usize = 15;
/// Time for which a cache may be silent while Nix reads it; Nix retries before that.
const SILENT: Duration = Duration::from_secs(300);

/// Returns the paths by kind, with the options that tell Nix the kind.
fn each(roots: &Roots) -> impl Iterator<Item = (&[&str], Vec<String>)> {
    let kinds: [(&[&str], &[StorePath]); 2] = [(&[], &roots.outputs), (&["--derivation"], &roots.derivations)];
    let kinds = kinds.into_iter().filter(|(_, paths)| !paths.is_empty());
    kinds.map(|(kind, paths)| (kind, paths.iter().map(StorePath::to_string).collect()))
}

/// Lists every path of the closures once.
///
/// # Errors
/// Nix's message, for instance that a path is not in the store.
pub async fn closure(sh: &Shell, roots: &Roots) -> Result<Vec<PathInfo>> {
    let mut closure = Vec::new();
    for (kind, paths) in each(roots) {
        let json = path_info(sh, kind, &paths).await?;
        closure.extend(parse_path_infos(&json).map_err(|unread| match unread {
            Unread::NotThere(_) => anyhow!("{unread}").context(GONE),
            Unread::Odd(why) => anyhow!("cannot read what `nix path-info --json` wrote: {why}"),
        })?);
    }
    // Both closures contain the sources.
    closure.sort_by(|a, b| a.path.cmp(&b.path));
    closure.dedup_by(|a, b| a.path == b.path);
    Ok(closure)
}

/// What to do if Nix says that a path is missing.
const GONE: &str = "parts of the build are no longer in the Nix store: build it again";
/// How versions of Nix say that a path is missing.
const NOT_THERE: [&str; 2] = ["is not valid", "is not in the store"];

/// Runs `nix path-info --json`, with the format that every version of Nix has, if it can be named.
async fn path_info(sh: &Shell, kind: &[&str], paths: &[String]) -> Result<String> {
    let wait = Wait::for_("Nix's list of closures");
    let ask = |format: &[&str]| {
        let cmd = nix(sh, &["path-info", "--json"]).args(format).arg("--recursive").args(kind).args(paths);
        let asking = child::read(cmd, &wait);
        async { asking.await.map_err(|error| (format!("{error:#}"), error)) }
    };
    let json = match ask(&FORMAT).await {
        Err((message, _)) if has_one_format(&message) => ask(&[]).await,
        json => json,
    };
    json.map_err(|(message, error)| {
        if NOT_THERE.iter().any(|words| message.contains(words)) {
            error.context(GONE)
        } else {
            error.context("cannot ask Nix about the build")
        }
    })
}

/// Compresses and signs into a local cache every path for which it has no narinfo.
///
/// # Errors
/// Nix's message. Nix does not fail if it could not sign, so check the result.
pub async fn stage(sh: &Shell, store: &str, key: &SecretKey, roots: &Roots) -> Result<()> {
    let url = format!(
        "{store}?compression=zstd&parallel-compression=true&write-nar-listing=true&secret-key={}",
        secret_file::STDIN
    );
    // What Nix leaves there if it is killed, our next run removes.
    let temporary = ScratchDir::new()?;
    for (kind, paths) in each(roots) {
        let cmd = nix(sh, &["copy", "--to", &url]).args(kind).args(paths).env("TMPDIR", temporary.path());
        let wait = Wait::for_("Nix, which compresses and signs").reading(secret_file::nameless(key.expose())?);
        child::read(cmd, &wait).await?;
    }
    Ok(())
}

/// Lets Nix verify that a cache has every path of the closures, signed by one of `keys` (as in `trusted-public-keys`)
/// and, with `contents`, with the right NAR. Returns Nix's objection, if it has one.
///
/// # Errors
/// Nix cannot be run, or fails for reasons other than the cache's contents.
pub async fn verify(sh: &Shell, store: &str, keys: &str, contents: bool, roots: &Roots) -> Result<Option<String>> {
    for (kind, paths) in each(roots) {
        let objection =
            objection(sh, store, keys, contents, |cmd| cmd.arg("--recursive").args(kind).args(paths)).await?;
        if objection.is_some() {
            return Ok(objection);
        }
    }
    Ok(None)
}

/// Lets Nix verify every path that a store has. No derivation is read, so the NARs of derivations may be missing.
///
/// # Errors
/// Nix cannot be run, or fails for reasons other than the cache's contents.
pub async fn verify_all(sh: &Shell, store: &str, keys: &str, contents: bool) -> Result<Option<String>> {
    objection(sh, store, keys, contents, |cmd| cmd.arg("--all")).await
}

async fn objection<'a>(
    sh: &'a Shell,
    store: &str,
    keys: &str,
    contents: bool,
    what: impl FnOnce(Cmd<'a>) -> Cmd<'a>,
) -> Result<Option<String>> {
    // Without an empty directory for its own cache, Nix would not look again.
    let memory = ScratchDir::new()?;
    let cmd = nix(sh, &["store", "verify", "--store", store, "--sigs-needed", "1"])
        .args(["--trusted-public-keys", keys])
        .args((!contents).then_some("--no-contents"));
    let wait = Wait::for_("Nix, which reads the cache").unless_silent(SILENT);
    let output =
        child::capture(what(cmd).env("XDG_CACHE_HOME", memory.path()).env("TMPDIR", memory.path()), &wait).await?;
    if output.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("checking ")).collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
    if is_about_the_cache(&last) {
        Ok(Some(last))
    } else {
        let status = output.status;
        Err(anyhow!("Nix could not verify the cache ({status}), for a reason other than its contents: {last}"))
    }
}

/// Whether Nix objects to the cache's contents, rather than to this machine or the connection.
fn is_about_the_cache(message: &str) -> bool {
    const OF_THE_CACHE: [&str; 10] = [
        "was modified",
        "is untrusted",
        "does not exist in binary cache",
        "is not valid",
        "is corrupt",
        "hash mismatch",
        "NAR info file",
        "bad archive",
        "no substituter that can build",
        "does not exist in the store",
    ];
    const OF_ITS_OWN: [&str; 10] = [
        "disk is full",
        "No space left on device",
        "SQLite",
        "Permission denied",
        "Read-only file system",
        "Cannot allocate memory",
        "Too many open files",
        "unable to download",
        "cannot open connection",
        "unrecogni",
    ];
    let has = |words: &[&str]| words.iter().any(|words| message.contains(words));
    has(&OF_THE_CACHE) && !has(&OF_ITS_OWN)
}

/// Generates a secret key with this name.
///
/// # Errors
/// Nix's message.
pub fn generate_key(sh: &Shell, name: &str) -> Result<String> {
    process::read(nix(sh, &["key", "generate-secret", "--key-name", name]))
}

/// Makes a command of Nix's newer interface.
pub fn nix<'a>(sh: &'a Shell, args: &[&str]) -> Cmd<'a> {
    sh.cmd("nix").args(["--extra-experimental-features", "nix-command"]).args(args)
}
