//! Publishing a release: from the list of its acts to the receipt that it leaves.
//!
//! * [`acts`]: what a release, or its installers, are published by, in three waves
//! * [`judgement`]: what is to be done about an act, from what was seen of its target
//! * [`plan`]: every act with its judgement, as it is shown and agreed to
//! * [`pointers`]: which release a name that moves leads to
//! * [`receipt`]: that an environment has all of a release; what another one may require
//! * [`withdrawn`]: the versions that a rollback took users away from
//! * [`serving`]: with which headers an object is served
//! * [`image_tag`]: the tags of container images
//! * [`live_manifest`]: the root manifest, as it is found
//! * [`installer`], [`executable`]: the installers, and what a program's first bytes say of it

pub mod acts;
pub mod executable;
pub mod image_tag;
pub mod installer;
pub mod judgement;
pub mod live_manifest;
pub mod plan;
pub mod pointers;
pub mod receipt;
pub mod serving;
pub mod withdrawn;
