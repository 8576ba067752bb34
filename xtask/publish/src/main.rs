//! `xtask-publish`: the same command line as the front door's, which becomes this program for what it cannot do itself.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;
use xtask::cli::{Invocation, Outcome, Publish};
use xtask::tools::term;
use xtask_publish::tools::{child, shutdown};

/// How long the threads of the runtime may take to end.
const LONGEST_END: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    shutdown::keep_memory_private();
    xtask::cli::main(run)
}

fn run(command: Publish, invocation: &Invocation) -> Result<Outcome> {
    let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
    let ended = runtime.block_on(async {
        let mut signals = shutdown::Signals::listen()?;
        tokio::select! {
            result = xtask_publish::phases::run(command, invocation) => result.map(Ok),
            signal = signals.first() => Ok(Err(signal)),
        }
    });
    // Said before anything is waited for.
    let code = match ended {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(signal)) => {
            runtime.block_on(shutdown::take_back(signal));
            Outcome::Stopped { signal }
        }
        Err(error) => {
            term::error(&error);
            Outcome::Failed
        }
    };
    runtime.block_on(child::all_ended());
    // What cannot be dropped (a name that is looked up, a file on a dead disk) is left behind in the end. Threads are waited
    // for first: `shutdown_background` detaches them while they end, and glibc 2.36 (Debian 12) crashes in that race.
    runtime.shutdown_timeout(LONGEST_END);
    Ok(code)
}
