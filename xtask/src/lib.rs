//! Lix's release tool, as a library.
//!
//! Five floors; each may use the floors below it, never those above. `cli` turns words into values; `phases`, one file
//! for each command, decide the order and ask for consent; `tree` knows the tree that is released; `tools` talk to git,
//! Nix, files and the terminal; `domain` is pure, and a separate package, so that it compiles while the dependencies of
//! the other floors do.
//!
//! The package `xtask-publish` has the rest; `phases/publish.rs` hands over.

pub mod cli;
pub mod phases;
pub mod tools;
pub mod tree;

pub use xtask_domain as domain;
