//! `release status`: where this release stands, observed and not remembered, and what to type next. One screen.
//!
//! Asks for no key: environments are looked at as users see them. Refuses to change anything.

use anyhow::{Result, anyhow};
use xtask::cli::{Outcome, Place};
use xtask::domain::environment::{Config, Storage};
use xtask::domain::layout::{self, Layout, MANIFEST};
use xtask::domain::manifest;
use xtask::domain::notes;
use xtask::domain::record::Record;
use xtask::domain::release::{Kind, Release};
use xtask::domain::version::Version;
use xtask::phases::tag_record;
use xtask::tools::git::Git;
use xtask::tools::term::{self, BOLD};
use xtask::tools::tree;

use super::destination::{Bucket, World, config};
use crate::tools::http::Http;

/// No manifest or record is nearly this long.
const LIMIT: u64 = 64 << 20;

/// How far one part of the release is.
struct Line {
    what: String,
    done: bool,
    detail: String,
}

/// Shows.
///
/// # Errors
/// There is no tree to look at.
pub async fn run(place: &Place) -> Result<Outcome> {
    let git = Git::open(&place.tree)?;
    let head = git.head()?;
    let file = tree::version_file(&git, &head.commit)?;
    let release = Release::new(file.version.clone(), file.name.as_deref().unwrap_or_default());

    let at = head.branch.clone().unwrap_or_else(|| format!("detached at {}", head.commit.short()));
    let (mut lines, mut next) = (Vec::new(), None);
    match &release {
        Err(why) => {
            lines.push(Line { what: "prepare".into(), done: false, detail: why.to_string() });
            next = Some("cargo xtask release prepare VERSION --name NAME".to_owned());
        }
        Ok(release) => {
            local_lines(&git, release, &mut lines, &mut next)?;
            let config = config(place)?;
            // Where users are, last: it is the last to be published to.
            let mut environments: Vec<_> = config.environments.iter().collect();
            environments.sort_by_key(|(name, environment)| (!environment.noconfirm, *name));
            for (name, environment) in environments {
                let line = environment_line(place, &git, &config, name, release.version()).await;
                let is_for_rehearsals = matches!(environment.storage, Storage::Embedded { .. });
                if !line.done && next.is_none() && !is_for_rehearsals {
                    next = Some(format!("cargo xtask release upload --env {name}"));
                }
                lines.push(line);
            }
            lines.push(branch_line(&git, release)?);
        }
    }
    show(place, &file.version, &at, &lines, next.as_deref().unwrap_or("nothing: this release is out"))?;
    Ok(Outcome::Done)
}

fn show(place: &Place, version: &Version, at: &str, lines: &[Line], next: &str) -> Result<()> {
    if place.json {
        let entries =
            lines.iter().map(|line| serde_json::json!({ "what": line.what, "done": line.done, "detail": line.detail }));
        let status =
            serde_json::json!({ "version": version, "at": at, "status": entries.collect::<Vec<_>>(), "next": next });
        return term::data(format_args!("{status:#}\n"));
    }
    term::data(format_args!("{BOLD}Lix {version}{BOLD:#}, {at}\n"))?;
    for line in lines {
        let mark = if line.done { term::good("✓") } else { "·".to_owned() };
        term::data(format_args!("  {mark} {:<12} {}\n", line.what, line.detail))?;
    }
    term::data(format_args!("next: {next}\n"))
}

/// Notes, tag and build.
fn local_lines(git: &Git, release: &Release, lines: &mut Vec<Line>, next: &mut Option<String>) -> Result<()> {
    let head = git.head()?.commit;
    let mut add = |what: &str, done: bool, detail: String, command: &str| {
        if !done && next.is_none() {
            *next = Some(format!("cargo xtask release {command}"));
        }
        lines.push(Line { what: what.to_owned(), done, detail });
    };
    let page = notes::page_path(release.series());
    let text = git.file(&head, &page)?;
    let date = text.as_deref().and_then(|text| notes::section_date(text, release.version()));
    match (release.kind(), date) {
        (Kind::PreRelease, _) => add("notes", true, "a pre-release has none".to_owned(), "prepare"),
        (_, Some(date)) => add("notes", true, format!("in {page}, dated {date}"), "prepare"),
        (_, None) => add("notes", false, format!("{page} has no section for {}", release.version()), "prepare"),
    }
    match tag_record::load(git, release.version()) {
        Ok(tag) => {
            let detail = format!("{} at {}, merged back to {}", release.tag(), tag.commit.short(), tag.branch);
            add("tag", true, detail, "tag");
        }
        Err(error) => add("tag", false, format!("{error}"), "tag"),
    }
    let path = git.root().join(layout::RELEASE).join(layout::RECORD);
    match std::fs::read_to_string(&path).ok().map(|text| Record::parse(&text)) {
        Some(Ok(record)) if record.tag.as_deref() == Some(&release.tag()) => {
            let commit = record.commit_oid();
            add("build", true, format!("release/ holds it ({}, from {})", record.profile, commit.short()), "build");
        }
        Some(Ok(record)) => add("build", false, format!("release/ holds {}", record.version), "build"),
        Some(Err(why)) => add("build", false, format!("release/release.json {why}"), "build"),
        None => add("build", false, "nothing is built".to_owned(), "build"),
    }
    Ok(())
}

/// One environment, as users see it.
async fn environment_line(place: &Place, git: &Git, config: &Config, name: &str, version: &Version) -> Line {
    let looked = look_at_environment(place, git, config, name, version).await;
    let (done, detail) = looked.unwrap_or_else(|error| (false, format!("cannot be looked at: {}", error.root_cause())));
    Line { what: name.to_owned(), done, detail }
}

async fn look_at_environment(
    place: &Place,
    git: &Git,
    config: &Config,
    name: &str,
    version: &Version,
) -> Result<(bool, String)> {
    let environment = config.environment(name).map_err(|why| anyhow!(why))?;
    let key = format!("{}/{}", Layout::new(&version.to_string()).version_directory(), layout::RECORD);
    let (record, live) = match &environment.public {
        Some(public) => {
            let http = Http::impatient(&public.releases);
            (http.get(&key, LIMIT).await?, http.get(MANIFEST, LIMIT).await?)
        }
        None => {
            let world = World::open(place, git.root(), name).await?;
            let stores = world.connect(xtask::domain::environment::Access::Read, &[Bucket::Releases]).await?;
            let releases = stores.of(Bucket::Releases);
            (releases.get(&key, LIMIT).await?, releases.get(MANIFEST, LIMIT).await?)
        }
    };
    let live = live.map(|text| manifest::version_of(&String::from_utf8_lossy(&text)));
    let live = live.unwrap_or_else(|| "nothing yet".to_owned());
    let published = if record.is_some() { "published" } else { "not published" };
    Ok((record.is_some(), format!("{published}; `nix upgrade-nix` leads to {live}")))
}

fn branch_line(git: &Git, release: &Release) -> Result<Line> {
    let branch = xtask::domain::release::series_branch(release.series());
    let here = git.resolve(&format!("refs/heads/{branch}"))?.or(git.resolve(&format!("refs/remotes/origin/{branch}"))?);
    let detail = match (&here, release.kind()) {
        (Some(commit), _) => format!("{branch} is at {}", commit.short()),
        (None, Kind::PreRelease) => format!("{branch} comes after the final release"),
        (None, _) => format!("{branch} is not here"),
    };
    Ok(Line { what: "branch-off".into(), done: here.is_some() || release.kind() == Kind::PreRelease, detail })
}
