//! The release's branch and tag, on the remote from which others fetch them.

use anyhow::{Context, Result, anyhow};
use xtask::domain::build::record::Record;
use xtask::domain::environment::GitTarget;
use xtask::domain::oid::Oid;
use xtask::domain::release::Release;
use xtask::domain::release::official;
use xtask::domain::release::tagging::{Commit, Tag};
use xtask::domain::release::version_file::{self, VersionFile};
use xtask::tools::git::tag_object::{TagObject, Unsigned};
use xtask::tools::history::History;
use xtask::tools::remote::Remote;

use super::{Report, View};

/// The remote that a clone is made from.
const ORIGIN: &str = "origin";
/// The people who are affected.
const READERS: &str = "everyone who builds from git";

impl View<'_> {
    /// Checks that the branch has the release commit, which is marked as an official release, and the commit that
    /// merges it back, which is not.
    pub(super) fn check_branch(&self, record: &Record, report: &mut Report) -> Result<()> {
        let (branch, broken) = self.look_at_branch(record)?;
        let good = format!("contains {}, merged back", record.commit.short());
        report.check(&format!("branch {branch}"), &good, broken, READERS);
        Ok(())
    }

    /// The remote that others fetch from. The environment's may need a key: without one, this clone's own is asked.
    fn remote(&self) -> Result<Remote<'_>> {
        match &self.site.environment.git {
            GitTarget::Plain { .. } | GitTarget::Gerrit { .. } if self.is_public() => {
                let remote = Remote::named(self.git, ORIGIN)?;
                remote.with_context(|| format!("this clone has no remote `{ORIGIN}`, which `--public` asks"))
            }
            target => Remote::find(self.git, target),
        }
    }

    fn look_at_branch(&self, record: &Record) -> Result<(String, Vec<String>)> {
        let remote = self.remote()?;
        let release =
            Release::new(&self.site.product, self.version.clone(), record.name.as_deref().unwrap_or_default())?;
        let branch = release.release_branch();
        let commit = &record.commit;
        let Some(tip) = remote.branch(&branch)? else {
            let why = format!("the remote has no branch {branch}");
            return Ok((branch, vec![why]));
        };
        let history = remote.history(&branch, &tip)?;
        if !history.contains(&tip, commit)? {
            let why = format!("it is at {}, and does not contain the release, {}", tip.short(), commit.short());
            return Ok((branch, vec![why]));
        }
        let before: Vec<Oid> = history.commit(commit)?.parents;
        let base = before.first().map(|base| history.commit(base)).transpose()?;
        let later = history.only_in(&tip, commit)?;
        let merges_back =
            |later: &Commit| later.parents.contains(commit) && base.as_ref().is_some_and(|it| it.tree == later.tree);
        let broken = if !later.iter().any(merges_back) && is_marked(&history, &tip)? {
            vec![format!(
                "it contains the release, {}, but not the commit that merges it back: the branch itself, at {}, is \
                 marked as an official release",
                commit.short(),
                tip.short()
            )]
        } else {
            Vec::new()
        };
        Ok((branch, broken))
    }

    /// Checks that the tag is annotated, is for the commit that was released, and is signed if it must be.
    pub(super) fn check_tag(&self, record: &Record, report: &mut Report) -> Result<()> {
        let commit = record.commit.short();
        let remote = self.remote()?;
        let mut good = format!("is for {commit}");
        let ours = record.materials.as_ref().and_then(|materials| materials.tag.as_ref());
        let broken = match remote.tag(&self.version.to_string())? {
            None => vec!["the remote does not have it".to_owned()],
            Some(Tag::Annotated { commit: tagged, object }) if tagged == record.commit => {
                let other = ours.filter(|ours| **ours != object).map(|ours| {
                    format!("it is another tag for {commit}, {}, and {} was released", object.short(), ours.short())
                });
                let unsigned = match self.signer(&remote, &object)? {
                    Ok(Some(signer)) => {
                        good += &format!(", signed by {signer}");
                        None
                    }
                    Ok(None) => None,
                    Err(Unsigned(why)) => Some(format!("it {why}, and releng.toml requires a signature")),
                };
                other.into_iter().chain(unsigned).collect()
            }
            Some(Tag::Annotated { commit: tagged, .. }) => {
                vec![format!("it is for {}, but {commit} was released", tagged.short())]
            }
            Some(Tag::Lightweight(object)) => vec![format!(
                "it is a lightweight tag for {}, and not an annotated one with a message and a tagger",
                object.short()
            )],
        };
        report.check(&format!("tag {}", self.version), &good, broken, READERS);
        Ok(())
    }

    /// Returns who has signed a tag object of the remote; `None` if it need not be signed.
    fn signer(&self, remote: &Remote, tag: &Oid) -> Result<Result<Option<String>, Unsigned>> {
        let signers = &self.site.signers;
        if !signers.requires_signature(&self.version) {
            return Ok(Ok(None));
        }
        let fetched = remote.fetched(&format!("refs/tags/{}", self.version), tag)?;
        match signers.check(TagObject { git: self.git, dir: Some(fetched.dir()), tag }, &self.version) {
            Ok(signer) => Ok(Ok(Some(signer))),
            Err(error) => error.downcast().map(Err),
        }
    }
}

/// Whether a commit is marked as an official release.
fn is_marked(history: &History, commit: &Oid) -> Result<bool> {
    let text = history.file(commit, version_file::PATH)?.unwrap_or_default();
    let version = VersionFile::parse(&text).map_err(|why| anyhow!("{} {why}", version_file::PATH))?;
    let flake = history.file(commit, official::FLAKE)?;
    official::find(&version, flake.as_deref()).map(|flag| flag.set).map_err(|problem| anyhow!("{problem}"))
}
