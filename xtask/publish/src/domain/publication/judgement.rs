//! The policy of publication: what to do about an act, given what was seen of its target.
//!
//! Content decides whether an act is done. A change to something that is published once is refused. Pointers move by
//! the rule in [`crate::domain::publication::pointers`]. Looking is left to `acts`: what was seen comes in as a value.

use std::borrow::Cow;
use std::sync::Arc;

use xtask::domain::amounts::bytes_for_people;
use xtask::domain::build::manifest::Manifest;
use xtask::domain::digest::Digest;
use xtask::domain::layout::Layout;
use xtask::domain::oid::Oid;
use xtask::domain::product::Product;
use xtask::domain::release::Release;
use xtask::domain::release::tagging::{Relation, Tag, TagRecord};
use xtask::domain::system::System;
use xtask::domain::version::Version;

use crate::domain::live_manifest::Live;
use crate::domain::publication::acts::{Act, Rule, Subject};
use crate::domain::publication::image_tag::Pushed;
use crate::domain::publication::plan::{Judgement, Planned, Status};
use crate::domain::publication::pointers::{self, Follows, Published, Verdict};
use crate::domain::publication::{receipt, signature, withdrawn};

mod cache;
mod git;
mod images;
mod manifest;

pub use cache::Paths;
pub use git::Review;

/// What was seen of an act's target, next to what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A directory in a bucket.
    Tree(Tree),
    /// The signature of the sums, and the page beside it.
    Signature(signature::Seen),
    /// The binary cache.
    Cache(Arc<Paths>),
    /// The root manifest: ours, and the live one.
    Manifest { ours: Manifest, live: Option<Live> },
    /// A branch on the remote.
    Branch { ours: Oid, remote: Option<Oid>, relation: Relation },
    /// A tag: our tag object, what the remote has, and why the tag has to wait, if it does.
    Tag { ours: Oid, remote: Option<Tag>, ready: Result<(), String> },
    /// The release's commits in Gerrit.
    Review { review: Review, branch: String, tag: Box<TagRecord> },
    /// Images by digest.
    Images(Pushed),
    /// A tag of images: digests of our index and of the one that it points to.
    ImageTag { ours: Digest, there: Option<Digest> },
    /// The installers at the top of the bucket, and the systems for which only the bucket has one.
    InstallerPointers { tree: Tree, only_there: Vec<System> },
    /// The release has nothing for this pointer, so the pointer stays.
    Nothing { why: String },
    /// The receipt, and the one that is required.
    Receipt(Box<receipt::Seen>),
    /// The list of withdrawn versions.
    Withdrawn(withdrawn::Seen),
    /// An object's content as `seen`, with wrong headers.
    Misserved { seen: Box<Seen>, faults: Vec<String> },
}

impl Seen {
    /// Adds what is wrong with the object's headers.
    pub fn served(self, faults: Vec<String>) -> Seen {
        if faults.is_empty() { self } else { Seen::Misserved { seen: Box::new(self), faults } }
    }

    /// Splits off the faults of headers, as if all headers were right. A server may insist on its own headers, so they
    /// must not be repaired for ever.
    pub fn with_headers_overlooked(&self) -> (Cow<'_, Seen>, Vec<String>) {
        match self {
            Seen::Misserved { seen, faults } => (Cow::Borrowed(seen), faults.clone()),
            Seen::Cache(paths) if paths.is_misserved() => {
                let (paths, faults) = paths.with_headers_overlooked();
                (Cow::Owned(Seen::Cache(Arc::new(paths))), faults)
            }
            Seen::Tree(tree) if !tree.misserved.is_empty() => {
                let (tree, faults) = tree.with_headers_overlooked();
                (Cow::Owned(Seen::Tree(tree)), faults)
            }
            Seen::InstallerPointers { tree, only_there } if !tree.misserved.is_empty() => {
                let (tree, faults) = tree.with_headers_overlooked();
                (Cow::Owned(Seen::InstallerPointers { tree, only_there: only_there.clone() }), faults)
            }
            seen => (Cow::Borrowed(seen), Vec::new()),
        }
    }
}

/// A directory in a bucket, compared with ours by content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Files that the bucket does not have.
    pub new: Vec<Object>,
    /// Files whose content in the bucket differs.
    pub changed: Vec<Changed>,
    /// Files with the right content and the wrong headers.
    pub misserved: Vec<Misserved>,
    /// Number of files that are the same.
    pub same: usize,
    /// Paths that only the bucket has.
    pub gone: Vec<String>,
}

/// A file of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Path below the directory.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    pub sha256: Digest,
}

/// A file of ours whose content in the bucket differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    pub ours: Object,
    /// Digest of the bucket's content: SHA-256 if we stored it, otherwise whatever the server reports.
    pub theirs: String,
}

/// A file of ours that is published with the wrong headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misserved {
    pub ours: Object,
    /// Description of each wrong header.
    pub faults: Vec<String>,
}

impl Tree {
    fn with_headers_overlooked(&self) -> (Tree, Vec<String>) {
        let same = self.same + self.misserved.len();
        let of = |one: &Misserved| format!("{}: {}", one.ours.path, one.faults.join(", "));
        let faults = self.misserved.iter().map(of).collect();
        (Tree { misserved: Vec::new(), same, ..self.clone() }, faults)
    }
}

/// What the manager has agreed to in advance, by options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waivers {
    /// A tree may lose most of its pages.
    pub shrink: bool,
    /// Systems that may disappear from pointers.
    pub drop_systems: Vec<System>,
    /// A different tag on the remote may be replaced.
    pub force_push_tag: bool,
    /// An unreadable root manifest may be replaced: a rollback must work whatever was published.
    pub unreadable_manifest: bool,
}

/// Number of files that a refusal names.
const NAMED: usize = 5;
/// A tree with fewer than one in so many of the live pages is suspiciously small.
const SMALL: usize = 2;

/// Judges an act, given what was seen of its target.
pub fn judge(act: &Act, subject: &Subject, seen: &Seen, published: &Published, waivers: &Waivers) -> Planned {
    let mut judged = judge_seen(act, subject, seen, waivers);
    if let (Some(follows), Subject::Official(release)) = (act.follows(), subject) {
        match (pointers::judge(follows, release.version(), published), &published.unclear) {
            // The list may have been damaged in order to move this pointer, or to keep it where it is.
            (Verdict::Moves(_), Some(why)) if judged.is_to_do() => judged = Judgement::refused(vec![why.clone()]),
            (Verdict::Stays(_), Some(why)) if is_withdrawn(follows, release.version(), published) => {
                judged = Judgement::refused(vec![why.clone()]);
            }
            (verdict, _) => judged = follow(verdict, follows, release, published, judged),
        }
    }
    Planned::new(act, subject, judged)
}

/// Judges a pointer, given how it was judged as an object.
fn follow(
    verdict: Verdict,
    follows: Follows,
    release: &Release,
    published: &Published,
    mut judged: Judgement,
) -> Judgement {
    match verdict {
        Verdict::Moves(why) if judged.is_to_do() => judged.summary += &format!(": {why}"),
        Verdict::Moves(_) => {}
        // A rollback withdrew this version and stopped before it moved this pointer.
        Verdict::Stays(_) if judged.status == Status::Same && is_withdrawn(follows, release.version(), published) => {
            judged.status = Status::Waiting(half_rolled_back(release.version(), published));
        }
        Verdict::Stays(why) => judged = Judgement::stays(why),
        Verdict::Waits(begun) if judged.is_to_do() => {
            let why = unfinished(&begun, release.product());
            judged = Judgement::new(Status::Waiting(why), "", Vec::new());
        }
        Verdict::Waits(_) => {}
    }
    judged
}

fn unfinished(begun: &Version, product: &Product) -> String {
    format!(
        "the upload of {begun}, which is newer, was begun here and is not finished: finish it, or remove what it left in {}/",
        Layout::new(product, begun).version_directory()
    )
}

/// Whether a rollback has moved a pointer away from this version, or should have.
fn is_withdrawn(follows: Follows, version: &Version, published: &Published) -> bool {
    follows == Follows::NewestStable && published.withdrawn.contains(version)
}

fn half_rolled_back(version: &Version, published: &Published) -> String {
    let complete = pointers::target(Follows::NewestStable, published)
        .map(|to| format!("`rollback --to {to}` completes it, and "))
        .unwrap_or_default();
    format!(
        "a rollback withdrew {version} and did not finish, so this still leads to it: {complete}\
         `rollback --to {version}` undoes it"
    )
}

fn judge_seen(act: &Act, subject: &Subject, seen: &Seen, waivers: &Waivers) -> Judgement {
    match seen {
        Seen::Tree(tree) => judge_tree(act, tree, waivers),
        Seen::Signature(seen) => signature::judge(seen),
        Seen::Cache(seen) => cache::judge(seen),
        Seen::Manifest { ours, live } => manifest::judge(subject.product(), ours, live.as_ref(), waivers),
        Seen::Branch { ours, remote, relation } => git::judge_branch(ours, remote.as_ref(), *relation),
        Seen::Tag { ours, remote, ready } => git::judge_tag(ours, remote.as_ref(), ready, waivers),
        Seen::Review { review, branch, tag } => git::judge_review(review, branch, tag),
        Seen::Images(pushed) => images::judge_pushed(pushed),
        Seen::ImageTag { ours, there } => images::judge_tag(act.rule(), *ours, *there),
        Seen::InstallerPointers { tree, only_there } => judge_installer_pointers(act, tree, only_there, waivers),
        Seen::Nothing { why } => Judgement::stays(why.clone()),
        Seen::Receipt(seen) => receipt::judge(seen),
        Seen::Withdrawn(seen) => withdrawn::judge(seen),
        Seen::Misserved { seen, faults } => match judge_seen(act, subject, seen, waivers) {
            Judgement { status: Status::Same, .. } => {
                let change = format!("repair its headers: {}", faults.join(", "));
                Judgement::different("repair its headers", vec![change])
            }
            judgement => judgement,
        },
    }
}

fn judge_tree(act: &Act, tree: &Tree, waivers: &Waivers) -> Judgement {
    let movable = act.rule() == Rule::Movable;
    let count = |verb: &str, n: usize| (n > 0).then(|| format!("{verb} {n}"));
    let misserved = || tree.misserved.iter().map(|one| &one.ours);
    let sent = tree.new.iter().chain(tree.changed.iter().map(|changed| &changed.ours)).chain(misserved());
    let bytes: u64 = sent.map(|object| object.size).sum();
    let parts = [
        count("add", tree.new.len()),
        count("replace", tree.changed.len()),
        count("repair the headers of", tree.misserved.len()),
        count("same", tree.same),
        count(if movable { "delete" } else { "not ours" }, tree.gone.len()),
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
    let verb = if movable { "delete" } else { "keep" };
    let gone = tree.gone.iter().map(|path| format!("{verb} {path}"));
    let changes: Vec<String> = add.chain(replace).chain(repair).chain(gone).collect();

    let both = tree.changed.len() + tree.misserved.len() + tree.same;
    let (ours, live) = (tree.new.len() + both, both + tree.gone.len());
    let status = if !movable && !tree.changed.is_empty() {
        Status::Refused(conflicts(&tree.changed))
    } else if movable && ours == 0 {
        Status::Refused(vec![
            "ours is empty, and publishing it would delete every file there: build it again".to_owned(),
        ])
    } else if movable && ours * SMALL < live && !waivers.shrink {
        Status::Refused(vec![format!(
            "ours has {ours} files, and {live} are live: if that is right, add `--allow-shrink`"
        )])
    } else if [tree.new.len(), tree.changed.len(), tree.misserved.len()] == [0; 3] && (!movable || tree.gone.is_empty())
    {
        Status::Same
    } else if live == 0 {
        Status::Absent
    } else {
        Status::Different
    };
    Judgement::new(status, summary, changes)
}

/// Lists a reason for each of the first files.
fn conflicts(changed: &[Changed]) -> Vec<String> {
    let one = |Changed { ours, theirs }: &Changed| {
        format!(
            "{} is published with different content and must never change: published {theirs}, ours {}",
            ours.path, ours.sha256
        )
    };
    let more = changed.len().saturating_sub(NAMED);
    let rest = (more > 0).then(|| format!("the same is true of {more} more (`--verbose` lists them)"));
    changed.iter().take(NAMED).map(one).chain(rest).collect()
}

/// Lists a refusal for each lost system that the manager has not agreed to drop.
fn unexpected<'a>(
    lost: impl Iterator<Item = &'a System>,
    waivers: &Waivers,
    say: impl Fn(&System) -> String,
) -> Vec<String> {
    lost.filter(|system| !waivers.drop_systems.contains(system)).map(say).collect()
}

/// Nothing is deleted: a dropped system keeps its last installer.
fn judge_installer_pointers(act: &Act, tree: &Tree, only_there: &[System], waivers: &Waivers) -> Judgement {
    let unexpected = unexpected(only_there.iter(), waivers, |system| {
        format!(
            "{system} has an installer, but gets no new one: if that is right, add `--drop-system {system}`; \
             the old one stays"
        )
    });
    match judge_tree(act, tree, waivers) {
        judged if judged.is_to_do() && !unexpected.is_empty() => Judgement::refused(unexpected),
        judged => judged,
    }
}
