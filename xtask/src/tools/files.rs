//! Files that are there whole or not at all.

use anyhow::{Context, Result};
use camino::Utf8Path;
use tempfile::NamedTempFile;

/// Writes a file beside its place and renames it there; makes the directories above it.
///
/// # Errors
/// The disk is full, or the place cannot be written to; what was there is still there then.
pub fn write_whole(path: &Utf8Path, content: &str) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let dir = path.parent().unwrap_or(Utf8Path::new("."));
        std::fs::create_dir_all(dir)?;
        let mut file = NamedTempFile::new_in(dir)?;
        std::io::Write::write_all(&mut file, content.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {path}"))
}
