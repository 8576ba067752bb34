//! Values that several commands take, with their help.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::domain::extent::Extent;
use crate::domain::profile::Profile;

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
