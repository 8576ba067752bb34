//! The source of a commit as an archive, which depends on the commit's tree and the attributes in it, but not on the
//! clone.
//!
//! git makes the archive in a [`Pristine`] repository, and the result is compared with the tree, file by file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use flate2::read::GzDecoder;

use super::git::{Git, parse_oid};
use super::pristine::Pristine;
use super::process::running;
use super::tarball::{self, Content, Expected};
use super::{files, process};
use crate::domain::amounts::counted;
use crate::domain::build::placeholder;
use crate::domain::digest::FileFacts;
use crate::domain::oid::Oid;
use crate::domain::problem::Problems;

/// The attributes that decide what an archive holds.
const ATTRIBUTES: [&str; 6] = ["export-ignore", "export-subst", "filter", "eol", "ident", "working-tree-encoding"];

/// A commit's files, and a repository that has nothing else.
#[derive(Debug)]
pub struct Source {
    pristine: Pristine,
    commit: Oid,
    /// Entries by path; the path of a directory ends with `/`.
    entries: BTreeMap<Vec<u8>, Entry>,
}

#[derive(Debug)]
struct Entry {
    mode: Vec<u8>,
    oid: Oid,
    /// Attributes that are set or have a value.
    attributes: BTreeMap<String, String>,
}

impl Entry {
    fn is_file(&self) -> bool {
        self.mode.starts_with(b"100")
    }

    fn is_directory(&self) -> bool {
        self.mode == b"040000"
    }

    fn has(&self, attribute: &str) -> bool {
        self.attributes.get(attribute).is_some_and(|value| value == "set")
    }

    fn value(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute).map(String::as_str).filter(|value| *value != "set")
    }

    /// Whether git converts the blob when it archives the file.
    fn is_converted(&self) -> bool {
        self.is_file()
            && (self.value("eol") == Some("crlf") || self.has("ident") || self.value("working-tree-encoding").is_some())
    }
}

impl Source {
    /// Reads a commit. The repository made for it also has the ref and object of `reference`, if they are given.
    ///
    /// # Errors
    /// git fails, for example because an object is missing.
    pub fn open(git: &Git, commit: &Oid, reference: Option<(&str, &Oid)>) -> Result<Source> {
        let pristine = Pristine::at(git, commit, reference)?;
        process::read(pristine.cmd(["read-tree", commit.as_str()]))?;
        let listed = process::read_bytes(pristine.cmd(["ls-tree", "-r", "-t", "-z", "--full-tree", commit.as_str()]))?;
        let mut entries = BTreeMap::new();
        for line in listed.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            let (path, entry) = parse_entry(line).with_context(|| {
                format!("`git ls-tree` wrote an unexpected line: {}", String::from_utf8_lossy(line))
            })?;
            entries.insert(path, entry);
        }
        let mut source = Source { pristine, commit: commit.clone(), entries };
        source.read_attributes()?;
        Ok(source)
    }

    fn read_attributes(&mut self) -> Result<()> {
        let paths: Vec<u8> = self.entries.keys().flat_map(|path| path.iter().chain(b"\0")).copied().collect();
        let cmd = self.pristine.cmd(["check-attr", "--cached", "-z", "--stdin"]).args(ATTRIBUTES).stdin(paths);
        let said = process::read_bytes(cmd)?;
        let fields: Vec<&[u8]> = said.strip_suffix(b"\0").unwrap_or(&said).split(|byte| *byte == 0).collect();
        for answer in fields.chunks(3).filter(|_| !said.is_empty()) {
            let [path, attribute, value] = answer else { anyhow::bail!("`git check-attr` wrote something unexpected") };
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let entry = self.entries.get_mut(*path);
            let entry = entry
                .with_context(|| format!("`git check-attr` answered for {}, which is not in the tree", text(path)))?;
            if !matches!(*value, b"unspecified" | b"unset") {
                entry.attributes.insert(text(attribute), text(value));
            }
        }
        Ok(())
    }

    /// Returns the repository that has only this commit, for programs that read it themselves.
    pub fn repository(&self) -> &Utf8Path {
        self.pristine.root()
    }

    /// Returns what would make the archive depend on the clone or the machine, and so prevents a release.
    ///
    /// # Errors
    /// git fails.
    pub fn faults(&self) -> Result<Problems> {
        let mut problems = Problems::default();
        let mut filtered: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (path, entry) in self.archived().filter(|(_, entry)| entry.is_file()) {
            let path = String::from_utf8_lossy(path);
            if let Some(filter) = entry.value("filter") {
                filtered.entry(filter).or_default().push(path.clone());
            }
            if entry.has("export-subst") {
                let unstable = placeholder::unstable(&self.blob(entry)?);
                if !unstable.is_empty() {
                    problems.add(format!(
                        "{path} has the attribute `export-subst`, and {} in it differs from clone to clone or from day to \
                         day: use `%H` or another placeholder that does not",
                        unstable.join(" ")
                    ));
                }
            }
        }
        for (filter, paths) in filtered {
            let files = match paths.as_slice() {
                [path] => format!("{path} has"),
                paths => format!("{} and {} have", paths[0], counted(paths.len() - 1, "other file")),
            };
            problems.add(format!(
                "{files} the attribute `filter={filter}`, and each clone decides for itself what that filter does: remove \
                 the attribute, and release the content that git has"
            ));
        }
        Ok(problems)
    }

    /// Returns the paths of the submodules, for which an archive has only empty directories.
    pub fn submodules(&self) -> Vec<String> {
        let submodules = self.archived().filter(|(_, entry)| entry.mode == b"160000");
        submodules.map(|(path, _)| String::from_utf8_lossy(path).trim_end_matches('/').to_owned()).collect()
    }

    /// Returns the files, links and submodules that the attributes do not exclude.
    fn archived(&self) -> impl Iterator<Item = (&Vec<u8>, &Entry)> {
        self.entries().filter(|(_, entry)| !entry.is_directory())
    }

    /// Returns the entries that the attributes do not exclude.
    fn entries(&self) -> impl Iterator<Item = (&Vec<u8>, &Entry)> {
        let is_out = |path: &[u8]| self.entries.get(path).is_some_and(|entry| entry.has("export-ignore"));
        self.entries.iter().filter(move |(path, _)| !directories(path).any(is_out) && !is_out(path))
    }

    fn blob(&self, entry: &Entry) -> Result<Vec<u8>> {
        process::read_bytes(self.pristine.cmd(["cat-file", "blob", entry.oid.as_str()]))
    }

    /// Writes the archive, and reads it back to check it.
    ///
    /// # Errors
    /// git fails, the file cannot be written, or the archive does not hold what it should.
    pub fn archive(&self, prefix: &str, to: &Utf8Path) -> Result<FileFacts> {
        let mailmap = format!("mailmap.blob={}:.mailmap", self.commit);
        let cmd = self.pristine.cmd(["-c", &mailmap, "archive", "--format=tar", &format!("--prefix={prefix}")]);
        let facts = running::stream(cmd.arg(self.commit.as_str()), |mut tar| files::gzip(&mut tar, to))?;
        self.check(prefix, to)?;
        Ok(facts)
    }

    /// Checks that an archive holds exactly the tree.
    ///
    /// # Errors
    /// The first thing that differs, by its name; or the archive cannot be read.
    pub fn check(&self, prefix: &str, path: &Utf8Path) -> Result<()> {
        let expected = self.expected(prefix)?;
        tarball::check(GzDecoder::new(files::open_file(path)?.0), expected)
            .with_context(|| format!("the archive of {} differs from its tree", self.commit.short()))
    }

    /// Returns what the archive should hold.
    fn expected(&self, prefix: &str) -> Result<BTreeMap<Vec<u8>, Expected>> {
        let mut blobs = self.blobs()?;
        let mut converted = self.converted()?;
        let below = |path: &[u8]| [prefix.as_bytes(), path].concat();
        let dirs = self.entries().filter(|(_, entry)| entry.is_directory());
        let mut expected: BTreeMap<_, _> = dirs.map(|(path, _)| (below(path), Expected::EmptyDirectory)).collect();
        expected.insert(below(b""), Expected::Directory);
        for (path, entry) in self.archived() {
            expected.extend(directories(path).map(|dir| (below(dir), Expected::Directory)));
            let mut content = || {
                let bytes = converted.remove(&path[..]).or_else(|| blobs.remove(path));
                bytes.with_context(|| format!("git did not show {}", String::from_utf8_lossy(path)))
            };
            let what = match &entry.mode[..] {
                b"160000" => Expected::Directory,
                b"120000" => Expected::Symlink(content()?),
                mode => {
                    let filled = entry.has("export-subst");
                    let content = if filled { Content::Filled(content()?) } else { Content::Bytes(content()?) };
                    Expected::File { executable: mode == b"100755", content }
                }
            };
            expected.insert(below(path), what);
        }
        Ok(expected)
    }

    /// Returns the files that git checks out with other line ends or in another encoding, as it checks them out.
    fn converted(&self) -> Result<BTreeMap<&[u8], Vec<u8>>> {
        let converted = || self.archived().filter(|(_, entry)| entry.is_converted()).map(|(path, _)| path.as_slice());
        let paths: Vec<u8> = converted().flat_map(|path| path.iter().chain(b"\0")).copied().collect();
        let dir = self.pristine.beside("converted");
        let cmd = self.pristine.cmd(["checkout-index", "--force", "-z", "--stdin", &format!("--prefix={dir}/")]);
        process::read(cmd.stdin(paths))?;
        let read = |path| {
            let file = dir.as_std_path().join(OsStr::from_bytes(path));
            let content = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok((path, content))
        };
        converted().map(read).collect()
    }

    /// Reads the content of every file and link.
    fn blobs(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let wanted: Vec<_> = self.archived().filter(|(_, entry)| entry.mode != b"160000").collect();
        let names: String = wanted.iter().map(|(_, entry)| format!("{}\n", entry.oid)).collect();
        let all = process::read_bytes(self.pristine.cmd(["cat-file", "--batch", "--buffer"]).stdin(names))?;
        let mut rest = &all[..];
        let mut blobs = BTreeMap::new();
        for (path, entry) in wanted {
            let content = next_blob(&mut rest, &entry.oid);
            let content = content.with_context(|| format!("git cannot show {}", String::from_utf8_lossy(path)))?;
            blobs.insert(path.clone(), content.to_vec());
        }
        ensure!(rest.is_empty(), "`git cat-file` wrote more than it was asked for");
        Ok(blobs)
    }
}

/// Splits off one answer of `git cat-file --batch`: `OID blob SIZE`, the content, and a newline.
fn next_blob<'a>(rest: &mut &'a [u8], oid: &Oid) -> Option<&'a [u8]> {
    let line = rest.iter().position(|byte| *byte == b'\n')?;
    let size = std::str::from_utf8(&rest[..line]).ok()?.strip_prefix(&format!("{oid} blob "))?.parse::<usize>().ok()?;
    let content = rest.get(line + 1..(line + 1).checked_add(size)?)?;
    *rest = rest.get(line + 1 + size..)?.strip_prefix(b"\n")?;
    Some(content)
}

/// Parses one line of `git ls-tree`: `MODE KIND OID`, a tab, and the path.
fn parse_entry(line: &[u8]) -> Option<(Vec<u8>, Entry)> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let [mode, kind, oid] = line[..tab].split(|byte| *byte == b' ').collect::<Vec<_>>()[..] else { return None };
    let mut path = line[tab + 1..].to_vec();
    // As git writes directories in patterns and archives.
    if kind != b"blob" {
        path.push(b'/');
    }
    let oid = parse_oid(std::str::from_utf8(oid).ok()?).ok()?;
    Some((path, Entry { mode: mode.to_vec(), oid, attributes: BTreeMap::new() }))
}

/// Returns the directories above a path, each with its `/`.
fn directories(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let inner = &path[..path.len().saturating_sub(1)];
    inner.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..=at])
}
