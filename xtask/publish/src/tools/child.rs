//! Programs that run beside everything else: spoken of when nothing is heard of them, given up after a stated time, and
//! ended together with all that they started as soon as nobody waits for them any more.
//!
//! Whoever drops the future of a program ends the program: an act that fails takes the others' programs with it, and so
//! does Ctrl-C. [`all_ended`] waits until the last of them is gone. Refuses to know any program.

use std::fs::File;
use std::future::Future;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;
use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::Instant;
use xshell::Cmd;
use xtask::tools::{process, term};

use super::progress;

/// After so long without a sign of life, a program is spoken of.
const SILENCE: Duration = Duration::from_secs(10);
/// How often it is looked for one.
const TICK: Duration = Duration::from_millis(500);
/// How long a program that was asked to end may take until it is killed.
const GRACE: Duration = Duration::from_secs(1);
/// How long its streams may stay open once it has ended: a program that was left behind may hold them.
const LINGER: Duration = Duration::from_secs(1);

/// How a program is waited for.
#[derive(Debug, Clone)]
pub struct Wait {
    /// What is waited for, to people: `the registry ghcr.io`.
    what: String,
    /// How long it may take in all.
    longest: Option<Duration>,
    /// How long it may neither read nor write a byte, where that can be seen.
    silent: Option<Duration>,
    /// Whether it may ask on the terminal, which needs our session.
    asks: bool,
    /// Whether it gets the secrets of our environment.
    secrets: bool,
    /// The file that it gets on stdin; nothing if there is none.
    stdin: Option<Utf8PathBuf>,
}

impl Wait {
    /// As long as it takes.
    pub fn for_(what: impl Into<String>) -> Wait {
        Wait { what: what.into(), longest: None, silent: None, asks: false, secrets: false, stdin: None }
    }

    /// No longer than this in all.
    #[must_use]
    pub fn at_most(self, longest: Duration) -> Wait {
        Wait { longest: Some(longest), ..self }
    }

    /// Given up when it neither reads nor writes a byte for so long. Linux tells that; elsewhere there is no limit.
    #[must_use]
    pub fn unless_silent(self, silent: Duration) -> Wait {
        Wait { silent: Some(silent), ..self }
    }

    /// It gets a file on stdin.
    #[must_use]
    pub fn reading(self, file: Utf8PathBuf) -> Wait {
        Wait { stdin: Some(file), ..self }
    }

    /// It may ask a person for something, and gets the secrets of our environment: it makes other secrets of them.
    #[must_use]
    pub fn trusted(self) -> Wait {
        Wait { asks: true, secrets: true, ..self }
    }
}

/// Runs a program to its end and captures what it writes, whatever its exit status.
///
/// # Errors
/// The program cannot be started, its stdin cannot be read, or it was given up.
pub fn capture(cmd: Cmd<'_>, wait: &Wait) -> impl Future<Output = Result<Output>> + use<> {
    term::detail(format_args!("$ {cmd}"));
    let (shown, wait) = (cmd.to_string(), wait.clone());
    let cmd = if wait.secrets { process::prepared_with_secrets(cmd) } else { process::prepared(cmd) };
    let mut command = std::process::Command::from(cmd);
    if !wait.asks {
        process::own_session(&mut command);
    }
    async move {
        process::end_with_us(&mut command, Signal::KILL);
        let mut command = Command::from(command);
        command.stdin(match &wait.stdin {
            Some(path) => Stdio::from(File::open(path).with_context(|| format!("cannot read {path}"))?),
            None => Stdio::null(),
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let child = command.spawn().with_context(|| process::cannot_run(&shown))?;
        Running::new(child, !wait.asks).finish(&shown, &wait).await
    }
}

/// Like [`capture`], for what a program writes to stdout: text, without the final newline.
///
/// # Errors
/// As for [`capture`]; and it fails, as in [`process::check`], or writes something other than UTF-8.
pub fn read(cmd: Cmd<'_>, wait: &Wait) -> impl Future<Output = Result<String>> + use<> {
    let shown = cmd.to_string();
    let running = capture(cmd, wait);
    async move {
        let output = running.await?;
        process::check(&shown, &output)?;
        process::text(&shown, output.stdout)
    }
}

/// A program that somebody waits for. Dropped before its end, it is ended.
struct Running {
    /// Until it is dropped.
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
        let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
            unreachable!("both are pipes")
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut watched = Watched::new(child.id(), shown, wait);
        let status = {
            let reading = async { tokio::join!(out.read_to_end(&mut stdout), err.read_to_end(&mut stderr)) };
            tokio::pin!(reading);
            let mut read = false;
            let status: ExitStatus = loop {
                tokio::select! {
                    _ = &mut reading, if !read => read = true,
                    status = child.wait() => break status.with_context(|| format!("cannot wait for `{shown}`"))?,
                    () = tokio::time::sleep(TICK) => watched.look()?,
                }
            };
            if !read {
                // What it wrote itself has arrived by then.
                let _ = tokio::time::timeout(LINGER, reading).await;
            }
            status
        };
        Ok(Output { status, stdout, stderr })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // None once it has been waited for: then its number may be another program's.
        let Some(number) = child.id() else {
            return ALIVE.send_modify(|alive| *alive -= 1);
        };
        let ending = Ending { number, leads_group: self.leads_group, is_gone: false };
        ending.signal(Signal::TERM);
        // Without a runtime nothing can wait for it any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let _ = tokio::time::timeout(GRACE, child.wait()).await;
            // Once it was waited for, its number may be another program's; its group may still have what it started.
            if child.id().is_some() || ending.leads_group {
                ending.signal(Signal::KILL);
            }
            let _ = child.wait().await;
            ending.gone();
        });
    }
}

/// A program that was asked to end. When this is dropped, which may be because we end, it is killed.
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

/// How many programs run.
static ALIVE: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// Waits until every program that nobody waits for any more is gone. From then on none of them does anything.
pub async fn all_ended() {
    // Twice the grace: a killed program is gone when the system comes round to it.
    let _ = tokio::time::timeout(2 * GRACE, ALIVE.subscribe().wait_for(|alive| *alive == 0)).await;
}

/// A program's signs of life.
struct Watched<'a> {
    number: Option<u32>,
    shown: &'a str,
    wait: &'a Wait,
    started: Instant,
    /// When it was last seen to do something, and what it had done by then.
    active: Instant,
    done: Option<u64>,
    spoken: bool,
}

impl<'a> Watched<'a> {
    fn new(number: Option<u32>, shown: &'a str, wait: &'a Wait) -> Watched<'a> {
        let now = Instant::now();
        Watched { number, shown, wait, started: now, active: now, done: None, spoken: false }
    }

    /// Speaks of it when it is silent, and gives it up when it is silent for too long.
    fn look(&mut self) -> Result<()> {
        let done = self.number.and_then(traffic);
        if done.is_some() && done != self.done {
            (self.active, self.done) = (Instant::now(), done);
        }
        let (silent, elapsed) = (self.active.elapsed(), self.started.elapsed());
        let what = &self.wait.what;
        if self.wait.longest.is_some_and(|longest| elapsed >= longest) {
            bail!("{what} did not answer within {} s, so `{}` was ended", elapsed.as_secs(), self.shown);
        }
        let limit = self.wait.silent.filter(|_| done.is_some());
        if limit.is_some_and(|limit| silent >= limit) {
            bail!("{what} has been silent for {} s, so `{}` was ended", silent.as_secs(), self.shown);
        }
        if silent >= SILENCE && !self.spoken {
            self.spoken = true;
            let left = |limit: Duration, since: Duration| limit.saturating_sub(since).as_secs();
            let limits = [self.wait.longest.map(|all| left(all, elapsed)), limit.map(|limit| left(limit, silent))];
            let ends = match limits.into_iter().flatten().min() {
                Some(seconds) => format!("given up in {seconds} s"),
                None => "Ctrl-C stops it".to_owned(),
            };
            progress::say(format_args!("  waiting for {what}, silent for {} s; {ends}", silent.as_secs()));
        }
        Ok(())
    }
}

/// Bytes that a program has read and written so far, where the system tells.
fn traffic(number: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{number}/io")).ok()?;
    let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    Some(of("rchar:")? + of("wchar:")?)
}
