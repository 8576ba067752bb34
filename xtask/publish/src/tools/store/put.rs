//! Owns uploads: one request, or several parts with bounded memory. Refuses to own the decision whether an upload is
//! needed.

use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use camino::Utf8Path;
use futures_util::{StreamExt, TryStreamExt, stream};
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::SemaphorePermit;

use super::client::Attempted;
use super::{Progress, Properties, SHA256, Store};
use crate::tools::content::{Content, PART_SIZE};
use crate::tools::shutdown;
use xtask::tools::files;

/// Parts of one file on their way at once.
const PARALLEL_PARTS: usize = 4;
/// How long an error waits for the server to forget the parts of an upload.
const ABORT_LIMIT: Duration = Duration::from_secs(5);
/// The most parts S3 allows.
const MOST_PARTS: usize = 10_000;
/// How much of a body is handed to the connection at once: small enough that progress moves and a stalled line shows.
const CHUNK: usize = 256 << 10;

impl Store {
    /// Uploads a file, replacing what lies under `key`. `content` is what [`Content::of_file`] said about it: a file
    /// that has changed since is refused, by us or by the server.
    pub async fn put_file(
        &self,
        key: &str,
        path: &Utf8Path,
        content: &Content,
        properties: &Properties,
        progress: &Progress,
    ) -> Result<()> {
        let [md5] = content.md5s.as_slice() else {
            return self.put_parts(key, path, content, properties, progress).await;
        };
        let _permit = self.reserve(content.size).await?;
        let bytes = read(path, 0, content.size).await?;
        self.put(key, bytes, *md5, content, properties, progress).await
    }

    /// Uploads bytes in one request, replacing what lies under `key`.
    pub async fn put_bytes(&self, key: &str, bytes: impl Into<Bytes>, properties: &Properties) -> Result<()> {
        let bytes = bytes.into();
        let content = Content::of_bytes(&bytes);
        let [md5] = content.md5s.as_slice() else {
            anyhow::bail!(
                "{} bytes for {} are too many for one request: write them to a file",
                content.size,
                self.name(key)
            );
        };
        let silent: Progress = Arc::new(|_| ());
        self.put(key, bytes, *md5, &content, properties, &silent).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        md5: [u8; 16],
        content: &Content,
        properties: &Properties,
        progress: &Progress,
    ) -> Result<()> {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(&properties.content_type)
            .cache_control(&properties.cache_control)
            .content_md5(BASE64.encode(md5))
            .metadata(SHA256, content.sha256.to_string())
            .body(body(bytes, progress))
            .customize()
            // The signature covers Content-MD5, which covers the payload: no third hash of the same bytes.
            .disable_payload_signing()
            .send()
            .await
            .attempted(|| format!("cannot upload {}", self.name(key)))?;
        Ok(())
    }

    async fn put_parts(
        &self,
        key: &str,
        path: &Utf8Path,
        content: &Content,
        properties: &Properties,
        progress: &Progress,
    ) -> Result<()> {
        let name = self.name(key);
        ensure!(content.md5s.len() <= MOST_PARTS, "{path} is too large to upload: {} bytes", content.size);
        self.forget_unfinished(key).await;
        let created = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .content_type(&properties.content_type)
            .cache_control(&properties.cache_control)
            .metadata(SHA256, content.sha256.to_string())
            .send()
            .await
            .attempted(|| format!("cannot begin the upload of {name}"))?;
        let id = created.upload_id.with_context(|| format!("the server gave the upload of {name} no identifier"))?;
        let mut upload = Multipart { store: self, key, id, abandoned: true };
        let (store, owned_key, id) = (self.clone(), key.to_owned(), upload.id.clone());
        let _begun = shutdown::on_signal(move || async move { store.abort(&owned_key, &id).await });
        let uploaded = upload.run(path, content, progress).await;
        upload.abandoned = false;
        if uploaded.is_err() {
            // The error is the one to tell, and a server that is gone keeps nobody waiting.
            let _ = tokio::time::timeout(ABORT_LIMIT, self.abort(key, &upload.id)).await;
        }
        uploaded
    }

    /// Tells the server to forget the parts of an upload. Best effort: what stays is found by the next upload there.
    async fn abort(&self, key: &str, id: &str) {
        let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(id);
        let _ = abort.send().await;
    }

    /// Aborts what an earlier run began to upload under a key and had no time to abort: it was killed, or lost its line.
    /// Nobody else uploads there, because we hold the lock. Some servers cannot list uploads, and some keys may not: the
    /// upload at hand is worth more than the room that old parts take.
    async fn forget_unfinished(&self, key: &str) {
        let listing = self.client.list_multipart_uploads().bucket(&self.bucket).prefix(key);
        let Ok(found) = listing.send().await else { return };
        for upload in found.uploads().iter().filter(|upload| upload.key() == Some(key)) {
            if let Some(id) = upload.upload_id() {
                self.abort(key, id).await;
            }
        }
    }

    /// Waits until `size` bytes more may be in memory.
    async fn reserve(&self, size: u64) -> Result<SemaphorePermit<'_>> {
        Ok(self.upload_budget.acquire_many(size.div_ceil(1 << 20).try_into()?).await?)
    }
}

/// An upload in parts. Dropped before its end, because a sibling failed, it tells the server to forget the parts.
struct Multipart<'a> {
    store: &'a Store,
    key: &'a str,
    id: String,
    abandoned: bool,
}

impl Multipart<'_> {
    async fn run(&self, path: &Utf8Path, content: &Content, progress: &Progress) -> Result<()> {
        let Store { client, bucket, .. } = self.store;
        let parts = stream::iter(0..content.md5s.len())
            .map(|index| self.part(path, content, index, progress))
            .buffered(PARALLEL_PARTS)
            .try_collect()
            .await?;
        client
            .complete_multipart_upload()
            .bucket(bucket)
            .key(self.key)
            .upload_id(&self.id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .send()
            .await
            .attempted(|| format!("cannot finish the upload of {}", self.store.name(self.key)))?;
        Ok(())
    }

    async fn part(
        &self,
        path: &Utf8Path,
        content: &Content,
        index: usize,
        progress: &Progress,
    ) -> Result<CompletedPart> {
        let start = index as u64 * PART_SIZE;
        let length = PART_SIZE.min(content.size - start);
        let number = i32::try_from(index + 1)?;
        let _permit = self.store.reserve(length).await?;
        let bytes = read(path, start, length).await?;
        let uploaded = self
            .store
            .client
            .upload_part()
            .bucket(&self.store.bucket)
            .key(self.key)
            .upload_id(&self.id)
            .part_number(number)
            .content_md5(BASE64.encode(content.md5s[index]))
            .body(body(bytes, progress))
            .customize()
            .disable_payload_signing()
            .send()
            .await
            .attempted(|| format!("cannot upload part {number} of {}", self.store.name(self.key)))?;
        Ok(CompletedPart::builder().part_number(number).set_e_tag(uploaded.e_tag).build())
    }
}

impl Drop for Multipart<'_> {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.abandoned {
            let (store, key, id) = (self.store.clone(), self.key.to_owned(), self.id.clone());
            runtime.spawn(async move { store.abort(&key, &id).await });
        }
    }
}

async fn read(path: &Utf8Path, start: u64, length: u64) -> Result<Bytes> {
    let path = path.to_owned();
    let reading = move || {
        let mut bytes = vec![0; length as usize];
        // Never a pipe, on which opening waits for a writer.
        let (file, _) = files::open_file(&path).with_context(|| format!("cannot upload {path}"))?;
        file.read_exact_at(&mut bytes, start)
            .with_context(|| format!("cannot read {length} bytes of {path} from byte {start} on: has it changed?"))?;
        Ok(bytes.into())
    };
    tokio::task::spawn_blocking(reading).await?
}

/// A body that can be sent again, and that reports what the connection took from it.
fn body(bytes: Bytes, progress: &Progress) -> ByteStream {
    let (progress, sent) = (Arc::clone(progress), Arc::new(AtomicI64::new(0)));
    ByteStream::new(SdkBody::retryable(move || {
        let wasted = sent.swap(0, Ordering::Relaxed);
        if wasted > 0 {
            progress(-wasted);
        }
        SdkBody::from_body_1_x(Reported {
            rest: bytes.clone(),
            sent: Arc::clone(&sent),
            progress: Arc::clone(&progress),
        })
    }))
}

struct Reported {
    rest: Bytes,
    sent: Arc<AtomicI64>,
    progress: Progress,
}

impl Body for Reported {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(CHUNK);
        let chunk = self.rest.split_to(length);
        self.sent.fetch_add(length as i64, Ordering::Relaxed);
        (self.progress)(length as i64);
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
