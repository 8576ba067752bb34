//! New git objects: trees, commits and tags that are unreachable until a ref names them.
//!
//! Uses a separate index, so that neither the repository's index nor the work tree is touched; a kill leaves only
//! unreachable objects, which git collects. Does not move refs: [`Git::move_refs`] does.

use anyhow::{Context, Result, ensure};
use camino::Utf8PathBuf;

use super::files;
use super::git::{Git, parse_oid};
use super::pristine::Pristine;
use super::process;
use super::scratch_dir::ScratchDir;
use crate::domain::oid::Oid;

/// Prefixes of the settings for identity and signing.
const WHO: [&str; 4] = ["user.", "author.", "committer.", "gpg."];

/// One changed file of a new tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Path relative to the root of the tree.
    pub path: String,
    /// The new content; `None` removes the file.
    pub content: Option<String>,
}

/// A place to make objects in.
pub struct ScratchRepo<'a> {
    git: &'a Git,
    scratch: ScratchDir,
    environment: Vec<(&'static str, String)>,
}

impl<'a> ScratchRepo<'a> {
    /// Makes objects in the repository, unreachable at first.
    ///
    /// # Errors
    /// Temporary files cannot be written.
    pub fn new(git: &'a Git) -> Result<ScratchRepo<'a>> {
        let scratch = ScratchDir::new()?;
        let index = scratch.path().join("index");
        Ok(ScratchRepo { git, scratch, environment: vec![("GIT_INDEX_FILE", index.into_string())] })
    }

    /// Makes objects in a temporary directory, which is removed with this value: to show what would be committed.
    ///
    /// # Errors
    /// As for [`ScratchRepo::new`].
    pub fn temporary(git: &'a Git) -> Result<ScratchRepo<'a>> {
        let mut repo = ScratchRepo::new(git)?;
        let objects = git.path("objects")?.into_string();
        let scratch = repo.scratch.path().join("objects");
        std::fs::create_dir(&scratch).with_context(|| format!("cannot create {scratch}"))?;
        repo.environment.push(("GIT_OBJECT_DIRECTORY", scratch.into_string()));
        repo.environment.push(("GIT_ALTERNATE_OBJECT_DIRECTORIES", quote_path_list_entry(&objects)));
        Ok(repo)
    }

    /// Returns the environment variables that git needs to see the objects made here.
    pub fn environment(&self) -> &[(&'static str, String)] {
        &self.environment
    }

    /// Returns the directory of the objects that are made here, for messages.
    fn objects(&self) -> String {
        let temporary = self.environment.iter().find(|(key, _)| *key == "GIT_OBJECT_DIRECTORY");
        match temporary {
            Some((_, directory)) => directory.clone(),
            None => self.git.path("objects").map_or_else(|_| self.git.root().to_string(), Utf8PathBuf::into_string),
        }
    }

    /// Returns a git command for the separate index, whose form does not depend on the user's settings.
    fn index(&self, args: &[&str]) -> xshell::Cmd<'_> {
        let plain = ["-c", "core.splitIndex=false", "-c", "core.sparseCheckout=false", "-c", "core.ignoreCase=false"];
        self.cmd(&[&plain, args].concat())
    }

    fn cmd(&self, args: &[&str]) -> xshell::Cmd<'_> {
        self.git.cmd(args).envs(self.environment.iter().map(|(key, value)| (key, value)))
    }

    /// Makes the tree of `base` with some files changed. Existing files keep their mode.
    ///
    /// # Errors
    /// git fails, for example because the disk is full.
    pub fn tree(&self, base: &Oid, edits: &[Edit]) -> Result<Oid> {
        process::read(self.index(&["read-tree", base.as_str()]))?;
        let mut changes = Vec::new();
        for Edit { path, content } in edits {
            let line = match content {
                Some(content) => {
                    let blob =
                        process::read(self.cmd(&["hash-object", "-w", "--no-filters", "--stdin"]).stdin(content))
                            .with_context(|| format!("cannot store the new {path} in {}", self.objects()))?;
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

    /// Makes a commit by the configured author and committer, signed if git is configured to or `sign` asks for it.
    ///
    /// # Errors
    /// git fails, for example because the signing program does.
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

    /// Makes an annotated tag, as an object that no ref names yet; signed if git is configured to or `sign` asks for
    /// it.
    ///
    /// Only `git tag` can sign, and it always makes a ref: it makes it in a temporary repository that shares our
    /// objects. There, git would miss settings that depend on the place or the branch of our repository (`includeIf`,
    /// `config.worktree`), so it is given those that apply here.
    ///
    /// # Errors
    /// git fails, for example because the signing program does; or the tag is not by the committer of `target`.
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

    /// Checks that a tag is by the committer of its commit, and signed if it should be.
    fn check_tag(&self, tag: &Oid, target: &Oid, sign: bool) -> Result<()> {
        let person = |object: &Oid, kind: &str, role: &str| {
            let bytes = process::read_bytes(self.cmd(&["cat-file", kind, object.as_str()]))?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let person = text.lines().find_map(|line| line.strip_prefix(role)?.split_inclusive('>').next());
            anyhow::Ok((person.unwrap_or_default().trim().to_owned(), text))
        };
        let (committer, _) = person(target, "commit", "committer ")?;
        let (tagger, text) = person(tag, "tag", "tagger ")?;
        ensure!(tagger == committer, "it is by {tagger}, but its commit is by {committer}");
        let signed = text.lines().any(|line| line.starts_with("-----BEGIN "));
        ensure!(signed || !sign, "it is not signed");
        Ok(())
    }

    /// Passes a message through the repository's `commit-msg` hook, if there is one: Gerrit's adds the `Change-Id` that
    /// Gerrit demands. No other hook is run.
    ///
    /// # Errors
    /// The hook refuses the message.
    pub fn through_commit_msg_hook(&self, message: &str) -> Result<String> {
        let file = self.scratch.path().join("COMMIT_EDITMSG");
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
            files::read_text(&file).context("the commit-msg hook did not leave a message that can be read")?;
        process::read(self.cmd(&["stripspace"]).stdin(message)).map(|message| message + "\n")
    }
}

/// Quotes an entry: git splits the list at colons, except in quotes.
fn quote_path_list_entry(path: &str) -> String {
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}
