//! `release plan`: what publishing would do, as a page to read. Writes nothing.

use anyhow::Result;
use xtask::cli::{Invocation, Outcome, PlanArgs};
use xtask::tools::git::Git;
use xtask::tools::term;

use super::upload::with_train;
use crate::domain::publication::plan::Plans;

/// Shows the plan on stdout.
///
/// # Errors
/// The release is not as built, or the environment cannot be looked at.
pub async fn run(invocation: &Invocation, args: &PlanArgs) -> Result<Outcome> {
    let trees = [Git::open(&invocation.tree)?];
    with_train(invocation, &trees, args, async |train| show(invocation, &train.plan().await?.plans())).await?;
    Ok(Outcome::Done)
}

/// Shows plans on stdout, as a page or as JSON.
///
/// # Errors
/// stdout is closed.
pub fn show(invocation: &Invocation, plans: &Plans) -> Result<()> {
    match invocation.json {
        true => term::json(&json(plans)?),
        false => term::data(term::paint_plan(&plans.to_text(term::is_verbose()))),
    }
}

/// Writes plans that were carried out to stdout, if data is wanted.
///
/// # Errors
/// stdout is closed.
pub fn tell(invocation: &Invocation, plans: &Plans) -> Result<()> {
    if invocation.json { show(invocation, plans) } else { Ok(()) }
}

/// A plan with its digest; of several, a list with the digest of all of them.
fn json(plans: &Plans) -> Result<serde_json::Value> {
    let mut json = match plans.0.as_slice() {
        [plan] => serde_json::to_value(plan)?,
        plans => serde_json::json!({ "plans": plans }),
    };
    json["digest"] = plans.digest().to_string().into();
    Ok(json)
}
