//! Owns the wire to one server: when its silence is spoken of and when it is given up, how long it is waited for when it
//! asks us to come back later, and how many requests are under way meanwhile. Knows neither S3 nor what is asked for.
//!
//! A limit for a whole request would cut off a large upload on a slow line; so what is measured is silence.

mod watch;

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use aws_smithy_http_client::{Connector, proxy, tls};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use xtask::tools::term;

use self::watch::{Incoming, Outgoing};

/// How long a server is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// After so much silence it is spoken of.
    pub quiet: Duration,
    /// After so much silence an attempt is given up.
    pub attempt: Duration,
    /// After so much silence, all attempts of one operation taken together, the operation is given up.
    pub operation: Duration,
    /// How long an operation waits in all because the server asked for it.
    pub asked: Duration,
}

impl Patience {
    /// For what is to be done.
    pub const LONG: Patience = Patience {
        quiet: Duration::from_secs(10),
        attempt: Duration::from_secs(60),
        operation: Duration::from_secs(170),
        asked: Duration::from_secs(120),
    };
}

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(20);
/// Requests under way at once.
const SLOTS: usize = 64;
/// And while a server has too much to do.
const FEWEST_SLOTS: usize = 2;
/// After so many answers of a server that had too much to do, it gets one request more at once.
const RECOVERY: u64 = 8;
/// In bytes a second. What is slower than this is not slow but stuck.
const SLOWEST_UPLOAD: u64 = 32 << 10;
/// What the system may hold of an upload that is still to be sent, in bytes.
const UNSENT: u64 = 4 << 20;

/// The wire to one server. Clones share connections, slots and what the server asked for.
#[derive(Clone)]
pub struct Wire(Arc<Shared>);

struct Shared {
    /// How messages call the server.
    name: String,
    connector: Connector,
    patience: Patience,
    slots: Semaphore,
    state: Mutex<State>,
}

struct State {
    /// No request begins before.
    not_before: Instant,
    /// Slots that exist.
    slots: usize,
    /// Good answers since the server had too much to do.
    good: u64,
    /// Whether its silence was spoken of since it last sent something.
    was_told: bool,
}

/// What one operation has waited in vain, all its attempts taken together; goes with its requests.
#[derive(Clone, Debug, Default)]
pub struct Waited(Arc<Times>);

#[derive(Debug, Default)]
struct Times {
    /// In milliseconds.
    silent: AtomicU64,
    /// Because the server asked for it, in milliseconds.
    asked: AtomicU64,
}

/// A server that cannot be asked: it cannot be reached, is silent, or has too much to do. What it has is not known then.
#[derive(Clone, Debug)]
pub struct CannotAsk(pub String);

impl fmt::Display for CannotAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for CannotAsk {}

/// Whether an error says only that a server could not be asked, and nothing of what it has.
pub fn cannot_be_asked(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<CannotAsk>())
}

impl Wire {
    /// To the server at a URL; connects with the first request. `proxies`: whether the proxies of the environment are
    /// used, as curl would; never to reach this machine.
    pub fn new(url: &str, patience: Patience, proxies: bool) -> Wire {
        let name = host(url).to_owned();
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT.min(patience.attempt)).build();
        let is_here = ["localhost", "127.", "[::1]"].iter().any(|here| name.starts_with(here));
        let connector = Connector::builder()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .connector_settings(settings)
            .proxy_config(match proxies && !is_here {
                true => proxy::ProxyConfig::from_env(),
                false => proxy::ProxyConfig::disabled(),
            })
            .build();
        let state = State { not_before: Instant::now(), slots: SLOTS, good: 0, was_told: false };
        let slots = Semaphore::new(SLOTS);
        Wire(Arc::new(Shared { name, connector, patience, slots, state: Mutex::new(state) }))
    }

    /// How messages call the server: its host, and its port if it is not the usual one.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// The server cannot be reached, or is silent for too long. What no further attempt can help is an error of the
    /// user kind, which is not tried again.
    pub async fn send(&self, mut request: HttpRequest, waited: Waited) -> Result<HttpResponse, ConnectorError> {
        let shared = &self.0;
        let _slot = shared.turn(&waited).await?;
        let outgoing = Outgoing::default();
        let size = request.body().content_length().unwrap_or_default();
        if size > 0 {
            let body = request.take_body();
            *request.body_mut() = SdkBody::from_body_1_x(outgoing.watch(body));
        }
        // The system takes more than it has sent.
        let unsent = Duration::from_secs(size.min(UNSENT) / SLOWEST_UPLOAD);
        let mut answer = shared.connector.call(request);
        let mut response = loop {
            let patience = shared.patience;
            let quiet_at = outgoing.last() + patience.quiet + unsent;
            let given_up_at = outgoing.last() + patience.attempt + unsent;
            tokio::select! {
                biased;
                answer = &mut answer => break answer?,
                () = tokio::time::sleep_until(quiet_at), if Instant::now() < quiet_at => {
                    if outgoing.last() + patience.quiet + unsent <= Instant::now() {
                        shared.tell_of_silence();
                    }
                }
                () = tokio::time::sleep_until(given_up_at) => {
                    if outgoing.last() + patience.attempt + unsent <= Instant::now() {
                        return Err(shared.silent(&waited, patience.attempt + unsent));
                    }
                }
            }
        };
        shared.heard();
        shared.note_load(&response, &waited);
        let body = response.take_body();
        *response.body_mut() = SdkBody::from_body_1_x(Incoming::new(body, self.clone(), waited));
        Ok(response)
    }

    fn patience(&self) -> Patience {
        self.0.patience
    }
}

impl Shared {
    /// Waits until the server wants to be asked again, and until there is a slot.
    async fn turn(&self, waited: &Waited) -> Result<SemaphorePermit<'_>, ConnectorError> {
        let too_long = |why: String| Err(ConnectorError::user(Box::new(CannotAsk(why))));
        let silent = Duration::from_millis(waited.0.silent.load(Ordering::Relaxed));
        if silent >= self.patience.operation {
            return too_long(format!("{} was silent for {} s, and is given up", self.name, silent.as_secs()));
        }
        let asked = Duration::from_millis(waited.0.asked.load(Ordering::Relaxed));
        if asked > self.patience.asked {
            return too_long(format!(
                "{} has too much to do and asks us to wait {} s, which is longer than we do ({} s): try again later",
                self.name,
                asked.as_secs(),
                self.patience.asked.as_secs()
            ));
        }
        loop {
            let slot = self.slots.acquire().await.map_err(|closed| ConnectorError::other(closed.into(), None))?;
            let not_before = self.state().not_before;
            if not_before <= Instant::now() {
                return Ok(slot);
            }
            drop(slot);
            tokio::time::sleep_until(not_before).await;
        }
    }

    /// Obeys a server that has too much to do.
    fn note_load(&self, response: &HttpResponse, waited: &Waited) {
        let mut state = self.state();
        let status = response.status().as_u16();
        if !matches!(status, 429 | 503) {
            state.good += 1;
            if status < 500 && state.slots < SLOTS && state.good.is_multiple_of(RECOVERY) {
                state.slots += 1;
                self.slots.add_permits(1);
            }
            return;
        }
        state.good = 0;
        let fewer = (state.slots / 2).max(FEWEST_SLOTS);
        state.slots -= self.slots.forget_permits(state.slots - fewer);
        let Some(wait) = response.headers().get("retry-after").and_then(|value| retry_after(value, SystemTime::now()))
        else {
            return;
        };
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let before = waited.0.asked.load(Ordering::Relaxed);
        let asked = before.saturating_add(millis);
        waited.0.asked.store(asked, Ordering::Relaxed);
        if Duration::from_millis(asked) > self.patience.asked {
            return;
        }
        let until = Instant::now() + wait;
        if until > state.not_before + Duration::from_secs(1) {
            term::warn(format_args!(
                "{} has too much to do and asks us to wait {} s: waiting",
                self.name,
                wait.as_secs()
            ));
        }
        state.not_before = state.not_before.max(until);
    }

    /// Says once that the server is silent.
    fn tell_of_silence(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.was_told, true) {
            let Patience { quiet, operation, .. } = self.patience;
            term::warn(format_args!(
                "{} has been silent for {} s; it is given up after {} s of silence",
                self.name,
                quiet.as_secs(),
                operation.as_secs()
            ));
        }
    }

    /// The error of an attempt, or of the operation if that has waited long enough.
    fn silent(&self, waited: &Waited, now: Duration) -> ConnectorError {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let silent = waited.0.silent.fetch_add(now, Ordering::Relaxed).saturating_add(now);
        let why = format!("{} was silent for {} s", self.name, silent / 1000);
        match Duration::from_millis(silent) < self.patience.operation {
            true => ConnectorError::timeout(Box::new(CannotAsk(why))),
            false => ConnectorError::user(Box::new(CannotAsk(format!("{why}, and is given up")))),
        }
    }

    /// Notes that the server has sent something.
    fn heard(&self) {
        self.state().was_told = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wire({})", self.0.name)
    }
}

/// For the AWS SDK, whose attempts of one operation carry the same [`Waited`].
impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let wire = self.clone();
        let waited = request.extension::<Waited>().cloned().unwrap_or_default();
        HttpConnectorFuture::new(async move { wire.send(request, waited).await })
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// The host of a URL, with its port.
fn host(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    // What stands before is a name and a password.
    authority.rsplit('@').next().unwrap_or(authority)
}

/// How long a `Retry-After` asks to wait: it is a number of seconds or a date.
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let then: SystemTime = date(value.trim())?.into();
    // Its clock and ours may differ.
    Some(then.duration_since(now).unwrap_or_default())
}

/// The time in a `Date` header.
pub fn date(value: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(value, &Rfc2822).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(retry_after("10", now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now), Some(Duration::from_secs(60)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
        assert_eq!(retry_after("-1", now), None);
    }

    #[test]
    fn messages_name_the_host_and_no_password() {
        assert_eq!(host("https://user:secret@s3.example.org:8443/bucket?x"), "s3.example.org:8443");
        assert_eq!(host("http://[::1]:1/"), "[::1]:1");
    }
}
