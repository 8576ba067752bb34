//! What a store path needs: its closure, as Nix's database of this machine has it.

use anyhow::{Context, Result, anyhow, ensure};
use camino::Utf8Path;

use super::process;
use crate::domain::build::record::Closure;
use crate::domain::store_path::StorePath;

/// Returns a store path and everything that it refers to, with the size of each NAR in bytes.
///
/// # Errors
/// The path is not in the store, or Nix fails.
pub fn of(path: &StorePath) -> Result<Closure> {
    let sh = process::shell_in(Utf8Path::new("."))?;
    let query = |what: &str, paths: &[String]| process::read(sh.cmd("nix-store").args(["--query", what]).args(paths));
    let names: Vec<String> = query("--requisites", &[path.to_string()])?.lines().map(str::to_owned).collect();
    let sizes = query("--size", &names)?;
    let sizes: Vec<u64> = sizes.lines().map(str::parse).collect::<Result<_, _>>().context("Nix wrote no sizes")?;
    ensure!(names.len() == sizes.len(), "Nix wrote {} sizes for {} store paths", sizes.len(), names.len());
    let parse = |name: &String| StorePath::parse(name).map_err(|why| anyhow!(why));
    names.iter().zip(sizes).map(|(name, size)| Ok((parse(name)?, size))).collect()
}
