//! Fragments and author lists on disk: which files count, and their bytes.
//!
//! Refuses to decide what is in them; that is [`crate::domain::fragment`]'s.

use std::fs::{DirEntry, File};
use std::io::Read;

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;

use crate::domain::authors::Authors;
use crate::domain::fragment::{Fragment, text_of};
use crate::domain::oid::Oid;
use crate::domain::problem::{Problem, Problems};
use crate::tools::git::Git;

/// No fragment is nearly this long; whatever is, is there by mistake.
const MAX_BYTES: u64 = 1 << 20;

/// Room for most of them, so that reading one takes one buffer.
const USUAL_BYTES: usize = 4096;

/// What a directory of fragments holds.
#[derive(Debug, Default)]
pub struct Found {
    pub fragments: Vec<Fragment>,
    /// Every file that counts, valid or not, as messages name it.
    pub paths: Vec<String>,
    /// The problems of all files at once.
    pub problems: Problems,
}

/// Reads every `*.md` directly in `dir`, in code-point order, but for names that start with a dot.
///
/// Messages name a file by `shown/NAME`; where a name is not UTF-8, with replacement characters.
///
/// # Errors
/// The directory cannot be read.
pub fn read(dir: &Utf8Path, shown: &Utf8Path) -> Result<Found> {
    let cannot = || format!("cannot read the directory {dir}");
    let mut entries =
        std::fs::read_dir(dir).and_then(Iterator::collect::<std::io::Result<Vec<_>>>).with_context(cannot)?;
    entries.sort_by_cached_key(DirEntry::file_name);
    let mut found = Found::default();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !counts(&name) {
            continue;
        }
        let path = shown.join(&name).into_string();
        let parsed = match read_file(&entry) {
            Ok(bytes) => Fragment::parse(&path, &bytes).map_err(|faults| Problem::in_file(&path, faults)),
            Err(error) => Err(Problems::from_iter([Problem::at(&path, 1, format!("{error:#}"))])),
        };
        found.fragments.extend(found.problems.collect(parsed));
        found.paths.push(path);
    }
    Ok(found)
}

/// The paths of the fragments that a commit has directly in `dir`.
///
/// # Errors
/// git's own.
pub fn tracked(git: &Git, commit: &Oid, dir: &str) -> Result<Vec<String>> {
    let paths = git.list(commit, dir)?.into_iter().map(|entry| entry.path);
    Ok(paths.filter(|path| path.rsplit('/').next().is_some_and(counts)).collect())
}

/// Whether a file of this name, in a directory of fragments, is one.
fn counts(name: &str) -> bool {
    name.ends_with(".md") && !name.starts_with('.')
}

fn read_file(entry: &DirEntry) -> Result<Vec<u8>> {
    let path = entry.path();
    let mut kind = entry.file_type().context("cannot be looked at")?;
    if kind.is_symlink() {
        let target = path.canonicalize().context("is a symlink that leads nowhere")?;
        let dir = path.parent().context("lies in no directory")?.canonicalize()?;
        ensure!(
            target.parent() == Some(&dir),
            "is a symlink that leads out of its directory: put the file itself there"
        );
        kind = target.metadata()?.file_type();
    }
    // Before it is opened: opening a pipe would wait for a writer.
    ensure!(kind.is_file(), "is not a file: a fragment is one Markdown file, directly in the directory");
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).context("cannot be read")?;
    ensure!(bytes.len() as u64 <= MAX_BYTES, "is larger than 1 MiB: this cannot be a release note");
    Ok(bytes)
}

/// Reads the author data base. Messages name it `shown`.
///
/// # Errors
/// `Err` if the file cannot be read; otherwise its problems, all at once.
pub fn read_authors(path: &Utf8Path, shown: &str) -> Result<Result<Authors, Problems>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read the author list {shown}"))?;
    let authors = text_of(&bytes).map_err(|fault| vec![fault]).and_then(|text| Authors::parse(&text));
    Ok(authors.map_err(|faults| Problem::in_file(shown, faults)))
}
