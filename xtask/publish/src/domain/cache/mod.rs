//! The binary cache, in Nix's formats.
//!
//! * [`narinfo`]: what a cache says about a store path
//! * [`signing`]: keys and signatures; [`keys`]: the keys that users of an environment trust
//! * [`faults`]: what can be wrong with a path in a cache

pub mod faults;
pub mod keys;
pub mod narinfo;
pub mod signing;
