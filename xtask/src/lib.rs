//! Lix's release tool, as a library.
//!
//! Four floors, an upper one using lower ones and never the reverse: `cli` turns words into values; `phases` decide
//! order and ask for consent; `tools` speak to git, files and the terminal; `domain` is pure.

pub mod cli;
pub mod domain;
pub mod phases;
pub mod tools;
