//! `release prepare`: sets the version, turns fragments into release notes, and commits both.
//!
//! Everything is rendered and checked in memory, the commits are made aside, and the branch moves to them in one step
//! of git's: a kill at any moment leaves the tree as before or as after. Refuses to tag.

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

/// What was asked for.
#[derive(Debug)]
pub struct Request {
    /// What is released.
    pub product: Arc<Product>,
    /// The version to set; without it, that of `version.json` is taken.
    pub version: Option<Version>,
    /// The name of a new MAJOR.
    pub name: Option<String>,
    /// The date in the headings.
    pub date: Date,
    /// Whether notes may be announced again that an earlier release announced.
    pub despite_released: bool,
}

/// Shows what would be committed.
///
/// # Errors
/// Everything that stands in the way, at once.
pub fn dry_run(git: &Git, request: &Request) -> Result<()> {
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
/// Everything that stands in the way, at once; nothing has changed then.
pub fn run(git: &Git, request: &Request) -> Result<()> {
    let observed = Observed::new(git, request)?;
    let plan = decide(&observed, request)?;
    plan.show();
    if plan.commits.is_empty() {
        return Ok(());
    }
    git.require_identity()?;

    let scratch = ScratchRepo::new(git)?;
    let mut tip = observed.head.commit;
    for commit in &plan.commits {
        tip = commit.make(&scratch, &tip)?;
    }
    git.fast_forward(&tip, "release prepare").context("cannot move the branch to the prepared commits")?;
    term::say(format_args!("{GOOD}done:{GOOD:#} the branch is at {}; next: {}", tip.short(), term::next("tag")));
    Ok(())
}

/// What the tree and the repository say.
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
    /// What is wrong in fragments and author list.
    faults: Problems,
    summary: Option<String>,
    /// The page of the series that is prepared.
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
            tags: git.tags()?.iter().filter_map(|tag| tag.parse().ok()).collect(),
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

/// What will be committed, and what people are told.
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
    let release =
        Release::new(&request.product, target.version.clone(), name).map_err(|why| Problem::new(why.to_string()));
    let release = problems.collect(release.map_err(|problem| Problems::from_iter([problem])));
    problems.extend(already_released(&observed.tags, &target.version));
    let Some(release) = release else { return Err(problems) };

    let mut plan = Plan { release, commits: version_commit.into_iter().collect(), remarks: vec![], warnings: vec![] };
    if plan.release.kind() == Kind::PreRelease {
        plan.remarks.push(format!("a pre-release takes no notes: the fragments stay for {}", target.version.base()));
    } else if let Some(commit) = problems.collect(notes_commit(observed, request.date, &body, &mut plan)) {
        plan.commits.extend(commit);
        let (again, doubts) = observed.earlier.remarks();
        if request.despite_released {
            plan.warnings.extend(again);
        } else {
            let refusal =
                |why| Problem::new(format!("{why}: remove it, or announce it again with `--despite-released`"));
            problems.extend(again.into_iter().map(refusal).collect());
        }
        plan.warnings.extend(doubts);
    }
    problems.into_result().map(|()| plan)
}

/// What stands in the way of any commit.
fn obstacles(observed: &Observed) -> Problems {
    let mut problems = observed.faults.clone();
    if observed.head.branch.is_none() {
        problems.add("HEAD is detached, so there is no branch to commit to: `git switch` to the release's branch");
    }
    problems.extend(Problems::uncommitted(&observed.dirty));
    let untracked = "is not in git and would be lost from history: commit it, or move it away";
    problems.extend(Problems::of_files(&observed.untracked, untracked));
    let absent = "is in git but not in the work tree (a sparse checkout?): check it out";
    problems.extend(Problems::of_files(&observed.absent, absent));
    problems
}

/// `version.json` as it will be, and the commit that makes it so, if one is needed.
fn set_version(observed: &Observed, request: &Request) -> Result<(VersionFile, Option<Commit>), Problem> {
    let current = &observed.current;
    let Some(version) = &request.version else {
        if request.name.is_some() {
            return Err(Problem::new("`--name` goes with VERSION: say which release gets the name"));
        }
        return Ok((current.clone(), None));
    };
    if *version < current.version {
        return Err(Problem::new(format!(
            "{version} is older than {}, which {} holds: is this the right branch?",
            current.version,
            version_file::PATH
        )));
    }
    let same_series = version.series() == current.version.series();
    if !same_series && version.patch() > 0 {
        return Err(Problem::new(format!(
            "{version} is a patch release of {}, and this tree is at {}: switch to {}",
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
                "{} is already called \"{current_name}\": leave `--name` out, a series keeps its name",
                version.series()
            )));
        }
        Some(name) => name,
        None if named => current_name,
        None => {
            return Err(Problem::new(format!("{version} opens a series: give it a name with `--name NAME`")));
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

/// A version is released once, and later than those before it in its series.
fn already_released(tags: &[Version], version: &Version) -> Problems {
    let mut problems = Problems::default();
    let last = tags.iter().filter(|tag| tag.series() == version.series()).max();
    match last {
        _ if tags.contains(version) => problems.add(format!(
            "the tag {version} exists: it is released, prepare the next version with `cargo xtask release prepare VERSION`"
        )),
        Some(last) if last > version => problems.add(format!(
            "{version} is not newer than {last}, the last tag of {}: prepare a later version",
            version.series()
        )),
        _ => {}
    }
    problems
}

/// The commit that moves the fragments to the page; `None` if that is done already.
fn notes_commit(observed: &Observed, date: Date, body: &str, plan: &mut Plan) -> Result<Option<Commit>, Problems> {
    let release = &plan.release;
    let page_path = notes::page_path(release.series());
    let fragments = &observed.fragments;
    if observed.page.as_deref().is_some_and(|page| notes::section_date(page, release).is_some()) {
        if fragments.is_empty() {
            plan.remarks.push(format!("already prepared: {page_path} has its section, and no fragment is left"));
            return Ok(None);
        }
        let paths: Vec<String> = fragments.iter().map(|fragment| fragment.path.clone()).collect();
        let what = format!(
            "came after {page_path} got its section for {}: undo that commit, or leave this one for the next release",
            release.version()
        );
        return Err(Problems::of_files(&paths, &what));
    }
    let mut problems = Problems::default();
    let at = |path: &str, why: String| Problems::from_iter([Problem::new(format!("{path} {why}"))]);

    let page = notes::add_section(observed.page.as_deref(), release, date, body).map_err(|why| at(&page_path, why));
    let mut edits = vec![Edit { path: page_path, content: problems.collect(page) }];
    if observed.page.is_none() {
        let summary = observed.summary.as_deref().ok_or_else(|| "is missing: is this a Lix tree?".to_owned());
        let summary = summary.and_then(|summary| notes::add_to_summary(summary, release, date));
        let summary = problems.collect(summary.map_err(|why| at(notes::SUMMARY, why)));
        edits.push(Edit { path: notes::SUMMARY.to_owned(), content: summary });
    }
    // What is not both tracked and read was refused before.
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
