//! From the flake to store paths: evaluates the jobs and builds them.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;

use super::fleet::Fleet;
use super::plan::{Plan, RELEASE_JOBS};
use crate::domain::build::description::Descriptions;
use crate::domain::build::jobs::{self, Derivation, Jobs, ManualJob};
use crate::domain::build::nix_log::{Failure, Kind};
use crate::domain::problem::{Problem, Problems};
use crate::domain::store_path::StorePath;
use crate::domain::system::System;
use crate::tools::nix::Nix;
use crate::tools::nix::realisation::{Ended, Realisation};
use crate::tools::term;

/// Evaluates the profile's jobs. Returns them, and the builds that have been started already.
///
/// # Errors
/// Every job that does not evaluate, or what is missing.
pub fn evaluate(nix: &Nix, plan: &Plan, roots: &Utf8Path) -> Result<(Jobs, Vec<Realisation>)> {
    let builders = plan.fleet.list();
    let (mut early, mut failed) = (Vec::new(), false);
    let path = [RELEASE_JOBS.to_owned(), plan.profile.to_string()];
    let rows = nix.jobs(&plan.flake, &path, roots, |row| {
        match &row.result {
            // There will be no release: evaluation goes on only for the other messages.
            Err(_) => {
                failed = true;
                early.clear();
            }
            // The tarballs need all builds: started now, they would only wait for locks.
            Ok(build) if row.is_build() && !failed => {
                early.push(nix.start_realise(&[&build.path], roots, builders.as_deref())?);
            }
            Ok(_) => {}
        }
        Ok(())
    })?;
    Ok((Jobs::decide(&plan.product, rows)?, early))
}

/// Returns what everything that the builds are made of says about itself.
///
/// # Errors
/// Nix's message.
pub fn describe(nix: &Nix, plan: &Plan) -> Result<Descriptions> {
    let path = [RELEASE_JOBS.to_owned(), plan.profile.to_string(), jobs::BUILD.to_owned()];
    nix.descriptions(&plan.flake, &path).context("cannot evaluate the licenses of what the builds are made of")
}

/// Builds all jobs: everything that can be built, even if something else fails.
///
/// # Errors
/// Every build that fails, with its machine and the end of its log.
pub fn realise(nix: &Nix, fleet: &Fleet, jobs: &Jobs, early: Vec<Realisation>, roots: &Utf8Path) -> Result<()> {
    // The tarballs depend on all builds, so this one goal gives Nix everything to schedule.
    one(nix, fleet, &jobs.tarballs, early, roots)?;
    // The builds then get their roots, each in a separate call, because Nix numbers the links if it makes several.
    for job in jobs.builds.values() {
        let ended = nix.start_realise(&[&job.path], roots, None)?.finish()?;
        ensure!(ended.status.success(), "cannot protect {} from the garbage collector: {}", job.name, summary(&ended));
    }
    for path in jobs.builds.values().chain([&jobs.tarballs]).flat_map(|job| job.outputs.values()) {
        ensure!(Utf8Path::new(&path.to_string()).exists(), "Nix reports that it built {path}, but it does not exist");
    }
    Ok(())
}

/// Builds one job, with everything that it is made of.
///
/// # Errors
/// As for [`realise`].
pub fn one(nix: &Nix, fleet: &Fleet, goal: &Derivation, early: Vec<Realisation>, roots: &Utf8Path) -> Result<()> {
    let problems = together(nix, fleet, vec![goal.path.clone()], early, roots)?;
    let what = || format!("cannot build {}: everything else is built, and stays", goal.name);
    if problems.is_empty() { Ok(()) } else { Err(problems).with_context(what) }
}

/// Builds derivations, with everything that they are made of. Returns what fails, each with its machine and the end of its
/// log; everything that does not depend on it is built.
///
/// # Errors
/// Nix cannot be run.
pub fn together(
    nix: &Nix,
    fleet: &Fleet,
    goals: Vec<StorePath>,
    early: Vec<Realisation>,
    roots: &Utf8Path,
) -> Result<Problems> {
    let mut attempts = Attempts { nix, fleet: fleet.clone(), goals, roots, broken: Vec::new() };
    for realisation in early {
        let failures = realisation.finish()?.builds.failures();
        // What a lost builder was at is tried again with the others.
        attempts.broken.extend(failures.into_iter().filter(|failure| failure.kind == Kind::Broken));
    }
    let first = attempts.attempt()?;
    let (broken, lost): (Vec<_>, Vec<_>) =
        first.builds.failures().into_iter().partition(|failure| failure.kind == Kind::Broken);
    attempts.broken.extend(broken);
    if lost.is_empty() {
        return Ok(attempts.report(&first, Vec::new()));
    }
    attempts.fleet.replace_lost(nix, &lost);
    for failure in &lost {
        let why = attempts.fleet.explain(failure).unwrap_or_else(|| failure.reason.clone());
        term::warn(format_args!("{} failed with its builder, and is tried once more: {why}", failure.name()));
    }
    let second = attempts.attempt()?;
    let (broken, mut left): (Vec<_>, Vec<_>) =
        second.builds.failures().into_iter().partition(|failure| failure.kind == Kind::Broken);
    attempts.broken.extend(broken);
    // No machine took it a second time.
    if !second.status.success() {
        left.extend(lost.into_iter().filter(|failure| !second.builds.started(&failure.derivation)));
    }
    if !left.is_empty() {
        attempts.fleet.ask_again(nix);
    }
    Ok(attempts.report(&second, left))
}

/// The attempts to build derivations.
struct Attempts<'a> {
    nix: &'a Nix,
    fleet: Fleet,
    goals: Vec<StorePath>,
    roots: &'a Utf8Path,
    /// Builds that fail wherever they are built.
    broken: Vec<Failure>,
}

impl Attempts<'_> {
    /// Builds everything that does not depend on what is broken.
    fn attempt(&self) -> Result<Ended> {
        let sound = if self.broken.is_empty() { self.goals.clone() } else { self.sound()? };
        let goals: Vec<&StorePath> = sound.iter().collect();
        self.nix.start_realise(&goals, self.roots, self.fleet.list().as_deref())?.finish()
    }

    /// Returns the goals that do not depend on what is broken, and of the others, what they are made of and does not.
    fn sound(&self) -> Result<Vec<StorePath>> {
        let broken: BTreeSet<&str> = self.broken.iter().map(|failure| failure.derivation.as_str()).collect();
        let is_sound = |path: &StorePath| -> Result<bool> {
            let requisites = self.nix.requisites(path)?;
            Ok(!requisites.iter().any(|path| broken.contains(path.to_string().as_str())))
        };
        let mut sound = Vec::new();
        for goal in &self.goals {
            if is_sound(goal)? {
                sound.push(goal.clone());
                continue;
            }
            for input in self.nix.inputs(goal)? {
                if is_sound(&input)? {
                    sound.push(input);
                }
            }
        }
        Ok(sound)
    }

    /// Reports everything that is not built; `left` are the builds that failed with their builder.
    fn report(self, last: &Ended, left: Vec<Failure>) -> Problems {
        let mut problems = Problems::default();
        if last.status.success() && self.broken.is_empty() && left.is_empty() {
            return problems;
        }
        let mut failures: Vec<&Failure> = self.broken.iter().chain(&left).collect();
        failures.sort_by_key(|failure| (failure.name(), &failure.derivation));
        for failure in failures {
            let why = self.fleet.explain(failure).map(|why| format!("\n{why}")).unwrap_or_default();
            let log = if failure.lines.is_empty() { String::new() } else { log_of(failure) };
            problems.add(format!("{failure}{log}{why}"));
        }
        let unplaced = last.builds.unplaced();
        for (name, required) in &unplaced {
            problems.add(format!(
                "no machine builds {name}, for {required}: `cargo xtask release doctor` shows all builders"
            ));
        }
        for line in self.fleet.unusable().filter(|_| !unplaced.is_empty()) {
            problems.push(Problem::new(line));
        }
        if problems.is_empty() {
            problems.add(summary(last));
        }
        problems
    }
}

/// Says where the whole log of a failed build is.
fn log_of(failure: &Failure) -> String {
    format!("\n  the whole log: nix-store --read-log {}", failure.derivation)
}

/// Returns what is known of a run of Nix that failed.
fn summary(ended: &Ended) -> String {
    let others = ended.builds.others();
    let says = if others.is_empty() { String::new() } else { format!("\n{}", others.join("\n")) };
    format!("`{}` failed ({}){says}", ended.shown, ended.status)
}

/// Evaluates the build that contains the manual.
///
/// # Errors
/// Nix's message.
pub fn evaluate_manual(nix: &Nix, plan: &Plan) -> Result<ManualJob> {
    let path = [RELEASE_JOBS.to_owned(), plan.profile.to_string()];
    let below = [jobs::BUILD.to_owned(), System::main().to_string()];
    let row = nix.job(&plan.flake, &path, &below)?;
    let row = row.with_context(|| format!("`{}` is not a derivation", below.join(".")))?;
    Ok(ManualJob::decide(&plan.product, row)?)
}
