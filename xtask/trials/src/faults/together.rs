//! Two at once: two runs whose requests take turns, or one run and someone else who writes where it writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use xtask_trials::place::Print;
use xtask_trials::scenario::{Lab, Phase};
use xtask_trials::table::Row;

use super::bucket::{Buckets, Object};
use super::front::{Control, Deed, Side};
use super::matrix::{Problems, phase};
use super::stage::{Ran, Stage, State};
use super::turns::Turns;

const LOCK: (&str, &str) = ("local-docs", "release.lock");

/// Who meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meeting {
    /// The same release, from two trees.
    Same,
    /// Releases of two series.
    Series,
    /// A rollback, and the upload of another series.
    Rollback,
    /// An upload, and someone who synchronises a manual by hand.
    Sync,
    /// An upload whose lock is deleted.
    LostLock,
    /// An upload whose lock someone else takes.
    StolenLock,
}

const MEETINGS: [(&str, Meeting); 6] = [
    ("same", Meeting::Same),
    ("series", Meeting::Series),
    ("rollback", Meeting::Rollback),
    ("sync", Meeting::Sync),
    ("lost-lock", Meeting::LostLock),
    ("stolen-lock", Meeting::StolenLock),
];

impl Meeting {
    /// The first one's phase, and the second one's if there is a second one.
    fn phases(self) -> (&'static Phase, Option<&'static Phase>) {
        let phase = |name| phase(name).expect("a phase of the list");
        match self {
            Meeting::Same | Meeting::Series => (phase("upload"), Some(phase("upload"))),
            Meeting::Rollback => (phase("rollback"), Some(phase("upload"))),
            Meeting::Sync | Meeting::LostLock | Meeting::StolenLock => (phase("upload"), None),
        }
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

/// A meeting's name, how its interleavings ended, and when it began.
pub type Met = (&'static str, Row, Instant);

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
        let state = &states[meeting.phases().0.state];
        let row = Interleavings { lab, state, meeting, name }.run(count.div_ceil(chosen.len()), seed, workers)?;
        rows.push((name, row, begun));
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

    /// Returns what two runs leave that do not meet, and the requests of the first up to its lock, and in all.
    fn one_after_the_other(&self, pair: &Pair) -> Result<(Print, [usize; 2])> {
        let once = || -> Result<(Print, [usize; 2])> {
            self.reset(pair)?;
            let (first, second) = self.meeting.phases();
            pair.turns.begin(0, &[]);
            let mut requests = [0, 0];
            for (stage, phase) in pair.stages.iter().zip([Some(first), second]) {
                let Some(phase) = phase else { continue };
                stage.control.begin(None);
                let ran = stage.run(phase)?;
                ensure!(ran.code == Some(0), "{} fails without a second one: {}", phase.name, ran.stderr);
                if requests[1] == 0 {
                    let mut run = stage.control.run();
                    let events = run.events.remove(&Side::S3).unwrap_or_default();
                    let lock = events.iter().position(|event| event.what.starts_with("PUT /local-docs/release.lock"));
                    requests = [lock.context("no lock is taken")?, events.len()];
                }
            }
            Ok((pair.print()?, requests))
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

    fn meet(&self, pair: &Pair, seed: u64, expected: &Print, requests: &[usize; 2], row: &Mutex<Row>) -> Result<()> {
        self.reset(pair)?;
        let [first, second] = &pair.stages;
        let mut dice = Dice(seed);
        let lengths = turns(&mut dice, requests);
        pair.turns.begin(usize::from(dice.below(2) == 1 && self.meeting.phases().1.is_some()), &lengths);
        let deed = self.deed(&first.buckets, requests, &mut dice);
        let is_alone = deed.is_some();
        first.control.begin_with(deed);
        second.control.begin(None);
        let (one, other) = self.meeting.phases();
        if other.is_none() {
            pair.turns.end(1);
        }
        let mut ran: Vec<Ran> = std::thread::scope(|scope| {
            let run = |runner: usize, phase: &'static Phase| {
                let ran = pair.stages[runner].run(phase);
                pair.turns.end(runner);
                ran
            };
            let beside = other.map(|phase| scope.spawn(move || run(1, phase)));
            let ran = run(0, one);
            let beside = beside.map(|beside| beside.join().expect("it does not panic"));
            [ran].into_iter().chain(beside).collect::<Result<_>>()
        })?;
        let mut problems = Problems::default();
        problems.stuck.extend(ran.iter().filter_map(Ran::fault));
        if !is_alone {
            problems.wrong_view.extend(first.wrong()?);
            if ran.iter().all(|ran| ran.code != Some(0)) {
                problems.stuck.push("neither ends well".to_owned());
            }
        }
        // The other run has ended, and its lock is gone.
        let foreign = |lock: &Arc<Object>| String::from_utf8_lossy(&lock.body).contains(SOMEBODY);
        let key = (LOCK.0.to_owned(), LOCK.1.to_owned());
        first.buckets.change(|objects| {
            if objects.get(&key).is_some_and(foreign) {
                objects.remove(&key);
            }
        });
        for (stage, (phase, ran)) in pair.stages.iter().zip([Some(one), other].into_iter().flatten().zip(&mut ran)) {
            if ran.code != Some(0) || is_alone {
                let again = stage.run(phase)?;
                problems
                    .stuck
                    .extend((again.code != Some(0)).then(|| format!("{} again fails: {}", phase.name, again.stderr)));
            }
        }
        problems.wrong_view.extend(first.wrong()?);
        problems.wrong_view.extend(first.withdrawn_and_served());
        if self.meeting.ends_alike() {
            problems.compare("both", expected, &pair.print()?);
        }
        let switches = pair.turns.switches();
        let what = format!("{} {seed}, {lengths:?} {switches:?}", self.name);
        let codes: Vec<_> = ran.iter().map(|ran| ran.code.unwrap_or(-1)).collect();
        let worst = ran.iter().position(|ran| ran.code != Some(0)).unwrap_or(0);
        problems.note(row, format!("{codes:?}"), &what, &ran[worst]);
        Ok(())
    }

    /// What someone else does, and when.
    fn deed(&self, buckets: &Arc<Buckets>, [lock, all]: &[usize; 2], dice: &mut Dice) -> Option<Deed> {
        let buckets = Arc::clone(buckets);
        let deed: Arc<dyn Fn() + Send + Sync> = match self.meeting {
            Meeting::Same | Meeting::Series | Meeting::Rollback => return None,
            Meeting::Sync => {
                let salt = dice.below(3);
                Arc::new(move || synchronise(&buckets, salt))
            }
            Meeting::LostLock => Arc::new(move || {
                buckets.change(|objects| drop(objects.remove(&(LOCK.0.to_owned(), LOCK.1.to_owned()))));
            }),
            Meeting::StolenLock => Arc::new(move || {
                let body = serde_json::json!({
                    "owner": { "name": SOMEBODY, "host": "elsewhere", "process": 1 },
                    "expires": "2099-01-01T00:00:00Z",
                });
                let object = Object { body: body.to_string().into_bytes(), headers: Vec::new() };
                buckets.change(|objects| {
                    objects.insert((LOCK.0.to_owned(), LOCK.1.to_owned()), Arc::new(object));
                });
            }),
        };
        // A lock can be lost once it is there.
        let from = if self.meeting == Meeting::Sync { 1 } else { lock + 2 };
        Some((from + dice.below(all.saturating_sub(from).max(1)), deed))
    }
}

/// The owner of a lock that is not ours.
const SOMEBODY: &str = "Somebody Else";

/// Another program that writes a manual: it deletes some pages, writes others, and leaves the rest.
fn synchronise(buckets: &Buckets, salt: usize) {
    buckets.change(|objects| {
        let is_page = |key: &str| key.starts_with("manual/lix/") && key.ends_with(".html");
        let keys: Vec<_> = objects.keys().filter(|(bucket, key)| bucket == LOCK.0 && is_page(key)).cloned().collect();
        for (number, key) in keys.into_iter().enumerate() {
            match (number + salt) % 3 {
                0 => drop(objects.remove(&key)),
                1 => {
                    let object = Object { body: b"by hand".to_vec(), headers: Vec::new() };
                    objects.insert(key, Arc::new(object));
                }
                _ => {}
            }
        }
    });
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
fn turns(dice: &mut Dice, [lock, all]: &[usize; 2]) -> Vec<usize> {
    let near_the_lock = |dice: &mut Dice| (lock + dice.below(5)).saturating_sub(2).max(1);
    let mut lengths = Vec::new();
    if dice.below(4) == 0 {
        // The other one does everything between a plan and its lock.
        return vec![near_the_lock(dice), 2 * all];
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
