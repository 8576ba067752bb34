//! What publication is, as values: what the front door never needs. As pure as the front door's own domain, on which it
//! stands.
//!
//! * [`publication`]: what is done to publish a release, in which order, by which rules, and what is left as its record
//! * [`cache`]: the binary cache: keys and signatures, what is said of a path, and what can be wrong with it
//! * [`reports`]: what is shown of it all: preconditions, and how a release stands

pub mod cache;
pub mod publication;
pub mod reports;
