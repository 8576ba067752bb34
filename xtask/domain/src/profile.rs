//! The profiles of a release: which of the flake's `release-jobs` are built.

use std::fmt;
use std::str::FromStr;

use crate::shown::excerpt;
use serde::{Deserialize, Serialize};

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
            format!("there is no profile `{}`: known profiles are {known}", excerpt(text))
        })
    }
}

impl TryFrom<String> for Profile {
    type Error = String;

    fn try_from(text: String) -> Result<Profile, String> {
        text.parse()
    }
}

/// The profile of a build, as its record names it. A newer tool may have profiles that this one does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum BuiltProfile {
    Known(Profile),
    Unknown(String),
}

impl BuiltProfile {
    /// Whether the profile is one of those that are accepted.
    pub fn is_among(&self, accepted: &[Profile]) -> bool {
        matches!(self, BuiltProfile::Known(profile) if accepted.contains(profile))
    }
}

impl From<String> for BuiltProfile {
    fn from(name: String) -> BuiltProfile {
        name.parse().map_or(BuiltProfile::Unknown(name), BuiltProfile::Known)
    }
}

impl From<BuiltProfile> for String {
    fn from(profile: BuiltProfile) -> String {
        profile.to_string()
    }
}

impl fmt::Display for BuiltProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuiltProfile::Known(profile) => profile.fmt(f),
            BuiltProfile::Unknown(name) => f.pad(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_of_a_newer_tool_is_kept_and_accepted_nowhere() {
        for (name, is_accepted) in [("all", true), ("x86_64-linux-only", true), ("riscv64-only", false)] {
            let json = serde_json::json!(name);
            let profile: BuiltProfile = serde_json::from_value(json.clone()).expect("any name is read");
            assert_eq!(profile.is_among(&Profile::EVERY), is_accepted, "{name}");
            assert!(!profile.is_among(&[]), "{name}");
            assert_eq!(profile.to_string(), name);
            assert_eq!(serde_json::to_value(profile).expect("a string"), json);
        }
    }
}
