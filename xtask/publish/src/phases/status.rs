//! `release status`: how far this release is, and what to type next, on one screen. Everything is observed, nothing is
//! remembered.
//!
//! Environments are looked at as users see them, with a key only if there is no public address. Nothing is changed, and
//! no server is waited for long.

mod live;
mod local;

use std::sync::Arc;

use anyhow::Result;
use futures_util::future::join_all;
use xtask::cli::{Invocation, Outcome};
use xtask::domain::digest::Digest;
use xtask::domain::environment::{self, Storage};
use xtask::domain::layout;
use xtask::domain::notes;
use xtask::domain::product::Product;
use xtask::domain::release::tagging::TagRecord;
use xtask::domain::release::version_file::VersionFile;
use xtask::domain::release::{Kind, NotReleasable, Release};
use xtask::phases::{announce, finish};
use xtask::tools::git::{Git, Head};
use xtask::tools::{paint, term};
use xtask::tree::{self, movement, release_dir, tag_record};

use self::live::{Look, PATIENCE};
use self::local::LocalRecord;
use crate::domain::reports::standing::{
    Command, EnvironmentStanding, Line, On, Page, Standing, State, Topic, published_last,
};
use crate::site::checks;

/// Shows the state of the release; with `--json`, as a [`Page`], whose keys are stable.
///
/// # Errors
/// There is no tree to look at.
pub async fn run(invocation: &Invocation) -> Result<Outcome> {
    let git = Git::open(&invocation.tree)?;
    let head = git.head()?;
    let file = tree::version_file(&git, &head.commit)?;
    let mut page = match About::find(&git, &invocation.product, &file)? {
        About::Release(release) => standing(invocation, &git, &head, &file, &release).await?.page(),
        About::Unprepared(why) => unprepared(&invocation.product, &head, &file, &why),
    };
    if let Some(command) = movement::interrupted(&git)? {
        let text = format!("`{command}` was stopped halfway, and completes what it was moving when it is run again");
        page.topics.insert(0, Topic::of("halfway", Line { state: State::Wrong, text }));
        page.next.insert(0, Command::release(&command));
    }
    if let Some(text) = release_dir::untidy(git.root())? {
        page.topics.insert(0, Topic::of("halfway", Line { state: State::Wrong, text }));
        page.next.insert(0, Command::release("build"));
    }
    for next in page.next.iter_mut().filter(|next| next.command.starts_with(term::PHASE)) {
        next.command = term::next(&next.command[term::PHASE.len()..]);
    }
    if invocation.json {
        term::json(&page)?
    } else {
        term::data(paint::checks(&page.to_text()))?
    }
    Ok(Outcome::Done)
}

/// What to show for a tree.
enum About {
    /// The tree's release or, once the tree is between releases, the one that was tagged last.
    Release(Release),
    /// A tree between releases, and why it cannot be released.
    Unprepared(NotReleasable),
}

impl About {
    fn find(git: &Git, product: &Arc<Product>, file: &VersionFile) -> Result<About> {
        let of = |version, name: Option<&str>| Release::new(product, version, name.unwrap_or_default());
        let why = match of(file.version.clone(), file.name.as_deref()) {
            Ok(release) => return Ok(About::Release(release)),
            Err(why) => why,
        };
        let (NotReleasable::Dev(_), Some(last)) = (&why, tag_record::version(git)?) else {
            return Ok(About::Unprepared(why));
        };
        let Some(commit) = git.tagged_commit(&last.to_string())? else { return Ok(About::Unprepared(why)) };
        let name = tree::version_file(git, &commit)?.name;
        Ok(of(last, name.as_deref()).map_or_else(About::Unprepared, About::Release))
    }
}

fn place_of(head: &Head) -> String {
    match &head.branch {
        Some(branch) => format!("on {branch}"),
        None => format!("detached at {}", head.commit.short()),
    }
}

/// Makes the page of a tree between releases from which nothing is tagged here.
fn unprepared(product: &Product, head: &Head, file: &VersionFile, why: &NotReleasable) -> Page {
    let version = file.version.base();
    let name = if version.patch() == 0 { " --name NAME" } else { "" };
    let why = match why {
        NotReleasable::Dev(_) => format!("the tree is on the way to {version}"),
        NotReleasable::Unnamed(_) => format!("{version} has no name yet"),
        NotReleasable::BadName(_) => why.to_string(),
    };
    Page {
        product: product.name.clone(),
        version: file.version.to_string(),
        name: None,
        head: place_of(head),
        topics: vec![Topic::of("prepare", Line::open(why))],
        next: vec![Command::release(&format!("prepare {version}{name}"))],
    }
}

async fn standing(
    invocation: &Invocation,
    git: &Git,
    head: &Head,
    file: &VersionFile,
    release: &Release,
) -> Result<Standing> {
    let version = release.version();
    let tag = tag_record::load(git, version);
    let built = LocalRecord::read(git);
    let mut at = place_of(head);
    if file.version != *version {
        at += &format!(", which is on the way to {}", file.version.base());
    }
    let look =
        Look { invocation, git, release, tag: tag.as_ref().ok(), built: built.as_ref().ok().and_then(Option::as_ref) };
    let environments = environments(invocation, &look).await?;
    let finish = finish_line(invocation, git, release, tag.is_ok(), published_last(&environments));
    Ok(Standing {
        product: release.product().name.clone(),
        version: version.to_string(),
        name: release.name().to_owned(),
        head: at,
        on: on(head, tag.as_ref().ok()),
        notes: notes_line(git, head, release, tag.as_ref().ok())?,
        build: built_line(&built, release, tag.as_ref().ok()),
        check: look.built.map(|built| check_line(git, built.digest)),
        profile: look.built.map(|built| built.record.profile.clone()),
        environments,
        finish,
        announce: announce_line(git, release),
        tag: match &tag {
            Ok(tag) => {
                let at = tag.commit.short();
                Line::done(format!("{} at {at}, merged back to {}", release.tag(), tag.branch))
            }
            Err(_) if git.resolve(&format!("refs/tags/{}", release.tag()))?.is_none() => Line::open("not tagged yet"),
            Err(error) => Line::open(format!("{error}")),
        },
    })
}

fn on(head: &Head, tag: Option<&TagRecord>) -> On {
    match tag {
        Some(tag) if head.commit == tag.commit => On::Tag,
        Some(tag) if head.branch.as_ref() != Some(&tag.branch) => On::Elsewhere(tag.branch.clone()),
        _ => On::Branch,
    }
}

fn notes_line(git: &Git, head: &Head, release: &Release, tag: Option<&TagRecord>) -> Result<Line> {
    if release.kind() == Kind::PreRelease {
        return Ok(Line::done("a pre-release has none"));
    }
    let page = notes::page_path(release.series());
    let text = git.file(tag.map_or(&head.commit, |tag| &tag.commit), &page)?.unwrap_or_default();
    let name = page.rsplit('/').next().unwrap_or(&page);
    Ok(match notes::section_date(&text, release) {
        Some(date) => Line::done(format!("in {name}, dated {date}")),
        None => Line::open(format!("{name} has no section for {}", release.version())),
    })
}

fn built_line(built: &Result<Option<LocalRecord>, String>, release: &Release, tag: Option<&TagRecord>) -> Line {
    let record = match built {
        Ok(Some(built)) => &built.record,
        Ok(None) => return Line::open("nothing is built"),
        Err(why) => return Line { state: State::Wrong, text: why.clone() },
    };
    let (commit, profile) = (&record.commit, &record.profile);
    if record.tag.as_ref() != Some(release.version()) {
        return Line::open(format!("release/ has {}", record.version));
    }
    match tag {
        Some(tag) if tag.commit != *commit => {
            let (built, tagged) = (commit.short(), tag.commit.short());
            Line::open(format!("release/ was built from {built}, but the tag is at {tagged}"))
        }
        _ => Line::done(format!("in release/, for {profile}, from {}", commit.short())),
    }
}

/// Says what `check` found of the release with this record.
fn check_line(git: &Git, record: Digest) -> Line {
    let checks = match checks::read(git.root()) {
        Ok(None) => return Line::open("not checked yet"),
        Ok(Some(Ok(checks))) => checks,
        Ok(Some(Err(why))) => return Line { state: State::Wrong, text: format!("{} {why}", layout::CHECKS) },
        Err(error) => return Line { state: State::Unknown, text: format!("{error:#}") },
    };
    let missing = checks.missing(record);
    match missing.first() {
        None => Line::done("passed every check"),
        Some(first) if missing.len() == 1 => Line::open(first.clone()),
        Some(first) => Line::open(format!("{first}; and {} more", missing.len() - 1)),
    }
}

/// Looks at all environments concurrently, and returns them in the order in which a release goes through them.
async fn environments(invocation: &Invocation, look: &Look<'_>) -> Result<Vec<EnvironmentStanding>> {
    let config = tree::config(&invocation.config_file())?;
    let mut environments: Vec<(&String, &environment::Environment)> = config.environments.iter().collect();
    environments.sort_by_key(|(name, _)| (config.before(name), *name));
    let anywhere = config.environments.keys().any(|name| config.is_stage(name));
    let real = |environment: &environment::Environment| !matches!(environment.storage, Storage::Embedded { .. });
    let config = &config;
    let looking = environments.into_iter().map(|(name, environment)| async move {
        EnvironmentStanding {
            name: name.clone(),
            // If none requires another, every environment that is not for rehearsals is a stage.
            is_stage: if anywhere { config.is_stage(name) } else { real(environment) },
            profiles: environment.profiles.clone(),
            live: look.at(name, environment).await,
        }
    });
    Ok(join_all(looking).await)
}

/// Says what is left to finish, here and in the environment where the release was published last.
fn finish_line(
    invocation: &Invocation,
    git: &Git,
    release: &Release,
    tagged: bool,
    published: Option<&EnvironmentStanding>,
) -> Line {
    if !tagged {
        return Line::open("comes after publishing");
    }
    let left = |environment: Option<&EnvironmentStanding>| {
        let request = finish::Request {
            product: Arc::clone(&invocation.product),
            version: Some(release.version().clone()),
            environment: environment.map(|environment| environment.name.clone()),
            config: invocation.config_file(),
            push: false,
            yes: false,
            patience: Some(PATIENCE),
        };
        finish::left(git, &request)
    };
    let here = match left(None) {
        Ok(left) => left,
        Err(error) => return Line::open(format!("{error:#}")),
    };
    let there = match published {
        Some(environment) if here.is_empty() => left(Some(environment)),
        _ => Ok(Vec::new()),
    };
    match (published, there) {
        _ if !here.is_empty() => Line::open(here.join("; ")),
        (Some(environment), Ok(left)) if left.is_empty() => {
            Line::done(format!("done, here and at {}", environment.name))
        }
        (_, Ok(left)) if left.is_empty() => Line::done("done here"),
        (_, Ok(left)) => Line::open(left.join("; ")),
        (_, Err(error)) => Line { state: State::Unknown, text: format!("done here; {error:#}") },
    }
}

fn announce_line(git: &Git, release: &Release) -> Line {
    let drafts = announce::directory(release.version());
    if git.root().join(&drafts).is_dir() {
        Line::done(format!("drafts in {drafts}/"))
    } else {
        Line::open("no drafts yet")
    }
}
