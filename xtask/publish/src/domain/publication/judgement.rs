//! What was seen of an act's target, and what that means: the policy of publication.
//!
//! Content decides whether something is done; what may never change is refused when it would; what users follow moves
//! by the rule of [`crate::domain::publication::pointers`]. Refuses to look at anything itself: what was seen comes in as a value.

use xtask::domain::amounts::bytes_for_people;
use xtask::domain::build::manifest::Manifest;
use xtask::domain::digest::Digest;
use xtask::domain::oid::Oid;
use xtask::domain::release::tagging::{Relation, Tag, TagRecord};
use xtask::domain::system::System;

use crate::domain::cache::faults;
use crate::domain::publication::acts::{Act, Official, Rule, Subject};
use crate::domain::publication::image_tag::Pushed;
use crate::domain::publication::live_manifest::Live;
use crate::domain::publication::plan::{Judgement, Planned, Status};
use crate::domain::publication::pointers::{self, Follows, Published, Verdict};
use crate::domain::publication::{receipt, withdrawn};

mod git;
mod images;
mod manifest;

pub use git::Review;

/// What was seen of an act's target, and of our side of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Of a directory in a bucket.
    Tree(Tree),
    /// Of the binary cache.
    Cache(faults::Seen),
    /// Of the root manifest: ours, and what lies there.
    Manifest { ours: Manifest, live: Option<Live> },
    /// Of a branch.
    Branch { ours: Oid, remote: Option<Oid>, relation: Relation },
    /// Of a tag: our tag object, and what the remote has.
    Tag { ours: Oid, remote: Option<Tag>, ready: Result<(), String> },
    /// Of a change in Gerrit.
    Review { review: Review, branch: String, tag: Box<TagRecord> },
    /// Of images by digest.
    Images(Pushed),
    /// Of a tag of images: the digests of the indexes.
    ImageTag { ours: Digest, there: Option<Digest> },
    /// Of the installers at the top of the bucket; and the systems that only the bucket has one for.
    InstallerPointers { tree: Tree, only_there: Vec<System> },
    /// Of what users would be rolled back to, and what is not there: it cannot be moved.
    Nothing { why: String },
    /// Of the receipts that matter.
    Receipt(Box<receipt::Seen>),
    /// Of the list of withdrawn versions.
    Withdrawn(withdrawn::Seen),
    /// Of one object: its content, and what is wrong with its headers.
    Misserved { seen: Box<Seen>, faults: Vec<String> },
}

impl Seen {
    /// The same, with the headers of an object.
    pub fn served(self, faults: Vec<String>) -> Seen {
        if faults.is_empty() { self } else { Seen::Misserved { seen: Box::new(self), faults } }
    }

    /// The same as if all headers were right, and which are not: a server may have a mind of its own about them.
    pub fn with_headers_overlooked(self) -> (Seen, Vec<String>) {
        match self {
            Seen::Misserved { seen, faults } => (*seen, faults),
            Seen::Tree(tree) => {
                let (tree, faults) = tree.with_headers_overlooked();
                (Seen::Tree(tree), faults)
            }
            Seen::InstallerPointers { tree, only_there } => {
                let (tree, faults) = tree.with_headers_overlooked();
                (Seen::InstallerPointers { tree, only_there }, faults)
            }
            seen => (seen, Vec::new()),
        }
    }
}

/// A directory in a bucket, compared with ours by content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Only ours.
    pub new: Vec<Object>,
    /// Of another content there.
    pub changed: Vec<Changed>,
    /// Of the same content there, and served with other headers.
    pub misserved: Vec<Misserved>,
    /// Alike.
    pub same: usize,
    /// Keys that only the bucket has.
    pub gone: Vec<String>,
}

/// A file of ours, by its path in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub path: String,
    /// Bytes.
    pub size: u64,
    pub sha256: Digest,
}

/// A file of ours of which the bucket has another content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    pub ours: Object,
    /// The digest that the bucket knows: SHA-256 if we stored it, else whatever the server tells.
    pub theirs: String,
}

/// A file of ours that is published, and not served as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misserved {
    pub ours: Object,
    /// Which headers are others.
    pub faults: Vec<String>,
}

impl Tree {
    fn with_headers_overlooked(self) -> (Tree, Vec<String>) {
        let same = self.same + self.misserved.len();
        let of = |one: Misserved| format!("{}: {}", one.ours.path, one.faults.join(", "));
        let faults = self.misserved.into_iter().map(of).collect();
        (Tree { misserved: Vec::new(), same, ..self }, faults)
    }
}

/// What the manager has agreed to beforehand, by options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waivers {
    /// Trees that lose most of their pages.
    pub shrink: bool,
    /// Systems that may vanish from what users follow.
    pub drop_systems: Vec<System>,
    /// A tag that is replaced on the remote.
    pub force_push_tag: bool,
    /// A root manifest that cannot be read, and is replaced: a rollback is the way out of whatever was published.
    pub unreadable_manifest: bool,
}

/// Files that a refusal names.
const NAMED: usize = 5;
/// A share of the live pages below which a tree is suspiciously small.
const SMALL: usize = 2;

/// Judges an act by what was seen.
pub fn judge(act: &Act, subject: &Subject, seen: &Seen, published: &Published, waivers: &Waivers) -> Planned {
    let mut judged = judge_seen(act, seen, waivers);
    if let (Some(follows), Subject::Official(official)) = (act.follows(), subject) {
        match pointers::judge(follows, official.release.version(), published) {
            Verdict::Moves(why) if judged.is_to_do() => judged.summary += &format!(": {why}"),
            Verdict::Moves(_) => {}
            // A pointer that was moved before its rollback stopped.
            Verdict::Stays(_) if judged.status == Status::Same && leads_to_withdrawn(follows, official, published) => {
                judged.status = Status::Waiting(half_rolled_back(official, published));
            }
            Verdict::Stays(why) => judged = Judgement::stays(why),
            Verdict::Waits(why) if judged.is_to_do() => {
                judged = Judgement::new(Status::Waiting(why), "", Vec::new());
            }
            Verdict::Waits(_) => {}
        }
    }
    Planned::new(act, subject, judged)
}

/// Whether a pointer that leads to this version should have been moved away by a rollback.
fn leads_to_withdrawn(follows: Follows, official: &Official, published: &Published) -> bool {
    follows == Follows::NewestStable && published.withdrawn.contains(official.release.version())
}

fn half_rolled_back(official: &Official, published: &Published) -> String {
    let version = official.release.version();
    let complete = pointers::target(Follows::NewestStable, published)
        .map(|to| format!("`rollback --to {to}` completes it, "))
        .unwrap_or_default();
    format!(
        "a rollback withdrew {version} and was not finished, so this still leads to it: {complete}`rollback --to {version}` \
         undoes it"
    )
}

fn judge_seen(act: &Act, seen: &Seen, waivers: &Waivers) -> Judgement {
    match seen {
        Seen::Tree(tree) => judge_tree(act, tree, waivers),
        Seen::Cache(seen) => faults::judge(seen),
        Seen::Manifest { ours, live } => manifest::judge(ours, live.as_ref(), waivers),
        Seen::Branch { ours, remote, relation } => git::judge_branch(ours, remote.as_ref(), *relation),
        Seen::Tag { ours, remote, ready } => git::judge_tag(ours, remote.as_ref(), ready, waivers),
        Seen::Review { review, branch, tag } => git::judge_review(review, branch, tag),
        Seen::Images(pushed) => images::judge_pushed(pushed),
        Seen::ImageTag { ours, there } => images::judge_tag(act.rule(), *ours, *there),
        Seen::InstallerPointers { tree, only_there } => judge_installer_pointers(act, tree, only_there, waivers),
        Seen::Nothing { why } => Judgement::stays(why.clone()),
        Seen::Receipt(seen) => receipt::judge(seen),
        Seen::Withdrawn(seen) => withdrawn::judge(seen),
        Seen::Misserved { seen, faults } => match judge_seen(act, seen, waivers) {
            Judgement { status: Status::Same, .. } => {
                let change = format!("repair its headers: {}", faults.join(", "));
                Judgement::different("repair its headers", vec![change])
            }
            judgement => judgement,
        },
    }
}

fn judge_tree(act: &Act, tree: &Tree, waivers: &Waivers) -> Judgement {
    let deletes = act.rule() == Rule::Movable;
    let count = |verb: &str, n: usize| (n > 0).then(|| format!("{verb} {n}"));
    let misserved = || tree.misserved.iter().map(|one| &one.ours);
    let sent = tree.new.iter().chain(tree.changed.iter().map(|changed| &changed.ours)).chain(misserved());
    let bytes: u64 = sent.map(|object| object.size).sum();
    let parts = [
        count("add", tree.new.len()),
        count("replace", tree.changed.len()),
        count("repair the headers of", tree.misserved.len()),
        count("same", tree.same),
        count(if deletes { "delete" } else { "not ours" }, tree.gone.len()),
        (bytes > 0).then(|| format!("({})", bytes_for_people(bytes))),
    ];
    let summary = parts.into_iter().flatten().collect::<Vec<_>>().join(", ").replace(", (", " (");

    let add = tree.new.iter().map(|o| format!("add {} {} {}", o.path, o.size, o.sha256));
    let replace = tree
        .changed
        .iter()
        .map(|c| format!("replace {} {} {} -> {}", c.ours.path, c.ours.size, c.theirs, c.ours.sha256));
    let repair = tree.misserved.iter().map(|Misserved { ours, faults }| {
        format!("repair the headers of {} {} {}: {}", ours.path, ours.size, ours.sha256, faults.join(", "))
    });
    let verb = if deletes { "delete" } else { "keep" };
    let gone = tree.gone.iter().map(|path| format!("{verb} {path}"));
    let changes: Vec<String> = add.chain(replace).chain(repair).chain(gone).collect();

    let both = tree.changed.len() + tree.misserved.len() + tree.same;
    let (ours, live) = (tree.new.len() + both, both + tree.gone.len());
    let status = if !deletes && !tree.changed.is_empty() {
        Status::Refused(conflicts(&tree.changed))
    } else if deletes && ours == 0 {
        Status::Refused(vec!["ours is empty: an empty directory never empties a bucket, build it again".to_owned()])
    } else if deletes && ours * SMALL < live && !waivers.shrink {
        Status::Refused(vec![format!(
            "ours has {ours} files and {live} are live: if that is right, say `--allow-shrink`"
        )])
    } else if [tree.new.len(), tree.changed.len(), tree.misserved.len()] == [0; 3] && (!deletes || tree.gone.is_empty())
    {
        Status::Same
    } else if live == 0 {
        Status::Absent
    } else {
        Status::Different
    };
    Judgement::new(status, summary, changes)
}

/// A reason for each file, as far as somebody would read them.
fn conflicts(changed: &[Changed]) -> Vec<String> {
    let one = |Changed { ours, theirs }: &Changed| {
        format!(
            "{} is published with another content and may never change: published {theirs}, ours {}",
            ours.path, ours.sha256
        )
    };
    let more = changed.len().saturating_sub(NAMED);
    let rest = (more > 0).then(|| format!("and so are {more} more (`--verbose` lists them)"));
    changed.iter().take(NAMED).map(one).chain(rest).collect()
}

/// What is to be said of systems that get lost, of which the manager has said nothing.
fn unexpected<'a>(
    lost: impl Iterator<Item = &'a System>,
    waivers: &Waivers,
    say: impl Fn(&System) -> String,
) -> Vec<String> {
    lost.filter(|system| !waivers.drop_systems.contains(system)).map(say).collect()
}

/// Nothing is deleted: a system that is dropped keeps its last installer.
fn judge_installer_pointers(act: &Act, tree: &Tree, only_there: &[System], waivers: &Waivers) -> Judgement {
    let unexpected = unexpected(only_there.iter(), waivers, |system| {
        format!(
            "{system} has an installer, and gets no new one: if that is right, say `--drop-system {system}`; the old one stays"
        )
    });
    match judge_tree(act, tree, waivers) {
        judged if judged.is_to_do() && !unexpected.is_empty() => Judgement::refused(unexpected),
        judged => judged,
    }
}
