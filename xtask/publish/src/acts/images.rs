//! The acts of container images: looking at them, bringing them about, and what has to be known before.

use anyhow::{Context, Result, anyhow};
use xtask::domain::build::record::Record;
use xtask::domain::digest::Digest;
use xtask::domain::environment::image_target::ImageTarget;
use xtask::domain::problem::{Problem, Problems};
use xtask::tools::term;

use crate::delivery::train::Session;
use crate::domain::publication::image_tag::{ImageTag, Pushed};
use crate::domain::publication::judgement::Seen;
use crate::tools::images::{Found, Images};
use crate::tools::oci::Layout;
use crate::tools::skopeo;

/// The images that were built: an OCI layout that is whole, with one index.
pub struct BuiltImages {
    pub layout: Layout,
    /// What the layout calls the index.
    pub name: String,
    pub index: Digest,
    /// Of everything.
    pub bytes: u64,
}

impl BuiltImages {
    /// Images that are published already: only what names them is at hand.
    ///
    /// # Errors
    /// The record's digest makes no sense.
    pub fn published(record: &Record) -> Result<BuiltImages> {
        let image = record.image.as_ref().context("the record has no images")?;
        let index = Digest::from_oci(&image.digest).map_err(|why| anyhow!("the record's image: {why}"))?;
        let layout = Layout::new(Default::default());
        Ok(BuiltImages { layout, name: record.version.clone(), index, bytes: 0 })
    }

    /// Reads every blob.
    ///
    /// # Errors
    /// The layout cannot be read, or everything in it that is not as the record says, at once.
    pub async fn open(layout: Layout, record: &Record) -> Result<Result<BuiltImages, Problems>> {
        let mut problems = Problems::default();
        let dir = layout.dir().to_owned();
        let Some(image) = &record.image else {
            problems.push(Problem::new("the record has no images: build with `--target all`"));
            return Ok(Err(problems));
        };
        let index = Digest::from_oci(&image.digest).map_err(|why| anyhow!("the record's image: {why}"))?;
        if layout.named(&record.version)? != Some(index) {
            problems.push(Problem::new(format!("{dir} does not name {} {}", image.digest, record.version)));
        }
        let Found { platforms, missing, .. } = Images::Directory(layout.clone()).find(index).await?;
        if missing.is_empty() && platforms != image.platforms {
            problems.push(Problem::new(format!("{dir} has images for other platforms than the record")));
        }
        for part in missing {
            problems.push(Problem::new(format!("{part} is not in {dir}, or damaged there")));
        }
        let bytes = layout.bytes()?;
        Ok(problems.into_result().map(|()| BuiltImages { layout, name: record.version.clone(), index, bytes }))
    }
}

/// Looks at the images in a target.
///
/// # Errors
/// The target gives no clear answer.
pub async fn look(session: &Session<'_>, target: &ImageTarget) -> Result<Seen> {
    let built = session.sealed.images()?;
    let found = match session.world.images(target).find(built.index).await {
        // What registries answer for a repository that is not there yet.
        Err(error) if skopeo::is_denied(&error) => {
            term::warn(format_args!(
                "{target} does not let us look whether the images are there: perhaps the repository does not exist yet; \
                 the push decides"
            ));
            let all = "all images, since the registry does not let us look for them".to_owned();
            Found { missing: vec![all], ..Found::default() }
        }
        found => found?,
    };
    let Found { parts, missing, .. } = found;
    Ok(Seen::Images(Pushed { index: built.index, bytes: built.bytes, parts: parts + missing.len(), missing }))
}

/// Looks at a tag in a target.
///
/// # Errors
/// The target gives no clear answer.
pub async fn look_at_tag(session: &Session<'_>, target: &ImageTarget, tag: ImageTag) -> Result<Seen> {
    let name = tag.name(&session.sealed.record.version);
    let _turn = session.world.tagging.lock().await;
    let (images, ours) = (session.world.images(target), session.sealed.images()?.index);
    let there = match images.tagged(&name).await {
        // Where nothing at all may be read, perhaps nothing is there yet. Once the images were pushed, it can be read.
        Err(error) if skopeo::is_denied(&error) => match images.find(ours).await {
            Err(all) if skopeo::is_denied(&all) => None,
            _ => return Err(error),
        },
        there => there?,
    };
    Ok(Seen::ImageTag { ours, there })
}

/// Pushes the images to a target.
///
/// # Errors
/// The target refuses them.
pub async fn push(session: &Session<'_>, target: &ImageTarget) -> Result<()> {
    let built = session.sealed.images()?;
    session.world.images(target).push(&built.layout, &built.name, built.index).await
}

/// Moves a tag in a target.
///
/// # Errors
/// The target refuses it.
pub async fn tag(session: &Session<'_>, target: &ImageTarget, tag: ImageTag) -> Result<()> {
    let name = tag.name(&session.sealed.record.version);
    let _turn = session.world.tagging.lock().await;
    session.world.images(target).tag(session.sealed.images()?.index, &name).await
}
