//! Owns the conversation with one bucket of an S3 server: what lies there, whether it is what we have, and changing it.
//! Refuses to own what should lie there, in which order it is changed, and where credentials come from.
//!
//! Written for the servers behind Lix's buckets, which differ from Amazon's where it hurts:
//! * path-style addresses, and none of the SDK's newer default checksums (Garage refuses them): `Content-MD5` guards
//!   every upload instead;
//! * Garage accepts conditional writes and ignores them, so nothing here rests on them;
//! * some servers list no ETags, or ETags that are not an MD5: then our SHA-256 in the object's metadata decides, and
//!   without it the bytes do;
//! * objects may be stored encoded (`Content-Encoding`): what a client gets after decoding is their content.

mod client;
mod download;
mod listing;
mod put;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::Client;
use aws_sdk_s3::types::ServerSideEncryption;
use tokio::sync::Semaphore;

pub use self::download::{Object, Stored, decoded};

use self::client::{Attempted, is_missing};
use super::content::Content;
use super::wire::Patience;
use crate::domain::publication::serving::Served;
use xtask::domain::digest::Digest;

/// The name, in an object's metadata, of the SHA-256 of its content.
const SHA256: &str = "sha256";
/// How many mebibytes of uploads may be in memory at once.
const UPLOAD_BUDGET: usize = 128;
/// In bytes, as S3 has it.
const LONGEST_KEY: usize = 1024;

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
    /// Without quotes and without the mark of a weak one; `None` where the server lists none.
    pub etag: Option<String>,
}

/// What the server says about one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// In bytes.
    pub size: u64,
    pub served: Served,
    /// What the uploader said the SHA-256 of the content is.
    pub sha256: Option<Digest>,
    /// Without quotes.
    pub etag: Option<String>,
    /// Whether it is encrypted in a way after which its ETag says nothing of its content.
    pub is_encrypted: bool,
}

/// What can be said about an object from its [`Listed`] entry alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Same,
    Different,
    /// Same size, but the ETag is absent, or not that of our content as this program uploads it: ask [`Store::holds`].
    Unknown,
}

/// Compares a listed object with what we have, by content, without a request.
///
/// An ETag that is our MD5 decides. One that is not decides nothing: it may be the MD5 of another content, or of parts
/// other than ours, or no MD5 at all, as of objects that are encrypted with a key of the server's.
pub fn compare(listed: &Listed, content: &Content) -> Comparison {
    match listed.etag.as_deref() {
        _ if listed.size != content.size => Comparison::Different,
        Some(etag) if etag.eq_ignore_ascii_case(&content.etag()) => Comparison::Same,
        _ => Comparison::Unknown,
    }
}

/// Whether an ETag has the form of one MD5.
fn has_form_of_md5(etag: &str) -> bool {
    etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// One bucket. Cloning is cheap, and clones share connections, credentials and the memory budget of uploads.
#[derive(Clone)]
pub struct Store {
    client: Client,
    bucket: String,
    credentials: Arc<RwLock<Credentials>>,
    upload_budget: Arc<Semaphore>,
    /// Whether the server has shown this bucket to us: a 404 to `HEAD` does not say whether it is the bucket that is
    /// missing.
    is_there: Arc<AtomicBool>,
    /// Whether an ETag in the form of an MD5 was seen that is not the MD5.
    etags_are_strange: Arc<AtomicBool>,
}

impl Store {
    /// Connects lazily: nothing is sent before the first operation.
    pub fn new(endpoint: &Endpoint, credentials: Credentials, bucket: impl Into<String>) -> Self {
        Self::with_patience(endpoint, credentials, bucket, Patience::LONG)
    }

    /// The same, waiting as long as it is told to.
    pub fn with_patience(
        endpoint: &Endpoint,
        credentials: Credentials,
        bucket: impl Into<String>,
        patience: Patience,
    ) -> Self {
        let credentials = Arc::new(RwLock::new(credentials));
        Self {
            client: client::connect(endpoint, Arc::clone(&credentials), patience),
            bucket: bucket.into(),
            credentials,
            upload_budget: Arc::new(Semaphore::new(UPLOAD_BUDGET)),
            is_there: Arc::default(),
            etags_are_strange: Arc::default(),
        }
    }

    /// Another bucket on the same server with the same credentials, over the same connections.
    pub fn sibling(&self, bucket: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), is_there: Arc::default(), etags_are_strange: Arc::default(), ..self.clone() }
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

    /// One object's metadata, or `None` if there is no such object.
    pub async fn head(&self, key: &str) -> Result<Option<Head>> {
        self.check_key(key)?;
        let head = match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            Err(error) if is_missing(&error) => return self.missing(key).await.map(|()| None),
            head => self.seen(head.attempted(|| format!("cannot look at {}", self.name(key)))?),
        };
        Ok(Some(Head {
            size: size(head.content_length, || self.name(key))?,
            served: Served {
                content_type: head.content_type,
                cache_control: head.cache_control,
                content_encoding: head.content_encoding,
                content_disposition: head.content_disposition,
            },
            sha256: head.metadata.and_then(|metadata| metadata.get(SHA256)?.parse().ok()),
            etag: head.e_tag.map(unquoted).filter(|etag| !etag.is_empty()),
            is_encrypted: is_encrypted(head.server_side_encryption.as_ref(), head.sse_customer_algorithm.as_deref()),
        }))
    }

    /// Whether the object is there and has this content. Asks for the metadata and downloads only where that says
    /// nothing, or contradicts an ETag that may be an MD5.
    pub async fn holds(&self, key: &str, content: &Content) -> Result<bool> {
        match self.head(key).await? {
            Some(head) => self.is(key, &head, content).await,
            None => Ok(false),
        }
    }

    /// Whether an object that was looked at has this content.
    pub async fn is(&self, key: &str, head: &Head, content: &Content) -> Result<bool> {
        if head.served.is_encoded() {
            // Its size and ETag are those of what is stored; what a client gets is the content.
            return Ok(self.content(key).await?.is_some_and(|there| there.sha256 == content.sha256));
        }
        let listed = Listed { size: head.size, etag: head.etag.clone() };
        match compare(&listed, content) {
            Comparison::Same => return Ok(true),
            Comparison::Different => return Ok(false),
            Comparison::Unknown => {}
        }
        let may_be_md5 = !head.is_encrypted
            && !self.etags_are_strange.load(Ordering::Relaxed)
            && [head.etag.as_deref(), Some(&content.etag())].into_iter().all(|etag| etag.is_some_and(has_form_of_md5));
        match head.sha256 {
            Some(sha256) if sha256 != content.sha256 => return Ok(false),
            Some(_) if !may_be_md5 => return Ok(true),
            Some(_) | None => {}
        }
        // Our own word says "same" and the server's "different", or there is no word: the bytes decide.
        let is_same = self.content(key).await?.is_some_and(|there| there.sha256 == content.sha256);
        if is_same && may_be_md5 {
            // So the server's word was not an MD5, and there is no need to download the next one.
            self.etags_are_strange.store(true, Ordering::Relaxed);
        }
        Ok(is_same)
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

    /// Notes that the bucket is there.
    fn seen<T>(&self, answer: T) -> T {
        self.is_there.store(true, Ordering::Relaxed);
        answer
    }

    /// After a 404 to `HEAD`, which has no body to say what is missing: makes sure that it is not the bucket.
    async fn missing(&self, key: &str) -> Result<()> {
        if self.is_there.load(Ordering::Relaxed) {
            return Ok(());
        }
        match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Err(error) if is_missing(&error) => {}
            object => drop(object.attempted(|| format!("cannot look at {}", self.name(key)))?),
        }
        self.seen(());
        Ok(())
    }

    /// What S3 has no key for is refused here, because the SDK would call it a construction failure.
    fn check_key(&self, key: &str) -> Result<()> {
        ensure!(!key.is_empty(), "an object in {} is asked for without a key", self.bucket);
        ensure!(
            key.len() <= LONGEST_KEY,
            "{} is not a key of an object: S3 allows {LONGEST_KEY} bytes",
            self.name(key)
        );
        Ok(())
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

/// Whether a server encrypts with a key of its own service or of a customer: only then it says that an ETag is not an
/// MD5.
fn is_encrypted(by_service: Option<&ServerSideEncryption>, by_customer: Option<&str>) -> bool {
    by_customer.is_some() || by_service.is_some_and(|how| *how != ServerSideEncryption::Aes256)
}

fn unquoted(etag: String) -> String {
    etag.trim().trim_start_matches("W/").trim_matches('"').to_owned()
}
