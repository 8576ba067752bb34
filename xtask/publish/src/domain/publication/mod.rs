//! Publishing a release, from the list of acts to the receipt.
//!
//! * [`acts`]: the acts that publish a release or its installers, in waves
//! * [`bucket`]: the buckets that acts write to
//! * [`judgement`]: what to do about an act, given what was seen of its target
//! * [`plan`]: every act with its judgement, as it is shown and agreed to
//! * [`pointers`]: which release each pointer leads to
//! * [`receipt`]: the proof that an environment has a complete release; another environment may require it
//! * [`signature`]: the signature of a release's sums, and how anyone checks it
//! * [`statement`]: what the tool leaves in a bucket and relies on later, signed
//! * [`servers`]: what an act needs of others, and what may be left out
//! * [`withdrawn`]: the versions that a rollback took back
//! * [`image_tag`]: the tags of the container images
//! * [`installer`], [`executable`]: the installers, and the system that an executable's header names

pub mod acts;
pub mod bucket;
pub mod executable;
pub mod image_tag;
pub mod installer;
pub mod judgement;
pub mod plan;
pub mod pointers;
pub mod receipt;
pub mod servers;
pub mod signature;
pub mod statement;
pub mod withdrawn;
