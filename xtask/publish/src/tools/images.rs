//! A registry or a directory with container images: looking at images and tags, and pushing them.
//!
//! Everything is addressed by its digest, so whatever is there has the right content. Which images and tags there
//! should be is decided in `acts`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use camino::Utf8Path;
use xtask::domain::build::image::{Descriptor, Index, OciManifest};
use xtask::domain::digest::Digest;
use xtask::domain::environment::image_target::ImageTarget;
use xtask::domain::system::Platform;
use xtask::tools::files;
use xtask::tools::scratch_dir::ScratchDir;

use super::oci::OciDirectory;
use super::skopeo::{Part, Skopeo};

/// Time that a registry has to show what it accepted.
const PATIENCE: Duration = Duration::from_secs(90);
/// First pause between two looks, doubled each time.
const PAUSE: Duration = Duration::from_millis(500);

/// A place for images.
#[derive(Debug, Clone)]
pub enum Images {
    Registry { skopeo: Skopeo, patience: Duration },
    Directory(OciDirectory),
}

/// What was found of an index and its images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Platforms that the index names.
    pub platforms: Vec<Platform>,
    /// Number of parts that are there.
    pub parts: usize,
    /// Parts that are missing, each described with its digest.
    pub missing: Vec<String>,
    /// Digests of everything below the index, and of the index itself.
    pub blobs: BTreeSet<Digest>,
}

impl Images {
    /// Opens a target; the path of a directory is relative to `tree`.
    pub fn new(target: &ImageTarget, tree: &Utf8Path, tls_verify: bool) -> Images {
        match target {
            ImageTarget::Registry { repository } => {
                Images::Registry { skopeo: Skopeo::new(repository, tls_verify), patience: PATIENCE }
            }
            ImageTarget::Directory { path } => Images::Directory(OciDirectory::new(tree.join(path))),
        }
    }

    /// Sets the time that a registry has to show what it accepted.
    pub fn patient(self, patience: Duration) -> Images {
        match self {
            Images::Registry { skopeo, .. } => Images::Registry { skopeo, patience },
            Images::Directory(layout) => Images::Directory(layout),
        }
    }

    /// Returns the digest that a tag points to; `None` if the tag does not exist.
    ///
    /// # Errors
    /// The registry or directory gives no clear answer.
    pub async fn tagged(&self, tag: &str) -> Result<Option<Digest>> {
        match self {
            Images::Registry { skopeo, .. } => {
                Ok(skopeo.tagged(tag).await?.map(|bytes| files::digest_of(&bytes).sha256))
            }
            Images::Directory(layout) => layout.named(tag),
        }
    }

    /// Looks for the index, each image's manifest and configuration and, in a directory, every blob.
    ///
    /// # Errors
    /// The registry or directory gives no clear answer, or has something that is not in OCI's format.
    pub async fn find(&self, index: Digest) -> Result<Found> {
        let mut found = Found { blobs: BTreeSet::from([index]), ..Found::default() };
        let Some(bytes) = self.read(index, Part::Manifest).await? else {
            found.missing.push(format!("the index {}", index.oci()));
            return Ok(found);
        };
        found.parts += 1;
        for image in Index::parse(&bytes).map_err(|why| anyhow!("{} {why}", index.oci()))?.manifests {
            let platform =
                image.platform.clone().with_context(|| format!("{} names no platform", image.digest.oci()))?;
            self.find_image(&image, &platform, &mut found).await?;
            found.platforms.push(platform);
        }
        Ok(found)
    }

    async fn find_image(&self, image: &Descriptor, platform: &Platform, found: &mut Found) -> Result<()> {
        let digest = image.digest;
        found.blobs.insert(digest);
        let Some(bytes) = self.read(digest, Part::Manifest).await? else {
            found.missing.push(format!("the manifest of {platform}, {}", digest.oci()));
            return Ok(());
        };
        found.parts += 1;
        let manifest: OciManifest = OciManifest::parse(&bytes).map_err(|why| anyhow!("{} {why}", digest.oci()))?;
        let config = manifest.config.digest;
        found.blobs.extend(manifest.layers.iter().map(|layer| layer.digest).chain([config]));
        let there = match self {
            Images::Registry { skopeo, .. } => skopeo.read(digest, Part::Config).await?.is_some(),
            Images::Directory(layout) => layout.holds(config, manifest.config.size).await?,
        };
        found.note(there, || format!("the configuration of {platform}, {}", config.oci()));
        if let Images::Directory(layout) = self {
            for layer in &manifest.layers {
                let there = layout.holds(layer.digest, layer.size).await?;
                found.note(there, || format!("a layer of {platform}, {}", layer.digest.oci()));
            }
        }
        Ok(())
    }

    /// Reads the bytes with a digest; `None` if they are missing or differ.
    async fn read(&self, digest: Digest, part: Part) -> Result<Option<Vec<u8>>> {
        match self {
            Images::Registry { skopeo, .. } => {
                let bytes = skopeo.read(digest, part).await?;
                Ok(bytes.filter(|bytes| files::digest_of(bytes).sha256 == digest))
            }
            Images::Directory(layout) => layout.read(digest),
        }
    }

    /// Downloads everything below an index, to prove that it is possible.
    ///
    /// # Errors
    /// A part is missing or damaged.
    pub async fn download(&self, index: Digest) -> Result<()> {
        let Images::Registry { skopeo, .. } = self else {
            // `find` has already read every blob.
            return Ok(());
        };
        let scratch = ScratchDir::new()?;
        skopeo.download(index, scratch.path()).await
    }

    /// Pushes all images of an OCI directory, and waits until they are visible.
    ///
    /// # Errors
    /// The images are refused, or do not become visible.
    pub async fn push(&self, built: &OciDirectory, name: &str, index: Digest) -> Result<()> {
        match self {
            Images::Registry { skopeo, .. } => {
                skopeo.push(built.dir(), name, index).await?;
                self.wait_for(&index.oci(), async || {
                    let found = self.find(index).await?;
                    Ok((!found.missing.is_empty()).then(|| format!("it is missing {}", found.missing.join(", "))))
                })
                .await
            }
            Images::Directory(layout) => layout.take_from(built).await,
        }
    }

    /// Points a tag to an index that was pushed, and waits until that is visible.
    ///
    /// # Errors
    /// As for [`Images::push`].
    pub async fn tag(&self, index: Digest, tag: &str) -> Result<()> {
        match self {
            Images::Registry { skopeo, .. } => {
                skopeo.tag(index, tag).await?;
                self.wait_for(&format!("the tag {tag}"), async || {
                    Ok(match self.tagged(tag).await? {
                        Some(there) if there == index => None,
                        Some(there) => Some(format!("it points to {}", there.oci())),
                        None => Some("there is no such tag".to_owned()),
                    })
                })
                .await
            }
            Images::Directory(layout) => layout.name(tag, index),
        }
    }

    /// Waits until a registry shows what it accepted. `look` describes what is still wrong.
    async fn wait_for(&self, what: &str, look: impl AsyncFn() -> Result<Option<String>>) -> Result<()> {
        let Images::Registry { skopeo, patience } = self else { return Ok(()) };
        let (start, mut pause) = (Instant::now(), PAUSE);
        loop {
            let wrong = match look().await {
                Ok(None) => return Ok(()),
                Ok(Some(wrong)) => wrong,
                Err(error) => format!("{error:#}"),
            };
            if start.elapsed() + pause > *patience {
                let (registry, seconds) = (skopeo.registry(), patience.as_secs());
                bail!("{registry} accepted {what}, but does not show it {seconds} s later: {wrong}");
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// Asks a registry once, and not for long, whether it answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn answers(&self) -> Result<()> {
        match self {
            Images::Registry { skopeo, .. } => skopeo.answers().await,
            Images::Directory(_) => Ok(()),
        }
    }

    /// Checks that we may push, as far as that can be checked without pushing.
    ///
    /// # Errors
    /// The message says what to type.
    pub async fn check_login(&self) -> Result<()> {
        match self {
            Images::Registry { skopeo, .. } => skopeo.check_login().await,
            Images::Directory(_) => Ok(()),
        }
    }
}

impl Found {
    fn note(&mut self, there: bool, what: impl Fn() -> String) {
        if there { self.parts += 1 } else { self.missing.push(what()) }
    }
}
