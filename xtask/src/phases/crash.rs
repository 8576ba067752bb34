//! `crash`: the tool, killed at every point, by `xtask-crash`.

use std::convert::Infallible;
use std::ffi::OsString;

use anyhow::Result;
use camino::Utf8Path;

use crate::tools::trial;

/// Becomes `xtask-crash`.
///
/// # Errors
/// As for [`trial::run`].
pub fn run(workspace: &Utf8Path, arguments: &[OsString]) -> Result<Infallible> {
    trial::run(workspace, "xtask-crash", arguments)
}
