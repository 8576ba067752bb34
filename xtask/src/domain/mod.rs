//! What a release is, as values: no process, no file, no clock, no network.
//!
//! Everything here can be decided on paper. The floors above observe the world, hand it in as values, and act on what
//! comes out.

pub mod authors;
pub mod fragment;
pub mod notes;
pub mod official;
pub mod oid;
pub mod problem;
pub mod release;
pub mod tagging;
pub mod version;
pub mod version_file;
pub mod yaml;
