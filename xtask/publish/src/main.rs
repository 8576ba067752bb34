//! `xtask-publish`: the same command line as the front door, which runs this program for everything that publishes.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;
use xtask::cli::{Invocation, Outcome, Publish};
use xtask::tools::term;
use xtask_publish::tools::{child, limits, shutdown};

/// Time that the runtime's threads have to end.
const LONGEST_END: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    limits::keep_memory_private();
    xtask::cli::main(run)
}

/// How a run ended.
enum Ended {
    Ran(Outcome),
    /// Stopped by this signal.
    Stopped(i32),
}

fn run(command: Publish, invocation: &Invocation) -> Result<Outcome> {
    limits::allow_open_files()?;
    limits::require_threads()?;
    let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
    let ended = runtime.block_on(async {
        let mut signals = shutdown::Signals::listen()?;
        tokio::select! {
            result = xtask_publish::phases::run(command, invocation) => match result {
                // It failed because its programs were ended.
                Err(_) if shutdown::is_stopping() => Ok(Ended::Stopped(signals.first().await)),
                result => result.map(Ended::Ran),
            },
            signal = signals.first() => Ok(Ended::Stopped(signal)),
        }
    });
    // The error is shown before anything is waited for.
    let code = match ended {
        Ok(Ended::Ran(outcome)) => outcome,
        Ok(Ended::Stopped(signal)) => {
            runtime.block_on(shutdown::take_back(signal));
            Outcome::Stopped { signal }
        }
        Err(error) => {
            term::error(&error);
            Outcome::Failed
        }
    };
    runtime.block_on(child::all_ended());
    // What cannot be dropped (a name that is being resolved, a file on a dead disk) is left behind. Threads get a
    // limited time to end, because `shutdown_background` detaches them while they end, and glibc 2.36 (Debian 12)
    // crashes then.
    runtime.shutdown_timeout(LONGEST_END);
    Ok(code)
}
