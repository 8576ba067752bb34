//! The crash matrix: the release tool, killed before every change that it makes to a file, alone or with everything that it
//! has started; and with a disk that is full from then on.
//!
//! After each of these, what users see is complete; the same command succeeds; and then everything is as if nothing had
//! happened. Nothing in the tool knows of this: the kernel stops it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;
use clap::{Parser, ValueEnum};

use xtask_trials::place::{self, Print, is_litter};
use xtask_trials::scenario::{Lab, PHASES, Phase, output, said};
use xtask_trials::table::{self, Row};
use xtask_trials::tracer::{self, Fault, Victim, needs_room};
use xtask_trials::world;

/// Number of runs at once: one for each core of a small machine.
const WORKERS: usize = 2;

/// Kill the release tool at every point, or fill the disk, and see what is left
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask crash")]
struct Arguments {
    /// The phases; without any, all of them
    phases: Vec<String>,
    /// What fails: the program alone, everything that it has started, too, or the disk
    #[arg(long, value_enum)]
    victim: Option<Victim>,
    /// Kill at one point of each kind only
    #[arg(long)]
    kinds: bool,
    /// Kill at this point only
    #[arg(long)]
    point: Option<usize>,
    /// The workspace of the tool
    #[arg(long, hide = true)]
    workspace: Utf8PathBuf,
    /// The program `xtask`
    #[arg(long, hide = true)]
    front_door: Utf8PathBuf,
    /// The program `xtask-publish`
    #[arg(long, hide = true)]
    publisher: Utf8PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether every point ended well.
fn run(arguments: &Arguments) -> Result<bool> {
    let chosen = chosen(&arguments.phases)?;
    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    let dir = Utf8PathBuf::from_path_buf(scratch.path().to_owned());
    let dir = dir.map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))?;
    let programs = [arguments.front_door.clone(), arguments.publisher.clone()];
    let lab = Lab { dir, programs, workspace: arguments.workspace.clone() };
    eprintln!("making the states that phases start from");
    lab.prepare()?;
    println!("{}", table::heading("fails"));
    let mut is_well = true;
    for phase in chosen {
        for victim in [Victim::All, Victim::Program, Victim::Disk] {
            if arguments.victim.is_some_and(|only| only != victim) {
                continue;
            }
            let begun = Instant::now();
            let row = Matrix { lab: &lab, phase, victim, arguments }.run()?;
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

/// A phase, killed at point after point.
struct Matrix<'a> {
    lab: &'a Lab,
    phase: &'a Phase,
    victim: Victim,
    arguments: &'a Arguments,
}

impl Matrix<'_> {
    fn run(&self) -> Result<Row> {
        let (expected, points) = self.undisturbed()?;
        let mut todo: Vec<usize> = match (self.arguments.point, self.arguments.kinds) {
            (Some(point), _) => vec![point],
            (None, true) => one_of_each_kind(&points),
            (None, false) => (1..=points.len()).collect(),
        };
        if self.victim == Victim::Disk {
            todo.retain(|point| points.get(point - 1).is_some_and(|point| needs_room(point)));
        }
        todo.reverse();
        let (todo, row) = (Mutex::new(todo), Mutex::new(Row::default()));
        std::thread::scope(|scope| -> Result<()> {
            let work = |worker: usize| {
                let (todo, row, expected) = (&todo, &row, &expected);
                scope.spawn(move || -> Result<()> {
                    while let Some(point) = { todo.lock().expect("nothing panics with it").pop() } {
                        self.kill(worker, point, expected, row)?;
                    }
                    Ok(())
                })
            };
            let workers: Vec<_> = (1..=WORKERS).map(work).collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("it does not panic"))
        })?;
        Ok(row.into_inner().expect("nothing panics with it"))
    }

    /// Returns what two undisturbed runs leave in common, and the changes that they make.
    fn undisturbed(&self) -> Result<(Print, Vec<String>)> {
        let place = self.lab.place(1);
        let once = || -> Result<(Print, Vec<String>)> {
            self.lab.reset(self.phase.state, &place)?;
            let ended = tracer::run(self.lab.command(self.phase, &place), &place, None)?;
            if ended.status != Some(0) {
                let again = output(&mut self.lab.command(self.phase, &place))?;
                bail!("{} fails without being killed: {}", self.phase.name, said(&again));
            }
            Ok((place::print(&place)?, ended.points))
        };
        let ((mut first, points), (second, _)) = (once()?, once()?);
        first.retain(|name, value| second.get(name) == Some(value));
        Ok((first, points))
    }

    fn kill(&self, worker: usize, point: usize, expected: &Print, row: &Mutex<Row>) -> Result<()> {
        let place = self.lab.place(worker);
        self.lab.reset(self.phase.state, &place)?;
        let fault = Fault { before: point, what: self.victim };
        let messages = self.lab.dir.join(format!("w{worker}.messages"));
        let mut command = self.lab.command(self.phase, &place);
        command.stderr(fs::File::create(&messages).with_context(|| format!("cannot create {messages}"))?);
        let ended = tracer::run(command, &place, Some(fault))?;
        // This run made fewer changes than the first one.
        let Some(event) = ended.points.get(point - 1).cloned() else { return Ok(()) };
        let faults = if self.phase.publishes { world::faults(&place)? } else { Vec::new() };
        let again = output(&mut self.lab.command(self.phase, &place))?;
        let left = place::print(&place)?;
        let names: BTreeSet<&String> = expected.keys().chain(left.keys()).collect();
        let mut differs: Vec<&String> =
            names.into_iter().filter(|name| expected.get(*name) != left.get(*name)).collect();
        // What two undisturbed runs do not leave alike is not compared; something more than they leave is.
        differs.retain(|name| expected.contains_key(*name) || is_litter(name));
        let (litter, differs): (Vec<_>, Vec<_>) = differs.into_iter().partition(|name| is_litter(name));

        let mut row = row.lock().expect("nothing panics with it");
        row.points += 1;
        row.kinds.insert(kind(&event));
        let report = |count: &mut usize, what: &str, why: String| {
            *count += 1;
            eprintln!("{} {point}, before `{event}`: {what}: {why}", self.phase.name);
        };
        if !faults.is_empty() {
            report(&mut row.wrong_view, "users see something else", faults.join("; "));
        }
        if !again.status.success() {
            report(&mut row.stuck, "the same command fails", said(&again));
        } else if !differs.is_empty() {
            report(&mut row.differs, "it does not end as it should", format!("{differs:?}"));
        }
        let messages = fs::read_to_string(&messages).with_context(|| format!("cannot read {messages}"))?;
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

/// The first point of each kind.
fn one_of_each_kind(points: &[String]) -> Vec<usize> {
    let mut first = BTreeMap::new();
    for (index, point) in points.iter().enumerate() {
        first.entry(kind(point)).or_insert(index + 1);
    }
    let mut points: Vec<usize> = first.into_values().collect();
    points.sort_unstable();
    points
}

/// The kind of a change: what is done, where, and to which sort of file.
fn kind(point: &str) -> String {
    let (what, path) = point.split_once(' ').unwrap_or((point, ""));
    let place: Vec<&str> = path.split('/').take(2).collect();
    let file = path.rsplit('/').next().unwrap_or_default();
    let sort = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    let sort = if sort.len() > 8 || what == "exec" { "" } else { sort };
    let place = if what == "exec" { path.to_owned() } else { place.join("/") };
    let place = if place.starts_with("tmp/") { "tmp" } else { &place };
    format!("{what} {place} {sort}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_point_of_each_kind_is_found() {
        let points =
            ["write tree/.git/objects/ab/0123456789", "write tree/.git/objects/ab/9876543210", "exec /usr/bin/git"];
        assert_eq!(one_of_each_kind(&points.map(str::to_owned)), [1, 3]);
    }

    #[test]
    fn an_unknown_phase_is_named_with_the_known_ones() {
        let error = chosen(&["publish".to_owned()]).expect_err("no such phase").to_string();
        assert!(error.starts_with("no phase `publish`: prepare, tag, build,"), "{error}");
    }
}
