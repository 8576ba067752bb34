//! The outcomes of `check` that lie in `release/`. Nothing seals them: they count only for the record that they name.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use xtask::domain::format::Misread;
use xtask::domain::layout::{CHECKS, RELEASE};
use xtask::tools::files;

use crate::domain::checks::report::Checks;

/// Path of the outcomes of a tree.
pub fn path(tree: &Utf8Path) -> Utf8PathBuf {
    tree.join(RELEASE).join(CHECKS)
}

/// Reads the outcomes of a tree; `None` if there are none, and why if they are something else or a newer tool's.
///
/// # Errors
/// The file cannot be read.
pub fn read(tree: &Utf8Path) -> Result<Option<Result<Checks, Misread>>> {
    Ok(files::read_if_there(&path(tree))?.map(|text| Checks::parse(&text)))
}
