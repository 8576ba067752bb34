//! How a trial starts and ends: the programs that it is given, and its exit code.

use std::process::ExitCode;

use anyhow::Result;
use camino::Utf8PathBuf;
use tempfile::TempDir;

use crate::scenario::Lab;

/// What `cargo xtask` gives to each trial.
#[derive(Debug, clap::Args)]
pub struct Given {
    /// The workspace of the tool
    #[arg(long, hide = true)]
    workspace: Utf8PathBuf,
    /// The program `xtask`
    #[arg(long, hide = true)]
    front_door: Utf8PathBuf,
    /// The program `xtask-publish`
    #[arg(long, hide = true)]
    publisher: Utf8PathBuf,
}

impl Given {
    /// Makes a lab in a temporary directory.
    ///
    /// # Errors
    /// The directory's path is not UTF-8.
    pub fn lab(&self, scratch: &TempDir) -> Result<Lab> {
        let dir = Utf8PathBuf::from_path_buf(scratch.path().to_owned());
        let dir = dir.map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))?;
        let programs = [self.front_door.clone(), self.publisher.clone()];
        Ok(Lab { dir, programs, workspace: self.workspace.clone() })
    }
}

/// Reads a number of an option of which 0 makes no sense.
///
/// # Errors
/// It is not a number, or 0.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "a number from 1 on".to_owned())
}

/// Ends a trial: whether everything ended well, or why it could not be tried.
pub fn ended(result: Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
