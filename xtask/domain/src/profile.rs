//! The profiles of a release: which of the flake's `release-jobs` are built.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// One of the flake's `release-jobs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Profile {
    /// All systems.
    All,
    /// What one machine can build; for testing.
    X86_64LinuxOnly,
}

impl Profile {
    pub const EVERY: [Profile; 2] = [Profile::All, Profile::X86_64LinuxOnly];

    /// Returns the attribute below `release-jobs`.
    pub fn name(self) -> &'static str {
        match self {
            Profile::All => "all",
            Profile::X86_64LinuxOnly => "x86_64-linux-only",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Profile, String> {
        let found = Profile::EVERY.into_iter().find(|profile| profile.name() == text);
        found.ok_or_else(|| {
            let known = Profile::EVERY.map(Profile::name).join(" and ");
            format!("there is no profile `{}`: known profiles are {known}", text.escape_debug())
        })
    }
}

impl TryFrom<String> for Profile {
    type Error = String;

    fn try_from(text: String) -> Result<Profile, String> {
        text.parse()
    }
}
