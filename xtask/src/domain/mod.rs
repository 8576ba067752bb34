//! What a release is, as values: no process, no file, no clock, no network.
//!
//! Everything here can be decided on paper. The floors above observe the world, hand it in as values, and act on what
//! comes out.

pub mod announcement;
pub mod authors;
pub mod builders;
pub mod cache;
pub mod checkup;
pub mod digest;
pub mod environment;
pub mod executable;
pub mod forward;
pub mod fragment;
pub mod highlights;
pub mod image;
pub mod image_target;
pub mod installer;
pub mod jobs;
pub mod judgement;
pub mod layout;
pub mod manifest;
pub mod narinfo;
pub mod notes;
pub mod official;
pub mod oid;
pub mod path_info;
pub mod plan;
pub mod pointers;
pub mod problem;
pub mod product;
pub mod program;
pub mod publication;
pub mod receipt;
pub mod record;
pub mod release;
pub mod serving;
pub mod shown;
pub mod signing;
pub mod standing;
pub mod store_path;
pub mod system;
pub mod tagging;
pub mod version;
pub mod version_file;
pub mod yaml;
