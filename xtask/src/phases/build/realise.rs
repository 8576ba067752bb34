//! From the flake to store paths: evaluation, and building of what it gives.

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;

use super::plan::{Plan, RELEASE_JOBS};
use crate::domain::build::jobs::{self, Jobs, ManualJob};
use crate::domain::system::System;
use crate::tools::nix::Nix;
use crate::tools::process::running::Running;

/// The profile's jobs, and those of them whose building has begun.
///
/// # Errors
/// Every job that does not evaluate, or what is missing.
pub fn evaluate(nix: &Nix, plan: &Plan, roots: &Utf8Path) -> Result<(Jobs, Vec<Running>)> {
    let (mut early, mut failed) = (Vec::new(), false);
    let path = [RELEASE_JOBS.to_owned(), plan.profile.to_string()];
    let rows = nix.jobs(&plan.flake, &path, roots, |row| {
        match &row.result {
            // There will be no release: no need to go on, but for the other messages.
            Err(_) => {
                failed = true;
                early.clear();
            }
            // The tarballs wait for all builds, and would only wait for locks now.
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
    // The tarballs are made of all the rest, so this one call gives Nix everything to schedule. After it, the builds
    // get their roots, each in a call of its own, since Nix numbers the links of several.
    for job in std::iter::once(&jobs.tarballs).chain(jobs.builds.values()) {
        nix.start_realise(job, roots)?.finish().with_context(|| format!("cannot build {}", job.name))?;
    }
    for path in jobs.builds.values().chain([&jobs.tarballs]).flat_map(|job| job.outputs.values()) {
        ensure!(Utf8Path::new(&path.to_string()).exists(), "Nix says that it has built {path}, and it is not there");
    }
    Ok(())
}

/// The build that holds the manual.
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
