//! Bodies that are watched: outgoing ones, so that a slow upload does not count as silence, and incoming ones, so that
//! a silent or very slow download ends.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::pace::{CannotAsk, Pace, Waited};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Slowest download, in bytes per second, averaged over an attempt's patience.
const SLOWEST_DOWNLOAD: u64 = 256;

/// Time at which the connection last took bytes from a request's body.
#[derive(Clone)]
pub struct Outgoing(Arc<Mutex<Instant>>);

impl Default for Outgoing {
    fn default() -> Self {
        Outgoing(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Outgoing {
    pub fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn watch(&self, body: SdkBody) -> Watched {
        Watched { body, outgoing: self.clone() }
    }
}

/// The body of a request.
pub struct Watched {
    body: SdkBody,
    outgoing: Outgoing,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        *self.outgoing.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Instant::now();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        Body::size_hint(&self.body)
    }
}

/// The body of an answer. Only the time counts in which we wait for the server, not that in which it waits for us.
pub struct Incoming {
    body: SdkBody,
    pace: Arc<Pace>,
    waited: Waited,
    /// Start of the current wait, and the timer that wakes us.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    /// Time waited and bytes received since the speed was last checked.
    window: (Duration, u64),
    /// Most bytes that it may still have.
    left: u64,
}

impl Incoming {
    /// Watches a body that may have at most `most` bytes.
    pub fn new(body: SdkBody, most: u64, pace: Arc<Pace>, waited: Waited) -> Incoming {
        Incoming { body, pace, waited, waiting: None, window: (Duration::ZERO, 0), left: most }
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<BoxError> {
        let (quiet, attempt) = (self.pace.patience().quiet, self.pace.attempt());
        let (since, sleep) = self.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(tokio::time::sleep_until(now + quiet)))
        });
        loop {
            ready!(sleep.as_mut().poll(cx));
            let silent = since.elapsed();
            if silent >= attempt {
                // `waited` decides whether there is another attempt.
                return Poll::Ready(self.pace.silent(&self.waited, silent).into_source());
            }
            self.pace.report_silence();
            let until = *since + attempt;
            sleep.as_mut().reset(until);
        }
    }

    /// Checks the speed, once enough time was spent waiting.
    fn received(&mut self, bytes: u64) -> Result<(), BoxError> {
        let patience = self.pace.patience().attempt;
        let (time, sum) = &mut self.window;
        *sum += bytes;
        self.left = self.left.checked_sub(bytes).ok_or("its answer is too long to be one")?;
        if let Some((since, _)) = self.waiting.take() {
            *time += since.elapsed();
            self.pace.heard();
        }
        if *time < patience {
            return Ok(());
        }
        let (time, sum) = std::mem::take(&mut self.window);
        if sum >= SLOWEST_DOWNLOAD * time.as_secs().max(1) {
            return Ok(());
        }
        self.pace.silent(&self.waited, time);
        let name = self.pace.name();
        Err(Box::new(CannotAsk(format!("{name} is too slow: it sent {sum} bytes in {} s", time.as_secs()))))
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => self.wait(cx).map(|error| Some(Err(error))),
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                Poll::Ready(Some(self.received(bytes).map(|()| frame)))
            }
            Poll::Ready(end) => Poll::Ready(end),
        }
    }

    fn is_end_stream(&self) -> bool {
        Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        Body::size_hint(&self.body)
    }
}
