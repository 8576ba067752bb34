//! The temporary repositories of the front door's `tests/support`, with what publishes as their tool.

use std::process::Command;

use xtask_test_support::Tool;
pub use xtask_test_support::{NIX_CONFIG, Ran, limited, make_executable, read_only, skip};

/// The program under test.
pub struct Tested;

impl Tool for Tested {
    const PATH: &'static str = crate::TOOL;
}

pub type Repo = xtask_test_support::Repo<Tested>;

pub fn command(args: &[&str]) -> Command {
    Tested::command(args)
}

pub fn xtask(args: &[&str]) -> Ran {
    Tested::run(args)
}
