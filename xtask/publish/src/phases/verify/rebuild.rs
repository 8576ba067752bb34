//! `verify --rebuild`: the release built again by this machine's Nix, and compared with its published record, which the
//! signature proves. Says whether what goes into a build differs or only what comes out of it, and names the entries of
//! archives that differ.

mod contents;
mod jobs;

use anyhow::{Context, Result, anyhow};
use xtask::domain::amounts::{bytes_for_people, counted};
use xtask::domain::build::record::Record;
use xtask::domain::environment::GitTarget;
use xtask::domain::layout::RECORD;
use xtask::domain::shown::excerpt;
use xtask::domain::system::System;
use xtask::tools::git::Git;
use xtask::tools::term;

use self::contents::{Found, Published};
use self::jobs::Jobs;
use super::report::Findings;
use super::{How, Report, View};
use crate::domain::rebuilt::{Comparison, Possible, compare, possible, profile, tag_fault};
use crate::site::rebuilt::{Clone, Order};
use crate::tools::whole_clone::{self, Remotes};

/// Start of the name of each part.
const TITLE: &str = "rebuild";
const WHO: &str = "everyone who uses it";

impl View<'_> {
    /// Builds the release again, and compares it with its published record, whose text is `text`.
    pub(super) async fn check_rebuild(&self, record: &Record, text: &[u8], how: &How<'_>, report: &mut Report) {
        if let Err(error) = self.rebuild(record, text, how, report).await {
            report.unknown(TITLE, &error);
        }
    }

    async fn rebuild(&self, record: &Record, text: &[u8], how: &How<'_>, report: &mut Report) -> Result<()> {
        if self.published.withdrawn.contains(&self.version) {
            report.note(TITLE, "a rollback withdrew this version: it is built and compared all the same");
        }
        if self.known_keys().is_empty() {
            report.note(TITLE, "unproven: no key is known, so the record that this is compared with may be anybody's");
        }
        // Nix is asked for nothing that only the record names.
        let profile = profile(record).map_err(|why| anyhow!(why))?;
        let value = serde_json::from_slice(text).context("the record is not JSON")?;
        term::say(format_args!("building {} again in a scratch clone: this takes as long as `build`", self.version));
        let clone = Clone::of(self.git.root()).await?;
        if let Some(why) = self.look_at_tag(record, &clone).await? {
            report.check(TITLE, "", Findings::broken(why), "everyone who builds from git");
            return Ok(());
        }
        let jobs = Jobs::ask(&clone.tree(), record, profile, how.nix_args).await?;
        let possible = possible(record, |system| jobs.is_able(system)).map_err(|why| anyhow!(why))?;
        let order = Order {
            commit: &record.commit,
            profile: possible.profile,
            is_tagged: true,
            config: &how.config,
            nix_args: how.nix_args,
        };
        let rebuilt = clone.build(&order).await.context("it cannot be built again")?;
        let comparison = compare(record, &value, &rebuilt.record, &rebuilt.older_indexes, &self.layout());
        let published = Published {
            releases: &self.sources.releases,
            directory: self.layout().version_directory(),
            record,
            is_signed: !report.unproven && !self.known_keys().is_empty(),
            damaged: &report.damaged,
        };
        let found = published.look_inside(&comparison, &clone, &rebuilt).await?;
        let again = jobs.build_once_more(record, &possible).await?;

        report_builds(record, &comparison, report);
        self.report_files(&comparison, found, report);
        let good = format!("{} gave the same outputs again", counted(again.derivations, "derivation"));
        report.check(&format!("{TITLE}, once more"), &good, again.findings, WHO);
        for system in again.elsewhere {
            let why = "is built by a builder, and Nix compares only what this machine builds itself";
            report.note(&format!("{TITLE}, once more"), &format!("{system} {why}"));
        }
        report.rebuilt = Some(described(&possible));
        Ok(())
    }

    /// Finds the tag, here or at a remote, and says what is wrong with it.
    async fn look_at_tag(&self, record: &Record, clone: &Clone) -> Result<Option<String>> {
        let tag = record.tag.as_ref().map(ToString::to_string);
        let tag = tag.context("it was not built from a tag, so it is unknown what to build again")?;
        let (repository, tree) = (self.git.root().to_owned(), clone.tree());
        let remotes = match &self.site.environment.git {
            _ if self.is_public() => Remotes::Origin,
            GitTarget::Directory { path, .. } => Remotes::AllAnd(path.clone()),
            GitTarget::Plain { url, .. } | GitTarget::Gerrit { url, .. } => Remotes::AllAnd(url.clone()),
        };
        let record = record.clone();
        let looking = move || {
            let cloned = Git::open(&tree)?;
            let mut tagged = cloned.tagged_commit(&tag)?;
            if tagged.is_none() {
                let fetching = || format!("the tag {tag} is missing");
                whole_clone::fetch_tag(&Git::open(&repository)?, &tree, &tag, &remotes).with_context(fetching)?;
                tagged = cloned.tagged_commit(&tag)?;
            }
            let tree = cloned.resolve(&format!("refs/tags/{tag}^{{tree}}"))?;
            Ok(tag_fault(&record, tagged.as_ref(), tree.as_ref()))
        };
        tokio::task::spawn_blocking(looking).await.context("it panicked")?
    }

    fn report_files(&self, comparison: &Comparison, found: Found, report: &mut Report) {
        let title = format!("{TITLE} {}/", self.layout().version_directory());
        let bytes = comparison.same.values().fold(0, |sum: u64, facts| sum.saturating_add(facts.size));
        let good = format!("{}, {}: the same bytes", counted(comparison.same.len(), "file"), bytes_for_people(bytes));
        let mut findings = found.findings;
        findings.broken.splice(0..0, comparison.record.iter().map(|why| format!("{RECORD}: {why}")));
        for what in &comparison.unknown {
            let why = format!(
                "{} was published, and this copy of the tool does not make it: a newer copy may, or someone added it",
                excerpt(what)
            );
            findings.append(Findings::unknown(why));
        }
        report.check(&title, &good, findings, WHO);
        let list = |names: &[String]| names.iter().map(|name| excerpt(name)).collect::<Vec<_>>().join(", ");
        if !comparison.unproven.is_empty() {
            let why = "unproven, because not every system was built";
            report.note(&title, &format!("{why}: {}", list(&comparison.unproven)));
        }
        let newer = [&comparison.newer[..], &found.newer].concat();
        if !newer.is_empty() {
            report.note(&title, &format!("not compared, because an older tool published it: {}", list(&newer)));
        }
    }
}

/// Reports the builds, and which could not be built.
fn report_builds(record: &Record, comparison: &Comparison, report: &mut Report) {
    for (system, found) in &comparison.builds {
        // An older tool did not record it.
        let has_closure = record.builds.get(system).is_some_and(|build| !build.closure.is_empty());
        let good =
            if has_closure { "the same derivation, outputs and closure" } else { "the same derivation and outputs" };
        report.check(&format!("{TITLE} {system}"), good, found.clone(), WHO);
    }
    for system in &comparison.without {
        report.note(&format!("{TITLE} {system}"), "unproven: not built, because not every system can be built here");
    }
}

/// Says what was proven, for the last line.
fn described(possible: &Possible) -> String {
    let without: Vec<String> = possible.without.iter().map(System::to_string).collect();
    if without.is_empty() {
        "what its tag builds".to_owned()
    } else {
        format!("what its tag builds (unproven: {})", without.join(", "))
    }
}
