//! Building a release: what Nix is asked, how its answers are read, and the record of what was built.
//!
//! * [`program`]: the programs that a release runs, and how new each has to be
//! * [`nix_args`]: the manager's arguments for Nix; [`nix_fault`]: what a failure of Nix means
//! * [`builders`]: which machine builds for which system; [`builder_answer`]: what a builder says when it is asked
//! * [`nix_log`]: what Nix writes while it builds: what was built where, and what failed
//! * [`flake_lock`]: the inputs that a flake is locked to
//! * [`jobs`]: what a flake offers to build, and whether a release can be made of it
//! * [`description`]: what derivations say about their licenses and home pages
//! * [`path_info`]: what Nix knows about a store path and its closure
//! * [`placeholder`]: what git fills in when it archives the source
//! * [`image`]: the index that joins the container images of several architectures
//! * [`manifest`]: the store path of each system, for `nix upgrade-nix`
//! * [`sbom`]: the bill of materials of each system
//! * [`record`]: `release.json`, what the release consists of, to the byte; [`provenance`]: the same for tools that others
//!   wrote, with what it was made of

pub mod builder_answer;
pub mod builders;
pub mod description;
pub mod flake_lock;
pub mod image;
pub mod jobs;
pub mod manifest;
pub mod nix_args;
pub mod nix_fault;
pub mod nix_log;
pub mod path_info;
pub mod placeholder;
pub mod program;
pub mod provenance;
pub mod record;
pub mod sbom;

/// Name of the output that users get, and of the one with the tarballs.
pub const OUT: &str = "out";
/// Names of the outputs with the manual, and with what debuggers need.
pub const DOC: &str = "doc";
pub const DEBUG: &str = "debug";
