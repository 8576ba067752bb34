//! `release verify`: checks what users get, as a user's machine would.
//!
//! Starts from the published record, and needs neither `release/` nor a key that can write. Reads the buckets, and the
//! public addresses that `releng.toml` names. Checks the same acts as `plan` and `upload`, and repairs nothing.

use anyhow::{Context, Result, anyhow, ensure};
use camino::Utf8PathBuf;
use xtask::cli::{Invocation, Outcome, VerifyArgs};
use xtask::domain::build::record::Record;
use xtask::domain::environment::Access;
use xtask::domain::extent::Extent;
use xtask::domain::format::Misread;
use xtask::domain::layout::{Docs, Layout, MANIFEST, RECORD, SUMS_SIGNATURE, WITHDRAWN};
use xtask::domain::shown::excerpt;
use xtask::domain::version::{Series, Version};
use xtask::tools::files;
use xtask::tools::git::Git;

use self::report::{Findings, Output, Report};
use self::sides::{Sides, Sources};
use super::environments;
use crate::domain::allowed_signers;
use crate::domain::cache::signing::PublicKey;
use crate::domain::publication::acts::{Act, INSTALLER_ACTS, Rule, Wave, acts};
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::pointers::{self, Follows, Published, holds_pointers_back};
use crate::domain::publication::receipt::{Missing, StoredReceipt};
use crate::domain::publication::servers::LeftOut;
use crate::site::published::{Unclear, published_by, published_in_public};
use crate::site::silent::Silent;
use crate::site::{Site, Stores};

mod cache;
mod git;
mod images;
mod object;
mod rebuild;
mod report;
mod sides;
mod signature;
mod tree;

/// Checks a version in an environment.
///
/// # Errors
/// The environment cannot be looked at. Something broken is not an error: it is printed, and the outcome says so.
pub async fn run(invocation: &Invocation, args: &VerifyArgs) -> Result<Outcome> {
    let git = Git::open(&invocation.tree)?;
    let version = match &args.version {
        Some(version) => version.clone(),
        None => current(&git)?,
    };
    let site = Site::open(&environments(invocation), git.root(), &args.env).await?;
    // Renews its key while it exists.
    let stores = if args.public { None } else { Some(site.connect(Access::Read, &Bucket::ALL).await?) };
    let sources = match &stores {
        Some(stores) => Sources::new(&site, stores),
        None => Sources::public(&site)?,
    };
    let keys = keys(&site, args)?;
    let known = keys.as_deref().unwrap_or_default();
    let (published, unclear) = match &sources.releases {
        Sides::Public(releases) => published_in_public(releases, &site, known, &version).await?,
        Sides::Bucket(releases) | Sides::Both(releases, _) => published_by(releases, &site, known).await?,
    };
    let (site, silent) = (&site, Silent::default());
    let view = View { git: &git, sources, site, keys, published, version, deep: args.deep, silent };

    let mut report = Report::new(if invocation.json { Output::Json } else { Output::Page });
    if let Some(Unclear { why, is_damaged }) = unclear {
        let findings = if is_damaged { Findings::broken(why) } else { Findings::unknown(why) };
        report.check(&format!("releases {WITHDRAWN}"), "", findings, "uploads, which move no pointer until then");
    }
    view.note_begun(&mut report);
    if args.public {
        report.note("public addresses", "do not say what else is there, nor which uploads were only begun");
    }
    match view.record(&view.version).await? {
        Some(Ok((record, text))) => {
            let missing = view.missing(&view.version).await?;
            for Missing { target, why } in &missing {
                report.missing(target, why);
            }
            let is_there = |act: &Act| !missing.iter().any(|missing| is_of(act, missing));
            view.check(&record, &text, is_there, &mut report).await?;
            if args.rebuild {
                let how = How { config: invocation.config_file(), nix_args: &args.nix_args };
                view.check_rebuild(&record, &text, &how, &mut report).await;
            }
        }
        Some(Err(why)) => view.cannot_read_record(why, &mut report),
        None => {
            view.check_unrecorded(&mut report).await?;
            if args.rebuild {
                report.unknown("rebuild", &anyhow!("there is no record to compare with"));
            }
        }
    }
    report.finish(&view.version, &site.name)
}

/// Whether a version is completely published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    Complete,
    /// Something is missing or damaged, and was reported.
    Broken,
    /// Something could not be checked, and was reported.
    Unclear,
}

/// Checks what users need after a rollback to a version: its files, closures, images and installers. Pointers and the
/// docs of its series may lead to a newer version, and git does not matter to these users. Neither does what is left out.
///
/// # Errors
/// As for [`run`]; or the version has no record.
pub async fn contents(
    git: &Git,
    site: &Site,
    stores: &Stores,
    version: &Version,
    left_out: &[LeftOut],
) -> Result<Contents> {
    let (sources, published, silent) = (Sources::of_buckets(stores), Published::default(), Silent::default());
    let keys = site.cache_keys().map(|keys| keys.all());
    let view = View { git, sources, site, keys, published, version: version.clone(), deep: false, silent };
    let record = view.record(version).await?.with_context(|| format!("{version} has no published record"))?;
    let (record, text) = record.map_err(|why| anyhow!(why))?;
    let mut report = Report::new(Output::Aside);
    let is_left_out = |act: &Act| left_out.iter().any(|left_out| act.image_target() == Some(&left_out.target));
    let needed = |act: &Act| act.wave() == Wave::Contents && act.rule() == Rule::WriteOnce && !is_left_out(act);
    view.check(&record, &text, needed, &mut report).await?;
    Ok(match (report.broken, report.unknown) {
        (0, 0) => Contents::Complete,
        (0, _) => Contents::Unclear,
        _ => Contents::Broken,
    })
}

/// The keys that the manager names, or else those of the environment.
///
/// # Errors
/// What the manager named is not a key, or not a list of signers.
fn keys(site: &Site, args: &VerifyArgs) -> Result<Result<Vec<PublicKey>, String>> {
    if let Some(file) = &args.allowed_signers {
        let text = files::read_text(file)?;
        let namespace = site.layout("").namespace();
        let keys = allowed_signers::parse(&text, &namespace).map_err(|why| anyhow!("{file}, {why}"))?;
        ensure!(!keys.is_empty(), "{file} lists no ed25519 key for the namespace `{namespace}`");
        return Ok(Ok(keys));
    }
    if args.key.is_empty() {
        return Ok(site.cache_keys().map(|keys| keys.all()));
    }
    let key = |text: &String| text.parse().map_err(|why| anyhow!("`--key`: {why}"));
    args.key.iter().map(key).collect::<Result<_>>().map(Ok)
}

fn current(git: &Git) -> Result<Version> {
    let file = xtask::tree::version_file(git, &git.head()?.commit)
        .context("cannot read the default version from version.json: pass VERSION")?;
    Ok(file.version)
}

/// A version in the environment in which it is checked.
struct View<'a> {
    git: &'a Git,
    sources: Sources,
    site: &'a Site,
    /// The keys that may have signed, or why they are unknown.
    keys: Result<Vec<PublicKey>, String>,
    published: Published,
    version: Version,
    /// Whether content-addressed objects (NARs, layers) are downloaded, too.
    deep: bool,
    silent: Silent,
}

/// How a release is built again.
struct How<'a> {
    /// Path of the `releng.toml` that says what is released.
    config: Utf8PathBuf,
    /// The manager's arguments for Nix.
    nix_args: &'a [String],
}

/// Whether an act goes to a target that is missing.
fn is_of(act: &Act, missing: &Missing) -> bool {
    act.image_target().is_some_and(|target| target.to_string() == missing.target)
}

impl View<'_> {
    /// Names of the version's artifacts.
    fn layout(&self) -> Layout {
        self.site.layout(&self.version)
    }

    fn record_key(&self, version: &Version) -> String {
        format!("{}/{RECORD}", self.site.layout(version).version_directory())
    }

    /// Reads the published record of a version, with its text; `None` if it does not exist.
    async fn record(&self, version: &Version) -> Result<Option<Result<(Record, Vec<u8>), Misread>>> {
        let key = self.record_key(version);
        let Some(text) = self.sources.releases.get(&key).await? else { return Ok(None) };
        Ok(Some(match Record::parse_published(&String::from_utf8_lossy(&text)) {
            Ok(record) if record.version == version.to_string() => Ok((record, text)),
            Ok(record) => Err(Misread::Wrong(format!("the published {key} is for {}", excerpt(&record.version)))),
            Err(why) => Err(why.of(&format!("the published {key}"))),
        }))
    }

    /// The keys that may have signed; none if they are unknown.
    fn known_keys(&self) -> &[PublicKey] {
        self.keys.as_deref().unwrap_or_default()
    }

    /// The targets that the publication of a version left out, as its receipt says.
    async fn missing(&self, version: &Version) -> Result<Vec<Missing>> {
        let there = self.sources.releases.get(&self.site.layout(version).receipt()).await?;
        Ok(match StoredReceipt::parse(there.as_deref(), &self.site.name, &version.to_string(), self.known_keys()) {
            StoredReceipt::Is(receipt) => receipt.missing,
            // The check of the receipt reports these.
            StoredReceipt::Missing | StoredReceipt::Unreadable(_) | StoredReceipt::Newer(_) => Vec::new(),
        })
    }

    /// Reads the record of another version, to which a pointer should lead, or reports why it cannot be checked.
    async fn record_to_follow(&self, version: &Version, title: &str, report: &mut Report) -> Result<Option<Record>> {
        let (record, text) = match self.record(version).await? {
            Some(Ok(read)) => read,
            Some(Err(Misread::Wrong(why))) if !self.known_keys().is_empty() => {
                let why = format!("should lead to {version}, which is not proven: {why}");
                report.check(title, "", Findings::broken(why), "everyone who follows it");
                return Ok(None);
            }
            Some(Err(why)) => {
                report.note(title, &format!("should lead to {version}, which cannot be checked: {why}"));
                return Ok(None);
            }
            None => {
                report.note(title, &format!("should lead to {version}, which has no record to compare with"));
                return Ok(None);
            }
        };
        if let Some(why) = self.unproven(version, &text).await? {
            let why = format!("should lead to {version}, which is not proven: {why}");
            report.check(title, "", Findings::broken(why), "everyone who follows it");
            return Ok(None);
        }
        Ok(Some(record))
    }

    /// Notes uploads that were begun and not finished, which their manager may have forgotten.
    fn note_begun(&self, report: &mut Report) {
        for version in self.published.begun.iter().filter(|version| **version != self.version) {
            let title = format!("releases {}/", self.site.layout(version).version_directory());
            let waits = if holds_pointers_back(version, &self.published) { "; pointers wait for it" } else { "" };
            let why = "was begun, but is not finished (it may wait for a review): upload it again, or delete it";
            report.note(&title, &format!("{why}{waits}"));
        }
    }

    /// Reports a record that cannot be read, without which nothing else can be checked.
    fn cannot_read_record(&self, why: Misread, report: &mut Report) {
        let title = format!("releases {}", self.record_key(&self.version));
        let why = match why {
            Misread::Newer(why) => Misread::Newer(format!("{why}; nothing else can be checked without it")),
            damaged @ Misread::Wrong(_) => damaged,
        };
        report.check(&title, "", why, "everyone who checks this version; nothing else of it could be checked");
    }

    /// Checks the acts that are `wanted`, in the order of a publication, also after one that cannot be checked.
    async fn check(
        &self,
        record: &Record,
        text: &[u8],
        wanted: impl Fn(&Act) -> bool,
        report: &mut Report,
    ) -> Result<()> {
        let mut acts =
            acts(Some(self.version.series()), Extent::All, &self.site.environment).map_err(|why| anyhow!(why))?;
        acts.extend(INSTALLER_ACTS);
        // What is not proven is marked, so the proof comes first.
        acts.sort_by_key(|act| (*act != Act::Signature, act.wave()));
        for act in acts.into_iter().filter(wanted) {
            if let Some(Follows::Series(series)) = act.follows().filter(|_| self.is_public()) {
                // Of another series than the one that the newest release has, only a listing tells which is the newest.
                if self.live_series() != Some(series) {
                    let why = "is not checked: a public address does not say which is the newest of its series";
                    report.note(&self.title(&act), why);
                    continue;
                }
            }
            let checked = self.silent.ask(&act, async || self.check_act(&act, record, text, report).await).await;
            if let Err(error) = checked {
                report.unknown(&self.title(&act), &error);
            }
        }
        Ok(())
    }

    async fn check_act(&self, act: &Act, record: &Record, text: &[u8], report: &mut Report) -> Result<()> {
        match act {
            Act::VersionDirectory => self.check_version_directory(record, text, report).await,
            Act::Signature => self.check_signature(record, text, report).await,
            Act::Cache => self.check_cache(record, report).await,
            Act::Docs { docs: docs @ (Docs::Series(_) | Docs::Stable), .. } => {
                self.check_docs(act, *docs, record, report).await
            }
            Act::Docs { docs: Docs::Nightly, .. } => Ok(()),
            // A release does not change the list, and its state was reported first.
            Act::Withdraw { .. } => Ok(()),
            Act::RootManifest => self.check_root_manifest(act, record, report).await,
            Act::Branch | Act::Review => self.check_branch(record, report),
            Act::Tag => self.check_tag(record, report),
            Act::Images { target } => self.check_images(target, record, report).await,
            Act::ImageTag { target, tag } => self.check_image_tag(act, target, *tag, record, report).await,
            Act::Installers => self.check_installers(record, report).await,
            Act::InstallerSignature => self.check_installer_signature(report).await,
            Act::InstallerPointers => self.check_installer_pointers(act, report).await,
            Act::Receipt => self.check_receipt(text, report).await,
        }
    }

    /// Name of an act that could not be checked.
    fn title(&self, act: &Act) -> String {
        let layout = self.layout();
        match act {
            Act::VersionDirectory => format!("releases {}/", layout.version_directory()),
            Act::Signature => format!("releases {}/{SUMS_SIGNATURE}", layout.version_directory()),
            Act::Cache => cache::TITLE.to_owned(),
            Act::Docs { docs, .. } => format!("docs {}/", layout.docs(*docs)),
            Act::RootManifest => format!("releases {MANIFEST}"),
            Act::Branch | Act::Review => "branch".to_owned(),
            Act::Tag => format!("tag {}", self.version),
            Act::Images { target } => format!("images {target}"),
            Act::ImageTag { target, tag } => format!("image {target}:{}", tag.name(&self.version.to_string())),
            Act::Installers => format!("install {}/", layout.version_directory()),
            Act::InstallerSignature => format!("install {}", layout.installer_signature()),
            Act::InstallerPointers => format!("install {}/{}", layout.installer_pointers(), layout.installer_name("*")),
            Act::Receipt => format!("releases {}", layout.receipt()),
            Act::Withdraw { .. } => format!("releases {WITHDRAWN}"),
        }
    }

    /// Whether only public addresses are asked.
    fn is_public(&self) -> bool {
        matches!(self.sources.releases, Sides::Public(_))
    }

    /// The series of the newest stable release.
    fn live_series(&self) -> Option<Series> {
        pointers::target(Follows::NewestStable, &self.published).map(Version::series)
    }

    /// The version that an act's pointer should lead to in this environment.
    fn belongs_on(&self, act: &Act) -> Option<&Version> {
        pointers::target(act.follows()?, &self.published)
    }
}
