//! Transfers of many files to a bucket: finding out which differ, sending those, and deleting keys, with bounded
//! parallelism. Whether a difference is allowed is judged in `domain`.

use anyhow::Result;
use camino::Utf8PathBuf;
use tokio::task::JoinSet;

use super::content::Content;
use super::store::{Comparison, Listed, Listing, Progress, Properties, Store, compare};
use super::unusable::usable;

/// Files that are looked at, sent or deleted concurrently.
const PARALLEL: usize = 32;

/// A file that was read, and the object to make of it.
#[derive(Clone, Debug)]
pub struct Item {
    /// Key of the object.
    pub key: String,
    /// Path of the file.
    pub path: Utf8PathBuf,
    /// The file's content when it was read.
    pub content: Content,
    /// Headers of the object.
    pub properties: Properties,
}

/// How an item's object compares with its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The object does not exist.
    Absent,
    /// The object has the file's content and the right headers.
    Same,
    /// The object has the file's content and the wrong headers.
    Misserved,
    /// The object has different content.
    Different,
}

/// An item that was looked at.
#[derive(Clone, Debug)]
pub struct Surveyed {
    pub item: Item,
    /// Comparison of the item's object with its file.
    pub difference: Difference,
    /// What is wrong with the object's headers, if nothing else is.
    pub faults: Vec<String>,
}

impl Surveyed {
    fn of(item: Item, difference: Difference) -> Surveyed {
        Surveyed { item, difference, faults: Vec::new() }
    }
}

/// Compares files with `listing`, and asks the server about each object that exists, because a listing has no headers.
/// Writes nothing.
///
/// `listing` must cover the items' keys. The result is in the order of the items.
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
    // If our bytes are stored with a `Content-Encoding` that they do not have, only that header is wrong.
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

/// Sends files whose objects are absent, different or have the wrong headers. Every `index.html` is sent after
/// everything else, so that no page links to one that does not exist yet.
pub async fn send(store: &Store, surveyed: &[Surveyed], progress: &Progress) -> Result<()> {
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
    Ok(())
}

/// Deletes objects, if they exist.
pub async fn delete(store: &Store, keys: impl IntoIterator<Item = String>) -> Result<()> {
    let deleting = keys.into_iter().map(|key| {
        let store = store.clone();
        async move { store.delete(&key).await }
    });
    all(deleting).await.map(|_: Vec<()>| ())
}

/// Runs futures as tasks on every core, at most [`PARALLEL`] at once. The first error stops the others.
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
