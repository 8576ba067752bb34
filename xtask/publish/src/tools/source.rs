//! Where a bucket is read: at its public address, as users do, or through S3. Refuses to write.

use anyhow::Result;
use xtask::domain::digest::FileFacts;

use super::content::Content;
use super::http::Http;
use super::store::Store;
use crate::domain::publication::serving::Served;

/// No record, manifest or page is nearly this long, in bytes.
const LIMIT: u64 = 64 << 20;

/// A bucket, for reading.
#[derive(Clone)]
pub enum Source {
    Public(Http),
    Store(Box<Store>),
}

impl Source {
    /// A small object; `None` if there is nothing.
    ///
    /// # Errors
    /// No answer, or an object that is not small.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.get_at_most(key, LIMIT).await
    }

    /// The same, up to a number of bytes.
    ///
    /// # Errors
    /// As for [`Source::get`].
    pub async fn get_at_most(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self {
            Source::Public(http) => http.get(key, limit).await,
            Source::Store(store) => store.get(key, limit).await,
        }
    }

    /// The size of an object, in bytes; `None` if there is nothing.
    ///
    /// # Errors
    /// No answer.
    pub async fn size(&self, key: &str) -> Result<Option<u64>> {
        match self {
            Source::Public(http) => http.size(key).await,
            Source::Store(store) => match store.head(key).await? {
                // What a client has is known only when it is decoded.
                Some(head) if head.served.is_encoded() => Ok(store.content(key).await?.map(|content| content.size)),
                head => Ok(head.map(|head| head.size)),
            },
        }
    }

    /// What an object is, computed while it is downloaded; `None` if there is nothing.
    ///
    /// # Errors
    /// No answer, or the download breaks again and again.
    pub async fn facts(&self, key: &str) -> Result<Option<FileFacts>> {
        let content = match self {
            Source::Public(http) => http.content(key).await?,
            Source::Store(store) => store.content(key).await?,
        };
        Ok(content.map(|Content { size, sha256, .. }| FileFacts { size, sha256 }))
    }

    /// The size of an object as it is sent, in bytes, where the server tells it, and how it is served; `None` if there is
    /// nothing.
    ///
    /// # Errors
    /// No answer.
    pub async fn look(&self, key: &str) -> Result<Option<(Option<u64>, Served)>> {
        match self {
            Source::Public(http) => Ok(http.head(key).await?.map(|headers| (headers.length(), headers.served()))),
            Source::Store(store) => Ok(store.head(key).await?.map(|head| (Some(head.size), head.served))),
        }
    }
}
