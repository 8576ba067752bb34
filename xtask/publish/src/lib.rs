//! Everything that publishes, or looks at what is published: plan, upload, train, verify, installer, rollback, doctor,
//! status, rehearse, world.
//!
//! A separate package because of the AWS SDK, which takes minutes to compile and is not needed for release notes. Its
//! floors are `phases` over `delivery` over `acts` over `site` over `tools` over `domain`, and each of them may use
//! `xtask`'s.

pub mod acts;
pub mod delivery;
pub mod domain;
pub mod phases;
pub mod site;
pub mod tools;
