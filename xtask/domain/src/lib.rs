//! What a release is, as values: no process, no file, no clock, no network.
//!
//! Everything here can be decided on paper. The floors above observe the world, hand it in as values, and act on what
//! comes out.

pub mod adoption;
pub mod amounts;
pub mod announcement;
pub mod authors;
pub mod builders;
pub mod date;
pub mod digest;
pub mod environment;
pub mod flake;
pub mod format;
pub mod forward;
pub mod fragment;
pub mod highlights;
pub mod image;
pub mod image_target;
pub mod jobs;
pub mod layout;
pub mod manifest;
pub mod nix_args;
pub mod nix_fault;
pub mod notes;
pub mod official;
pub mod oid;
pub mod placeholder;
pub mod problem;
pub mod product;
pub mod profile;
pub mod program;
pub mod record;
pub mod reference;
pub mod refusal;
pub mod release;
pub mod remote_url;
pub mod shown;
pub mod store_path;
pub mod system;
pub mod tagging;
pub mod toml_text;
pub mod version;
pub mod version_file;
pub mod yaml;
