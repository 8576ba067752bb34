//! How far a release is, as it was observed, and what to type next: what `status` shows. Refuses to observe anything.
//!
//! Nothing here is remembered: `verify` leaves no trace, so nothing here claims that it was run.

use serde::Serialize;
use xtask::domain::format::Misread;
use xtask::domain::oid::Oid;

use crate::domain::publication::judgement::Review;

mod page;

pub use page::{Line, Page, Topic};

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Done,
    Open,
    /// It goes on once somebody else has done something.
    Waits,
    /// It is not as it should be, and doing the same again does not help.
    Wrong,
    /// It could not be found out.
    Unknown,
}

/// A release, as far as it is.
#[derive(Debug, Clone)]
pub struct Standing {
    pub product: String,
    pub version: String,
    pub name: String,
    /// Where HEAD is, in words.
    pub head: String,
    /// What HEAD is to the tag.
    pub on: On,
    pub notes: Line,
    pub tag: Line,
    pub build: Line,
    /// The profile of what was built.
    pub profile: Option<String>,
    /// In the order in which they are published to.
    pub environments: Vec<EnvironmentStanding>,
    pub finish: Line,
    pub announce: Line,
}

/// What HEAD is to the tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    Tag,
    /// The branch that was tagged, or no tag is there yet.
    Branch,
    /// Somewhere else; this is the branch that was tagged.
    Elsewhere(String),
}

/// One place to publish to.
#[derive(Debug, Clone)]
pub struct EnvironmentStanding {
    pub name: String,
    /// Whether it is a step on the way of each release: others are for rehearsals, or for something else.
    pub is_stage: bool,
    /// The build profiles that it takes.
    pub profiles: Vec<String>,
    /// What was seen there; or why nothing was.
    pub live: Result<Live, String>,
}

/// What users see of the release in an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Live {
    pub directory: Directory,
    /// Whether a publication of this very record ran to its end there; or any, where a newer tool says so.
    pub finished: bool,
    /// Whether a rollback took it from the users of the newest stable release.
    pub withdrawn: bool,
    pub pointers: Vec<Pointer>,
    /// `None` where commits do not go through review.
    pub review: Option<Reviewed>,
    pub installers: bool,
    /// Other versions whose upload was begun and not finished there, where that can be seen.
    pub begun: Vec<String>,
    /// The lock of the environment, if somebody publishes there or left it.
    pub lock: Option<Lock>,
    /// What else is there and could not be read.
    pub unread: Vec<Unread>,
}

/// A lock that lies in an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lock {
    /// A person, a process and a host.
    pub owner: String,
    /// A time of day.
    pub until: String,
    /// Whether it keeps others out. Otherwise the run has ended, or the time is over.
    pub counts: bool,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// Its name and why, in words.
    pub why: String,
    /// Whether it is damaged. Otherwise a newer tool made it.
    pub is_damaged: bool,
}

impl Unread {
    /// From what was said of something called `name`.
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

    /// Whether a rollback withdrew the release, and did not get as far as moving all pointers.
    pub fn is_half_rolled_back(&self) -> bool {
        self.withdrawn && self.pointers.iter().any(|pointer| pointer.rolls_back && pointer.leads == Leads::Here)
    }
}

/// What lies in the version directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Directory {
    Absent,
    /// Files, and no record, which comes last.
    Begun,
    /// Files from before there were records.
    Unrecorded,
    /// Files, and a record that could not be read.
    Unread(Unread),
    /// Of another record than `release/` has.
    Other {
        record: String,
    },
    #[serde(rename_all = "kebab-case")]
    Recorded {
        /// Whether it is the record that `release/` has: none may be there.
        same_as_release: bool,
        /// How many were looked at: all but pages of the manual.
        files: usize,
        /// Those that are missing, of another size, or without an answer.
        broken: Vec<String>,
    },
}

/// A name that users follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pointer {
    pub what: String,
    pub leads: Leads,
    /// Whether it follows the newest stable release, which a rollback moves.
    #[serde(skip)]
    pub rolls_back: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leads {
    Here,
    /// To another version, or to what could not be read.
    To(String),
    /// Not here, and it does not say where.
    Elsewhere,
    Nowhere,
}

/// What is known of the release's commits in Gerrit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reviewed {
    NotPushed,
    Open,
    /// The tagged commit is on the branch, and the commit that merges it back is not.
    Half,
    Submitted,
    Rewritten(Oid),
    /// The remote could not be asked.
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

/// Something to type, and what there is to know about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Command {
    pub command: String,
    pub remark: Option<String>,
}

impl Command {
    pub fn new(command: impl Into<String>) -> Command {
        Command { command: command.into(), remark: None }
    }

    /// A phase of ours.
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

    /// What completes a rollback that stopped half-way.
    fn rollback(&self) -> Option<Command> {
        let live = self.live.as_ref().ok().filter(|live| live.is_half_rolled_back())?;
        // What it moved already tells where it was to go.
        let to = live.pointers.iter().find_map(|pointer| match &pointer.leads {
            Leads::To(version) if pointer.rolls_back => Some(version.as_str()),
            _ => None,
        });
        let command = format!("rollback --env {} --to {}", self.name, to.unwrap_or("VERSION"));
        Some(Command::release(&command).but("it stopped half-way"))
    }

    /// Whether some of the release is there, and what is left is done by another upload.
    fn is_incomplete(&self) -> bool {
        let is_there = self.live.as_ref().is_ok_and(|live| live.directory != Directory::Absent);
        is_there && matches!(self.state(), State::Open | State::Waits)
    }

    /// Nobody installs what was withdrawn.
    fn wants_installers(&self) -> bool {
        self.live.as_ref().is_ok_and(|live| !live.installers && !live.withdrawn)
    }
}

/// The environments that are steps on the way, in their order: where there is nothing but rehearsals, those.
fn way(environments: &[EnvironmentStanding]) -> impl Iterator<Item = &EnvironmentStanding> + Clone {
    let rehearsed = !environments.iter().any(|environment| environment.is_stage);
    environments.iter().filter(move |environment| rehearsed || environment.is_stage)
}

/// The last step on the way where all of the release is published.
pub fn published_last(environments: &[EnvironmentStanding]) -> Option<&EnvironmentStanding> {
    way(environments).filter(|environment| environment.state() == State::Done).last()
}

impl Standing {
    /// What to type next: usually one command, and where it is one that asks for something, what can be done meanwhile.
    fn next(&self) -> Vec<Command> {
        // Users still get what was withdrawn.
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
        // What was skipped on the way stays so.
        let after = |done: &EnvironmentStanding| way(&self.environments).skip_while(|one| one.name != done.name).nth(1);
        // Pointers of other releases wait for what was begun, also where it was a rehearsal.
        let incomplete = self.environments.iter().find(|environment| environment.is_incomplete());
        let to_do = incomplete.or_else(|| done.map_or_else(|| way(&self.environments).next(), after));
        if to_do.is_some() && open(&self.build) {
            return vec![self.on_the_tag(Command::release("build"))];
        }
        let verify = done
            .map(|environment| Command::release(&format!("verify --env {}", environment.name)).but("unless you did"));
        match to_do {
            Some(to_do) => verify.into_iter().chain([self.upload(to_do)]).collect(),
            None => self.afterwards(done, verify),
        }
    }

    fn upload(&self, to: &EnvironmentStanding) -> Command {
        let name = &to.name;
        let upload = Command::release(&format!("upload --env {name}"));
        let takes = self.profile.as_ref().is_none_or(|profile| to.profiles.contains(profile));
        let verify = || Command::release(&format!("verify --env {name}")).but("not everything there could be read");
        let Ok(live) = &to.live else {
            return Command::release(&format!("doctor --env {name}")).but("it could not be looked at");
        };
        match to.state() {
            _ if matches!(live.directory, Directory::Unread(_)) || !live.unread.is_empty() => verify(),
            State::Wrong | State::Open if live.finished && live.has_broken_files() => {
                Command::release(&format!("verify --env {name}")).but("not all files there are as they were published")
            }
            // Nothing after it may be done: it is the one that would tell.
            State::Wrong => Command::release(&format!("plan --env {name}")).but("another build is there"),
            _ if !takes => {
                let wanted = to.profiles.first().map(String::as_str).unwrap_or_default();
                self.on_the_tag(Command::release(&format!("build --profile {wanted}")))
            }
            State::Waits => self.on_the_tag(upload.but("once the changes are submitted in Gerrit")),
            _ => self.on_the_tag(upload),
        }
    }

    /// A command that wants HEAD on the tag.
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
