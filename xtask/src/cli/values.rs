//! Values that several commands take, with their help.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::domain::extent::Extent;
use crate::domain::profile::Profile;
use crate::domain::release::check::Check;

/// The checks, with their help.
pub fn check() -> impl TypedValueParser<Value = Check> {
    let help = |check| match check {
        Check::Source => "The source archive is the tag's tree",
        Check::Tarballs => "Each binary tarball installs what the manifest names",
        Check::Images => "Each container image is complete and for its platform",
        Check::Manual => "Links lead somewhere, and the manual tells of the release",
        Check::Outputs => "The store has what was recorded",
        Check::Jobs => "The flake's own checks build",
        Check::Smoke => "What was built runs in an empty store",
        Check::Growth => "Nothing has grown much",
        Check::Blockers => "No open issue blocks the release",
        Check::Post => "The announcement is ready",
        Check::Rebuild => "Building again gives the same bytes; takes as long as the build",
    };
    let values = Check::EVERY.map(|check| PossibleValue::new(check.name()).help(help(check)));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Check>())
}

/// The profiles, with their help.
pub fn profile() -> impl TypedValueParser<Value = Profile> {
    let help = |profile| match profile {
        Profile::All => "All systems",
        Profile::X86_64LinuxOnly => "What one machine can build; for testing",
    };
    let values = Profile::EVERY.map(|profile| PossibleValue::new(profile.name()).help(help(profile)));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Profile>())
}

/// How much is built or published, with help.
pub fn extent() -> impl TypedValueParser<Value = Extent> {
    let help = |extent| match extent {
        Extent::All => "Everything",
        Extent::Manual => "The manual alone; the rest stays as it is",
    };
    let values = Extent::EVERY.map(|extent| PossibleValue::new(extent.name()).help(help(extent)));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Extent>())
}
