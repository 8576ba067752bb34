//! What is on the disk, so that a power cut does not take it.

use std::fs::{self, File};
use std::io;

use anyhow::{Context, Result};
use camino::Utf8Path;

/// Waits until what is in a file, or the names in a directory, are on the disk.
///
/// # Errors
/// The disk fails, or is full.
pub fn sync(path: &Utf8Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).with_context(|| format!("cannot write {path} to the disk"))
}

/// Waits until everything below a directory is on the disk, and what else is on that file system: much faster than one
/// file after the other.
///
/// # Errors
/// The disk fails, or is full.
pub fn sync_below(dir: &Utf8Path) -> Result<()> {
    let syncing = || format!("cannot write what is in {dir} to the disk");
    #[cfg(target_os = "linux")]
    return rustix::fs::syncfs(File::open(dir).with_context(syncing)?).with_context(syncing);
    // As far as this system promises it.
    #[cfg(not(target_os = "linux"))]
    {
        rustix::fs::sync();
        File::open(dir).map(drop).with_context(syncing)
    }
}

/// Creates a directory, on disk, and those above it that are missing.
///
/// # Errors
/// A directory cannot be made.
pub fn make_dirs(dir: &Utf8Path) -> Result<()> {
    make_missing(dir).with_context(|| format!("cannot create {dir}"))
}

/// Like [`make_dirs`].
pub(super) fn make_missing(dir: &Utf8Path) -> io::Result<()> {
    let missing: Vec<_> = dir.ancestors().take_while(|dir| !dir.as_str().is_empty() && !dir.exists()).collect();
    fs::create_dir_all(dir)?;
    // So that the names survive a power cut, too.
    missing.into_iter().try_for_each(|dir| File::open(parent(dir))?.sync_all())
}

/// The directory of a path.
pub(super) fn parent(path: &Utf8Path) -> &Utf8Path {
    path.parent().filter(|dir| !dir.as_str().is_empty()).unwrap_or(Utf8Path::new("."))
}
