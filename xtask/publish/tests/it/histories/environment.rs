//! An environment in memory: what lies in it, and commands that carry out what the real code decides about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use xtask::domain::digest::Digest;
use xtask::domain::environment::{Config, Environment};
use xtask::domain::extent::Extent;
use xtask::domain::format::Format;
use xtask::domain::layout::Docs;
use xtask::domain::product::Product;
use xtask::domain::release::Release;
use xtask::domain::version::{Series, Version};
use xtask_publish::domain::checks::proof::Proof;
use xtask_publish::domain::publication::acts::{Act, INSTALLER_ACTS, Rule, Subject, acts};
use xtask_publish::domain::publication::image_tag::{ImageTag, Pushed};
use xtask_publish::domain::publication::judgement::{Changed, Object, Seen, Tree, Waivers, judge};
use xtask_publish::domain::publication::plan::{Planned, Status};
use xtask_publish::domain::publication::pointers::{Published, withdrawn_by_rollback};
use xtask_publish::domain::publication::receipt::{self, Gate, Receipt, StoredReceipt};
use xtask_publish::domain::publication::withdrawn;

/// A name that users follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pointer {
    RootManifest,
    DocsStable,
    Latest,
    Installer,
    SeriesTag(Series),
    /// Changed in place with the contents.
    SeriesDocs(Series),
}

impl Pointer {
    pub fn series(self) -> Option<Series> {
        match self {
            Pointer::SeriesTag(series) | Pointer::SeriesDocs(series) => Some(series),
            Pointer::RootManifest | Pointer::DocsStable | Pointer::Latest | Pointer::Installer => None,
        }
    }

    pub fn is_of_newest(self) -> bool {
        self.series().is_none()
    }
}

/// A part of a version's contents, written at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Sums,
    Files,
    Record,
    Cache,
    Images,
    VersionTag,
    Branch,
    GitTag,
    Installers,
}

const DIRECTORY: [Part; 3] = [Part::Sums, Part::Files, Part::Record];

/// A change that happens completely or not at all.
#[derive(Debug, Clone)]
pub(super) enum Write {
    Part(Version, Part),
    Move(Pointer, Version),
    Withdraw(BTreeSet<Version>),
    Receipt(Version),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything is done.
    Done,
    /// Nothing was written.
    Refused,
    /// It was killed, failed on the way, or waits.
    Stopped,
}

/// Everything that lies in an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    pub pointers: BTreeMap<Pointer, Version>,
    pub parts: BTreeMap<Version, BTreeSet<Part>>,
    pub receipts: BTreeSet<Version>,
    pub of_old_tool: BTreeSet<Version>,
    pub withdrawn: BTreeSet<Version>,
}

/// A plan that was agreed to.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) acts: Vec<(Version, Planned)>,
    /// Set for a rollback: what was found, and what is published afterwards.
    pub(super) beside: Option<(Published, Published)>,
}

fn local() -> &'static Environment {
    static LOCAL: LazyLock<Environment> = LazyLock::new(|| {
        let config = Config::parse(include_str!("../../../../releng.toml")).expect("our own file");
        config.environment("local").expect("it is there").clone()
    });
    &LOCAL
}

fn subject(version: &Version) -> Subject {
    static PRODUCT: LazyLock<Arc<Product>> = LazyLock::new(|| Product::built_in().into());
    let release = Release::new(&PRODUCT, version.clone(), "Name").expect("releasable");
    Subject::Official(Box::new(release))
}

/// A digest that differs between versions.
fn digest(version: &Version) -> Digest {
    let mut bytes = [0; 32];
    for (byte, letter) in bytes.iter_mut().zip(version.to_string().bytes()) {
        *byte = letter;
    }
    Digest::new(bytes)
}

fn object(version: &Version) -> Object {
    Object { path: "index.html".to_owned(), size: 1, sha256: digest(version) }
}

/// A directory that has this version's file, another's, or none.
fn tree(version: &Version, there: Option<&Version>) -> Tree {
    match there {
        None => Tree { new: vec![object(version)], ..Tree::default() },
        Some(there) if there == version => Tree { same: 1, ..Tree::default() },
        Some(there) => {
            let changed = Changed { ours: object(version), theirs: digest(there).to_string() };
            Tree { changed: vec![changed], ..Tree::default() }
        }
    }
}

impl World {
    fn has(&self, version: &Version, part: Part) -> bool {
        self.parts.get(version).is_some_and(|parts| parts.contains(&part))
    }

    /// Whether a version has everything that its users need.
    pub fn is_whole(&self, version: &Version) -> bool {
        let needed = if self.of_old_tool.contains(version) { &[Part::Files][..] } else { &DIRECTORY };
        needed.iter().chain(&[Part::Cache, Part::Images]).all(|part| self.has(version, *part))
    }

    /// What is published, read as `site::published` reads it.
    pub(super) fn published(&self) -> Published {
        let live = self.pointers.get(&Pointer::RootManifest);
        let mut published = Published { withdrawn: self.withdrawn.clone(), ..Published::default() };
        for version in self.parts.keys().filter(|version| DIRECTORY.iter().any(|part| self.has(version, *part))) {
            let old =
                !self.has(version, Part::Sums) && !self.has(version, Part::Record) && self.has(version, Part::Files);
            let finished = self.receipts.contains(version) || live == Some(version) || old;
            let kind = if finished { &mut published.versions } else { &mut published.begun };
            kind.insert(version.clone());
        }
        published
    }

    /// The pointer of an act, if it moves one.
    fn pointer(act: &Act) -> Option<Pointer> {
        match act {
            Act::RootManifest => Some(Pointer::RootManifest),
            Act::Docs { docs: Docs::Stable, .. } => Some(Pointer::DocsStable),
            Act::Docs { docs: Docs::Series(series), .. } => Some(Pointer::SeriesDocs(*series)),
            Act::ImageTag { tag: ImageTag::Latest, .. } => Some(Pointer::Latest),
            Act::ImageTag { tag: ImageTag::Series(series), .. } => Some(Pointer::SeriesTag(*series)),
            Act::InstallerPointers => Some(Pointer::Installer),
            _ => None,
        }
    }

    /// The parts that an act writes.
    fn parts_of(act: &Act) -> Vec<Part> {
        match act {
            Act::VersionDirectory => DIRECTORY.to_vec(),
            Act::Cache => vec![Part::Cache],
            Act::Images { .. } => vec![Part::Images],
            Act::ImageTag { tag: ImageTag::Version, .. } => vec![Part::VersionTag],
            Act::Branch => vec![Part::Branch],
            Act::Tag => vec![Part::GitTag],
            Act::Installers => vec![Part::Installers],
            _ => Vec::new(),
        }
    }

    fn look(&self, act: &Act, version: &Version) -> Seen {
        let there = Self::pointer(act).and_then(|pointer| self.pointers.get(&pointer));
        match act {
            Act::Receipt => {
                let receipt = Receipt {
                    format: Format,
                    environment: "local".to_owned(),
                    version: version.to_string(),
                    record: digest(version),
                    published: time::OffsetDateTime::UNIX_EPOCH,
                    skipped: None,
                    checked: None,
                    missing: Vec::new(),
                };
                let has = self.receipts.contains(version);
                let there = if has { StoredReceipt::Is(receipt) } else { StoredReceipt::Missing };
                let (record, gate, left_out) = (digest(version), Gate::Open, Vec::new());
                Seen::Receipt(Box::new(receipt::Seen { record, there, gate, proof: Proof::default(), left_out }))
            }
            Act::Withdraw { to } => Seen::Withdrawn(withdrawn::Seen {
                there: self.withdrawn.clone(),
                unclear: None,
                ours: withdrawn_by_rollback(to, &self.published()),
            }),
            Act::ImageTag { tag: ImageTag::Latest | ImageTag::Series(_), .. } => {
                Seen::ImageTag { ours: digest(version), there: there.map(digest) }
            }
            Act::ImageTag { tag: ImageTag::Version, .. } => {
                let there = self.has(version, Part::VersionTag).then(|| digest(version));
                Seen::ImageTag { ours: digest(version), there }
            }
            Act::Images { .. } => {
                let missing = if self.has(version, Part::Images) { Vec::new() } else { vec!["the index".to_owned()] };
                Seen::Images(Pushed { index: digest(version), bytes: 1, parts: 1, missing })
            }
            Act::InstallerPointers if !self.has(version, Part::Installers) => {
                Seen::Nothing { why: "it has no installers".to_owned() }
            }
            Act::InstallerPointers => Seen::InstallerPointers { tree: tree(version, there), only_there: Vec::new() },
            _ if Self::pointer(act).is_some() => Seen::Tree(tree(version, there)),
            // The old tool's files of the same name are others.
            Act::VersionDirectory if self.of_old_tool.contains(version) => {
                let changed = Changed { ours: object(version), theirs: "0".repeat(32) };
                Seen::Tree(Tree { changed: vec![changed], ..Tree::default() })
            }
            _ => {
                let parts = Self::parts_of(act);
                let (there, missing): (Vec<Part>, Vec<Part>) =
                    parts.into_iter().partition(|part| self.has(version, *part));
                let new = missing.iter().map(|part| Object { path: format!("{part:?}"), ..object(version) }).collect();
                Seen::Tree(Tree { new, same: there.len(), ..Tree::default() })
            }
        }
    }

    pub(super) fn writes(&self, act: &Act, version: &Version, published: &Published) -> Vec<Write> {
        if let Some(pointer) = Self::pointer(act) {
            return vec![Write::Move(pointer, version.clone())];
        }
        match act {
            Act::Receipt => vec![Write::Receipt(version.clone())],
            Act::Withdraw { .. } => vec![Write::Withdraw(published.withdrawn.clone())],
            _ => {
                let missing = Self::parts_of(act).into_iter().filter(|part| !self.has(version, *part));
                missing.map(|part| Write::Part(version.clone(), part)).collect()
            }
        }
    }

    pub(super) fn write(&mut self, write: &Write) {
        match write {
            Write::Part(version, part) => drop(self.parts.entry(version.clone()).or_default().insert(*part)),
            Write::Move(pointer, version) => drop(self.pointers.insert(*pointer, version.clone())),
            Write::Withdraw(versions) => self.withdrawn.clone_from(versions),
            Write::Receipt(version) => drop(self.receipts.insert(version.clone())),
        }
    }

    pub(super) fn judge(&self, act: &Act, version: &Version, published: &Published) -> Planned {
        // A maintenance branch may have lost pages; a rollback does not ask.
        judge(act, &subject(version), &self.look(act, version), published, &Waivers::default())
    }

    /// Plans releases together; `None` if the plan is refused.
    pub fn plan(&self, versions: &[Version]) -> Option<Plan> {
        let arriving: BTreeSet<Version> = versions.iter().cloned().collect();
        let published = Published { arriving, ..self.published() };
        let mut planned = Vec::new();
        let mut owned = BTreeSet::new();
        for version in versions {
            let subject = subject(version);
            for act in acts(Some(version.series()), Extent::All, local()).expect("official") {
                // Two releases of one train must not write to the same target.
                if act.rule() == Rule::Movable && act.follows().is_none() && !owned.insert(act.title(&subject)) {
                    return None;
                }
                planned.push((version.clone(), self.judge(&act, version, &published)));
            }
        }
        agreed(Plan { acts: planned, beside: None })
    }

    pub fn publish(&mut self, versions: &[Version], killed: Option<u8>) -> Ended {
        match self.plan(versions) {
            Some(plan) => self.carry_out(&plan, killed),
            None => Ended::Refused,
        }
    }

    pub fn installer(&mut self, version: &Version, killed: Option<u8>) -> Ended {
        if !self.receipts.contains(version) {
            return Ended::Refused;
        }
        let published = Published { arriving: [version.clone()].into(), ..self.published() };
        // They are there for its plan.
        let mut with_them = self.clone();
        with_them.parts.entry(version.clone()).or_default().insert(Part::Installers);
        let acts = INSTALLER_ACTS.iter().map(|act| {
            let world = if *act == Act::Installers { &*self } else { &with_them };
            (version.clone(), world.judge(act, version, &published))
        });
        match agreed(Plan { acts: acts.collect(), beside: None }) {
            Some(plan) => self.carry_out(&plan, killed),
            None => Ended::Refused,
        }
    }

    pub fn rollback(&mut self, to: &Version, killed: Option<u8>) -> Ended {
        let now = self.published();
        if now.begun.contains(to) || !now.versions.contains(to) || to.is_pre_release() || !self.is_whole(to) {
            return Ended::Refused;
        }
        let after = Published { withdrawn: withdrawn_by_rollback(to, &now), begun: BTreeSet::new(), ..now.clone() };
        let targets = local().images.targets.clone();
        let latest = targets.into_iter().map(|target| Act::ImageTag { target, tag: ImageTag::Latest });
        let stable = Act::Docs { docs: Docs::Stable, deletes: false };
        let acts = [Act::Withdraw { to: to.clone() }, Act::RootManifest, stable, Act::InstallerPointers];
        let acts = acts.into_iter().chain(latest).map(|act| (to.clone(), self.judge(&act, to, &after)));
        match agreed(Plan { acts: acts.collect(), beside: Some((now, after)) }) {
            Some(plan) => self.carry_out(&plan, killed),
            None => Ended::Refused,
        }
    }

    /// Publishes as the old tool did: its contents, and then every pointer, whatever is published.
    pub fn old_tool(&mut self, version: &Version, killed: Option<u8>) {
        if self.parts.contains_key(version) {
            return;
        }
        let part = |part| Write::Part(version.clone(), part);
        let to = |pointer| Write::Move(pointer, version.clone());
        let series = version.series();
        self.of_old_tool.insert(version.clone());
        let writes = [
            part(Part::Cache),
            part(Part::Images),
            part(Part::VersionTag),
            part(Part::Files),
            to(Pointer::RootManifest),
            to(Pointer::SeriesDocs(series)),
            to(Pointer::DocsStable),
            to(Pointer::SeriesTag(series)),
            to(Pointer::Latest),
        ];
        for write in writes.iter().take(killed.map_or(usize::MAX, usize::from)) {
            self.write(write);
        }
        if !self.has(version, Part::Files) {
            // Nothing tells whose the parts in the cache and the registries are, and nothing has to.
            self.of_old_tool.remove(version);
        }
    }
}

/// A plan with a refusal is not carried out.
fn agreed(plan: Plan) -> Option<Plan> {
    let refused = plan.acts.iter().any(|(_, planned)| matches!(planned.status, Status::Refused(_)));
    (!refused).then_some(plan)
}
