//! `release notes`: renders fragments for people to read, or checks them.
//!
//! Needs no git and writes no file, so a contributor gets an answer in milliseconds.

use std::sync::Arc;

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::domain::notes;
use crate::domain::notes::authors::Authors;
use crate::domain::problem::{Problem, Problems};
use crate::domain::product::Product;
use crate::tools::term;
use crate::tree::fragments::{self, Found};

/// What was asked for.
#[derive(Debug)]
pub struct Request {
    /// What is released.
    pub product: Arc<Product>,
    /// Directories of fragments, rendered together; if empty, the tree's own.
    pub dirs: Vec<Utf8PathBuf>,
    pub authors: AuthorList,
}

/// Where the authors' names and links come from.
#[derive(Debug)]
pub enum AuthorList {
    /// The tree's own list.
    Tree,
    File(Utf8PathBuf),
    /// No list: credits stay plain.
    None,
}

/// Renders to stdout; files that are not read are named on stderr.
///
/// # Errors
/// A directory cannot be read, or a fragment is invalid: the error has every problem of every file.
pub fn render(tree: &Utf8Path, request: &Request) -> Result<()> {
    let Input { found, authors, .. } = Input::read(tree, request)?;
    let mut problems = found.problems;
    let rendered =
        problems.collect(notes::render(&found.fragments, authors.as_ref(), &request.product.links)).unwrap_or_default();
    problems.into_result()?;
    for stray in found.strays.iter() {
        term::warn(stray);
    }
    term::exact(&rendered)
}

/// Prints every problem of every file to stdout. Returns whether there were none.
///
/// # Errors
/// A directory cannot be read.
pub fn check(tree: &Utf8Path, request: &Request) -> Result<bool> {
    let (count, problems) = problems(tree, request)?;
    match problems.into_result() {
        Ok(()) => {
            term::say(format_args!("{count} release note{}, no problems", if count == 1 { "" } else { "s" }));
            Ok(true)
        }
        Err(problems) => term::data(format_args!("{problems}\n")).map(|()| false),
    }
}

/// Returns the number of valid fragments, and every problem of every file.
///
/// # Errors
/// A directory cannot be read.
pub fn problems(tree: &Utf8Path, request: &Request) -> Result<(usize, Problems)> {
    let Input { found, authors, authors_shown } = Input::read(tree, request)?;
    let mut problems = found.problems;
    problems.collect(notes::render(&found.fragments, authors.as_ref(), &request.product.links));
    problems.extend(notes::duplicates(&found.fragments));
    problems.extend(found.strays);
    if let Some(authors) = &authors {
        problems.extend(Problem::in_file(&authors_shown, authors.unsorted()));
    }
    Ok((found.fragments.len(), problems))
}

/// What was found on disk.
#[derive(Default)]
struct Input {
    found: Found,
    authors: Option<Authors>,
    authors_shown: String,
}

impl Input {
    fn read(tree: &Utf8Path, request: &Request) -> Result<Input> {
        let mut input = Input::default();
        if request.dirs.is_empty() {
            input.read_own(tree, &request.product)?;
        }
        for dir in &request.dirs {
            input.read_dir(dir, dir, &request.product)?;
        }
        let (path, shown) = match &request.authors {
            AuthorList::Tree => (tree.join(notes::AUTHORS), notes::AUTHORS.to_owned()),
            AuthorList::File(path) => (path.clone(), path.to_string()),
            AuthorList::None => return Ok(input),
        };
        let (authors, problems) = fragments::read_authors(&path, &shown);
        input.authors = authors;
        input.found.problems.extend(problems);
        if let Some(authors) = &input.authors {
            input.found.problems.extend(notes::unknown_credits(&input.found.credits, authors));
        }
        input.authors_shown = shown;
        Ok(input)
    }

    /// The tree's own fragments; between releases there may be none, and git keeps no empty directory.
    fn read_own(&mut self, tree: &Utf8Path, product: &Product) -> Result<()> {
        let dir = tree.join(notes::FRAGMENTS);
        if dir.exists() {
            return self.read_dir(&dir, Utf8Path::new(notes::FRAGMENTS), product);
        }
        if !tree.join("doc/manual").is_dir() {
            bail!("{tree} has no doc/manual: name a directory of fragments, or the tree with `--repo`");
        }
        term::say(format_args!("{} does not exist: there are no fragments", notes::FRAGMENTS));
        Ok(())
    }

    fn read_dir(&mut self, dir: &Utf8Path, shown: &Utf8Path, product: &Product) -> Result<()> {
        self.found.extend(fragments::read(dir, shown, product)?);
        Ok(())
    }
}
