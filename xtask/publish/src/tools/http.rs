//! Public addresses, read as a user's machine reads them. Refuses to write and to follow anything but redirects.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::AgentScope;

use super::content::{Content, Hasher};

/// A server that says nothing for so long is down.
const PATIENCE: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 4;
/// For a look that is worth no wait.
const SHORT_PATIENCE: Duration = Duration::from_secs(10);
/// No refusal is nearly this long, in bytes.
const REFUSAL_LIMIT: u64 = 64 << 10;

/// Trusts what the system trusts, as the S3 client does.
fn config() -> ConfigBuilder<AgentScope> {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder().tls_config(tls)
}

/// Reads from one base address.
#[derive(Clone)]
pub struct Http {
    agent: Agent,
    base: String,
    attempts: u32,
}

impl Http {
    /// `base` without a slash at the end.
    pub fn new(base: &str) -> Http {
        let config = config().timeout_connect(Some(PATIENCE)).timeout_recv_response(Some(PATIENCE));
        Http { agent: config.build().into(), base: base.trim_end_matches('/').to_owned(), attempts: ATTEMPTS }
    }

    /// Asks once and gives up soon: for a look that is worth no wait.
    pub fn impatient(base: &str) -> Http {
        let config = config().timeout_global(Some(SHORT_PATIENCE));
        Http { agent: config.build().into(), base: base.trim_end_matches('/').to_owned(), attempts: 1 }
    }

    /// The bytes behind a key, at most `limit`; `None` if there is nothing.
    ///
    /// # Errors
    /// No answer, or one that is neither yes nor no, after several attempts.
    pub async fn get(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.read(key, move |body| {
            let mut bytes = Vec::new();
            body.take(limit + 1).read_to_end(&mut bytes)?;
            anyhow::ensure!(bytes.len() as u64 <= limit, "it has more than {limit} bytes");
            Ok(bytes)
        })
        .await
    }

    /// The content behind a key, computed while it is downloaded; `None` if there is nothing.
    ///
    /// # Errors
    /// As for [`Http::get`].
    pub async fn content(&self, key: &str) -> Result<Option<Content>> {
        self.read(key, |body| {
            let (mut hasher, mut buffer) = (Hasher::new(0), vec![0; 256 << 10]);
            loop {
                match body.read(&mut buffer)? {
                    0 => return Ok(hasher.finish()),
                    n => hasher.update(&buffer[..n]),
                }
            }
        })
        .await
    }

    /// The size of what is behind a key, in bytes; `None` if there is nothing.
    ///
    /// # Errors
    /// As for [`Http::get`], and no word about the size.
    pub async fn size(&self, key: &str) -> Result<Option<u64>> {
        self.ask(key, |agent, url| match agent.head(url).call() {
            Err(ureq::Error::StatusCode(404)) => Ok(None),
            response => {
                let length =
                    response?.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
                length.context("the server did not tell its size").map(Some)
            }
        })
        .await
    }

    /// The base address.
    pub fn base(&self) -> &str {
        &self.base
    }

    async fn read<T: Send + 'static>(
        &self,
        key: &str,
        take: impl Fn(&mut dyn Read) -> Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        self.ask(key, move |agent, url| fetch(agent, url, &take)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        key: &str,
        ask: impl Fn(&Agent, &str) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (agent, url, attempts) = (self.agent.clone(), format!("{}/{}", self.base, escape(key)), self.attempts);
        let reading = move || {
            let mut attempt = 1;
            loop {
                match ask(&agent, &url) {
                    Err(_) if attempt < attempts => std::thread::sleep(Duration::from_millis(250 << attempt)),
                    result => return result.with_context(|| format!("cannot read {url}")),
                }
                attempt += 1;
            }
        };
        tokio::task::spawn_blocking(reading).await?
    }
}

fn fetch<T>(agent: &Agent, url: &str, take: impl Fn(&mut dyn Read) -> Result<T>) -> Result<Option<T>> {
    match agent.get(url).call() {
        Err(ureq::Error::StatusCode(404)) => Ok(None),
        response => take(&mut response?.body_mut().as_reader()).map(Some),
    }
}

/// A key as the path of a URL: everything but the unreserved characters and `/` as `%XX`.
fn escape(key: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    key.bytes().map(escape).collect()
}

/// What an S3 server says of itself to whoever asks without a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// What it thinks the time is, if it says.
    pub time: Option<Timestamp>,
    /// The region that signatures have to name, if it says: Garage does, in each of its refusals.
    pub region: Option<String>,
}

/// Asks an S3 server what it says of itself.
///
/// # Errors
/// It does not answer.
pub async fn introduction(url: &str) -> Result<Introduction> {
    let url = url.to_owned();
    let asking = move || {
        let agent: Agent = config().timeout_global(Some(SHORT_PATIENCE)).http_status_as_error(false).build().into();
        let mut response = agent.get(&url).call()?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let time = header("date").and_then(|date| jiff::fmt::rfc2822::parse(&date).ok()).map(|date| date.timestamp());
        let region = header("x-amz-bucket-region");
        let body = response.body_mut().with_config().limit(REFUSAL_LIMIT).read_to_string().unwrap_or_default();
        Ok(Introduction { time, region: region.or_else(|| named_region(&body)) })
    };
    tokio::task::spawn_blocking(asking).await?
}

/// The region in the XML of a refusal.
fn named_region(body: &str) -> Option<String> {
    let (_, rest) = body.split_once("<Region>")?;
    let (region, _) = rest.split_once("</Region>")?;
    Some(region.to_owned()).filter(|region| !region.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_region() {
        let garage = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Region>garage</Region></Error>";
        assert_eq!(named_region(garage).as_deref(), Some("garage"));
        assert_eq!(named_region("<Error><Region></Region></Error>"), None);
        assert_eq!(named_region("<html>"), None);
    }
}
