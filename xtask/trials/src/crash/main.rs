//! The crash matrix: the release tool, killed before every change that it makes to a file: alone, with everything that it
//! has started, or by a power cut, which also takes what was not synced; and with a disk that is full from then on.
//!
//! After each of these, what users see is complete; the same command succeeds; and then everything is as if nothing had
//! happened. Nothing in the tool knows of this: the kernel stops it.

mod points;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use clap::{Parser, ValueEnum};

use xtask_trials::disk::{Disk, Loss};
use xtask_trials::place::{self, Differences, Expected, Print};
use xtask_trials::scenario::{Lab, PHASES, Phase, output, said};
use xtask_trials::table::{self, Row};
use xtask_trials::tracer::{self, Ended, Fault, Victim, needs_room};
use xtask_trials::trial::{self, Given};
use xtask_trials::world;

/// Number of runs at once on each core: they often wait.
const WORKERS: usize = 2;

/// Kill the release tool at every point, or fill the disk, and see what is left
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask crash")]
struct Arguments {
    /// The phases; without any, all of them
    phases: Vec<String>,
    /// What fails; may be repeated; without it, each in turn
    #[arg(long, value_enum)]
    victim: Vec<Victim>,
    /// Kill at one point of each kind only
    #[arg(long)]
    kinds: bool,
    /// Kill at every so manieth point
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = trial::at_least_one)]
    every: usize,
    /// Leave out the kinds of points that an earlier phase had
    #[arg(long, requires = "kinds")]
    once: bool,
    /// Print the points of an undisturbed run, and kill nothing
    #[arg(long, conflicts_with = "point")]
    list: bool,
    /// Kill at this point only
    #[arg(long)]
    point: Option<usize>,
    #[command(flatten)]
    given: Given,
}

fn main() -> ExitCode {
    trial::ended(run(&Arguments::parse()))
}

/// Returns whether every point ended well.
fn run(arguments: &Arguments) -> Result<bool> {
    let chosen = chosen(&arguments.phases)?;
    // In memory, if possible: nothing here has to survive a real power cut.
    let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let scratch = scratch.context("cannot make a temporary directory")?;
    let lab = arguments.given.lab(&scratch)?;
    eprintln!("making the states that phases start from");
    lab.prepare_for(&chosen)?;
    let victims = match &arguments.victim[..] {
        [] => vec![Victim::All, Victim::Program, Victim::Power, Victim::Disk],
        given => given.to_vec(),
    };
    if !arguments.list {
        println!("{}", table::heading("fails"));
    }
    let (mut is_well, mut seen) = (true, BTreeSet::new());
    for phase in chosen {
        let undisturbed = undisturbed(&lab, phase, victims.contains(&Victim::Power))?;
        if arguments.list {
            let points = undisturbed.ended.points.iter().enumerate();
            points.for_each(|(index, point)| println!("{} {} {point}", phase.name, index + 1));
            continue;
        }
        for victim in &victims {
            let begun = Instant::now();
            let matrix = Matrix { lab: &lab, phase, victim: *victim, arguments, undisturbed: &undisturbed };
            let row = matrix.run(&mut seen)?;
            is_well &= row.is_well();
            let name = victim.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
            println!("{}", row.line(phase.name, &name, begun.elapsed()));
        }
    }
    Ok(is_well)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Phase>> {
    if names.is_empty() {
        return Ok(PHASES.iter().collect());
    }
    let find = |name: &String| {
        let known = || PHASES.map(|phase| phase.name).join(", ");
        PHASES.iter().find(|phase| phase.name == *name).with_context(|| format!("no phase `{name}`: {}", known()))
    };
    names.iter().map(find).collect()
}

/// Where to kill, and what is lost with it.
#[derive(Debug, Clone, Copy)]
struct Case {
    point: usize,
    loss: Option<Loss>,
}

/// A phase, killed at point after point.
struct Matrix<'a> {
    lab: &'a Lab,
    phase: &'a Phase,
    victim: Victim,
    arguments: &'a Arguments,
    undisturbed: &'a Undisturbed,
}

/// What runs that nothing disturbs do.
struct Undisturbed {
    /// What they leave.
    expected: Expected,
    /// How the first one went.
    ended: Ended,
}

/// Runs a phase twice. `watches`: whether to note what a power cut would take.
fn undisturbed(lab: &Lab, phase: &Phase, watches: bool) -> Result<Undisturbed> {
    let once = |watches: bool| -> Result<(Print, Ended)> {
        let place = lab.place(1);
        lab.reset(phase.state, &place)?;
        let mut disk = watches.then(|| disk(&place)).transpose()?;
        let (command, messages) = heard(lab, phase, 1)?;
        let ended = tracer::run(command, &place, None, disk.as_mut())?;
        if ended.status != Some(0) {
            bail!("{} fails without being killed: {}", phase.name, read(&messages)?);
        }
        Ok((place::print(&place)?, ended))
    };
    let ((first, ended), (second, _)) = (once(watches)?, once(false)?);
    Ok(Undisturbed { expected: Expected::of(first, &second), ended })
}

/// The command of a phase, and the file that gets its messages.
fn heard(lab: &Lab, phase: &Phase, worker: usize) -> Result<(Command, Utf8PathBuf)> {
    let messages = lab.dir.join(format!("w{worker}.messages"));
    let mut command = lab.command(phase, &lab.place(worker));
    command.stderr(fs::File::create(&messages).with_context(|| format!("cannot create {messages}"))?);
    Ok((command, messages))
}

fn read(messages: &Utf8Path) -> Result<String> {
    fs::read_to_string(messages).with_context(|| format!("cannot read {messages}"))
}

/// The disk of a place as it is now.
fn disk(place: &Utf8Path) -> Result<Disk> {
    Disk::new(place, &Utf8PathBuf::from(format!("{place}.kept")))
}

impl Matrix<'_> {
    /// `seen` has the kinds of points that were tried, each with the victim.
    fn run(&self, seen: &mut BTreeSet<String>) -> Result<Row> {
        let mut todo = self.cases(&self.undisturbed.ended, seen);
        todo.reverse();
        let (todo, row) = (Mutex::new(todo), Mutex::new(Row::default()));
        std::thread::scope(|scope| -> Result<()> {
            let work = |worker: usize| {
                let (todo, row) = (&todo, &row);
                scope.spawn(move || -> Result<()> {
                    while let Some(case) = { todo.lock().expect("nothing panics with it").pop() } {
                        self.kill(worker, case, row)?;
                    }
                    Ok(())
                })
            };
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let workers: Vec<_> = (1..=WORKERS * cores).map(work).collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("it does not panic"))
        })?;
        Ok(row.into_inner().expect("nothing panics with it"))
    }

    /// The points to kill at, in order; for a power cut, each with what is lost, and the end of the run among them.
    fn cases(&self, ended: &Ended, seen: &mut BTreeSet<String>) -> Vec<Case> {
        let is_power = self.victim == Victim::Power;
        let count = if is_power { ended.at_risk.len() } else { ended.points.len() };
        let points = match (self.arguments.point, self.arguments.kinds) {
            (Some(point), _) => vec![point],
            (None, false) => (1..=count).step_by(self.arguments.every).collect(),
            (None, true) => {
                let mut kinds = if is_power {
                    points::last_of_each_risk(&ended.at_risk)
                } else {
                    points::first_of_each_kind(&ended.points)
                };
                kinds.retain(|kind, _| seen.insert(format!("{:?} {kind}", self.victim)) || !self.arguments.once);
                kinds.into_values().collect::<BTreeSet<_>>().into_iter().collect()
            }
        };
        let needs_room = |point: &usize| ended.points.get(point - 1).is_some_and(|point| needs_room(point));
        let points: Vec<usize> =
            points.into_iter().filter(|point| self.victim != Victim::Disk || needs_room(point)).collect();
        if !is_power {
            return points.into_iter().map(|point| Case { point, loss: None }).collect();
        }
        let losses = |point: usize| {
            let at_risk = ended.at_risk.get(point - 1).map_or(&[][..], Vec::as_slice);
            let (content, names): (Vec<_>, Vec<_>) = at_risk.iter().partition(|what| what.starts_with("content "));
            let is_lost = move |loss: &Loss| match loss {
                Loss::Content | Loss::Half => !content.is_empty(),
                Loss::Names => !names.is_empty(),
            };
            Loss::ALL.into_iter().filter(is_lost).map(move |loss| Case { point, loss: Some(loss) })
        };
        points.into_iter().flat_map(losses).collect()
    }

    fn kill(&self, worker: usize, case: Case, row: &Mutex<Row>) -> Result<()> {
        let expected = &self.undisturbed.expected;
        let (place, Case { point, loss }) = (self.lab.place(worker), case);
        self.lab.reset(self.phase.state, &place)?;
        let fault = Fault { before: point, what: self.victim };
        let (command, messages) = heard(self.lab, self.phase, worker)?;
        let mut disk = (self.victim == Victim::Power).then(|| disk(&place)).transpose()?;
        let ended = tracer::run(command, &place, Some(fault), disk.as_mut())?;
        let (mut lost, mut taken) = (String::new(), Vec::new());
        if let (Some(disk), Some(loss)) = (disk, loss) {
            lost = format!(", {loss:?} of {:?}", disk.at_risk()?);
            disk.lose(loss)?;
            if ended.status.is_some() {
                // What was done may not be lost.
                taken = expected.lost(&place::print(&place)?);
            }
        } else if ended.points.len() < point {
            // This run made fewer changes than the first one.
            return Ok(());
        }
        let event = ended.points.get(point - 1).map_or("end", String::as_str);
        let faults = if self.phase.publishes { world::faults(&place)? } else { Vec::new() };
        let again = output(&mut self.lab.command(self.phase, &place))?;
        let Differences { litter, differs } = expected.differences(&place::print(&place)?);

        let mut row = row.lock().expect("nothing panics with it");
        row.points += 1;
        row.kinds.insert(loss.map_or_else(String::new, |loss| format!("{loss:?} ")) + &points::kind(event));
        let report = |count: &mut usize, what: &str, why: String| {
            *count += 1;
            eprintln!("{} {point}, before `{event}`{lost}: {what}: {why}", self.phase.name);
        };
        if !faults.is_empty() {
            report(&mut row.wrong_view, "users see something else", faults.join("; "));
        }
        if !again.status.success() {
            report(&mut row.stuck, "the same command fails", said(&again));
        } else if !taken.is_empty() {
            report(&mut row.differs, "it had ended, and this is lost", format!("{taken:?}"));
        } else if !differs.is_empty() {
            report(&mut row.differs, "it does not end as it should", format!("{differs:?}"));
        }
        let messages = read(&messages)?;
        if self.victim == Victim::Disk && !is_clear(ended.status, &messages) {
            report(&mut row.unclear, "it does not name the full disk", messages);
        }
        if !litter.is_empty() {
            report(&mut row.litter, "this stays", format!("{litter:?}"));
        }
        Ok(())
    }
}

/// Whether a run succeeded on a full disk, or says why not.
fn is_clear(status: Option<i32>, messages: &str) -> bool {
    status == Some(0) || status == Some(1) && messages.contains("\nnext: make room ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_phase_is_named_with_the_known_ones() {
        let error = chosen(&["publish".to_owned()]).expect_err("no such phase").to_string();
        assert!(error.starts_with("no phase `publish`: prepare, tag, build,"), "{error}");
    }
}
