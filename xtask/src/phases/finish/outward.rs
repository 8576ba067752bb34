//! The environment's git remote: whether it has the release, its branch and the commits for `main`, and pushing what is
//! missing. Each push is asked about separately.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Error, Result, anyhow, bail};
use camino::Utf8Path;

use super::plan::{End, Plan};
use crate::domain::environment::{self, GitTarget};
use crate::domain::oid::Oid;
use crate::domain::release::tagging::Relation;
use crate::domain::release::{Kind, MAIN, series_branch};
use crate::tools::git::Git;
use crate::tools::interrupt;
use crate::tools::remote::{Heads, Pushed, Remote};
use crate::tools::term;
use crate::tree;

/// An environment, as far as git is concerned.
pub struct FinishTarget<'a> {
    git: &'a Git,
    pub name: String,
    environment: environment::Environment,
    remote: Remote<'a>,
}

/// Whether to push.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pushing {
    LookOnly,
    Ask,
    Given,
}

impl<'a> FinishTarget<'a> {
    /// Opens the git remote of the environment `name`.
    ///
    /// # Errors
    /// `config` is invalid, has no such environment, or no remote has its URL.
    pub fn open(git: &'a Git, config: &Utf8Path, name: &str, patience: Option<Duration>) -> Result<FinishTarget<'a>> {
        let all = tree::config(config)?;
        let environment = all.environment(name).map_err(|why| anyhow!("{config}: {why}"))?.clone();
        let remote = Remote::find(git, &environment.git)?;
        let remote = match patience {
            Some(patience) => remote.impatient(patience),
            None => remote,
        };
        Ok(FinishTarget { git, name: name.to_owned(), environment, remote })
    }

    pub fn may_go_unasked(&self) -> bool {
        self.environment.noconfirm
    }

    /// Whether commits reach branches through review.
    pub fn reviews(&self) -> bool {
        matches!(self.environment.git, GitTarget::Gerrit { .. })
    }

    /// Returns the remote's URL, for messages.
    pub fn shown(&self) -> String {
        self.remote.shown()
    }

    /// Checks that the remote can take the release, before anything is done here.
    ///
    /// # Errors
    /// The remote cannot be reached, or its branch of the series has diverged from the release.
    pub fn ask(&self, plan: &Plan) -> Result<()> {
        let heads = self.heads(plan)?;
        if plan.release.kind() != Kind::NewMajor {
            return Ok(());
        }
        let (series, merge) = (series_branch(plan.release.series()), &plan.tag.merge_commit);
        match self.relation(&heads, &series, merge)? {
            Some((Relation::Diverged, tip)) => Err(self.other_origin(&series, &tip, merge)),
            Some(_) | None => Ok(()),
        }
    }

    /// Reads the remote's branches that finishing a release depends on.
    fn heads(&self, plan: &Plan) -> Result<Heads> {
        let (home, series) = (plan.release.release_branch(), series_branch(plan.release.series()));
        let mut names = vec![MAIN, &home, &series];
        names.dedup();
        self.remote.heads(&names, None)
    }

    fn other_origin(&self, branch: &str, tip: &Oid, merge: &Oid) -> Error {
        anyhow!(
            "{} has a branch {branch} at {}, which does not contain the merged release {}: find out who pushed it",
            self.name,
            tip.short(),
            merge.short()
        )
    }

    /// Returns the tip of the remote's `main`, if `tip` does not contain it: commits on top of `tip` would miss it.
    ///
    /// # Errors
    /// The remote cannot be reached.
    pub fn ahead_of(&self, tip: &Oid) -> Result<Option<Oid>> {
        let Some(there) = self.remote.branch(MAIN)? else { return Ok(None) };
        let known = self.remote.history(MAIN, &there)?.contains(tip, &there)?;
        Ok((!known).then_some(there))
    }

    /// Describes what the remote does not have of a release that is finished here.
    ///
    /// # Errors
    /// The remote cannot be reached.
    pub fn missing(&self, plan: &Plan) -> Result<Vec<String>> {
        let (name, mut missing) = (&self.name, Vec::new());
        let series = series_branch(plan.release.series());
        let merge = &plan.tag.merge_commit;
        let heads = self.heads(plan)?;
        if plan.release.kind() == Kind::NewMajor && !self.holds(&heads, &series, merge)? {
            missing.push(format!("{name} does not have {series}"));
        }
        if let Some(line) = &plan.line
            && !self.holds(&heads, MAIN, &line.tip)?
            && !self.is_in_review(&line.tip)?
        {
            missing.push(format!("{name} does not have {} on {MAIN}", line.tip.short()));
        }
        Ok(missing)
    }

    fn holds(&self, heads: &Heads, branch: &str, commit: &Oid) -> Result<bool> {
        Ok(matches!(self.relation(heads, branch, commit)?, Some((Relation::Contains, _))))
    }

    fn is_in_review(&self, commit: &Oid) -> Result<bool> {
        Ok(self.reviews() && self.remote.has_in_review(commit)?)
    }

    /// Prints what the remote has and what is missing; `tip` is that of the branch that goes to `main`.
    ///
    /// # Errors
    /// The remote cannot be reached, or its branch of the series has diverged from the release.
    pub fn look(&self, plan: &Plan, tip: Option<&Oid>) -> Result<End> {
        self.go(plan, tip, Pushing::LookOnly)
    }

    /// Pushes what is missing, if the manager agrees.
    ///
    /// # Errors
    /// As for [`FinishTarget::look`], and the remote's refusal.
    pub fn push(&self, plan: &Plan, tip: Option<&Oid>, yes: bool) -> Result<End> {
        self.remote.clear()?;
        self.go(plan, tip, if yes { Pushing::Given } else { Pushing::Ask })
    }

    fn go(&self, plan: &Plan, tip: Option<&Oid>, pushing: Pushing) -> Result<End> {
        let FinishTarget { name, .. } = self;
        let (release, merge) = (&plan.release, &plan.tag.merge_commit);
        let home = release.release_branch();
        let heads = self.heads(plan)?;
        if !self.holds(&heads, &home, merge)? {
            term::say(format_args!(
                "  waits   until {home} at {name} contains the merged release: `cargo xtask release plan --env {name}` \
                 says what is missing"
            ));
            return Ok(End::Waiting);
        }
        term::say(format_args!("  {name} has the release on {home}"));
        if release.kind() == Kind::NewMajor {
            self.branch_off(&heads, &series_branch(release.series()), merge, pushing)?;
        }
        if let Some(tip) = tip {
            self.bring_to_main(&heads, tip, pushing)?;
        }
        Ok(End::Done)
    }

    fn branch_off(&self, heads: &Heads, branch: &str, merge: &Oid, pushing: Pushing) -> Result<()> {
        let FinishTarget { name, .. } = self;
        match self.relation(heads, branch, merge)? {
            Some((Relation::Contains, _)) => {
                term::say(format_args!("  {name} has {branch}"));
                Ok(())
            }
            Some((Relation::Diverged, tip)) => Err(self.other_origin(branch, &tip, merge)),
            None | Some((Relation::Behind, _)) => {
                let reference = self.environment.git.new_branch(branch);
                self.push_one(format_args!("{branch} at {}", merge.short()), merge, &reference, pushing)
            }
        }
    }

    /// Shows the commits that are missing on the remote's `main`, and pushes them, for review if the remote has
    /// reviews.
    fn bring_to_main(&self, heads: &Heads, tip: &Oid, pushing: Pushing) -> Result<()> {
        let FinishTarget { name, .. } = self;
        let Some(there) = heads.branch(MAIN) else {
            bail!("{name} has no branch {MAIN}: is this the right remote, {}?", self.remote.shown());
        };
        let missing = self.remote.history(MAIN, &there)?.only_in(tip, &there)?;
        if missing.is_empty() {
            term::say(format_args!("  {name} has everything on {MAIN}"));
            return Ok(());
        }
        if self.is_in_review(tip)? {
            term::say(format_args!("  {name} has the commits for {MAIN} in review"));
            return Ok(());
        }
        for commit in &missing {
            term::say(format_args!("  missing {} {}", commit.oid.short(), self.git.subject(&commit.oid)?));
        }
        let what =
            if missing.len() == 1 { "that commit".to_owned() } else { format!("those {} commits", missing.len()) };
        self.push_one(what, tip, &self.environment.git.onto_branch(MAIN), pushing)
    }

    fn push_one(&self, what: impl Display, commit: &Oid, reference: &str, pushing: Pushing) -> Result<()> {
        let place = format!("{reference} of {} ({})", self.name, self.remote.shown());
        let agreed = match pushing {
            Pushing::LookOnly => false,
            Pushing::Given => true,
            Pushing::Ask => term::ask(format_args!("Push {what} to {place}?"))?,
        };
        if !agreed {
            term::say(format_args!("  not pushed: {what} to {place}"));
            return Ok(());
        }
        interrupt::stands(format_args!("everything here is done; {} may have {what} or not", self.name));
        match self.remote.push(&[format!("{commit}:{reference}")])? {
            Pushed::Done => term::say(format_args!("  {}  {what} to {place}", term::good("pushed"))),
            Pushed::NothingNew => term::say(format_args!("  {} has {what} in review", self.name)),
        }
        Ok(())
    }

    /// Returns how a branch of the remote relates to a commit; `None` if there is no such branch.
    fn relation(&self, heads: &Heads, branch: &str, commit: &Oid) -> Result<Option<(Relation, Oid)>> {
        let Some(tip) = heads.branch(branch) else { return Ok(None) };
        let relation = self.remote.history(branch, &tip)?.relation(commit, &tip)?;
        Ok(Some((relation, tip)))
    }
}
