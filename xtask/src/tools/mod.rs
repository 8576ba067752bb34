//! How to use git, Nix, files and the terminal. No release policy: the floors above decide whether and what to do.

pub mod advice;
pub mod cargo;
pub mod clock;
pub mod closure;
pub mod files;
pub mod git;
pub mod history;
pub mod interrupt;
pub mod nix;
pub mod paint;
pub mod patience;
pub mod pristine;
pub mod process;
pub mod remote;
pub mod room;
pub mod scratch_dir;
pub mod scratch_repo;
pub mod skopeo;
pub mod source;
pub mod tarball;
pub mod term;
pub mod trial;
