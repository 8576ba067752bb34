//! The manager's consent to exactly one plan: the plan is shown, and the manager types a sentence, unless an option of
//! the command line replaces it.

use std::io::BufRead;

use anyhow::{Context, Result, bail, ensure};
use xtask::cli::{Agreement, Invocation};
use xtask::domain::environment::Colour;
use xtask::tools::term;

use crate::domain::publication::plan::Plans;
use crate::site::Site;

/// Shows the plans.
///
/// # Errors
/// The plans must not be carried out; every reason is listed.
pub fn show(plans: &Plans) -> Result<()> {
    term::page(term::paint_plan(&plans.to_text(term::is_verbose())));
    let refusals = plans.refusals();
    ensure!(refusals.is_empty(), "this plan cannot be carried out:\n{}", refusals.join("\n"));
    Ok(())
}

/// Writes the plans to stdout, as a page or as JSON.
///
/// # Errors
/// stdout is closed.
pub fn data(invocation: &Invocation, plans: &Plans) -> Result<()> {
    if invocation.json {
        term::json(&json(plans)?)
    } else {
        term::data(term::paint_plan(&plans.to_text(term::is_verbose())))
    }
}

/// Makes the JSON of one plan with its digest, or of several with the digest over all of them.
fn json(plans: &Plans) -> Result<serde_json::Value> {
    let mut json = match plans.0.as_slice() {
        [plan] => serde_json::to_value(plan)?,
        plans => serde_json::json!({ "plans": plans }),
    };
    json["digest"] = plans.digest().to_string().into();
    Ok(json)
}

/// Gets the manager's consent.
///
/// # Errors
/// The manager does not agree.
pub fn ask(site: &Site, plans: &Plans, sentence: &str, agreement: &Agreement) -> Result<()> {
    if let Some(agreed) = agreement.plan {
        let digest = plans.digest();
        ensure!(agreed == digest, "the plan is now {digest}, but {agreed} was agreed to: read the plan again");
        return Ok(());
    }
    if agreement.noconfirm {
        ensure!(
            site.environment.noconfirm,
            "{} does not allow `--noconfirm`: type the sentence, or agree to a plan with `--plan DIGEST`",
            site.name
        );
        return Ok(());
    }
    let colour = match site.environment.colour {
        Colour::Blue => term::BLUE,
        Colour::Green => term::GREEN,
        Colour::Red => term::RED,
    };
    // What is agreed to is always shown, also with `--quiet`.
    if term::is_quiet() {
        term::prompt(term::paint_plan(&plans.to_text(false)) + "\n")?;
    }
    term::prompt(format_args!("To go on, type: {colour}{sentence}{colour:#}\n> "))?;
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line).context("cannot read your answer")? == 0 {
        term::say("");
        bail!("nothing was done, because there was no answer; without a terminal, agree with `--plan DIGEST`");
    }
    ensure!(line.trim() == sentence, "nothing was done, because the answer was not `{sentence}`");
    Ok(())
}
