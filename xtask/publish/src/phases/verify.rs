//! `release verify`: what users get, checked as a user's machine would.
//!
//! Starts from the published record and needs neither `release/` nor a key that can write. Reads through the public
//! addresses where `releng.toml` names them, and through S3 elsewhere. The acts are those of `plan` and `upload`.
//! Refuses to repair.

mod cache;

use anyhow::{Context, Result, anyhow, ensure};
use xtask::cli::{Outcome, Place, VerifyArgs};
use xtask::domain::digest::{Digest, FileFacts};
use xtask::domain::environment::Access;
use xtask::domain::layout::{Docs, Layout, MANIFEST, MANUAL_INDEX, RECORD, SUMS, side_file_of};
use xtask::domain::pointers::{self, Published};
use xtask::domain::publication::{Act, INSTALLER_ACTS, Scope, Target, Wave, acts};
use xtask::domain::receipt::Own;
use xtask::domain::record::{Files, Record};
use xtask::domain::release::Release;
use xtask::domain::version::Version;
use xtask::tools::files;
use xtask::tools::git::Git;
use xtask::tools::remote::Remote;
use xtask::tools::term;
use xtask::tools::tree;

use super::destination::{Bucket, Stores, World, published};
use crate::tools::http::Http;
use crate::tools::root_manifest;
use crate::tools::source::Source;
use crate::tools::store::Store;
use crate::tools::transfer;

mod images;
mod installers;

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
    let file = tree::version_file(git, &git.head()?.commit).context("which version? Name one")?;
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
        let record =
            Record::parse(&String::from_utf8_lossy(&text)).map_err(|why| anyhow!("the published {key} {why}"))?;
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

    async fn check_receipt(&self, text: &[u8], report: &mut Report) -> Result<()> {
        let key = Layout::new(&self.version.to_string()).receipt();
        let record = files::facts(text).sha256;
        let broken = match Own::parse(self.sources.releases.get(&key).await?.as_deref()) {
            Own::Missing => vec!["it is missing: the upload was not finished, run it again".to_owned()],
            Own::Unreadable => vec!["it is no receipt: run the upload again".to_owned()],
            Own::Is(receipt) if receipt.record != record => vec!["it is of another build".to_owned()],
            Own::Is(_) => Vec::new(),
        };
        let good = format!("is of release.json {}", record.short());
        report.check(&format!("releases {key}"), &good, broken, "environments that wait for this one");
        Ok(())
    }

    async fn check_version_directory(&self, record: &Record, text: &[u8], report: &mut Report) -> Result<()> {
        let directory = Layout::new(&record.version).version_directory();
        let mut expected = record.files.clone();
        let sums = record.sums(files::facts(text).sha256);
        expected.insert(SUMS.to_owned(), files::facts(sums.as_bytes()));
        let broken = compare(&self.sources.releases, &directory, &expected).await?;
        let bytes = expected.values().map(|facts| facts.size).sum();
        let files = format!("{} files, {}", expected.len(), xtask::domain::plan::bytes_for_people(bytes));
        report.check(&format!("releases {directory}/"), &files, broken, "whoever downloads it");

        let key = format!("{directory}/{MANIFEST}");
        let manifest = self.sources.releases.get(&key).await?.unwrap_or_default();
        let broken = match root_manifest::read(&manifest).await?.says.map_err(|why| format!("it {why}")) {
            Ok(manifest) if manifest == record.manifest() => Vec::new(),
            Ok(_) => vec!["it names other store paths than the record".to_owned()],
            Err(why) => vec![why],
        };
        report.check(&format!("releases {key}"), "names what was built", broken, "whoever upgrades to this version");
        Ok(())
    }

    /// Where a pointer belongs in this environment.
    fn belongs_on(&self, act: &Act) -> Option<&Version> {
        pointers::target(act.follows()?, &self.published)
    }

    async fn check_docs(&self, act: &Act, docs: Docs, record: &Record, report: &mut Report) -> Result<()> {
        let directory = docs.directory();
        let who = format!("readers of {directory}/");
        let Some(target) = self.belongs_on(act) else { return Ok(()) };
        let title = format!("docs {directory}/");
        if *target == self.version {
            let manual = record.manual();
            let broken = compare(&self.sources.docs, &directory, &manual).await?;
            report.check(&title, &format!("{} pages of {target}", manual.len()), broken, &who);
            return Ok(());
        }
        // Not ours: it is enough that its start page is the right version's.
        let Some((other, _)) = self.record(target).await? else {
            report.note(&title, &format!("belongs on {target}, which has no record to check it with"));
            return Ok(());
        };
        let index: Files = other.manual().into_iter().filter(|(path, _)| path == MANUAL_INDEX).collect();
        let broken = compare(&self.sources.docs, &directory, &index).await?;
        report.check(&title, &format!("is on {target}"), broken, &who);
        Ok(())
    }

    async fn check_root_manifest(&self, act: &Act, record: &Record, report: &mut Report) -> Result<()> {
        let Some(target) = self.belongs_on(act) else { return Ok(()) };
        let live = match self.sources.releases.get(MANIFEST).await? {
            Some(bytes) => Some(root_manifest::read(&bytes).await?),
            None => None,
        };
        let title = format!("releases {MANIFEST}");
        let who = "everyone who runs `nix upgrade-nix`";
        let expected = match *target == self.version {
            true => Some(record.manifest()),
            false => self.record(target).await?.map(|(record, _)| record.manifest()),
        };
        let broken = match live.map(|live| live.says) {
            None => vec![format!("it is missing, and belongs on {target}")],
            Some(Err(why)) => vec![format!("it {why}")],
            Some(Ok(live)) => match expected {
                Some(expected) if expected != live => {
                    vec![format!("it does not lead to {target}, the newest stable release here")]
                }
                Some(_) => Vec::new(),
                None if live.values().all(|path| path.ends_with(&format!("-{target}"))) => Vec::new(),
                None => vec![format!("it does not lead to {target}, the newest stable release here")],
            },
        };
        report.check(&title, &format!("is on {target}"), broken, who);
        Ok(())
    }

    fn check_branch(&self, record: &Record, report: &mut Report) -> Result<()> {
        let remote = Remote::find(self.git, &self.world.environment.git)?;
        let release = Release::new(self.version.clone(), record.name.as_deref().unwrap_or_default())?;
        let branch = release.release_branch();
        let reference = format!("refs/heads/{branch}");
        let commit = &record.commit;
        let broken = match remote.refs(&[&reference])?.remove(&reference) {
            None => vec![format!("the remote has no branch {branch}")],
            Some(tip) if remote.history(&reference, &tip)?.contains(&tip, commit)? => Vec::new(),
            Some(tip) => vec![format!("it is at {} and does not contain the release, {}", tip.short(), commit.short())],
        };
        report.check(
            &format!("branch {branch}"),
            &format!("contains {}", commit.short()),
            broken,
            "whoever builds from git",
        );
        Ok(())
    }

    fn check_tag(&self, record: &Record, report: &mut Report) -> Result<()> {
        let remote = Remote::find(self.git, &self.world.environment.git)?;
        let reference = format!("refs/tags/{}", self.version);
        let peeled = format!("{reference}^{{}}");
        let found = remote.refs(&[&reference, &peeled])?;
        let commit = &record.commit;
        let broken = match found.get(&peeled) {
            None if found.contains_key(&reference) => vec!["it is no annotated tag".to_owned()],
            None => vec!["the remote does not have it".to_owned()],
            Some(tagged) if tagged == commit => Vec::new(),
            Some(tagged) => vec![format!("it names {}, and {} was released", tagged.short(), commit.short())],
        };
        report.check(
            &format!("tag {}", self.version),
            &format!("names {}", commit.short()),
            broken,
            "whoever builds from git",
        );
        Ok(())
    }

    /// A version that was published before there were records: its archives are held against the digests beside them.
    async fn check_unrecorded(&self, releases: &Store, report: &mut Report) -> Result<()> {
        let directory = Layout::new(&self.version.to_string()).version_directory();
        let title = format!("releases {directory}/");
        let listing = releases.list(&format!("{directory}/")).await?;
        if listing.is_empty() {
            report.check(&title, "", vec!["it is not published".to_owned()], "everyone who looks for this version");
            return Ok(());
        }
        // They came with the records, and go first: what has them and no record is not all there.
        if listing.contains_key(&format!("{directory}/{SUMS}")) {
            let why = "its publication was begun and not finished: run `upload` again".to_owned();
            report.check(&title, "", vec![why], "whoever finds it");
            return Ok(());
        }
        report.note(&title, "has no release.json: only what has a digest beside it is checked");
        let mut expected = Files::new();
        let mut broken = Vec::new();
        for key in listing.keys() {
            let Some(archive) = side_file_of(key) else { continue };
            let side = self.sources.releases.get(key).await?.unwrap_or_default();
            let size = listing.get(archive).map(|listed| listed.size);
            match (String::from_utf8_lossy(&side).trim().parse::<Digest>(), size) {
                (Ok(sha256), Some(size)) => {
                    let path = archive.strip_prefix(&format!("{directory}/")).unwrap_or(archive);
                    expected.insert(path.to_owned(), FileFacts { size, sha256 });
                }
                (Err(why), _) => broken.push(format!("{key}: {why}")),
                (_, None) => broken.push(format!("{archive} is missing, and its digest is there")),
            }
        }
        broken.extend(compare(&self.sources.releases, &directory, &expected).await?);
        report.check(&title, &format!("{} archives", expected.len()), broken, "whoever downloads it");
        Ok(())
    }
}

/// Downloads every file and says what is not as expected.
async fn compare(source: &Source, directory: &str, expected: &Files) -> Result<Vec<String>> {
    let checking = expected.iter().map(|(path, expected)| {
        let (source, key, path, expected) = (source.clone(), format!("{directory}/{path}"), path.clone(), *expected);
        async move {
            Ok(match source.facts(&key).await? {
                None => Some(format!("{path} is missing")),
                Some(found) if found == expected => None,
                Some(found) => Some(format!(
                    "{path} is not what was released: {} bytes with SHA-256 {}, expected {} with {}",
                    found.size, found.sha256, expected.size, expected.sha256
                )),
            })
        }
    });
    let mut broken: Vec<String> = transfer::all(checking).await?.into_iter().flatten().collect();
    broken.sort();
    Ok(broken)
}

/// Lines about one thing that somebody would read.
const NAMED: usize = 5;

/// Where findings go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// To stdout, as they are found.
    Page,
    /// To stdout, all of them in the end.
    Json,
    /// To stderr: another command's output is the data.
    Aside,
}

/// What was found.
struct Report {
    told: Told,
    entries: Vec<serde_json::Value>,
    broken: usize,
}

impl Report {
    fn new(told: Told) -> Report {
        Report { told, entries: Vec::new(), broken: 0 }
    }

    /// One check: what is good about it, or what is broken and for whom.
    fn check(&mut self, title: &str, good: &str, broken: Vec<String>, who: &str) {
        self.broken += broken.len();
        self.entries
            .push(serde_json::json!({ "what": title, "good": broken.is_empty(), "broken": broken, "affects": who }));
        if broken.is_empty() {
            self.line(format_args!("{} {title:<34} {good}", term::good("ok    ")));
        }
        let shown = if term::is_verbose() { broken.len() } else { NAMED };
        for why in broken.iter().take(shown) {
            self.line(format_args!("{} {title:<34} {why}; affects {who}", term::bad("broken")));
        }
        if broken.len() > shown {
            let more = broken.len() - shown;
            self.line(format_args!("{} {title:<34} and {more} more (`--verbose` lists them)", term::bad("broken")));
        }
    }

    /// Something that could not be checked, and why.
    fn note(&mut self, title: &str, why: &str) {
        self.entries.push(serde_json::json!({ "what": title, "note": why }));
        self.line(format_args!("note   {title:<34} {why}"));
    }

    fn line(&self, line: std::fmt::Arguments) {
        match self.told {
            // Whoever closed the pipe has seen enough; the exit code still tells.
            Told::Page => drop(term::row(line)),
            Told::Aside => term::say(line),
            Told::Json => {}
        }
    }

    fn finish(self, version: &Version, environment: &str) -> Result<Outcome> {
        if self.told == Told::Json {
            term::json(&self.entries)?;
        }
        if self.broken > 0 {
            term::say(format_args!("{} of {version} in {environment}: {} broken", term::bad("failed:"), self.broken));
            return Ok(Outcome::Failed);
        }
        term::say(format_args!("{} {version} in {environment} is what was released", term::good("verified:")));
        Ok(Outcome::Done)
    }
}
