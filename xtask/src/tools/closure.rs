//! What store paths need: their closures, as Nix's database of this machine has them.

use anyhow::{Context, Result, anyhow};
use camino::Utf8Path;

use super::process;
use crate::domain::build::path_info::{Closures, FORMAT, has_one_format, parse_path_infos};
use crate::domain::store_path::StorePath;

/// Returns what Nix knows about some store paths and everything that they refer to, in one question.
///
/// # Errors
/// A path is not in the store, or Nix fails.
pub fn of<'a>(paths: impl IntoIterator<Item = &'a StorePath>) -> Result<Closures> {
    let sh = process::shell_in(Utf8Path::new("."))?;
    let paths: Vec<String> = paths.into_iter().map(StorePath::to_string).collect();
    let ask = |format: &[&str]| {
        let cmd = sh.cmd("nix").args(["--extra-experimental-features", "nix-command", "path-info", "--json"]);
        process::read(cmd.args(format).arg("--recursive").args(&paths))
    };
    let json = match ask(&FORMAT) {
        Err(error) if has_one_format(&format!("{error:#}")) => ask(&[]),
        json => json,
    };
    let json = json.context("cannot ask Nix about closures")?;
    let closures = parse_path_infos(&json).map_err(|why| why.to_string()).and_then(Closures::new);
    closures.map_err(|why| anyhow!("cannot use what `nix path-info --json` wrote: {why}"))
}
