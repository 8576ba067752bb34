//! Fragments and author lists on disk: which files count, and their bytes. [`crate::domain::notes::fragment`] parses
//! them.

use std::fs::{DirEntry, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;

use crate::domain::notes::authors::{Authors, Faulty};
use crate::domain::notes::fragment::source::text_of;
use crate::domain::notes::fragment::{Fragment, Invalid, name};
use crate::domain::notes::yaml::Placed;
use crate::domain::oid::Oid;
use crate::domain::problem::{Problem, Problems};
use crate::domain::product::Product;
use crate::domain::shown::one_line;
use crate::tools::git::{Git, TreeEntry};

/// Largest size of a fragment or author list in bytes, far above that of any real one.
const MAX_BYTES: u64 = 1 << 20;

/// Size in bytes that most fragments stay below, so that reading one takes one buffer.
const USUAL_BYTES: usize = 4096;

/// What a directory of fragments holds.
#[derive(Debug, Default)]
pub struct Found {
    pub fragments: Vec<Fragment>,
    /// Path of every file that counts, valid or not: the directory's name for messages, and the file's name.
    pub paths: Vec<String>,
    /// The problems of all files at once.
    pub problems: Problems,
    /// Credits in invalid files, each with the file.
    pub credits: Vec<(String, Placed<String>)>,
    /// Files that are not read, but might be meant as fragments.
    pub strays: Problems,
}

impl Found {
    /// Adds what another directory holds.
    pub fn extend(&mut self, other: Found) {
        self.fragments.extend(other.fragments);
        self.paths.extend(other.paths);
        self.problems.extend(other.problems);
        self.credits.extend(other.credits);
        self.strays.extend(other.strays);
    }
}

/// Reads every `*.md` directly in `dir`, in code-point order, except names that start with a dot, and notes what else
/// is there.
///
/// Messages name a file as `shown/NAME`; a name that is not UTF-8 gets replacement characters.
///
/// # Errors
/// The directory cannot be read.
pub fn read(dir: &Utf8Path, shown: &Utf8Path, product: &Product) -> Result<Found> {
    let mut found = Found::default();
    for entry in entries(dir.as_std_path())? {
        let name = entry.file_name().to_string_lossy().into_owned();
        let place = shown.join(&name).into_string();
        let path = one_line(&place);
        if !name::counts(&name) {
            found.strays.extend(stray(&entry, &name, &path)?);
            continue;
        }
        found.paths.push(place);
        match read_file(&entry).map(|bytes| Fragment::parse(product, &path, &bytes)) {
            Ok(Ok(fragment)) => found.fragments.push(fragment),
            Ok(Err(Invalid { faults, credits })) => {
                found.problems.extend(Problem::in_file(&path, faults));
                found.credits.extend(credits.into_iter().map(|credit| (path.clone(), credit)));
            }
            Err(error) => found.problems.push(Problem::at(&path, 1, format!("{error:#}"))),
        }
    }
    Ok(found)
}

/// Returns the entries of a directory, sorted by name.
fn entries(dir: &Path) -> Result<Vec<DirEntry>> {
    let entries = std::fs::read_dir(dir).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut entries = entries.with_context(|| format!("cannot read the directory {}", dir.display()))?;
    entries.sort_by_cached_key(DirEntry::file_name);
    Ok(entries)
}

/// Returns the remark about an entry that is not read; for a directory, one for each file below it that looks like a
/// note.
fn stray(entry: &DirEntry, name: &str, path: &str) -> Result<Problems> {
    if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
        return Ok(name::remark(&one_line(name))
            .map(|what| Problem::new(format!("{path} {what}")))
            .into_iter()
            .collect());
    }
    let mut problems = Problems::default();
    let mut below = vec![(entry.path(), path.to_owned())];
    while let Some((dir, shown)) = below.pop() {
        for entry in entries(&dir)? {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{shown}/{}", one_line(&name));
            // Links are not followed: they may form a cycle.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                below.push((entry.path(), path));
            } else if name::looks_like_a_note(&name) {
                problems.add(format!("{path} is in a subdirectory, which is not read: move it up"));
            }
        }
    }
    Ok(problems)
}

/// Returns the fragments that a commit has directly in `dir`.
///
/// # Errors
/// git fails, or a name is not UTF-8.
pub fn tracked(git: &Git, commit: &Oid, dir: &str) -> Result<Vec<TreeEntry>> {
    let mut entries = git.list(commit, dir)?;
    entries.retain(|entry| entry.path.rsplit('/').next().is_some_and(name::counts));
    Ok(entries)
}

/// Returns the fragments directly in `dir` that a commit removed, as they were before.
///
/// # Errors
/// git fails, or a name is not UTF-8.
pub fn removed(git: &Git, commit: &Oid, dir: &str) -> Result<Vec<TreeEntry>> {
    let mut entries = git.removed_by(commit, dir)?;
    entries
        .retain(|entry| entry.path.rsplit_once('/').is_some_and(|(parent, name)| parent == dir && name::counts(name)));
    Ok(entries)
}

fn read_file(entry: &DirEntry) -> Result<Vec<u8>> {
    let path = entry.path();
    ensure!(path.to_str().is_some(), "has a name that is not UTF-8: rename it");
    if entry.file_type().context("cannot be looked at")?.is_symlink() {
        let target = path.canonicalize().context("is a symlink that leads nowhere")?;
        let dir = path.parent().context("is in no directory")?.canonicalize()?;
        ensure!(
            target.parent() == Some(&dir),
            "is a symlink that leads out of its directory: put the file itself there"
        );
    }
    let fragment = "is not a regular file: a fragment is one Markdown file, directly in the directory";
    read_text(&path, fragment, "is larger than 1 MiB: this cannot be a release note")
}

/// Reads a regular file of at most [`MAX_BYTES`].
fn read_text(path: &Path, not_a_file: &'static str, too_large: &'static str) -> Result<Vec<u8>> {
    // Checked before opening: opening a pipe would wait for a writer.
    ensure!(path.metadata().context("cannot be read")?.is_file(), not_a_file);
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).context("cannot be read")?;
    ensure!(bytes.len() as u64 <= MAX_BYTES, too_large);
    Ok(bytes)
}

/// Reads the author list, which messages name `shown`. Returns its authors, as far as they can be read, and all its
/// problems at once; `None` if it cannot be read, so that credits cannot be checked.
pub fn read_authors(path: &Utf8Path, shown: &str) -> (Option<Authors>, Problems) {
    let read = read_text(path.as_std_path(), "is not a file", "is larger than 1 MiB: this cannot be the author list");
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) => {
            let what = format!("the author list {shown} {error:#}; without it, credits are not checked");
            return (None, Problem::new(what).into());
        }
    };
    let authors = text_of(&bytes)
        .map_err(|fault| Faulty { faults: vec![fault], authors: Authors::guessed(&String::from_utf8_lossy(&bytes)) })
        .and_then(|text| Authors::parse(&text));
    match authors {
        Ok(authors) => (Some(authors), Problems::default()),
        Err(Faulty { faults, authors }) => (Some(authors), Problem::in_file(shown, faults)),
    }
}
