//! The pace of requests to one server: reports its silence and gives up after a limit, waits as long as the server
//! asks, and limits concurrent requests while it is overloaded.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use xtask::tools::patience::NoAnswer;
use xtask::tools::term;

/// Most concurrent requests.
const SLOTS: usize = 64;
/// Most concurrent requests to an overloaded server.
const FEWEST_SLOTS: usize = 2;
/// Number of good answers after which an overloaded server gets one more concurrent request.
const RECOVERY: u64 = 8;

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

/// The pace of requests to one server, shared by everything that asks it.
pub struct Pace {
    /// Name of the server in messages.
    name: String,
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
    /// Whether an operation was given up because of its silence since it last sent something.
    was_given_up: bool,
    /// Time of its first failure since it last gave a good answer, and whether its failures were reported.
    failing: Option<(Instant, bool)>,
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
    error.chain().any(|cause| cause.is::<CannotAsk>() || cause.is::<NoAnswer>())
}

impl Pace {
    pub fn new(name: String, patience: Patience) -> Pace {
        let state = State {
            not_before: Instant::now(),
            slots: SLOTS,
            good: 0,
            was_reported: false,
            was_given_up: false,
            failing: None,
        };
        Pace { name, patience, slots: Semaphore::new(SLOTS), state: Mutex::new(state) }
    }

    /// Name of the server in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// Waits until the server accepts requests again and a slot is free.
    pub async fn turn(&self, waited: &Waited) -> Result<SemaphorePermit<'_>, ConnectorError> {
        let too_long = |why: String| Err(ConnectorError::user(Box::new(CannotAsk(why))));
        let silent = Duration::from_millis(waited.0.silent.load(Ordering::Relaxed));
        if silent >= self.patience.operation {
            self.state().was_given_up = true;
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
    pub fn note_load(&self, response: &HttpResponse, waited: &Waited) {
        let mut state = self.state();
        let status = response.status().as_u16();
        if matches!(status, 429 | 500..=599) {
            drop(state);
            self.report_failures(&format!("answers {status}"));
            state = self.state();
        } else {
            state.failing = None;
        }
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

    /// Silence after which an attempt is given up. A server for whose silence an operation was given up gets one short
    /// attempt: otherwise every later operation would wait as long as the first.
    pub fn attempt(&self) -> Duration {
        if self.state().was_given_up { self.patience.quiet } else { self.patience.attempt }
    }

    /// Reports once that the server is silent.
    pub fn report_silence(&self) {
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

    /// Reports once that the server has only failed for a while: each operation is tried again, longer and longer, and
    /// otherwise says nothing until it gives up.
    pub fn report_failures(&self, how: &str) {
        let quiet = self.patience.quiet;
        let mut state = self.state();
        let (since, was_reported) = state.failing.get_or_insert((Instant::now(), false));
        let elapsed = since.elapsed();
        if elapsed >= quiet && !std::mem::replace(was_reported, true) {
            term::warn(format_args!("{} {how}, for {} s now: trying again", self.name, elapsed.as_secs()));
        }
    }

    /// Makes the error of an attempt, or of the operation if that has waited long enough.
    pub fn silent(&self, waited: &Waited, now: Duration) -> ConnectorError {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let silent = waited.0.silent.fetch_add(now, Ordering::Relaxed).saturating_add(now);
        let why = format!("{} was silent for {} s", self.name, silent / 1000);
        let mut state = self.state();
        if Duration::from_millis(silent) < self.patience.operation && !state.was_given_up {
            ConnectorError::timeout(Box::new(CannotAsk(why)))
        } else {
            state.was_given_up = true;
            ConnectorError::user(Box::new(CannotAsk(format!("{why}: giving up"))))
        }
    }

    /// Notes that the server has sent something.
    pub fn heard(&self) {
        let mut state = self.state();
        state.was_reported = false;
        state.was_given_up = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
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
}
