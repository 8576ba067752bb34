//! Owns downloads: one object at a time, decoded, started again when its stream breaks, and never more than expected.

use anyhow::{Context, Result, anyhow, ensure};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use camino::Utf8Path;
use xtask::tools::term;

use super::client::{Attempted, backoff, is_missing};
use super::{Store, size};
use crate::domain::publication::serving::{Served, is_text};
use crate::tools::content::{Content, Download};
use crate::tools::encoding::Encodings;
use crate::tools::unusable::Unusable;
use crate::tools::wire::{CannotAsk, cannot_be_asked};

/// How often a download is started again after its stream broke. Requests are retried by the client; the bytes after a
/// response are not.
const DOWNLOADS: u32 = 5;
/// And after it stalled, which takes longer.
const STALLED_DOWNLOADS: u32 = 3;
/// So much more than it decodes to may an encoding of something small have, in bytes.
const ENCODING_OVERHEAD: u64 = 64 << 10;
/// Nothing that is stored encoded has more bytes than this when it is decoded.
const DECODED_LIMIT: u64 = 16 << 30;

/// A small object that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// As a client has them, decoded.
    pub bytes: Vec<u8>,
    pub served: Served,
}

/// An object as it is stored, on its way.
pub struct Stored {
    /// In bytes.
    pub size: u64,
    pub served: Served,
    pub body: ByteStream,
}

impl Store {
    /// One object's bytes, decoded, or `None` if there is no such object. An object of more than `limit` bytes is an
    /// error.
    pub async fn get(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.read(key, limit).await?.map(|object| object.bytes))
    }

    /// The same, with how it is served.
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

    /// One object's content, computed from its decoded bytes as they are downloaded, or `None` if there is no such
    /// object.
    pub async fn content(&self, key: &str) -> Result<Option<Content>> {
        self.digest(key, u64::MAX, None).await
    }

    /// Downloads an object of at most `limit` bytes to a file, decoded; gives its content, or `None` if there is no such
    /// object. What is in the file after an error is of no use.
    pub async fn save(&self, key: &str, path: &Utf8Path, limit: u64) -> Result<Option<Content>> {
        self.digest(key, limit, Some(path)).await
    }

    /// One object as it is stored, or `None` if there is no such object. A stream that breaks stays broken.
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

    /// Streams an object into what `start` makes of its size, from the beginning again when the stream breaks.
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
                        ensure!(received <= size, "{} has more bytes than the server said, {size}", self.name(key));
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
                    "cannot download {name}: it broke off {attempts} times, at last after {received} of {size} bytes"
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

/// What is served with an object.
fn served(object: &GetObjectOutput) -> Served {
    Served {
        content_type: object.content_type.clone(),
        cache_control: object.cache_control.clone(),
        content_encoding: object.content_encoding.clone(),
        content_disposition: object.content_disposition.clone(),
    }
}

/// Why a stream broke, in the words of the wire if it has some.
fn broken(error: anyhow::Error) -> anyhow::Error {
    match error.chain().find_map(|cause| cause.downcast_ref::<CannotAsk>()) {
        Some(why) => why.clone().into(),
        None => error,
    }
}

/// Decodes what was read. Our own texts are also read where the encoding is there and the header that names it was lost:
/// what they guard matters more than that nobody else can read them, which is said.
///
/// # Errors
/// It is damaged, encoded in an unknown way, or more than `limit` bytes.
pub fn decoded(name: &str, key: &str, bytes: Vec<u8>, served: &Served, limit: u64) -> Result<Vec<u8>> {
    let reading = || format!("cannot read {name}");
    let mut encodings = Encodings::parse(served.content_encoding.as_deref()).with_context(reading)?;
    if encodings.is_identity() && is_text(key) {
        encodings = Encodings::by_magic_number(&bytes);
        if !encodings.is_identity() {
            term::warn(format_args!(
                "{name} is stored as {encodings} and does not say so: other programs cannot read it"
            ));
        }
    }
    encodings.decoded(bytes, limit).with_context(reading)
}
