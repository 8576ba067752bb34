//! What every command knows, and how one ends.

use std::process::ExitCode;
use std::sync::Arc;

use camino::Utf8PathBuf;

use crate::domain::product::Product;

/// How a command ended that ran to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// What was checked is not right; the details are printed.
    Failed,
    /// It goes on once something outside has happened.
    Waiting,
    /// A signal ended it.
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
            // As a shell tells it.
            Outcome::Stopped { signal } => ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
        }
    }
}

/// What every command knows.
#[derive(Debug)]
pub struct Invocation {
    /// What is released.
    pub product: Arc<Product>,
    /// The workspace of this tool, `xtask/`.
    pub workspace: Utf8PathBuf,
    /// The tree that is released.
    pub tree: Utf8PathBuf,
    /// Every tree that was named, for what takes several.
    pub named_trees: Vec<Utf8PathBuf>,
    /// Another `releng.toml`.
    pub config: Option<Utf8PathBuf>,
    /// Whether data on stdout is JSON.
    pub json: bool,
}

impl Invocation {
    /// `releng.toml`.
    pub fn config_file(&self) -> Utf8PathBuf {
        self.config.clone().unwrap_or_else(|| self.workspace.join("releng.toml"))
    }
}
