//! The check that building again gives the same bytes: each derivation, and then `release/` from another clone.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use camino::Utf8Path;
use xtask::domain::amounts::counted;
use xtask::domain::build::record::Record;
use xtask::domain::layout::RECORD;
use xtask::domain::problem::Problems;
use xtask::domain::profile::BuiltProfile;
use xtask::domain::shown::excerpt;
use xtask::tools::nix::Nix;

use super::{Candidate, outcome};
use crate::domain::checks::entry;
use crate::domain::checks::report::Outcome;
use crate::domain::rebuilt::{Comparison, Differs, compare};
use crate::site::rebuilt::{Clone, Order, Rebuilt};
use crate::tools::archive;

/// Builds every job again, and then everything in another clone.
pub async fn rebuild(candidate: &Arc<Candidate>) -> Result<Outcome> {
    let BuiltProfile::Known(profile) = candidate.record.profile else {
        return Err(anyhow!("it was built with a profile that this tool does not know"));
    };
    let theirs = Arc::clone(candidate);
    let mut problems = tokio::task::spawn_blocking(move || twice(&theirs)).await.context("it panicked")??;
    let clone = Clone::of(&candidate.tree).await?;
    let order = Order {
        commit: &candidate.record.commit,
        profile,
        is_tagged: candidate.record.tag.is_some(),
        config: &candidate.environments.file,
        nix_args: &candidate.nix_args,
    };
    let rebuilt = clone.build(&order).await.context("cannot build again")?;
    let theirs = Arc::clone(candidate);
    let found = tokio::task::spawn_blocking(move || differences(&theirs, &rebuilt)).await.context("it panicked")?;
    problems.extend(found);
    let jobs = counted(candidate.record.builds.len(), "job");
    Ok(outcome(problems, format!("{jobs} and release/, built again from another clone: the same bytes")))
}

/// Builds every job twice.
fn twice(candidate: &Candidate) -> Result<Problems> {
    let mut problems = Problems::default();
    let nix = Nix::new(&candidate.tree, &candidate.nix_args)?;
    for (system, build) in &candidate.record.builds {
        if let Err(why) = nix.build_again(&build.derivation) {
            problems.add(format!("{system}: {why:#}"));
        }
    }
    Ok(problems)
}

/// Says what differs, and in archives, which entries.
fn differences(candidate: &Candidate, rebuilt: &Rebuilt) -> Problems {
    let (record, layout) = (&candidate.record, candidate.layout());
    let mut problems = Problems::default();
    let text = serde_json::to_value::<&Record>(record).unwrap_or_default();
    // Nothing is unproven but what is about a system that was not built.
    let Comparison { builds, without, record: others, files, unknown, newer, same: _, unproven: _ } =
        compare(record, &text, &rebuilt.record, &[], &layout);
    without.iter().for_each(|system| problems.add(format!("{system} is not built in the other clone")));
    for (system, found) in builds {
        found.iter().for_each(|why| problems.add(format!("{system}: {why}")));
    }
    others.iter().for_each(|why| problems.add(format!("{RECORD}: {why}")));
    unknown.iter().for_each(|what| problems.add(format!("{} is not built in the other clone", excerpt(what))));
    newer.iter().for_each(|path| problems.add(format!("{} is built only in the other clone", excerpt(path))));
    let there = rebuilt.artifacts.join(layout.version_directory());
    for (path, how) in files {
        match how {
            Differs::NotBuilt => problems.add(format!("{path} is not built in the other clone")),
            Differs::NotPublished => problems.add(format!("{path} is built only in the other clone")),
            Differs::Content => {
                let why = entries(&path, &candidate.version_dir().join(&path), &there.join(&path));
                problems.add(format!("{path} differs{why}"));
            }
        }
    }
    problems
}

/// Names the first entry of an archive that differs.
fn entries(name: &str, ours: &Utf8Path, theirs: &Utf8Path) -> String {
    if !name.contains(".tar") {
        return String::new();
    }
    let read = || Ok::<_, anyhow::Error>(entry::differences(&archive::entries(ours)?, &archive::entries(theirs)?));
    match read() {
        Ok(found) => format!(": {}", found.first().map_or("", String::as_str)),
        Err(why) => format!(", and cannot be read: {why:#}"),
    }
}
