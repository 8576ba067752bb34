//! Downloads of objects: decoded, restarted when the stream breaks, and limited in size.

use anyhow::{Context, Result, anyhow, ensure};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use camino::Utf8Path;
use xtask::tools::term;

use super::bucket::{Store, size};
use super::client::{Attempted, backoff, is_missing};
use crate::domain::serving::{Served, is_text};
use crate::tools::content::{Content, Download};
use crate::tools::encoding::Encodings;
use crate::tools::unusable::Unusable;
use crate::tools::wire::{CannotAsk, cannot_be_asked};

/// Attempts at a download whose stream breaks. The SDK retries requests, but not the bodies of answers.
const DOWNLOADS: u32 = 5;
/// Attempts at a download that stalls, which takes longer.
const STALLED_DOWNLOADS: u32 = 3;
/// Bytes by which the encoded form of something small may exceed the decoded one.
const ENCODING_OVERHEAD: u64 = 64 << 10;
/// Most bytes that something stored with an encoding may decode to.
const DECODED_LIMIT: u64 = 16 << 30;

/// A small object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The decoded bytes.
    pub bytes: Vec<u8>,
    pub served: Served,
}

/// An object as it is stored, with a body that has not been read yet.
pub struct Stored {
    /// Size in bytes, as stored.
    pub size: u64,
    pub served: Served,
    pub body: ByteStream,
}

impl Store {
    /// Downloads and decodes an object; `None` if it does not exist. More than `limit` bytes are an error.
    pub async fn get(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.read(key, limit).await?.map(|object| object.bytes))
    }

    /// Downloads and decodes an object of at most `limit` bytes, and returns it with its headers.
    pub async fn read(&self, key: &str, limit: u64) -> Result<Option<Object>> {
        let start = |size, served: &Served| {
            let limit = if served.is_encoded() { limit.saturating_add(ENCODING_OVERHEAD) } else { limit };
            bounded(size, limit).with_context(|| format!("cannot read {}", self.name(key)))?;
            Ok(Vec::new())
        };
        let take = |bytes: &mut Vec<u8>, chunk: &[u8]| {
            bytes.extend_from_slice(chunk);
            Ok(())
        };
        let Some((bytes, served)) = self.download(key, start, take).await? else { return Ok(None) };
        let bytes = decoded(&self.name(key), key, bytes, &served, limit)?;
        Ok(Some(Object { bytes, served }))
    }

    /// Downloads and decodes an object of any size, and returns the facts about it; `None` if it does not exist.
    pub async fn content(&self, key: &str) -> Result<Option<Content>> {
        self.digest(key, u64::MAX, None).await
    }

    /// Downloads and decodes an object of at most `limit` bytes to a file, and returns the facts about it; `None` if it
    /// does not exist. After an error, the file is useless.
    pub async fn save(&self, key: &str, path: &Utf8Path, limit: u64) -> Result<Option<Content>> {
        self.digest(key, limit, Some(path)).await
    }

    /// Opens an object as it is stored; `None` if it does not exist. A stream that breaks is not restarted.
    pub async fn stream(&self, key: &str) -> Result<Option<Stored>> {
        let Some(object) = self.open(key).await? else { return Ok(None) };
        let (size, served) = (size(object.content_length, || self.name(key))?, served(&object));
        Ok(Some(Stored { size, served, body: object.body }))
    }

    async fn digest(&self, key: &str, limit: u64, path: Option<&Utf8Path>) -> Result<Option<Content>> {
        let name = self.name(key);
        let start = |size: u64, served: &Served| {
            let expected = if served.is_encoded() { limit.saturating_add(ENCODING_OVERHEAD) } else { limit };
            let encodings = bounded(size, expected).and_then(|()| Encodings::parse(served.content_encoding.as_deref()));
            let encodings = encodings.with_context(|| format!("cannot read {name}"))?;
            Download::begin(size, encodings, path)
        };
        let Some((download, _)) = self.download(key, start, |download, chunk| download.take(chunk)).await? else {
            return Ok(None);
        };
        download.finish(limit.min(DECODED_LIMIT)).await.with_context(|| format!("cannot read {name}")).map(Some)
    }

    async fn open(&self, key: &str) -> Result<Option<GetObjectOutput>> {
        self.check_key(key)?;
        match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Err(error) if is_missing(&error) => Ok(None),
            object => {
                let object = object.attempted(|| format!("cannot download {}", self.name(key)))?;
                Ok(Some(self.seen(object)))
            }
        }
    }

    /// Streams an object into the sink that `start` makes, and starts again with a new one when the stream breaks.
    async fn download<T>(
        &self,
        key: &str,
        start: impl Fn(u64, &Served) -> Result<T>,
        take: impl Fn(&mut T, &[u8]) -> Result<()>,
    ) -> Result<Option<(T, Served)>> {
        let mut attempt = 1;
        loop {
            let Some(object) = self.open(key).await? else { return Ok(None) };
            let (size, served) = (size(object.content_length, || self.name(key))?, served(&object));
            let (mut sink, mut received, mut body) = (start(size, &served)?, 0, object.body);
            let broken = loop {
                match body.next().await {
                    Some(Ok(chunk)) => {
                        received += chunk.len() as u64;
                        ensure!(
                            received <= size,
                            "{} has more than the {size} bytes that the server announced",
                            self.name(key)
                        );
                        take(&mut sink, &chunk)?;
                    }
                    None if received == size => return Ok(Some((sink, served))),
                    None => break anyhow!("the server closed the connection"),
                    Some(Err(error)) => break broken(error.into()),
                }
            };
            let attempts = if cannot_be_asked(&broken) { STALLED_DOWNLOADS } else { DOWNLOADS };
            if attempt >= attempts {
                let name = self.name(key);
                return Err(anyhow::Error::new(CannotAsk(format!("{broken:#}"))).context(format!(
                    "cannot download {name}: it broke off {attempts} times, the last after {received} of {size} bytes"
                )));
            }
            tokio::time::sleep(backoff(attempt)).await;
            attempt += 1;
        }
    }
}

fn bounded(size: u64, limit: u64) -> Result<()> {
    ensure!(size <= limit, Unusable(format!("it has {size} bytes, but at most {limit} were expected")));
    Ok(())
}

/// Returns the headers of an object.
fn served(object: &GetObjectOutput) -> Served {
    Served {
        content_type: object.content_type.clone(),
        cache_control: object.cache_control.clone(),
        content_encoding: object.content_encoding.clone(),
        content_disposition: object.content_disposition.clone(),
    }
}

/// Returns why a stream broke, in the wire's own words if it has some.
fn broken(error: anyhow::Error) -> anyhow::Error {
    match error.chain().find_map(|cause| cause.downcast_ref::<CannotAsk>()) {
        Some(why) => why.clone().into(),
        None => error,
    }
}

/// Decodes bytes that were read. Our own texts are decoded even if the header that names the encoding was lost, because
/// releases depend on them; a warning says that other programs cannot read them.
///
/// # Errors
/// The bytes are damaged, have an unknown encoding, or decode to more than `limit` bytes.
pub fn decoded(name: &str, key: &str, bytes: Vec<u8>, served: &Served, limit: u64) -> Result<Vec<u8>> {
    let reading = || format!("cannot read {name}");
    let mut encodings = Encodings::parse(served.content_encoding.as_deref()).with_context(reading)?;
    if encodings.is_identity() && is_text(key) {
        encodings = Encodings::by_magic_number(&bytes);
        if !encodings.is_identity() {
            term::warn(format_args!(
                "{name} is stored as {encodings} without a Content-Encoding: other programs cannot read it"
            ));
        }
    }
    encodings.decoded(bytes, limit).with_context(reading)
}
