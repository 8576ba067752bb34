//! A publication: the list of acts that bring a release to an environment, and their order.
//!
//! One list, three readers: `plan` shows it, `upload` applies it, `verify` checks it. Acts come in waves: contents that
//! nothing points to yet, then git, then all pointers. When everything is done, a receipt says so. A rollback records
//! what it withdraws before it moves pointers. What is seen of an act is judged in
//! [`crate::domain::publication::judgement`] and shown in [`crate::domain::publication::plan`].

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use xtask::domain::environment::image_target::ImageTarget;
use xtask::domain::environment::{Environment, GitTarget};
use xtask::domain::extent::Extent;
use xtask::domain::layout::{Docs, Layout, MANIFEST, SUMS_SIGNATURE, WITHDRAWN};
use xtask::domain::product::Product;
use xtask::domain::release::Release;
use xtask::domain::version::{Series, Version};

use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::image_tag::ImageTag;
use crate::domain::publication::pointers::Follows;

/// What is published: an official release, or the manual of a tree between releases.
#[derive(Debug, Clone)]
pub enum Subject {
    Official(Box<Release>),
    /// Only its manual is published, as the docs `nightly`.
    Nightly {
        product: Arc<Product>,
        version: String,
    },
}

/// One step of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// `lix/lix-VERSION/` in the releases bucket, object by object.
    VersionDirectory,
    /// `SHA256SUMS.sig` beside the sums, and `VERIFY.md`, which says how anyone checks it.
    Signature,
    /// The closures of the builds and their derivations, in the cache bucket.
    Cache,
    /// A manual in the docs bucket; `deletes` the pages that only the bucket has.
    Docs { docs: Docs, deletes: bool },
    /// The release branch, on a plain git remote.
    Branch,
    /// The release's commits, pushed to Gerrit for review.
    Review,
    /// The tag, on the git remote.
    Tag,
    /// `manifest.nix` at the root of the releases bucket.
    RootManifest,
    /// The container images, by digest: no tag points to them yet.
    Images { target: ImageTarget },
    /// A tag of the container images.
    ImageTag { target: ImageTarget, tag: ImageTag },
    /// The installers, in the version directory of the install bucket.
    Installers,
    /// The signature beside the record of the installers, in the same directory.
    InstallerSignature,
    /// The installers at the top of the install bucket.
    InstallerPointers,
    /// The record that the publication is complete, which a later environment may require.
    Receipt,
    /// The list of versions that a rollback to `to` withdraws. They stay published.
    Withdraw { to: Version },
}

/// What is pushed to a git remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    /// The release's commits, to its branch.
    Branch,
    /// The release's commits, for review.
    Review,
    Tag,
}

/// The stages of a publication, in order. Within a wave, acts are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Wave {
    /// Nothing points to these yet.
    Contents,
    Git,
    /// Keeps uploads from moving pointers forward again while a rollback moves them back, and afterwards.
    Withdrawal,
    /// What users follow.
    Pointers,
    /// The record that everything else is done.
    Receipt,
}

impl Wave {
    pub const ALL: [Wave; 5] = [Wave::Contents, Wave::Git, Wave::Withdrawal, Wave::Pointers, Wave::Receipt];
}

impl fmt::Display for Wave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Wave::Contents => "contents",
            Wave::Git => "git",
            Wave::Withdrawal => "withdrawal",
            Wave::Pointers => "pointers",
            Wave::Receipt => "receipt",
        })
    }
}

/// Whether an act may replace what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Published once, and never changed.
    WriteOnce,
    Movable,
}

/// The target of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Bucket(Bucket),
    /// The git remote, with what is pushed to it.
    Remote(Push),
    /// A registry of container images, or a directory in its place.
    Registry,
}

/// The properties of an act that are known without looking at its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    pub wave: Wave,
    pub channel: Channel,
    pub rule: Rule,
    /// What the act's pointer follows, if it moves one.
    pub follows: Option<Follows>,
}

impl Subject {
    /// Series of the release; `None` for a nightly.
    pub fn series(&self) -> Option<Series> {
        match self {
            Subject::Official(release) => Some(release.series()),
            Subject::Nightly { .. } => None,
        }
    }

    pub fn product(&self) -> &Product {
        match self {
            Subject::Official(release) => release.product(),
            Subject::Nightly { product, .. } => product,
        }
    }

    /// Names of the release's artifacts.
    pub fn layout(&self) -> Layout {
        match self {
            Subject::Official(release) => release.layout(),
            Subject::Nightly { product, version } => Layout::new(product, version),
        }
    }
}

/// Lists the acts of a publication, wave by wave; `series` is `None` if it is not an official release.
///
/// # Errors
/// A tree that is not an official release can publish nothing but its manual.
pub fn acts(series: Option<Series>, extent: Extent, environment: &Environment) -> Result<Vec<Act>, String> {
    let series = match (series, extent) {
        (Some(series), _) => series,
        (None, Extent::Manual) => return Ok(vec![manual(Docs::Nightly)]),
        (None, Extent::All) => {
            return Err(
                "this is not an official release: only its manual may be published, with `--target manual`".to_owned()
            );
        }
    };
    if extent == Extent::Manual {
        return Ok(vec![manual(Docs::Series(series)), manual(Docs::Stable)]);
    }
    let branch = match environment.git {
        GitTarget::Directory { .. } | GitTarget::Plain { .. } => Act::Branch,
        GitTarget::Gerrit { .. } => Act::Review,
    };
    let targets = || environment.images.targets.iter();
    let images = targets().map(|target| Act::Images { target: target.clone() });
    let tags = [ImageTag::Version, ImageTag::Series(series), ImageTag::Latest];
    let tagged = tags.map(|tag| targets().map(move |target| Act::ImageTag { target: target.clone(), tag }));

    let mut acts = vec![Act::VersionDirectory, Act::Signature, Act::Cache, manual(Docs::Series(series))];
    acts.extend(images);
    acts.extend([branch, Act::Tag, Act::RootManifest, manual(Docs::Stable)]);
    acts.extend(tagged.into_iter().flatten());
    acts.push(Act::Receipt);
    Ok(acts)
}

/// A manual that replaces whatever was there.
fn manual(docs: Docs) -> Act {
    Act::Docs { docs, deletes: true }
}

/// The acts that publish a release's installers, which are built elsewhere and later.
pub const INSTALLER_ACTS: [Act; 3] = [Act::Installers, Act::InstallerSignature, Act::InstallerPointers];

impl Act {
    /// Returns the act's properties, one line for each kind. Looking, judging and changing are elsewhere.
    pub fn traits(&self) -> Traits {
        use Rule::{Movable, WriteOnce};
        let newest = Some(Follows::NewestStable);
        let (wave, channel, rule, follows) = match self {
            Act::VersionDirectory => (Wave::Contents, Channel::Bucket(Bucket::Releases), WriteOnce, None),
            Act::Signature => (Wave::Contents, Channel::Bucket(Bucket::Releases), WriteOnce, None),
            Act::Cache => (Wave::Contents, Channel::Bucket(Bucket::Cache), WriteOnce, None),
            Act::Docs { docs: Docs::Series(series), .. } => {
                (Wave::Contents, Channel::Bucket(Bucket::Docs), Movable, Some(Follows::Series(*series)))
            }
            Act::Docs { docs: Docs::Stable, .. } => (Wave::Pointers, Channel::Bucket(Bucket::Docs), Movable, newest),
            Act::Docs { docs: Docs::Nightly, .. } => (Wave::Pointers, Channel::Bucket(Bucket::Docs), Movable, None),
            Act::Images { .. } => (Wave::Contents, Channel::Registry, WriteOnce, None),
            Act::Installers | Act::InstallerSignature => {
                (Wave::Contents, Channel::Bucket(Bucket::Install), WriteOnce, None)
            }
            Act::Branch => (Wave::Git, Channel::Remote(Push::Branch), Movable, None),
            Act::Review => (Wave::Git, Channel::Remote(Push::Review), Movable, None),
            Act::Tag => (Wave::Git, Channel::Remote(Push::Tag), WriteOnce, None),
            Act::Withdraw { .. } => (Wave::Withdrawal, Channel::Bucket(Bucket::Releases), Movable, None),
            Act::RootManifest => (Wave::Pointers, Channel::Bucket(Bucket::Releases), Movable, newest),
            Act::InstallerPointers => (Wave::Pointers, Channel::Bucket(Bucket::Install), Movable, newest),
            Act::ImageTag { tag: ImageTag::Version, .. } => (Wave::Pointers, Channel::Registry, WriteOnce, None),
            Act::ImageTag { tag: tag @ (ImageTag::Series(_) | ImageTag::Latest), .. } => {
                (Wave::Pointers, Channel::Registry, Movable, tag.follows())
            }
            Act::Receipt => (Wave::Receipt, Channel::Bucket(Bucket::Releases), Movable, None),
        };
        Traits { wave, channel, rule, follows }
    }

    pub fn wave(&self) -> Wave {
        self.traits().wave
    }

    pub fn rule(&self) -> Rule {
        self.traits().rule
    }

    /// What the act's pointer follows, if it moves one: see [`crate::domain::publication::pointers`].
    pub fn follows(&self) -> Option<Follows> {
        self.traits().follows
    }

    /// The bucket that the act writes to, if any.
    pub fn bucket(&self) -> Option<Bucket> {
        if let Channel::Bucket(bucket) = self.traits().channel { Some(bucket) } else { None }
    }

    /// What the act pushes to the git remote, if anything.
    pub fn push(&self) -> Option<Push> {
        if let Channel::Remote(push) = self.traits().channel { Some(push) } else { None }
    }

    /// Whether the act needs credentials for the registries.
    pub fn is_of_images(&self) -> bool {
        self.traits().channel == Channel::Registry
    }

    /// Whether the act needs the environment's signing key.
    pub fn is_signed(&self) -> bool {
        match self {
            Act::Signature | Act::Cache | Act::InstallerSignature | Act::Receipt | Act::Withdraw { .. } => true,
            Act::VersionDirectory
            | Act::Docs { .. }
            | Act::Branch
            | Act::Review
            | Act::Tag
            | Act::RootManifest
            | Act::Images { .. }
            | Act::ImageTag { .. }
            | Act::Installers
            | Act::InstallerPointers => false,
        }
    }

    /// Name of the act in plans and reports.
    pub fn title(&self, subject: &Subject) -> String {
        let layout = subject.layout();
        let (version, branch) = match subject {
            Subject::Official(release) => (release.version().to_string(), release.release_branch()),
            Subject::Nightly { version, .. } => (version.clone(), format!("of {version}")),
        };
        match self {
            Act::Docs { docs, .. } => format!("docs {}/", layout.docs(*docs)),
            Act::Cache => "cache closures".to_owned(),
            Act::RootManifest => format!("releases {MANIFEST}"),
            Act::VersionDirectory => format!("releases {}/", layout.version_directory()),
            Act::Signature => format!("releases {}/{SUMS_SIGNATURE}", layout.version_directory()),
            Act::Installers => format!("install {}/", layout.version_directory()),
            Act::InstallerSignature => format!("install {}", layout.installer_signature()),
            Act::InstallerPointers => format!("install {}/{}", layout.installer_pointers(), layout.installer_name("*")),
            Act::Receipt => format!("releases {}", layout.receipt()),
            Act::Branch => format!("branch {}", branch),
            Act::Review => format!("review for {}", branch),
            Act::Tag => format!("tag {version}"),
            Act::Withdraw { .. } => format!("releases {WITHDRAWN}"),
            Act::Images { target } => format!("images {target}"),
            Act::ImageTag { target, tag } => format!("image {target}:{}", tag.name(&version)),
        }
    }
}
