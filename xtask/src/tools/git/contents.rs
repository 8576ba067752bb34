//! Many files of a repository, read by one call of git.

use anyhow::{Context, Result};

use super::lists;
use super::{Git, TreeEntry};
use crate::domain::oid::Oid;
use crate::tools::process;

impl Git {
    /// Reads the contents of files, in the order of `oids`.
    ///
    /// # Errors
    /// git cannot read one of them.
    pub fn contents<'o>(&self, oids: impl IntoIterator<Item = &'o Oid>) -> Result<Vec<Vec<u8>>> {
        let names: Vec<String> = oids.into_iter().map(Oid::to_string).collect();
        let contents = self.batch(&names)?.into_iter().zip(&names);
        contents.map(|(content, oid)| content.with_context(|| format!("git cannot read the file {oid}"))).collect()
    }

    /// Reads one file in each of several commits as text; `None` for a commit that does not have it.
    ///
    /// # Errors
    /// git fails.
    pub fn versions_of(&self, path: &str, commits: &[Oid]) -> Result<Vec<Option<String>>> {
        let names: Vec<String> = commits.iter().map(|commit| format!("{commit}:{path}")).collect();
        let text = |content: Option<Vec<u8>>| {
            let content = content.map(String::from_utf8).transpose();
            content.with_context(|| format!("{path} is not UTF-8"))
        };
        self.batch(&names)?.into_iter().map(text).collect()
    }

    /// Returns the files below a directory that a commit removed, compared with its first parent, as they were before.
    ///
    /// # Errors
    /// The commit has no parent, or a name is not UTF-8.
    pub fn removed_by(&self, commit: &Oid, dir: &str) -> Result<Vec<TreeEntry>> {
        let removed = ["diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--diff-filter=D"];
        let parent = format!("{commit}^1");
        let cmd = self.cmd(removed).args([parent.as_str(), commit.as_str(), "--", dir]);
        let bytes = process::read_bytes(cmd)?;
        let text = std::str::from_utf8(&bytes)
            .with_context(|| format!("a name below {dir} in the history of {} is not UTF-8", commit.short()))?;
        let removed = lists::differences(text).map(|all| all.into_iter().filter_map(|one| one.from).collect());
        removed.with_context(|| format!("`git diff-tree` wrote something unexpected about {commit}"))
    }

    /// Returns what git's index has of some paths, relative to the top of the tree.
    ///
    /// # Errors
    /// A name is not UTF-8.
    pub fn tracked(&self, paths: &[&str]) -> Result<Vec<TreeEntry>> {
        let cmd = self.cmd(["--literal-pathspecs", "ls-files", "--stage", "-z", "--"]).args(paths);
        let shown = cmd.to_string();
        let list = process::text(&shown, process::read_bytes(cmd)?)?;
        let entry = |line: &str| {
            let (attributes, path) = line.split_once('\t')?;
            let [mode, oid, _stage] = attributes.split(' ').collect::<Vec<_>>()[..] else { return None };
            Some(TreeEntry { mode: mode.to_owned(), oid: oid.parse().ok()?, path: path.to_owned() })
        };
        let lines = list.split_terminator('\0');
        lines.map(|line| entry(line).with_context(|| format!("`{shown}` wrote an unexpected line: {line}"))).collect()
    }

    /// Returns the paths below a directory that git tracks or could track: all except those that are ignored.
    ///
    /// # Errors
    /// A name is not UTF-8.
    pub fn tracked_and_new(&self, dir: &str) -> Result<Vec<String>> {
        let list = ["--literal-pathspecs", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", dir];
        let list = process::read(self.cmd(list))?;
        Ok(list.split_terminator('\0').map(str::to_owned).collect())
    }

    /// Asks `git cat-file --batch` for each of these names, none of which has a line break; `None` for "missing".
    fn batch(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let asked: String = names.iter().map(|name| format!("{name}\n")).collect();
        let answers = process::read_bytes(self.cmd(["cat-file", "--batch"]).stdin(asked))?;
        let mut rest = answers.as_slice();
        let read = |name: &String| answer(name, &mut rest).context("`git cat-file --batch` wrote something unexpected");
        names.iter().map(read).collect()
    }
}

/// Splits off the first answer: `OID blob SIZE`, a line break, the content, and a line break; or `NAME missing`.
fn answer(name: &str, answers: &mut &[u8]) -> Option<Option<Vec<u8>>> {
    let end = answers.iter().position(|byte| *byte == b'\n')?;
    let (heading, rest) = (std::str::from_utf8(&answers[..end]).ok()?, &answers[end + 1..]);
    if heading.strip_prefix(name) == Some(" missing") {
        *answers = rest;
        return Some(None);
    }
    let size: usize = heading.split_once(" blob ")?.1.parse().ok()?;
    let (content, rest) = rest.split_at_checked(size)?;
    *answers = rest.strip_prefix(b"\n")?;
    Some(Some(content.to_owned()))
}
