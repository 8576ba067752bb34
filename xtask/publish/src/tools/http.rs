//! A client for public addresses, which reads them as a user's machine does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use camino::Utf8Path;
use futures_util::future::BoxFuture;

use super::address;
use super::content::{Content, Download};
use super::encoding::Encodings;
use super::store::decoded;
use super::unusable::Unusable;
use super::wire::{CannotAsk, Patience, Waited, Wire, cannot_be_asked};
use crate::domain::serving::Served;

const ATTEMPTS: u32 = 4;
/// Time limit for a look that is not worth a wait.
pub(super) const SHORT_PATIENCE: Duration = Duration::from_secs(10);
/// Most redirects to follow.
const REDIRECTS: u32 = 10;
/// Number of failed requests in a row after which no further one is sent. Otherwise a server that is down would cost
/// the full wait for each of a thousand pages.
const GIVEN_UP: usize = 4;
/// Bytes by which the encoded form of something small may exceed the decoded one.
const ENCODING_OVERHEAD: u64 = 64 << 10;
/// Most bytes that something served with an encoding may decode to.
const DECODED_LIMIT: u64 = 16 << 30;

/// Reads from one base address.
#[derive(Clone)]
pub struct Http {
    wire: Wire,
    base: String,
    /// Query that is added to each address, to bypass caches.
    query: Option<String>,
    attempts: u32,
    /// Time limit for a request, including all attempts.
    limit: Option<Duration>,
    /// Number of failed requests in a row. Shared by clones.
    in_vain: Arc<AtomicUsize>,
}

/// A successful answer whose body has not been read yet.
pub struct Answer {
    response: HttpResponse,
}

/// A small object as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The decoded body.
    pub bytes: Vec<u8>,
    pub headers: Headers,
}

/// The headers of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Returns a header by name, ignoring case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(is, _)| is.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Size of the body in bytes, before decoding; `None` if the server does not say.
    pub fn length(&self) -> Option<u64> {
        self.get("content-length").and_then(|length| length.parse().ok())
    }

    /// The headers that clients depend on.
    pub fn served(&self) -> Served {
        let get = |name| self.get(name).map(str::to_owned);
        Served {
            content_type: get("content-type"),
            cache_control: get("cache-control"),
            content_encoding: get("content-encoding"),
            content_disposition: get("content-disposition"),
        }
    }
}

impl Answer {
    fn headers(&self) -> Headers {
        let headers = self.response.headers().iter();
        Headers(headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Reads the body.
    async fn each(mut self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut body = ByteStream::new(self.response.take_body());
        while let Some(chunk) = body.next().await {
            take(&chunk.map_err(|error| interrupted(error.into()))?)?;
        }
        Ok(())
    }
}

impl Http {
    /// Reads below `base`, with the usual patience.
    pub fn new(base: &str) -> Http {
        Http::with_patience(base, Patience::LONG)
    }

    /// Reads below `base`, with the given patience.
    pub fn with_patience(base: &str, patience: Patience) -> Http {
        let wire = Wire::new(base, patience, true);
        let base = base.trim_end_matches('/').to_owned();
        Http { wire, base, query: None, attempts: ATTEMPTS, limit: None, in_vain: Arc::default() }
    }

    /// Reads below `base` with a single attempt and a short time limit, for a look that is not worth a wait.
    pub fn impatient(base: &str) -> Http {
        Http { attempts: 1, limit: Some(SHORT_PATIENCE), ..Http::new(base) }
    }

    /// Returns a client that adds a query to the same addresses, so that caches neither answer for the plain address
    /// nor change what they have for it.
    pub fn with_query(&self, query: &str) -> Http {
        Http { query: Some(query.to_owned()), ..self.clone() }
    }

    /// Downloads and decodes at most `limit` bytes; `None` if nothing is there.
    ///
    /// # Errors
    /// The server did not answer, or answered with something other than yes or no, after several attempts.
    pub async fn get(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.page(key, limit).await?.map(|page| page.bytes))
    }

    /// Downloads and decodes at most `limit` bytes, and returns them with the headers.
    ///
    /// # Errors
    /// As for [`Http::get`].
    pub async fn page(&self, key: &str, limit: u64) -> Result<Option<Page>> {
        let page = self
            .ask("GET", key, move |answer| {
                Box::pin(async move {
                    let headers = answer.headers();
                    let most =
                        if headers.served().is_encoded() { limit.saturating_add(ENCODING_OVERHEAD) } else { limit };
                    let mut bytes = Vec::new();
                    let taking = answer.each(|chunk| {
                        let is_bounded = (bytes.len() + chunk.len()) as u64 <= most;
                        ensure!(is_bounded, Unusable(format!("it has more than {limit} bytes")));
                        bytes.extend_from_slice(chunk);
                        Ok(())
                    });
                    taking.await?;
                    Ok(Page { bytes, headers })
                })
            })
            .await?;
        let Some(Page { bytes, headers }) = page else { return Ok(None) };
        let bytes = decoded(&self.url(key), key, bytes, &headers.served(), limit)?;
        Ok(Some(Page { bytes, headers }))
    }

    /// Downloads and decodes a key of any size, and returns the facts about it; `None` if nothing is there.
    ///
    /// # Errors
    /// As for [`Http::get`].
    pub async fn content(&self, key: &str) -> Result<Option<Content>> {
        Ok(self.described(key).await?.map(|(content, _)| content))
    }

    /// Downloads and decodes a key of any size, and returns the facts about it with its headers.
    ///
    /// # Errors
    /// As for [`Http::get`].
    pub async fn described(&self, key: &str) -> Result<Option<(Content, Headers)>> {
        self.download(key, None, DECODED_LIMIT).await
    }

    /// Downloads and decodes a key of at most `limit` bytes to a file, and returns the facts about it; `None` if nothing is
    /// there. After an error, the file is useless.
    ///
    /// # Errors
    /// As for [`Http::get`]; or the file cannot be written.
    pub async fn save(&self, key: &str, path: &Utf8Path, limit: u64) -> Result<Option<Content>> {
        Ok(self.download(key, Some(path), limit).await?.map(|(content, _)| content))
    }

    async fn download(&self, key: &str, path: Option<&Utf8Path>, limit: u64) -> Result<Option<(Content, Headers)>> {
        let path = path.map(Utf8Path::to_owned);
        let found = self
            .ask("GET", key, move |answer| {
                let path = path.clone();
                Box::pin(async move {
                    let headers = answer.headers();
                    let encodings = Encodings::parse(headers.get("content-encoding"))?;
                    // The MD5s are not asked for, so the size does not matter.
                    let mut download = Download::begin(0, encodings, path.as_deref())?;
                    let mut received = 0;
                    let taking = answer.each(|chunk| {
                        received += chunk.len() as u64;
                        let is_bounded = received <= limit.saturating_add(ENCODING_OVERHEAD);
                        ensure!(is_bounded, Unusable(format!("it has more than {limit} bytes")));
                        download.take(chunk)
                    });
                    taking.await?;
                    Ok((download, headers))
                })
            })
            .await?;
        let Some((download, headers)) = found else { return Ok(None) };
        let content = download.finish(limit).await.with_context(|| format!("cannot read {}", self.url(key)))?;
        Ok(Some((content, headers)))
    }

    /// Asks for the headers of a key; `None` if nothing is there.
    ///
    /// # Errors
    /// As for [`Http::get`].
    pub async fn head(&self, key: &str) -> Result<Option<Headers>> {
        self.ask("HEAD", key, |answer| Box::pin(std::future::ready(Ok(answer.headers())))).await
    }

    /// Returns the decoded size of a key in bytes; `None` if nothing is there.
    ///
    /// # Errors
    /// As for [`Http::get`].
    pub async fn size(&self, key: &str) -> Result<Option<u64>> {
        let size = self
            .ask("HEAD", key, |answer| {
                let headers = answer.headers();
                let size = headers.length().filter(|_| !headers.served().is_encoded());
                Box::pin(std::future::ready(Ok(size)))
            })
            .await?;
        match size {
            None => Ok(None),
            Some(Some(size)) => Ok(Some(size)),
            // The size of an encoded body is known only once it is decoded.
            Some(None) => Ok(self.content(key).await?.map(|content| content.size)),
        }
    }

    /// The base address.
    pub fn base(&self) -> &str {
        &self.base
    }

    fn url(&self, key: &str) -> String {
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        address::of(&self.base, key) + &query
    }

    /// Asks for a key, again if that may help, and takes the answer; `None` if nothing is there.
    async fn ask<T>(
        &self,
        method: &str,
        key: &str,
        take: impl Fn(Answer) -> BoxFuture<'static, Result<T>>,
    ) -> Result<Option<T>> {
        let url = self.url(key);
        let reading = || format!("cannot read {url}");
        let asking = self.attempt(method, &url, take);
        let Some(limit) = self.limit else { return asking.await.with_context(reading) };
        match tokio::time::timeout(limit, asking).await {
            Ok(answer) => answer.with_context(reading),
            Err(_) => {
                let why = format!("{} did not answer within {} s", self.wire.name(), limit.as_secs());
                Err(anyhow::Error::new(CannotAsk(why)).context(reading()))
            }
        }
    }

    async fn attempt<T>(
        &self,
        method: &str,
        url: &str,
        take: impl Fn(Answer) -> BoxFuture<'static, Result<T>>,
    ) -> Result<Option<T>> {
        let waited = Waited::default();
        let mut attempt = 1;
        loop {
            let in_vain = self.in_vain.load(Ordering::Relaxed);
            if in_vain >= GIVEN_UP {
                let why =
                    format!("{in_vain} requests to {} failed in a row, so it is not asked again", self.wire.name());
                return Err(CannotAsk(why).into());
            }
            let answer = self.answer(method, url, &waited).await;
            if answer.is_ok() {
                self.in_vain.store(0, Ordering::Relaxed);
            }
            let error = match answer {
                Ok(None) => return Ok(None),
                Ok(Some(answer)) => match take(answer).await {
                    Ok(taken) => return Ok(Some(taken)),
                    // The body broke off. Other errors are final.
                    Err(error) if cannot_be_asked(&error) => error,
                    Err(error) => return Err(error),
                },
                Err(Tried::Passing(error)) => error,
                Err(Tried::Final(error)) => {
                    if cannot_be_asked(&error) {
                        self.in_vain.fetch_add(1, Ordering::Relaxed);
                    }
                    return Err(error);
                }
            };
            if attempt >= self.attempts {
                self.in_vain.fetch_add(1, Ordering::Relaxed);
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(250 << attempt)).await;
            attempt += 1;
        }
    }

    /// Makes one attempt, including redirects; `None` if nothing is there.
    async fn answer(&self, method: &str, url: &str, waited: &Waited) -> Result<Option<Answer>, Tried> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            let request = request(method, &url).map_err(Tried::Final)?;
            let response = self.wire.send(request, waited.clone()).await.map_err(unanswered)?;
            let status = response.status().as_u16();
            match status {
                200..=299 => return Ok(Some(Answer { response })),
                404 | 410 => return Ok(None),
                301 | 302 | 303 | 307 | 308 => {
                    let to = response.headers().get("location");
                    let to = to.with_context(|| format!("the server answered {status} without a location"));
                    url = address::redirected(&url, to.map_err(Tried::Final)?).map_err(Tried::Final)?;
                }
                429 | 500..=599 => {
                    let why = format!("the server answered {status}{}", meaning(status));
                    return Err(Tried::Passing(CannotAsk(why).into()));
                }
                _ => return Err(Tried::Final(anyhow!("the server answered {status}{}", meaning(status)))),
            }
        }
        Err(Tried::Final(anyhow!("the server redirected {REDIRECTS} times, the last time to {url}")))
    }
}

/// Why an attempt failed.
enum Tried {
    /// Another attempt may help.
    Passing(anyhow::Error),
    Final(anyhow::Error),
}

fn unanswered(error: ConnectorError) -> Tried {
    let is_final = error.is_user();
    let error = interrupted(error.into());
    if is_final { Tried::Final(error) } else { Tried::Passing(error) }
}

/// Wraps the error of a connection that failed or broke off, so that nothing is known about the key.
pub(super) fn interrupted(error: anyhow::Error) -> anyhow::Error {
    let in_our_words = error.chain().find_map(|cause| cause.downcast_ref::<CannotAsk>()).cloned();
    let why = in_our_words.unwrap_or_else(|| CannotAsk(format!("the connection failed: {}", error.root_cause())));
    why.into()
}

/// Name of a status, for messages.
fn meaning(status: u16) -> &'static str {
    match status {
        401 => " (unauthorized)",
        403 => " (forbidden, or missing: some servers give this answer for missing files)",
        429 => " (too many requests)",
        500 => " (internal error)",
        502 => " (bad gateway)",
        503 => " (unavailable)",
        504 => " (gateway timeout)",
        _ => "",
    }
}

pub(super) fn request(method: &str, url: &str) -> Result<HttpRequest> {
    let mut request = HttpRequest::get(url).with_context(|| format!("{url} is not a URL"))?;
    request.set_method(method)?;
    let headers = request.headers_mut();
    headers.insert("user-agent", concat!("lix-release-tool/", env!("CARGO_PKG_VERSION")));
    headers.insert("accept", "*/*");
    // Makes caches in between ask the server behind them.
    headers.insert("cache-control", "no-cache");
    Ok(request)
}
