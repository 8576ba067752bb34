//! The fault matrix: a phase against one side, with each answer harmed in each way.

use std::collections::BTreeMap;
use std::sync::Mutex;

use anyhow::{Result, ensure};

use xtask_trials::place::Print;
use xtask_trials::scenario::{Lab, Phase};
use xtask_trials::table::Row;

use super::Arguments;
use super::deeds;
use super::fault::{Fault, Lasts};
use super::front::{Control, Event, Plan, Side};
use super::stage::{Ran, Stage, State, differences};
use clap::ValueEnum;

const TO_LOCAL: [&str; 2] = ["--env", "local"];

/// The phases that are tried, each with the state that it starts from.
pub const PHASES: [Phase; 5] = [
    Phase { name: "plan", state: "patch", arguments: &["plan", TO_LOCAL[0], TO_LOCAL[1]], publishes: false },
    Phase {
        name: "upload",
        state: "patch",
        arguments: &["upload", TO_LOCAL[0], TO_LOCAL[1], "--noconfirm"],
        publishes: true,
    },
    Phase {
        name: "verify",
        state: "both",
        arguments: &["verify", TO_LOCAL[0], TO_LOCAL[1], "0.1.1"],
        publishes: false,
    },
    Phase {
        name: "rollback",
        state: "both",
        arguments: &["rollback", TO_LOCAL[0], TO_LOCAL[1], "--noconfirm", "--to", "0.1.0"],
        publishes: true,
    },
    // A release that a rollback withdrew is repaired, and stays withdrawn.
    Phase {
        name: "repair",
        state: "back",
        arguments: &["upload", TO_LOCAL[0], TO_LOCAL[1], "--noconfirm"],
        publishes: true,
    },
];

/// The phase of a name.
pub fn phase(name: &str) -> Option<&'static Phase> {
    PHASES.iter().find(|phase| phase.name == name)
}

/// Makes the states that phases start from.
///
/// # Errors
/// A phase fails without a fault.
pub fn states(lab: &Lab, side: Side) -> Result<BTreeMap<&'static str, State>> {
    let stage = Stage::new(lab, side, "w0", Control::default())?;
    let run = |name: &str| -> Result<()> {
        let phase = phase(name).expect("a phase of the list");
        let ran = stage.run(phase)?;
        ensure!(ran.code == Some(0), "{name} fails without a fault: {}", ran.stderr);
        Ok(())
    };
    let mut states = BTreeMap::new();
    let mut keep = |name: &'static str| -> Result<()> {
        states.insert(name, stage.keep(&format!("{}-{name}", side.name()))?);
        Ok(())
    };
    // The release before.
    stage.reset(&State { name: "upload".to_owned(), objects: Default::default() })?;
    stage.make_repository()?;
    keep("first")?;
    run("upload")?;
    let env = lab.dir.join("env");
    if env.exists() {
        std::fs::remove_dir_all(&env)?;
    }
    std::fs::rename(stage.place.join("env"), &env)?;
    // Beside the patch, it has the tree of another series.
    stage.reset(&State { name: "train".to_owned(), objects: stage.buckets.objects() })?;
    std::fs::remove_dir_all(stage.place.join("env"))?;
    std::fs::rename(&env, stage.place.join("env"))?;
    keep("patch")?;
    let patch = stage.buckets.objects();
    run("upload")?;
    keep("both")?;
    // The contents of the patch are there, and no pointer in a bucket has moved.
    let both = stage.buckets.objects();
    stage.buckets.change(|objects| {
        let is_later = |bucket: &str, key: &str| {
            bucket == "local-docs"
                || bucket == "local-releases" && (key == "manifest.nix" || key.starts_with("receipts/"))
        };
        objects.retain(|(bucket, key), _| !is_later(bucket, key));
        objects.extend(patch.into_iter().filter(|((bucket, key), _)| is_later(bucket, key)));
    });
    keep("half")?;
    stage.buckets.reset(&both);
    run("rollback")?;
    stage.buckets.change(|objects| {
        let is_narinfo_or_page = |key: &str| key.ends_with(".narinfo") || key.starts_with("lix/lix-0.1.1/manual/");
        let lost = objects.iter().filter(|((bucket, key), object)| {
            is_narinfo_or_page(key) && deeds::only_the_patch_needs(bucket, key, object)
        });
        let keys: Vec<_> = lost.map(|(key, _)| key.clone()).collect();
        for key in keys.into_iter().step_by(5) {
            objects.remove(&key);
        }
    });
    keep("back")?;
    Ok(states)
}

/// One run under a fault.
#[derive(Debug, Clone, Copy)]
struct Job {
    at: usize,
    fault: Fault,
    lasts: Lasts,
}

/// What runs that nothing disturbs do.
struct Undisturbed {
    /// What two of them leave alike.
    print: Print,
    /// The requests of the first one.
    events: Vec<Event>,
    /// What was wrong with the world before, and is right afterwards.
    wrong_before: Vec<String>,
}

/// A phase against a side.
pub struct Matrix<'a> {
    pub lab: &'a Lab,
    pub side: Side,
    pub phase: &'static Phase,
    pub state: &'a State,
    pub arguments: &'a Arguments,
}

impl Matrix<'_> {
    /// Tries every fault that the arguments choose.
    ///
    /// # Errors
    /// The phase fails without a fault, or a run cannot be started.
    pub fn run(&self) -> Result<Row> {
        let stage = Stage::new(self.lab, self.side, "w1", Control::default())?;
        let undisturbed = self.undisturbed(&stage)?;
        let todo = Mutex::new(self.jobs(&undisturbed.events));
        let row = Mutex::new(Row::default());
        let stages = Mutex::new(vec![stage]);
        std::thread::scope(|scope| -> Result<()> {
            let work = |worker: usize| {
                let (todo, row, stages, undisturbed) = (&todo, &row, &stages, &undisturbed);
                scope.spawn(move || -> Result<()> {
                    let kept = stages.lock().expect("nothing panics with it").pop();
                    let stage = match kept {
                        Some(stage) => stage,
                        None => Stage::new(self.lab, self.side, &format!("w{worker}"), Control::default())?,
                    };
                    while let Some(job) = { todo.lock().expect("nothing panics with it").pop() } {
                        self.harm(&stage, job, undisturbed, row)?;
                    }
                    Ok(())
                })
            };
            let workers: Vec<_> = (2..self.arguments.workers + 2).map(work).collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("it does not panic"))
        })?;
        Ok(row.into_inner().expect("nothing panics with it"))
    }

    fn undisturbed(&self, stage: &Stage) -> Result<Undisturbed> {
        let once = || -> Result<Undisturbed> {
            stage.reset(self.state)?;
            let wrong_before = stage.wrong()?;
            stage.control.begin(None);
            let ran = stage.run(self.phase)?;
            ensure!(ran.code == Some(0), "{} fails without a fault: {}", self.phase.name, ran.stderr);
            let wrong = stage.wrong()?;
            ensure!(wrong.is_empty(), "{} ends with {wrong:?}", self.phase.name);
            let events = stage.control.run().events.remove(&self.side).unwrap_or_default();
            Ok(Undisturbed { print: stage.print()?, events, wrong_before })
        };
        let (mut first, second) = (once()?, once()?);
        first.print.retain(|name, value| second.print.get(name) == Some(value));
        Ok(first)
    }

    /// The runs, last first.
    fn jobs(&self, events: &[Event]) -> Vec<Job> {
        let arguments = self.arguments;
        let points: Vec<usize> = match (arguments.at, arguments.kinds) {
            (Some(at), _) => vec![at],
            (None, true) => one_of_each_kind(events),
            (None, false) => (1..=events.len()).step_by(arguments.every).collect(),
        };
        let faults: Vec<Fault> = match arguments.faults.as_slice() {
            [] => Fault::value_variants().to_vec(),
            chosen => chosen.to_vec(),
        };
        let lasts: &[Lasts] = match arguments.lasts.as_slice() {
            [] => Lasts::value_variants(),
            chosen => chosen,
        };
        let mut jobs = Vec::new();
        for at in points {
            let Some(event) = events.get(at - 1) else { continue };
            for fault in faults.iter().filter(|fault| fault.harms(event.only_reads, event.has_body)) {
                jobs.extend(lasts.iter().map(|lasts| Job { at, fault: *fault, lasts: *lasts }));
            }
        }
        jobs.retain(|job| !arguments.quick || !job.fault.is_slow(job.lasts));
        if let Some(most) = arguments.most {
            // Each fault and each point as often as every other.
            let step = (jobs.len() / most.max(1)).max(1) | 1;
            jobs = jobs.into_iter().step_by(step).take(most).collect();
        }
        // What waits is begun first.
        jobs.sort_by_key(|job| job.fault.is_slow(job.lasts));
        jobs
    }

    fn harm(&self, stage: &Stage, job: Job, undisturbed: &Undisturbed, row: &Mutex<Row>) -> Result<()> {
        let Undisturbed { print: expected, wrong_before, .. } = undisturbed;
        let Job { at, fault, lasts } = job;
        stage.reset(self.state)?;
        stage.control.begin(Some(Plan { side: self.side, at, fault, lasts }));
        let ran = stage.run(self.phase)?;
        let Some(harmed) = stage.control.run().harmed.clone() else {
            // This run asked less than the first one.
            return Ok(());
        };
        stage.control.begin(None);
        let mut problems = Problems::default();
        problems.wrong_view.extend(stage.wrong()?);
        if ran.code != Some(0) {
            // What was wrong before may still be so.
            problems.wrong_view.retain(|wrong| !wrong_before.contains(wrong));
        }
        problems.stuck.extend(ran.fault());
        // A lock that could not be given back is left to the next run.
        let is_done = ran.code == Some(0) && !ran.stderr.contains("the lock could not be released, and will expire");
        if is_done {
            problems.compare("success", expected, &stage.print()?);
        } else if ran.fault().is_none() {
            let again = stage.run(self.phase)?;
            problems.stuck.extend((again.code != Some(0)).then(|| format!("the same command fails: {}", again.stderr)));
            problems.wrong_view.extend(stage.wrong()?);
            problems.compare("the same command again", expected, &stage.print()?);
        }
        // git does not try again, and a push is not ours to repeat unseen.
        if fault.passes() && lasts == Lasts::Once && self.side != Side::Git && matches!(ran.code, Some(1 | 3)) {
            problems.stuck.push("a fault that passes is not waited for".to_owned());
        }
        let lasting = match lasts {
            Lasts::Once => "once",
            Lasts::Same => "each time",
            Lasts::All => "for good",
        };
        let what = format!("{} {at}, {} {lasting}, from `{harmed}`", self.phase.name, fault.name());
        problems.note(row, format!("{} {}", kind(&harmed), fault.name()), &what, &ran);
        Ok(())
    }
}

/// What is wrong after a run.
#[derive(Default)]
pub struct Problems {
    pub stuck: Vec<String>,
    pub wrong_view: Vec<String>,
    pub differs: Vec<String>,
    pub litter: Vec<String>,
}

impl Problems {
    /// Compares what a run left with what it should leave.
    pub fn compare(&mut self, when: &str, expected: &Print, left: &Print) {
        let (litter, differs) = differences(expected, left);
        let note = |names: Vec<String>| (!names.is_empty()).then(|| format!("after {when}: {names:?}"));
        self.litter.extend(note(litter));
        self.differs.extend(note(differs));
    }

    /// Counts them, and says what they are.
    pub fn note(&self, row: &Mutex<Row>, kind: String, what: &str, ran: &Ran) {
        let mut row = row.lock().expect("nothing panics with it");
        row.points += 1;
        row.kinds.insert(kind);
        let counts = &mut *row;
        for (count, name, found) in [
            (&mut counts.stuck, "stuck", &self.stuck),
            (&mut counts.wrong_view, "users see something else", &self.wrong_view),
            (&mut counts.differs, "it does not end as it should", &self.differs),
            (&mut counts.litter, "this stays", &self.litter),
        ] {
            if !found.is_empty() {
                *count += 1;
                eprintln!("{what}: {name}: {}", found.join("; "));
                eprintln!("    exit {:?} after {:.1} s: {}", ran.code, ran.took.as_secs_f32(), indented(&ran.stderr));
            }
        }
    }
}

fn indented(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n        ")
}

/// The first request of each kind.
fn one_of_each_kind(events: &[Event]) -> Vec<usize> {
    let mut first = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        first.entry(kind(&event.what)).or_insert(index + 1);
    }
    let mut points: Vec<usize> = first.into_values().collect();
    points.sort_unstable();
    points
}

/// The kind of a request: the method, the bucket or the first directory, and the sort of file.
fn kind(what: &str) -> String {
    let (method, target) = what.split_once(' ').unwrap_or((what, ""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let words: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let file = words.last().copied().unwrap_or_default();
    // What there is one of, by its name; of what there are many, the sort.
    let sort = file.rsplit_once('.').map_or("", |(_, sort)| sort);
    let is_one =
        file.len() < 20 && !file.contains(|c: char| c.is_ascii_digit()) && (sort != "html" || file == "index.html");
    let sort = if is_one { file } else { sort };
    let service = query.split('&').find(|pair| pair.starts_with("service=") || pair.starts_with("delimiter"));
    format!("{method} {} {sort} {}", words.first().copied().unwrap_or_default(), service.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_a_kind_are_tried_once() {
        let event = |what: &str| Event { what: what.to_owned(), only_reads: true, has_body: true };
        let events = [
            event("GET /local-cache/0123456789abcdefghijklmnopqrstuv.narinfo?x-id=GetObject"),
            event("GET /local-cache/vutsrqponmlkjihgfedcba9876543210.narinfo?x-id=GetObject"),
            event("GET /local-releases?list-type=2&delimiter=%2F"),
            event("GET /local-releases/manifest.nix"),
        ];
        assert_eq!(one_of_each_kind(&events), [1, 3, 4]);
    }
}
