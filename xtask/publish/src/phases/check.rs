//! `release check`: proves what was built before users get it, and writes `release/checks.json`.
//!
//! Every check looks at what was built, or at the world, and changes neither. All of them run, whatever the others find;
//! none needs a key. A check that could not be run proves nothing.

mod archives;
mod growth;
mod jobs;
mod manual;
mod outside;
mod page;
mod rebuild;
mod smoke;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::{Context, Result, anyhow};
use camino::Utf8PathBuf;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use xtask::cli::{Against, CheckArgs, Invocation, Outcome as Ended};
use xtask::domain::build::record::Record;
use xtask::domain::build::sbom::Sbom;
use xtask::domain::digest::Digest;
use xtask::domain::environment::checking::CheckSettings;
use xtask::domain::extent::Extent;
use xtask::domain::format::Format;
use xtask::domain::layout::{ARTIFACTS, Layout, RELEASE};
use xtask::domain::problem::{Problem, Problems};
use xtask::domain::product::Product;
use xtask::domain::release::check::Check;
use xtask::domain::system::System;
use xtask::tools::files;
use xtask::tools::git::Git;
use xtask::tools::term;
use xtask::tree::{self, release_dir};

use super::environments;
use crate::domain::checks::report::{Checks, Outcome};
use crate::domain::checks::traces::Traces;
use crate::site::Environments;
use crate::site::built::Built;
use crate::site::checks;

/// File that lists the users of a machine.
const USERS: &str = "/etc/passwd";

/// What is checked, and with what.
pub struct Candidate {
    /// Top of the tree that is released.
    pub tree: Utf8PathBuf,
    pub product: Arc<Product>,
    pub record: Record,
    /// Digest of `release.json`.
    pub digest: Digest,
    pub settings: CheckSettings,
    pub environments: Environments,
    /// The release to compare with, if the manager named one.
    pub against: Option<Against>,
    /// The manager's arguments for Nix.
    pub nix_args: Vec<String>,
}

impl Candidate {
    /// Names of the artifacts.
    pub fn layout(&self) -> Layout {
        Layout::new(&self.product, &self.record.version)
    }

    /// The directory `release/`.
    pub fn dir(&self) -> Utf8PathBuf {
        self.tree.join(RELEASE)
    }

    /// The version directory below it.
    pub fn version_dir(&self) -> Utf8PathBuf {
        self.dir().join(ARTIFACTS).join(self.layout().version_directory())
    }

    /// Reads a system's bill of materials; `None` if an older tool built the release.
    ///
    /// # Errors
    /// It is not one.
    pub fn sbom(&self, system: &System) -> Result<Option<Sbom>> {
        let name = self.layout().sbom(system);
        if !self.record.files.contains_key(&name) {
            return Ok(None);
        }
        let text = files::read_text(&self.version_dir().join(&name))?;
        Ok(Some(Sbom::parse(&text).map_err(|why| anyhow!("{name} {why}"))?))
    }

    /// What looks for home directories of builders.
    pub fn traces(&self) -> Traces {
        Traces::new(homes(), self.settings.allowed_paths.clone())
    }
}

/// Runs the checks.
///
/// # Errors
/// The release differs from its build, or the outcomes cannot be written.
pub async fn run(invocation: &Invocation, args: &CheckArgs) -> Result<Ended> {
    let git = Git::open(&invocation.tree)?;
    release_dir::require_tidy(git.root())?;
    let settings = tree::config(&invocation.config_file())?.checks;
    let built = Built::open(&git, &invocation.product, Extent::All, !args.no_check_git).await?;
    let candidate = Arc::new(Candidate {
        tree: git.root().to_owned(),
        product: Arc::clone(&invocation.product),
        digest: built.record_digest,
        record: built.record,
        settings,
        environments: environments(invocation),
        against: args.against.clone(),
        nix_args: args.nix_args.clone(),
    });

    let mut checks = Checks {
        format: Format,
        version: candidate.record.version.clone(),
        record: candidate.digest,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        checks: earlier(&candidate)?,
    };
    for (check, outcome) in outcomes(&candidate, chosen(args)).await? {
        let reason = match check {
            Check::Growth => args.accept_growth.as_deref(),
            Check::Blockers => args.despite_blockers.as_deref(),
            _ => None,
        };
        checks.checks.insert(check.name().to_owned(), outcome.accepted(reason));
    }
    files::write_atomic(&checks::path(&candidate.tree), &checks.to_json())?;
    page::show(invocation.json, &checks)
}

/// The checks that were asked for, in their order.
fn chosen(args: &CheckArgs) -> Vec<Check> {
    let only: BTreeSet<Check> = args.only.iter().copied().collect();
    let wanted = |check: &Check| match check {
        Check::Rebuild if only.is_empty() => args.rebuild,
        check => only.is_empty() || only.contains(check),
    };
    Check::EVERY.into_iter().filter(wanted).collect()
}

/// The outcomes of an earlier run with the same release, which stay if a check is not run again.
fn earlier(candidate: &Candidate) -> Result<BTreeMap<String, Outcome>> {
    // Whatever else lies there proves nothing, and is written again.
    let earlier = checks::read(&candidate.tree)?.and_then(Result::ok);
    let earlier = earlier.filter(|earlier| earlier.record == candidate.digest);
    Ok(earlier.map(|earlier| earlier.checks).unwrap_or_default())
}

/// Runs checks side by side, as many as there are cores.
async fn outcomes(candidate: &Arc<Candidate>, chosen: Vec<Check>) -> Result<Vec<(Check, Outcome)>> {
    let cores = Arc::new(Semaphore::new(available_parallelism().map_or(1, NonZero::get)));
    let (mut running, mut set, mut found) = (BTreeSet::new(), JoinSet::new(), Vec::new());
    for check in chosen {
        let (candidate, cores) = (Arc::clone(candidate), Arc::clone(&cores));
        running.insert(check);
        set.spawn(async move {
            let _core = cores.acquire().await;
            let outcome = one(check, candidate).await;
            (check, outcome.unwrap_or_else(|why| Outcome::NotRun { why: format!("{why:#}") }))
        });
    }
    draw(&running);
    while let Some(ended) = set.join_next().await {
        let (check, outcome) = ended.context("a check was stopped")?;
        running.remove(&check);
        draw(&running);
        found.push((check, outcome));
    }
    found.sort_by_key(|(check, _)| *check);
    Ok(found)
}

/// Shows which checks are still running, on one line of a terminal.
fn draw(running: &BTreeSet<Check>) {
    if term::can_redraw() {
        term::erase();
        let names: Vec<&str> = running.iter().map(|check| check.name()).collect();
        if !names.is_empty() {
            term::redraw(format_args!("  checking {}", names.join(", ")));
        }
    }
}

/// Runs one check. An error means that it could not be run.
async fn one(check: Check, candidate: Arc<Candidate>) -> Result<Outcome> {
    let blocking = match check {
        Check::Growth => return growth::growth(&candidate).await,
        Check::Blockers => return outside::blockers(&candidate).await,
        Check::Post => return outside::post(&candidate).await,
        Check::Rebuild => return rebuild::rebuild(&candidate).await,
        Check::Source => archives::source,
        Check::Tarballs => archives::tarballs,
        Check::Images => archives::images,
        Check::Manual => manual::manual,
        Check::Outputs => manual::outputs,
        Check::Jobs => jobs::jobs,
        Check::Smoke => smoke::smoke,
    };
    tokio::task::spawn_blocking(move || blocking(&candidate)).await.context("it panicked")?
}

/// A check passed if there are no problems.
fn outcome(problems: Problems, told: String) -> Outcome {
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    if problems.is_empty() { Outcome::Passed { told } } else { Outcome::Failed { problems } }
}

/// Puts the name of a file before its problems, the reason that it cannot be read among them.
fn named(name: &str, found: Result<Problems>) -> Problems {
    let found = found.unwrap_or_else(|why| [Problem::new(format!("{why:#}"))].into_iter().collect());
    found.iter().map(|problem| Problem::new(format!("{name}: {problem}"))).collect()
}

/// The home directories of this machine, with a slash at the end.
fn homes() -> Vec<String> {
    let users = std::fs::read_to_string(USERS).unwrap_or_default();
    let listed = users.lines().filter_map(|line| line.split(':').nth(5).map(str::to_owned));
    let own = std::env::var("HOME").ok();
    listed.chain(own).map(|home| home.trim_end_matches('/').to_owned() + "/").collect()
}
