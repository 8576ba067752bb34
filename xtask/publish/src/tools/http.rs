//! Public addresses, read as a user's machine reads them. Refuses to write and to follow anything but redirects.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use ureq::Agent;

use super::content::{Content, Hasher};

/// A server that says nothing for so long is down.
const PATIENCE: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 4;

/// Reads from one base address.
#[derive(Clone)]
pub struct Http {
    agent: Agent,
    base: String,
}

impl Http {
    /// `base` without a slash at the end.
    pub fn new(base: &str) -> Http {
        let config = Agent::config_builder().timeout_connect(Some(PATIENCE)).timeout_recv_response(Some(PATIENCE));
        Http { agent: config.build().into(), base: base.trim_end_matches('/').to_owned() }
    }

    /// Gives up soon: for a look that is worth no wait.
    pub fn impatient(base: &str) -> Http {
        let soon = Some(Duration::from_secs(5));
        let config = Agent::config_builder().timeout_connect(soon).timeout_recv_response(soon);
        Http { agent: config.build().into(), base: base.trim_end_matches('/').to_owned() }
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
        let (agent, url) = (self.agent.clone(), format!("{}/{}", self.base, escape(key)));
        let reading = move || {
            let mut attempt = 1;
            loop {
                match ask(&agent, &url) {
                    Err(_) if attempt < ATTEMPTS => std::thread::sleep(Duration::from_millis(250 << attempt)),
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

/// What a server thinks the time is.
///
/// # Errors
/// It does not answer, or does not say.
pub async fn server_time(url: &str) -> Result<Timestamp> {
    let url = url.to_owned();
    let asking = move || {
        let agent: Agent =
            Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).build().into();
        let response = agent.get(&url).call()?;
        let date = response.headers().get("date").context("the server does not say what time it is")?;
        Ok(jiff::fmt::rfc2822::parse(date.to_str()?)?.timestamp())
    };
    tokio::task::spawn_blocking(asking).await?
}
