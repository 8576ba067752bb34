//! Fragments and author lists on disk: which files count, and their bytes.
//!
//! Refuses to decide what is in them; that is [`crate::domain::fragment`]'s.

use std::io::Read;

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::domain::authors::Authors;
use crate::domain::fragment::{Fragment, text_of};
use crate::domain::problem::{Problem, Problems};

/// No fragment is nearly this long; whatever is, is there by mistake.
const MAX_BYTES: u64 = 1 << 20;

/// Reads every `*.md` directly in `dir`, in code-point order, but for names that start with a dot.
///
/// Messages name a file by `shown/NAME`.
///
/// # Errors
/// `Err` if the directory cannot be read; otherwise the problems of all files at once.
pub fn read(dir: &Utf8Path, shown: &Utf8Path) -> Result<(Vec<Fragment>, Problems)> {
    let mut fragments = Vec::new();
    let mut problems = Problems::default();
    for name in names(dir)? {
        let path = shown.join(&name).into_string();
        let parsed = match read_file(dir, &name) {
            Ok(bytes) => Fragment::parse(&path, &bytes).map_err(|faults| Problem::in_file(&path, faults)),
            Err(error) => Err(Problems::from_iter([Problem::at(&path, 1, format!("{error:#}"))])),
        };
        fragments.extend(problems.collect(parsed));
    }
    Ok((fragments, problems))
}

/// The names of the fragments in `dir`, sorted. A name that is not UTF-8 is shown with replacement characters; opening
/// it then fails and says so.
///
/// # Errors
/// The directory cannot be read.
pub fn names(dir: &Utf8Path) -> Result<Vec<String>> {
    let cannot = || format!("cannot read the directory {dir}");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(cannot)? {
        let name = entry.with_context(cannot)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read_file(dir: &Utf8Path, name: &str) -> Result<Vec<u8>> {
    let path = dir.join(name);
    if path.is_symlink() {
        let target = path.canonicalize_utf8().context("is a symlink that leads nowhere")?;
        let inside = target.parent() == Some(dir.canonicalize_utf8()?.as_path());
        anyhow::ensure!(inside, "is a symlink that leads out of its directory: put the file itself there");
    }
    let metadata = path.metadata().with_context(|| match name.contains(char::REPLACEMENT_CHARACTER) {
        true => "cannot be opened: its name is not UTF-8",
        false => "cannot be opened",
    })?;
    anyhow::ensure!(metadata.is_file(), "is not a file: a fragment is one Markdown file, directly in the directory");
    let mut bytes = Vec::new();
    std::fs::File::open(&path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .context("cannot be read")?;
    anyhow::ensure!(bytes.len() as u64 <= MAX_BYTES, "is larger than 1 MiB: this cannot be a release note");
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
