//! The tags of a release's images, and what was seen of images that are pushed by digest.

use xtask::domain::digest::Digest;
use xtask::domain::version::Series;

use super::pointers::Follows;

/// A tag of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageTag {
    /// The version itself, as in `2.95.0`.
    Version,
    Series(Series),
    Latest,
}

impl ImageTag {
    /// What the tag follows; `None` if it never moves.
    pub fn follows(self) -> Option<Follows> {
        match self {
            ImageTag::Version => None,
            ImageTag::Series(series) => Some(Follows::Series(series)),
            ImageTag::Latest => Some(Follows::NewestStable),
        }
    }

    /// Text of the tag, after the colon, for a release of this version.
    pub fn name(self, version: &str) -> String {
        match self {
            ImageTag::Version => version.to_owned(),
            ImageTag::Series(series) => series.to_string(),
            ImageTag::Latest => "latest".to_owned(),
        }
    }
}

/// What a registry was seen to have of images that are pushed by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Digest of the index.
    pub index: Digest,
    /// Total size of all blobs in bytes.
    pub bytes: u64,
    /// Number of manifests and configurations that were looked for.
    pub parts: usize,
    /// Parts that the registry does not have, each described with its digest.
    pub missing: Vec<String>,
}
