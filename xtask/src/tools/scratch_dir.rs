//! Temporary directories, each removed when its value is dropped.

use anyhow::{Context, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

/// A temporary directory.
#[derive(Debug)]
pub struct ScratchDir {
    path: Utf8PathBuf,
    _dir: TempDir,
}

impl ScratchDir {
    /// Makes a directory in the system's directory for temporary files.
    ///
    /// # Errors
    /// The directory cannot be made, or its name is not UTF-8.
    pub fn new() -> Result<ScratchDir> {
        ScratchDir::of(tempfile::tempdir())
    }

    /// Makes a directory in `parent`, for files that are renamed within a file system.
    ///
    /// # Errors
    /// As for [`ScratchDir::new`].
    pub fn new_in(parent: &Utf8Path) -> Result<ScratchDir> {
        ScratchDir::of(tempfile::tempdir_in(parent))
    }

    fn of(made: std::io::Result<TempDir>) -> Result<ScratchDir> {
        let dir = made.context("cannot make a temporary directory")?;
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned());
        let path =
            path.map_err(|path| anyhow!("the name of the temporary directory {} is not UTF-8", path.display()))?;
        Ok(ScratchDir { path, _dir: dir })
    }

    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}
