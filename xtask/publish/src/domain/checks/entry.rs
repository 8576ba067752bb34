//! Entries of archives: where they are, and where their links lead.

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
}
