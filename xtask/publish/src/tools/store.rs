//! Owns the conversation with one bucket of an S3 server: what lies there, whether it is what we have, and changing it.
//! Refuses to own what should lie there, in which order it is changed, and where credentials come from.
//!
//! Written for the servers behind Lix's buckets, which differ from Amazon's where it hurts:
//! * path-style addresses, and none of the SDK's newer default checksums (Garage refuses them): `Content-MD5` guards
//!   every upload instead;
//! * Garage accepts conditional writes and ignores them, so nothing here rests on them;
//! * some servers list no ETags, or ETags that are no MD5: then our SHA-256 in the object's metadata decides, and
//!   without it the bytes do.

mod client;
mod put;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use anyhow::{Context, Result, anyhow, ensure};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use tokio::sync::Semaphore;

use self::client::{Attempted, is_missing};
use super::content::{Content, Hasher};
use xtask::domain::digest::Digest;

/// The name, in an object's metadata, of the SHA-256 of its content.
const SHA256: &str = "sha256";
/// How often a download is started again after its stream broke. Requests are retried by the client; the bytes after a
/// response are not.
const DOWNLOADS: u32 = 5;
/// How many mebibytes of uploads may be in memory at once.
const UPLOAD_BUDGET: usize = 128;

/// Where an S3 server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://HOST[:PORT]`, or `http://…` on loopback.
    pub url: String,
    /// Part of every signature: a wrong one is refused.
    pub region: String,
}

/// An access key. It lives in memory, and `Debug` shows only its public half.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The public half.
    pub id: String,
    /// The secret half.
    pub secret: String,
    /// What temporary AWS credentials carry besides; Garage has none.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How an object is served to whoever downloads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Properties {
    /// Its `Content-Type`.
    pub content_type: String,
    /// Its `Cache-Control`.
    pub cache_control: String,
}

/// Told the bytes handed to the network since the last call; negative when an attempt failed and its bytes are sent
/// again.
pub type Progress = Arc<dyn Fn(i64) + Send + Sync>;

/// A listing: what the server says about each key.
pub type Listing = BTreeMap<String, Listed>;

/// One entry of a [`Listing`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// In bytes.
    pub size: u64,
    /// Without quotes; `None` where the server lists none.
    pub etag: Option<String>,
}

/// What the server says about one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// In bytes.
    pub size: u64,
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    /// What the uploader said the SHA-256 of the content is.
    pub sha256: Option<Digest>,
    /// Without quotes.
    pub etag: Option<String>,
}

/// What can be said about an object from its [`Listed`] entry alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Same,
    Different,
    /// Same size, but the ETag is absent or made from parts other than ours: ask [`Store::holds`].
    Unknown,
}

/// Compares a listed object with what we have, by content, without a request.
///
/// An ETag of 32 hexadecimal digits is taken for the MD5 of the content, as Garage, Amazon (but for objects encrypted
/// with KMS) and most others have it.
pub fn compare(listed: &Listed, content: &Content) -> Comparison {
    let is_md5 = |etag: &str| etag.len() == 32 && etag.bytes().all(|b| b.is_ascii_hexdigit());
    let ours = content.etag();
    match listed.etag.as_deref() {
        _ if listed.size != content.size => Comparison::Different,
        Some(etag) if etag.eq_ignore_ascii_case(&ours) => Comparison::Same,
        Some(etag) if is_md5(etag) && is_md5(&ours) => Comparison::Different,
        _ => Comparison::Unknown,
    }
}

/// One bucket. Cloning is cheap, and clones share connections, credentials and the memory budget of uploads.
#[derive(Clone)]
pub struct Store {
    client: Client,
    bucket: String,
    credentials: Arc<RwLock<Credentials>>,
    upload_budget: Arc<Semaphore>,
}

impl Store {
    /// Connects lazily: nothing is sent before the first operation.
    pub fn new(endpoint: &Endpoint, credentials: Credentials, bucket: impl Into<String>) -> Self {
        let credentials = Arc::new(RwLock::new(credentials));
        Self {
            client: client::connect(endpoint, Arc::clone(&credentials)),
            bucket: bucket.into(),
            credentials,
            upload_budget: Arc::new(Semaphore::new(UPLOAD_BUDGET)),
        }
    }

    /// Another bucket on the same server with the same credentials, over the same connections.
    pub fn sibling(&self, bucket: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), ..self.clone() }
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Signs every later request, of clones and siblings too, with another access key: for keys that run out during a
    /// long upload.
    pub fn renew(&self, credentials: Credentials) {
        *self.credentials.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = credentials;
    }

    /// Everything whose key starts with `prefix`: a request for each 1,000 objects.
    pub async fn list(&self, prefix: &str) -> Result<Listing> {
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        let mut listing = Listing::new();
        while let Some(page) = pages.next().await {
            let page = page.attempted(|| format!("cannot list {}", self.name(prefix)))?;
            for object in page.contents.unwrap_or_default() {
                let key = object
                    .key
                    .with_context(|| format!("{} was listed with an object that has no key", self.name(prefix)))?;
                let size = size(object.size, || self.name(&key))?;
                listing.insert(key, Listed { size, etag: object.e_tag.map(unquoted) });
            }
        }
        Ok(listing)
    }

    /// The directories that start with `prefix`, without the slash at their ends: one request for each 1,000 of them,
    /// however much is in them.
    pub async fn directories(&self, prefix: &str) -> Result<Vec<String>> {
        let listing = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).delimiter("/");
        let mut pages = listing.into_paginator().send();
        let mut directories = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.attempted(|| format!("cannot list {}", self.name(prefix)))?;
            let found = page.common_prefixes.unwrap_or_default().into_iter().filter_map(|common| common.prefix);
            directories.extend(found.map(|directory| directory.trim_end_matches('/').to_owned()));
        }
        Ok(directories)
    }

    /// One object's metadata, or `None` if there is no such object (or no such bucket: `HEAD` cannot tell).
    pub async fn head(&self, key: &str) -> Result<Option<Head>> {
        let head = match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            Err(error) if is_missing(&error) => return Ok(None),
            head => head.attempted(|| format!("cannot look at {}", self.name(key)))?,
        };
        Ok(Some(Head {
            size: size(head.content_length, || self.name(key))?,
            content_type: head.content_type,
            cache_control: head.cache_control,
            sha256: head.metadata.and_then(|metadata| metadata.get(SHA256)?.parse().ok()),
            etag: head.e_tag.map(unquoted),
        }))
    }

    /// One object's bytes, or `None` if there is no such object. An object of more than `limit` bytes is an error.
    pub async fn get(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let start = |size| {
            ensure!(size <= limit, "{} has {size} bytes, but at most {limit} were expected", self.name(key));
            Ok(Vec::with_capacity(size as usize))
        };
        self.download(key, start, |bytes, chunk| bytes.extend_from_slice(chunk)).await
    }

    /// One object's content, computed from its bytes as they are downloaded, or `None` if there is no such object.
    pub async fn content(&self, key: &str) -> Result<Option<Content>> {
        let hasher = self.download(key, |size| Ok(Hasher::new(size)), Hasher::update).await?;
        Ok(hasher.map(Hasher::finish))
    }

    /// One object's size and its bytes as they come, or `None` if there is no such object. A stream that breaks stays
    /// broken.
    pub async fn stream(&self, key: &str) -> Result<Option<(u64, ByteStream)>> {
        let object = match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Err(error) if is_missing(&error) => return Ok(None),
            object => object.attempted(|| format!("cannot download {}", self.name(key)))?,
        };
        Ok(Some((size(object.content_length, || self.name(key))?, object.body)))
    }

    /// Whether the object is there and has this content. Asks for the metadata and downloads only where that says
    /// nothing.
    pub async fn holds(&self, key: &str, content: &Content) -> Result<bool> {
        let Some(head) = self.head(key).await? else { return Ok(false) };
        let listed = Listed { size: head.size, etag: head.etag };
        match (compare(&listed, content), head.sha256) {
            (Comparison::Same, _) => Ok(true),
            (Comparison::Different, _) => Ok(false),
            (Comparison::Unknown, Some(sha256)) => Ok(sha256 == content.sha256),
            (Comparison::Unknown, None) => {
                Ok(self.content(key).await?.is_some_and(|there| there.sha256 == content.sha256))
            }
        }
    }

    /// Deletes one object. That it was not there is no error.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.client
            .delete_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
            .attempted(|| format!("cannot delete {}", self.name(key)))?;
        Ok(())
    }

    /// Streams an object into what `start` makes of its size, from the beginning again when the stream breaks.
    async fn download<T>(
        &self,
        key: &str,
        start: impl Fn(u64) -> Result<T>,
        take: impl Fn(&mut T, &[u8]),
    ) -> Result<Option<T>> {
        let mut attempt = 1;
        loop {
            let object = match self.client.get_object().bucket(&self.bucket).key(key).send().await {
                Err(error) if is_missing(&error) => return Ok(None),
                object => object.attempted(|| format!("cannot download {}", self.name(key)))?,
            };
            let size = size(object.content_length, || self.name(key))?;
            let (mut sink, mut received, mut body) = (start(size)?, 0, object.body);
            let broken = loop {
                match body.next().await {
                    Some(Ok(chunk)) => {
                        received += chunk.len() as u64;
                        take(&mut sink, &chunk);
                    }
                    None if received == size => return Ok(Some(sink)),
                    None => break anyhow!("the server closed the connection"),
                    Some(Err(error)) => break error.into(),
                }
            };
            if attempt == DOWNLOADS {
                let name = self.name(key);
                return Err(broken.context(format!(
                    "cannot download {name}: it broke off {DOWNLOADS} times, at last after {received} of {size} bytes"
                )));
            }
            tokio::time::sleep(client::backoff(attempt)).await;
            attempt += 1;
        }
    }

    /// How messages call an object.
    fn name(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }
}

fn size(size: Option<i64>, name: impl FnOnce() -> String) -> Result<u64> {
    size.and_then(|size| size.try_into().ok())
        .with_context(|| format!("the server did not tell the size of {}", name()))
}

fn unquoted(etag: String) -> String {
    etag.trim_matches('"').to_owned()
}
