//! Nix: evaluation and realisation.
//!
//! Owns the command lines of `nix`, `nix-eval-jobs` and `nix-store`, from Nix 2.8 on, and of the `ssh` that asks a
//! builder. Needs no global configuration. Every call gets the arguments that the manager adds after `--`.

mod fleet;
pub mod realisation;

mod again;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::Output;

use anyhow::{Context, Result, anyhow};
use camino::Utf8Path;
use serde::de::DeserializeOwned;
use xshell::Shell;

use super::process;
use super::process::output;
use super::process::running;
use super::scratch_dir::ScratchDir;
use super::{files, term};
use crate::domain::build::description::{self, Descriptions};
use crate::domain::build::jobs::Row;
use crate::domain::build::nix_args::NixArgs;
use crate::domain::build::nix_fault::{Fault, meaning};
use crate::domain::digest::Digest;
use crate::domain::oid::Oid;
use crate::domain::shown::excerpt;
use crate::domain::store_path::from_base32;

/// Nix function that turns an attribute set of jobs into the rows that `nix-eval-jobs` prints.
const EVAL_ROWS: &str = include_str!("eval-rows.nix");
/// Nix function that returns the names to descend into, to find the job that fails.
const CHILDREN: &str = r#"jobs: if jobs.type or "" == "derivation" then [ ] else builtins.attrNames jobs"#;
/// Nix function that turns a set of builds into what the derivations that they are made of say about themselves.
const DESCRIPTIONS: &str = include_str!("descriptions.nix");
/// Nix function that returns the system of each derivation in a set, without instantiating it.
const SYSTEMS: &str = "builtins.mapAttrs (_: job: job.system)";
const EVAL_JOBS: &str = "nix-eval-jobs";
/// Largest number of workers: each takes the memory of a separate evaluation.
const MAX_WORKERS: usize = 4;

/// A flake in a git work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flake(String);

impl Flake {
    /// Names one commit, which `reference` leads to; the state of the work tree does not matter.
    pub fn at(dir: &Utf8Path, reference: &str, commit: &Oid) -> Flake {
        Flake(format!("git+file://{}?ref={}&rev={commit}", encode(dir.as_str()), encode(reference)))
    }

    /// Names the work tree as it is, with its changes.
    pub fn work_tree(dir: &Utf8Path) -> Flake {
        Flake(format!("git+file://{}", encode(dir.as_str())))
    }

    fn attr(&self, path: &[String]) -> String {
        let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let quoted = path.iter().map(|name| if plain(name) { name.clone() } else { format!("\"{name}\"") });
        format!("{}#{}", self.0, quoted.collect::<Vec<_>>().join("."))
    }
}

/// Percent-encodes a path for a URL.
fn encode(path: &str) -> String {
    let byte = |b: u8| match b {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
        _ => format!("%{b:02X}"),
    };
    path.bytes().map(byte).collect()
}

/// Nix, with the manager's arguments.
pub struct Nix {
    sh: Shell,
    args: NixArgs,
    /// Directory for Nix's temporary files, which it leaves there if it is killed.
    scratch: ScratchDir,
}

/// What a look at a flake's output tells.
#[derive(Debug)]
pub struct Probe {
    /// Names of the output's attributes.
    pub attributes: Vec<String>,
    /// Whether Nix runs as root and has no build users.
    pub has_no_build_users: bool,
}

impl Nix {
    /// # Errors
    /// The current directory is gone, or there is no room for temporary files.
    pub fn new(dir: &Utf8Path, args: &[String]) -> Result<Nix> {
        let (sh, scratch) = (process::shell_in(dir)?, ScratchDir::new()?);
        sh.set_var("TMPDIR", scratch.path());
        Ok(Nix { sh, args: NixArgs::new(args), scratch })
    }

    fn eval(&self, flake: &Flake, path: &[String], function: &str) -> Result<Output, Failure> {
        // Of two that fill the cache of one commit at once, Nix lets one read what the other has half written, and then
        // finds no output. Nothing is lost without it: what a function is applied to is not cached.
        let cmd = self.sh.cmd("nix").args(EXPERIMENTAL).args(["eval", "--option", "eval-cache", "false", "--json"]);
        let cmd = cmd.args([&flake.attr(path), "--apply", function]).args(&self.args.eval);
        let output = process::capture_long(cmd).map_err(Failure::NotRun)?;
        // What it wrote before it failed may look complete.
        if !output.status.success() {
            let says = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::Message(Fault::new(&says, &self.version())));
        }
        Ok(output)
    }

    /// Returns the version that Nix reports.
    fn version(&self) -> String {
        let says = process::read(self.sh.cmd("nix").arg("--version")).unwrap_or_default();
        says.lines().next().unwrap_or("this Nix").to_owned()
    }

    /// Evaluates the names in a flake's output, and checks Nix itself.
    ///
    /// # Errors
    /// There is no such output, or Nix is not usable.
    pub fn probe(&self, flake: &Flake, path: &[String]) -> Result<Probe, Fault> {
        let odd = |error: anyhow::Error| Fault { meaning: None, message: format!("{error:#}") };
        let output = self.eval(flake, path, "builtins.attrNames").map_err(|failure| match failure {
            Failure::Message(fault) => fault,
            Failure::NotRun(error) => odd(error),
        })?;
        let warnings = String::from_utf8_lossy(&output.stderr);
        // Nix only warns here, but fails with the same message when it has to build.
        let has_no_build_users = warnings.contains("'build-users-group' does not exist");
        Ok(Probe { attributes: json(&output.stdout).map_err(odd)?, has_no_build_users })
    }

    /// Returns the hash of an archive's content, as a fetcher that unpacks it computes it: that of the NAR. Adds the content
    /// to the store.
    ///
    /// # Errors
    /// Nix's message.
    pub fn hash_of_unpacked(&self, archive: &Utf8Path) -> Result<Digest> {
        let url = format!("file://{}", encode(archive.as_str()));
        let cmd = self.sh.cmd("nix-prefetch-url").args(["--unpack", "--type", "sha256", &url]).args(&self.args.build);
        let hash = process::read(cmd)?;
        let bytes = hash.lines().last().and_then(|hash| from_base32(hash.trim()));
        bytes.map(Digest::new).with_context(|| format!("`nix-prefetch-url` wrote something unexpected: {hash}"))
    }

    /// Returns the system that each job of a set is built on, by the job's name.
    ///
    /// # Errors
    /// Nix's message.
    pub fn systems(&self, flake: &Flake, path: &[String]) -> Result<BTreeMap<String, String>> {
        json(&self.eval(flake, path, SYSTEMS).map_err(Failure::into_error)?.stdout)
    }

    /// Returns the licenses and home pages of everything that a set of builds is made of, as far as they are stated.
    ///
    /// # Errors
    /// Nix's message.
    pub fn descriptions(&self, flake: &Flake, path: &[String]) -> Result<Descriptions> {
        let output = self.eval(flake, path, DESCRIPTIONS).map_err(Failure::into_error)?;
        let parsed = description::parse(&String::from_utf8_lossy(&output.stdout));
        parsed.map_err(|why| anyhow!("`nix eval` wrote unexpected descriptions: {why}"))
    }

    /// Warns about options that are left out because the evaluator that knows them is not installed.
    pub fn warn_of_lost_arguments(&self, args: &[String]) {
        let lost = NixArgs::only_for_eval_jobs(args);
        if !lost.is_empty() && !files::on_path(EVAL_JOBS) {
            term::warn(format_args!(
                "`{}` is only for {EVAL_JOBS}, which is not installed: left out",
                lost.join("`, `")
            ));
        }
    }

    /// Returns the name of the evaluator that [`Nix::jobs`] uses.
    pub fn evaluator() -> &'static str {
        if files::on_path(EVAL_JOBS) { EVAL_JOBS } else { "nix eval" }
    }

    /// Evaluates every job below `path`; one that fails is a row, too. An evaluator that streams passes the jobs to `each`
    /// as they come, so that building can begin.
    ///
    /// # Errors
    /// Evaluation cannot begin, or `each` fails.
    pub fn jobs(
        &self,
        flake: &Flake,
        path: &[String],
        gc_roots: &Utf8Path,
        each: impl FnMut(&Row) -> Result<()>,
    ) -> Result<Vec<Row>> {
        if files::on_path(EVAL_JOBS) {
            return self.stream_jobs(flake, path, gc_roots, each);
        }
        self.eval_jobs(flake, path, &mut Vec::new())
    }

    /// Evaluates one job; its row has the path below `path`.
    ///
    /// # Errors
    /// Evaluation cannot begin.
    pub fn job(&self, flake: &Flake, path: &[String], below: &[String]) -> Result<Option<Row>> {
        Ok(self.eval_jobs(flake, path, &mut below.to_vec())?.pop())
    }

    fn stream_jobs(
        &self,
        flake: &Flake,
        path: &[String],
        gc_roots: &Utf8Path,
        mut each: impl FnMut(&Row) -> Result<()>,
    ) -> Result<Vec<Row>> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS).to_string();
        let cmd = self.sh.cmd(EVAL_JOBS).args(EXPERIMENTAL).args(["--force-recurse", "--workers", &workers]);
        let cmd =
            cmd.args(["--gc-roots-dir", gc_roots.as_str(), "--flake", &flake.attr(path)]).args(&self.args.eval_jobs);
        let mut rows = Vec::new();
        let ended = running::stream(cmd, |stdout| {
            for line in BufReader::new(stdout.take(output::MOST)).lines() {
                let line = line.context("cannot read what `nix-eval-jobs` writes")?;
                let mut row = Row::parse(&line).map_err(|why| {
                    anyhow!(
                        "`nix-eval-jobs` wrote an unexpected line: {why}; `-- --workers 1` may help\n{}",
                        excerpt(&line)
                    )
                })?;
                row.result = row.result.map_err(|says| Fault::new(&says, EVAL_JOBS).to_string());
                each(&row)?;
                rows.push(row);
            }
            Ok(())
        });
        match ended {
            // The rows that failed say why.
            Err(_) if rows.iter().any(|row| row.result.is_err()) => Ok(rows),
            Err(error) => Err(match meaning(&format!("{error:#}"), EVAL_JOBS) {
                Some(meaning) => error.context(meaning),
                None => error,
            }),
            Ok(()) => Ok(rows),
        }
    }

    /// Evaluates with plain Nix, which gives all rows or an error; after an error, evaluates each child separately.
    fn eval_jobs(&self, flake: &Flake, root: &[String], below: &mut Vec<String>) -> Result<Vec<Row>> {
        let path = [root, below].concat();
        let fault = match self.eval(flake, &path, EVAL_ROWS) {
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout);
                let rows = Row::parse_list(&text).map_err(|why| anyhow!("`nix eval` wrote unexpected rows: {why}"))?;
                let place = |row: Row| Row { attr_path: [&below[..], &row.attr_path].concat(), ..row };
                return Ok(rows.into_iter().map(place).collect());
            }
            Err(Failure::Message(fault)) => fault,
            Err(failure) => return Err(failure.into_error()),
        };
        let children = match self.eval(flake, &path, CHILDREN) {
            Ok(output) => json(&output.stdout)?,
            Err(Failure::Message(_)) => Vec::<String>::new(),
            Err(failure) => return Err(failure.into_error()),
        };
        let mut rows = Vec::new();
        for child in children {
            below.push(child);
            rows.extend(self.eval_jobs(flake, root, below)?);
            below.pop();
        }
        // All children evaluate, but the set does not: its message must not get lost.
        if rows.iter().all(|row| row.result.is_ok()) {
            rows.push(Row { attr_path: below.clone(), result: Err(fault.to_string()) });
        }
        Ok(rows)
    }
}

const EXPERIMENTAL: [&str; 2] = ["--extra-experimental-features", "nix-command flakes"];

/// Why an evaluation gave no value.
enum Failure {
    /// Nix failed with this message.
    Message(Fault),
    /// Nix cannot be run.
    NotRun(anyhow::Error),
}

impl Failure {
    fn into_error(self) -> anyhow::Error {
        match self {
            Failure::Message(fault) => fault.into(),
            Failure::NotRun(error) => error,
        }
    }
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .with_context(|| format!("`nix eval` wrote something unexpected: {}", String::from_utf8_lossy(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flake_is_found_wherever_it_lies() {
        let flake =
            Flake::at("/tmp/a b#c?é%".into(), "refs/tags/2.90.0-rc1", &"0".repeat(40).parse().expect("an object"));
        let path = ["release-jobs", "x86_64-linux-only", "a.b"].map(str::to_owned);
        expect_test::expect![[
            r#"git+file:///tmp/a%20b%23c%3F%C3%A9%25?ref=refs/tags/2.90.0-rc1&rev=0000000000000000000000000000000000000000#release-jobs.x86_64-linux-only."a.b""#
        ]]
        .assert_eq(&flake.attr(&path));
    }
}
