//! What finishing a release will do here, and how it is shown.

use anyhow::Result;

use crate::domain::oid::Oid;
use crate::domain::release::tagging::TagRecord;
use crate::domain::release::{Release, series_branch};
use crate::tools::git::Git;
use crate::tools::scratch_repo::ScratchRepo;
use crate::tools::term::{self, BOLD, GOOD};
use crate::tree::commits::Commit;

/// How finishing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Done,
    /// The rest has to wait until the environment's branch has the release.
    Waiting,
}

/// What will be done, and what the manager is told.
pub struct Plan {
    pub release: Release,
    pub tag: TagRecord,
    /// Whether HEAD has to go back to the branch.
    pub switch: bool,
    /// Whether the branch of the series is created.
    pub branch_off: bool,
    pub line: Option<Line>,
    pub remarks: Vec<String>,
    pub warnings: Vec<String>,
}

/// The branch that goes to `main`, and what is committed to it.
pub struct Line {
    pub branch: String,
    pub tip: Oid,
    /// Commit that sets the next version.
    pub next: Option<Commit>,
    /// Commit that brings notes of maintenance releases.
    pub notes: Option<Commit>,
}

impl Line {
    pub fn commits(&self) -> impl Iterator<Item = &Commit> {
        self.next.iter().chain(&self.notes)
    }

    /// Makes the commits that the manager agrees to, and returns the last one.
    pub fn make(&self, git: &Git, scratch: &ScratchRepo, yes: bool) -> Result<Oid> {
        if self.commits().next().is_some() {
            git.require_identity()?;
        }
        let mut tip = self.tip.clone();
        if let Some(next) = &self.next {
            tip = next.make(scratch, &tip)?;
        }
        let Some(notes) = &self.notes else { return Ok(tip) };
        git.show_diff(&tip, &scratch.tree(&tip, &notes.edits)?, scratch.environment())?;
        if yes || term::ask(format_args!("Commit this to {}?", self.branch))? {
            return notes.make(scratch, &tip);
        }
        term::say("  left out; running this again asks again");
        Ok(tip)
    }
}

impl Plan {
    pub fn show(&self) {
        let Plan { release, tag, .. } = self;
        term::say(format_args!("{BOLD}{}{BOLD:#} \"{}\" ({})", release.title(), release.name(), release.kind()));
        if self.switch {
            term::say(format_args!("  switch  back to {}", tag.branch));
        }
        if self.branch_off {
            let (branch, at) = (series_branch(release.series()), tag.merge_commit.short());
            term::say(format_args!("  create  branch {branch} at {at}, the merged release"));
        }
        if let Some(line) = &self.line {
            line.commits().for_each(Commit::show);
            if line.commits().next().is_some() {
                term::say(format_args!("  on      {}", line.branch));
            }
        }
        for remark in &self.remarks {
            term::say(format_args!("  {remark}"));
        }
        for warning in &self.warnings {
            term::warn(warning);
        }
    }

    pub fn left(&self) -> Vec<String> {
        let back = self.switch.then(|| format!("switch back to {}", self.tag.branch));
        let series = self.branch_off.then(|| format!("create branch {}", series_branch(self.release.series())));
        let commits = self.line.iter().flat_map(Line::commits);
        let subjects = commits.map(|commit| commit.message.lines().next().unwrap_or_default().to_owned());
        back.into_iter().chain(series).chain(subjects).collect()
    }

    pub fn say_done(&self, tip: Option<&Oid>) {
        let line = self.line.as_ref().zip(tip).filter(|(line, _)| line.branch != self.tag.branch);
        let line = line.map(|(line, tip)| format!(", {} at {}", line.branch, tip.short())).unwrap_or_default();
        term::say(format_args!("{GOOD}done:{GOOD:#} HEAD is on {}{line}", self.tag.branch));
    }
}
