//! What every command is given, and how it ends.

use std::process::ExitCode;
use std::sync::Arc;

use camino::Utf8PathBuf;

use crate::domain::product::Product;
use crate::tree::signers::Signers;

/// The outcome of a command that ran to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// A check failed; the details have been printed.
    Failed,
    /// The rest has to wait for something outside, such as a review.
    Waiting,
    /// A signal ended the command.
    Stopped {
        signal: i32,
    },
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> ExitCode {
        match outcome {
            Outcome::Done => ExitCode::SUCCESS,
            Outcome::Failed => ExitCode::FAILURE,
            Outcome::Waiting => ExitCode::from(3),
            // As a shell reports it.
            Outcome::Stopped { signal } => ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
        }
    }
}

/// What every command is given.
#[derive(Debug)]
pub struct Invocation {
    /// What is released.
    pub product: Arc<Product>,
    /// This tool's workspace, `xtask/`.
    pub workspace: Utf8PathBuf,
    /// The tree to release.
    pub tree: Utf8PathBuf,
    /// Every `--repo` that was given, for commands that take several.
    pub named_trees: Vec<Utf8PathBuf>,
    /// The `releng.toml` of `--config`.
    pub config: Option<Utf8PathBuf>,
    /// Whether data on stdout is JSON.
    pub json: bool,
}

impl Invocation {
    /// Returns the path of the `releng.toml` to read.
    pub fn config_file(&self) -> Utf8PathBuf {
        self.config.clone().unwrap_or_else(|| self.workspace.join("releng.toml"))
    }

    /// Returns who may sign tags.
    pub fn signers(&self) -> Signers {
        Signers::new(&self.product, &self.config_file())
    }
}
