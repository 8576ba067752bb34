//! Progress in bytes, shown on a terminal only.

use std::fmt::Display;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use xtask::tools::term;

use super::store::Progress;

/// The bar that is currently drawn, if any.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn drawn() -> Option<ProgressBar> {
    DRAWN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Prints a message, above the bar if there is one.
pub fn say(message: impl Display) {
    match drawn() {
        Some(bar) => bar.suspend(|| term::say(message)),
        None => term::say(message),
    }
}

/// Removes the bar, if there is one.
pub fn clear() {
    if let Some(bar) = drawn() {
        bar.finish_and_clear();
    }
}

/// Counts the bytes of concurrent transfers.
pub struct Meter {
    bar: ProgressBar,
    sent: Arc<AtomicI64>,
}

impl Meter {
    /// Starts counting, and draws a bar for `what`.
    pub fn start(what: impl Display) -> Meter {
        let shown = term::is_terminal() && !term::is_quiet();
        let bar = if shown { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix} {bytes} ({bytes_per_sec})") {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_string());
        *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        Meter { bar, sent: Arc::default() }
    }

    /// Returns the counter for a transfer to call.
    pub fn progress(&self) -> Progress {
        let (bar, sent) = (self.bar.clone(), Arc::clone(&self.sent));
        Arc::new(move |bytes| {
            let total = sent.fetch_add(bytes, Ordering::Relaxed) + bytes;
            bar.set_position(total.try_into().unwrap_or(0));
        })
    }

    /// Prints a line above the bar.
    pub fn line(&self, line: impl Display) {
        self.bar.suspend(|| term::say(line));
    }

    /// Removes the bar, and returns the number of bytes.
    pub fn finish(self) -> u64 {
        self.sent.load(Ordering::Relaxed).try_into().unwrap_or(0)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // Also when an act fails, so that the error starts on a line of its own.
        self.bar.finish_and_clear();
        *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
