//! Lix's release tool, as a library.
//!
//! Five floors, an upper one using lower ones and never the reverse: `cli` turns words into values; `phases`, one file
//! for each command, decide order and ask for consent; `tree` knows the tree that is released; `tools` speak to git,
//! Nix, files and the terminal; `domain` is pure, and a package of its own, which compiles beside the dependencies of
//! the rest.

pub mod cli;
pub mod phases;
pub mod tools;
pub mod tree;

pub use xtask_domain as domain;
