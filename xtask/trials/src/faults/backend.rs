//! What stands behind a front: it answers requests, and says errors in its own way.

use super::http::{Answer, Request};

/// What stands behind a front.
pub trait Backend: Send + Sync {
    /// Carries out a request.
    fn answer(&self, request: &Request) -> Answer;

    /// What it would have said when the run began; `None` if that is not known.
    fn an_hour_ago(&self, _: &Request) -> Option<Answer> {
        None
    }

    /// How it says an error.
    fn error(&self, status: u16, code: &str) -> Answer;
}
