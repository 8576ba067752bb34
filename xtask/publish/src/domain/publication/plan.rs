//! A plan: every act with its judgement, as one value that is shown, hashed and agreed to.
//!
//! Its digest covers exact contents, so that what was reviewed is what is carried out. Decisions are made in
//! [`crate::domain::publication::judgement`].

use std::fmt;

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use xtask::domain::amounts::counted;
use xtask::domain::digest::Digest;
use xtask::domain::release::Kind;
use xtask::domain::shown::one_line;

use crate::domain::publication::acts::{Act, Rule, Subject, Wave};
use crate::domain::publication::pointers::Published;

/// How far an act is, decided by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "status", content = "why")]
pub enum Status {
    Absent,
    Same,
    Different,
    /// It cannot be done before something outside has happened, for this reason.
    Waiting(String),
    /// A pointer that this release does not move, for this reason.
    Stays(String),
    /// It must not be done, for these reasons.
    Refused(Vec<String>),
    /// Its target could not be looked at, for this reason: something has to be made or allowed first.
    Unseen(String),
    /// Its server cannot be asked now, for this reason. What does not need it can be done.
    Unreachable(String),
    /// The manager leaves out its target.
    #[serde(rename = "left-out")]
    LeftOut,
}

/// What to do about an act, given what was seen of its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub status: Status,
    /// What would happen, in a few words.
    pub summary: String,
    /// Each change, with its digests.
    pub changes: Vec<String>,
}

impl Judgement {
    pub fn new(status: Status, summary: impl Into<String>, changes: Vec<String>) -> Judgement {
        Judgement { status, summary: summary.into(), changes }
    }

    /// The act is done.
    pub fn same(what: impl Into<String>) -> Judgement {
        Judgement::new(Status::Same, what, Vec::new())
    }

    /// Nothing is there yet; `changes` would be made.
    pub fn absent(summary: impl Into<String>, changes: Vec<String>) -> Judgement {
        Judgement::new(Status::Absent, summary, changes)
    }

    /// Something else is there, and would be replaced.
    pub fn different(summary: impl Into<String>, changes: Vec<String>) -> Judgement {
        Judgement::new(Status::Different, summary, changes)
    }

    /// The act must not be done, for these reasons.
    pub fn refused(reasons: Vec<String>) -> Judgement {
        Judgement::new(Status::Refused(reasons), "", Vec::new())
    }

    /// The pointer does not move, for this reason.
    pub fn stays(why: impl Into<String>) -> Judgement {
        Judgement::new(Status::Stays(why.into()), "", Vec::new())
    }

    pub fn is_to_do(&self) -> bool {
        self.status.is_to_do()
    }
}

impl Status {
    /// Whether `upload` has something to do here.
    pub fn is_to_do(&self) -> bool {
        match self {
            Status::Absent | Status::Different => true,
            Status::Same
            | Status::Waiting(_)
            | Status::Stays(_)
            | Status::Refused(_)
            | Status::Unseen(_)
            | Status::Unreachable(_)
            | Status::LeftOut => false,
        }
    }
}

/// What is said of an act whose target is left out.
const LEFT_OUT: &str = "left out; the next upload completes it";

/// An act with its judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    #[serde(skip)]
    pub act: Act,
    pub title: String,
    pub wave: Wave,
    pub rule: Rule,
    #[serde(flatten)]
    pub status: Status,
    /// What would happen, in a few words.
    pub summary: String,
    /// Each change, with its digests, so that the plan's digest covers exact contents.
    pub changes: Vec<String>,
}

impl Planned {
    pub fn new(act: &Act, subject: &Subject, judged: Judgement) -> Planned {
        let Judgement { status, summary, changes } = judged;
        let (wave, rule) = (act.wave(), act.rule());
        Planned { act: act.clone(), title: act.title(subject), wave, rule, status, summary, changes }
    }

    /// Whether `upload` has something to do here.
    pub fn is_to_do(&self) -> bool {
        self.status.is_to_do()
    }

    /// Describes why the act is not done, or what it would do.
    pub fn explained(&self) -> String {
        match &self.status {
            Status::Absent | Status::Different | Status::Same => self.summary.clone(),
            Status::Waiting(why) | Status::Stays(why) | Status::Unseen(why) | Status::Unreachable(why) => why.clone(),
            Status::LeftOut => LEFT_OUT.to_owned(),
            Status::Refused(reasons) => reasons.join("; "),
        }
    }

    /// Formats the act as a line, and its changes if `verbose`. In a train the title also names the release.
    fn to_text(&self, title: &str, verbose: bool, width: usize) -> String {
        let (mark, what) = match &self.status {
            Status::Absent => ('+', one_line(&self.summary)),
            Status::Different => ('~', one_line(&self.summary)),
            Status::Same => ('=', "nothing to do".to_owned()),
            Status::Waiting(why) => ('…', format!("waits: {}", one_line(why))),
            Status::Stays(why) => ('-', format!("stays: {}", one_line(why))),
            Status::Refused(reasons) => {
                let reasons: Vec<String> = reasons.iter().map(|why| one_line(why)).collect();
                ('!', format!("refused: {}", reasons.join("\n      ")))
            }
            Status::Unseen(why) => ('!', format!("refused: it cannot be looked at: {}", one_line(why))),
            Status::Unreachable(why) => ('?', format!("cannot be asked: {}", one_line(why))),
            Status::LeftOut => ('x', LEFT_OUT.to_owned()),
        };
        let changes = self.changes.iter().filter(|_| verbose).map(|change| format!("      {}\n", one_line(change)));
        format!("  {mark} {:<width$} {what}\n{}", one_line(title), changes.collect::<String>())
    }
}

/// What a plan is for, in its heading: a kind of release, or a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanKind {
    NewMajor,
    Patch,
    /// A patch of a series that is not the newest one here.
    Maintenance,
    PreRelease,
    Nightly,
    Rollback,
}

impl PlanKind {
    pub fn of(subject: &Subject, acts: &[Act], published: &Published) -> PlanKind {
        match subject {
            _ if acts.iter().any(|act| act.wave() == Wave::Withdrawal) => PlanKind::Rollback,
            Subject::Nightly { .. } => PlanKind::Nightly,
            Subject::Official(release) => match release.kind() {
                Kind::NewMajor => PlanKind::NewMajor,
                Kind::PreRelease => PlanKind::PreRelease,
                Kind::Patch if published.all().any(|v| !v.is_pre_release() && v.series() > release.series()) => {
                    PlanKind::Maintenance
                }
                Kind::Patch => PlanKind::Patch,
            },
        }
    }
}

impl fmt::Display for PlanKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            PlanKind::NewMajor => "new MAJOR",
            PlanKind::Patch => "patch",
            PlanKind::Maintenance => "maintenance",
            PlanKind::PreRelease => "pre-release",
            PlanKind::Nightly => "nightly",
            PlanKind::Rollback => "rollback",
        })
    }
}

impl Serialize for PlanKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Everything that publishing would do in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Name of the product.
    #[serde(skip)]
    pub product: String,
    pub environment: String,
    /// The version as artifacts spell it.
    pub version: String,
    /// The kind of release, seen from this environment.
    pub kind: PlanKind,
    /// Digest of `release.json`, exactly as released.
    pub record: Digest,
    /// The acts in the order in which they are carried out.
    pub acts: Vec<Planned>,
    /// The hook that is run last, if there is one and it has something to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purge: Option<Purge>,
}

/// The call of an environment's `purge` program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Purge {
    pub program: String,
    /// Number of addresses that it gets.
    pub addresses: usize,
}

impl Plan {
    /// # Panics
    /// Never: a plan has only string keys.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan has only string keys") + "\n"
    }

    /// Digest of the plan, with which `--plan` is compared. The words of a server that cannot be asked do not count.
    pub fn digest(&self) -> Digest {
        let mut plan = self.clone();
        for act in &mut plan.acts {
            if let Status::Unreachable(why) = &mut act.status {
                why.clear();
            }
        }
        Digest::new(Sha256::digest(plan.to_json()).into())
    }

    /// The page that a manager reads before saying yes, without colours; `verbose` lists every change.
    pub fn to_text(&self, verbose: bool) -> String {
        let mut text = format!("{} {} to {} ({})\n", self.product, self.version, self.environment, self.kind);
        let width = title_width(self.acts.iter());
        for wave in Wave::ALL {
            let acts: Vec<&Planned> = self.acts.iter().filter(|act| act.wave == wave).collect();
            if !acts.is_empty() {
                text += &format!("\n{wave}\n");
            }
            for act in acts {
                text += &act.to_text(&act.title, verbose, width);
            }
        }
        text += &purge_to_text(&self.purge);
        text + &format!("\nplan {}\n", self.digest())
    }

    /// Reasons why the plan must not be carried out, each once; empty if there are none.
    pub fn refusals(&self) -> Vec<String> {
        let mut refusals: Vec<(String, String)> = Vec::new();
        for act in &self.acts {
            let reasons = match &act.status {
                Status::Refused(reasons) => reasons.clone(),
                Status::Unseen(why) => vec![format!("it cannot be looked at: {why}")],
                _ => Vec::new(),
            };
            for why in reasons {
                match refusals.iter_mut().find(|(_, same)| *same == why) {
                    Some((titles, _)) => titles.extend([", ", &act.title]),
                    None => refusals.push((act.title.clone(), why)),
                }
            }
        }
        refusals.into_iter().map(|(titles, why)| format!("{titles}: {why}")).collect()
    }

    /// Whether everything is done that can be done now.
    pub fn is_done(&self) -> bool {
        !self.acts.iter().any(Planned::is_to_do)
    }
}

/// The plans of releases that are published together; usually there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plans<'a>(pub Vec<&'a Plan>);

impl Plans<'_> {
    /// Digest with which `--plan` is compared; that of the plan if there is only one.
    pub fn digest(&self) -> Digest {
        match self.0.as_slice() {
            [plan] => plan.digest(),
            plans => {
                let digests: String = plans.iter().map(|plan| format!("{}\n", plan.digest())).collect();
                Digest::new(Sha256::digest(digests).into())
            }
        }
    }

    /// The page that a manager reads before saying yes, as [`Plan::to_text`], wave by wave over all releases.
    pub fn to_text(&self, verbose: bool) -> String {
        if let [plan] = self.0.as_slice() {
            return plan.to_text(verbose);
        }
        let releases: Vec<String> = self.0.iter().map(|plan| format!("{} ({})", plan.version, plan.kind)).collect();
        let (product, environment) = self.0.first().map_or(("", ""), |plan| (&plan.product, &plan.environment));
        let mut text = format!("{product} {} to {environment}\n", releases.join(", "));
        let acts = || self.0.iter().flat_map(|plan| plan.acts.iter().map(|act| (&plan.version, act)));
        let version_width = self.0.iter().map(|plan| plan.version.len()).max().unwrap_or_default();
        let width = title_width(acts().map(|(_, act)| act)) + version_width + 2;
        for wave in Wave::ALL {
            let mut heading = format!("\n{wave}\n");
            for (version, act) in acts().filter(|(_, act)| act.wave == wave) {
                let title = format!("{version:<version_width$}  {}", act.title);
                text += &std::mem::take(&mut heading);
                text += &act.to_text(&title, verbose, width);
            }
        }
        for plan in &self.0 {
            text += &purge_to_text(&plan.purge);
        }
        text + &format!("\nplan {}\n", self.digest())
    }

    /// As [`Plan::refusals`].
    pub fn refusals(&self) -> Vec<String> {
        match self.0.as_slice() {
            [plan] => plan.refusals(),
            plans => plans
                .iter()
                .flat_map(|plan| plan.refusals().into_iter().map(|why| format!("{} {why}", plan.version)))
                .collect(),
        }
    }

    /// As [`Plan::is_done`].
    pub fn is_done(&self) -> bool {
        self.0.iter().all(|plan| plan.is_done())
    }
}

fn purge_to_text(purge: &Option<Purge>) -> String {
    let Some(Purge { program, addresses }) = purge else { return String::new() };
    format!("\npurge, once pointers have moved\n  {} gets {}\n", one_line(program), counted(*addresses, "address"))
}

/// Width of the column of titles in characters: registries have long names.
fn title_width<'a>(acts: impl Iterator<Item = &'a Planned>) -> usize {
    acts.map(|act| act.title.chars().count()).max().unwrap_or_default().max(30)
}
