//! A bucket for reading, at its public address, as users read it, or through S3.

use anyhow::Result;
use camino::Utf8Path;
use xtask::domain::digest::FileFacts;

use super::content::Content;
use super::http::Http;
use super::store::Store;
use crate::domain::limits;
use crate::domain::serving::Served;

/// A bucket for reading.
#[derive(Clone)]
pub enum Readable {
    Public(Http),
    Store(Box<Store>),
}

impl Readable {
    /// Reads a small object; `None` if it does not exist.
    ///
    /// # Errors
    /// The server does not answer, or the object is too long.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.get_at_most(key, limits::RECORD).await
    }

    /// Reads an object of at most `limit` bytes; `None` if it does not exist.
    ///
    /// # Errors
    /// As for [`Readable::get`].
    pub async fn get_at_most(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self {
            Readable::Public(http) => http.get(key, limit).await,
            Readable::Store(store) => store.get(key, limit).await,
        }
    }

    /// Reads an object of at most `limit` bytes, with its headers in the bucket, which a cache in front may change;
    /// `None` if it does not exist.
    ///
    /// # Errors
    /// As for [`Readable::get`].
    pub async fn read(&self, key: &str, limit: u64) -> Result<Option<(Vec<u8>, Option<Served>)>> {
        Ok(match self {
            Readable::Public(http) => http.get(key, limit).await?.map(|bytes| (bytes, None)),
            Readable::Store(store) => store.read(key, limit).await?.map(|object| (object.bytes, Some(object.served))),
        })
    }

    /// Returns the decoded size of an object in bytes; `None` if it does not exist.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn size(&self, key: &str) -> Result<Option<u64>> {
        match self {
            Readable::Public(http) => http.size(key).await,
            Readable::Store(store) => match store.head(key).await? {
                // The decoded size is known only after decoding.
                Some(head) if head.served.is_encoded() => Ok(store.content(key).await?.map(|content| content.size)),
                head => Ok(head.map(|head| head.size)),
            },
        }
    }

    /// Downloads an object, and returns its size and digest; `None` if it does not exist.
    ///
    /// # Errors
    /// The server does not answer, or the download fails repeatedly.
    pub async fn facts(&self, key: &str) -> Result<Option<FileFacts>> {
        let content = match self {
            Readable::Public(http) => http.content(key).await?,
            Readable::Store(store) => store.content(key).await?,
        };
        Ok(content.map(|Content { size, sha256, .. }| FileFacts { size, sha256 }))
    }

    /// Downloads and decodes an object of at most `limit` bytes to a file; `None` if it does not exist. After an error, the
    /// file is useless.
    ///
    /// # Errors
    /// As for [`Readable::facts`]; or the object is too long, or the file cannot be written.
    pub async fn save(&self, key: &str, path: &Utf8Path, limit: u64) -> Result<Option<FileFacts>> {
        let content = match self {
            Readable::Public(http) => http.save(key, path, limit).await?,
            Readable::Store(store) => store.save(key, path, limit).await?,
        };
        Ok(content.map(|Content { size, sha256, .. }| FileFacts { size, sha256 }))
    }

    /// Where an object is, for messages.
    pub fn name(&self, key: &str) -> String {
        match self {
            Readable::Public(http) => format!("{}/{key}", http.base()),
            Readable::Store(store) => format!("s3://{}/{key}", store.bucket()),
        }
    }

    /// Returns the size of an object in bytes before decoding, if the server says it, and its headers; `None` if it
    /// does not exist.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn look(&self, key: &str) -> Result<Option<(Option<u64>, Served)>> {
        match self {
            Readable::Public(http) => Ok(http.head(key).await?.map(|headers| (headers.length(), headers.served()))),
            Readable::Store(store) => Ok(store.head(key).await?.map(|head| (Some(head.size), head.served))),
        }
    }
}
