//! `release verify`: what users get, checked as a user's machine would.
//!
//! Starts from the published record and needs neither `release/` nor a key that can write. Reads through the public
//! addresses where `releng.toml` names them, and through S3 elsewhere. The acts are those of `plan` and `upload`.
//! Refuses to repair.

use anyhow::{Context, Result, anyhow, ensure};
use xtask::cli::{Outcome, Place, VerifyArgs};
use xtask::domain::environment::Access;
use xtask::domain::layout::{Docs, Layout, RECORD};
use xtask::domain::pointers::{self, Published};
use xtask::domain::publication::{Act, INSTALLER_ACTS, Scope, Target, Wave, acts};
use xtask::domain::record::Record;
use xtask::domain::version::Version;
use xtask::tools::git::Git;

use self::report::{Report, Told};
use super::destination::{Bucket, Stores, World};
use super::published::published;
use crate::tools::http::Http;
use crate::tools::source::Source;

mod cache;
mod git;
mod images;
mod installers;
mod manifest;
mod receipt;
mod report;
mod tree;

/// Checks a version in an environment.
///
/// # Errors
/// The environment cannot be looked at. What is broken there is no error: it is printed, and the outcome says so.
pub async fn run(place: &Place, args: &VerifyArgs) -> Result<Outcome> {
    let git = Git::open(&place.tree)?;
    let version = match &args.version {
        Some(version) => version.clone(),
        None => current(&git)?,
    };
    let world = World::open(place, git.root(), &args.env).await?;
    let stores = world.connect(Access::Read, &Bucket::ALL).await?;
    let published = published(stores.of(Bucket::Releases)).await?;
    let sources = Sources::new(&world, &stores);
    let view = View { git: &git, sources, world: &world, published, version, deep: args.deep };

    let mut report = Report::new(if place.json { Told::Json } else { Told::Page });
    match view.record(&view.version).await? {
        Some((record, text)) => view.check(&record, &text, &Wave::ALL, &mut report).await?,
        None => view.check_unrecorded(stores.of(Bucket::Releases), &mut report).await?,
    }
    report.finish(&view.version, &world.name)
}

/// Checks what is published of a version, but for the pointers; says whether it is whole.
///
/// # Errors
/// As for [`run`]; and the version has no record.
pub async fn contents(git: &Git, world: &World, stores: &Stores, version: &Version) -> Result<bool> {
    let published = published(stores.of(Bucket::Releases)).await?;
    let sources = Sources::new(world, stores);
    let view = View { git, sources, world, published, version: version.clone(), deep: false };
    let (record, text) = view.record(version).await?.with_context(|| format!("{version} has no published record"))?;
    let mut report = Report::new(Told::Aside);
    view.check(&record, &text, &[Wave::Contents, Wave::Git], &mut report).await?;
    Ok(report.broken == 0)
}

fn current(git: &Git) -> Result<Version> {
    let file = xtask::tools::tree::version_file(git, &git.head()?.commit).context("which version? Name one")?;
    Ok(file.version)
}

/// Where users read.
struct Sources {
    cache: Source,
    docs: Source,
    install: Source,
    releases: Source,
}

impl Sources {
    fn new(world: &World, stores: &Stores) -> Sources {
        let public = world.environment.public.as_ref();
        let source = |address: Option<&String>, bucket| match address {
            Some(address) => Source::Public(Http::new(address)),
            None => Source::Store(Box::new(stores.of(bucket).clone())),
        };
        Sources {
            cache: source(public.map(|public| &public.cache), Bucket::Cache),
            docs: source(public.map(|public| &public.docs), Bucket::Docs),
            install: source(public.map(|public| &public.install), Bucket::Install),
            releases: source(public.map(|public| &public.releases), Bucket::Releases),
        }
    }
}

/// A version, in the environment where it is checked.
struct View<'a> {
    git: &'a Git,
    sources: Sources,
    world: &'a World,
    published: Published,
    version: Version,
    /// Whether what has a digest for a name is downloaded, too.
    deep: bool,
}

impl View<'_> {
    /// The published record of a version, and its text; `None` if there is none.
    async fn record(&self, version: &Version) -> Result<Option<(Record, Vec<u8>)>> {
        let key = format!("{}/{RECORD}", Layout::new(&version.to_string()).version_directory());
        let Some(text) = self.sources.releases.get(&key).await? else { return Ok(None) };
        let record = Record::parse_published(&String::from_utf8_lossy(&text))
            .map_err(|why| anyhow!("the published {key} {why}"))?;
        ensure!(record.version == version.to_string(), "the published {key} is of {}", record.version);
        Ok(Some((record, text)))
    }

    async fn check(&self, record: &Record, text: &[u8], waves: &[Wave], report: &mut Report) -> Result<()> {
        let scope = Scope::Official(self.version.series());
        let mut acts = acts(scope, Target::All, &self.world.environment).map_err(|why| anyhow!(why))?;
        acts.extend(INSTALLER_ACTS);
        acts.sort_by_key(Act::wave);
        for act in acts.into_iter().filter(|act| waves.contains(&act.wave())) {
            match &act {
                Act::VersionDirectory => self.check_version_directory(record, text, report).await?,
                Act::Cache => self.check_cache(record, report).await?,
                Act::Docs(docs @ (Docs::Series(_) | Docs::Stable)) => {
                    self.check_docs(&act, *docs, record, report).await?
                }
                Act::Docs(Docs::Nightly) => {}
                Act::RootManifest => self.check_root_manifest(&act, record, report).await?,
                Act::Branch | Act::Review => self.check_branch(record, report)?,
                Act::Tag => self.check_tag(record, report)?,
                Act::Images { target } => self.check_images(target, record, report).await?,
                Act::ImageTag { target, tag } => self.check_image_tag(&act, target, *tag, record, report).await?,
                Act::Installers => self.check_installers(record, report).await?,
                Act::InstallerPointers => self.check_installer_pointers(&act, report).await?,
                Act::Receipt => self.check_receipt(text, report).await?,
            }
        }
        Ok(())
    }

    /// Where a pointer belongs in this environment.
    fn belongs_on(&self, act: &Act) -> Option<&Version> {
        pointers::target(act.follows()?, &self.published)
    }
}
