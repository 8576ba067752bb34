//! `release tag`: the release commit, the annotated tag, and the merge back to the branch.
//!
//! The three objects are made in a scratch repository; one ref transaction creates the tag and moves the branch; then
//! HEAD goes to the tag. Running the phase again completes what a kill left halfway. Does not push.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};

use crate::domain::date::Date;
use crate::domain::notes;
use crate::domain::oid::Oid;
use crate::domain::problem::{NAMED, Problem, Problems};
use crate::domain::product::Product;
use crate::domain::release::intent::RefMove;
use crate::domain::release::official::{self, Flag};
use crate::domain::release::tagging::TagRecord;
use crate::domain::release::version_file::VersionFile;
use crate::domain::release::{self, Kind, NotReleasable, Release};
use crate::domain::version::Version;
use crate::tools::advice::advised;
use crate::tools::git::tag_object::{TagObject, Unsigned};
use crate::tools::git::{Git, Head};
use crate::tools::remote::Remote;
use crate::tools::scratch_repo::{Edit, ScratchRepo};
use crate::tools::source::Source;
use crate::tools::term::{self, BOLD, DIM, GOOD};
use crate::tree;
use crate::tree::fragments;
use crate::tree::movement::{self, Movement, Step};
use crate::tree::release_dir;
use crate::tree::released;
use crate::tree::signers::Signers;
use crate::tree::tag_record;

/// The remote that a tag must not be on yet.
const ORIGIN: &str = "origin";

/// What was asked for.
#[derive(Debug)]
pub struct Request {
    /// What is released.
    pub product: Arc<Product>,
    /// Whether to sign the tag and the commits, as git is configured to, also if nothing requires it.
    pub sign: bool,
    /// Who may sign, if the tag must be signed.
    pub signers: Signers,
    /// Whether to replace a tag that was never pushed.
    pub force: bool,
    /// Whether to check the state of the tree, the clone and the remote.
    pub check_git: bool,
    pub today: Date,
}

/// Shows the graph and the difference.
///
/// # Errors
/// Every problem at once.
pub fn dry_run(git: &Git, request: &Request) -> Result<()> {
    movement::require_none(git)?;
    let observed = Observed::new(git, request)?;
    if let Some(record) = already_tagged(git, &observed, request)? {
        return show_record(git, &observed.release(&request.product)?, &record);
    }
    let plan = decide(&observed, request)?;
    plan.show_warnings();
    show_graph(&plan.release, &plan.branch, ["(new)", "(new)", plan.base.short()]);
    let scratch = ScratchRepo::temporary(git)?;
    let tree = scratch.tree(&plan.base, &[plan.edit])?;
    git.show_diff(&plan.base, &tree, scratch.environment())
}

/// Tags.
///
/// # Errors
/// Every problem at once; no ref has moved then.
pub fn run(git: &Git, request: &Request) -> Result<()> {
    let movement = Movement::begin(git, "tag")?;
    release_dir::tidy(git.root())?;
    let observed = Observed::new(git, request)?;
    let (release, record) = match already_tagged(git, &observed, request)? {
        Some(record) => {
            term::say(format_args!("{} is tagged already", record.version));
            movement
                .carry_out(&[Step::Detach(&record.commit)])
                .context("the tag is made, but HEAD cannot be moved to it: fix this and run the same command again")?;
            (observed.release(&request.product)?, record)
        }
        None => {
            let plan = decide(&observed, request)?;
            plan.show_warnings();
            git.require_identity()?;
            let record = make(&movement, &plan, request)?;
            (plan.release, record)
        }
    };
    tag_record::write(git, &record)?;
    show_record(git, &release, &record)?;
    term::say(format_args!("{GOOD}done:{GOOD:#} HEAD is on the tag; next: {}", term::next("build")));
    Ok(())
}

/// The state of the tree and the repository.
struct Observed {
    head: Head,
    dirty: Vec<String>,
    shallow: bool,
    version_file: VersionFile,
    flag: Result<Flag, Problem>,
    tags: Vec<Version>,
    /// The local tag of this version.
    tag: Option<Oid>,
    on_origin: OnOrigin,
    page: Option<String>,
    /// Paths of fragments that HEAD still has.
    fragments: Vec<String>,
    /// Reasons why no source archive could be made.
    source_faults: Problems,
}

/// Whether `origin` has the tag.
enum OnOrigin {
    /// The manager turned the checks off.
    NotAsked,
    NoSuchRemote,
    Absent,
    Present,
    Unknown(anyhow::Error),
}

impl OnOrigin {
    fn ask(git: &Git, tag: &str) -> Result<OnOrigin> {
        let Some(origin) = Remote::named(git, ORIGIN)? else { return Ok(OnOrigin::NoSuchRemote) };
        Ok(match origin.tag(tag) {
            Ok(Some(_)) => OnOrigin::Present,
            Ok(None) => OnOrigin::Absent,
            Err(error) => OnOrigin::Unknown(error),
        })
    }
}

impl Observed {
    fn new(git: &Git, request: &Request) -> Result<Observed> {
        let head = git.head()?;
        let file = |path: &str| git.file(&head.commit, path);
        let version_file = tree::version_file(git, &head.commit)?;
        let version = &version_file.version;
        let name = version.to_string();
        let on_origin = if request.check_git { OnOrigin::ask(git, &name)? } else { OnOrigin::NotAsked };
        let tag = git.resolve(&format!("refs/tags/{name}"))?;
        Ok(Observed {
            dirty: if request.check_git { git.dirty_files()? } else { Vec::new() },
            shallow: request.check_git && git.is_shallow()?,
            flag: official::find(&version_file, file(official::FLAKE)?.as_deref()),
            tags: released::tagged(git)?,
            source_faults: match tag {
                // The tag is made: too late for that.
                Some(_) if !request.force => Problems::default(),
                _ => Source::open(git, &head.commit, None)?.faults()?,
            },
            tag,
            on_origin,
            page: file(&notes::page_path(version.series()))?,
            fragments: fragments::tracked(git, &head.commit, notes::FRAGMENTS)?.into_iter().map(|e| e.path).collect(),
            head,
            version_file,
        })
    }

    fn release(&self, product: &Arc<Product>) -> Result<Release, NotReleasable> {
        let name = self.version_file.name.as_deref().unwrap_or_default();
        Release::new(product, self.version_file.version.clone(), name)
    }
}

/// Returns the finished tag, if HEAD is where an earlier run left it: on the tag, or still on the branch at the merge.
fn already_tagged(git: &Git, observed: &Observed, request: &Request) -> Result<Option<TagRecord>> {
    if observed.tag.is_none() {
        return Ok(None);
    }
    let Some(record) = tag_record::find(git, &observed.version_file.version)? else { return Ok(None) };
    let is_done = match &observed.head.branch {
        None => observed.head.commit == record.commit,
        Some(branch) if observed.head.commit == record.merge_commit && *branch == record.branch => {
            // A run that was killed has not recorded its tag, and is completed; a recorded tag is what is to be
            // replaced.
            !request.force || !tag_record::holds(git, &record)
        }
        Some(_) => false,
    };
    Ok(is_done.then_some(record))
}

/// What will be made.
struct Plan {
    release: Release,
    branch: String,
    /// Commit that is released, which the branch is at.
    base: Oid,
    edit: Edit,
    /// The tag that is replaced.
    replaces: Option<Oid>,
    warnings: Vec<String>,
}

impl Plan {
    fn show_warnings(&self) {
        for warning in &self.warnings {
            term::warn(warning);
        }
    }
}

fn decide(observed: &Observed, request: &Request) -> Result<Plan, Problems> {
    let mut problems = obstacles(observed, request);
    problems.extend(observed.source_faults.clone());
    let mut warnings = Vec::new();
    let release = problems.collect(observed.release(&request.product).map_err(Problem::from));
    let flag = problems.collect(observed.flag.as_ref().map_err(Problem::clone));
    if let Some(flag) = flag.filter(|flag| flag.set) {
        problems.add(format!(
            "{} marks an official release already: revert the release commit that leaked onto this branch",
            flag.path
        ));
    }
    if let Some(release) = &release {
        match notes_state(observed, release, request.today) {
            Ok(warning) => warnings.extend(warning),
            Err(problem) => problems.push(problem),
        }
    }
    match &observed.on_origin {
        OnOrigin::NoSuchRemote if request.force => {
            warnings.push(format!("there is no remote `{ORIGIN}` to ask whether the tag was pushed"));
        }
        OnOrigin::NotAsked if request.force => {
            warnings.push(format!("{ORIGIN} was not asked whether it has the tag: a tag that was pushed must stay"));
        }
        _ => {}
    }
    let (Some(release), Some(flag), Some(branch)) = (release, flag, observed.head.branch.clone()) else {
        return Err(problems);
    };
    let edit = Edit { path: flag.path.to_owned(), content: Some(flag.text_with_flag.clone()) };
    problems.into_result()?;
    Ok(Plan { release, branch, base: observed.head.commit.clone(), edit, replaces: observed.tag.clone(), warnings })
}

/// Returns the problems with the state of git.
fn obstacles(observed: &Observed, request: &Request) -> Problems {
    let mut problems = Problems::uncommitted(&observed.dirty);
    let mut add = |what: String| problems.add(what);
    let version = &observed.version_file.version;
    if observed.head.branch.is_none() {
        add("HEAD is detached: `git switch` to the branch you want to release from".to_owned());
    }
    if observed.shallow {
        add("this clone is shallow, so part of the history is missing: `git fetch --unshallow`".to_owned());
    }
    if observed.tag.is_some() && !request.force {
        add(format!("the tag {version} exists: if it was never pushed, replace it with `--force-tag`"));
    }
    match &observed.on_origin {
        OnOrigin::Present => {
            add(format!("{ORIGIN} has the tag {version} already, so it is public: release a later version"))
        }
        OnOrigin::Unknown(error) => add(format!(
            "cannot ask {ORIGIN} whether it has the tag {version} (offline? then `--no-check-git`): {error:#}"
        )),
        OnOrigin::Absent | OnOrigin::NoSuchRemote | OnOrigin::NotAsked => {}
    }
    if let Some(why) = release::not_newer(version, &observed.tags) {
        add(format!("{why}: release a later version"));
    }
    problems
}

/// Checks that the release notes are ready. Returns a warning if they look odd.
fn notes_state(observed: &Observed, release: &Release, today: Date) -> Result<Option<String>, Problem> {
    if release.kind() == Kind::PreRelease {
        return Ok(None);
    }
    let path = notes::page_path(release.series());
    let date = observed.page.as_deref().and_then(|page| notes::section_date(page, release));
    match date {
        None => Err(Problem::new(format!(
            "{path} has no section for {}: run `cargo xtask release prepare` first",
            release.version()
        ))),
        Some(_) if !observed.fragments.is_empty() => Ok(Some(left_over(&observed.fragments, release.version()))),
        Some(date) if date.parse() != Ok(today) => Ok(Some(format!(
            "{path} dates the release {date}, but today is {today}: to change that, undo the tag and the notes commit, and prepare again"
        ))),
        Some(_) => Ok(None),
    }
}

/// Returns the warning about fragments that were added after the notes.
fn left_over(fragments: &[String], version: &Version) -> String {
    if let [path] = fragments {
        return format!(
            "{path} is not in the notes of {version}: it stays for the next release, unless you undo the tag and the notes commit and prepare again"
        );
    }
    let named = fragments.iter().take(NAMED).map(|path| format!("\n{path}")).collect::<String>();
    let rest = fragments.len().saturating_sub(NAMED);
    let rest = if rest > 0 { format!("\nand {rest} more") } else { String::new() };
    format!(
        "{} fragments are not in the notes of {version}: they stay for the next release, unless you undo the tag and the notes commit and prepare again:{named}{rest}",
        fragments.len()
    )
}

/// Makes the objects in a scratch repository, then moves the tag and the branch, both at once, and HEAD.
fn make(movement: &Movement, plan: &Plan, request: &Request) -> Result<TagRecord> {
    let (git, release) = (movement.git(), &plan.release);
    let must_be_signed = request.signers.requires_signature(release.version());
    let sign = request.sign || must_be_signed;
    if must_be_signed {
        request.signers.ready(git).transpose()?;
    }
    let scratch = ScratchRepo::new(git)?;
    let tree = scratch.tree(&plan.base, std::slice::from_ref(&plan.edit))?;
    let message = scratch.through_commit_msg_hook(&release.release_message())?;
    let commit = scratch.commit(&tree, &[&plan.base], &message, sign)?;
    let tag_object = scratch.tag(&release.tag(), &commit, &message, sign)?;
    if must_be_signed {
        let object = TagObject { git, dir: None, tag: &tag_object };
        request.signers.check(object, release.version()).map_err(explain)?;
    }
    let merge_message = scratch.through_commit_msg_hook(&release.merge_message())?;
    let base_tree = git.commit(&plan.base)?.tree;
    let merge_commit = scratch.commit(&base_tree, &[&plan.base, &commit], &merge_message, sign)?;

    let tag =
        RefMove { name: format!("refs/tags/{}", release.tag()), from: plan.replaces.clone(), to: tag_object.clone() };
    let branch = RefMove {
        name: format!("refs/heads/{}", plan.branch),
        from: Some(plan.base.clone()),
        to: merge_commit.clone(),
    };
    movement
        .carry_out(&[Step::Refs(vec![tag, branch]), Step::Detach(&commit)])
        .context("cannot create the tag and merge it back")?;
    Ok(TagRecord {
        version: release.version().clone(),
        tag_object,
        commit,
        tree,
        branch: plan.branch.clone(),
        merge_commit,
    })
}

/// Says what to do about a tag of ours that is not accepted.
fn explain(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Unsigned>() {
        Ok(Unsigned(why)) => advised(
            anyhow!("releng.toml requires a signed tag, and ours {why}"),
            "set git's `gpg.format = ssh` and `user.signingKey` to a key in that list, and run the same command again",
        ),
        Err(error) => error,
    }
}

fn show_record(git: &Git, release: &Release, record: &TagRecord) -> Result<()> {
    let base = git.commit(&record.commit)?.parents;
    let base = base.first().map_or("", |base| base.short());
    show_graph(release, &record.branch, [record.merge_commit.short(), record.commit.short(), base]);
    Ok(())
}

/// Draws what is where, newest first, as `git log --graph` would.
fn show_graph(release: &Release, branch: &str, [merge, commit, base]: [&str; 3]) {
    let line = |edges: &str, commit: &str, name: &str, message: &str| {
        let subject = message.lines().next().unwrap_or_default();
        let drawn = format!("  {edges:<4}{commit:<14}{BOLD}{name:<20}{BOLD:#} {DIM}{subject}{DIM:#}");
        term::say(drawn);
    };
    line("*", merge, branch, &release.merge_message());
    term::say("  |\\");
    line("| *", commit, &format!("tag {}", release.tag()), &release.release_message());
    term::say("  |/");
    line("*", base, "", "where the branch was");
}
