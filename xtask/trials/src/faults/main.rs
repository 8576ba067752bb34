//! The fault matrix: the release tool, with each answer of each server that it speaks to harmed in each way; and two
//! runs of it at once, whose requests take turns.
//!
//! Each run ends with success over a world that is right, or with an error that the same command heals once the
//! servers answer again. Nothing in the tool knows of this: the servers stand behind a proxy.

mod backend;
mod behind;
mod bucket;
mod deeds;
mod fault;
mod front;
mod http;
mod matrix;
mod stage;
mod together;
mod turns;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;

use xtask_trials::scenario::Phase;
use xtask_trials::table;
use xtask_trials::trial::{self, Given};

use self::fault::{Fault, Lasts};
use self::front::Side;
use self::matrix::{Matrix, PHASES};

/// Harm each answer that the release tool gets, and see how it ends
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask faults")]
struct Arguments {
    /// The phases, and `together` for two runs at once; without any, all of them
    phases: Vec<String>,
    /// The server whose answers are harmed; repeat the option for several [default: all]
    #[arg(long, value_enum)]
    side: Vec<Side>,
    /// Harm the first answer of each kind only
    #[arg(long)]
    kinds: bool,
    /// Harm this answer only
    #[arg(long, value_name = "N")]
    at: Option<usize>,
    /// Harm every so manieth answer
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = trial::at_least_one)]
    every: usize,
    /// The fault; repeat the option for several [default: all]
    #[arg(long = "fault", value_enum)]
    faults: Vec<Fault>,
    /// How long the fault lasts; repeat the option for several [default: all]
    #[arg(long, value_enum)]
    lasts: Vec<Lasts>,
    /// Leave out faults under which a run mostly waits
    #[arg(long)]
    quick: bool,
    /// At most so many runs of each phase, spread over points and faults
    #[arg(long, value_name = "N")]
    most: Option<usize>,
    /// Number of interleavings of two runs at once
    #[arg(long, value_name = "N", default_value_t = 272)]
    interleavings: usize,
    /// Who meets: same, series, rollback, withdrawn, sync, loss, lost-lock or stolen-lock; repeat the option for several [default: all]
    #[arg(long, value_name = "NAME")]
    meeting: Vec<String>,
    /// Try only the interleaving of this seed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Number of runs at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = trial::at_least_one)]
    workers: usize,
    #[command(flatten)]
    given: Given,
}

fn main() -> ExitCode {
    trial::ended(run(&Arguments::parse()))
}

/// Returns whether every run ended well.
fn run(arguments: &Arguments) -> Result<bool> {
    let (together, phases): (Vec<_>, Vec<_>) = arguments.phases.iter().cloned().partition(|name| name == TOGETHER);
    let is_all = arguments.phases.is_empty();
    let chosen = if is_all { PHASES.iter().collect() } else { chosen(&phases)? };
    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    let lab = arguments.given.lab(&scratch)?;
    eprintln!("making the states that phases start from");
    lab.prepare()?;
    println!("{}", table::heading("harmed"));
    let mut is_well = true;
    let sides = if arguments.side.is_empty() {
        &[Side::S3, Side::Registry, Side::Public, Side::Git][..]
    } else {
        &arguments.side
    };
    for side in sides.iter().copied() {
        let meet = side == Side::S3 && (is_all || !together.is_empty());
        if chosen.is_empty() && !meet {
            continue;
        }
        let states = matrix::states(&lab, side)?;
        for phase in &chosen {
            let begun = Instant::now();
            let row = Matrix { lab: &lab, side, phase, state: &states[phase.state], arguments }.run()?;
            is_well &= row.is_well();
            println!("{}", row.line(phase.name, side.name(), begun.elapsed()));
        }
        if meet {
            let Arguments { meeting, interleavings, seed, workers, .. } = arguments;
            for (name, row, took) in together::run(&lab, &states, meeting, *interleavings, *seed, *workers)? {
                is_well &= row.is_well();
                println!("{}", row.line(TOGETHER, name, took));
            }
        }
    }
    Ok(is_well)
}

/// Names the trial of two runs at once.
const TOGETHER: &str = "together";

fn chosen(names: &[String]) -> Result<Vec<&'static Phase>> {
    let known = || PHASES.map(|phase| phase.name).join(", ") + ", " + TOGETHER;
    let find = |name: &String| matrix::phase(name).with_context(|| format!("no phase `{name}`: {}", known()));
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_phase_is_named_with_the_known_ones() {
        let error = chosen(&["publish".to_owned()]).expect_err("no such phase").to_string();
        assert_eq!(error, "no phase `publish`: plan, upload, verify, rollback, repair, together");
    }
}
