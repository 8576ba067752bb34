//! The trees whose builds are published together: opened, checked against the environment, and made into a train.

use anyhow::{Context, Result};
use xtask::tools::git::Git;

use super::gate::Earlier;
use super::preflight;
use super::train::{Train, Wanted};
use crate::acts::delivery::Delivery;
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::receipt::Gate;
use crate::site::built::Built;
use crate::site::{Destination, Environments};
use crate::tools::wire::cannot_be_asked;

/// Makes a train of the builds in some trees, and hands it to `then`. The environment's own directories are relative to
/// the first tree.
///
/// # Errors
/// A release differs from its build or its tag, must not go to this environment, or the environment cannot be reached.
pub async fn with_train<T>(
    environments: &Environments,
    trees: &[Git],
    wanted: &Wanted,
    then: impl AsyncFnOnce(&Train<'_>) -> Result<T>,
) -> Result<T> {
    let first = trees.first().context("no tree to release")?.root();
    // Before anything is read, so that a typo costs no time.
    environments.named(&wanted.environment)?;
    let mut built = Vec::new();
    for git in trees {
        built.push(Built::open(git, &environments.product, wanted.target, wanted.check_git).await?);
    }
    let buckets = [Bucket::Docs, Bucket::Releases, Bucket::Cache];
    let destination = Destination::open(environments, first, &wanted.environment, &buckets).await?;
    let mut there = Vec::new();
    for built in &built {
        there.push(match destination.has(built).await {
            // Everything that has to be made is named at once.
            Err(error) if !cannot_be_asked(&error) => {
                return Err(preflight::inventory(&trees[0], &destination, error).await);
            }
            there => there?,
        });
    }
    let all_there = there.iter().all(|there| *there);
    let earlier = if all_there {
        Earlier::None
    } else {
        destination.earlier(environments, first, wanted.target, wanted.skip_staging.as_deref()).await?
    };
    let mut deliveries = Vec::new();
    for ((git, built), there) in trees.iter().zip(built).zip(there) {
        let gate = if there { Gate::Open } else { earlier.gate(&built.record.version).await? };
        deliveries.push(Delivery::new(&destination, gate, git, built, wanted).await?);
    }
    then(&Train::new(deliveries)?).await
}
