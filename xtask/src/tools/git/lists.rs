//! The lists that git's commands write, read: refs of a remote, names, work trees, entries of trees and of the index, and
//! what differs between two trees. Names in them are other people's.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;

use super::{TreeEntry, parse_oid};
use crate::domain::oid::Oid;
use crate::domain::shown::excerpt;

/// A path that differs between two commits, with what each of them has there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub path: String,
    pub from: Option<TreeEntry>,
    pub to: Option<TreeEntry>,
}

/// What the index has of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    pub mode: String,
    pub oid: Oid,
    /// Outside of a sparse checkout: it has no file.
    pub skipped: bool,
}

/// Reads names, one a line, except those that are not UTF-8.
pub fn names(list: &[u8]) -> Vec<String> {
    let names = list.split(|byte| *byte == b'\n').filter_map(|name| std::str::from_utf8(name).ok());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Reads what `git ls-remote` writes: the refs of a remote, with the objects that they name.
///
/// # Errors
/// It is something else.
pub fn remote_refs(list: &str) -> Result<BTreeMap<String, Oid>> {
    let entry = |line: &str| {
        let (oid, name) =
            line.split_once('\t').with_context(|| format!("`git ls-remote` wrote `{}`", excerpt(line)))?;
        Ok((name.to_owned(), parse_oid(oid)?))
    };
    list.split_terminator('\n').map(entry).collect()
}

/// Reads what `git worktree list --porcelain` writes: the paths of work trees.
pub fn work_trees(list: &str) -> Vec<Utf8PathBuf> {
    // A bare repository is listed, too.
    let entries = list.split("\n\n").filter(|entry| !entry.split('\n').any(|line| line == "bare"));
    entries.filter_map(|entry| Some(entry.split('\n').next()?.strip_prefix("worktree ")?.into())).collect()
}

/// Finds a ref in lines of `%(refname) %(worktreepath)`, and returns the path of the work tree that has it checked out.
pub fn work_tree_of(list: &str, reference: &str) -> Option<Utf8PathBuf> {
    let path = list.split('\n').find_map(|line| line.strip_prefix(reference)?.strip_prefix(' '));
    path.filter(|path| !path.is_empty()).map(Utf8PathBuf::from)
}

/// Reads what `git ls-tree -z` writes.
///
/// # Errors
/// It is something else, or a name is not UTF-8.
pub fn tree_entries(list: &[u8]) -> Result<Vec<TreeEntry>> {
    let entry = |line: &str| {
        let (attributes, path) = line.split_once('\t')?;
        let [mode, _kind, oid] = attributes.split(' ').collect::<Vec<_>>()[..] else { return None };
        Some(TreeEntry { mode: mode.to_owned(), oid: oid.parse().ok()?, path: path.to_owned() })
    };
    let lines = list.split(|byte| *byte == 0).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let shown = String::from_utf8_lossy(line);
            let path = shown.split('\t').next_back().unwrap_or_default();
            let line = std::str::from_utf8(line).ok();
            let line = line.with_context(|| format!("the name of {} is not UTF-8: rename it", excerpt(path)))?;
            entry(line).with_context(|| format!("`git ls-tree` wrote an unexpected line: {}", excerpt(line)))
        })
        .collect()
}

/// Reads what `git ls-files -t --stage -z` writes: the index, by path.
///
/// # Errors
/// It is something else.
pub fn staged(list: &[u8]) -> Result<BTreeMap<String, Staged>> {
    let entry = |line: &str| {
        let (attributes, path) = line.split_once('\t')?;
        let [tag, mode, oid, _stage] = attributes.split(' ').collect::<Vec<_>>()[..] else { return None };
        let staged = Staged { mode: mode.to_owned(), oid: oid.parse().ok()?, skipped: tag == "S" };
        Some((path.to_owned(), staged))
    };
    // A name that is not UTF-8 is not among those that differ.
    let lines = list.split(|byte| *byte == 0).filter_map(|line| std::str::from_utf8(line).ok());
    let lines = lines.filter(|line| !line.is_empty());
    lines
        .map(|line| entry(line).with_context(|| format!("`git ls-files` wrote an unexpected line: {}", excerpt(line))))
        .collect()
}

/// Reads what `git diff-tree --raw -z` writes, without renames; `None` for anything else.
pub fn differences(text: &str) -> Option<Vec<Difference>> {
    let fields: Vec<&str> = text.split_terminator('\0').collect();
    let difference = |pair: &[&str]| {
        let [attributes, path] = pair else { return None };
        let [from_mode, to_mode, from, to, ..] = attributes.strip_prefix(':')?.split(' ').collect::<Vec<_>>()[..]
        else {
            return None;
        };
        let entry = |mode: &str, oid: &str| -> Option<Option<TreeEntry>> {
            if mode == "000000" {
                return Some(None);
            }
            Some(Some(TreeEntry { mode: mode.to_owned(), oid: oid.parse().ok()?, path: (*path).to_owned() }))
        };
        Some(Difference { path: (*path).to_owned(), from: entry(from_mode, from)?, to: entry(to_mode, to)? })
    };
    fields.chunks(2).map(difference).collect()
}
