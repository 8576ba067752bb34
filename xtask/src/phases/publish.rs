//! The way from the front door to `xtask-publish`, which does what needs the AWS SDK.

use std::convert::Infallible;

use anyhow::Result;
use camino::Utf8Path;

use crate::tools::process;
use crate::tools::term;

/// Becomes `xtask-publish` with our own arguments, built first where that has to be.
///
/// # Errors
/// cargo cannot be started; otherwise this does not return.
pub fn hand_over<T>(workspace: &Utf8Path) -> Result<T> {
    let manifest = workspace.join("Cargo.toml");
    let built = workspace.join("target/debug/xtask-publish").exists() || std::env::var_os("CARGO_TARGET_DIR").is_some();
    if !built {
        term::say("building what publishes; the first time, this takes a few minutes");
    }
    let sh = process::shell_in(&Utf8Path::new(".").canonicalize_utf8()?)?;
    let cargo = sh.cmd("cargo").args(["run", "--quiet", "--locked", "--package", "xtask-publish", "--manifest-path"]);
    let never: Infallible = process::become_program(cargo.arg(manifest).arg("--").args(std::env::args_os().skip(1)))?;
    match never {}
}
