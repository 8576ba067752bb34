//! The tool's own files on their way into a tree: those that git tracks where the tool is, compared with those that the
//! tree has.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;

use crate::domain::adoption::{CONFIG, GUIDE, MARK, TOOL, is_this_guide, is_this_tool};
use crate::domain::environment::Config;
use crate::domain::problem::Problems;
use crate::tools::files;
use crate::tools::git::Git;

/// A file of the tool.
pub struct ToolFile {
    /// Path relative to the top of a tree.
    pub path: String,
    content: Vec<u8>,
    mode: u32,
}

/// What has to be copied into a tree.
#[derive(Default)]
pub struct Copy {
    /// Files that the tree does not have. The first is the one that identifies the tool: an adoption that was killed
    /// after writing it can be continued.
    pub new: Vec<ToolFile>,
    pub changed: Vec<ToolFile>,
    /// Other files that the tree has below `xtask/`, except those that git ignores.
    pub strays: Vec<String>,
    /// The tree's own `releng.toml`, if it is not the tool's.
    config: Option<Vec<u8>>,
}

/// Reads the tool's files in `workspace`.
///
/// # Errors
/// git does not track them.
pub fn of_tool(workspace: &Utf8Path) -> Result<Vec<ToolFile>> {
    let top = workspace.parent().unwrap_or(workspace);
    let git = Git::open(top).context("cannot tell which files are the tool's")?;
    let tracked = git.tracked(&[TOOL, GUIDE])?;
    ensure!(
        tracked.iter().any(|file| file.path == MARK),
        "git does not track the files of {workspace}: adopt the tool from a tree where they are committed"
    );
    let mut brought = Vec::new();
    for file in tracked {
        ensure!(file.is_file(), "{top}/{} is not a regular file, and the tool consists of nothing else", file.path);
        let mode = if file.mode == "100755" { 0o777 } else { 0o666 };
        brought.push(ToolFile { content: files::read(&git.root().join(&file.path))?, path: file.path, mode });
    }
    brought.sort_by_key(|file| file.path != MARK);
    Ok(brought)
}

/// Reports what is in the place of the tool or its guide and is something else. Does not look at links.
///
/// # Errors
/// A file cannot be read.
pub fn of_others(git: &Git, tool: &[ToolFile]) -> Result<Problems> {
    let mut problems = Problems::default();
    let mark = files::read_if_there(&git.root().join(MARK)).ok().flatten();
    if !mark.as_deref().is_some_and(is_this_tool) && !is_free(git, tool)? {
        problems.add(format!(
            "{TOOL}/ is not this tool: move it away, or keep it and release from another copy with `--repo {}`",
            git.root()
        ));
    }
    if files::read_if_there(&git.root().join(GUIDE))?.is_some_and(|text| !is_this_guide(&text)) {
        problems.add(format!("{GUIDE} is not this tool's guide: move it away"));
    }
    Ok(problems)
}

/// Whether the tool's place is free. Compiled files do not count, which stay when a branch without the tool is checked
/// out; nor do unchanged files of the tool, such as the one that the flake reads; nor do temporary files of a killed
/// adoption.
fn is_free(git: &Git, tool: &[ToolFile]) -> Result<bool> {
    let (root, dir) = (git.root(), git.root().join(TOOL));
    let ours = |path: &Utf8Path| tool.iter().find(|file| root.join(&file.path) == path);
    let mut todo = if files::is_there(&dir) { vec![dir.clone()] } else { Vec::new() };
    while let Some(here) = todo.pop() {
        if !fs::symlink_metadata(&here).is_ok_and(|facts| facts.is_dir()) {
            let same = |file: &ToolFile| files::bytes_if_there(&here).ok().flatten().as_ref() == Some(&file.content);
            if !ours(&here).is_some_and(same) {
                return Ok(false);
            }
            continue;
        }
        for entry in here.read_dir_utf8().with_context(|| format!("cannot read {here}"))? {
            let entry = entry.with_context(|| format!("cannot read {here}"))?;
            let is_compiled = here == dir && entry.file_name() == TARGET;
            if !is_compiled && !files::is_half_written(entry.file_name()) {
                todo.push(entry.into_path());
            }
        }
    }
    Ok(git.tracked(&[TOOL])?.iter().all(|file| ours(&root.join(&file.path)).is_some()))
}

/// The directory that cargo compiles into.
const TARGET: &str = "target";

impl Copy {
    /// Compares the tool's files with those of a tree.
    ///
    /// # Errors
    /// A file of the tree cannot be read.
    pub fn compare(tool: Vec<ToolFile>, git: &Git) -> Result<Copy> {
        let mut copy = Copy::default();
        let compiled = format!("{TOOL}/{TARGET}/");
        let known = git.tracked_and_new(TOOL)?.into_iter();
        let is_stray = |path: &String| !path.starts_with(&compiled) && !tool.iter().any(|file| file.path == *path);
        copy.strays = known.filter(is_stray).collect();
        for file in tool {
            let path = git.root().join(&file.path);
            match files::bytes_if_there(&path)? {
                None => copy.new.push(file),
                Some(there) if file.path == CONFIG => copy.config = (there != file.content).then_some(there),
                Some(there) if there == file.content && is_executable(&path)? == (file.mode & 0o100 != 0) => {}
                Some(_) => copy.changed.push(file),
            }
        }
        Ok(copy)
    }

    pub fn is_done(&self) -> bool {
        self.new.is_empty() && self.changed.is_empty()
    }

    /// Size of the new files in bytes.
    pub fn size(&self) -> usize {
        self.new.iter().map(|file| file.content.len()).sum()
    }

    /// Describes the tree's own `releng.toml`, if it differs from the tool's; `Err` if this tool cannot read it.
    pub fn config(&self) -> Option<Result<String, String>> {
        let text = String::from_utf8_lossy(self.config.as_deref()?);
        Some(match Config::parse(&text) {
            Ok(_) => Ok(format!("{CONFIG} is the tree's own and stays; the tool's differs")),
            Err(why) => Err(format!("{CONFIG} is the tree's own and stays, but this tool cannot read it: {why}")),
        })
    }

    /// Writes the new and the changed files.
    ///
    /// # Errors
    /// A file cannot be written. Those written before it stay.
    pub fn write(&self, root: &Utf8Path) -> Result<()> {
        let mut all = self.new.iter().chain(&self.changed);
        all.try_for_each(|file| files::write_atomic_with_mode(&root.join(&file.path), &file.content, file.mode))
    }
}

fn is_executable(path: &Utf8Path) -> Result<bool> {
    let facts = fs::metadata(path).with_context(|| format!("cannot look at {path}"))?;
    Ok(facts.permissions().mode() & 0o100 != 0)
}
