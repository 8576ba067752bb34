//! Every test that runs the tool for real, in one binary: with real git in temporary repositories, and real programs.

mod adopt;
mod announce;
mod build;
mod cli;
mod corpus;
mod finish;
mod floors;
mod front_door;
mod fuzz;
mod guide;
mod halfway;
mod hostile;
mod identity;
mod interrupt;
mod moving;
mod notes;
mod prepare;
mod read_only;
mod released;
mod remotes;
mod repo;
mod resources;
mod shared;
mod source;
mod tag;
mod terminal;

/// The program under test.
pub const TOOL: &str = env!("CARGO_BIN_EXE_xtask");
