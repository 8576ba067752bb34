//! The profiles of a release: which of the flake's `release-jobs` are built.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use serde::Deserialize;

/// Which of the flake's `release-jobs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(try_from = "String")]
pub enum Profile {
    /// All systems
    All,
    /// What one machine can build; for testing
    #[value(name = "x86_64-linux-only")]
    X86_64LinuxOnly,
}

impl Profile {
    pub const EVERY: [Profile; 2] = [Profile::All, Profile::X86_64LinuxOnly];
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Profile::All => "all",
            Profile::X86_64LinuxOnly => "x86_64-linux-only",
        })
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Profile, String> {
        let found = Profile::EVERY.into_iter().find(|profile| profile.to_string() == text);
        found.ok_or_else(|| {
            let known = Profile::EVERY.map(|profile| profile.to_string()).join(" and ");
            format!("there is no profile `{}`: known are {known}", text.escape_debug())
        })
    }
}

impl TryFrom<String> for Profile {
    type Error = String;

    fn try_from(text: String) -> Result<Profile, String> {
        text.parse()
    }
}
