//! The container images: what the record names must be complete, and the tags must point to it.

use anyhow::Result;
use xtask::domain::build::record::{ImageRecord, Record};
use xtask::domain::environment::image_target::ImageTarget;

use super::{Report, View, is_of};
use crate::domain::publication::acts::Act;
use crate::domain::publication::image_tag::ImageTag;
use crate::domain::publication::receipt::Missing;
use crate::tools::images::Found;

impl View<'_> {
    pub(super) async fn check_images(&self, target: &ImageTarget, record: &Record, report: &mut Report) -> Result<()> {
        let title = format!("images {target}");
        let Some(ImageRecord { digest: index, platforms: recorded }) = &record.image else {
            report.note(&title, "the record of this version has no images");
            return Ok(());
        };
        let images = self.site.images(target);
        let Found { platforms, missing, .. } = images.find(*index).await?;
        let mut broken: Vec<String> = missing.into_iter().map(|part| format!("{part} is missing")).collect();
        if broken.is_empty() && platforms != *recorded {
            broken.push("it has images for platforms other than the record's".to_owned());
        }
        // Do not download if something is known to be missing.
        if broken.is_empty()
            && self.deep
            && let Err(error) = images.download(*index).await
        {
            broken.push(format!("it cannot be downloaded: {error:#}"));
        }
        let platforms = platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        report.check(&title, &format!("{} for {platforms}", index.short()), broken, "users who pull this version");
        Ok(())
    }

    pub(super) async fn check_image_tag(
        &self,
        act: &Act,
        target: &ImageTarget,
        tag: ImageTag,
        record: &Record,
        report: &mut Report,
    ) -> Result<()> {
        let belongs = match tag {
            ImageTag::Version => &self.version,
            ImageTag::Series(_) | ImageTag::Latest => match self.belongs_on(act) {
                Some(target) => target,
                None => return Ok(()),
            },
        };
        let name = tag.name(&self.version.to_string());
        let title = format!("image {target}:{name}");
        let other = if *belongs == self.version {
            record.clone()
        } else {
            match self.record_to_follow(belongs, &title, report).await? {
                Some(other) => other,
                None => return Ok(()),
            }
        };
        let missing = if *belongs == self.version { Vec::new() } else { self.missing(belongs).await? };
        if let Some(Missing { why, .. }) = missing.iter().find(|missing| is_of(act, missing)) {
            report.note(&title, &format!("should lead to {belongs}, which was published without it: {why}"));
            return Ok(());
        }
        let Some(ImageRecord { digest: index, .. }) = &other.image else {
            report.note(&title, &format!("should lead to {belongs}, which has no record of images to compare with"));
            return Ok(());
        };
        let broken = match self.site.images(target).tagged(&name).await? {
            None => vec![format!("it is missing, and should lead to {belongs}")],
            Some(there) if there == *index => Vec::new(),
            Some(there) => vec![format!("it points to {}, but {belongs} is {}", there.oci(), index.oci())],
        };
        report.check(&title, &format!("is on {belongs}"), broken, &format!("users who pull {target}:{name}"));
        Ok(())
    }
}
