//! A binary tarball: everything below one directory with its name: the store paths of the release with their
//! registration and an installer, for the system that its name promises.

use std::collections::BTreeSet;

use xtask::domain::build::record::Closure;
use xtask::domain::problem::Problems;
use xtask::domain::shown::excerpt;
use xtask::domain::store_path::StorePath;
use xtask::domain::system::System;

use super::entry::{self, Entry, Kind, Target};
use crate::domain::publication::executable;

/// In the tarball's directory: the directory of the store paths.
const STORE: &str = "store";
/// In the tarball's directory: what is known about the paths, as `nix-store --load-db` reads it.
const REGISTRATION: &str = ".reginfo";
/// In the tarball's directory: the installer, a script.
const INSTALLER: &str = "install";

/// What a tarball should hold.
#[derive(Debug)]
pub struct Expected<'a> {
    /// Name of its directory.
    pub directory: &'a str,
    pub system: &'a System,
    /// What the manifest names for the system.
    pub output: &'a StorePath,
    /// The closure of the output; empty in the record of an older tool.
    pub closure: &'a Closure,
}

/// A tarball whose entries are looked at one after the other.
#[derive(Debug)]
pub struct Tarball<'a> {
    expected: Expected<'a>,
    problems: Problems,
    /// Store paths that entries belong to.
    paths: BTreeSet<String>,
    /// Store paths that links lead to, with the first link.
    followed: BTreeSet<(String, String)>,
    registration: Option<Vec<u8>>,
    has_installer: bool,
}

impl<'a> Tarball<'a> {
    pub fn new(expected: Expected<'a>) -> Tarball<'a> {
        Tarball {
            expected,
            problems: Problems::default(),
            paths: BTreeSet::new(),
            followed: BTreeSet::new(),
            registration: None,
            has_installer: false,
        }
    }

    /// Looks at an entry, given the beginning of its content: at least [`executable::HEADER`] bytes, or all of it. Returns
    /// whether all of the content should be passed to [`Tarball::registration`].
    pub fn entry(&mut self, entry: &Entry, beginning: &[u8]) -> bool {
        let parts = match entry.parts() {
            Ok(parts) => parts,
            Err(why) => {
                self.problems.add(why);
                return false;
            }
        };
        let shown = entry.shown();
        if parts.first() != Some(&self.expected.directory) {
            self.problems.add(format!("{shown} is not below {}/", self.expected.directory));
            return false;
        }
        if let [_, STORE, path, ..] = &parts[..] {
            self.paths.insert((*path).to_owned());
        }
        match &entry.kind {
            Kind::Directory => {}
            Kind::File { .. } => {
                self.file(&shown, beginning);
                self.has_installer |= parts[1..] == [INSTALLER] && beginning.starts_with(b"#!");
            }
            Kind::Symlink(link) => self.link(&parts[..parts.len() - 1], &shown, link),
            Kind::HardLink(link) => {
                let to = Entry { path: link.clone(), kind: Kind::Directory };
                match to.parts() {
                    Ok(to) if to.first() == Some(&self.expected.directory) => {}
                    Ok(_) | Err(_) => {
                        self.problems.add(format!("{shown} is a link to {}, outside of the archive", to.shown()));
                    }
                }
            }
            Kind::Special => self.problems.add(format!("{shown} is neither a file, a directory nor a link")),
        }
        parts[1..] == [REGISTRATION]
    }

    /// Takes the content of the registration.
    pub fn registration(&mut self, content: Vec<u8>) {
        self.registration = Some(content);
    }

    fn file(&mut self, shown: &str, beginning: &[u8]) {
        match executable::runs_on(beginning) {
            Some(Ok(system)) if system != *self.expected.system => {
                self.problems.add(format!("{shown} is an executable for {system}, not for {}", self.expected.system));
            }
            Some(Err(why)) => self.problems.add(format!("{shown} {why}")),
            Some(Ok(_)) | None => {}
        }
    }

    fn link(&mut self, dir: &[&str], shown: &str, link: &[u8]) {
        match entry::target(dir, link) {
            Ok(Target::Store(to)) => {
                let path = to.into_iter().next().unwrap_or_default();
                self.followed.insert((path, shown.to_owned()));
            }
            Ok(Target::Inside(to)) if to.first().map(String::as_str) == Some(self.expected.directory) => {}
            Ok(Target::Inside(to)) => {
                self.problems.add(format!("{shown} leads to `{}`, outside of the archive", excerpt(&to.join("/"))));
            }
            Err(why) => self.problems.add(format!("{shown} {why}")),
        }
    }

    /// Reports something that was found in a content.
    pub fn found(&mut self, entry: &Entry, what: &str) {
        self.problems.add(format!("{} has the path `{}` of the machine that built it", entry.shown(), excerpt(what)));
    }

    /// Returns everything that is wrong, once all entries were looked at.
    pub fn finish(mut self) -> Problems {
        let Expected { directory, output, closure, .. } = self.expected;
        if !self.paths.contains(output.base_name()) {
            let why = format!("{output}, which the manifest names, is not in {directory}/{STORE}/");
            self.problems.add(why);
        }
        for path in closure.keys().filter(|path| *path != output && !self.paths.contains(path.base_name())) {
            self.problems.add(format!("{path}, which {output} needs, is not in {directory}/{STORE}/"));
        }
        for (path, link) in self.followed.iter().filter(|(path, _)| !self.paths.contains(path)) {
            let path = excerpt(path);
            self.problems.add(format!("{link} leads to /nix/store/{path}, which is not in the archive"));
        }
        if !self.has_installer {
            self.problems.add(format!("{directory}/{INSTALLER} is missing, or is not a script"));
        }
        match &self.registration {
            None => self.problems.add(format!("{directory}/{REGISTRATION} is missing: the paths cannot be registered")),
            Some(text) => {
                let registered = registered(text);
                for path in self.paths.iter().filter(|path| !registered.contains(path.as_str())) {
                    self.problems.add(format!("{directory}/{REGISTRATION} does not register {}", excerpt(path)));
                }
            }
        }
        self.problems
    }
}

/// Returns the store paths that a registration registers: each stands on the first line of its part, and all other paths
/// there are references to some that are registered, too.
fn registered(text: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(text);
    let path = |line: &str| Some(StorePath::parse(line).ok()?.base_name().to_owned());
    text.lines().filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn path(hash: char, name: &str) -> StorePath {
        format!("/nix/store/{}-{name}", hash.to_string().repeat(32)).parse().expect(name)
    }

    fn file(path: &str, is_executable: bool) -> Entry {
        Entry { path: path.into(), kind: Kind::File { is_executable } }
    }

    /// The problems of a tarball that is right but for what `more` does.
    fn problems(without: &str, more: impl FnOnce(&mut Tarball)) -> String {
        let (output, library) = (path('a', "lix-1"), path('b', "library"));
        let (system, closure) = (System::main(), Closure::from([(output.clone(), 1), (library.clone(), 2)]));
        let expected =
            Expected { directory: "lix-1-x86_64-linux", system: &system, output: &output, closure: &closure };
        let mut tarball = Tarball::new(expected);
        let text = format!("{output}\nsha256:0\n1\n\n1\n{library}\n{library}\nsha256:0\n2\n\n0\n");
        for (name, is_executable, content) in [
            ("install", true, "#!/bin/sh"),
            (".reginfo", false, &text),
            (&format!("store/{}/bin/nix", output.base_name()), true, "#!/bin/sh"),
            (&format!("store/{}/lib/a.so", library.base_name()), false, ""),
        ] {
            if without.is_empty() || !name.contains(without) {
                let file = file(&format!("lix-1-x86_64-linux/{name}"), is_executable);
                if tarball.entry(&file, content.as_bytes()) {
                    tarball.registration(content.into());
                }
            }
        }
        more(&mut tarball);
        tarball.finish().iter().map(|problem| format!("{problem}\n")).collect()
    }

    #[test]
    fn each_problem_is_named() {
        assert_eq!(problems("", |_| {}), "");
        let top = "lix-1-x86_64-linux";
        let link =
            |path: &str, to: &str| Entry { path: format!("{top}/{path}").into(), kind: Kind::Symlink(to.into()) };
        let mut arm = b"\x7fELF\x02\x01\x01".to_vec();
        arm.resize(16, 0);
        arm.extend([3, 0, 183, 0]);
        let bin = &format!("{top}/store/{}/bin/x", "c".repeat(32));
        let shown = [
            problems("install", |_| {}),
            problems(".reginfo", |_| {}),
            problems("bin/nix", |_| {}),
            problems("lib/a.so", |_| {}),
            problems("", |tarball| assert!(!tarball.entry(&file("../x", false), b""))),
            problems("", |tarball| assert!(!tarball.entry(&file("other/x", false), b""))),
            problems("", |tarball| assert!(!tarball.entry(&file(bin, true), &arm))),
            problems("", |tarball| assert!(!tarball.entry(&link("etc", "/etc"), b""))),
            problems("", |tarball| assert!(!tarball.entry(&link("up", "../x"), b""))),
            problems("", |tarball| assert!(!tarball.entry(&link("gone", "/nix/store/gone/x"), b""))),
            problems("", |tarball| {
                let hard = Entry { path: format!("{top}/h").into(), kind: Kind::HardLink(b"/etc/shadow".to_vec()) };
                tarball.entry(&hard, b"");
            }),
            problems("", |tarball| {
                tarball.entry(&Entry { path: format!("{top}/fifo").into(), kind: Kind::Special }, b"");
            }),
            problems("", |tarball| tarball.found(&file("lix/x", false), "/home/builder/")),
        ];
        expect![[r#"
            lix-1-x86_64-linux/install is missing, or is not a script

            lix-1-x86_64-linux/.reginfo is missing: the paths cannot be registered

            /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lix-1, which the manifest names, is not in lix-1-x86_64-linux/store/

            /nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-library, which /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lix-1 needs, is not in lix-1-x86_64-linux/store/

            `../x` leaves the directory that the archive is unpacked in

            `other/x` is not below lix-1-x86_64-linux/

            `lix-1-x86_64-linux/store/cccccccccccccccccccccccccccccccc/bin/x` is an executable for aarch64-linux, not for x86_64-linux
            lix-1-x86_64-linux/.reginfo does not register cccccccccccccccccccccccccccccccc

            `lix-1-x86_64-linux/etc` leads to `/etc`, outside of the store

            `lix-1-x86_64-linux/up` leads to `x`, outside of the archive

            `lix-1-x86_64-linux/gone` leads to /nix/store/gone, which is not in the archive

            `lix-1-x86_64-linux/h` is a link to `/etc/shadow`, outside of the archive

            `lix-1-x86_64-linux/fifo` is neither a file, a directory nor a link

            `lix/x` has the path `/home/builder/` of the machine that built it
        "#]].assert_eq(&shown.join("\n"));
    }
}
