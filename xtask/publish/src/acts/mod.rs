//! Looking at an act: what is there, compared with ours by content. Writes nothing.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use xtask::domain::layout::{INSTALLER_RECORD, MANIFEST, installer_pointers, installer_system};
use xtask::domain::system::System;

use self::cache::LookedCache;
use crate::delivery::gate;
use crate::delivery::published::installer_systems;
use crate::delivery::train::Session;
use crate::domain::publication::acts::Act;
use crate::domain::publication::judgement::{Changed, Misserved, Object, Seen, Tree};
use crate::domain::publication::pointers::withdrawn_by_rollback;
use crate::domain::publication::serving::{IMMUTABLE, MOVING, content_type};
use crate::domain::publication::{receipt, withdrawn};
use crate::site::Bucket;
use crate::site::built::LocalFiles;
use crate::site::published::published_in_any_case;
use crate::tools::root_manifest;
use crate::tools::store::{Listing, Properties, Store};
use crate::tools::transfer::{Item, Standing, Surveyed, survey};

pub mod applying;
pub mod cache;
pub mod git;
pub mod images;

/// No manifest is nearly this long.
const MANIFEST_LIMIT: u64 = 1 << 20;

/// What was seen, with what applying the act needs besides.
pub enum Looked {
    Tree(LookedTree),
    /// And the systems that only the bucket has an installer for.
    InstallerPointers(LookedTree, Vec<System>),
    Cache(LookedCache),
    Other(Seen),
}

/// A directory in a bucket, compared with ours.
pub struct LookedTree {
    /// What the directory's keys start with.
    prefix: String,
    pub surveyed: Vec<Surveyed>,
    /// Keys of objects that we do not have.
    pub gone: Vec<String>,
    /// For each object that differs, what the bucket knows of its content.
    theirs: Vec<String>,
}

impl Looked {
    /// For judging.
    pub fn seen(&self) -> Seen {
        match self {
            Looked::Other(seen) => seen.clone(),
            Looked::Cache(looked) => Seen::Cache(looked.seen.clone()),
            Looked::Tree(tree) => Seen::Tree(tree.seen()),
            Looked::InstallerPointers(tree, only_there) => {
                Seen::InstallerPointers { tree: tree.seen(), only_there: only_there.clone() }
            }
        }
    }
}

impl LookedTree {
    fn seen(&self) -> Tree {
        let relative = |key: &str| key.strip_prefix(&self.prefix).unwrap_or(key).to_owned();
        let object =
            |item: &Item| Object { path: relative(&item.key), size: item.content.size, sha256: item.content.sha256 };
        let surveyed = |standing| self.surveyed.iter().filter(move |one| one.standing == standing);
        let standing = |standing| surveyed(standing).map(|one| &one.item);
        Tree {
            new: standing(Standing::Absent).map(object).collect(),
            changed: standing(Standing::Different)
                .zip(&self.theirs)
                .map(|(item, theirs)| Changed { ours: object(item), theirs: theirs.clone() })
                .collect(),
            misserved: surveyed(Standing::Misserved)
                .map(|one| Misserved { ours: object(&one.item), faults: one.faults.clone() })
                .collect(),
            same: standing(Standing::Same).count(),
            gone: self.gone.iter().map(|key| relative(key)).collect(),
        }
    }
}

/// Looks at one act.
///
/// # Errors
/// The server or the remote cannot be asked.
pub async fn look(session: &Session<'_>, act: &Act) -> Result<Looked> {
    let sealed = &session.sealed;
    let version_directory = || format!("{}/", sealed.layout().version_directory());
    match act {
        Act::VersionDirectory => {
            let releases = session.read.of(Bucket::Releases);
            look_at_tree(releases, version_directory(), &sealed.files, IMMUTABLE).await.map(Looked::Tree)
        }
        Act::Installers => {
            let install = session.read.of(Bucket::Install);
            look_at_tree(install, version_directory(), &sealed.installers, IMMUTABLE).await.map(Looked::Tree)
        }
        Act::InstallerPointers => look_at_installer_pointers(session).await,
        Act::Receipt => {
            let there = gate::receipt_in(session.world, session.read, &sealed.record.version).await?;
            let seen = receipt::Seen { record: sealed.record_digest, there, gate: session.gate.clone() };
            let faults = header_faults(session.read.of(Bucket::Releases), &sealed.layout().receipt()).await?;
            Ok(Looked::Other(Seen::Receipt(Box::new(seen)).served(faults)))
        }
        Act::Withdraw { to } => {
            let (now, unclear) = published_in_any_case(session.read.of(Bucket::Releases)).await?;
            let ours = withdrawn_by_rollback(to, &now);
            let unclear = unclear.map(|unclear| unclear.why);
            Ok(Looked::Other(Seen::Withdrawn(withdrawn::Seen { there: now.withdrawn, unclear, ours })))
        }
        Act::Cache => Box::pin(cache::look(session)).await.map(Looked::Cache),
        Act::Docs(docs) => {
            let prefix = format!("{}/", docs.directory());
            let looked = look_at_tree(session.read.of(Bucket::Docs), prefix, &sealed.manual, MOVING).await?;
            Ok(Looked::Tree(match session.deletes {
                true => looked,
                false => LookedTree { gone: Vec::new(), ..looked },
            }))
        }
        Act::RootManifest => {
            let releases = session.read.of(Bucket::Releases);
            let live = match releases.get(MANIFEST, MANIFEST_LIMIT).await? {
                Some(bytes) => Some(root_manifest::read(&bytes).await?),
                None => None,
            };
            let faults = header_faults(releases, MANIFEST).await?;
            Ok(Looked::Other(Seen::Manifest { ours: sealed.record.manifest(), live }.served(faults)))
        }
        Act::Branch => git::look(session, |side| side.branch()),
        Act::Review => git::look(session, |side| side.review()),
        Act::Tag => {
            let reviewed = session.acts.contains(&Act::Review);
            git::look(session, |side| side.tag(reviewed))
        }
        Act::Images { target } => images::look(session, target).await.map(Looked::Other),
        Act::ImageTag { target, tag } => images::look_at_tag(session, target, *tag).await.map(Looked::Other),
    }
}

async fn look_at_installer_pointers(session: &Session<'_>) -> Result<Looked> {
    let ours = &session.sealed.installers;
    if ours.is_empty() {
        let why = format!("{} has no installers here", session.sealed.record.version);
        return Ok(Looked::Other(Seen::Nothing { why }));
    }
    let store = session.read.of(Bucket::Install);
    let top = format!("{}/", installer_pointers());
    let tree = look_at_tree(store, top.clone(), ours, MOVING).await?;
    // An older tool left no record, and one that cannot be read keeps no rollback from replacing it: then every installer
    // there counts, also one that a system kept when it was dropped.
    let there = match installer_systems(store, &format!("{top}{INSTALLER_RECORD}")).await? {
        Some(systems) => systems,
        None => tree.gone.iter().filter_map(|key| installer_system(key.strip_prefix(&top)?)).collect(),
    };
    let ours: BTreeSet<System> = ours.keys().filter_map(|name| installer_system(name)).collect();
    // Nothing is deleted here, and the version directories lie there, too.
    let tree = LookedTree { gone: Vec::new(), ..tree };
    Ok(Looked::InstallerPointers(tree, there.difference(&ours).cloned().collect()))
}

async fn look_at_tree(store: &Store, prefix: String, files: &LocalFiles, cache_control: &str) -> Result<LookedTree> {
    let item = |(path, file): (&String, &crate::site::built::LocalFile)| Item {
        key: format!("{prefix}{path}"),
        path: file.path.clone(),
        content: file.content.clone(),
        properties: Properties { content_type: content_type(path).into(), cache_control: cache_control.into() },
    };
    let listing = store.list(&prefix).await?;
    let surveyed = survey(store, files.iter().map(item).collect(), &listing).await?;
    let mut theirs = Vec::new();
    for one in surveyed.iter().filter(|one| one.standing == Standing::Different) {
        theirs.push(digest_there(store, &one.item.key, &listing).await?);
    }
    let ours: std::collections::HashSet<&str> = surveyed.iter().map(|one| one.item.key.as_str()).collect();
    let gone = listing.into_keys().filter(|key| !ours.contains(key.as_str())).collect();
    Ok(LookedTree { prefix, surveyed, gone, theirs })
}

/// What is wrong with the headers of a small file that moves.
async fn header_faults(store: &Store, key: &str) -> Result<Vec<String>> {
    let head = store.head(key).await?;
    Ok(head.map(|head| head.served.faults(content_type(key), MOVING)).unwrap_or_default())
}

/// The digest that a bucket knows of an object: ours, if we stored one, and else its ETag.
async fn digest_there(store: &Store, key: &str, listing: &Listing) -> Result<String> {
    let listed = listing.get(key).with_context(|| format!("{key} vanished while it was looked at"))?;
    match &listed.etag {
        Some(etag) => Ok(format!("ETag {etag}")),
        None => {
            let head = store.head(key).await?;
            let sha256 = head.and_then(|head| head.sha256).map(|digest| digest.to_string());
            Ok(sha256.unwrap_or_else(|| format!("{} bytes", listed.size)))
        }
    }
}
