//! The faults: what becomes of one answer.

use clap::ValueEnum;

use super::backend::Backend;
use super::http::{Answer, Request};

/// How an answer is harmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Fault {
    /// 500 instead of the answer
    Error,
    /// 503 `SlowDown`
    SlowDown,
    /// 503 `SlowDown` with `Retry-After`
    RetryAfter,
    /// 429
    TooMany,
    /// 403
    Forbidden,
    /// 404, whether it exists or not
    NotFound,
    /// The connection is reset before the request is carried out
    ResetBefore,
    /// The connection is reset after the request was carried out
    ResetAfter,
    /// No answer comes, and the connection stays open
    Stall,
    /// Half of the body comes, and the connection stays open
    StallInBody,
    /// The connection ends in the middle of the body
    Truncated,
    /// Half of the body comes, and the head says that this is all
    Short,
    /// One bit of the body is another
    Flipped,
    /// The request is carried out twice
    DoneTwice,
    /// The answer is sent twice
    AnsweredTwice,
    /// The answer is that of an hour ago
    Stale,
}

/// Which answers are harmed from the first one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lasts {
    /// No other
    Once,
    /// Every answer to the same request
    Same,
    /// Every answer
    All,
}

impl Fault {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether it looks like one that passes: then the answer is worth to be asked for again.
    pub fn passes(self) -> bool {
        match self {
            Fault::Error | Fault::SlowDown | Fault::RetryAfter | Fault::TooMany => true,
            Fault::ResetBefore | Fault::ResetAfter | Fault::Stall | Fault::StallInBody | Fault::Truncated => true,
            Fault::Forbidden | Fault::NotFound | Fault::Short | Fault::Flipped => false,
            Fault::DoneTwice | Fault::AnsweredTwice | Fault::Stale => false,
        }
    }

    /// Whether a run under it mostly waits: for an answer, or until it is worth to ask again.
    pub fn is_slow(self, lasts: Lasts) -> bool {
        match self {
            Fault::Stall | Fault::StallInBody => true,
            Fault::Forbidden | Fault::NotFound | Fault::DoneTwice | Fault::AnsweredTwice | Fault::Stale => false,
            _ => lasts != Lasts::Once,
        }
    }

    /// Whether it makes a difference to the answer to a request that only reads, or not, and that has a body, or not.
    pub fn harms(self, only_reads: bool, has_body: bool) -> bool {
        match self {
            Fault::StallInBody | Fault::Truncated | Fault::Short | Fault::Flipped => has_body,
            Fault::Stale => only_reads,
            // To read twice is to read.
            Fault::DoneTwice => !only_reads,
            _ => true,
        }
    }
}

/// What is done on the connection.
pub enum Outcome {
    Send(Vec<u8>),
    SendAndClose(Vec<u8>),
    SendAndStall(Vec<u8>),
    Reset,
}

/// Answers a request with a fault. `earlier` is what the server said to it before, if it was asked before.
pub fn harm(fault: Fault, request: &Request, backend: &dyn Backend, earlier: Option<&Answer>) -> Outcome {
    let refuse = |status, code| {
        let mut answer = backend.error(status, code);
        if request.method == "HEAD" {
            answer.headers.0.push(("content-length".to_owned(), answer.body.len().to_string()));
            answer.body.clear();
        }
        answer
    };
    let answer = match fault {
        Fault::Error => refuse(500, "InternalError"),
        Fault::SlowDown => refuse(503, "SlowDown"),
        Fault::RetryAfter => {
            let mut answer = refuse(503, "SlowDown");
            answer.headers.0.push(("retry-after".to_owned(), "1".to_owned()));
            answer
        }
        Fault::TooMany => refuse(429, "TooManyRequests"),
        Fault::Forbidden => refuse(403, "AccessDenied"),
        Fault::NotFound => refuse(404, "NoSuchKey"),
        Fault::ResetBefore => return Outcome::Reset,
        Fault::ResetAfter => {
            backend.answer(request);
            return Outcome::Reset;
        }
        Fault::Stall => return Outcome::SendAndStall(Vec::new()),
        Fault::StallInBody => return Outcome::SendAndStall(half(&backend.answer(request))),
        Fault::Truncated => return Outcome::SendAndClose(half(&backend.answer(request))),
        Fault::Short => {
            let mut answer = backend.answer(request);
            answer.body.truncate(answer.body.len() / 2);
            answer.headers.0.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
            answer
        }
        Fault::Flipped => {
            let mut answer = backend.answer(request);
            let middle = answer.body.len() / 2;
            if let Some(byte) = answer.body.get_mut(middle) {
                *byte ^= 1;
            }
            answer
        }
        Fault::DoneTwice => {
            backend.answer(request);
            backend.answer(request)
        }
        Fault::AnsweredTwice => {
            let bytes = backend.answer(request).bytes();
            return Outcome::Send([bytes.clone(), bytes].concat());
        }
        Fault::Stale => {
            let stale = backend.an_hour_ago(request).or_else(|| earlier.cloned());
            stale.unwrap_or_else(|| backend.answer(request))
        }
    };
    Outcome::Send(answer.bytes())
}

/// The head, and half of the body.
fn half(answer: &Answer) -> Vec<u8> {
    let mut bytes = answer.bytes();
    bytes.truncate(bytes.len() - answer.body.len().div_ceil(2));
    bytes
}
