//! `release prepare`: sets the version, turns fragments into release notes, and commits both.
//!
//! Everything is rendered and checked in memory, the commits are made in a scratch repository, and one step of git's
//! moves the branch to them: a kill at any moment leaves the tree unchanged or prepared. Does not tag.

mod earlier;

use std::sync::Arc;

use anyhow::{Context, Result};

use self::earlier::Earlier;
use crate::domain::date::Date;
use crate::domain::notes;
use crate::domain::notes::authors::Authors;
use crate::domain::notes::fragment::Fragment;
use crate::domain::problem::{Problem, Problems};
use crate::domain::product::Product;
use crate::domain::release::version_file::{self, VersionFile};
use crate::domain::release::{self, Kind, Release};
use crate::domain::version::Version;
use crate::tools::git::{Git, Head};
use crate::tools::scratch_repo::{Edit, ScratchRepo};
use crate::tools::term::{self, BOLD, GOOD};
use crate::tree;
use crate::tree::commits::Commit;
use crate::tree::fragments::{self, Found};
use crate::tree::movement::{self, Movement, Step};
use crate::tree::released;

/// What was asked for.
#[derive(Debug)]
pub struct Request {
    /// What is released.
    pub product: Arc<Product>,
    /// The version to set; if `None`, the one in `version.json` stays.
    pub version: Option<Version>,
    /// The name of a new MAJOR.
    pub name: Option<String>,
    /// The date in the headings.
    pub date: Date,
    /// Whether to allow notes that an earlier release has announced already.
    pub despite_released: bool,
}

/// Shows what would be committed.
///
/// # Errors
/// Every problem at once.
pub fn dry_run(git: &Git, request: &Request) -> Result<()> {
    movement::require_none(git)?;
    let observed = Observed::new(git, request)?;
    let plan = decide(&observed, request)?;
    plan.show();
    let scratch = ScratchRepo::temporary(git)?;
    let edits: Vec<Edit> = plan.commits.iter().flat_map(|commit| commit.edits.clone()).collect();
    let tree = scratch.tree(&observed.head.commit, &edits)?;
    git.show_diff(&observed.head.commit, &tree, scratch.environment())
}

/// Commits.
///
/// # Errors
/// Every problem at once; nothing has changed then.
pub fn run(git: &Git, request: &Request) -> Result<()> {
    let movement = Movement::begin(git, "prepare")?;
    let observed = Observed::new(git, request)?;
    let plan = decide(&observed, request)?;
    plan.show();
    if plan.commits.is_empty() {
        return Ok(());
    }
    git.require_identity()?;

    let scratch = ScratchRepo::new(git)?;
    let Head { commit: base, branch } = observed.head;
    let branch = branch.context("HEAD is detached")?;
    let mut tip = base.clone();
    for commit in &plan.commits {
        tip = commit.make(&scratch, &tip)?;
    }
    let forward = Step::FastForward { branch: &branch, from: &base, to: &tip };
    movement.carry_out(&[forward]).context("cannot move the branch to the prepared commits")?;
    term::say(format_args!("{GOOD}done:{GOOD:#} the branch is at {}; next: {}", tip.short(), term::next("tag")));
    Ok(())
}

/// The state of the tree and the repository.
struct Observed {
    head: Head,
    tags: Vec<Version>,
    dirty: Vec<String>,
    current: VersionFile,
    fragments: Vec<Fragment>,
    /// Paths of fragments in HEAD.
    tracked: Vec<String>,
    /// Paths of fragments that only the work tree has.
    untracked: Vec<String>,
    /// Paths of fragments that only HEAD has, as in a sparse checkout.
    absent: Vec<String>,
    authors: Option<Authors>,
    /// Problems of the fragments and the author list.
    faults: Problems,
    summary: Option<String>,
    /// The series' page of release notes.
    page: Option<String>,
    earlier: Earlier,
}

impl Observed {
    fn new(git: &Git, request: &Request) -> Result<Observed> {
        let head = git.head()?;
        let current = tree::version_file(git, &head.commit)?;

        let dir = git.root().join(notes::FRAGMENTS);
        let tracked = fragments::tracked(git, &head.commit, notes::FRAGMENTS)?;
        let tracked: Vec<String> = tracked.into_iter().map(|entry| entry.path).collect();
        let mut found = if dir.exists() {
            fragments::read(&dir, notes::FRAGMENTS.into(), &request.product)?
        } else {
            Found::default()
        };
        let not_in = |paths: &[String], others: &[String]| -> Vec<String> {
            paths.iter().filter(|path| !others.contains(path)).cloned().collect()
        };
        let (authors, problems) = fragments::read_authors(&git.root().join(notes::AUTHORS), notes::AUTHORS);
        found.problems.extend(problems);
        if let Some(authors) = &authors {
            found.problems.extend(notes::unknown_credits(&found.credits, authors));
        }
        found.problems.extend(found.strays);
        let target = request.version.as_ref().unwrap_or(&current.version);
        let series = target.series();
        Ok(Observed {
            earlier: Earlier::look(git, &request.product, &head.commit, target)?,
            tags: released::tagged(git)?,
            dirty: git.dirty_files()?,
            summary: git.file(&head.commit, notes::SUMMARY)?,
            page: git.file(&head.commit, &notes::page_path(series))?,
            head,
            current,
            untracked: not_in(&found.paths, &tracked),
            absent: not_in(&tracked, &found.paths),
            tracked,
            fragments: found.fragments,
            authors,
            faults: found.problems,
        })
    }
}

/// What will be committed, and what the manager is told.
#[derive(Debug)]
struct Plan {
    release: Release,
    commits: Vec<Commit>,
    remarks: Vec<String>,
    warnings: Vec<String>,
}

impl Plan {
    fn show(&self) {
        let release = &self.release;
        term::say(format_args!("{BOLD}{}{BOLD:#} \"{}\" ({})", release.title(), release.name(), release.kind()));
        for commit in &self.commits {
            commit.show();
        }
        for remark in &self.remarks {
            term::say(format_args!("  {remark}"));
        }
        for warning in &self.warnings {
            term::warn(warning);
        }
    }
}

fn decide(observed: &Observed, request: &Request) -> Result<Plan, Problems> {
    let mut problems = obstacles(observed);
    let body = problems
        .collect(notes::render(&observed.fragments, observed.authors.as_ref(), &request.product.links))
        .unwrap_or_default();
    let (target, version_commit) = match set_version(observed, request) {
        Ok(decided) => decided,
        Err(problem) => {
            problems.push(problem);
            return Err(problems);
        }
    };
    let name = target.name.as_deref().unwrap_or_default();
    let release = Release::new(&request.product, target.version.clone(), name).map_err(Problem::from);
    let release = problems.collect(release);
    problems.extend(already_released(&observed.tags, &target.version));
    let Some(release) = release else { return Err(problems) };

    let mut plan = Plan { release, commits: version_commit.into_iter().collect(), remarks: vec![], warnings: vec![] };
    if plan.release.kind() == Kind::PreRelease {
        plan.remarks.push(format!("a pre-release has no notes: the fragments stay for {}", target.version.base()));
    } else if let Some(commit) = problems.collect(notes_commit(observed, request.date, &body, &mut plan)) {
        plan.commits.extend(commit);
        let (again, doubts) = observed.earlier.remarks();
        if request.despite_released {
            plan.warnings.extend(again);
        } else {
            let refusal =
                |why| Problem::new(format!("{why}: remove it, or announce it again with `--despite-released`"));
            problems.extend(again.into_iter().map(refusal));
        }
        plan.warnings.extend(doubts);
    }
    problems.into_result().map(|()| plan)
}

/// Returns the problems that prevent any commit.
fn obstacles(observed: &Observed) -> Problems {
    let mut problems = observed.faults.clone();
    if observed.head.branch.is_none() {
        problems.add("HEAD is detached: `git switch` to the branch you want to release from");
    }
    problems.extend(Problems::uncommitted(&observed.dirty));
    let untracked = "is not in git and would be lost from history: commit it, or move it away";
    problems.extend(Problems::of_files(&observed.untracked, untracked));
    let absent = "is in git but not in the work tree (a sparse checkout?): check it out";
    problems.extend(Problems::of_files(&observed.absent, absent));
    problems
}

/// Returns the new `version.json`, and the commit that changes it, if one is needed.
fn set_version(observed: &Observed, request: &Request) -> Result<(VersionFile, Option<Commit>), Problem> {
    let current = &observed.current;
    let Some(version) = &request.version else {
        if request.name.is_some() {
            return Err(Problem::new("`--name` needs VERSION: say which release gets the name"));
        }
        return Ok((current.clone(), None));
    };
    if *version < current.version {
        return Err(Problem::new(format!(
            "{version} is older than {} in {}: is this the right branch?",
            current.version,
            version_file::PATH
        )));
    }
    let same_series = version.series() == current.version.series();
    if !same_series && version.patch() > 0 {
        return Err(Problem::new(format!(
            "{version} is a patch release of {}, but this tree is at {}: switch to {}",
            version.series(),
            current.version,
            release::series_branch(version.series())
        )));
    }
    let current_name = current.name.as_deref().unwrap_or(release::UNNAMED);
    let named = same_series && current_name != release::UNNAMED;
    let name = match request.name.as_deref() {
        Some(name) if named && name != current_name => {
            return Err(Problem::new(format!(
                "{} is already called \"{current_name}\", and a series keeps its name: leave out `--name`",
                version.series()
            )));
        }
        Some(name) => name,
        None if named => current_name,
        None => {
            return Err(Problem::new(format!("{version} starts a series: give it a name with `--name NAME`")));
        }
    };
    if current.name.is_none() {
        return Err(Problem::new(format!("{} has no `release_name`: add one", version_file::PATH)));
    }
    let target = current.with(version, name);
    let commit = (target != *current).then(|| Commit {
        message: release::version_message(&current.version, version, name),
        edits: vec![Edit { path: version_file::PATH.to_owned(), content: Some(target.text().to_owned()) }],
    });
    Ok((target, commit))
}

/// Checks that the version is not released yet, and that it is newer than the others of its series.
fn already_released(tags: &[Version], version: &Version) -> Problems {
    let mut problems = Problems::default();
    if tags.contains(version) {
        problems.add(format!(
            "the tag {version} exists, so it is released: prepare a later one with `cargo xtask release prepare VERSION`"
        ));
    } else if let Some(why) = release::not_newer(version, tags) {
        problems.add(format!("{why}: prepare a later version"));
    }
    problems
}

/// Returns the commit that moves the fragments to the page; `None` if that is done already.
fn notes_commit(observed: &Observed, date: Date, body: &str, plan: &mut Plan) -> Result<Option<Commit>, Problems> {
    let release = &plan.release;
    let page_path = notes::page_path(release.series());
    let fragments = &observed.fragments;
    if observed.page.as_deref().is_some_and(|page| notes::section_date(page, release).is_some()) {
        if fragments.is_empty() {
            plan.remarks.push(format!("already prepared: {page_path} has its section, and no fragments are left"));
            return Ok(None);
        }
        let paths: Vec<String> = fragments.iter().map(|fragment| fragment.path.clone()).collect();
        let what = format!(
            "was added after {page_path} got its section for {}: undo that commit, or keep this for the next release",
            release.version()
        );
        return Err(Problems::of_files(&paths, &what));
    }
    let mut problems = Problems::default();
    let at = |path: &str, why: String| Problem::new(format!("{path} {why}"));

    let page = notes::add_section(observed.page.as_deref(), release, date, body).map_err(|why| at(&page_path, why));
    let mut edits = vec![Edit { path: page_path, content: problems.collect(page) }];
    if observed.page.is_none() {
        let summary = observed.summary.as_deref().ok_or_else(|| "is missing: is this a Lix tree?".to_owned());
        let summary = summary.and_then(|summary| notes::add_to_summary(summary, release, date));
        let summary = problems.collect(summary.map_err(|why| at(notes::SUMMARY, why)));
        edits.push(Edit { path: notes::SUMMARY.to_owned(), content: summary });
    }
    // Fragments that are not both tracked and read have been refused above.
    edits.extend(observed.tracked.iter().map(|path| Edit { path: path.clone(), content: None }));
    problems.into_result()?;

    if fragments.is_empty() {
        plan.warnings.push(format!("there are no fragments: the section of {} will be empty", release.version()));
    }
    if observed.page.is_none() && release.kind() == Kind::Patch {
        plan.warnings.push(format!("{} has no page yet, though this is a patch release", release.series()));
    }
    Ok(Some(Commit { message: release.notes_message(), edits }))
}
