//! Entries of archives: where they are, where their links lead, and how those of two archives differ.

use std::collections::BTreeMap;

use xtask::domain::digest::Digest;
use xtask::domain::shown::excerpt;
use xtask::domain::store_path::STORE;

/// Directories of a store path with documentation.
const DOCUMENTATION: [&str; 3] = ["/share/doc/", "/share/info/", "/share/man/"];

/// What an entry is. The target of a link is as it is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File {
        is_executable: bool,
    },
    Symlink(Vec<u8>),
    /// Another name of a file that came before, by its path in the archive.
    HardLink(Vec<u8>),
    /// A device, a FIFO, or something unknown.
    Special,
}

/// An entry without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path as it is written in the archive.
    pub path: Vec<u8>,
    pub kind: Kind,
}

impl Entry {
    /// Returns the parts of the path, below the directory that the archive is unpacked in. `./` at its beginning and `/` at
    /// its end mean nothing.
    ///
    /// # Errors
    /// The entry would be unpacked elsewhere, or its path is not text.
    pub fn parts(&self) -> Result<Vec<&str>, String> {
        parts(&self.path).map_err(|why| format!("{} {why}", self.shown()))
    }

    /// Whether it lies where documentation does.
    pub fn is_documentation(&self) -> bool {
        let path = String::from_utf8_lossy(&self.path);
        DOCUMENTATION.iter().any(|dir| path.contains(dir))
    }

    /// The path, for messages.
    pub fn shown(&self) -> String {
        format!("`{}`", excerpt(&String::from_utf8_lossy(&self.path)))
    }
}

/// An entry with the digest of its content.
pub type Described = (Entry, Digest);

/// Lists how the entries of an archive that was built differ from those of one that was published.
pub fn differences(published: &[Described], built: &[Described]) -> Vec<String> {
    let (theirs, ours) = (by_path(published), by_path(built));
    let mut found = Vec::new();
    for (key, (entry, digest)) in &theirs {
        let shown = entry.shown();
        match ours.get(key) {
            None => found.push(format!("{shown} was published, and is not built")),
            Some((there, _)) if there.kind != entry.kind => {
                found.push(format!("{shown} is of another kind, or leads elsewhere"))
            }
            Some((_, there)) if there != digest => found.push(format!("{shown} has other content")),
            Some(_) => {}
        }
    }
    let more = ours.iter().filter(|(key, _)| !theirs.contains_key(*key));
    found.extend(more.map(|(_, (entry, _))| format!("{} is built, and was not published", entry.shown())));
    if found.is_empty() {
        let order = |entries: &[Described]| entries.iter().map(|(entry, _)| entry.path.clone()).collect::<Vec<_>>();
        found.push(if order(published) == order(built) {
            "the same entries, packed differently: other times, owners or modes, or other compression".to_owned()
        } else {
            "the same entries in another order".to_owned()
        });
    }
    found
}

/// Entries by path. Of several with one path, each has a number, because only the last of them stays when they are
/// unpacked.
fn by_path(entries: &[Described]) -> BTreeMap<(&[u8], usize), &Described> {
    let (mut seen, mut found) = (BTreeMap::<&[u8], usize>::new(), BTreeMap::new());
    for described in entries {
        let path = described.0.path.as_slice();
        let number = seen.entry(path).or_default();
        found.insert((path, *number), described);
        *number += 1;
    }
    found
}

/// Returns the parts of a path below the top of an archive.
fn parts(path: &[u8]) -> Result<Vec<&str>, &'static str> {
    let text = std::str::from_utf8(path).map_err(|_| "is not UTF-8")?;
    if text.starts_with('/') {
        return Err("is absolute");
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") { Err("leaves the directory that the archive is unpacked in") } else { Ok(parts) }
}

/// Where a link leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Below the top of the archive, by its parts.
    Inside(Vec<String>),
    /// In the store, by the parts below it.
    Store(Vec<String>),
}

/// Returns where a symbolic link leads that is in the directory `dir`, given by its parts.
///
/// # Errors
/// It leads out of the archive to something other than the store, or its target is not text.
pub fn target(dir: &[&str], link: &[u8]) -> Result<Target, String> {
    let text = std::str::from_utf8(link).map_err(|_| "leads to a path that is not UTF-8".to_owned())?;
    let outside = || format!("leads to `{}`, outside of the store", excerpt(text));
    let (mut to, below) = match text.strip_prefix(STORE).and_then(|rest| rest.strip_prefix('/')) {
        Some(below) => (Vec::new(), below),
        None if text.starts_with('/') || text.is_empty() => return Err(outside()),
        None => (dir.iter().map(|part| (*part).to_owned()).collect(), text),
    };
    for part in below.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(to.pop().ok_or_else(outside)?),
            part => to.push(part.to_owned()),
        }
    }
    if text.starts_with('/') { Ok(Target::Store(to)) } else { Ok(Target::Inside(to)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn where_entries_and_links_lead() {
        let entry = |path: &str| Entry { path: path.into(), kind: Kind::Directory };
        let shown = |path: &str| match entry(path).parts() {
            Ok(parts) => format!("{path:?}: {parts:?}"),
            Err(why) => why,
        };
        let paths = ["lix-1/store/", "./a/./b", "../x", "a/../../x", "a/..", "/etc/passwd", "\u{1b}[31m/.."].map(shown);
        let links = ["b", "../c", "../../x", "/nix/store/x/y/../z", "/nix/store/../var", "/nix/storehouse", "/etc", ""]
            .map(|link| format!("{link:?}: {:?}", target(&["a", "d"], link.as_bytes())));
        expect![[r#"
            "lix-1/store/": ["lix-1", "store"]
            "./a/./b": ["a", "b"]
            `../x` leaves the directory that the archive is unpacked in
            `a/../../x` leaves the directory that the archive is unpacked in
            `a/..` leaves the directory that the archive is unpacked in
            `/etc/passwd` is absolute
            `\u{1b}[31m/..` leaves the directory that the archive is unpacked in
            "b": Ok(Inside(["a", "d", "b"]))
            "../c": Ok(Inside(["a", "c"]))
            "../../x": Ok(Inside(["x"]))
            "/nix/store/x/y/../z": Ok(Store(["x", "z"]))
            "/nix/store/../var": Err("leads to `/nix/store/../var`, outside of the store")
            "/nix/storehouse": Err("leads to `/nix/storehouse`, outside of the store")
            "/etc": Err("leads to `/etc`, outside of the store")
            "": Err("leads to ``, outside of the store")"#]]
        .assert_eq(&[&paths[..], &links].concat().join("\n"));
        assert!(target(&[], b"../x").is_err());
        assert!(Entry { path: vec![0xff], kind: Kind::Directory }.parts().is_err());
    }

    #[test]
    fn how_two_archives_differ() {
        let file = |path: &str, is_executable: bool, byte: u8| {
            (Entry { path: path.into(), kind: Kind::File { is_executable } }, Digest::new([byte; 32]))
        };
        let published = [file("a", false, 1), file("b", true, 2), file("c", false, 3)];
        let shown = |built: &[Described]| differences(&published, built).join("; ");
        let swapped = [published[1].clone(), published[0].clone(), published[2].clone()];
        let twice = [&published[..], &[file("a", false, 4)]].concat();
        let lines = [
            shown(&[file("a", false, 9), file("b", false, 2), file("d", false, 3)]),
            shown(&published),
            shown(&swapped),
            shown(&twice),
        ];
        expect![[r#"
            `a` has other content; `b` is of another kind, or leads elsewhere; `c` was published, and is not built; `d` is built, and was not published
            the same entries, packed differently: other times, owners or modes, or other compression
            the same entries in another order
            `a` is built, and was not published"#]].assert_eq(&lines.join("\n"));
    }
}
