//! What Nix can build here of a release, and what it builds twice.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::domain::build::record::Record;
use xtask::domain::profile::Profile;
use xtask::domain::store_path::StorePath;
use xtask::domain::system::System;
use xtask::phases::build::RELEASE_JOBS;
use xtask::tools::git::Git;
use xtask::tools::nix::{Flake, Nix};
use xtask::tools::source::Source;
use xtask::tools::term;

use super::super::report::Findings;
use crate::domain::rebuilt::Possible;

/// The job that everything is gathered from.
const TARBALLS: &str = "tarballs";
/// What Nix says if a build differs from the one in the store.
const NOT_DETERMINISTIC: &str = "may not be deterministic";

/// The jobs of a release's tag.
pub struct Jobs {
    /// Top of the clone that has the tag.
    tree: Utf8PathBuf,
    nix_args: Vec<String>,
    /// The systems of the release that can be built, and whether this machine does it.
    able: BTreeMap<System, bool>,
}

/// What came of building once more.
pub struct OnceMore {
    pub derivations: usize,
    pub findings: Findings,
    /// Systems whose builds were left out.
    pub elsewhere: Vec<System>,
}

impl Jobs {
    /// Asks Nix and its builders what can be built of the tag in a clone.
    pub async fn ask(tree: &Utf8Path, record: &Record, profile: Profile, nix_args: &[String]) -> Result<Jobs> {
        let (tree, nix_args, record) = (tree.to_owned(), nix_args.to_vec(), record.clone());
        let asking = move || {
            let nix = Nix::new(&tree, &nix_args)?;
            let mut machines = nix.machines()?;
            for verdict in nix.ask(&machines).into_iter().filter(|verdict| !verdict.usable) {
                term::warn(format_args!("the builder {}; nothing is built there", verdict.line()));
                machines.builders.retain(|builder| builder.uri != verdict.builder.uri);
            }
            let path = [RELEASE_JOBS, profile.name(), "build"].map(str::to_owned);
            let wanted = with_flake(&tree, &record, |flake| nix.systems(flake, &path))?;
            let who = |system: &System| {
                let name = system.to_string();
                let who = machines.who(wanted.get(&name).unwrap_or(&name))?;
                Some((system.clone(), who == "here"))
            };
            let able = record.builds.keys().filter_map(who).collect();
            Ok(Jobs { tree, nix_args, able })
        };
        tokio::task::spawn_blocking(asking).await.context("it panicked")?
    }

    /// Whether something here builds for a system.
    pub fn is_able(&self, system: &System) -> bool {
        self.able.contains_key(system)
    }

    /// Builds once more what the release was gathered from: what was in the store already, or came from a cache, proves
    /// nothing.
    pub async fn build_once_more(&self, record: &Record, possible: &Possible) -> Result<OnceMore> {
        let (tree, nix_args, record) = (self.tree.clone(), self.nix_args.clone(), record.clone());
        let is_elsewhere = |(system, here): &(&System, &bool)| !**here && !possible.without.contains(*system);
        let elsewhere: Vec<System> = self.able.iter().filter(is_elsewhere).map(|(system, _)| system.clone()).collect();
        let (profile, left_out) = (possible.profile, elsewhere.clone());
        let building = move || {
            let nix = Nix::new(&tree, &nix_args)?;
            let all = derivations(&nix, &tree, &record, profile, &left_out)?;
            let outcome = |derivation: StorePath| (nix.build_again(&derivation), derivation);
            Ok::<Vec<_>, anyhow::Error>(all.into_iter().map(outcome).collect())
        };
        let outcomes = tokio::task::spawn_blocking(building).await.context("it panicked")??;
        let mut findings = Findings::default();
        for (outcome, derivation) in &outcomes {
            let Err(why) = outcome else { continue };
            let why = format!("{why:#}");
            if why.contains(NOT_DETERMINISTIC) {
                findings.broken.push(format!(
                    "{derivation} gives other outputs than the store here has: it is not deterministic, or the store has \
                     them from a cache that is not to be trusted"
                ));
            } else {
                findings.append(Findings::unknown(format!("{derivation}: {why}")));
            }
        }
        Ok(OnceMore { derivations: outcomes.len(), findings, elsewhere })
    }
}

/// Calls a function with the flake of the tag.
fn with_flake<T>(tree: &Utf8Path, record: &Record, ask: impl FnOnce(&Flake) -> Result<T>) -> Result<T> {
    let git = Git::open(tree)?;
    let reference = format!("refs/tags/{}", record.version);
    let object = git.resolve(&reference)?.context("the tag is gone")?;
    let source = Source::open(&git, &record.commit, Some((&reference, &object)))?;
    ask(&Flake::at(source.repository(), &reference, &record.commit))
}

/// Returns the derivations that a release is gathered from, except those of some systems.
fn derivations(
    nix: &Nix,
    tree: &Utf8Path,
    record: &Record,
    profile: Profile,
    elsewhere: &[System],
) -> Result<Vec<StorePath>> {
    let path = [RELEASE_JOBS.to_owned(), profile.to_string()];
    let row = with_flake(tree, record, |flake| nix.job(flake, &path, &[TARBALLS.to_owned()]))?;
    let row = row.with_context(|| format!("the flake has no `{TARBALLS}`"))?;
    let tarballs = row.result.map_err(|why| anyhow!(why))?.path;
    let names_a_system = |path: &StorePath| elsewhere.iter().any(|system| path.name().contains(&system.to_string()));
    let of_release = |path: &StorePath| path.name().contains(&record.version) && !names_a_system(path);
    let inputs = nix.inputs(&tarballs)?.into_iter().filter(of_release).collect::<Vec<_>>();
    Ok([tarballs].into_iter().chain(inputs).collect())
}
