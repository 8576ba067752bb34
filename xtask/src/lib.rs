//! Lix's release tool, as a library.
//!
//! Four floors, an upper one using lower ones and never the reverse: `cli` turns words into values; `phases` decide
//! order and ask for consent; `tools` speak to git, files and the terminal; `domain` is pure, and a package of its own, which compiles beside the
//! dependencies of the rest.

pub mod cli;
pub mod phases;
pub mod tools;

pub use xtask_domain as domain;
