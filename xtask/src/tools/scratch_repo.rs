//! New git objects, built aside: trees, commits and tags that nobody sees until a ref names them.
//!
//! Works with an index of its own, so neither the repository's index nor the work tree is touched; a kill leaves
//! unreachable objects, which git collects, and nothing else. Refuses to move refs.

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use super::git::{Git, parse_oid};
use super::pristine::Pristine;
use super::process;
use crate::domain::oid::Oid;

/// Settings that say who somebody is and how they sign.
const WHO: [&str; 4] = ["user.", "author.", "committer.", "gpg."];

/// One file of a new tree: its whole content, or `None` where it is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Relative to the root of the tree.
    pub path: String,
    pub content: Option<String>,
}

/// A place to build objects in.
pub struct ScratchRepo<'a> {
    git: &'a Git,
    scratch: TempDir,
    environment: Vec<(&'static str, String)>,
}

impl<'a> ScratchRepo<'a> {
    /// Objects go into the repository, unreachable at first.
    ///
    /// # Errors
    /// There is no room for temporary files.
    pub fn new(git: &'a Git) -> Result<ScratchRepo<'a>> {
        let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
        let index = utf8(scratch.path())?.join("index");
        Ok(ScratchRepo { git, scratch, environment: vec![("GIT_INDEX_FILE", index.into_string())] })
    }

    /// Objects go into a temporary directory and vanish with this value: for showing what would be.
    ///
    /// # Errors
    /// As for [`ScratchRepo::new`].
    pub fn temporary(git: &'a Git) -> Result<ScratchRepo<'a>> {
        let mut repo = ScratchRepo::new(git)?;
        let objects = git.path("objects")?.into_string();
        let scratch = utf8(repo.scratch.path())?.join("objects");
        std::fs::create_dir(&scratch).with_context(|| format!("cannot create {scratch}"))?;
        repo.environment.push(("GIT_OBJECT_DIRECTORY", scratch.into_string()));
        repo.environment.push(("GIT_ALTERNATE_OBJECT_DIRECTORIES", quote_path_list_entry(&objects)));
        Ok(repo)
    }

    /// What git needs in its environment to see the objects made here.
    pub fn environment(&self) -> &[(&'static str, String)] {
        &self.environment
    }

    /// The index that is built here takes its shape from nobody's settings.
    fn index(&self, args: &[&str]) -> xshell::Cmd<'_> {
        let plain = ["-c", "core.splitIndex=false", "-c", "core.sparseCheckout=false", "-c", "core.ignoreCase=false"];
        self.cmd(&[&plain, args].concat())
    }

    fn cmd(&self, args: &[&str]) -> xshell::Cmd<'_> {
        self.git.cmd(args).envs(self.environment.iter().map(|(key, value)| (key, value)))
    }

    /// The tree of `base` with some files changed. Existing files keep their mode.
    ///
    /// # Errors
    /// git's own, such as a full disk.
    pub fn tree(&self, base: &Oid, edits: &[Edit]) -> Result<Oid> {
        process::read(self.index(&["read-tree", base.as_str()]))?;
        let mut changes = Vec::new();
        for Edit { path, content } in edits {
            let line = match content {
                Some(content) => {
                    let blob =
                        process::read(self.cmd(&["hash-object", "-w", "--no-filters", "--stdin"]).stdin(content))
                            .with_context(|| format!("cannot store the new {path}"))?;
                    format!("{} {blob}\t{path}\0", self.mode(path)?)
                }
                None => format!("0 {}\t{path}\0", "0".repeat(base.as_str().len())),
            };
            changes.extend(line.into_bytes());
        }
        process::read(self.index(&["update-index", "-z", "--index-info"]).stdin(changes))?;
        parse_oid(&process::read(self.index(&["write-tree"]))?)
    }

    fn mode(&self, path: &str) -> Result<String> {
        let listed = process::read(self.index(&["--literal-pathspecs", "ls-files", "--stage", "-z", "--", path]))?;
        Ok(listed.split_once(' ').map_or("100644", |(mode, _)| mode).to_owned())
    }

    /// A commit by the configured author and committer, signed where git is configured so or `sign` asks for it.
    ///
    /// # Errors
    /// git's own, such as a signing program that fails.
    pub fn commit(&self, tree: &Oid, parents: &[&Oid], message: &str, sign: bool) -> Result<Oid> {
        let mut cmd = self.cmd(&["commit-tree", tree.as_str(), "-F", "-"]);
        for parent in parents {
            cmd = cmd.args(["-p", parent.as_str()]);
        }
        if sign || self.git.config_bool("commit.gpgSign")? {
            cmd = cmd.arg("-S");
        }
        parse_oid(&process::read(cmd.stdin(message))?)
    }

    /// An annotated tag, as an object that no ref names yet; signed where git is configured so or `sign` asks for it.
    ///
    /// Only `git tag` knows how to sign, and it always makes a ref: it gets a repository of its own to make it in, which
    /// shares our objects and vanishes. There, git would not see what our repository is configured for by where it lies
    /// or what is checked out (`includeIf`, `config.worktree`), so it is told what holds here.
    ///
    /// # Errors
    /// git's own, such as a signing program that fails; or the tag is not by the committer of `target`.
    pub fn tag(&self, name: &str, target: &Oid, message: &str, sign: bool) -> Result<Oid> {
        let elsewhere = Pristine::new(self.git)?;
        let sign = sign || self.git.config_bool("tag.gpgSign")? || self.git.config_bool("tag.forceSignAnnotated")?;
        let settings = self.git.settings(|key| WHO.iter().any(|section| key.starts_with(section)))?;
        let cmd = elsewhere.cmd_like(self.git, &settings)?;
        let cmd = cmd.args(["tag", "--annotate", "--cleanup=verbatim", "--file=-"]);
        let cmd = cmd.arg(if sign { "--sign" } else { "--no-sign" }).args([name, target.as_str()]);
        process::read(cmd.stdin(message)).context("cannot make the tag")?;
        let tag = elsewhere.resolve(&format!("refs/tags/{name}"))?;
        self.check_tag(&tag, target, sign).with_context(|| format!("the tag {name} is not as it should be"))?;
        Ok(tag)
    }

    /// That a tag is by whom the commit is by, and signed if it was to be.
    fn check_tag(&self, tag: &Oid, target: &Oid, sign: bool) -> Result<()> {
        let person = |object: &Oid, kind: &str, role: &str| {
            let bytes = process::read_bytes(self.cmd(&["cat-file", kind, object.as_str()]))?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let person = text.lines().find_map(|line| line.strip_prefix(role)?.split_inclusive('>').next());
            anyhow::Ok((person.unwrap_or_default().trim().to_owned(), text))
        };
        let (committer, _) = person(target, "commit", "committer ")?;
        let (tagger, text) = person(tag, "tag", "tagger ")?;
        ensure!(tagger == committer, "it is by {tagger}, and its commit by {committer}");
        let signed = text.lines().any(|line| line.starts_with("-----BEGIN "));
        ensure!(signed || !sign, "it is not signed");
        Ok(())
    }

    /// The message after the repository's `commit-msg` hook, if there is one, has had its say: Gerrit's adds the
    /// `Change-Id` that Gerrit demands. No other hook is run.
    ///
    /// # Errors
    /// The hook refuses the message.
    pub fn through_commit_msg_hook(&self, message: &str) -> Result<String> {
        let file = utf8(self.scratch.path())?.join("COMMIT_EDITMSG");
        std::fs::write(&file, message).with_context(|| format!("cannot write {file}"))?;
        let hook =
            self.cmd(&["hook", "run", "--ignore-missing", "commit-msg", "--", file.as_str()]).env("GIT_EDITOR", ":");
        process::read(hook).with_context(|| {
            format!(
                "the repository's commit-msg hook refused the message `{}`",
                message.lines().next().unwrap_or_default()
            )
        })?;
        let message =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {file} after the commit-msg hook"))?;
        process::read(self.cmd(&["stripspace"]).stdin(message)).map(|message| message + "\n")
    }
}

fn utf8(path: &std::path::Path) -> Result<Utf8PathBuf> {
    Utf8Path::from_path(path).map(Utf8Path::to_owned).context("the temporary directory's name is not UTF-8")
}

/// git splits the list at colons, but for entries in quotes.
fn quote_path_list_entry(path: &str) -> String {
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}
