//! The part of the release tool that speaks to the world outside: plan, upload, verify, rehearse.
//!
//! A package of its own because of the AWS SDK, which takes minutes to compile: whoever only renders release notes
//! never does. The floors are those of `xtask`, on which this stands: `phases` over `tools` over `domain`, which
//! stands on `xtask`'s.

pub mod acts;
pub mod delivery;
pub mod domain;
pub mod phases;
pub mod site;
pub mod tools;
