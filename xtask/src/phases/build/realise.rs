//! From the flake to store paths: evaluates the jobs and builds them.

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;

use super::plan::{Plan, RELEASE_JOBS};
use crate::domain::build::jobs::{self, Jobs, ManualJob};
use crate::domain::system::System;
use crate::tools::nix::Nix;
use crate::tools::process::running::Running;

/// Evaluates the profile's jobs. Returns them, and the builds that have been started already.
///
/// # Errors
/// Every job that does not evaluate, or what is missing.
pub fn evaluate(nix: &Nix, plan: &Plan, roots: &Utf8Path) -> Result<(Jobs, Vec<Running>)> {
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
            Ok(build) if row.is_build() && !failed => early.push(nix.start_realise(build, roots)?),
            Ok(_) => {}
        }
        Ok(())
    })?;
    Ok((Jobs::decide(&plan.product, rows)?, early))
}

/// Builds all jobs.
///
/// # Errors
/// A build fails; its messages are on the terminal.
pub fn realise(nix: &Nix, jobs: &Jobs, early: Vec<Running>, roots: &Utf8Path) -> Result<()> {
    for running in early {
        running.finish()?;
    }
    // The tarballs depend on all builds, so this one call gives Nix everything to schedule. The builds then get their
    // roots, each in a separate call, because Nix numbers the links if it makes several.
    for job in std::iter::once(&jobs.tarballs).chain(jobs.builds.values()) {
        nix.start_realise(job, roots)?.finish().with_context(|| format!("cannot build {}", job.name))?;
    }
    for path in jobs.builds.values().chain([&jobs.tarballs]).flat_map(|job| job.outputs.values()) {
        ensure!(Utf8Path::new(&path.to_string()).exists(), "Nix reports that it built {path}, but it does not exist");
    }
    Ok(())
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
