//! The tags that lead to a release's images, and what was seen of images that are pushed by digest.

use xtask::domain::digest::Digest;
use xtask::domain::version::Series;

use super::pointers::Follows;

/// A name that leads to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageTag {
    /// The release's own.
    Version,
    Series(Series),
    Latest,
}

impl ImageTag {
    /// What it follows; `None` if it never moves.
    pub fn follows(self) -> Option<Follows> {
        match self {
            ImageTag::Version => None,
            ImageTag::Series(series) => Some(Follows::Series(series)),
            ImageTag::Latest => Some(Follows::NewestStable),
        }
    }

    /// As it is written behind the colon, for a version.
    pub fn name(self, version: &str) -> String {
        match self {
            ImageTag::Version => version.to_owned(),
            ImageTag::Series(series) => series.to_string(),
            ImageTag::Latest => "latest".to_owned(),
        }
    }
}

/// What was seen of images that are pushed by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Of the index.
    pub index: Digest,
    /// Of everything.
    pub bytes: u64,
    /// Manifests and whatever else was asked for.
    pub parts: usize,
    /// What of that is not there, each in words with its digest.
    pub missing: Vec<String>,
}
