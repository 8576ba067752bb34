//! The files of a Lix tree, and of this tool, that more than one phase reads. Refuses to decide anything from them.

use anyhow::{Context, Result, anyhow};
use camino::Utf8Path;

use crate::domain::environment::Config;
use crate::domain::oid::Oid;
use crate::domain::release::version_file::{self, VersionFile};
use crate::tools::git::Git;

/// `version.json`, as a commit has it.
///
/// # Errors
/// There is none, or it is not valid.
pub fn version_file(git: &Git, commit: &Oid) -> Result<VersionFile> {
    let text = git
        .file(commit, version_file::PATH)?
        .with_context(|| format!("{} has no {}: is it a Lix tree?", git.root(), version_file::PATH))?;
    VersionFile::parse(&text).map_err(|why| anyhow!("{} {why}", version_file::PATH))
}

/// `releng.toml`, wherever it lies.
///
/// # Errors
/// It cannot be read, or is not valid.
pub fn config(path: &Utf8Path) -> Result<Config> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    Config::parse(&text).map_err(|why| anyhow!("{path}: {why}"))
}
