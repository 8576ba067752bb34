//! A repository in a temporary directory that shares the objects of ours and nothing else: no refs except those that it
//! is given, no replaced objects, no attributes, filters, hooks or settings. What is made there is the same in every
//! clone.

use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use xshell::{Cmd, Shell};

use super::git::{Git, environment, parse_oid};
use super::process;
use super::scratch_dir::ScratchDir;
use crate::domain::oid::Oid;

/// Settings of the repository, for programs that read global ones, too.
const CONFIG: &str = "\
[core]
	abbrev = no
	attributesFile = /dev/null/attributes
	autocrlf = false
	eol = lf
	ignoreCase = false
	safecrlf = false
[tar]
	umask = 0002
[mailmap]
	file = /dev/null
[maintenance]
	auto = false
[gc]
	auto = 0
";

/// A repository with an empty work tree, removed with this value.
#[derive(Debug)]
pub struct Pristine {
    sh: Shell,
    root: Utf8PathBuf,
    _scratch: ScratchDir,
}

impl Pristine {
    /// Makes the repository, without refs.
    ///
    /// # Errors
    /// Temporary files cannot be written.
    pub fn new(git: &Git) -> Result<Pristine> {
        let scratch = ScratchDir::new()?;
        let root = scratch.path().join("tree");
        fs::create_dir(&root).with_context(|| format!("cannot create {root}"))?;
        let pristine = Pristine { sh: process::shell_in(&root)?, root, _scratch: scratch };

        let format = format!("--object-format={}", git.object_format()?);
        let init = pristine.cmd(["init", "--quiet", "--template=", "--initial-branch=main", &format]);
        // Nix cannot read reftables. A git that knows nothing else than files ignores the variable.
        process::read(init.env("GIT_DEFAULT_REF_FORMAT", "files"))?;
        let append = |name: &str, text: &str| {
            let path = pristine.git_dir().join(name);
            let file = fs::OpenOptions::new().append(true).create(true).open(&path);
            file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("cannot write {path}"))
        };
        append("config", CONFIG)?;
        fs::create_dir_all(pristine.git_dir().join("objects/info")).context("cannot create a directory")?;
        append("objects/info/alternates", &git.object_directories()?)?;
        let shallow = git.path("shallow")?;
        match fs::read_to_string(&shallow) {
            Ok(cut_off) => append("shallow", &cut_off)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {shallow}")),
        }
        Ok(pristine)
    }

    /// Makes the repository with HEAD at a commit and, if one is given, with a ref at the tag that leads to it.
    ///
    /// # Errors
    /// As for [`Pristine::new`].
    pub fn at(git: &Git, commit: &Oid, reference: Option<(&str, &Oid)>) -> Result<Pristine> {
        let pristine = Pristine::new(git)?;
        for (name, object) in [("HEAD", commit)].into_iter().chain(reference) {
            let path = pristine.git_dir().join(name);
            let write = || {
                fs::create_dir_all(path.parent().unwrap_or(&path))?;
                fs::write(&path, format!("{object}\n"))
            };
            write().with_context(|| format!("cannot write {path}"))?;
        }
        Ok(pristine)
    }

    /// Returns the empty work tree.
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// Returns a path that is removed with the repository.
    pub fn beside(&self, name: &str) -> Utf8PathBuf {
        self.root.with_file_name(name)
    }

    fn git_dir(&self) -> Utf8PathBuf {
        self.root.join(".git")
    }

    /// Returns a git command that ignores the user's settings.
    pub fn cmd(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Cmd<'_> {
        environment::without_settings(self.sh.cmd("git"), &[]).args(args)
    }

    /// Returns a git command with some of the user's settings that runs where the user works, and makes its objects in
    /// `git` and its refs here.
    ///
    /// # Errors
    /// git fails.
    pub fn cmd_like<'a>(&self, git: &'a Git, settings: &[(String, String)]) -> Result<Cmd<'a>> {
        let cmd = environment::without_settings(git.raw(), settings);
        Ok(cmd.env("GIT_DIR", self.git_dir()).env("GIT_OBJECT_DIRECTORY", git.path("objects")?))
    }

    /// Returns the object that a ref names.
    ///
    /// # Errors
    /// There is no such ref.
    pub fn resolve(&self, reference: &str) -> Result<Oid> {
        parse_oid(&process::read(self.cmd(["rev-parse", "--verify", reference]))?)
    }
}
