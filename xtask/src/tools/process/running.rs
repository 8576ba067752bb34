//! A program that runs in parallel, and is ended when it is no longer needed.

use std::process::{Child, ChildStdout, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use xshell::Cmd;

use super::output::drained;
use super::{LINGER, STEP, cannot_run, check, ours, signal_one};
use crate::tools::term;

/// How long a program that was asked to end may take until it is killed.
const GRACE: Duration = Duration::from_millis(500);

/// A program that runs in parallel, with its messages on the terminal. Dropping it terminates the program.
pub struct Running {
    child: Child,
    shown: String,
}

/// Starts a program and discards its stdout.
///
/// # Errors
/// It cannot be started.
pub fn start(cmd: Cmd) -> Result<Running> {
    term::detail(format_args!("$ {cmd}"));
    let shown = cmd.to_string();
    let child = ours(cmd).stdin(Stdio::null()).stdout(Stdio::null()).spawn().with_context(|| cannot_run(&shown))?;
    Ok(Running { child, shown })
}

impl Running {
    /// Waits for the program to end.
    ///
    /// # Errors
    /// It failed.
    pub fn finish(mut self) -> Result<()> {
        let status = self.child.wait().with_context(|| format!("cannot wait for `{}`", self.shown))?;
        if !status.success() {
            bail!("`{}` failed ({status}); its messages are above", self.shown);
        }
        Ok(())
    }

    /// Asks the program to end, so that it can tidy up, and kills it if that takes long, so that no error waits for it.
    fn end(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        signal_one(self.child.id(), Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                let _ = self.child.kill();
                break;
            }
            std::thread::sleep(STEP);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
        let _ = self.child.wait();
    }
}

/// Runs a program and passes its stdout to `consume` while it runs.
///
/// # Errors
/// It cannot be started, fails (as for [`super::read_bytes`]), or `consume` fails: then it is terminated.
pub fn stream<T>(cmd: Cmd, consume: impl FnOnce(&mut ChildStdout) -> Result<T>) -> Result<T> {
    term::detail(format_args!("$ {cmd}"));
    let shown = cmd.to_string();
    let mut cmd = ours(cmd);
    cmd.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running { child: cmd.spawn().with_context(|| cannot_run(&shown))?, shown };
    let (Some(mut stdout), Some(stderr)) = (running.child.stdout.take(), running.child.stderr.take()) else {
        unreachable!("both are pipes");
    };
    let messages = drained(stderr);
    let consumed = consume(&mut stdout);
    drop(stdout);
    if consumed.is_err() {
        running.end();
    }
    let status = running.child.wait().with_context(|| format!("cannot wait for `{}`", running.shown))?;
    // A program that it left running may hold the stream open.
    let stderr = messages.recv_timeout(LINGER).unwrap_or_default();
    // Prefer the program's own error to ours about what it wrote.
    let failed = check(&running.shown, &Output { status, stdout: Vec::new(), stderr });
    consumed.and_then(|value| failed.map(|()| value))
}
