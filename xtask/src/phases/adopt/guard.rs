//! What adoption does not touch: links, write-protected files, and changes that git could not bring back.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::domain::problem::Problems;
use crate::tools::files;
use crate::tools::git::Git;

/// Reports symbolic links among the paths and their parents: their targets may belong to someone else.
pub fn links<'p>(root: &Utf8Path, paths: impl IntoIterator<Item = &'p str>) -> Problems {
    let mut found: Vec<String> = Vec::new();
    for path in paths {
        let parts: Vec<&Utf8Path> = Utf8Path::new(path).ancestors().filter(|part| !part.as_str().is_empty()).collect();
        let link = parts.into_iter().rev().find(|part| root.join(part).is_symlink()).map(ToString::to_string);
        found.extend(link.filter(|link| !found.contains(link)));
    }
    Problems::of_files(&found, "is a link, and links are not followed: put a file or directory in its place")
}

/// Reports files to be written that are write-protected, or whose content git does not have.
///
/// # Errors
/// git fails, or a file cannot be read.
pub fn unsaved<'p>(git: &Git, paths: impl IntoIterator<Item = &'p str>) -> Result<Problems> {
    let mut there: Vec<&str> = paths.into_iter().filter(|path| files::is_there(&git.root().join(path))).collect();
    there.sort_unstable();
    let (tracked, dirty) = (git.tracked(&there)?, git.dirty_files()?);
    let is_saved =
        |path: &&str| tracked.iter().any(|file| file.path == **path) && !dirty.iter().any(|file| file == *path);
    let unsaved: Vec<String> = there.iter().filter(|path| !is_saved(path)).map(ToString::to_string).collect();
    let mut problems =
        Problems::of_files(&unsaved, "would be changed, and its present content is not committed: commit or stash it");
    for path in there {
        let facts = fs::metadata(git.root().join(path)).with_context(|| format!("cannot look at {path}"))?;
        if facts.permissions().mode() & 0o222 == 0 {
            problems.add(format!("{path} is write-protected: `chmod u+w {path}`"));
        }
    }
    Ok(problems)
}
