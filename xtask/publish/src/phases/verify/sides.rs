//! A bucket from both sides: as it is, through S3, and as its public address shows it, where a cache may lie in between.
//!
//! The bucket is asked first. A cache remembers what does not exist, too: its address is asked for only where the bucket
//! has something to show. And where both differ, users get the old for a while, which is another thing than broken.

use anyhow::Result;

use super::report::Findings;
use crate::tools::http::{Headers, Http};
use crate::tools::source::Source;
use crate::tools::store::Store;

/// No record, manifest or receipt is nearly this long, in bytes.
const LIMIT: u64 = 64 << 20;
/// What caches say of themselves.
const OF_CACHES: [&str; 5] = ["Age", "X-Cache", "X-Cache-Status", "CF-Cache-Status", "X-Varnish"];

/// A bucket, for reading.
#[derive(Clone)]
pub(super) struct Sides {
    pub bucket: Store,
    /// Its public address; `None` where it has none, or where it does not matter what users see now.
    pub edge: Option<Http>,
}

impl Sides {
    pub fn source(&self) -> Source {
        Source::Store(Box::new(self.bucket.clone()))
    }

    /// A small object, as it is; `None` if there is nothing.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.bucket.get(key, LIMIT).await
    }

    /// Whether the public address shows a small object as it is in the bucket. `name` says what some bytes are, in a word
    /// or two.
    pub async fn shown(&self, key: &str, bytes: &[u8], name: impl Fn(&[u8]) -> Option<String>) -> Findings {
        let Some(edge) = &self.edge else { return Findings::default() };
        match edge.page(key, LIMIT).await {
            Err(error) => Findings::unknown(format!("{error:#}")),
            Ok(Some(page)) if page.bytes == bytes => Findings::default(),
            Ok(None) => Findings::stale(missing()),
            Ok(Some(page)) => {
                let (there, here) = (name(&page.bytes), name(bytes));
                let there = there.filter(|there| Some(there) != here.as_ref());
                Findings::stale(format!(
                    "the bucket has {}; this address still shows {}{}: wait, or purge",
                    here.as_deref().unwrap_or("it as it was released"),
                    there.as_deref().unwrap_or("another content"),
                    cached(&page.headers)
                ))
            }
        }
    }
}

/// What is said where a cache remembers that something did not exist.
pub(super) fn missing() -> String {
    "the bucket has it; this address still says that it does not exist: wait, or purge".to_owned()
}

/// What a cache says of itself, in brackets.
pub(super) fn cached(headers: &Headers) -> String {
    let said = OF_CACHES.iter().filter_map(|name| Some(format!("{name} {}", headers.get(name)?)));
    match said.collect::<Vec<_>>().join(", ") {
        said if said.is_empty() => said,
        said => format!(" ({said})"),
    }
}
