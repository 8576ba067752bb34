//! How git, nix, files and the terminal are spoken to. No release policy: what to do, and whether, is decided above.

pub mod advice;
pub mod cargo;
pub mod clock;
pub mod files;
pub mod git;
pub mod history;
pub mod nix;
pub mod patience;
pub mod pristine;
pub mod process;
pub mod remote;
pub mod scratch_repo;
pub mod skopeo;
pub mod source;
pub mod tarball;
pub mod term;
