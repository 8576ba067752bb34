//! Two at once: two runs whose requests take turns, or one run and someone else who writes where it writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use xtask_trials::place::Print;
use xtask_trials::scenario::{Lab, Phase};
use xtask_trials::table::Row;

use super::bucket::Buckets;
use super::deeds;
use super::front::{Control, Deed, Side, When};
use super::matrix::{Problems, phase};
use super::stage::{Ran, Stage, State};
use super::turns::Turns;

/// Who meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meeting {
    /// The same release, from two trees.
    Same,
    /// Releases of two series.
    Series,
    /// A rollback, and the upload of another series.
    Rollback,
    /// An upload, and someone who publishes the same release and withdraws it.
    Withdrawn,
    /// An upload, and someone who synchronises a manual by hand, or moves pointers back.
    Sync,
    /// An upload of what is partly there, and someone who deletes some of that after it was looked at.
    Loss,
    /// An upload whose lock is deleted.
    LostLock,
    /// An upload whose lock someone else takes.
    StolenLock,
}

const MEETINGS: [(&str, Meeting); 8] = [
    ("same", Meeting::Same),
    ("series", Meeting::Series),
    ("rollback", Meeting::Rollback),
    ("withdrawn", Meeting::Withdrawn),
    ("sync", Meeting::Sync),
    ("loss", Meeting::Loss),
    ("lost-lock", Meeting::LostLock),
    ("stolen-lock", Meeting::StolenLock),
];

impl Meeting {
    /// What each of the two runs, one after the other; nothing if there is only one run.
    fn phases(self) -> [Vec<&'static Phase>; 2] {
        let names: [&[&str]; 2] = match self {
            Meeting::Same | Meeting::Series => [&["upload"], &["upload"]],
            Meeting::Rollback => [&["rollback"], &["upload"]],
            Meeting::Withdrawn => [&["upload"], &["upload", "rollback"]],
            Meeting::Sync | Meeting::Loss | Meeting::LostLock | Meeting::StolenLock => [&["upload"], &[]],
        };
        names.map(|names| names.iter().map(|name| phase(name).expect("a phase of the list")).collect())
    }

    /// Name of the state that it starts from.
    fn state(self) -> &'static str {
        let [first, _] = self.phases();
        if self == Meeting::Loss { "half" } else { first[0].state }
    }

    /// Whether there is only one run.
    fn is_alone(self) -> bool {
        let [_, second] = self.phases();
        second.is_empty()
    }

    /// Whether the second one releases from the other tree.
    fn has_other_tree(self) -> bool {
        matches!(self, Meeting::Series | Meeting::Rollback)
    }

    /// Whether it ends alike in either order.
    fn ends_alike(self) -> bool {
        self != Meeting::Rollback
    }
}

/// A meeting's name, how its interleavings ended, and how long they took.
pub type Met = (&'static str, Row, Duration);

/// The meetings of these names, or all, each with its share of `count` interleavings.
///
/// # Errors
/// Something fails that is not disturbed.
pub fn run(
    lab: &Lab,
    states: &BTreeMap<&'static str, State>,
    names: &[String],
    count: usize,
    seed: Option<u64>,
    workers: usize,
) -> Result<Vec<Met>> {
    let known = || MEETINGS.map(|(name, _)| name).join(", ");
    let unknown = names.iter().find(|name| MEETINGS.iter().all(|(known, _)| known != name));
    ensure!(unknown.is_none(), "no meeting {unknown:?}: {}", known());
    let is_chosen = |name: &str| names.is_empty() || names.iter().any(|chosen| chosen == name);
    let chosen: Vec<_> = MEETINGS.into_iter().filter(|(name, _)| is_chosen(name)).collect();
    let mut rows = Vec::new();
    for (name, meeting) in &chosen {
        let (name, meeting) = (*name, *meeting);
        let begun = Instant::now();
        let state = &states[meeting.state()];
        let row = Interleavings { lab, state, meeting, name }.run(count.div_ceil(chosen.len()), seed, workers)?;
        rows.push((name, row, begun.elapsed()));
    }
    Ok(rows)
}

/// A meeting, again and again.
struct Interleavings<'a> {
    lab: &'a Lab,
    state: &'a State,
    meeting: Meeting,
    name: &'static str,
}

/// Two places with the same servers.
struct Pair<'a> {
    turns: Arc<Turns>,
    stages: [Stage<'a>; 2],
}

/// Requests of the first one, if nothing disturbs it.
#[derive(Debug, Clone, Copy)]
struct Requests {
    /// Number of those up to its lock.
    lock: usize,
    all: usize,
    /// Number of writes, of which the receipt is the last.
    writes: usize,
}

impl<'a> Interleavings<'a> {
    fn run(&self, count: usize, seed: Option<u64>, workers: usize) -> Result<Row> {
        let pair = self.pair(1)?;
        let (expected, requests) = self.one_after_the_other(&pair)?;
        let seeds = match seed {
            Some(seed) => vec![seed],
            None => (1..=count as u64).rev().collect(),
        };
        let (todo, row, pairs) = (Mutex::new(seeds), Mutex::new(Row::default()), Mutex::new(vec![pair]));
        std::thread::scope(|scope| -> Result<()> {
            let work = |worker: usize| {
                let (todo, row, pairs, expected, requests) = (&todo, &row, &pairs, &expected, &requests);
                scope.spawn(move || -> Result<()> {
                    let kept = pairs.lock().expect("nothing panics with it").pop();
                    let pair = kept.map_or_else(|| self.pair(worker), Ok)?;
                    while let Some(seed) = { todo.lock().expect("nothing panics with it").pop() } {
                        self.meet(&pair, seed, expected, requests, row)?;
                    }
                    Ok(())
                })
            };
            let workers: Vec<_> = (2..workers + 2).map(work).collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("it does not panic"))
        })?;
        Ok(row.into_inner().expect("nothing panics with it"))
    }

    fn pair(&self, worker: usize) -> Result<Pair<'a>> {
        let turns = Arc::new(Turns::default());
        let first = Stage::new(self.lab, Side::S3, &format!("w{worker}"), Control::of_runner(&turns, 0))?;
        let second = first.beside(&format!("w{worker}b"), Control::of_runner(&turns, 1))?;
        Ok(Pair { turns, stages: [first, second] })
    }

    /// Returns what two runs leave that do not meet, and the requests of the first.
    fn one_after_the_other(&self, pair: &Pair) -> Result<(Print, Requests)> {
        let once = || -> Result<(Print, Requests)> {
            self.reset(pair)?;
            pair.turns.begin(0, &[]);
            let mut requests = None;
            for (stage, phases) in pair.stages.iter().zip(self.meeting.phases()) {
                stage.control.begin(None);
                for phase in phases {
                    let ran = stage.run(phase)?;
                    ensure!(ran.code == Some(0), "{} fails without a second one: {}", phase.name, ran.stderr);
                }
                if requests.is_none() {
                    let mut run = stage.control.run();
                    let events = run.events.remove(&Side::S3).unwrap_or_default();
                    let lock = events.iter().position(|event| event.what.starts_with("PUT /local-docs/release.lock"));
                    let lock = lock.context("no lock is taken")?;
                    requests = Some(Requests { lock, all: events.len(), writes: run.writes });
                }
            }
            Ok((pair.print()?, requests.context("nothing ran")?))
        };
        let ((mut print, requests), (second, _)) = (once()?, once()?);
        print.retain(|name, value| second.get(name) == Some(value));
        Ok((print, requests))
    }

    fn reset(&self, pair: &Pair) -> Result<()> {
        let [first, second] = &pair.stages;
        first.reset(self.state)?;
        second.reset_beside(self.state, first)?;
        if self.meeting.has_other_tree() {
            std::fs::remove_dir_all(second.place.join("tree"))?;
            std::fs::rename(second.place.join("tree2"), second.place.join("tree"))?;
        }
        Ok(())
    }

    fn meet(&self, pair: &Pair, seed: u64, expected: &Print, requests: &Requests, row: &Mutex<Row>) -> Result<()> {
        self.reset(pair)?;
        let [first, second] = &pair.stages;
        let mut dice = Dice(seed);
        let is_alone = self.meeting.is_alone();
        let lengths = turns(&mut dice, requests);
        pair.turns.begin(usize::from(dice.below(2) == 1 && !is_alone), &lengths);
        first.control.begin_with(self.deed(&first.buckets, requests, &mut dice));
        second.control.begin(None);
        let [one, other] = self.meeting.phases();
        let run = |runner: usize, phases: &[&'static Phase]| {
            let ran = run_until_one_fails(&pair.stages[runner], phases);
            pair.turns.end(runner);
            ran
        };
        let ran: [Vec<Ran>; 2] = std::thread::scope(|scope| {
            let beside = scope.spawn(|| run(1, &other));
            let ran = run(0, &one)?;
            Ok::<_, anyhow::Error>([ran, beside.join().expect("it does not panic")?])
        })?;
        let mut problems = Problems::default();
        problems.stuck.extend(ran.iter().flatten().filter_map(Ran::fault));
        if !is_alone {
            problems.wrong_view.extend(first.wrong()?);
            if ran.iter().all(|ran| !is_well(ran)) {
                problems.stuck.push("neither ends well".to_owned());
            }
        }
        if ran[0].iter().all(|ran| ran.code == Some(0)) && self.is_in_time(first, requests) {
            problems.wrong_view.extend(first.wrong()?);
            problems.wrong_view.extend(first.not_the_newest());
            problems.compare("success", expected, &pair.print()?);
        }
        deeds::give_back_lock(&first.buckets);
        for ((stage, phases), ran) in pair.stages.iter().zip([&one, &other]).zip(&ran) {
            // From the one on that failed.
            let done = if is_alone { 0 } else { ran.iter().filter(|ran| ran.code == Some(0)).count() };
            for phase in &phases[done..] {
                let again = stage.run(phase)?;
                let failed = (again.code != Some(0)).then(|| format!("{} again fails: {}", phase.name, again.stderr));
                problems.stuck.extend(failed);
            }
        }
        problems.wrong_view.extend(first.wrong()?);
        problems.wrong_view.extend(first.not_the_newest());
        if self.meeting.ends_alike() {
            problems.compare("both", expected, &pair.print()?);
        }
        let switches = pair.turns.switches();
        let what = format!("{} {seed}, {lengths:?} {switches:?}", self.name);
        let mut all = ran.iter().flatten();
        let codes: Vec<_> = all.clone().map(|ran| ran.code.unwrap_or(-1)).collect();
        let worst = all.clone().find(|ran| ran.code != Some(0)).or_else(|| all.next()).context("nothing ran")?;
        problems.note(row, format!("{codes:?}"), &what, worst);
        Ok(())
    }

    /// What someone else does, and when.
    fn deed(&self, buckets: &Arc<Buckets>, requests: &Requests, dice: &mut Dice) -> Option<Deed> {
        let Requests { lock, all, writes } = *requests;
        // A lock can be lost once it is there.
        let later = |dice: &mut Dice| When::Request(lock + 2 + dice.below(all.saturating_sub(lock + 2).max(1)));
        Some(match self.meeting {
            Meeting::Same | Meeting::Series | Meeting::Rollback | Meeting::Withdrawn => return None,
            // Often when all pointers have just moved.
            Meeting::Sync if dice.below(3) == 0 => (When::Writes(writes - 1), deeds::put_back(buckets)),
            Meeting::Sync => (When::Request(1 + dice.below(all - 1)), deeds::synchronise(buckets, dice.below(3))),
            Meeting::Loss => (When::Request(1 + dice.below(lock)), deeds::lose(buckets, dice.below(3))),
            Meeting::LostLock => (later(dice), deeds::lose_lock(buckets)),
            Meeting::StolenLock => (later(dice), deeds::steal_lock(buckets)),
        })
    }

    /// Whether someone else did something so early that the run had to see it before it said that everything is done.
    fn is_in_time(&self, first: &Stage, requests: &Requests) -> bool {
        let done = first.control.run().writes_before_deed;
        match self.meeting {
            Meeting::Same | Meeting::Series | Meeting::Rollback | Meeting::Withdrawn => false,
            Meeting::LostLock | Meeting::StolenLock => false,
            Meeting::Loss => true,
            // What happens while it looks for the last time may go unseen.
            Meeting::Sync => done.is_some_and(|(when, writes)| match when {
                When::Writes(_) => writes < requests.writes,
                When::Request(_) => writes + 1 < requests.writes,
            }),
        }
    }
}

/// Runs phases one after the other, as far as they succeed.
fn run_until_one_fails(stage: &Stage, phases: &[&'static Phase]) -> Result<Vec<Ran>> {
    let mut ran = Vec::new();
    for phase in phases {
        ran.push(stage.run(phase)?);
        if !is_well(&ran) {
            break;
        }
    }
    Ok(ran)
}

fn is_well(ran: &[Ran]) -> bool {
    ran.last().is_some_and(|ran| ran.code == Some(0))
}

impl Pair<'_> {
    fn print(&self) -> Result<Print> {
        let [first, second] = &self.stages;
        let mut print = first.print()?;
        let beside = second.print()?.into_iter().filter(|(name, _)| !name.starts_with("s3/"));
        print.extend(beside.map(|(name, value)| (format!("b/{name}"), value)));
        // The link to the environment; and the second run has nothing left to do, and writes no receipt.
        print.retain(|name, _| name != "b/env" && !name.ends_with("/release/receipt-local.json"));
        Ok(print)
    }
}

/// Lengths of the turns: a few, and often so that both are between looking at the lock and taking it.
fn turns(dice: &mut Dice, requests: &Requests) -> Vec<usize> {
    let Requests { lock, all, .. } = *requests;
    let near_the_lock = |dice: &mut Dice| (lock + dice.below(5)).saturating_sub(2).max(1);
    let mut lengths = Vec::new();
    if dice.below(4) == 0 {
        // The other one does everything between a plan and its lock.
        return vec![near_the_lock(dice), 4 * all];
    }
    if dice.below(3) > 0 {
        lengths.push(near_the_lock(dice));
        lengths.push(near_the_lock(dice));
        lengths.push(1 + dice.below(4));
    }
    for _ in 0..1 + dice.below(4) {
        lengths.push(1 + dice.below(all / 2));
    }
    lengths
}

/// Numbers that depend on the seed alone.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }
}
