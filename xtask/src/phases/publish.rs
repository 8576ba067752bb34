//! Hands over from the front door to `xtask-publish`, which does everything that needs the AWS SDK.

use std::convert::Infallible;

use anyhow::Result;
use camino::Utf8Path;

use crate::tools::cargo::Program;
use crate::tools::process;

/// Builds `xtask-publish`, if necessary, and replaces this process with it, passing our arguments on.
///
/// # Errors
/// It cannot be built or started; otherwise this does not return.
pub fn exec_publish<T>(workspace: &Utf8Path) -> Result<T> {
    let sh = process::shell_in(&Utf8Path::new(".").canonicalize_utf8()?)?;
    let manifest = workspace.join("Cargo.toml");
    let program = Program { manifest: &manifest, name: "xtask-publish", package: "xtask-publish" }.built(&sh)?;
    // As cargo would set it.
    let cmd = sh.cmd(program).env("CARGO_MANIFEST_DIR", workspace).args(std::env::args_os().skip(1));
    let never: Infallible = process::exec(cmd)?;
    match never {}
}
