//! `crash`: the tool, killed at every point, by `xtask-crash`. Builds what that needs, and becomes it.

use std::convert::Infallible;
use std::ffi::OsString;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::tools::cargo::Program;
use crate::tools::process;

/// Builds `xtask-publish` and `xtask-crash`, and replaces this process with the latter.
///
/// # Errors
/// Something cannot be built or started; otherwise this does not return.
pub fn run(workspace: &Utf8Path, arguments: &[OsString]) -> Result<Infallible> {
    let sh = process::shell_in(workspace)?;
    let manifest = workspace.join("Cargo.toml");
    let program = |name, package| Program { manifest: &manifest, name, package }.built(&sh);
    let front_door = Utf8PathBuf::from_path_buf(std::env::current_exe().context("cannot find this program")?);
    let front_door = front_door.map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))?;
    let (publisher, crash) = (program("xtask-publish", "xtask-publish")?, program("xtask-crash", "xtask-trials")?);
    let given =
        ["--workspace", workspace.as_str(), "--front-door", front_door.as_str(), "--publisher", publisher.as_str()];
    process::exec(sh.cmd(crash).args(given).args(arguments))
}
