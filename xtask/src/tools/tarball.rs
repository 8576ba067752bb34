//! Compares a tar archive with what it should hold: every entry with its mode and content, and nothing else.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use tar::{Entry, EntryType};

use crate::domain::build::placeholder;

/// What an entry should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    Directory,
    /// A directory whose content is all excluded: git writes it if it has files.
    EmptyDirectory,
    File {
        executable: bool,
        content: Content,
    },
    /// A link with this target.
    Symlink(Vec<u8>),
}

/// What a file should hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Bytes(Vec<u8>),
    /// This content, with its placeholders filled in.
    Filled(Vec<u8>),
}

impl Content {
    fn is(&self, content: &[u8]) -> bool {
        match self {
            Content::Bytes(bytes) => bytes == content,
            Content::Filled(template) => placeholder::is_filled(template, content),
        }
    }
}

/// Compares an archive with the expected entries, by path. The path of a directory ends with `/`.
///
/// # Errors
/// The first entry that differs, by its name; or the archive is damaged.
pub fn check(archive: impl Read, mut expected: BTreeMap<Vec<u8>, Expected>) -> Result<()> {
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().context("it is not a tar archive")? {
        let mut entry = entry.context("it is damaged")?;
        // git's own header, which names the commit.
        if entry.header().entry_type() == EntryType::XGlobalHeader {
            continue;
        }
        let path = entry.path_bytes().into_owned();
        let shown = String::from_utf8_lossy(&path).into_owned();
        let wanted = expected.remove(&path);
        let wanted = wanted.with_context(|| format!("{shown} occurs twice, or should not be there"))?;
        compare(&mut entry, &wanted).with_context(|| format!("{shown} differs from the tree"))?;
    }
    let mut rest = Vec::new();
    archive.into_inner().read_to_end(&mut rest).context("it is damaged")?;
    ensure!(rest.iter().all(|byte| *byte == 0), "there is data after its end");
    if let Some((path, _)) = expected.iter().find(|(_, what)| **what != Expected::EmptyDirectory) {
        bail!("{} is missing", String::from_utf8_lossy(path));
    }
    Ok(())
}

fn compare<R: Read>(entry: &mut Entry<'_, R>, expected: &Expected) -> Result<()> {
    let (kind, mode) = match expected {
        Expected::Directory | Expected::EmptyDirectory => (EntryType::Directory, 0o775),
        Expected::File { executable: true, .. } => (EntryType::Regular, 0o775),
        Expected::File { executable: false, .. } => (EntryType::Regular, 0o664),
        Expected::Symlink(_) => (EntryType::Symlink, 0o777),
    };
    let is = entry.header().entry_type();
    ensure!(is == kind, "its type is {is:?}, but should be {kind:?}");
    let is = entry.header().mode().context("its mode cannot be read")?;
    ensure!(is == mode, "its mode is {is:o}, but should be {mode:o}");
    match expected {
        Expected::Directory | Expected::EmptyDirectory => {}
        Expected::Symlink(target) => {
            let is = entry.link_name_bytes().unwrap_or_default();
            let shown = String::from_utf8_lossy(&is).into_owned();
            ensure!(*is == **target, "its target is {shown}, but should be {}", String::from_utf8_lossy(target));
        }
        Expected::File { content, .. } => {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).context("it is cut off")?;
            ensure!(content.is(&bytes), "its content is different");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use tar::{Builder, Header};

    use super::*;

    /// Appends an entry, whatever its path.
    fn append(tar: &mut Builder<Vec<u8>>, path: &str, kind: EntryType, mode: u32, content: &[u8], link: &str) {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_link_name_literal(link).expect("short");
        header.set_cksum();
        tar.append(&header, content).expect("written");
    }

    fn expected() -> BTreeMap<Vec<u8>, Expected> {
        let file = |executable, content: &str| Expected::File { executable, content: Content::Bytes(content.into()) };
        BTreeMap::from([
            (b"lix/".to_vec(), Expected::Directory),
            (b"lix/a".to_vec(), file(false, "text")),
            (b"lix/run".to_vec(), file(true, "#!")),
            (b"lix/link".to_vec(), Expected::Symlink(b"a".to_vec())),
        ])
    }

    /// Path, kind, mode, content, and where a link leads.
    type Entry<'a> = (&'a str, EntryType, u32, &'a [u8], &'a str);

    /// Makes an archive as it should be, except for what `change` does to an entry, and what `more` appends.
    fn archive(change: impl Fn(&mut Entry), more: impl Fn(&mut Builder<Vec<u8>>)) -> Vec<u8> {
        let mut tar = Builder::new(Vec::new());
        let entries: [Entry; 4] = [
            ("lix/", EntryType::Directory, 0o775, b"", ""),
            ("lix/a", EntryType::Regular, 0o664, b"text", ""),
            ("lix/link", EntryType::Symlink, 0o777, b"", "a"),
            ("lix/run", EntryType::Regular, 0o775, b"#!", ""),
        ];
        for mut entry in entries {
            change(&mut entry);
            if !entry.0.is_empty() {
                append(&mut tar, entry.0, entry.1, entry.2, entry.3, entry.4);
            }
        }
        more(&mut tar);
        tar.into_inner().expect("in memory")
    }

    #[test]
    fn what_differs_is_named() {
        check(&archive(|_| {}, |_| {})[..], expected()).expect("it is as it should be");
        let more =
            |path: &'static str| archive(|_| {}, |tar| append(tar, path, EntryType::Regular, 0o664, b"text", ""));
        let changed = |path: &'static str, change: fn(&mut Entry)| {
            archive(
                |entry| {
                    if entry.0 == path {
                        change(entry)
                    }
                },
                |_| {},
            )
        };
        let mut behind = archive(|_| {}, |_| {});
        behind.extend(b"more");
        let mut cut = archive(|_| {}, |_| {});
        cut.truncate(1024 + 100);
        let cases: [(Vec<u8>, Expect); 12] = [
            (more("lix/a"), expect!["lix/a occurs twice, or should not be there"]),
            (more("lix/new"), expect!["lix/new occurs twice, or should not be there"]),
            (more("lix/../a"), expect!["lix/../a occurs twice, or should not be there"]),
            (more("/etc/passwd"), expect!["/etc/passwd occurs twice, or should not be there"]),
            (changed("lix/a", |entry| entry.0 = ""), expect!["lix/a is missing"]),
            (
                changed("lix/a", |entry| entry.2 = 0o644),
                expect!["lix/a differs from the tree: its mode is 644, but should be 664"],
            ),
            (
                changed("lix/a", |entry| entry.3 = b"TEXT"),
                expect!["lix/a differs from the tree: its content is different"],
            ),
            (
                changed("lix/link", |entry| entry.4 = "/etc"),
                expect!["lix/link differs from the tree: its target is /etc, but should be a"],
            ),
            (
                changed("lix/link", |entry| entry.1 = EntryType::Link),
                expect!["lix/link differs from the tree: its type is Link, but should be Symlink"],
            ),
            (behind, expect!["there is data after its end"]),
            (cut, expect!["it is damaged: unexpected EOF during skip"]),
            (b"nothing like it".to_vec(), expect!["it is damaged: failed to read entire block"]),
        ];
        for (bytes, message) in cases {
            message.assert_eq(&format!("{:#}", check(&bytes[..], expected()).expect_err("it differs")));
        }
    }
}
