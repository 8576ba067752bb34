//! The part of the release tool that speaks to the world outside: plan, upload, verify, rehearse.
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
