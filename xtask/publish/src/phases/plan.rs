//! `release plan`: shows what publishing would do. Writes nothing.

use anyhow::Result;
use xtask::cli::{Invocation, Outcome, PlanArgs};
use xtask::tools::git::Git;
use xtask::tree::release_dir;

use super::{environments, wanted};
use crate::delivery::agreement;
use crate::delivery::train::with_train;

/// Shows the plan on stdout.
///
/// # Errors
/// The release differs from its build, or the environment cannot be looked at.
pub async fn run(invocation: &Invocation, args: &PlanArgs) -> Result<Outcome> {
    let trees = [Git::open(&invocation.tree)?];
    release_dir::require_tidy(trees[0].root())?;
    with_train(&environments(invocation), &trees, &wanted(args), async |train| {
        agreement::data(invocation.json, &train.plan().await?.plans())
    })
    .await?;
    Ok(Outcome::Done)
}
