//! Container images by digest, and the tags that point to them.

use anyhow::Result;
use xtask::domain::environment::image_target::ImageTarget;
use xtask::tools::term;

use super::delivery::Delivery;
use crate::domain::publication::image_tag::{ImageTag, Pushed};
use crate::domain::publication::judgement::Seen;
use crate::site::Site;
use crate::site::built::BuiltImages;
use crate::tools::images::Found;
use crate::tools::skopeo;

/// Images to push to a target.
pub struct Prospect<'a> {
    site: &'a Site,
    built: &'a BuiltImages,
    target: ImageTarget,
    pub(super) seen: Seen,
}

/// A tag to move in a target.
pub struct TagProspect<'a> {
    site: &'a Site,
    built: &'a BuiltImages,
    target: ImageTarget,
    name: String,
    pub(super) seen: Seen,
}

/// Looks at the images in a target.
///
/// # Errors
/// The target gives no clear answer.
pub async fn look<'a>(delivery: &'a Delivery<'_>, target: &ImageTarget) -> Result<Prospect<'a>> {
    let (site, built) = (delivery.site, delivery.built.images()?);
    let found = match site.images(target).find(built.index).await {
        // Registries answer this if the repository does not exist yet.
        Err(error) if skopeo::is_denied(&error) => {
            term::warn(format_args!(
                "{target} does not let us look for the images, perhaps because the repository does not exist yet; \
                 the push will show"
            ));
            let all = "all images, because the registry does not let us look for them".to_owned();
            Found { missing: vec![all], ..Found::default() }
        }
        found => found?,
    };
    let Found { parts, missing, .. } = found;
    let seen = Pushed { index: built.index, bytes: built.bytes, parts: parts + missing.len(), missing };
    Ok(Prospect { site, built, target: target.clone(), seen: Seen::Images(seen) })
}

/// Looks at a tag in a target.
///
/// # Errors
/// The target gives no clear answer.
pub async fn look_at_tag<'a>(
    delivery: &'a Delivery<'_>,
    target: &ImageTarget,
    tag: ImageTag,
) -> Result<TagProspect<'a>> {
    let (site, built) = (delivery.site, delivery.built.images()?);
    let name = tag.name(&delivery.built.record.version);
    let _turn = site.tagging.lock().await;
    let (images, ours) = (site.images(target), built.index);
    let there = match images.tagged(&name).await {
        // If nothing can be read, perhaps the repository does not exist yet. After the push, the tag can be read.
        Err(error) if skopeo::is_denied(&error) => match images.find(ours).await {
            Err(all) if skopeo::is_denied(&all) => None,
            _ => return Err(error),
        },
        there => there?,
    };
    Ok(TagProspect { site, built, target: target.clone(), name, seen: Seen::ImageTag { ours, there } })
}

impl Prospect<'_> {
    pub(super) async fn apply(&self) -> Result<()> {
        let BuiltImages { layout, name, index, .. } = self.built;
        self.site.images(&self.target).push(layout, name, *index).await
    }
}

impl TagProspect<'_> {
    pub(super) async fn apply(&self) -> Result<()> {
        let _turn = self.site.tagging.lock().await;
        self.site.images(&self.target).tag(self.built.index, &self.name).await
    }
}
