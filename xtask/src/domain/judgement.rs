//! What was seen of an act's target, and what that means: the policy of publication.
//!
//! Content decides whether something is done; what may never change is refused when it would; what users follow moves
//! by the rule of [`super::pointers`]. Refuses to look at anything itself: what was seen comes in as a value.

use super::cache;
use super::digest::Digest;
use super::image_target::Pushed;
use super::manifest::{Live, Manifest};
use super::oid::Oid;
use super::plan::{Planned, Status, bytes_for_people};
use super::pointers::{self, Follows, Published, Verdict};
use super::publication::{Act, Official, Rule, Subject};
use super::receipt;
use super::system::System;

mod images;
mod manifest;

/// What was seen of an act's target, and of our side of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Of a directory in a bucket.
    Tree(Tree),
    /// Of the binary cache.
    Cache(cache::Seen),
    /// Of the root manifest: ours, and what lies there.
    Manifest { ours: Manifest, live: Option<Live> },
    /// Of a branch.
    Branch { ours: Oid, remote: Option<Oid>, relation: Relation },
    /// Of a tag: the tag objects.
    Tag { ours: Oid, remote: Option<Oid>, ready: Result<(), String> },
    /// Of a change in Gerrit.
    Review(Review),
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
}

/// A directory in a bucket, compared with ours by content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Only ours.
    pub new: Vec<Object>,
    /// Of another content there.
    pub changed: Vec<Changed>,
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

/// How a remote branch relates to ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It is behind: ours contains it. Also where there is none yet.
    Behind,
    /// It contains ours.
    Contains,
    Diverged,
}

/// A release's commits in Gerrit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Review {
    /// Nobody has pushed them.
    Unknown,
    /// They wait for a person.
    Open,
    /// The branch contains the tagged commit.
    Submitted,
    /// The branch contains this commit instead, which has the tagged commit's tree.
    Rewritten(Oid),
}

/// What the manager has agreed to beforehand, by options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consent {
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
pub fn judge(act: &Act, subject: &Subject, seen: &Seen, published: &Published, consent: &Consent) -> Planned {
    let (mut status, mut summary, mut changes) = match seen {
        Seen::Tree(tree) => judge_tree(act, tree, consent),
        Seen::Cache(seen) => cache::judge(seen),
        Seen::Manifest { ours, live } => manifest::judge(ours, live.as_ref(), consent),
        Seen::Branch { ours, remote, relation } => judge_branch(ours, remote.as_ref(), *relation),
        Seen::Tag { ours, remote, ready } => judge_tag(ours, remote.as_ref(), ready, consent),
        Seen::Review(review) => judge_review(review, subject),
        Seen::Images(pushed) => images::judge_pushed(pushed),
        Seen::ImageTag { ours, there } => images::judge_tag(act.rule(), *ours, *there),
        Seen::InstallerPointers { tree, only_there } => judge_installer_pointers(act, tree, only_there, consent),
        Seen::Nothing { why } => (Status::Stays(why.clone()), String::new(), Vec::new()),
        Seen::Receipt(seen) => receipt::judge(seen),
    };
    if let (Some(follows), Subject::Official(official)) = (act.follows(), subject) {
        match pointers::judge(follows, official.release.version(), published) {
            Verdict::Moves(why) if matches!(status, Status::Absent | Status::Different) => {
                summary = format!("{summary}: {why}")
            }
            Verdict::Moves(_) => {}
            // A pointer that was moved before its rollback stopped.
            Verdict::Stays(_) if status == Status::Same && leads_to_withdrawn(follows, official, published) => {
                status = Status::Waiting(half_rolled_back(official, published));
            }
            Verdict::Stays(why) => {
                (summary, changes) = (String::new(), Vec::new());
                status = Status::Stays(why);
            }
            Verdict::Waits(why) if matches!(status, Status::Absent | Status::Different) => {
                (summary, changes) = (String::new(), Vec::new());
                status = Status::Waiting(why);
            }
            Verdict::Waits(_) => {}
        }
    }
    Planned { title: act.title(subject), wave: act.wave(), rule: act.rule(), status, summary, changes }
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

/// The status, a summary, and every change.
pub type Judgement = (Status, String, Vec<String>);

fn judge_tree(act: &Act, tree: &Tree, consent: &Consent) -> Judgement {
    let deletes = act.rule() == Rule::Movable;
    let count = |verb: &str, n: usize| (n > 0).then(|| format!("{verb} {n}"));
    let bytes: u64 =
        tree.new.iter().chain(tree.changed.iter().map(|changed| &changed.ours)).map(|object| object.size).sum();
    let parts = [
        count("add", tree.new.len()),
        count("replace", tree.changed.len()),
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
    let verb = if deletes { "delete" } else { "keep" };
    let gone = tree.gone.iter().map(|path| format!("{verb} {path}"));
    let changes: Vec<String> = add.chain(replace).chain(gone).collect();

    let (ours, live) =
        (tree.new.len() + tree.changed.len() + tree.same, tree.changed.len() + tree.same + tree.gone.len());
    let status = if !deletes && !tree.changed.is_empty() {
        Status::Refused(conflicts(&tree.changed))
    } else if deletes && ours == 0 {
        Status::Refused(vec!["ours is empty: an empty directory never empties a bucket, build it again".to_owned()])
    } else if deletes && ours * SMALL < live && !consent.shrink {
        Status::Refused(vec![format!(
            "ours has {ours} files and {live} are live: if that is right, say `--allow-shrink`"
        )])
    } else if tree.new.is_empty() && tree.changed.is_empty() && (!deletes || tree.gone.is_empty()) {
        Status::Same
    } else if live == 0 {
        Status::Absent
    } else {
        Status::Different
    };
    (status, summary, changes)
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
    consent: &Consent,
    say: impl Fn(&System) -> String,
) -> Vec<String> {
    lost.filter(|system| !consent.drop_systems.contains(system)).map(say).collect()
}

/// Nothing is deleted: a system that is dropped keeps its last installer.
fn judge_installer_pointers(act: &Act, tree: &Tree, only_there: &[System], consent: &Consent) -> Judgement {
    let unexpected = unexpected(only_there.iter(), consent, |system| {
        format!(
            "{system} has an installer, and gets no new one: if that is right, say `--drop-system {system}`; the old one stays"
        )
    });
    match judge_tree(act, tree, consent) {
        (Status::Absent | Status::Different, ..) if !unexpected.is_empty() => {
            (Status::Refused(unexpected), String::new(), Vec::new())
        }
        judgement => judgement,
    }
}

fn judge_branch(ours: &Oid, remote: Option<&Oid>, relation: Relation) -> Judgement {
    let change = |from: &str| (format!("{from} -> {}", ours.short()), vec![format!("{from} -> {ours}")]);
    match (remote, relation) {
        (None, _) => (Status::Absent, format!("to {}", ours.short()), vec![format!("to {ours}")]),
        (Some(remote), Relation::Contains) => (Status::Same, remote.short().to_owned(), Vec::new()),
        (Some(remote), Relation::Behind) => {
            let (summary, changes) = change(remote.short());
            (Status::Different, summary, changes)
        }
        (Some(remote), Relation::Diverged) => {
            let why = format!(
                "the remote branch is at {}, which ours does not contain: fetch it, and tag the release on top of it",
                remote.short()
            );
            let (summary, changes) = change(remote.short());
            (Status::Refused(vec![why]), summary, changes)
        }
    }
}

fn judge_tag(ours: &Oid, remote: Option<&Oid>, ready: &Result<(), String>, consent: &Consent) -> Judgement {
    match (remote, ready) {
        (Some(remote), _) if remote == ours => (Status::Same, ours.short().to_owned(), Vec::new()),
        (Some(remote), _) if !consent.force_push_tag => {
            let why = format!(
                "the remote has another tag of this name, {}: a published tag stays (`--force-push-tag` replaces it all the same)",
                remote.short()
            );
            (Status::Refused(vec![why]), String::new(), Vec::new())
        }
        (remote, Ok(())) => {
            let from = remote.map(|remote| format!("{} -> ", remote.short())).unwrap_or_else(|| "to ".to_owned());
            let status = if remote.is_some() { Status::Different } else { Status::Absent };
            (status, format!("{from}{}", ours.short()), vec![format!("{from}{ours}")])
        }
        (_, Err(why)) => (Status::Waiting(why.clone()), format!("to {}", ours.short()), vec![format!("to {ours}")]),
    }
}

fn judge_review(review: &Review, subject: &Subject) -> Judgement {
    let Subject::Official(official) = subject else { unreachable!("only a release is reviewed") };
    let (release, tag) = (&official.release, &official.tag);
    let (branch, merge) = (release.release_branch(), tag.merge_commit.short());
    match review {
        Review::Unknown => {
            (Status::Absent, format!("push {merge}"), vec![format!("push {} for {branch}", tag.merge_commit)])
        }
        Review::Open => {
            let why = format!("submit the changes up to {merge} in Gerrit, without rebasing, then run this again");
            (Status::Waiting(why), format!("pushed {merge}"), Vec::new())
        }
        Review::Submitted => (Status::Same, format!("{branch} has {}", tag.commit.short()), Vec::new()),
        Review::Rewritten(other) => {
            let why = format!(
                "Gerrit rewrote the release commit: {branch} has {} with the same tree, and the tag names {}, which is on no branch. \
                 If the tag is not public yet: `git switch {branch}`, `git pull`, and `cargo xtask release tag --force-tag` there, \
                 then build again. Submit by fast-forward next time",
                other.short(),
                tag.commit.short()
            );
            (Status::Refused(vec![why]), String::new(), Vec::new())
        }
    }
}
