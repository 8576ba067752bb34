//! Signals that end the front door: one line says what stands and what to do, and then the process ends at once, and with
//! it what it has started, except for a git that must not be stopped halfway.
//!
//! The work is not undone: every command completes what one before it was stopped at. The publisher has its own way to
//! end, because it undoes things outside.

use std::ffi::c_int;
use std::fmt::Display;
use std::io::{Read, pipe};
use std::os::fd::IntoRawFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{process, term};

/// The signals, with their names.
const SIGNALS: [(c_int, &str); 4] = [(1, "a hangup (SIGHUP)"), (2, "Ctrl-C"), (3, "Ctrl-\\"), (15, "SIGTERM")];
/// How the C library says that a signal is ignored.
const IGNORED: usize = 1;

/// What stands if the process ends now.
static STANDS: Mutex<Option<String>> = Mutex::new(None);
/// The signal that has arrived; 0 if none has.
static ARRIVED: AtomicI32 = AtomicI32::new(0);
/// The end of a pipe to which the handler writes.
static TELL: AtomicI32 = AtomicI32::new(-1);

unsafe extern "C" {
    safe fn signal(number: c_int, handler: usize) -> usize;
    fn write(file: c_int, bytes: *const u8, length: usize) -> isize;
    safe fn _exit(code: c_int) -> !;
}

/// Only tells the thread that waits: little is allowed in a handler. A second signal ends the process.
extern "C" fn handle(number: c_int) {
    if ARRIVED.swap(number, Ordering::SeqCst) != 0 {
        _exit(128 + number);
    }
    // SAFETY: one byte of a constant is written to a pipe that stays open; `write` may be called in a handler.
    unsafe { write(TELL.load(Ordering::SeqCst), [0_u8].as_ptr(), 1) };
}

/// Starts listening for signals. If that fails, they end the process without a word.
pub fn listen() {
    let Ok((mut told, tell)) = pipe() else { return };
    TELL.store(tell.into_raw_fd(), Ordering::SeqCst);
    let wait = move || {
        let mut byte = [0];
        if told.read_exact(&mut byte).is_ok() {
            end(ARRIVED.load(Ordering::SeqCst));
        }
    };
    if std::thread::Builder::new().spawn(wait).is_err() {
        return;
    }
    for (number, _) in SIGNALS {
        // As under `nohup`: what is ignored stays ignored.
        if signal(number, handle as extern "C" fn(c_int) as usize) == IGNORED {
            signal(number, IGNORED);
        }
    }
}

/// Sets what stands if the process ends now: `nothing has changed`.
pub fn stands(what: impl Display) {
    *STANDS.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.to_string());
}

/// Waits for the end of the process, if a signal has arrived: what failed since then failed because of it.
pub fn wait_if_stopping() {
    if ARRIVED.load(Ordering::SeqCst) != 0 {
        std::thread::sleep(LONGEST);
    }
}

/// Longest time until the process has ended.
const LONGEST: Duration = Duration::from_secs(2);

fn end(number: c_int) -> ! {
    process::end_watched();
    let name = SIGNALS.iter().find(|(other, _)| *other == number).map_or("a signal", |(_, name)| name);
    let stands = STANDS.lock().unwrap_or_else(PoisonError::into_inner);
    let stands = stands.as_ref().map(|what| format!(": {what}")).unwrap_or_default();
    term::warn(format_args!("stopped by {name}{stands}\nrun the same command again"));
    // As a shell reports it.
    std::process::exit(128 + number)
}
