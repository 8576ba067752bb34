//! Owns bringing many files to a bucket: finding out which differ, sending those, deleting keys, all with bounded
//! parallelism. Refuses to own which files there are, under which keys, and whether a difference is welcome.

use anyhow::Result;
use camino::Utf8PathBuf;
use tokio::task::JoinSet;

use super::content::Content;
use super::store::{Comparison, Listed, Listing, Progress, Properties, Store, compare};
use super::unusable::usable;

/// Files looked at, sent or deleted at once.
const PARALLEL: usize = 32;

/// A file that was read, and the object it becomes.
#[derive(Clone, Debug)]
pub struct Item {
    /// In the bucket.
    pub key: String,
    /// Of the file.
    pub path: Utf8PathBuf,
    /// Of the file, when it was read.
    pub content: Content,
    /// Of the object.
    pub properties: Properties,
}

/// How an item's object compares with its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// There is no such object.
    Absent,
    /// It has the file's content, and is served as it should be.
    Same,
    /// It has the file's content, and its headers are others.
    Misserved,
    /// It has another content.
    Different,
}

/// An item that was looked at.
#[derive(Clone, Debug)]
pub struct Surveyed {
    pub item: Item,
    /// Of its object.
    pub difference: Difference,
    /// What is wrong with its headers, where that is all.
    pub faults: Vec<String>,
}

impl Surveyed {
    fn of(item: Item, difference: Difference) -> Surveyed {
        Surveyed { item, difference, faults: Vec::new() }
    }
}

/// What a transfer did: numbers of objects, and the bytes that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub added: usize,
    pub replaced: usize,
    pub same: usize,
    pub deleted: usize,
    /// In bytes, each content counted once.
    pub sent: u64,
}

/// Compares files with `listing`, and asks the server about each object that is there: a listing tells no headers.
/// Writes nothing.
///
/// `listing` must cover the items' keys. The result has the items' order.
pub async fn survey(store: &Store, items: Vec<Item>, listing: &Listing) -> Result<Vec<Surveyed>> {
    let looking = items.into_iter().enumerate().map(|(index, item)| {
        let (store, listed) = (store.clone(), listing.get(&item.key).cloned());
        async move {
            let surveyed = match listed {
                None => Surveyed::of(item, Difference::Absent),
                Some(listed) => look(&store, item, &listed).await?,
            };
            Ok((index, surveyed))
        }
    });
    let mut surveyed = all(looking).await?;
    surveyed.sort_unstable_by_key(|(index, _)| *index);
    Ok(surveyed.into_iter().map(|(_, surveyed)| surveyed).collect())
}

async fn look(store: &Store, item: Item, listed: &Listed) -> Result<Surveyed> {
    let Some(head) = store.head(&item.key).await? else { return Ok(Surveyed::of(item, Difference::Absent)) };
    // What is stored with our bytes and with a `Content-Encoding` that they do not have is wrong in that header alone.
    let stored = Listed { size: head.size, etag: head.etag.clone() };
    let is_stored = [listed, &stored].into_iter().any(|there| compare(there, &item.content) == Comparison::Same);
    let is_same = is_stored || usable(store.is(&item.key, &head, &item.content).await)?.unwrap_or(false);
    if !is_same {
        return Ok(Surveyed::of(item, Difference::Different));
    }
    let faults = head.served.faults(&item.properties.content_type, &item.properties.cache_control);
    let difference = if faults.is_empty() { Difference::Same } else { Difference::Misserved };
    Ok(Surveyed { item, difference, faults })
}

/// Sends what is absent, different or served with other headers: every `index.html` after everything else, so that no page leads to one that is
/// not there yet.
pub async fn send(store: &Store, surveyed: &[Surveyed], progress: &Progress) -> Result<Counts> {
    let is_index = |one: &&Surveyed| one.item.key.rsplit('/').next() == Some("index.html");
    let (last, first): (Vec<_>, Vec<_>) =
        surveyed.iter().filter(|one| one.difference != Difference::Same).partition(is_index);
    for wave in [first, last] {
        let sending = wave.into_iter().map(|one| {
            let (store, progress, item) = (store.clone(), Progress::clone(progress), one.item.clone());
            async move { store.put_file(&item.key, &item.path, &item.content, &item.properties, &progress).await }
        });
        all(sending).await?;
    }
    let count = |difference| surveyed.iter().filter(|one| one.difference == difference).count();
    Ok(Counts {
        added: count(Difference::Absent),
        replaced: count(Difference::Different) + count(Difference::Misserved),
        same: count(Difference::Same),
        deleted: 0,
        sent: surveyed.iter().filter(|one| one.difference != Difference::Same).map(|one| one.item.content.size).sum(),
    })
}

/// Deletes objects; that some are gone already is no error.
pub async fn delete(store: &Store, keys: impl IntoIterator<Item = String>) -> Result<()> {
    let deleting = keys.into_iter().map(|key| {
        let store = store.clone();
        async move { store.delete(&key).await }
    });
    all(deleting).await.map(|_: Vec<()>| ())
}

/// Makes what lies under `prefix` equal to `items`, whose keys must all start with it: new and changed, then every
/// `index.html`, then deletions. Refusing to empty a bucket by mistake is the caller's business.
pub async fn mirror(store: &Store, prefix: &str, items: Vec<Item>, progress: &Progress) -> Result<Counts> {
    let mut listing = store.list(prefix).await?;
    let surveyed = survey(store, items, &listing).await?;
    let counts = send(store, &surveyed, progress).await?;
    for one in &surveyed {
        listing.remove(&one.item.key);
    }
    let deleted = listing.len();
    delete(store, listing.into_keys()).await?;
    Ok(Counts { deleted, ..counts })
}

/// Runs futures as tasks, so that they use every core, at most [`PARALLEL`] at once. The first error stops the others.
pub async fn all<T: Send + 'static>(
    futures: impl Iterator<Item = impl Future<Output = Result<T>> + Send + 'static>,
) -> Result<Vec<T>> {
    let (mut running, mut done) = (JoinSet::new(), Vec::new());
    for future in futures {
        if running.len() == PARALLEL
            && let Some(finished) = running.join_next().await
        {
            done.push(finished??);
        }
        running.spawn(future);
    }
    while let Some(finished) = running.join_next().await {
        done.push(finished??);
    }
    Ok(done)
}
