//! `release plan`: shows what publishing would do. Writes nothing.

use anyhow::{Result, ensure};
use xtask::cli::{Invocation, Outcome, PlanArgs};
use xtask::tools::git::Git;
use xtask::tree::release_dir;

use super::{environments, wanted};
use crate::delivery::agreement;
use crate::delivery::trees::with_train;

/// Shows the plan on stdout.
///
/// # Errors
/// The release differs from its build, or not everything can be looked at; what can be is shown.
pub async fn run(invocation: &Invocation, args: &PlanArgs) -> Result<Outcome> {
    let trees = [Git::open(&invocation.tree)?];
    release_dir::require_tidy(trees[0].root())?;
    with_train(&environments(invocation), &trees, &wanted(args), async |train| {
        let planned = train.plan().await?;
        agreement::data(invocation.json, &planned.plans())?;
        let not_seen = planned.not_seen();
        ensure!(not_seen.is_empty(), "not everything could be looked at\n{}", not_seen.join("\n"));
        Ok(Outcome::Done)
    })
    .await
}
