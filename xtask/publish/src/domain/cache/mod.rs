//! The binary cache, in Nix's formats.
//!
//! * [`path_info`]: what Nix knows of a store path, which is what a signature is about
//! * [`narinfo`]: what a cache says of a store path
//! * [`signing`]: keys and signatures; [`keys`]: those that users of an environment trust
//! * [`faults`]: what can be wrong with a path in a cache
//! * [`nix_hash`]: the spellings of a hash

pub mod faults;
pub mod keys;
pub mod narinfo;
pub mod nix_hash;
pub mod path_info;
pub mod signing;
