//! The HTTP connection to one server: reports its silence and gives up after a limit, waits as long as the server asks,
//! and limits concurrent requests while it is overloaded.
//!
//! Only silence is limited: a time limit for a request would cut off a large upload on a slow connection.

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

/// Time limits for a server.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Silence after which it is reported.
    pub quiet: Duration,
    /// Silence after which an attempt is given up.
    pub attempt: Duration,
    /// Silence, over all attempts, after which an operation is given up.
    pub operation: Duration,
    /// Longest time, over all attempts, that an operation waits because the server asks for it.
    pub asked: Duration,
}

impl Patience {
    /// The usual limits.
    pub const LONG: Patience = Patience {
        quiet: Duration::from_secs(10),
        attempt: Duration::from_secs(60),
        operation: Duration::from_secs(170),
        asked: Duration::from_secs(120),
    };
}

/// Time limit for making a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// Most concurrent requests.
const SLOTS: usize = 64;
/// Most concurrent requests to an overloaded server.
const FEWEST_SLOTS: usize = 2;
/// Number of good answers after which an overloaded server gets one more concurrent request.
const RECOVERY: u64 = 8;
/// Slowest upload that counts as alive, in bytes per second.
const SLOWEST_UPLOAD: u64 = 32 << 10;
/// Most bytes of an upload that the system may buffer before sending them.
const UNSENT: u64 = 4 << 20;

/// The connection to one server. Clones share connections, slots and the server's requests to wait.
#[derive(Clone)]
pub struct Wire(Arc<Shared>);

struct Shared {
    /// Name of the server in messages.
    name: String,
    connector: Connector,
    patience: Patience,
    slots: Semaphore,
    state: Mutex<State>,
}

struct State {
    /// Time before which no request is sent.
    not_before: Instant,
    /// Number of slots.
    slots: usize,
    /// Number of good answers since the server was last overloaded.
    good: u64,
    /// Whether its silence was reported since it last sent something.
    was_reported: bool,
}

/// The waiting time of one operation over all attempts, which travels with its requests.
#[derive(Clone, Debug, Default)]
pub struct Waited(Arc<Times>);

#[derive(Debug, Default)]
struct Times {
    /// Silence of the server in milliseconds.
    silent: AtomicU64,
    /// Time that the server asked us to wait, in milliseconds.
    asked: AtomicU64,
}

/// A server that cannot be asked, because it is unreachable, silent or overloaded. Nothing is known about its contents.
#[derive(Clone, Debug)]
pub struct CannotAsk(pub String);

impl fmt::Display for CannotAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for CannotAsk {}

/// Whether an error says only that a server could not be asked, and nothing about its contents.
pub fn cannot_be_asked(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<CannotAsk>())
}

impl Wire {
    /// Prepares a connection to the server at a URL, which is made with the first request. `proxies` uses the proxies
    /// that environment variables name, as curl does, except to reach this machine.
    pub fn new(url: &str, patience: Patience, proxies: bool) -> Wire {
        let name = host(url).to_owned();
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT.min(patience.attempt)).build();
        let is_here = ["localhost", "127.", "[::1]"].iter().any(|here| name.starts_with(here));
        let connector = Connector::builder()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .connector_settings(settings)
            .proxy_config(if proxies && !is_here {
                proxy::ProxyConfig::from_env()
            } else {
                proxy::ProxyConfig::disabled()
            })
            .build();
        let state = State { not_before: Instant::now(), slots: SLOTS, good: 0, was_reported: false };
        let slots = Semaphore::new(SLOTS);
        Wire(Arc::new(Shared { name, connector, patience, slots, state: Mutex::new(state) }))
    }

    /// Name of the server in messages: its host, with the port if the URL has one.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// The server cannot be reached, or is silent for too long. An error that another attempt cannot help is of the
    /// user kind, which is not retried.
    pub async fn send(&self, mut request: HttpRequest, waited: Waited) -> Result<HttpResponse, ConnectorError> {
        let shared = &self.0;
        let _slot = shared.turn(&waited).await?;
        let outgoing = Outgoing::default();
        let size = request.body().content_length().unwrap_or_default();
        if size > 0 {
            let body = request.take_body();
            *request.body_mut() = SdkBody::from_body_1_x(outgoing.watch(body));
        }
        // The system buffers bytes that it has not sent.
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
                        shared.report_silence();
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
    /// Waits until the server accepts requests again and a slot is free.
    async fn turn(&self, waited: &Waited) -> Result<SemaphorePermit<'_>, ConnectorError> {
        let too_long = |why: String| Err(ConnectorError::user(Box::new(CannotAsk(why))));
        let silent = Duration::from_millis(waited.0.silent.load(Ordering::Relaxed));
        if silent >= self.patience.operation {
            return too_long(format!("{} was silent for {} s: giving up", self.name, silent.as_secs()));
        }
        let asked = Duration::from_millis(waited.0.asked.load(Ordering::Relaxed));
        if asked > self.patience.asked {
            return too_long(format!(
                "{} is overloaded and asks us to wait {} s, longer than the limit of {} s: try again later",
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

    /// Adjusts to the server's load: fewer requests and pauses when it is overloaded, more as it recovers.
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
            term::warn(format_args!("{} is overloaded and asks us to wait {} s: waiting", self.name, wait.as_secs()));
        }
        state.not_before = state.not_before.max(until);
    }

    /// Reports once that the server is silent.
    fn report_silence(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.was_reported, true) {
            let Patience { quiet, operation, .. } = self.patience;
            term::warn(format_args!(
                "{} has been silent for {} s; giving up after {} s of silence",
                self.name,
                quiet.as_secs(),
                operation.as_secs()
            ));
        }
    }

    /// Makes the error of an attempt, or of the operation if that has waited long enough.
    fn silent(&self, waited: &Waited, now: Duration) -> ConnectorError {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let silent = waited.0.silent.fetch_add(now, Ordering::Relaxed).saturating_add(now);
        let why = format!("{} was silent for {} s", self.name, silent / 1000);
        if Duration::from_millis(silent) < self.patience.operation {
            ConnectorError::timeout(Box::new(CannotAsk(why)))
        } else {
            ConnectorError::user(Box::new(CannotAsk(format!("{why}: giving up"))))
        }
    }

    /// Notes that the server has sent something.
    fn heard(&self) {
        self.state().was_reported = false;
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

/// For the AWS SDK. All attempts of one operation have the same [`Waited`].
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

/// Returns the host of a URL, with its port.
fn host(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    // A user name and a password may come before it.
    authority.rsplit('@').next().unwrap_or(authority)
}

/// Reads how long a `Retry-After` asks to wait; it is a number of seconds or a date.
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let then: SystemTime = date(value.trim())?.into();
    // The server's clock and ours may differ.
    Some(then.duration_since(now).unwrap_or_default())
}

/// Reads the time in a `Date` header.
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
