//! The manager's consent to exactly one plan: the plan is shown, and the manager types a sentence, unless an option of
//! the command line replaces it.

use std::io::BufRead;

use anyhow::{Context, Result, bail, ensure};
use xtask::domain::digest::Digest;
use xtask::domain::environment::Colour;
use xtask::tools::{paint, term};

use crate::domain::publication::plan::Plans;
use crate::site::Site;

/// How the manager answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// By typing the sentence.
    Typed,
    /// With `--plan`: yes to the plan with this digest.
    Plan(Digest),
    /// With `--noconfirm`.
    Unasked,
}

/// Shows the plans.
pub fn show(plans: &Plans) {
    term::page(paint::plan(&plans.to_text(term::is_verbose())));
}

/// Writes the plans to stdout, as a page or `as_json`.
///
/// # Errors
/// stdout is closed.
pub fn data(as_json: bool, plans: &Plans) -> Result<()> {
    if as_json { term::json(&json(plans)?) } else { term::data(paint::plan(&plans.to_text(term::is_verbose()))) }
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
pub fn ask(site: &Site, plans: &Plans, sentence: &str, answer: Answer) -> Result<()> {
    match answer {
        Answer::Typed => ask_for(site, plans, sentence),
        Answer::Plan(agreed) => {
            let digest = plans.digest();
            ensure!(agreed == digest, "the plan is now {digest}, but {agreed} was agreed to: read the plan again");
            Ok(())
        }
        Answer::Unasked => {
            ensure!(
                site.environment.noconfirm,
                "{} does not allow `--noconfirm`: type the sentence, or agree to a plan with `--plan DIGEST`",
                site.name
            );
            Ok(())
        }
    }
}

fn ask_for(site: &Site, plans: &Plans, sentence: &str) -> Result<()> {
    let colour = match site.environment.colour {
        Colour::Blue => term::BLUE,
        Colour::Green => term::GREEN,
        Colour::Red => term::RED,
    };
    // What is agreed to is always shown, also with `--quiet`.
    if term::is_quiet() {
        term::prompt(paint::plan(&plans.to_text(false)) + "\n")?;
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
