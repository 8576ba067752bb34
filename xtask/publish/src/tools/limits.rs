//! What the system lets this process do: no core dumps, as many open files as it can have, and the threads that it needs.

use std::num::NonZero;
use std::sync::Mutex;
use std::thread::Builder;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Number of open files that is enough for every connection, transfer and program at once.
const OPEN_FILES: u64 = 4096;
/// Number of open files below which connections would be waited for in vain.
const FEWEST_OPEN_FILES: u64 = 512;

/// Number of threads, besides those of the asynchronous runtime, for what waits: files, names of hosts, programs. With fewer,
/// one that waits for another could wait for ever.
const WAITING_THREADS: usize = 16;

/// Keeps secrets in memory from being written to disk: disables core dumps, and access by other processes.
pub fn keep_memory_private() {
    // If the system refuses, nothing else depends on it.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Raises the limit for open files as far as the system allows.
///
/// # Errors
/// The system allows too few.
pub fn allow_open_files() -> Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    ensure!(
        wanted >= FEWEST_OPEN_FILES,
        "only {wanted} files may be open at once, and publishing needs {FEWEST_OPEN_FILES}: allow more \
         (`ulimit -n {OPEN_FILES}`), and run the same command again"
    );
    if current.is_some_and(|current| current < wanted) {
        // If the system refuses, the run may still need fewer.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
    Ok(())
}

/// Checks that the system allows the threads that are needed: without them, the runtime would panic or hang.
///
/// # Errors
/// It does not allow so many.
pub fn require_threads() -> Result<()> {
    let wanted = std::thread::available_parallelism().map_or(1, NonZero::get) + WAITING_THREADS;
    let gate = Mutex::new(());
    std::thread::scope(|scope| {
        // All of them are there at the same time.
        let _closed = gate.lock();
        for _ in 0..wanted {
            Builder::new().spawn_scoped(scope, || drop(gate.lock()))?;
        }
        anyhow::Ok(())
    })
    .context("cannot start the threads of this program")
}
