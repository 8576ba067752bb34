//! A directory in a bucket: a version directory, a manual, or the installers at the top of the bucket.

use std::collections::{BTreeSet, HashSet};

use anyhow::{Context, Result};
use xtask::domain::layout::{Docs, INSTALLER_RECORD, Layout, MANUAL_INDEX, RECORD, SUMS};
use xtask::domain::system::System;
use xtask::tools::term;

use super::delivery::Delivery;
use crate::domain::limits;
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::installer::InstallerRecord;
use crate::domain::publication::judgement::{Changed, Misserved, Object, Seen, Tree};
use crate::domain::serving::{IMMUTABLE, MOVING, content_type};
use crate::site::Stores;
use crate::site::built::{LocalFile, LocalFiles};
use crate::tools::store::{Listing, Progress, Properties, Store};
use crate::tools::transfer::{self, Difference, Item, Surveyed, survey};

/// What was seen of a directory in a bucket, and what is needed to apply the act.
pub struct Prospect {
    pub(super) bucket: Bucket,
    order: Order,
    surveyed: Vec<Surveyed>,
    /// Keys of objects to delete.
    gone: Vec<String>,
    pub(super) seen: Seen,
}

/// A directory in a bucket, compared with ours.
struct Compared {
    bucket: Bucket,
    order: Order,
    /// Start of the directory's keys.
    prefix: String,
    surveyed: Vec<Surveyed>,
    /// Keys of objects that only the bucket has.
    gone: Vec<String>,
    /// Digest of the bucket's content for each object that differs.
    theirs: Vec<String>,
}

/// The order in which a directory is sent.
#[derive(Clone, Copy)]
enum Order {
    /// The sums first, to show that an upload was begun, and the record last, to show that it is complete.
    RecordLast,
    /// New and changed pages, then every `index.html`, then deletions.
    Mirror,
}

impl Compared {
    fn prospect(self, see: impl FnOnce(Tree) -> Seen) -> Prospect {
        let seen = see(self.tree());
        let Compared { bucket, order, surveyed, gone, .. } = self;
        Prospect { bucket, order, surveyed, gone, seen }
    }

    fn tree(&self) -> Tree {
        let relative = |key: &str| key.strip_prefix(&self.prefix).unwrap_or(key).to_owned();
        let object =
            |item: &Item| Object { path: relative(&item.key), size: item.content.size, sha256: item.content.sha256 };
        let surveyed = |difference| self.surveyed.iter().filter(move |one| one.difference == difference);
        let difference = |difference| surveyed(difference).map(|one| &one.item);
        Tree {
            new: difference(Difference::Absent).map(object).collect(),
            changed: difference(Difference::Different)
                .zip(&self.theirs)
                .map(|(item, theirs)| Changed { ours: object(item), theirs: theirs.clone() })
                .collect(),
            misserved: surveyed(Difference::Misserved)
                .map(|one| Misserved { ours: object(&one.item), faults: one.faults.clone() })
                .collect(),
            same: difference(Difference::Same).count(),
            gone: self.gone.iter().map(|key| relative(key)).collect(),
        }
    }
}

impl Prospect {
    /// The keys whose content changes, including new ones, because caches may remember that they were missing. The
    /// start page of a directory is also listed by the directory's own key.
    pub(super) fn keys(&self) -> Vec<String> {
        let sent = self.surveyed.iter().filter(|one| one.difference != Difference::Same).map(|one| &one.item.key);
        let mut keys = Vec::new();
        for key in sent.chain(&self.gone) {
            keys.push(key.clone());
            if let Some(directory) = key.strip_suffix(MANUAL_INDEX).filter(|directory| directory.ends_with('/')) {
                keys.push(directory.to_owned());
            }
        }
        keys
    }

    pub(super) async fn apply(&self, stores: &Stores, progress: &Progress) -> Result<()> {
        let store = stores.of(self.bucket);
        match self.order {
            Order::RecordLast => record_last(store, &self.surveyed, progress).await,
            Order::Mirror => {
                transfer::send(store, &self.surveyed, progress).await?;
                transfer::delete(store, self.gone.iter().cloned()).await
            }
        }
    }
}

/// Looks at the version directory in the releases bucket.
///
/// # Errors
/// The bucket cannot be read.
pub async fn version_directory(delivery: &Delivery<'_>) -> Result<Prospect> {
    let prefix = format!("{}/", delivery.built.layout().version_directory());
    let files = &delivery.built.files;
    let looked = look(delivery, Bucket::Releases, prefix.clone(), files, Order::RecordLast, IMMUTABLE).await?;
    // Signing is a separate act.
    let signed = delivery.built.layout().signed();
    let is_beside = |key: &String| signed.iter().any(|name| *key == format!("{prefix}{name}"));
    let gone = looked.gone.iter().filter(|key| !is_beside(key)).cloned().collect();
    Ok(directory(Compared { gone, ..looked }))
}

/// Looks at the version directory in the install bucket.
///
/// # Errors
/// The bucket cannot be read.
pub async fn installers(delivery: &Delivery<'_>) -> Result<Prospect> {
    let prefix = format!("{}/", delivery.built.layout().version_directory());
    look(delivery, Bucket::Install, prefix, &delivery.built.installers, Order::RecordLast, IMMUTABLE)
        .await
        .map(directory)
}

/// Looks at a manual.
///
/// # Errors
/// The bucket cannot be read.
pub async fn docs(delivery: &Delivery<'_>, docs: Docs, deletes: bool) -> Result<Prospect> {
    let prefix = format!("{}/", delivery.built.layout().docs(docs));
    let looked = look(delivery, Bucket::Docs, prefix, &delivery.built.manual, Order::Mirror, MOVING).await?;
    let gone = if deletes { looked.gone } else { Vec::new() };
    Ok(directory(Compared { gone, ..looked }))
}

/// Looks at the installers at the top of the install bucket.
///
/// # Errors
/// The bucket cannot be read.
pub async fn installer_pointers_of(delivery: &Delivery<'_>) -> Result<Prospect> {
    let (ours, layout) = (&delivery.built.installers, delivery.built.layout());
    let store = delivery.read.of(Bucket::Install);
    let top = format!("{}/", layout.installer_pointers());
    let tree = look(delivery, Bucket::Install, top.clone(), ours, Order::RecordLast, MOVING).await?;
    // If there is no record, because an older tool left none, or it cannot be read, which must not stop a rollback,
    // every installer there counts, also that of a dropped system.
    let there = match installer_systems(store, &layout, &format!("{top}{INSTALLER_RECORD}")).await? {
        Some(systems) => systems,
        None => tree.gone.iter().filter_map(|key| layout.installer_system(key.strip_prefix(&top)?)).collect(),
    };
    let ours: BTreeSet<System> = ours.keys().filter_map(|name| layout.installer_system(name)).collect();
    // Nothing is deleted here, where the version directories are, too.
    let tree = Compared { gone: Vec::new(), ..tree };
    let only_there = there.difference(&ours).cloned().collect();
    Ok(tree.prospect(|tree| Seen::InstallerPointers { tree, only_there }))
}

fn directory(compared: Compared) -> Prospect {
    compared.prospect(Seen::Tree)
}

async fn look(
    delivery: &Delivery<'_>,
    bucket: Bucket,
    prefix: String,
    files: &LocalFiles,
    order: Order,
    cache_control: &str,
) -> Result<Compared> {
    let store = delivery.read.of(bucket);
    let item = |(path, file): (&String, &LocalFile)| Item {
        key: format!("{prefix}{path}"),
        path: file.path.clone(),
        content: file.content.clone(),
        properties: Properties { content_type: content_type(path).into(), cache_control: cache_control.into() },
    };
    let listing = store.list(&prefix).await?;
    let surveyed = survey(store, files.iter().map(item).collect(), &listing).await?;
    let mut theirs = Vec::new();
    for one in surveyed.iter().filter(|one| one.difference == Difference::Different) {
        theirs.push(digest_there(store, &one.item.key, &listing).await?);
    }
    let ours: HashSet<&str> = surveyed.iter().map(|one| one.item.key.as_str()).collect();
    let gone = listing.into_keys().filter(|key| !ours.contains(key.as_str())).collect();
    Ok(Compared { bucket, order, prefix, surveyed, gone, theirs })
}

/// Returns the digest of an object's content as the bucket knows it: the ETag, or if there is none, the SHA-256 that we
/// stored.
async fn digest_there(store: &Store, key: &str, listing: &Listing) -> Result<String> {
    let listed = listing
        .get(key)
        .with_context(|| format!("{key} disappeared while the bucket was being read: run the same command again"))?;
    match &listed.etag {
        Some(etag) => Ok(format!("ETag {etag}")),
        None => {
            let head = store.head(key).await?;
            let sha256 = head.and_then(|head| head.sha256).map(|digest| digest.to_string());
            Ok(sha256.unwrap_or_else(|| format!("{} bytes", listed.size)))
        }
    }
}

/// Returns the systems in a record of installers; `None` if it is missing or unreadable.
///
/// # Errors
/// The bucket cannot be read.
async fn installer_systems(install: &Store, layout: &Layout, key: &str) -> Result<Option<BTreeSet<System>>> {
    let Some(text) = install.get(key, limits::RECORD).await? else { return Ok(None) };
    Ok(match InstallerRecord::parse(layout, &String::from_utf8_lossy(&text)) {
        Ok(record) => Some(record.systems(layout)),
        Err(why) => {
            term::warn(format_args!("{key} {why}, so the installers there are known only by their names"));
            None
        }
    })
}

async fn record_last(store: &Store, surveyed: &[Surveyed], progress: &Progress) -> Result<()> {
    let mut groups: [Vec<Surveyed>; 3] = Default::default();
    for one in surveyed {
        let turn = match one.item.key.rsplit('/').next() {
            Some(SUMS) => 0,
            Some(RECORD | INSTALLER_RECORD) => 2,
            _ => 1,
        };
        groups[turn].push(one.clone());
    }
    for group in groups {
        transfer::send(store, &group, progress).await?;
    }
    Ok(())
}
