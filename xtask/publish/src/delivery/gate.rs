//! The gate between environments: which environment must have a release first, and its receipts. They are judged in
//! [`crate::domain::publication::receipt`].

use anyhow::{Context, Result, anyhow, bail, ensure};
use camino::Utf8Path;
use xtask::domain::environment::Environment;
use xtask::domain::extent::Extent;
use xtask::domain::release::tagging::TagRecord;
use xtask::tools::git::Git;
use xtask::tools::git::tag_object::{TagObject, Unsigned};
use xtask::tree::signers::Signers;

use crate::domain::checks::proof::Proof;
use crate::domain::publication::acts::Subject;
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::receipt::{Gate, Skipped, StoredReceipt};
use crate::site::built::Built;
use crate::site::checks;
use crate::site::published::{published, receipt};
use crate::site::{Destination, Environments};

impl Destination {
    /// Whether a release is completely published here, so that it can be repaired without asking another environment.
    ///
    /// # Errors
    /// The environment cannot be looked at.
    pub async fn has(&self, built: &Built) -> Result<bool> {
        let own = receipt(self, &built.record.version).await?;
        Ok(own.is_of(built.record_digest))
    }

    /// Checks that a manual alone may be published here: if the environment requires another, only as a repair.
    ///
    /// # Errors
    /// The manual's release is not published, or the environment cannot be looked at.
    pub async fn takes_manual_alone(&self, subject: &Subject) -> Result<()> {
        let (Some(earlier), Subject::Official(release)) = (&self.site.environment.requires, subject) else {
            return Ok(());
        };
        let version = release.version();
        ensure!(
            published(self.read.of(Bucket::Releases), &self.site).await?.versions.contains(version),
            "{version} is not published to {0}, and a manual alone is for repairs only: run `upload --env {earlier}`, \
             then `upload --env {0}`",
            self.site.name
        );
        Ok(())
    }

    /// Finds the environment that must have releases before this one, unless the manager skips it for the reason
    /// `skipped`.
    ///
    /// # Errors
    /// The environment cannot be reached, or there is none to skip.
    pub async fn earlier(
        &self,
        environments: &Environments,
        tree: &Utf8Path,
        target: Extent,
        skipped: Option<&str>,
    ) -> Result<Earlier> {
        let (required, reason) = (self.site.environment.requires.as_deref(), skipped);
        match (required, reason) {
            _ if target == Extent::Manual => {
                ensure!(
                    reason.is_none(),
                    "`--target manual` does not require another environment: leave out `--skip-staging`"
                );
                Ok(Earlier::None)
            }
            (None, None) => Ok(Earlier::None),
            (None, Some(_)) => {
                Err(anyhow!("{} does not require another environment: leave out `--skip-staging`", self.site.name))
            }
            (Some(environment), Some(text)) => {
                let reason = checked_reason("--skip-staging", text)?;
                Ok(Earlier::Skipped(Skipped { environment: environment.to_owned(), reason }))
            }
            (Some(environment), None) => {
                let earlier = Destination::open(environments, tree, environment, &[Bucket::Releases]).await;
                let earlier = earlier.with_context(|| cannot_ask(environment))?;
                Ok(Earlier::Required(Box::new(earlier)))
            }
        }
    }
}

/// Reads what `check` found, and whether an environment requires it, unless the manager skips it for the reason `skipped`.
///
/// # Errors
/// Nothing is required that could be skipped, or `checks.json` is damaged.
pub fn proof(git: &Git, environment: &Environment, skipped: Option<&str>, name: &str) -> Result<Proof> {
    let is_required = environment.requires_checks;
    ensure!(is_required || skipped.is_none(), "{name} does not require checks: leave out `--skip-checks`");
    let damaged = |why| anyhow!("{} {why}: run `check` again", checks::path(git.root()));
    let checks = checks::read(git.root())?.transpose().map_err(damaged)?;
    let skipped = skipped.map(|text| checked_reason("--skip-checks", text)).transpose()?;
    Ok(Proof { is_required, skipped, checks })
}

/// Returns a reason that is fit to be recorded.
fn checked_reason(option: &str, text: &str) -> Result<String> {
    let reason = text.trim().to_owned();
    ensure!(!reason.is_empty(), "`{option}` needs a reason, which is recorded");
    ensure!(!reason.chars().any(char::is_control), "the reason for `{option}` must be a single line");
    Ok(reason)
}

fn cannot_ask(environment: &str) -> String {
    format!(
        "the receipt of {environment} is required, and cannot be read (`--skip-staging REASON` continues without it)"
    )
}

/// The environment that must have a release first.
pub enum Earlier {
    None,
    Required(Box<Destination>),
    Skipped(Skipped),
}

impl Earlier {
    /// Asks the environment for its receipt for a release.
    ///
    /// # Errors
    /// The environment cannot be asked.
    pub async fn gate(&self, version: &str) -> Result<Gate> {
        let destination = match self {
            Earlier::None => return Ok(Gate::Open),
            Earlier::Skipped(skipped) => return Ok(Gate::Skipped(skipped.clone())),
            Earlier::Required(destination) => destination,
        };
        let environment = destination.site.name.clone();
        let asked = receipt(destination, version).await;
        let receipt = match asked.with_context(|| cannot_ask(&environment))? {
            StoredReceipt::Missing => None,
            StoredReceipt::Is(receipt) => Some(receipt),
            StoredReceipt::Newer(why) => bail!("{} of {environment} {why}", destination.site.layout(version).receipt()),
            StoredReceipt::Unreadable(why) => {
                let key = destination.site.layout(version).receipt();
                bail!("{key} of {environment} {why}: `upload --env {environment}` rewrites it")
            }
        };
        Ok(Gate::Requires { environment, receipt })
    }
}

/// Checks that a release's tag is signed, if it must be.
///
/// # Errors
/// No allowed signer has signed it.
pub fn require_signed(git: &Git, signers: &Signers, tag: &TagRecord) -> Result<()> {
    if !signers.requires_signature(&tag.version) {
        return Ok(());
    }
    match signers.check(TagObject { git, dir: None, tag: &tag.tag_object }, &tag.version) {
        Ok(_) => Ok(()),
        Err(error) => match error.downcast::<Unsigned>() {
            Ok(Unsigned(why)) => bail!(
                "releng.toml requires a signed tag, and the tag {} {why}: if it was never pushed, go back to the branch, make \
                 it anew with `release tag --force-tag`, and build again",
                tag.version
            ),
            Err(error) => Err(error),
        },
    }
}
