//! The page of outcomes, or JSON, and what to do next.

use anyhow::Result;
use xtask::cli::Outcome as Ended;
use xtask::domain::amounts::counted;
use xtask::domain::release::check::Check;
use xtask::tools::term::{self, DIM, WARNING};

use crate::domain::checks::report::{Checks, Outcome};

/// Most problems of one check that are shown.
const SHOWN: usize = 10;

/// Shows the outcomes on stdout.
///
/// # Errors
/// stdout cannot be written to.
pub fn show(as_json: bool, checks: &Checks) -> Result<Ended> {
    if as_json {
        term::json(checks)?;
    } else {
        for (check, outcome) in Check::EVERY.into_iter().filter_map(|check| Some((check, checks.of(check)?))) {
            rows(check, outcome)?;
        }
    }
    let (mut failed, mut not_run) = (0, 0);
    for outcome in checks.checks.values() {
        match outcome {
            Outcome::Failed { .. } => failed += 1,
            Outcome::NotRun { .. } => not_run += 1,
            Outcome::Passed { .. } | Outcome::Accepted { .. } => {}
        }
    }
    let version = &checks.version;
    if failed > 0 {
        let checks = counted(failed, "check");
        term::say(format_args!("{} {checks} of {version} failed", term::bad("not proven:")));
        return Ok(Ended::Failed);
    }
    let missing = checks.missing(checks.record).len();
    if missing == 0 {
        let next = term::next("plan --env ENV");
        term::say(format_args!("{} {version} passed every check; next: {next}", term::good("proven:")));
    } else {
        let why = if not_run > 0 {
            format!("{} could not be run", counted(not_run, "check"))
        } else {
            "only some were run".to_owned()
        };
        term::say(format_args!("{WARNING}not proven:{WARNING:#} {version} failed no check, but {why}"));
    }
    Ok(Ended::Done)
}

fn rows(check: Check, outcome: &Outcome) -> Result<()> {
    match outcome {
        Outcome::Passed { told } => term::row(format_args!("{}       {check:<9} {told}", term::good("ok"))),
        Outcome::NotRun { why } => term::row(format_args!("{WARNING}not run{WARNING:#}  {check:<9} {why}")),
        Outcome::Failed { problems } => problem_rows(&format!("{}  ", term::bad("failed")), check, problems),
        Outcome::Accepted { problems, reason } => {
            let mark = format!("{DIM}accepted{DIM:#}");
            problem_rows(&mark, check, problems)?;
            term::row(format_args!("{mark} {check:<9} because: {reason}"))
        }
    }
}

fn problem_rows(mark: &str, check: Check, problems: &[String]) -> Result<()> {
    let shown = if term::is_verbose() { problems.len() } else { SHOWN };
    for problem in problems.iter().take(shown) {
        term::row(format_args!("{mark} {check:<9} {problem}"))?;
    }
    if problems.len() > shown {
        let more = problems.len() - shown;
        term::row(format_args!("{mark} {check:<9} and {more} more (`--verbose` lists them)"))?;
    }
    Ok(())
}
