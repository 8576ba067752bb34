//! The programs that put this tool through accidents. They are built with what they need, and then replace this process.

use std::convert::Infallible;
use std::ffi::OsString;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::cargo::Program;
use super::process;

/// Builds `xtask-publish` and a program of `xtask-trials`, and replaces this process with the latter.
///
/// # Errors
/// Something cannot be built or started; otherwise this does not return.
pub fn run(workspace: &Utf8Path, name: &str, arguments: &[OsString]) -> Result<Infallible> {
    let sh = process::shell_in(workspace)?;
    let manifest = workspace.join("Cargo.toml");
    let program = |name, package| Program { manifest: &manifest, name, package }.built(&sh);
    let front_door = Utf8PathBuf::from_path_buf(std::env::current_exe().context("cannot find this program")?);
    let front_door = front_door.map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))?;
    let (publisher, trial) = (program("xtask-publish", "xtask-publish")?, program(name, "xtask-trials")?);
    let given =
        ["--workspace", workspace.as_str(), "--front-door", front_door.as_str(), "--publisher", publisher.as_str()];
    process::exec(sh.cmd(trial).args(given).args(arguments))
}
