//! A program that runs in parallel, and is ended when it is no longer needed.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, ExitStatus, Output, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;
use xshell::Cmd;

use super::output::drained;
use super::{LINGER, STEP, cannot_run, check, ours, signal_one};
use crate::tools::term;

/// Largest number of bytes of a line that is read; a longer one counts as several.
const LINE: u64 = 1 << 20;
/// How long a program that was asked to end may take until it is killed.
const GRACE: Duration = Duration::from_millis(500);

/// A program that runs in parallel. Dropping it terminates the program.
pub struct Running {
    child: Child,
    shown: String,
}

/// Starts a program, discards its stdout, and passes each line that it writes to stderr to `each`, in another thread. What
/// is received in the end says that there are no more lines.
///
/// # Errors
/// It cannot be started.
pub fn start_reading(cmd: Cmd, mut each: impl FnMut(&str) + Send + 'static) -> Result<(Running, Receiver<()>)> {
    term::detail(format_args!("$ {cmd}"));
    let shown = cmd.to_string();
    let mut cmd = ours(cmd);
    cmd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = cmd.spawn().with_context(|| cannot_run(&shown))?;
    let Some(stderr) = child.stderr.take() else { unreachable!("it is a pipe") };
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut stderr, mut line) = (BufReader::new(stderr), Vec::new());
        while stderr.by_ref().take(LINE).read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            each(String::from_utf8_lossy(&line).trim_end_matches('\n'));
            line.clear();
        }
        // The receiver may be gone.
        let _ = sender.send(());
    });
    Ok((Running { child, shown }, receiver))
}

impl Running {
    /// Waits for the program to end. Returns its exit status and the command.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn wait(mut self) -> Result<(ExitStatus, String)> {
        let status = self.child.wait().with_context(|| format!("cannot wait for `{}`", self.shown))?;
        Ok((status, self.shown.clone()))
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
