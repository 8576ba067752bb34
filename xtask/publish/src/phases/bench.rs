//! `bench store`: our transfers beside other people's tools. A measurement, never a test.

use anyhow::Result;
use xtask::cli::Outcome;
use xtask::tools::scratch_dir::ScratchDir;
use xtask::tools::term;

use crate::tools::bench;

/// Measures, and prints the table to stdout.
///
/// # Errors
/// Garage is not installed, or one of the tools fails.
pub async fn run(rounds: u32) -> Result<Outcome> {
    let scratch = ScratchDir::new()?;
    term::data(bench::run(scratch.path().as_std_path(), rounds).await?)?;
    Ok(Outcome::Done)
}
