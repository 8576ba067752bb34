//! A release built again: in a scratch clone of its repository, by this program, as a manager would.
//!
//! The clone and what is built there are removed with the last value that holds them, also after a signal.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::domain::build::image::{BLOBS, Index};
use xtask::domain::build::record::Record;
use xtask::domain::digest::Digest;
use xtask::domain::layout::{ARTIFACTS, IMAGES, RECORD, RELEASE};
use xtask::domain::oid::Oid;
use xtask::domain::profile::Profile;
use xtask::tools::git::Git;
use xtask::tools::scratch_dir::ScratchDir;
use xtask::tools::{files, process};

use crate::tools::child::{self, Wait};
use crate::tools::shutdown::{self, Begun};
use crate::tools::whole_clone;

/// The branch of the clone; what is built is at no branch.
const BRANCH: &str = "releng/rebuild";

/// A scratch clone.
pub struct Clone {
    scratch: Arc<ScratchDir>,
    _removed: Begun,
}

/// What to build in it.
pub struct Order<'a> {
    pub commit: &'a Oid,
    pub profile: Profile,
    /// Whether the commit must be that of its version's tag.
    pub is_tagged: bool,
    /// Path of the `releng.toml` that says what is released.
    pub config: &'a Utf8Path,
    /// The manager's arguments for Nix.
    pub nix_args: &'a [String],
}

/// A release that was built again.
pub struct Rebuilt {
    pub record: Record,
    /// Directory with its files.
    pub artifacts: Utf8PathBuf,
    /// The index of its images, as older copies of this tool made it.
    pub older_indexes: Vec<Digest>,
}

impl Clone {
    /// Clones a repository completely.
    ///
    /// # Errors
    /// The repository is damaged, or what is missing in it cannot be fetched.
    pub async fn of(repository: &Utf8Path) -> Result<Clone> {
        let scratch = Arc::new(ScratchDir::new()?);
        // What still writes there ends first.
        let kept = Arc::clone(&scratch);
        let clone = Clone { scratch, _removed: shutdown::on_signal(move || async move { drop(kept) }) };
        let (from, to) = (repository.to_owned(), clone.tree());
        let cloning = move || whole_clone::clone(&Git::open(&from)?, &to, BRANCH);
        tokio::task::spawn_blocking(cloning)
            .await
            .context("the clone was stopped")?
            .context("cannot clone the tree")?;
        Ok(clone)
    }

    /// Top of the clone.
    pub fn tree(&self) -> Utf8PathBuf {
        self.scratch.path().join("tree")
    }

    /// Place for files that are needed for as long as the clone.
    pub fn beside(&self) -> &Utf8Path {
        self.scratch.path()
    }

    /// Builds a release, whatever was built from it before.
    ///
    /// # Errors
    /// It cannot be built.
    pub async fn build(&self, order: &Order<'_>) -> Result<Rebuilt> {
        let Order { commit, profile, is_tagged, config, nix_args } = order;
        let tree = self.tree();
        process::read(Git::open(&tree)?.cmd(["switch", "--quiet", "--detach", commit.as_str()]))?;
        let program = std::env::current_exe().context("cannot find this program")?;
        // What it leaves there if it is stopped goes with the clone.
        let temporary = self.beside().join("tmp");
        std::fs::create_dir_all(&temporary).with_context(|| format!("cannot make {temporary}"))?;
        let building = {
            let sh = process::shell_in(&tree)?;
            let profile = profile.to_string();
            let cmd = sh.cmd(program).args(["release", "build", "--quiet", "--profile", &profile]);
            // It is run in the clone.
            let config = camino::absolute_utf8(config).with_context(|| format!("cannot find {config}"))?;
            let cmd = cmd.args(["--repo", tree.as_str(), "--config", config.as_str()]);
            let cmd = cmd.env("TMPDIR", &temporary);
            let cmd = if *is_tagged { cmd } else { cmd.arg("--no-check-git") };
            let cmd = if nix_args.is_empty() { cmd } else { cmd.arg("--").args(*nix_args) };
            child::capture(cmd, &Wait::for_("the build"))
        };
        process::check("release build", &building.await?)?;
        let release = tree.join(RELEASE);
        let record = Record::parse(&files::read_text(&release.join(RECORD))?).map_err(|why| anyhow!(why))?;
        let older_indexes = match &record.image {
            Some(image) => older(&release.join(IMAGES).join(BLOBS).join(image.digest.to_string()))?,
            None => Vec::new(),
        };
        Ok(Rebuilt { record, artifacts: release.join(ARTIFACTS), older_indexes })
    }
}

/// Returns the digests that an index would have without what newer copies of this tool add to it.
fn older(index: &Utf8Path) -> Result<Vec<Digest>> {
    let index = Index::parse(&files::read(index)?).map_err(|why| anyhow!("{index} {why}"))?;
    Ok(index.of_older_tools().iter().map(|older| files::digest_of(older.to_json().as_bytes()).sha256).collect())
}
