//! The files of a Lix tree, and of this tool, that more than one phase reads.

use anyhow::{Context, Result, anyhow};
use camino::Utf8Path;

use crate::domain::environment::Config;
use crate::domain::oid::Oid;
use crate::domain::release::version_file::{self, VersionFile};
use crate::tools::files;
use crate::tools::git::Git;

/// Reads `version.json` of a commit.
///
/// # Errors
/// The file is missing or invalid.
pub fn version_file(git: &Git, commit: &Oid) -> Result<VersionFile> {
    let text = git
        .file(commit, version_file::PATH)?
        .with_context(|| format!("{} has no {}: is it a Lix tree?", git.root(), version_file::PATH))?;
    VersionFile::parse(&text).map_err(|why| anyhow!("{} {why}", version_file::PATH))
}

/// Reads a `releng.toml`.
///
/// # Errors
/// The file cannot be read, or is invalid.
pub fn config(path: &Utf8Path) -> Result<Config> {
    let text = files::read_text(path)?;
    Config::parse(&text).map_err(|why| anyhow!("{path}: {why}"))
}
