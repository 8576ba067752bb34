//! How far a release is, as it was observed, and what to type next, as `status` shows it.
//!
//! Nothing is remembered between runs: `verify` leaves no trace, so this never claims that it was run.

use serde::Serialize;
use xtask::domain::format::Misread;
use xtask::domain::oid::Oid;
use xtask::domain::profile::{BuiltProfile, Profile};

use crate::domain::publication::judgement::Review;
use crate::domain::publication::receipt::Missing;

mod page;

pub use page::{Line, Page, Topic};

/// The state of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Done,
    Open,
    /// It continues once something outside has happened.
    Waits,
    /// It is wrong, and running the same command again does not help.
    Wrong,
    /// It could not be determined.
    Unknown,
}

/// How far a release is.
#[derive(Debug, Clone)]
pub struct Standing {
    pub product: String,
    pub version: String,
    pub name: String,
    /// Description of where HEAD is.
    pub head: String,
    /// Where HEAD is relative to the tag.
    pub on: On,
    pub notes: Line,
    pub tag: Line,
    pub build: Line,
    /// What `check` found; `None` until something is built.
    pub check: Option<Line>,
    /// The build profile of `release/`, if it has a build.
    pub profile: Option<BuiltProfile>,
    /// The environments in the order in which a release goes through them.
    pub environments: Vec<EnvironmentStanding>,
    pub finish: Line,
    pub announce: Line,
}

/// Where HEAD is relative to the tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    Tag,
    /// On the branch that was tagged, or there is no tag yet.
    Branch,
    /// Elsewhere; this is the branch that was tagged.
    Elsewhere(String),
}

/// What was seen of a release in one environment.
#[derive(Debug, Clone)]
pub struct EnvironmentStanding {
    pub name: String,
    /// Whether every release goes through it; other environments are for rehearsals and the like.
    pub is_stage: bool,
    /// The build profiles that it accepts.
    pub profiles: Vec<Profile>,
    /// What was seen there, or why it could not be checked.
    pub live: Result<Live, String>,
}

/// What an environment has of the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Live {
    pub directory: Directory,
    /// Whether the environment has a receipt for exactly this record, or a newer tool's receipt for the version.
    pub finished: bool,
    /// Targets that its publication left out.
    pub missing: Vec<Missing>,
    /// Whether a rollback withdrew the release.
    pub withdrawn: bool,
    pub pointers: Vec<Pointer>,
    /// State of the review; `None` if commits are pushed without review.
    pub review: Option<Reviewed>,
    pub installers: bool,
    /// Other versions whose upload was begun and not finished there, as far as can be seen.
    pub begun: Vec<String>,
    /// The environment's lock, if it exists.
    pub lock: Option<Lock>,
    /// Other objects that exist and could not be read.
    pub unread: Vec<Unread>,
}

/// A lock that was found in an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lock {
    /// The manager, the process and the host.
    pub owner: String,
    /// Time of day at which the lock expires.
    pub until: String,
    /// Whether it still keeps others out: its run has not ended, and it has not expired.
    pub counts: bool,
}

/// An object that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// Name of the object and the reason.
    pub why: String,
    /// Whether it is damaged; otherwise a newer tool wrote it.
    pub is_damaged: bool,
}

impl Unread {
    /// Describes why the object called `name` could not be read.
    pub fn new(name: &str, why: Misread) -> Unread {
        let is_damaged = matches!(why, Misread::Wrong(_));
        Unread { why: why.of(name).to_string(), is_damaged }
    }

    fn state(&self) -> State {
        if self.is_damaged { State::Wrong } else { State::Unknown }
    }
}

impl Live {
    fn has_broken_files(&self) -> bool {
        matches!(&self.directory, Directory::Recorded { broken, .. } if !broken.is_empty())
    }

    /// Whether a rollback withdrew the release but did not move all pointers.
    pub fn is_half_rolled_back(&self) -> bool {
        self.withdrawn && self.pointers.iter().any(|pointer| pointer.rolls_back && pointer.leads == Leads::Here)
    }
}

/// Contents of the version directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Directory {
    Absent,
    /// Files without a record, which is written last.
    Begun,
    /// Files from before there were records.
    Unrecorded,
    /// Files, with a record that could not be read.
    Unread(Unread),
    /// Files, with a record that differs from the one in `release/`.
    Other {
        record: String,
    },
    #[serde(rename_all = "kebab-case")]
    Recorded {
        /// Whether `release/` exists and has the same record.
        same_as_release: bool,
        /// Number of files that were checked: all except the manual's pages.
        files: usize,
        /// Files that are missing, have another size, or could not be checked.
        broken: Vec<String>,
    },
}

/// A pointer that users follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pointer {
    pub what: String,
    pub leads: Leads,
    /// Whether a rollback moves it, because it follows the newest stable release.
    #[serde(skip)]
    pub rolls_back: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leads {
    Here,
    /// To this version, or to something that could not be read.
    To(String),
    /// Not here; it does not say where.
    Elsewhere,
    Nowhere,
}

/// The state of the release's commits in Gerrit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reviewed {
    NotPushed,
    Open,
    /// The tagged commit is on the branch, but the commit that merges it back is not.
    Half,
    Submitted,
    Rewritten(Oid),
    /// The remote could not be asked, for this reason.
    Unknown(String),
}

impl From<Review> for Reviewed {
    fn from(review: Review) -> Reviewed {
        match review {
            Review::Unknown => Reviewed::NotPushed,
            Review::Open => Reviewed::Open,
            Review::Half { .. } => Reviewed::Half,
            Review::Submitted => Reviewed::Submitted,
            Review::Rewritten(oid) => Reviewed::Rewritten(oid),
        }
    }
}

/// A command to type, with a remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Command {
    pub command: String,
    pub remark: Option<String>,
}

impl Command {
    pub fn new(command: impl Into<String>) -> Command {
        Command { command: command.into(), remark: None }
    }

    /// A `cargo xtask release` command.
    pub fn release(words: &str) -> Command {
        Command::new(format!("cargo xtask release {words}"))
    }

    fn but(self, remark: &str) -> Command {
        Command { remark: Some(remark.to_owned()), ..self }
    }
}

impl EnvironmentStanding {
    fn state(&self) -> State {
        let Ok(live) = &self.live else { return State::Unknown };
        let waits = matches!(live.review, Some(Reviewed::Open | Reviewed::Half));
        match &live.directory {
            Directory::Unread(unread) => unread.state(),
            Directory::Other { .. } => State::Wrong,
            Directory::Unrecorded => State::Done,
            Directory::Recorded { .. } if live.is_half_rolled_back() => State::Wrong,
            Directory::Recorded { .. } if !live.unread.is_empty() => live.unread[0].state(),
            Directory::Recorded { .. } if live.withdrawn => State::Done,
            Directory::Recorded { broken, .. } if live.finished && broken.is_empty() => State::Done,
            Directory::Recorded { .. } if waits && !live.finished => State::Waits,
            Directory::Recorded { .. } | Directory::Absent | Directory::Begun => State::Open,
        }
    }

    /// The command that completes a rollback that stopped halfway.
    fn rollback(&self) -> Option<Command> {
        let live = self.live.as_ref().ok().filter(|live| live.is_half_rolled_back())?;
        // A pointer that it has moved shows the version that it was to go to.
        let to = live.pointers.iter().find_map(|pointer| match &pointer.leads {
            Leads::To(version) if pointer.rolls_back => Some(version.as_str()),
            _ => None,
        });
        let command = format!("rollback --env {} --to {}", self.name, to.unwrap_or("VERSION"));
        Some(Command::release(&command).but("it stopped halfway"))
    }

    /// Whether part of the release is there, and another upload would complete it.
    fn is_incomplete(&self) -> bool {
        let is_there = self.live.as_ref().is_ok_and(|live| live.directory != Directory::Absent);
        is_there && matches!(self.state(), State::Open | State::Waits)
    }

    /// Whether its publication is done, except for what was left out.
    fn has_left_out(&self) -> bool {
        self.state() == State::Done && self.live.as_ref().is_ok_and(|live| !live.missing.is_empty())
    }

    /// Whether installers are missing; a withdrawn release needs none.
    fn wants_installers(&self) -> bool {
        self.live.as_ref().is_ok_and(|live| !live.installers && !live.withdrawn)
    }
}

/// The environments that every release goes through, in order; if there are none, those for rehearsals.
fn way(environments: &[EnvironmentStanding]) -> impl Iterator<Item = &EnvironmentStanding> + Clone {
    let rehearsed = !environments.iter().any(|environment| environment.is_stage);
    environments.iter().filter(move |environment| rehearsed || environment.is_stage)
}

/// Returns the last environment on the way in which the release is completely published.
pub fn published_last(environments: &[EnvironmentStanding]) -> Option<&EnvironmentStanding> {
    way(environments).filter(|environment| environment.state() == State::Done).last()
}

impl Standing {
    /// Lists what to type next: usually one command, preceded by optional ones.
    fn next(&self) -> Vec<Command> {
        // First of all, users still get the withdrawn release.
        if let Some(rollback) = self.environments.iter().find_map(EnvironmentStanding::rollback) {
            return vec![rollback];
        }
        let open = |line: &Line| line.state != State::Done;
        if open(&self.notes) {
            return vec![Command::release("prepare")];
        }
        if open(&self.tag) {
            return vec![Command::release("tag")];
        }
        let done = published_last(&self.environments);
        // Do not go back to an environment that was skipped.
        let after = |done: &EnvironmentStanding| way(&self.environments).skip_while(|one| one.name != done.name).nth(1);
        // Pointers of other releases wait for an upload that was begun, also in an environment for rehearsals.
        let incomplete = self.environments.iter().find(|environment| environment.is_incomplete());
        let to_do = incomplete.or_else(|| done.map_or_else(|| way(&self.environments).next(), after));
        if to_do.is_some() && open(&self.build) {
            return vec![self.on_the_tag(Command::release("build"))];
        }
        let verify = done.map(|environment| {
            Command::release(&format!("verify --env {}", environment.name)).but("unless you have done so")
        });
        let left_out = self.environments.iter().filter(|environment| environment.has_left_out());
        let mut next: Vec<Command> =
            left_out.map(|environment| self.upload(environment).but("completes what was left out")).collect();
        match to_do {
            Some(to_do) => {
                let check = self.check.as_ref().filter(|check| open(check));
                let check = check.map(|_| self.on_the_tag(Command::release("check").but("it is not proven yet")));
                next.extend(verify.into_iter().chain(check).chain([self.upload(to_do)]));
            }
            None => next.extend(self.afterwards(done, verify)),
        }
        next
    }

    fn upload(&self, to: &EnvironmentStanding) -> Command {
        let name = &to.name;
        let upload = Command::release(&format!("upload --env {name}"));
        let takes = self.profile.as_ref().is_none_or(|profile| profile.is_among(&to.profiles));
        let verify = || Command::release(&format!("verify --env {name}")).but("not everything there is readable");
        let Ok(live) = &to.live else {
            return Command::release(&format!("doctor --env {name}")).but("it could not be checked");
        };
        match to.state() {
            _ if matches!(live.directory, Directory::Unread(_)) || !live.unread.is_empty() => verify(),
            State::Wrong | State::Open if live.finished && live.has_broken_files() => {
                Command::release(&format!("verify --env {name}"))
                    .but("some files there have changed since they were published")
            }
            // Environments after this one must wait while this one differs.
            State::Wrong => Command::release(&format!("plan --env {name}")).but("another build is there"),
            _ if !takes => {
                let wanted = to.profiles.first().map(|profile| profile.name()).unwrap_or_default();
                self.on_the_tag(Command::release(&format!("build --profile {wanted}")))
            }
            State::Waits => self.on_the_tag(upload.but("once the changes are submitted in Gerrit")),
            _ => self.on_the_tag(upload),
        }
    }

    /// Returns a command that needs HEAD on the tag, or the command that brings HEAD there.
    fn on_the_tag(&self, command: Command) -> Command {
        match self.on {
            On::Tag => command,
            On::Branch | On::Elsewhere(_) => Command::new(format!("git switch --detach {}", self.version)),
        }
    }

    fn afterwards(&self, done: Option<&EnvironmentStanding>, verify: Option<Command>) -> Vec<Command> {
        let mut next = Vec::new();
        let installer = done.filter(|environment| environment.wants_installers()).map(|environment| {
            Command::release(&format!("installer --env {} --from DIR", environment.name)).but("once they are built")
        });
        if self.finish.state != State::Done {
            next.extend(verify);
            next.extend(installer);
            let environment = done.map(|environment| format!(" --env {} --push", environment.name));
            next.push(match &self.on {
                On::Elsewhere(branch) => Command::new(format!("git switch {branch}")),
                On::Tag | On::Branch => Command::release(&format!("finish{}", environment.unwrap_or_default())),
            });
            return next;
        }
        next.extend(installer);
        if self.announce.state != State::Done {
            next.push(Command::release("announce"));
        }
        next
    }
}

#[cfg(test)]
mod tests;
