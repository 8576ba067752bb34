//! `release finish`: what comes after publishing: the branch of a new series, the next version, the notes of
//! maintenance releases for `main`, and HEAD back on the branch.
//!
//! Commits are made in a scratch repository and land in one step, and a step that is done already is skipped: a run that
//! was killed is completed by running it again. Pushes only what the manager agreed to, and publishes nothing.

mod maintenance;
mod outward;
mod plan;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;

use self::maintenance::Left;
use self::outward::FinishTarget;
use self::plan::{Line, Plan};
use crate::domain::oid::Oid;
use crate::domain::problem::Problems;
use crate::domain::product::Product;
use crate::domain::release::intent::RefMove;
use crate::domain::release::tagging::{Relation, TagRecord};
use crate::domain::release::version_file::{self, VersionFile};
use crate::domain::release::{self, Kind, MAIN, Release, series_branch};
use crate::domain::version::Version;
use crate::tools::git::{Git, Head};
use crate::tools::scratch_repo::{Edit, ScratchRepo};
use crate::tools::term;
use crate::tree;
use crate::tree::commits::{self, Commit};
use crate::tree::movement::{self, Movement, Step};
use crate::tree::release_dir;
use crate::tree::tag_record;

pub use self::plan::End;

/// What was asked for.
#[derive(Debug)]
pub struct Request {
    /// What is released.
    pub product: Arc<Product>,
    /// The release to finish; if `None`, the one that was tagged last.
    pub version: Option<Version>,
    /// The environment whose git remote is looked at, and pushed to.
    pub environment: Option<String>,
    /// Path of `releng.toml`.
    pub config: Utf8PathBuf,
    pub push: bool,
    /// Whether to push without asking.
    pub yes: bool,
    /// Time limit for each look at the remote.
    pub patience: Option<Duration>,
}

/// Shows what would be done.
///
/// # Errors
/// Every problem at once.
pub fn dry_run(git: &Git, request: &Request) -> Result<End> {
    movement::require_none(git)?;
    release_dir::require_tidy(git.root())?;
    let observed = Observed::new(git, request)?;
    let plan = decide(&observed, request)?;
    plan.show();
    if let Some(line) = &plan.line {
        let scratch = ScratchRepo::temporary(git)?;
        let edits: Vec<Edit> = line.commits().flat_map(|commit| commit.edits.clone()).collect();
        git.show_diff(&line.tip, &scratch.tree(&line.tip, &edits)?, scratch.environment())?;
    }
    let Some(environment) = &observed.environment else { return Ok(End::Done) };
    if plan.line.as_ref().is_some_and(|line| line.commits().next().is_some()) {
        term::say(format_args!("  {} will not have the commits above until they are pushed", environment.name));
        return environment.look(&plan, None);
    }
    environment.look(&plan, plan.line.as_ref().map(|line| &line.tip))
}

/// Finishes.
///
/// # Errors
/// Every problem at once; nothing has changed then.
pub fn run(git: &Git, request: &Request) -> Result<End> {
    let movement = Movement::begin(git, "finish")?;
    release_dir::tidy(git.root())?;
    let observed = Observed::new(git, request)?;
    let plan = decide(&observed, request)?;
    plan.show();
    if let Some(environment) = &observed.environment {
        environment.ask(&plan).context("nothing was done")?;
    }
    let scratch = ScratchRepo::new(git)?;
    let tip = plan.line.as_ref().map(|line| line.make(git, &scratch, request.yes)).transpose()?;

    // The branch that is about to be created contains the merge, too: only the record tells which branch the release was
    // tagged on.
    tag_record::write(git, &plan.tag)?;
    if plan.switch {
        let switch = Step::Switch(&plan.tag.branch);
        movement.carry_out(&[switch]).with_context(|| format!("cannot switch back to {}", plan.tag.branch))?;
    }
    if plan.branch_off {
        let branch = RefMove {
            name: format!("refs/heads/{}", series_branch(plan.release.series())),
            from: None,
            to: plan.tag.merge_commit.clone(),
        };
        movement.carry_out(&[Step::Refs(vec![branch])]).context("cannot create the branch of the series")?;
    }
    if let (Some(line), Some(tip)) = (&plan.line, &tip)
        && *tip != line.tip
    {
        commits::land(&movement, &line.branch, &line.tip, tip)?;
    }
    plan.say_done(tip.as_ref());
    match &observed.environment {
        Some(environment) if request.push => environment.push(&plan, tip.as_ref(), request.yes),
        Some(environment) => environment.look(&plan, tip.as_ref()),
        None => {
            term::say(format_args!("nothing was pushed; next: {}", term::next("finish --env ENV --push")));
            Ok(End::Done)
        }
    }
}

/// Describes what finishing a release would still do; empty once it is finished. Looks at an environment's remote, if
/// the request names one.
///
/// # Errors
/// Every problem at once.
pub fn left(git: &Git, request: &Request) -> Result<Vec<String>> {
    let observed = Observed::new(git, request)?;
    let plan = decide(&observed, request)?;
    let mut left = plan.left();
    if let Some(environment) = &observed.environment {
        left.extend(environment.missing(&plan)?);
    }
    Ok(left)
}

/// The state of the tree and the repository.
struct Observed<'a> {
    head: Head,
    dirty: Vec<String>,
    release: Release,
    tag: TagRecord,
    /// The local branch of the series, if there is one: its relation to the merged release, and its tip.
    series: Option<(Relation, Oid)>,
    /// The local branch that goes to `main`, if there is one.
    line: Option<ObservedLine>,
    environment: Option<FinishTarget<'a>>,
    /// Tip of the environment's `main`, if the branch that goes there does not contain it.
    ahead: Option<Oid>,
}

/// The branch that goes to `main`, as it is.
struct ObservedLine {
    branch: String,
    tip: Oid,
    version_file: VersionFile,
    /// Notes of maintenance releases that are missing on it.
    left: Left,
}

impl<'a> Observed<'a> {
    fn new(git: &'a Git, request: &Request) -> Result<Observed<'a>> {
        let head = git.head()?;
        let version = version(git, &head, request)?;
        let tag = tag_record::load(git, &version)?;
        let file = tree::version_file(git, &tag.commit)?;
        let release = Release::new(&request.product, version, file.name.as_deref().unwrap_or_default())?;
        // The branch that X.Y.0 was tagged on goes to `main`, whatever its name; for other releases, `main` itself.
        let branch = if release.release_branch() == MAIN { &tag.branch } else { MAIN };
        let line = match git.resolve(&format!("refs/heads/{branch}"))? {
            Some(tip) => Some(ObservedLine {
                branch: branch.to_owned(),
                version_file: tree::version_file(git, &tip)?,
                left: Left::look(git, &request.product, &tip)?,
                tip,
            }),
            None => None,
        };
        let environment = request.environment.as_ref();
        let open = |name: &String| FinishTarget::open(git, &request.config, name, request.patience);
        let environment = environment.map(open).transpose()?;
        let ahead = match (&environment, &line) {
            // Review puts the commits of a new MAJOR on top of whatever has landed in the meantime.
            (Some(environment), Some(_)) if release.kind() == Kind::NewMajor && environment.reviews() => None,
            (Some(environment), Some(line)) => environment.ahead_of(&line.tip)?,
            _ => None,
        };
        Ok(Observed {
            dirty: git.dirty_files()?,
            series: relation(git, &series_branch(release.series()), &tag.merge_commit)?,
            environment,
            ahead,
            head,
            release,
            tag,
            line,
        })
    }
}

/// Returns the release to finish: the one that was named, or whose tag HEAD is on, or that was tagged last.
fn version(git: &Git, head: &Head, request: &Request) -> Result<Version> {
    if let Some(version) = &request.version {
        return Ok(version.clone());
    }
    let here = tree::version_file(git, &head.commit)?.version;
    if git.tagged_commit(&here.to_string())?.as_ref() == Some(&head.commit) {
        return Ok(here);
    }
    Ok(tag_record::version(git)?.unwrap_or(here))
}

fn relation(git: &Git, branch: &str, merge: &Oid) -> Result<Option<(Relation, Oid)>> {
    let Some(tip) = git.resolve(&format!("refs/heads/{branch}"))? else { return Ok(None) };
    let relation = match (git.contains(&tip, merge)?, git.contains(merge, &tip)?) {
        (true, _) => Relation::Contains,
        (_, true) => Relation::Behind,
        _ => Relation::Diverged,
    };
    Ok(Some((relation, tip)))
}

fn decide(observed: &Observed, request: &Request) -> Result<Plan, Problems> {
    let Observed { head, release, tag, .. } = observed;
    let mut problems = obstacles(observed, request);
    let (mut remarks, mut warnings) = (Vec::new(), Vec::new());
    let series = series_branch(release.series());
    match (&observed.series, release.kind()) {
        (Some((Relation::Contains, _)), Kind::NewMajor | Kind::Patch) => {
            remarks.push(format!("{series} contains the release"));
        }
        (Some((Relation::Behind | Relation::Diverged, tip)), Kind::NewMajor)
        | (Some((Relation::Diverged, tip)), Kind::Patch) => problems.add(format!(
            "the local branch {series}, at {}, does not contain the merged release: if it is not needed as it is, \
             `git branch --force {series} {}`",
            tip.short(),
            tag.merge_commit.short()
        )),
        (Some((Relation::Behind, _)), Kind::Patch) => {
            remarks.push(format!("{series} is behind the release here: fetch it once the release is published"));
        }
        (None, _) | (Some(_), Kind::PreRelease) => {}
    }
    let line = observed.line.as_ref().map(|line| {
        warnings.extend(line.left.warnings());
        let (next, notes) = (next_version(release, &line.version_file), line.left.commit(release.product()));
        Line { branch: line.branch.clone(), tip: line.tip.clone(), next, notes }
    });
    if line.is_none() {
        warnings.push(format!(
            "there is no local branch {MAIN} to bring release notes to: `git branch {MAIN} origin/{MAIN}`"
        ));
    }
    problems.into_result()?;
    Ok(Plan {
        release: release.clone(),
        tag: tag.clone(),
        switch: head.branch.is_none(),
        branch_off: release.kind() == Kind::NewMajor && observed.series.is_none(),
        line,
        remarks,
        warnings,
    })
}

/// Returns the problems that prevent every step.
fn obstacles(observed: &Observed, request: &Request) -> Problems {
    let Observed { head, release, tag, .. } = observed;
    let mut problems = Problems::default();
    let (version, branch) = (release.version(), &tag.branch);
    problems.extend(Problems::uncommitted(&observed.dirty));
    let mut add = |what: String| problems.add(what);
    match &head.branch {
        Some(here) if here != branch => {
            add(format!("HEAD is on {here}, but {version} was tagged on {branch}: `git switch {branch}`"));
        }
        None if head.commit != tag.commit => {
            let here = head.commit.short();
            add(format!("HEAD is at {here}, neither on the tag {version} nor on {branch}: `git switch {branch}`"));
        }
        _ => {}
    }
    let series = series_branch(release.series());
    if release.release_branch() == MAIN && *branch == series {
        add(format!(
            "{version} was tagged on {series}, so nothing says which branch goes to {MAIN}: \
             remove release/tag.json, `git switch` to the branch that does, and run this again"
        ));
    }
    if let (Some(ahead), Some(environment), Some(ObservedLine { branch: line, .. })) =
        (&observed.ahead, &observed.environment, &observed.line)
    {
        add(format!(
            "{} has commits on {MAIN} that are not on {line} here, up to {}: rebase ours onto them \
             (`git fetch {} {MAIN}`, then on {line} `git rebase FETCH_HEAD`) and run it again",
            environment.name,
            ahead.short(),
            environment.shown()
        ));
    }
    if let Some(environment) = observed.environment.as_ref().filter(|_| request.push && request.yes)
        && !environment.may_go_unasked()
    {
        add(format!("{} does not allow pushing without asking: leave out `--yes`", environment.name));
    }
    problems
}

/// Returns the commit that sets the version of the next series; `None` if that is done, or if this release does not.
fn next_version(release: &Release, file: &VersionFile) -> Option<Commit> {
    if release.kind() != Kind::NewMajor || file.version.series() != release.series() {
        return None;
    }
    let next = release::on_the_way_to(release.series().next());
    let content = Some(file.with(&next, release::UNNAMED).text().to_owned());
    Some(Commit {
        message: release::version_message(&file.version, &next, release::UNNAMED),
        edits: vec![Edit { path: version_file::PATH.to_owned(), content }],
    })
}
