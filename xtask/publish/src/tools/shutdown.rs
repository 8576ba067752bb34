//! How this process ends, normally or by a signal.
//!
//! On a signal, the work is dropped first, and the programs that it started are ended; then unfinished things outside
//! are undone (the lock, a multipart upload), for at most [`LONGEST`]; then one line says what users see. A second
//! signal ends everything at once.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use xtask::tools::{process, term};

use super::{child, progress};

/// Time limit for undoing; the rest expires.
const LONGEST: Duration = Duration::from_millis(1500);
/// Time after which a process that hangs in something that cannot be dropped is ended.
const HANGS: Duration = Duration::from_secs(7);
/// `XCPU`, the limit for time, which has the same number on Linux and macOS.
const TIME_LIMIT: i32 = 24;
/// `XFSZ`, the limit for a file's size, likewise.
const SIZE_LIMIT: i32 = 25;

type Ending = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What to undo on a signal, in the order in which it was begun.
static BEGUN: Mutex<Vec<(u64, Ending)>> = Mutex::new(Vec::new());
/// What users see if we end now.
static STATE: Mutex<Option<String>> = Mutex::new(None);
/// Whether a signal has arrived. From then on, nothing is unregistered.
static STOPPING: AtomicBool = AtomicBool::new(false);

fn held<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something that is undone on a signal. Dropping this unregisters it, because it has ended normally.
#[must_use]
#[derive(Debug)]
pub struct Begun(u64);

/// Registers how to undo something if a signal ends the process. It runs after the work was dropped.
pub fn on_signal<F>(taking_back: impl FnOnce() -> F + Send + 'static) -> Begun
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut begun = held(&BEGUN);
    let number = begun.last().map_or(0, |(number, _)| number + 1);
    begun.push((number, Box::new(move || Box::pin(taking_back()))));
    Begun(number)
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !STOPPING.load(Ordering::SeqCst) {
            held(&BEGUN).retain(|(number, _)| *number != self.0);
        }
    }
}

/// Whether a signal has arrived, and unfinished things are being undone.
pub fn is_stopping() -> bool {
    STOPPING.load(Ordering::SeqCst)
}

/// Sets what users see if the process ends now, for its last line: `no pointer has moved, users see what they saw`.
pub fn users_see(state: impl Display) {
    *held(&STATE) = Some(state.to_string());
}

/// The signals that arrive.
pub struct Signals(mpsc::UnboundedReceiver<i32>);

impl Signals {
    /// Starts listening for signals.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> Result<Signals> {
        let (sender, receiver) = mpsc::unbounded_channel();
        // Only caught, so that the write fails instead.
        drop(signal(SignalKind::from_raw(SIZE_LIMIT)).context("cannot listen for signals")?);
        let kinds = [
            SignalKind::hangup(),
            SignalKind::interrupt(),
            SignalKind::quit(),
            SignalKind::terminate(),
            SignalKind::alarm(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ];
        for kind in kinds.into_iter().chain([SignalKind::from_raw(TIME_LIMIT)]) {
            let mut signals = signal(kind).context("cannot listen for signals")?;
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut first = true;
                while signals.recv().await.is_some() {
                    if STOPPING.swap(true, Ordering::SeqCst) || !first || sender.send(kind.as_raw_value()).is_err() {
                        leave(kind.as_raw_value());
                    }
                    first = false;
                    // The work cannot be dropped while a thread of it waits for a program.
                    process::end_watched();
                    // The work may hang in something that cannot be dropped, such as a program that asks for a
                    // passphrase.
                    tokio::spawn(async move {
                        tokio::time::sleep(HANGS).await;
                        say(kind.as_raw_value(), " without waiting longer for work that does not end");
                        leave(kind.as_raw_value());
                    });
                }
            });
        }
        Ok(Signals(receiver))
    }

    /// Waits for the first signal.
    pub async fn first(&mut self) -> i32 {
        match self.0.recv().await {
            Some(number) => number,
            None => std::future::pending().await,
        }
    }
}

/// Undoes what is unfinished, and says what users see. The work must have been dropped.
pub async fn take_back(signal: i32) {
    progress::clear();
    child::all_ended().await;
    let begun = std::mem::take(&mut *held(&BEGUN));
    // In reverse order, as scopes end.
    let taking_back = async {
        for (_, ending) in begun.into_iter().rev() {
            ending().await;
        }
    };
    let all = tokio::time::timeout(LONGEST, taking_back).await.is_ok();
    say(signal, if all { "" } else { "; not everything unfinished could be undone in time" });
}

/// Says what users see now, and what to do.
fn say(signal: i32, how: &str) {
    let state = held(&STATE);
    let (state, kept) = match state.as_deref() {
        Some(state) => (state, "finished work is kept: "),
        None => ("nothing has changed for users", ""),
    };
    term::warn(format_args!("stopped by {}{how}: {state}\n{kept}run the same command again", name(signal)));
}

/// Ends the process at once.
fn leave(signal: i32) -> ! {
    // The shells' convention.
    std::process::exit(128 + signal)
}

/// Name of a signal for messages.
fn name(signal: i32) -> String {
    match signal {
        1 => "a hangup (SIGHUP)".to_owned(),
        2 => "Ctrl-C".to_owned(),
        3 => "Ctrl-\\".to_owned(),
        15 => "SIGTERM".to_owned(),
        number => format!("signal {number}"),
    }
}
