//! The release in git, where others fetch it: its branch and its tag.

use anyhow::Result;
use xtask::domain::record::Record;
use xtask::domain::release::Release;
use xtask::tools::remote::Remote;

use super::{Report, View};

impl View<'_> {
    pub(super) fn check_branch(&self, record: &Record, report: &mut Report) -> Result<()> {
        let remote = Remote::find(self.git, &self.world.environment.git)?;
        let release = Release::new(self.version.clone(), record.name.as_deref().unwrap_or_default())?;
        let branch = release.release_branch();
        let reference = format!("refs/heads/{branch}");
        let commit = &record.commit;
        let broken = match remote.refs(&[&reference])?.remove(&reference) {
            None => vec![format!("the remote has no branch {branch}")],
            Some(tip) if remote.history(&reference, &tip)?.contains(&tip, commit)? => Vec::new(),
            Some(tip) => vec![format!("it is at {} and does not contain the release, {}", tip.short(), commit.short())],
        };
        report.check(
            &format!("branch {branch}"),
            &format!("contains {}", commit.short()),
            broken,
            "whoever builds from git",
        );
        Ok(())
    }

    pub(super) fn check_tag(&self, record: &Record, report: &mut Report) -> Result<()> {
        let remote = Remote::find(self.git, &self.world.environment.git)?;
        let reference = format!("refs/tags/{}", self.version);
        let peeled = format!("{reference}^{{}}");
        let found = remote.refs(&[&reference, &peeled])?;
        let commit = &record.commit;
        let broken = match found.get(&peeled) {
            None if found.contains_key(&reference) => vec!["it is no annotated tag".to_owned()],
            None => vec!["the remote does not have it".to_owned()],
            Some(tagged) if tagged == commit => Vec::new(),
            Some(tagged) => vec![format!("it names {}, and {} was released", tagged.short(), commit.short())],
        };
        report.check(
            &format!("tag {}", self.version),
            &format!("names {}", commit.short()),
            broken,
            "whoever builds from git",
        );
        Ok(())
    }
}
