//! Uploads of objects, in one request or in several parts, with bounded memory.

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
use xtask::tools::files;

use super::bucket::{Progress, Properties, SHA256, Store};
use super::client::Attempted;
use crate::tools::content::{Content, PART_SIZE};
use crate::tools::shutdown;

/// Parts of one file that are sent concurrently.
const PARALLEL_PARTS: usize = 4;
/// Time that an error waits until the server has aborted the upload.
const ABORT_LIMIT: Duration = Duration::from_secs(5);
/// Most parts that S3 allows.
const MOST_PARTS: usize = 10_000;
/// Bytes of a body that are handed to the connection at once: few enough to show progress and a stalled connection.
const CHUNK: usize = 256 << 10;

impl Store {
    /// Uploads a file to `key`. `content` comes from [`Content::of_file`]: a file that has changed since is rejected,
    /// by us or by the server.
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

    /// Uploads bytes to `key` in one request.
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
            // The signature covers Content-MD5, which covers the payload, so a third hash is unnecessary.
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
        let id =
            created.upload_id.with_context(|| format!("the server gave no identifier for the upload of {name}"))?;
        let mut upload = Multipart { store: self, key, id, abandoned: true };
        let (store, owned_key, id) = (self.clone(), key.to_owned(), upload.id.clone());
        let _begun = shutdown::on_signal(move || async move { store.abort(&owned_key, &id).await });
        let uploaded = upload.run(path, content, progress).await;
        upload.abandoned = false;
        if uploaded.is_err() {
            // The original error is reported, and a dead server must not delay it.
            let _ = tokio::time::timeout(ABORT_LIMIT, self.abort(key, &upload.id)).await;
        }
        uploaded
    }

    /// Aborts a multipart upload. Best effort: the next upload to the key finds what stays.
    async fn abort(&self, key: &str, id: &str) {
        let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(id);
        let _ = abort.send().await;
    }

    /// Aborts uploads to a key that an earlier run left unfinished, because it was killed or lost its connection. No
    /// other run uploads there, because we hold the lock. Errors are ignored: some servers cannot list uploads, some
    /// access keys may not, and the current upload is worth more than the space of old parts.
    async fn forget_unfinished(&self, key: &str) {
        let listing = self.client.list_multipart_uploads().bucket(&self.bucket).prefix(key);
        let Ok(found) = listing.send().await else { return };
        for upload in found.uploads().iter().filter(|upload| upload.key() == Some(key)) {
            if let Some(id) = upload.upload_id() {
                self.abort(key, id).await;
            }
        }
    }

    /// Waits until another `size` bytes may be held in memory.
    async fn reserve(&self, size: u64) -> Result<SemaphorePermit<'_>> {
        Ok(self.upload_budget.acquire_many(size.div_ceil(1 << 20).try_into()?).await?)
    }
}

/// A multipart upload. Dropping it early, because another upload failed, aborts it.
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
        // `open_file` rejects pipes, for which opening would wait for a writer.
        let (file, _) = files::open_file(&path).with_context(|| format!("cannot upload {path}"))?;
        file.read_exact_at(&mut bytes, start)
            .with_context(|| format!("cannot read {length} bytes of {path} from byte {start}: has it changed?"))?;
        Ok(bytes.into())
    };
    tokio::task::spawn_blocking(reading).await?
}

/// Makes a body that can be sent again, and that reports the bytes that the connection took.
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
