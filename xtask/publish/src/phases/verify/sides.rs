//! A bucket from both sides: through S3, and at its public address, which may have a cache in front.
//!
//! The bucket is asked first, and the address only for what the bucket has, because caches also remember that something
//! does not exist. If the two differ, users get the old content for a while, which is stale and not broken.

use anyhow::{Context, Result};
use camino::Utf8Path;
use xtask::domain::digest::FileFacts;

use super::report::Findings;
use crate::domain::limits;
use crate::domain::publication::bucket::Bucket;
use crate::site::{Site, Stores};
use crate::tools::http::{Headers, Http};
use crate::tools::source::Readable;
use crate::tools::store::Store;

/// Headers that caches add.
const OF_CACHES: [&str; 5] = ["Age", "X-Cache", "X-Cache-Status", "CF-Cache-Status", "X-Varnish"];

/// A bucket for reading.
#[derive(Clone)]
pub(super) enum Sides {
    /// Through S3 alone: it has no public address, or what users see now does not matter.
    Bucket(Store),
    Both(Store, Http),
    /// At its public address alone, which needs no key.
    Public(Http),
}

impl Sides {
    /// The bucket through S3.
    pub fn bucket(&self) -> Option<&Store> {
        match self {
            Sides::Bucket(bucket) | Sides::Both(bucket, _) => Some(bucket),
            Sides::Public(_) => None,
        }
    }

    /// The bucket at its public address.
    pub fn edge(&self) -> Option<&Http> {
        match self {
            Sides::Both(_, edge) | Sides::Public(edge) => Some(edge),
            Sides::Bucket(_) => None,
        }
    }

    /// The side that knows what is there.
    pub fn source(&self) -> Readable {
        match self {
            Sides::Bucket(bucket) | Sides::Both(bucket, _) => Readable::Store(Box::new(bucket.clone())),
            Sides::Public(edge) => Readable::Public(edge.clone()),
        }
    }

    /// Reads a small object; `None` if it does not exist.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.source().get(key).await
    }

    /// Saves an object; `None` if it does not exist. It should have the size that is `expected`.
    pub async fn save(&self, key: &str, path: &Utf8Path, expected: &FileFacts) -> Result<Option<FileFacts>> {
        // One that was replaced may be longer.
        let limit = expected.size.saturating_mul(2).max(limits::DOWNLOAD);
        self.source().save(key, path, limit).await
    }

    /// Checks that the public address shows a small object as it is in the bucket. `name` describes such an object in a
    /// word or two.
    pub async fn shown(&self, key: &str, bytes: &[u8], name: impl Fn(&[u8]) -> Option<String>) -> Findings {
        let Sides::Both(_, edge) = self else { return Findings::default() };
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

/// The buckets, with their public addresses.
pub(super) struct Sources {
    pub cache: Sides,
    pub docs: Sides,
    pub install: Sides,
    pub releases: Sides,
}

impl Sources {
    /// The buckets, and their public addresses.
    pub fn new(site: &Site, stores: &Stores) -> Sources {
        let public = site.environment.public.as_ref();
        Sources::each(|bucket| match public {
            Some(public) => Sides::Both(stores.of(bucket).clone(), Http::new(bucket.among(public))),
            None => Sides::Bucket(stores.of(bucket).clone()),
        })
    }

    /// The buckets without their public addresses, because caches do not matter for a rollback.
    pub fn of_buckets(stores: &Stores) -> Sources {
        Sources::each(|bucket| Sides::Bucket(stores.of(bucket).clone()))
    }

    /// The public addresses alone.
    ///
    /// # Errors
    /// The environment has none.
    pub fn public(site: &Site) -> Result<Sources> {
        let public = site.environment.public.as_ref();
        let public = public.with_context(|| format!("{} has no public addresses in releng.toml", site.name))?;
        Ok(Sources::each(|bucket| Sides::Public(Http::new(bucket.among(public)))))
    }

    fn each(sides: impl Fn(Bucket) -> Sides) -> Sources {
        Sources {
            cache: sides(Bucket::Cache),
            docs: sides(Bucket::Docs),
            install: sides(Bucket::Install),
            releases: sides(Bucket::Releases),
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
