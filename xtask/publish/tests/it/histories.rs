//! Pointers under random histories: uploads, kills, resumptions, maintenance, pre-releases, trains, rollbacks, two
//! managers, and the old tool in between, in an environment in memory that the real decisions are made about. After
//! every step, the environment is looked at as users do, by rules that are spelled here a second time.
//!
//! `RELENG_HISTORIES` sets the number of histories; if it is set, they differ from run to run.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use xtask::domain::version::Version;

use self::environment::{Ended, Pointer, World};
use self::spec::{Users, check};

mod environment;
mod real;
mod run;
mod spec;

/// Number of histories in a usual run.
const HISTORIES: u32 = 5_000;

/// The versions of a history, few enough to meet each other again.
const VERSIONS: [&str; 11] = [
    "2.93.2",
    "2.93.3",
    "2.93.4",
    "2.94.0",
    "2.94.1",
    "2.95.0-rc1",
    "2.95.0",
    "2.95.1",
    "2.95.2",
    "2.96.0-rc1",
    "2.96.0-rc2",
];

/// One thing that happens. A number says after how many writes the run is killed, if it is.
#[derive(Debug, Clone)]
enum Step {
    Upload {
        version: usize,
        killed: Option<u8>,
    },
    Train {
        versions: BTreeSet<usize>,
        killed: Option<u8>,
    },
    Installer {
        version: usize,
        killed: Option<u8>,
    },
    Rollback {
        to: usize,
        killed: Option<u8>,
    },
    /// Runs the command that was killed last again.
    Resume {
        killed: Option<u8>,
    },
    /// The second manager plans; the first publishes; the second carries out that plan.
    TwoManagers {
        first: usize,
        second: usize,
    },
    /// The same, but the second one lost the lock: both are at it at the same time, write by write.
    LostLock {
        first: usize,
        second: usize,
        turns: Vec<bool>,
    },
    /// A manager with the old tool, which knows neither receipts nor the rule of pointers.
    OldTool {
        version: usize,
        killed: Option<u8>,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let version = || 0..VERSIONS.len();
    let killed = || prop_oneof![3 => Just(None), 2 => (0..16u8).prop_map(Some)];
    prop_oneof![
        6 => (version(), killed()).prop_map(|(version, killed)| Step::Upload { version, killed }),
        2 => (prop::collection::btree_set(version(), 2..4), killed())
            .prop_map(|(versions, killed)| Step::Train { versions, killed }),
        1 => (version(), killed()).prop_map(|(version, killed)| Step::Installer { version, killed }),
        3 => (version(), killed()).prop_map(|(to, killed)| Step::Rollback { to, killed }),
        3 => killed().prop_map(|killed| Step::Resume { killed }),
        2 => (version(), version()).prop_map(|(first, second)| Step::TwoManagers { first, second }),
        1 => (version(), version(), prop::collection::vec(any::<bool>(), 8..24))
            .prop_map(|(first, second, turns)| Step::LostLock { first, second, turns }),
        1 => (version(), killed()).prop_map(|(version, killed)| Step::OldTool { version, killed }),
    ]
}

/// A command that one of the managers types.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Command {
    Publish(Vec<Version>),
    Installer(Version),
    Rollback(Version),
}

/// A history so far: the environment, and what to expect of it.
#[derive(Default)]
struct History {
    world: World,
    /// The command that was killed last, or that failed.
    left: Option<Command>,
    /// Pointers that something other than a finished command of ours was the last to be at.
    disturbed: BTreeSet<Pointer>,
    /// Number of commands that ended with everything done.
    done: usize,
}

impl History {
    fn take(&mut self, step: &Step) -> Result<(), String> {
        let version = |index: usize| VERSIONS[index].parse::<Version>().expect("a version");
        match step {
            Step::Upload { version: one, killed } => self.run(Command::Publish(vec![version(*one)]), *killed),
            Step::Train { versions, killed } => {
                self.run(Command::Publish(versions.iter().map(|one| version(*one)).collect()), *killed)
            }
            Step::Installer { version: one, killed } => self.run(Command::Installer(version(*one)), *killed),
            Step::Rollback { to, killed } => self.run(Command::Rollback(version(*to)), *killed),
            Step::Resume { killed } => match self.left.clone() {
                Some(command) => self.run(command, *killed),
                None => Ok(()),
            },
            Step::TwoManagers { first, second } => {
                let stale = self.world.plan(&[version(*second)]);
                self.run(Command::Publish(vec![version(*first)]), None)?;
                let Some(stale) = stale else { return Ok(()) };
                let command = Command::Publish(vec![version(*second)]);
                self.watch(&command, |world| world.carry_out(&stale, None))
            }
            Step::LostLock { first, second, turns } => {
                let plans = [first, second].map(|one| self.world.plan(&[version(*one)]));
                let [Some(one), Some(other)] = plans else { return Ok(()) };
                let command = Command::Publish(vec![version(*first), version(*second)]);
                self.watch(&command, |world| world.interleave(&one, &other, turns))
            }
            Step::OldTool { version: one, killed } => {
                self.world.old_tool(&version(*one), *killed);
                self.disturbed.extend(self.world.pointers.keys());
                Ok(())
            }
        }
    }

    fn run(&mut self, command: Command, killed: Option<u8>) -> Result<(), String> {
        let what = command.clone();
        self.watch(&command, |world| match &what {
            Command::Publish(versions) => world.publish(versions, killed),
            Command::Installer(version) => world.installer(version, killed),
            Command::Rollback(to) => world.rollback(to, killed),
        })
    }

    /// Carries something out, and checks what it did.
    fn watch(&mut self, command: &Command, act: impl FnOnce(&mut World) -> Ended) -> Result<(), String> {
        let before = Users::of(&self.world);
        let ended = act(&mut self.world);
        let after = Users::of(&self.world);
        match ended {
            Ended::Done => {
                self.left = None;
                self.done += 1;
                let settled = |pointer: &Pointer| match command {
                    Command::Rollback(_) => pointer.is_of_newest(),
                    Command::Installer(_) => false,
                    Command::Publish(versions) => after.settled_by(*pointer, versions, &self.world),
                };
                self.disturbed.retain(|pointer| !settled(pointer));
            }
            Ended::Refused => {}
            Ended::Stopped => {
                self.left = Some(command.clone());
                // It may have moved some of them, and what it began may have to be finished first.
                self.disturbed.extend(self.world.pointers.keys());
            }
        }
        let rolled_back_to = if let Command::Rollback(to) = command { Some(to) } else { None };
        check(&self.world, &before, &after, rolled_back_to, &self.disturbed)
    }
}

/// Runs random histories. Returns the number of commands that ended with everything done.
fn histories(number: u32, seeded: bool) -> usize {
    let config = Config { cases: number, failure_persistence: None, max_shrink_iters: 4_000, ..Config::default() };
    let mut runner = if seeded {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    } else {
        TestRunner::new(config)
    };
    let done = std::cell::Cell::new(0);
    let steps = prop::collection::vec(any_step(), 1..16);
    let ran = runner.run(&steps, |steps| {
        let mut history = History::default();
        for (number, step) in steps.iter().enumerate() {
            history.take(step).map_err(|why| {
                TestCaseError::fail(format!("after step {} ({step:?}): {why}\n{:#?}", number + 1, history.world))
            })?;
        }
        done.set(done.get() + history.done);
        Ok(())
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
    done.get()
}

#[test]
fn no_history_takes_users_back_or_to_something_that_is_not_whole() {
    let asked = std::env::var("RELENG_HISTORIES").ok().and_then(|number| number.parse().ok());
    let number = asked.unwrap_or(HISTORIES);
    let done = histories(number, asked.is_none());
    eprintln!("{number} random histories, {done} commands that ended with everything done");
    assert!(done > number as usize, "the histories get nowhere: {done}");
}
