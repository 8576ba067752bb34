//! `release build`: builds the tag's jobs with Nix and makes `release/` of them: complete, checked and recorded.
//!
//! Everything is gathered beside the existing release and replaces it at the end, in one step. Publishes nothing and
//! needs no key.

mod fleet;
mod gather;
mod plan;
mod realise;

use anyhow::Result;

use self::gather::Gathering;
use self::plan::{Observed, Plan, decide};
use crate::domain::extent::Extent;
use crate::domain::layout;
use crate::domain::system::System;
use crate::tools::git::Git;
use crate::tools::interrupt;
use crate::tools::nix::Nix;
use crate::tools::term::{self, Steps};
use crate::tree::release_dir::Stage;

pub use self::fleet::Fleet;
pub use self::plan::{RELEASE_JOBS, Request};
pub use self::realise::together;

/// Builds.
///
/// # Errors
/// Every problem at once, or the step that failed. The existing release is untouched then.
pub fn run(git: &Git, request: &Request) -> Result<()> {
    interrupt::stands("release/ is as it was, and what Nix has built stays");
    let nix = Nix::new(git.root(), &request.nix_args)?;
    nix.warn_of_lost_arguments(&request.nix_args);
    let mut steps = Steps::default();
    // Nix first copies the tree to its store, which takes a while for a large tree.
    let what = "the tree, as Nix fetches it, and this machine";
    let observed = steps.run("look", what, || Observed::new(git, &nix, request))?;
    let plan = decide(observed, request)?;
    plan.show();

    let stage = Stage::begin(git.root())?;
    let built = match request.target {
        Extent::All => all(&plan, &nix, stage, &mut steps)?,
        Extent::Manual => manual(&plan, &nix, stage, &mut steps)?,
    };
    term::say(&steps);
    let what = if request.target == Extent::Manual { " --target manual" } else { "" };
    term::say(format_args!("{built}; next: {}", term::next(&format!("plan --env ENV{what}"))));
    Ok(())
}

fn all(plan: &Plan, nix: &Nix, stage: Stage, steps: &mut Steps) -> Result<String> {
    let roots = stage.current().join(layout::GC_ROOTS);
    let what = format!("{RELEASE_JOBS}.{} with {}", plan.profile, Nix::evaluator());
    let (jobs, early) = steps.run("evaluate", what, || realise::evaluate(nix, plan, &roots))?;
    plan.check_version(&jobs.version)?;
    let what = "licenses and home pages of what the builds are made of";
    let descriptions = steps.run("describe", what, || realise::describe(nix, plan))?;
    let systems: Vec<String> = jobs.builds.keys().map(System::to_string).collect();
    let what = format!("{} and the tarballs", systems.join(", "));
    steps.run("realise", what, || realise::realise(nix, &plan.fleet, &jobs, early, &roots))?;

    let mut gathering = Gathering::new(plan, &jobs, &descriptions, stage.dir());
    steps.run("gather", "files and manual, and the source as git archives it", || gathering.gather())?;
    let platforms = gathering.platforms();
    let image = steps.run("images", format!("{platforms}, converted by skopeo"), || gathering.images())?;
    let described = steps.run("seal", layout::RECORD, || {
        gathering.keep_roots(&roots)?;
        let described = gathering.seal(image)?;
        stage.replace()?;
        interrupt::stands("release/ is complete");
        Ok(described)
    })?;
    Ok(format!("release/ holds {} {}: {described}", plan.product.name, jobs.version))
}

fn manual(plan: &Plan, nix: &Nix, stage: Stage, steps: &mut Steps) -> Result<String> {
    let roots = stage.current().join(layout::GC_ROOTS);
    let what = format!("the manual's build in {RELEASE_JOBS}.{}", plan.profile);
    let job = steps.run("evaluate", what, || realise::evaluate_manual(nix, plan))?;
    plan.check_version(&job.version)?;
    steps.run("realise", &job.build.name, || realise::one(nix, &plan.fleet, &job.build, Vec::new(), &roots))?;
    let pages = steps.run("gather", "the manual", || {
        let pages = gather::manual_alone(plan, &job, &stage.dir())?;
        stage.replace_parts(&[layout::MANUAL, layout::MANUAL_RECORD])?;
        Ok(pages)
    })?;
    Ok(format!("release/manual/ holds the manual of {} {}: {pages} files", plan.product.name, job.version))
}
