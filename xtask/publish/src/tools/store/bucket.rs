//! One bucket: looking at objects, comparing them with our content, and deleting them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::Client;
use aws_sdk_s3::types::ServerSideEncryption;
use tokio::sync::Semaphore;
use xtask::domain::digest::Digest;

use super::client::{self, Attempted, Credentials, Endpoint, is_missing};
use crate::domain::serving::Served;
use crate::tools::content::Content;
use crate::tools::wire::Patience;

/// Name in an object's metadata of the SHA-256 of its content.
pub(super) const SHA256: &str = "sha256";
/// Most memory for concurrent uploads, in MiB.
const UPLOAD_BUDGET: usize = 128;
/// Longest key that S3 allows, in bytes.
const LONGEST_KEY: usize = 1024;

/// The headers with which an object is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Properties {
    /// `Content-Type` of the object.
    pub content_type: String,
    /// `Cache-Control` of the object.
    pub cache_control: String,
}

/// Called with the number of bytes handed to the network since the last call, negative when an attempt failed and its
/// bytes are sent again.
pub type Progress = Arc<dyn Fn(i64) + Send + Sync>;

/// A listing: what the server says about each key.
pub type Listing = BTreeMap<String, Listed>;

/// One entry of a [`Listing`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Size of the object in bytes, as stored.
    pub size: u64,
    /// ETag without quotes and without the mark of a weak one; `None` if the server does not list it.
    pub etag: Option<String>,
}

/// What the server says about one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Size of the object in bytes, as stored.
    pub size: u64,
    pub served: Served,
    /// SHA-256 of the content, as the uploader stated it.
    pub sha256: Option<Digest>,
    /// ETag without quotes.
    pub etag: Option<String>,
    /// Whether it is encrypted so that its ETag says nothing about its content.
    pub is_encrypted: bool,
}

/// The comparison of an object with our content by its [`Listed`] entry alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Same,
    Different,
    /// Same size, but the ETag is missing, or not the one that our upload would have: ask [`Store::holds`].
    Unknown,
}

/// Compares a listed object with our content, without a request.
///
/// Our MD5 as ETag decides. Any other ETag decides nothing: it may be the MD5 of other content, or of parts of another
/// size, or not an MD5 at all, as for objects that the server encrypts.
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
    pub(super) client: Client,
    pub(super) bucket: String,
    credentials: Arc<RwLock<Credentials>>,
    pub(super) upload_budget: Arc<Semaphore>,
    /// Whether the bucket is known to exist: a 404 to `HEAD` may mean that the bucket is missing.
    is_there: Arc<AtomicBool>,
    /// Whether an ETag was seen that looks like an MD5 and is not the content's MD5.
    etags_are_strange: Arc<AtomicBool>,
}

impl Store {
    /// Opens a bucket, with the usual patience. Nothing is sent before the first operation.
    pub fn new(endpoint: &Endpoint, credentials: Credentials, bucket: impl Into<String>) -> Self {
        Self::with_patience(endpoint, credentials, bucket, Patience::LONG)
    }

    /// Opens a bucket, with the given patience.
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

    /// Opens another bucket on the same server with the same credentials, over the same connections.
    pub fn sibling(&self, bucket: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), is_there: Arc::default(), etags_are_strange: Arc::default(), ..self.clone() }
    }

    /// Name of the bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Signs later requests, also those of clones and siblings, with another access key, because keys may expire during
    /// a long upload.
    pub fn renew(&self, credentials: Credentials) {
        *self.credentials.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = credentials;
    }

    /// Reads an object's metadata; `None` if it does not exist.
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

    /// Whether the object exists with this content. Asks for its metadata, and downloads it only if that says nothing,
    /// or contradicts an ETag that may be an MD5.
    pub async fn holds(&self, key: &str, content: &Content) -> Result<bool> {
        match self.head(key).await? {
            Some(head) => self.is(key, &head, content).await,
            None => Ok(false),
        }
    }

    /// Whether an object with this metadata has this content.
    pub async fn is(&self, key: &str, head: &Head, content: &Content) -> Result<bool> {
        if head.served.is_encoded() {
            // Its size and ETag are those of the encoded bytes; the content is what a client gets.
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
        // Our metadata says "same" and the ETag "different", or there is no metadata: the bytes decide.
        let is_same = self.content(key).await?.is_some_and(|there| there.sha256 == content.sha256);
        if is_same && may_be_md5 {
            // So the ETag was not an MD5, and the next object need not be downloaded.
            self.etags_are_strange.store(true, Ordering::Relaxed);
        }
        Ok(is_same)
    }

    /// Deletes an object, if it exists.
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

    /// Notes that the bucket exists, and returns the answer that showed it.
    pub(super) fn seen<T>(&self, answer: T) -> T {
        self.is_there.store(true, Ordering::Relaxed);
        answer
    }

    /// Makes sure, after a 404 to `HEAD`, that it is not the bucket that is missing: the answer has no body to say so.
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

    /// Rejects keys that S3 does not allow, because the SDK would call them a construction failure.
    pub(super) fn check_key(&self, key: &str) -> Result<()> {
        ensure!(!key.is_empty(), "a key in {} is empty", self.bucket);
        ensure!(key.len() <= LONGEST_KEY, "the key {} is too long: S3 allows {LONGEST_KEY} bytes", self.name(key));
        Ok(())
    }

    /// Name of an object in messages.
    pub(super) fn name(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }
}

pub(super) fn size(size: Option<i64>, name: impl FnOnce() -> String) -> Result<u64> {
    size.and_then(|size| size.try_into().ok())
        .with_context(|| format!("the server did not give the size of {}", name()))
}

/// Whether the server encrypts with a key of its key service or of a customer, so that the ETag is known not to be an
/// MD5.
fn is_encrypted(by_service: Option<&ServerSideEncryption>, by_customer: Option<&str>) -> bool {
    by_customer.is_some() || by_service.is_some_and(|how| *how != ServerSideEncryption::Aes256)
}

pub(super) fn unquoted(etag: String) -> String {
    etag.trim().trim_start_matches("W/").trim_matches('"').to_owned()
}
