//! `adopt`: puts this tool into a tree, or checks that it is there as it should be.
//!
//! Copies the tool's files and adds a few lines to the tree's own, after showing them and asking. Each file is written
//! under a temporary name and renamed, in an order that keeps the tree's own `cargo` working at every moment. After a
//! kill, the same command completes the work; if nothing is missing, it does nothing.

mod copy;
mod guard;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use self::copy::Copy;
use crate::domain::adoption::{self, Adoption, CARGO_CONFIGS, Edit, GUIDE, Host, IGNORED, MANIFEST, TOOL};
use crate::domain::notes;
use crate::domain::problem::Problems;
use crate::domain::product::Product;
use crate::domain::release::official;
use crate::domain::release::version_file;
use crate::domain::shown::one_line;
use crate::tools::files;
use crate::tools::git::Git;
use crate::tools::scratch_repo::{self, ScratchRepo};
use crate::tools::term::{self, BOLD, GOOD};
use crate::tree::release_dir;

/// What was asked for.
#[derive(Debug)]
pub struct Request {
    /// The top of the tree.
    pub dir: Utf8PathBuf,
    pub consent: Consent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    Ask,
    Given,
    /// Nothing is written.
    Refused,
}

/// Copies the tool in `workspace` into a tree. Returns whether the tree is complete, with nothing left to do by hand.
///
/// # Errors
/// Every problem at once; nothing has changed then. Or a file cannot be written; those written before it stay.
pub fn run(workspace: &Utf8Path, product: &Product, request: &Request) -> Result<bool> {
    let git = open(&request.dir)?;
    let root = git.root();
    let _lock = release_dir::lock(root)?;
    let real = |dir: &Utf8Path| dir.canonicalize_utf8().ok();
    let stands_here = real(workspace).is_some_and(|tool| real(&root.join(TOOL)) == Some(tool));
    let tool = if stands_here { Vec::new() } else { copy::of_tool(workspace)? };

    let places = [MANIFEST, IGNORED, GUIDE].into_iter().chain(CARGO_CONFIGS);
    guard::links(root, places.chain(tool.iter().map(|file| file.path.as_str()))).into_result()?;
    let (adoption, copy) = decide(&git, product, tool, request.consent)?;
    let left = show(&git, &adoption, &copy)?;
    if adoption.edits.is_empty() && copy.is_done() {
        term::say(format_args!("{GOOD}nothing to do{GOOD:#} in {root}"));
        return Ok(left == 0);
    }
    match request.consent {
        Consent::Refused => {
            term::say("nothing was written; next: the same command without `--check`");
            return Ok(false);
        }
        Consent::Ask if !term::ask(format_args!("Write this to {root}?"))? => {
            bail!("nothing was written: the answer was not yes (without a terminal, pass `--yes`)");
        }
        Consent::Ask | Consent::Given => write(root, &adoption, &copy)?,
    }
    term::say(format_args!(
        "{GOOD}done:{GOOD:#} {root} has the tool; next: commit it, then `cargo xtask release doctor` there"
    ));
    Ok(left == 0)
}

/// Opens the tree whose top is `dir`.
fn open(dir: &Utf8Path) -> Result<Git> {
    ensure!(dir.is_dir(), "{dir} is not a directory: name the top of the tree that gets the tool");
    let git = Git::open(dir)?;
    let same = dir.canonicalize_utf8().ok() == git.root().canonicalize_utf8().ok();
    ensure!(same, "{dir} is inside the tree {}: name the top of the tree", git.root());
    Ok(git)
}

/// Reads the files of a tree that adoption edits or checks.
fn observe(root: &Utf8Path) -> Result<Host> {
    let read = |path: &str| files::read_if_there(&root.join(path));
    let [old, usual] = CARGO_CONFIGS;
    let cargo_config_path = if files::is_there(&root.join(old)) { old } else { usual };
    Ok(Host {
        version_file: read(version_file::PATH)?,
        flake: read(official::FLAKE)?,
        manifest: read(MANIFEST)?,
        cargo_config_path,
        cargo_config: read(cargo_config_path)?,
        ignored: read(IGNORED)?,
        summary: read(notes::SUMMARY)?,
    })
}

fn decide(git: &Git, product: &Product, tool: Vec<copy::ToolFile>, consent: Consent) -> Result<(Adoption, Copy)> {
    let mut problems = copy::of_others(git, &tool)?;
    let adoption = problems.collect(adoption::decide(product, &observe(git.root())?));
    let Some(adoption) = adoption.filter(|_| problems.is_empty()) else {
        return Err(problems).context("nothing was written");
    };
    let copy = Copy::compare(tool, git)?;
    if consent != Consent::Refused {
        let edits = adoption.edits.iter().map(|edit| edit.path);
        let changed = edits.chain(copy.changed.iter().map(|file| file.path.as_str()));
        guard::unsaved(git, changed)?.into_result().context("nothing was written")?;
    }
    Ok((adoption, copy))
}

/// Shows what will change. Returns how many things are left to do by hand.
fn show(git: &Git, adoption: &Adoption, copy: &Copy) -> Result<usize> {
    term::say(format_args!("{BOLD}{}{BOLD:#} {}", git.root(), adoption.shape));
    if !copy.new.is_empty() {
        let (new, size) = (copy.new.len(), copy.size().div_ceil(1000));
        term::say(format_args!("  + {new} new files of the tool, {size} kB"));
    }
    for file in &copy.changed {
        term::say(format_args!("  ~ {}", one_line(&file.path)));
    }
    if !adoption.edits.is_empty() {
        let scratch = ScratchRepo::temporary(git)?;
        let head = git.head()?.commit;
        let tree = |text: &dyn Fn(&Edit) -> Option<String>| {
            let edits = adoption.edits.iter().filter_map(|edit| Some((edit, text(edit)?)));
            let edits =
                edits.map(|(edit, text)| scratch_repo::Edit { path: edit.path.to_owned(), content: Some(text) });
            scratch.tree(&head, &edits.collect::<Vec<_>>())
        };
        let (before, after) = (tree(&|edit| edit.before.clone())?, tree(&|edit| Some(edit.after.clone()))?);
        git.show_diff(&before, &after, scratch.environment())?;
    }
    let mut left = adoption.left.clone();
    match copy.config() {
        Some(Ok(remark)) => term::say(format_args!("  {remark}")),
        Some(Err(fault)) => left.push(fault),
        None => {}
    }
    let strays = Problems::of_files(&copy.strays, "is not part of the tool and stays");
    adoption.remarks.iter().for_each(|remark| term::say(format_args!("  {remark}")));
    strays.iter().for_each(|stray| term::say(format_args!("  {stray}")));
    left.iter().for_each(|what| term::warn(format_args!("left to you: {what}")));
    Ok(left.len())
}

/// Writes the alias last: it works only once everything else is there.
fn write(root: &Utf8Path, adoption: &Adoption, copy: &Copy) -> Result<()> {
    let (aliases, lines): (Vec<&Edit>, Vec<&Edit>) =
        adoption.edits.iter().partition(|edit| CARGO_CONFIGS.contains(&edit.path));
    lines.into_iter().try_for_each(|edit| place(root, edit))?;
    copy.write(root)?;
    aliases.into_iter().try_for_each(|edit| place(root, edit))
}

fn place(root: &Utf8Path, edit: &Edit) -> Result<()> {
    let path = root.join(edit.path);
    ensure!(files::read_if_there(&path)? == edit.before, "{path} changed in the meantime: run the same command again");
    let mode = fs::metadata(&path).map_or(0o666, |facts| facts.permissions().mode() & 0o777);
    files::write_atomic_with_mode(&path, edit.after.as_bytes(), mode)
}
