//! Owns what Nix does for a binary cache: what a closure is, compressing and signing it, judging it. From Nix 2.8 on.
//! Refuses to own which paths are published, and to speak to any server that is written to: Debian's Nix knows no S3.
//!
//! Outputs are named by their paths and derivations with `--derivation`: a bare `.drv` means one thing to older Nix and
//! another to newer.

use std::time::Duration;

use anyhow::{Result, anyhow};
use xshell::{Cmd, Shell};
use xtask::domain::build::record::Record;
use xtask::domain::store_path::StorePath;
use xtask::tools::process;

use super::child::{self, Wait};
use super::scratch::Scratch;
use super::secret_file::SecretFile;
use crate::domain::cache::path_info::{PathInfo, parse_path_infos};

/// No narinfo is nearly this long.
pub const NARINFO_LIMIT: u64 = 4 << 20;

/// No listing is nearly this long.
pub const LISTING_LIMIT: u64 = 256 << 20;

/// Lines of Nix's judgement that an error carries.
const LAST_LINES: usize = 15;
/// How long a cache may be silent while Nix reads it; Nix asks again by itself before that.
const SILENT: Duration = Duration::from_secs(300);

/// What is published: whole closures of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    pub outputs: Vec<StorePath>,
    pub derivations: Vec<StorePath>,
}

impl Roots {
    /// What is published of a release.
    pub fn of(record: &Record) -> Roots {
        Roots {
            outputs: record.builds.values().flat_map(|build| build.outputs.values().cloned()).collect(),
            derivations: record.builds.values().map(|build| build.derivation.clone()).collect(),
        }
    }
}

impl Roots {
    /// Each kind, with the words that make Nix take it for what it is.
    fn each(&self) -> impl Iterator<Item = (&[&str], Vec<String>)> {
        let kinds: [(&[&str], &[StorePath]); 2] = [(&[], &self.outputs), (&["--derivation"], &self.derivations)];
        let kinds = kinds.into_iter().filter(|(_, paths)| !paths.is_empty());
        kinds.map(|(kind, paths)| (kind, paths.iter().map(StorePath::to_string).collect()))
    }
}

/// Every path of the closures, once.
///
/// # Errors
/// Nix's message: one of them is not in the store.
pub async fn closure(sh: &Shell, roots: &Roots) -> Result<Vec<PathInfo>> {
    let mut closure = Vec::new();
    for (kind, paths) in roots.each() {
        let json = path_info(sh, kind, &paths).await?;
        closure.extend(parse_path_infos(&json).map_err(|why| match why.ends_with(NOT_THERE) {
            true => anyhow!("{why}").context(GONE),
            false => anyhow!("cannot read what `nix path-info --json` wrote: {why}"),
        })?);
    }
    // Sources are in both.
    closure.sort_by(|a, b| a.path.cmp(&b.path));
    closure.dedup_by(|a, b| a.path == b.path);
    Ok(closure)
}

/// What is to be done where Nix says that a path is not there.
const GONE: &str = "what was built is not all in the Nix store any more: build it again";
/// How our own reader says so.
const NOT_THERE: &str = "is not in the store";

/// The JSON of `nix path-info`, in the format that every Nix knows, if that has a name.
async fn path_info(sh: &Shell, kind: &[&str], paths: &[String]) -> Result<String> {
    let wait = Wait::for_("Nix's list of closures");
    let ask = |format: &[&str]| {
        let cmd = nix(sh, &["path-info", "--json"]).args(format).arg("--recursive").args(kind).args(paths);
        let asking = child::read(cmd, &wait);
        async { asking.await.map_err(|error| (format!("{error:#}"), error)) }
    };
    let older = |message: &str| message.contains("json-format") && message.contains("unrecogni");
    let json = match ask(&["--json-format", "1"]).await {
        Err((message, _)) if older(&message) => ask(&[]).await,
        json => json,
    };
    json.map_err(|(message, error)| match message.contains("is not valid") || message.contains(NOT_THERE) {
        true => error.context(GONE),
        false => error.context("cannot ask Nix about what was built"),
    })
}

/// Compresses and signs into a store what it has no narinfo of.
///
/// # Errors
/// Nix's message. That it could not sign is none: see to the result.
pub async fn stage(sh: &Shell, store: &str, key: &SecretFile, roots: &Roots) -> Result<()> {
    let url = format!(
        "{store}?compression=zstd&parallel-compression=true&write-nar-listing=true&secret-key={}",
        encode(key.path().as_str())
    );
    for (kind, paths) in roots.each() {
        let cmd = nix(sh, &["copy", "--to", &url]).args(kind).args(paths);
        child::read(cmd, &Wait::for_("Nix, which compresses and signs")).await?;
    }
    Ok(())
}

/// Lets Nix judge a cache: every path of the closures there and signed by one of `keys` (Nix's spelling, separated by blanks), and with `contents` what its NAR
/// holds. Returns what Nix objects to.
///
/// # Errors
/// Nix cannot be run, or fails for reasons that are not the cache's.
pub async fn verify(sh: &Shell, store: &str, keys: &str, contents: bool, roots: &Roots) -> Result<Option<String>> {
    for (kind, paths) in roots.each() {
        let objection =
            objection(sh, store, keys, contents, |cmd| cmd.arg("--recursive").args(kind).args(paths)).await?;
        if objection.is_some() {
            return Ok(objection);
        }
    }
    Ok(None)
}

/// The same of every path that a store has. It reads no derivation, so their NARs need not be there.
///
/// # Errors
/// Nix cannot be run, or fails for reasons that are not the cache's.
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
    // Nix remembers what caches said; here it is to look.
    let memory = Scratch::new()?;
    let cmd = nix(sh, &["store", "verify", "--store", store, "--sigs-needed", "1"])
        .args(["--trusted-public-keys", keys])
        .args((!contents).then_some("--no-contents"));
    let wait = Wait::for_("Nix, which reads the cache").unless_silent(SILENT);
    let output = child::capture(what(cmd).env("XDG_CACHE_HOME", memory.path()), &wait).await?;
    if output.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("checking ")).collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
    match is_about_the_cache(&last) {
        true => Ok(Some(last)),
        false => Err(anyhow!("Nix could not judge ({}), which says nothing of the cache: {last}", output.status)),
    }
}

/// Whether Nix found fault with what it read, rather than with the machine that it runs on or the way to the cache.
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

/// Makes a secret key with this name.
///
/// # Errors
/// Nix's message.
pub fn generate_key(sh: &Shell, name: &str) -> Result<String> {
    process::read(nix(sh, &["key", "generate-secret", "--key-name", name]))
}

fn nix<'a>(sh: &'a Shell, args: &[&str]) -> Cmd<'a> {
    sh.cmd("nix").args(["--extra-experimental-features", "nix-command"]).args(args)
}

/// A path, in the address of a store.
fn encode(path: &str) -> String {
    let byte = |b: u8| match b {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
        _ => format!("%{b:02X}"),
    };
    path.bytes().map(byte).collect()
}
