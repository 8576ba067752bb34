//! A directory in a bucket: the version directory, a manual, installers and the names that lead to the newest ones.

use std::collections::{BTreeSet, HashSet};

use anyhow::{Context, Result};
use xtask::domain::layout::{Docs, INSTALLER_RECORD, Layout, MANUAL_INDEX, RECORD, SUMS};
use xtask::domain::system::System;
use xtask::tools::term;

use super::delivery::Delivery;
use crate::domain::publication::installer::InstallerRecord;
use crate::domain::publication::judgement::{Changed, Misserved, Object, Seen, Tree};
use crate::domain::publication::serving::{IMMUTABLE, MOVING, content_type};
use crate::site::built::{LocalFile, LocalFiles};
use crate::site::{Bucket, Stores};
use crate::tools::store::{Listing, Progress, Properties, Store};
use crate::tools::transfer::{self, Difference, Item, Surveyed, survey};

/// No record of installers is nearly this long, in bytes.
const LIMIT: u64 = 256 << 20;

/// A directory in a bucket, compared with ours.
pub struct Prospect {
    pub(super) bucket: Bucket,
    order: Order,
    /// What the directory's keys start with.
    prefix: String,
    surveyed: Vec<Surveyed>,
    /// Keys of objects that we do not have.
    gone: Vec<String>,
    /// For each object that differs, what the bucket knows of its content.
    theirs: Vec<String>,
    /// Of installers that lead to the newest: the systems that only the bucket has one for.
    only_there: Option<BTreeSet<System>>,
}

/// How a directory is sent.
#[derive(Clone, Copy)]
enum Order {
    /// The sums first, which tell that a publication was begun, and the record last: where it is, everything is.
    RecordLast,
    /// New and changed pages, every `index.html` after them, and then what is no longer there is deleted.
    Mirror,
}

impl Prospect {
    pub(super) fn seen(&self) -> Seen {
        let tree = self.tree();
        match &self.only_there {
            None => Seen::Tree(tree),
            Some(systems) => Seen::InstallerPointers { tree, only_there: systems.iter().cloned().collect() },
        }
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

    /// The keys behind which something changes. New ones, too: that they did not exist may be remembered. A start page is
    /// known by its directory's address, too.
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

/// Looks at the version directory of the releases.
///
/// # Errors
/// The bucket cannot be read.
pub async fn version_directory(delivery: &Delivery<'_>) -> Result<Prospect> {
    let prefix = format!("{}/", delivery.built.layout().version_directory());
    look(delivery, Bucket::Releases, prefix, &delivery.built.files, Order::RecordLast, IMMUTABLE).await
}

/// Looks at the version directory of the installers.
///
/// # Errors
/// The bucket cannot be read.
pub async fn installers(delivery: &Delivery<'_>) -> Result<Prospect> {
    let prefix = format!("{}/", delivery.built.layout().version_directory());
    look(delivery, Bucket::Install, prefix, &delivery.built.installers, Order::RecordLast, IMMUTABLE).await
}

/// Looks at a manual.
///
/// # Errors
/// The bucket cannot be read.
pub async fn docs(delivery: &Delivery<'_>, docs: &Docs) -> Result<Prospect> {
    let prefix = format!("{}/", delivery.built.layout().docs(*docs));
    let looked = look(delivery, Bucket::Docs, prefix, &delivery.built.manual, Order::Mirror, MOVING).await?;
    Ok(if delivery.deletes { looked } else { Prospect { gone: Vec::new(), ..looked } })
}

/// Looks at the installers that lead to the newest.
///
/// # Errors
/// The bucket cannot be read.
pub async fn installer_pointers_of(delivery: &Delivery<'_>) -> Result<Prospect> {
    let (ours, layout) = (&delivery.built.installers, delivery.built.layout());
    let store = delivery.read.of(Bucket::Install);
    let top = format!("{}/", layout.installer_pointers());
    let tree = look(delivery, Bucket::Install, top.clone(), ours, Order::RecordLast, MOVING).await?;
    // An older tool left no record, and one that cannot be read keeps no rollback from replacing it: then every installer
    // there counts, also one that a system kept when it was dropped.
    let there = match installer_systems(store, &layout, &format!("{top}{INSTALLER_RECORD}")).await? {
        Some(systems) => systems,
        None => tree.gone.iter().filter_map(|key| layout.installer_system(key.strip_prefix(&top)?)).collect(),
    };
    let ours: BTreeSet<System> = ours.keys().filter_map(|name| layout.installer_system(name)).collect();
    // Nothing is deleted here, and the version directories lie there, too.
    let only_there = Some(there.difference(&ours).cloned().collect());
    Ok(Prospect { gone: Vec::new(), only_there, ..tree })
}

async fn look(
    delivery: &Delivery<'_>,
    bucket: Bucket,
    prefix: String,
    files: &LocalFiles,
    order: Order,
    cache_control: &str,
) -> Result<Prospect> {
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
    Ok(Prospect { bucket, order, prefix, surveyed, gone, theirs, only_there: None })
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

/// The systems that a record of installers names; `None` if there is no record, or none that can be read.
///
/// # Errors
/// The bucket cannot be read.
async fn installer_systems(install: &Store, layout: &Layout, key: &str) -> Result<Option<BTreeSet<System>>> {
    let Some(text) = install.get(key, LIMIT).await? else { return Ok(None) };
    Ok(match InstallerRecord::parse(layout, &String::from_utf8_lossy(&text)) {
        Ok(record) => Some(record.systems(layout)),
        Err(why) => {
            term::warn(format_args!("{key} {why}; so the installers there are told by their names alone"));
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
