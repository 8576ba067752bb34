//! What a release is, as values: no process, no file, no clock, no network.
//!
//! Everything here can be decided on paper. The floors above observe the world, hand it in as values, and act on what
//! comes out.

pub mod date;
pub mod product;
pub mod profile;
pub mod system;
pub mod version;

pub mod release;

pub mod notes;

pub mod build;
pub mod layout;

pub mod environment;

pub mod adoption;

pub mod amounts;
pub mod digest;
pub mod format;
pub mod oid;
pub mod problem;
pub mod shown;
pub mod store_path;
