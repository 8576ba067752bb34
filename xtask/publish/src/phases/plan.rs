//! `release plan`: what publishing would do, as a page to read. Writes nothing.

use anyhow::Result;
use xtask::cli::{Outcome, Place, PlanArgs};
use xtask::domain::plan::Plan;
use xtask::tools::git::Git;
use xtask::tools::term;

use super::session::Session;

/// Shows the plan on stdout.
///
/// # Errors
/// The release is not as built, or the environment cannot be looked at.
pub async fn run(place: &Place, args: &PlanArgs) -> Result<Outcome> {
    let git = Git::open(&place.tree)?;
    let session = Session::open(place, &git, args).await?;
    let plan = session.plan().await?;
    if place.json {
        term::data(plan_json(&plan)?)?;
    } else {
        term::data(term::paint_plan(&plan.to_text(term::is_verbose())))?;
    }
    Ok(Outcome::Done)
}

/// The plan with its digest.
fn plan_json(plan: &Plan) -> Result<String> {
    let mut json = serde_json::to_value(plan)?;
    json["digest"] = plan.digest().to_string().into();
    Ok(format!("{json:#}\n"))
}
