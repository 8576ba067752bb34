//! The check of the flake's own jobs: tests, cross and static builds, and whatever else must build before a release.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use camino::Utf8Path;
use xtask::domain::amounts::{counted, enumerate};
use xtask::domain::build::jobs::Derivation;
use xtask::domain::problem::{Problem, Problems};
use xtask::domain::profile::BuiltProfile;
use xtask::domain::store_path::StorePath;
use xtask::phases::build::{self, Fleet};
use xtask::tools::git::Git;
use xtask::tools::nix::{Flake, Nix};
use xtask::tools::scratch_dir::ScratchDir;
use xtask::tools::source::Source;

use super::{Candidate, outcome};
use crate::domain::checks::report::Outcome;

/// Evaluates and builds the jobs that `releng.toml` names, also with each variant of arguments.
pub fn jobs(candidate: &Candidate) -> Result<Outcome> {
    let BuiltProfile::Known(profile) = &candidate.record.profile else {
        return Ok(Outcome::NotRun {
            why: "release/ was built with a profile that this tool does not know".to_owned(),
        });
    };
    let paths = candidate.settings.job_paths(profile.name());
    if paths.is_empty() {
        return Ok(Outcome::Passed { told: "releng.toml names no jobs".to_owned() });
    }
    let git = Git::open(&candidate.tree)?;
    let tag = candidate.record.tag.as_ref().map(|tag| format!("refs/tags/{tag}"));
    let object = tag.as_deref().map(|tag| git.resolve(tag)).transpose()?.flatten();
    let reference = tag.as_deref().zip(object.as_ref());
    let commit = &candidate.record.commit;
    let source = Source::open(&git, commit, reference)?;
    let flake = Flake::at(source.repository(), reference.map_or("HEAD", |(tag, _)| tag), commit);

    let scratch = ScratchDir::new()?;
    let (mut problems, mut count, mut absent) = (Problems::default(), 0, BTreeSet::new());
    let none: &[String] = &[];
    for variant in std::iter::once(none).chain(candidate.settings.variants.iter().map(Vec::as_slice)) {
        let arguments = [&candidate.nix_args[..], variant].concat();
        let with = if variant.is_empty() { String::new() } else { format!(" with `{}`", variant.join(" ")) };
        let nix = Nix::new(&candidate.tree, &arguments)?;
        let fleet = Fleet::ask(&nix);
        let roots = scratch.path().join(count.to_string());
        std::fs::create_dir(&roots).with_context(|| format!("cannot make {roots}"))?;
        for path in &paths {
            let found = built(&nix, &fleet, &flake, path, &roots);
            let Some(found) = found.with_context(|| format!("`{}`{with}", path.join(".")))? else {
                absent.insert(format!("`{}`", path.join(".")));
                continue;
            };
            count += found.jobs;
            problems.extend(found.problems.into_iter().map(|problem| Problem::new(format!("{problem}{with}"))));
        }
    }
    Ok(match (problems.is_empty(), absent.is_empty()) {
        (true, false) => Outcome::NotRun {
            why: format!("the flake has no {}, which `jobs` in releng.toml names", enumerate(absent)),
        },
        _ => outcome(problems, format!("{} built", counted(count, "job"))),
    })
}

/// What came of the jobs below one attribute.
struct Found {
    jobs: usize,
    problems: Problems,
}

/// Builds the jobs below one attribute; `None` if the flake does not have it.
fn built(nix: &Nix, fleet: &Fleet, flake: &Flake, path: &[String], roots: &Utf8Path) -> Result<Option<Found>> {
    let rows = nix.jobs(flake, path, roots, |_| Ok(()));
    let fails = rows.as_ref().map_or(true, |rows| rows.iter().any(|row| row.result.is_err()));
    if fails && !nix.has(flake, path)? {
        return Ok(None);
    }
    let (mut problems, mut jobs) = (Problems::default(), Vec::<(String, Derivation)>::new());
    for row in rows? {
        let attr = [path, &row.attr_path].concat().join(".");
        match row.result {
            Ok(derivation) => jobs.push((attr, derivation)),
            Err(why) => problems.add(format!("{attr} does not evaluate: {why}")),
        }
    }
    let count = jobs.len();
    let goals = jobs.iter().map(|(_, derivation)| derivation.path.clone()).collect();
    let failures = build::together(nix, fleet, goals, Vec::new(), roots)?;
    let is_missing = |path: &StorePath| !Utf8Path::new(&path.to_string()).exists();
    let unbuilt = jobs.iter().filter(|(_, derivation)| derivation.outputs.values().any(is_missing));
    let unbuilt: Vec<&str> = unbuilt.map(|(attr, _)| attr.as_str()).collect();
    if !unbuilt.is_empty() {
        problems.add(format!("not built: {}", unbuilt.join(", ")));
    }
    problems.extend(failures);
    Ok(Some(Found { jobs: count, problems }))
}
