//! `release announce`: drafts of what is announced about the release, in `release/announce/VERSION/`.
//!
//! A draft that was edited is never overwritten. Posts nothing and does not use the network.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::domain::build::record::Record;
use crate::domain::date::Date;
use crate::domain::digest::Digest;
use crate::domain::layout::{self, Layout};
use crate::domain::notes;
use crate::domain::notes::forward;
use crate::domain::notes::fragment::Fragment;
use crate::domain::notes::highlights;
use crate::domain::problem::{Problem, Problems};
use crate::domain::product::Product;
use crate::domain::release::announcement::{Announcement, Draft};
use crate::domain::release::{Kind, NotReleasable, Release};
use crate::domain::version::Version;
use crate::tools::files;
use crate::tools::git::Git;
use crate::tools::nix::Nix;
use crate::tools::term::{self, BOLD, GOOD};
use crate::tree::{release_dir, released};

/// Directory of the drafts, below `release/`.
const ANNOUNCE: &str = "announce";
/// File beside the drafts with the digests of those that we wrote, to recognise edited ones.
const WRITTEN: &str = ".written.json";

/// Writes the drafts.
///
/// # Errors
/// Nothing was built, or something is missing (all of it at once); nothing is written then.
pub fn run(git: &Git, product: &Arc<Product>) -> Result<()> {
    release_dir::tidy(git.root())?;
    let observed = Observed::new(git, product)?;
    let announcement = decide(observed)?;
    let release = &announcement.release;
    let dir = git.root().join(directory(release.version()));
    term::say(format_args!("{BOLD}{}{BOLD:#} \"{}\", drafts in {dir}", release.title(), release.name()));
    write(&dir, &announcement.drafts())?;
    term::say(format_args!("{GOOD}done:{GOOD:#} nothing was posted; next: read and edit them, as checklist.md says"));
    Ok(())
}

/// Returns the directory of a version's drafts, relative to the top of the tree.
pub fn directory(version: &Version) -> Utf8PathBuf {
    Utf8Path::new(layout::RELEASE).join(ANNOUNCE).join(version.to_string())
}

/// What the drafts are made from.
struct Observed {
    record: Record,
    layout: Layout,
    release: Result<Release, NotReleasable>,
    /// The section of the release, if the page has one.
    section: Option<String>,
    /// The date of the section, or of the commit.
    date: Date,
    /// Fragments that the section was made from; for a pre-release, which has no section, those in its tree.
    fragments: Vec<Fragment>,
    /// Nix's digest of the unpacked source archive.
    unpacked: Option<Digest>,
    /// The newest stable version that is tagged.
    newest: Option<Version>,
}

impl Observed {
    fn new(git: &Git, product: &Arc<Product>) -> Result<Observed> {
        let path = git.root().join(layout::RELEASE).join(layout::RECORD);
        let text = files::read_if_there(&path)?
            .with_context(|| format!("{path} does not exist: has `cargo xtask release build` finished?"))?;
        let record = Record::parse(&text).map_err(|why| anyhow!("{path} {why}"))?;
        let version = match &record.tag {
            Some(version) => version.clone(),
            None => bail!("{path} was built from a tree that is not an official release: there is nothing to announce"),
        };
        let commit = record.commit.clone();
        git.resolve(&format!("{commit}^{{commit}}"))?.with_context(|| {
            format!("{} does not have the commit {commit} that {path} was built from: `git fetch --tags`", git.root())
        })?;

        let page_path = notes::page_path(version.series());
        let page = git.file(&commit, &page_path)?.unwrap_or_default();
        let section = forward::section(product, &page, &version);
        let texts = match section {
            Some(_) => {
                released::fragments_of(git, product, &version, &commit)?.into_iter().map(|t| (t.path, t.text)).collect()
            }
            None => released::texts(git, &commit)?,
        };
        let layout = Layout::new(product, &record.version);
        let release = Release::new(product, version.clone(), record.name.as_deref().unwrap_or_default());
        let date = release
            .as_ref()
            .ok()
            .and_then(|release| notes::section_date(&page, release))
            .unwrap_or(record.committed_on());
        Ok(Observed {
            date: date.parse().map_err(|why| anyhow!("{page_path} has an invalid date for {version}: {why}"))?,
            section: section.map(str::to_owned),
            fragments: parse(product, &texts),
            unpacked: unpacked(git, &record, &layout),
            newest: released::releases(git)?.pop(),
            release,
            record,
            layout,
        })
    }
}

/// Asks Nix for the hash of the unpacked source archive. Only a draft needs it, so a failure is a warning.
fn unpacked(git: &Git, record: &Record, layout: &Layout) -> Option<Digest> {
    let artifacts = git.root().join(layout::RELEASE).join(layout::ARTIFACTS);
    let archive = artifacts.join(layout.version_directory()).join(layout.source());
    let ask = || -> Result<Digest> {
        let text = files::read(&archive)?;
        ensure!(
            record.files.get(&layout.source()) == Some(&files::digest_of(&text)),
            "{archive} has changed since it was built"
        );
        Nix::new(git.root(), &[])?.hash_of_unpacked(&archive)
    };
    let warn =
        |error| term::warn(format_args!("nixpkgs.toml does not have the hash of the unpacked source: {error:#}"));
    ask().map_err(warn).ok()
}

/// Parses the fragments. An older release may have some that would not pass today: those are left out of the highlights.
fn parse(product: &Product, texts: &[(String, String)]) -> Vec<Fragment> {
    let mut fragments = Vec::new();
    for (path, text) in texts {
        match Fragment::parse(product, path, text.as_bytes()) {
            Ok(fragment) => fragments.push(fragment),
            Err(faults) => term::warn(format_args!("left out of the highlights: {}", Problem::in_file(path, faults))),
        }
    }
    fragments
}

fn decide(observed: Observed) -> Result<Announcement, Problems> {
    let Observed { record, layout, release, section, date, fragments, unpacked, newest } = observed;
    let mut problems = Problems::default();
    let release = problems.collect(release.map_err(Problem::from));
    let archive = layout.source();
    let source = record.files.get(&archive).map(|facts| facts.sha256);
    if source.is_none() {
        problems.add(format!("the record has no {archive}: build the release with `--target all`"));
    }
    if section.is_none() && release.as_ref().is_some_and(|release| release.kind() != Kind::PreRelease) {
        problems.add(format!("the release notes have no section for {}", record.version));
    }
    let section = section.unwrap_or_default();
    let (Some(release), Some(source), true) = (release, source, problems.is_empty()) else { return Err(problems) };
    let manual = record.manual();
    // A build without the manual cannot tell; the tree has the page in that case.
    let has_page = manual.is_empty() || manual.contains_key(&notes::notes_page(release.series()));
    Ok(Announcement {
        has_notes_page: release.kind() != Kind::PreRelease && has_page,
        newer: newest.filter(|newest| newest > release.version()),
        release,
        date,
        highlights: highlights::highlights(&fragments, &section),
        credits: highlights::credits(&section),
        source,
        unpacked,
    })
}

/// Writes the drafts. One that was edited stays, and the newer draft goes beside it.
fn write(dir: &Utf8Path, drafts: &[Draft]) -> Result<()> {
    let ledger = dir.join(WRITTEN);
    let mut written: BTreeMap<String, Digest> = match read(&ledger)? {
        Some(text) => serde_json::from_str(&text)
            .with_context(|| format!("{ledger} is damaged: remove it (every draft there then counts as edited)"))?,
        None => BTreeMap::new(),
    };
    for Draft { file, text } in drafts {
        let (path, fresh) = (dir.join(file), files::digest_of(text.as_bytes()).sha256);
        let before = written.get(*file).copied();
        let there = read(&path)?.map(|text| files::digest_of(text.as_bytes()).sha256);
        match there {
            Some(there) if there == fresh => term::say(format_args!("  unchanged  {file}")),
            Some(there) if before != Some(there) && before == Some(fresh) => {
                term::say(format_args!("  edited     {file}, kept as it is"));
            }
            Some(there) if before != Some(there) => {
                let beside = beside(dir, file, &written)?;
                files::write_atomic(&dir.join(&beside), text)?;
                term::warn(format_args!("{path} was edited and is kept as it is; the newer draft is {beside}"));
                written.insert(beside, fresh);
            }
            _ => {
                files::write_atomic(&path, text)?;
                term::say(format_args!("  wrote      {file}"));
            }
        }
        written.insert((*file).to_owned(), fresh);
    }
    files::write_atomic(&ledger, &format!("{}\n", serde_json::to_string_pretty(&written)?))
}

/// Returns a name for the newer draft under which no edited file exists: `blog.new.md` for `blog.md`, and so on.
fn beside(dir: &Utf8Path, file: &str, written: &BTreeMap<String, Digest>) -> Result<String> {
    let (stem, extension) = file.rsplit_once('.').unwrap_or((file, "txt"));
    let mut name = format!("{stem}.new.{extension}");
    for number in 2.. {
        let there = read(&dir.join(&name))?.map(|text| files::digest_of(text.as_bytes()).sha256);
        if there.is_none() || there == written.get(&name).copied() {
            break;
        }
        name = format!("{stem}.new{number}.{extension}");
    }
    Ok(name)
}

fn read(path: &Utf8Path) -> Result<Option<String>> {
    files::read_if_there(path)
}
