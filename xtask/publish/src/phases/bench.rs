//! `bench store`: our transfers beside other people's tools. A measurement, never a test.

use anyhow::{Context, Result};
use xtask::cli::Outcome;
use xtask::tools::term;

use crate::tools::bench;

/// Measures, and prints the table to stdout.
///
/// # Errors
/// Garage is not installed, or one of the tools fails.
pub async fn run(rounds: u32) -> Result<Outcome> {
    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    term::data(bench::run(scratch.path(), rounds).await?)?;
    Ok(Outcome::Done)
}
