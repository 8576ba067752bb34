//! How much of a release is built or published.

use crate::shown::excerpt;
use std::fmt;
use std::str::FromStr;

/// All of a release, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    All,
    /// The manual alone, for a nightly job or a repair.
    Manual,
}

impl Extent {
    pub const EVERY: [Extent; 2] = [Extent::All, Extent::Manual];

    /// Returns the word after `--target`.
    pub fn name(self) -> &'static str {
        match self {
            Extent::All => "all",
            Extent::Manual => "manual",
        }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Extent {
    type Err = String;

    fn from_str(text: &str) -> Result<Extent, String> {
        let found = Extent::EVERY.into_iter().find(|extent| extent.name() == text);
        found.ok_or_else(|| format!("`{}` is neither `all` nor `manual`", excerpt(text)))
    }
}
