//! A bucket from both sides: through S3, and at its public address, which may have a cache in front.
//!
//! The bucket is asked first, and the address only for what the bucket has, because caches also remember that something
//! does not exist. If the two differ, users get the old content for a while, which is stale and not broken.

use anyhow::Result;
use camino::Utf8Path;
use xtask::domain::digest::FileFacts;

use super::report::Findings;
use crate::domain::limits;
use crate::tools::content::Content;
use crate::tools::http::{Headers, Http};
use crate::tools::source::Readable;
use crate::tools::store::Store;

/// Headers that caches add.
const OF_CACHES: [&str; 5] = ["Age", "X-Cache", "X-Cache-Status", "CF-Cache-Status", "X-Varnish"];

/// A bucket for reading.
#[derive(Clone)]
pub(super) struct Sides {
    pub bucket: Store,
    /// Its public address; `None` if it has none, or if it does not matter what users see now.
    pub edge: Option<Http>,
}

impl Sides {
    pub fn source(&self) -> Readable {
        Readable::Store(Box::new(self.bucket.clone()))
    }

    /// Reads a small object from the bucket; `None` if it does not exist.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.bucket.get(key, limits::RECORD).await
    }

    /// Saves an object from the bucket; `None` if it does not exist. It should have the size that is `expected`.
    pub async fn save(&self, key: &str, path: &Utf8Path, expected: &FileFacts) -> Result<Option<FileFacts>> {
        // One that was replaced may be longer.
        let limit = expected.size.saturating_mul(2).max(limits::DOWNLOAD);
        let saved = self.bucket.save(key, path, limit).await?;
        Ok(saved.map(|Content { size, sha256, .. }| FileFacts { size, sha256 }))
    }

    /// Checks that the public address shows a small object as it is in the bucket. `name` describes such an object in a
    /// word or two.
    pub async fn shown(&self, key: &str, bytes: &[u8], name: impl Fn(&[u8]) -> Option<String>) -> Findings {
        let Some(edge) = &self.edge else { return Findings::default() };
        match edge.page(key, limits::RECORD).await {
            Err(error) => Findings::unknown(format!("{error:#}")),
            Ok(Some(page)) if page.bytes == bytes => Findings::default(),
            Ok(None) => Findings::stale(missing()),
            Ok(Some(page)) => {
                let (there, here) = (name(&page.bytes), name(bytes));
                let there = there.filter(|there| Some(there) != here.as_ref());
                Findings::stale(format!(
                    "the bucket has {}; this address still shows {}{}: wait, or purge",
                    here.as_deref().unwrap_or("it as released"),
                    there.as_deref().unwrap_or("different content"),
                    cached(&page.headers)
                ))
            }
        }
    }
}

/// The finding for a cache that remembers that something did not exist.
pub(super) fn missing() -> String {
    "the bucket has it; this address still says that it does not exist: wait, or purge".to_owned()
}

/// The headers of a cache, in brackets.
pub(super) fn cached(headers: &Headers) -> String {
    let said = OF_CACHES.iter().filter_map(|name| Some(format!("{name} {}", headers.get(name)?)));
    match said.collect::<Vec<_>>().join(", ") {
        said if said.is_empty() => said,
        said => format!(" ({said})"),
    }
}
