//! Programs that run concurrently with everything else. A silent program is reported, stopped at its time limit, and
//! ended with everything that it started as soon as its result is no longer needed.
//!
//! Dropping the future of a program ends the program: so a failing act ends the programs of the other acts, as does
//! Ctrl-C. [`all_ended`] waits until the last of them is gone.

use std::fs::File;
use std::future::Future;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::Instant;
use xshell::Cmd;
use xtask::tools::process::{self, environment, output};
use xtask::tools::term;

use super::progress;
use super::wire::CannotAsk;

/// Silence after which a program is reported.
const SILENCE: Duration = Duration::from_secs(10);
/// Interval between looks at a program's traffic.
const TICK: Duration = Duration::from_millis(500);
/// Time that a program has to end when asked to, before it is killed.
const GRACE: Duration = Duration::from_secs(1);
/// Time that a program's streams may stay open after its end: a program that it left behind may hold them.
const LINGER: Duration = Duration::from_secs(1);

/// How long to wait for a program, and what it gets.
#[derive(Debug, Clone)]
pub struct Wait {
    /// What the wait is for, in messages: `the registry ghcr.io`.
    what: String,
    /// Longest time that it may take in total.
    longest: Option<Duration>,
    /// Longest time without reading or writing a byte, if the system shows that.
    silent: Option<Duration>,
    /// Whether it may ask on the terminal, for which it has to stay in our session.
    asks: bool,
    /// Whether it gets the secrets in our environment variables.
    secrets: bool,
    /// The file that is its stdin, if any.
    stdin: Option<Arc<File>>,
}

impl Wait {
    /// Waits without a limit.
    pub fn for_(what: impl Into<String>) -> Wait {
        Wait { what: what.into(), longest: None, silent: None, asks: false, secrets: false, stdin: None }
    }

    /// Stops the program after this time in total.
    #[must_use]
    pub fn at_most(self, longest: Duration) -> Wait {
        Wait { longest: Some(longest), ..self }
    }

    /// Stops the program after it has not read or written a byte for this time. Only Linux shows that; elsewhere there
    /// is no limit.
    #[must_use]
    pub fn unless_silent(self, silent: Duration) -> Wait {
        Wait { silent: Some(silent), ..self }
    }

    /// Gives it a file as stdin.
    #[must_use]
    pub fn reading(self, file: File) -> Wait {
        Wait { stdin: Some(Arc::new(file)), ..self }
    }

    /// Lets it ask the manager, and gives it the secrets in our environment variables, from which it makes others.
    #[must_use]
    pub fn trusted(self) -> Wait {
        Wait { asks: true, secrets: true, ..self }
    }
}

/// Runs a program to its end and captures what it writes, whatever its exit status.
///
/// # Errors
/// The program cannot be started, or a time limit has passed.
pub fn capture(cmd: Cmd<'_>, wait: &Wait) -> impl Future<Output = Result<Output>> + use<> {
    term::detail(format_args!("$ {cmd}"));
    let (shown, wait) = (cmd.to_string(), wait.clone());
    let cmd = if wait.secrets { environment::prepared_with_secrets(cmd) } else { environment::prepared(cmd) };
    let mut command = std::process::Command::from(cmd);
    if !wait.asks {
        process::own_session(&mut command);
    }
    async move {
        process::end_with_us(&mut command, Signal::KILL);
        let mut command = Command::from(command);
        command.stdin(match &wait.stdin {
            Some(file) => Stdio::from(file.try_clone().context("cannot hand a file on")?),
            None => Stdio::null(),
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let child = command.spawn().with_context(|| process::cannot_run(&shown))?;
        Running::new(child, !wait.asks).finish(&shown, &wait).await
    }
}

/// Runs a program like [`capture`], and returns its stdout as text without the final newline.
///
/// # Errors
/// As for [`capture`]; or the program fails, as in [`process::check`], or writes something other than UTF-8.
pub fn read(cmd: Cmd<'_>, wait: &Wait) -> impl Future<Output = Result<String>> + use<> {
    let shown = cmd.to_string();
    let running = capture(cmd, wait);
    async move {
        let output = running.await?;
        process::check(&shown, &output)?;
        process::text(&shown, output.stdout)
    }
}

/// A running program. Dropping this ends it.
struct Running {
    /// The program; `None` only while this is dropped.
    child: Option<tokio::process::Child>,
    leads_group: bool,
}

impl Running {
    fn new(child: tokio::process::Child, leads_group: bool) -> Running {
        ALIVE.send_modify(|alive| *alive += 1);
        Running { child: Some(child), leads_group }
    }

    async fn finish(mut self, shown: &str, wait: &Wait) -> Result<Output> {
        let Some(child) = &mut self.child else { unreachable!("it is there until it is dropped") };
        let (Some(mut out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
            unreachable!("both are pipes")
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut watched = Watched::new(child.id(), shown, wait);
        let status = {
            let reading = async { tokio::join!(all(&mut out, &mut stdout), last(err, &mut stderr)) };
            tokio::pin!(reading);
            let mut read = false;
            let status: ExitStatus = loop {
                tokio::select! {
                    (within, ()) = &mut reading, if !read => {
                        ensure!(within, output::too_much(shown));
                        read = true;
                    }
                    status = child.wait() => break status.with_context(|| format!("cannot wait for `{shown}`"))?,
                    () = tokio::time::sleep(TICK) => watched.look()?,
                }
            };
            if !read {
                // Its own output has arrived by then.
                let _ = tokio::time::timeout(LINGER, reading).await;
            }
            status
        };
        Ok(Output { status, stdout, stderr })
    }
}

/// Reads a stream to its end. Returns `false`, and stops, if it has too much.
async fn all(stream: &mut ChildStdout, bytes: &mut Vec<u8>) -> bool {
    // What was read before an error is still worth showing.
    let _ = stream.take(output::MOST + 1).read_to_end(bytes).await;
    bytes.len() as u64 <= output::MOST
}

/// Reads a stream to its end, or until it has too much, and keeps its last part. A program that writes without end
/// fails once nothing reads it any more.
async fn last(mut stream: ChildStderr, kept: &mut Vec<u8>) {
    let (mut buffer, mut length) = (vec![0; 1 << 16], 0);
    while length <= output::MOST
        && let Ok(read @ 1..) = stream.read(&mut buffer).await
    {
        output::keep(kept, &buffer[..read]);
        length += read as u64;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // `None` once it has been waited for: the number may then belong to another program.
        let Some(number) = child.id() else {
            return ALIVE.send_modify(|alive| *alive -= 1);
        };
        let ending = Ending { number, leads_group: self.leads_group, is_gone: false };
        ending.signal(Signal::TERM);
        // Without a runtime, it cannot be waited for.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let _ = tokio::time::timeout(GRACE, child.wait()).await;
            // Once it has been waited for, its number may belong to another program; its group may still have children.
            if child.id().is_some() || ending.leads_group {
                ending.signal(Signal::KILL);
            }
            let _ = child.wait().await;
            ending.gone();
        });
    }
}

/// A program that was asked to end. Dropping this, for instance because this process ends, kills it.
struct Ending {
    number: u32,
    leads_group: bool,
    is_gone: bool,
}

impl Ending {
    fn gone(mut self) {
        self.is_gone = true;
    }

    fn signal(&self, signal: Signal) {
        if self.leads_group {
            process::signal_group(self.number, signal);
        } else {
            process::signal_one(self.number, signal);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.is_gone {
            self.signal(Signal::KILL);
        }
        ALIVE.send_modify(|alive| *alive -= 1);
    }
}

/// Number of programs that run.
static ALIVE: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// Waits until every program whose future was dropped is gone, so that none of them can change anything any more.
pub async fn all_ended() {
    // Twice the grace period, because a killed program does not disappear at once.
    let _ = tokio::time::timeout(2 * GRACE, ALIVE.subscribe().wait_for(|alive| *alive == 0)).await;
}

/// A program's traffic and its time limits.
struct Watched<'a> {
    number: Option<u32>,
    shown: &'a str,
    wait: &'a Wait,
    started: Instant,
    /// Time at which its traffic last changed.
    active: Instant,
    /// Bytes read and written by then.
    done: Option<u64>,
    /// Whether its silence was reported.
    spoken: bool,
}

impl<'a> Watched<'a> {
    fn new(number: Option<u32>, shown: &'a str, wait: &'a Wait) -> Watched<'a> {
        let now = Instant::now();
        Watched { number, shown, wait, started: now, active: now, done: None, spoken: false }
    }

    /// Reports a silent program, and fails if a time limit has passed.
    fn look(&mut self) -> Result<()> {
        let done = self.number.and_then(traffic);
        if done.is_some() && done != self.done {
            (self.active, self.done) = (Instant::now(), done);
        }
        let (silent, elapsed) = (self.active.elapsed(), self.started.elapsed());
        let what = &self.wait.what;
        if self.wait.longest.is_some_and(|longest| elapsed >= longest) {
            let seconds = elapsed.as_secs();
            bail!(CannotAsk(format!("{what} did not answer within {seconds} s, so `{}` was stopped", self.shown)));
        }
        let limit = self.wait.silent.filter(|_| done.is_some());
        if limit.is_some_and(|limit| silent >= limit) {
            let seconds = silent.as_secs();
            bail!(CannotAsk(format!("{what} was silent for {seconds} s, so `{}` was stopped", self.shown)));
        }
        if silent >= SILENCE && !self.spoken {
            self.spoken = true;
            let left = |limit: Duration, since: Duration| limit.saturating_sub(since).as_secs();
            let limits = [self.wait.longest.map(|all| left(all, elapsed)), limit.map(|limit| left(limit, silent))];
            let ends = match limits.into_iter().flatten().min() {
                Some(seconds) => format!("giving up in {seconds} s"),
                None => "Ctrl-C stops it".to_owned(),
            };
            progress::say(format_args!("  waiting for {what}, silent for {} s; {ends}", silent.as_secs()));
        }
        Ok(())
    }
}

/// Returns the number of bytes that a program has read and written, if the system shows it.
fn traffic(number: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{number}/io")).ok()?;
    let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    Some(of("rchar:")? + of("wchar:")?)
}
