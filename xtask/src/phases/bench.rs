//! `bench`: measurements, side by side and by hand. They are in `benches/` of the packages; cargo builds and runs them.

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::tools::process;
use crate::tools::term;

/// Times rendering, built for speed.
///
/// # Errors
/// The build or a run fails.
pub fn notes(workspace: &Utf8Path) -> Result<()> {
    run(workspace, &["--package", "xtask", "--bench", "notes"])
}

/// Times uploads, built as `cargo xtask` builds what publishes.
///
/// # Errors
/// The build fails, Garage is not installed, or one of the tools fails.
pub fn store(workspace: &Utf8Path, rounds: u32) -> Result<()> {
    let rounds = rounds.to_string();
    run(workspace, &["--package", "xtask-publish", "--profile", "dev", "--bench", "store", "--", &rounds])
}

fn run(workspace: &Utf8Path, arguments: &[&str]) -> Result<()> {
    let sh = process::shell_in(workspace)?;
    let cmd = sh.cmd("cargo").args(["bench", "--quiet", "--locked"]).args(arguments);
    term::detail(format_args!("$ {cmd}"));
    process::show(cmd).context("the measurement failed")
}
