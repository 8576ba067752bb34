//! The check that building again gives the same bytes: each derivation, and then `release/` from another clone.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use camino::Utf8Path;
use xtask::domain::amounts::counted;
use xtask::domain::build::record::Record;
use xtask::domain::digest::Digest;
use xtask::domain::layout::{ARTIFACTS, RECORD, RELEASE};
use xtask::domain::problem::Problems;
use xtask::domain::shown::excerpt;
use xtask::tools::git::Git;
use xtask::tools::nix::Nix;
use xtask::tools::scratch_dir::ScratchDir;
use xtask::tools::{files, process};

use super::{Candidate, outcome};
use crate::domain::checks::entry::Kind;
use crate::domain::checks::report::Outcome;
use crate::tools::archive::{self, Hashing};
use crate::tools::whole_clone;

/// Builds every job again, and then everything in another clone.
pub fn rebuild(candidate: &Candidate) -> Result<Outcome> {
    let mut problems = Problems::default();
    let nix = Nix::new(&candidate.tree, &candidate.nix_args)?;
    for (system, build) in &candidate.record.builds {
        if let Err(why) = nix.build_again(&build.derivation) {
            problems.add(format!("{system}: {why:#}"));
        }
    }
    let scratch = ScratchDir::new()?;
    let clone = scratch.path().join("tree");
    whole_clone::clone(&Git::open(&candidate.tree)?, &clone, "releng/rebuild")?;
    let cloned = Git::open(&clone)?;
    process::read(cloned.cmd(["switch", "--quiet", "--detach", candidate.record.commit.as_str()]))?;
    build(candidate, &clone)?;
    let text = files::read_text(&clone.join(RELEASE).join(RECORD))?;
    let again = Record::parse(&text).map_err(anyhow::Error::msg)?;
    if again != candidate.record {
        problems.add(difference(candidate, &again, &clone)?);
    }
    let jobs = counted(candidate.record.builds.len(), "job");
    Ok(outcome(problems, format!("{jobs} and release/, built again from another clone: the same bytes")))
}

/// Runs `build` in another clone, as a manager would.
fn build(candidate: &Candidate, clone: &Utf8Path) -> Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let sh = process::shell_in(clone)?;
    let profile = candidate.record.profile.to_string();
    let cmd = sh.cmd(program).args(["release", "build", "--quiet", "--profile", &profile, "--repo", clone.as_str()]);
    let cmd = cmd.args(["--config", candidate.environments.file.as_str()]);
    let cmd = if candidate.record.tag.is_none() { cmd.arg("--no-check-git") } else { cmd };
    let cmd = if candidate.nix_args.is_empty() { cmd } else { cmd.arg("--").args(&candidate.nix_args) };
    process::capture_long(cmd).and_then(|output| process::check("release build", &output)).context("cannot build again")
}

/// Names the first thing that differs: a file, and in an archive the entry.
fn difference(candidate: &Candidate, again: &Record, clone: &Utf8Path) -> Result<String> {
    let first = candidate.record.files.iter().find(|(path, facts)| again.files.get(*path) != Some(facts));
    let Some((path, _)) = first else {
        return Ok(format!("{RECORD} differs, but no file that it lists"));
    };
    let there = clone.join(RELEASE).join(ARTIFACTS).join(candidate.layout().version_directory());
    let (ours, theirs) = (candidate.version_dir().join(path), there.join(path));
    if !path.contains(".tar") || !files::is_there(&theirs) {
        return Ok(format!("{path} differs"));
    }
    let (ours, theirs) = (entries(&ours)?, entries(&theirs)?);
    let names = ours.keys().chain(theirs.keys());
    let entry = names.into_iter().find(|name| ours.get(*name) != theirs.get(*name));
    Ok(match entry {
        Some(entry) => format!("{path} differs, first in {}", excerpt(entry)),
        None => format!("{path} differs in how it is packed"),
    })
}

/// What each entry of an archive is, and the digest of its content, by path.
fn entries(path: &Utf8Path) -> Result<BTreeMap<String, (Kind, Digest)>> {
    let mut entries = BTreeMap::new();
    archive::read(archive::open(path)?, |entry, content| {
        let digest = Hashing::new(content).finish()?;
        entries.insert(String::from_utf8_lossy(&entry.path).into_owned(), (entry.kind.clone(), digest));
        Ok(())
    })?;
    Ok(entries)
}
