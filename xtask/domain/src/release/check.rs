//! The checks that prove a release before users get it, by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A check of what was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The source archive equals the tag's tree.
    Source,
    /// Each binary tarball installs what the manifest names, for its system.
    Tarballs,
    /// Each image has the layers and the program that its configuration names.
    Images,
    /// Links in the manual lead somewhere, and it tells of the release.
    Manual,
    /// The store has what the record names, no output is empty, and the bills of materials are of them.
    Outputs,
    /// The flake's own checks build.
    Jobs,
    /// What was built is installed in an empty store and run.
    Smoke,
    /// Nothing has grown much since the release before.
    Growth,
    /// No open issue blocks the release.
    Blockers,
    /// The announcement is ready.
    Post,
    /// Building everything again gives the same bytes.
    Rebuild,
}

impl Check {
    /// Every check, in the order in which they are shown.
    pub const EVERY: [Check; 11] = [
        Check::Source,
        Check::Tarballs,
        Check::Images,
        Check::Manual,
        Check::Outputs,
        Check::Jobs,
        Check::Smoke,
        Check::Growth,
        Check::Blockers,
        Check::Post,
        Check::Rebuild,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Check::Source => "source",
            Check::Tarballs => "tarballs",
            Check::Images => "images",
            Check::Manual => "manual",
            Check::Outputs => "outputs",
            Check::Jobs => "jobs",
            Check::Smoke => "smoke",
            Check::Growth => "growth",
            Check::Blockers => "blockers",
            Check::Post => "post",
            Check::Rebuild => "rebuild",
        }
    }

    /// Whether an environment that requires checks requires this one. Building again takes as long as the build.
    pub fn is_required(self) -> bool {
        self != Check::Rebuild
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Check {
    type Err = String;

    /// # Errors
    /// There is no such check.
    fn from_str(name: &str) -> Result<Check, String> {
        let known = || Check::EVERY.map(Check::name).join(", ");
        Check::EVERY
            .into_iter()
            .find(|check| check.name() == name)
            .ok_or_else(|| format!("expected one of {}", known()))
    }
}
