//! `faults`: the tool, with each answer of each server harmed, and two runs of it at once, by `xtask-faults`.

use std::convert::Infallible;
use std::ffi::OsString;

use anyhow::Result;
use camino::Utf8Path;

use crate::tools::trial;

/// Becomes `xtask-faults`.
///
/// # Errors
/// As for [`trial::run`].
pub fn run(workspace: &Utf8Path, arguments: &[OsString]) -> Result<Infallible> {
    trial::run(workspace, "xtask-faults", arguments)
}
