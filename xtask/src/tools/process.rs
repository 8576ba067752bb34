//! Running other programs, through `xshell`: arguments as lists, never through a shell.
//!
//! Owns what a failure looks like: the command, the exit status and the last lines that the program wrote; and the
//! environment that every program gets ([`environment`]). On Linux, a program ends when we do, unless it must not be
//! interrupted halfway.

pub mod environment;
pub mod output;
pub mod running;

use std::convert::Infallible;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8Path;
use rustix::io::FdFlags;
use rustix::process::{Pid, Signal};
use xshell::{Cmd, Shell};

use self::environment::prepared;
use super::{advice, files, room, term};

/// Number of lines of a failed program's output that its error carries.
const LAST_LINES: usize = 15;
/// Interval at which a watched program is checked.
const STEP: Duration = Duration::from_millis(10);

/// How long to wait for a stream after its program has ended: a program that it left running may hold it open.
pub const LINGER: Duration = Duration::from_secs(1);

/// Returns a shell whose commands run in `dir`.
///
/// # Errors
/// The current directory is gone.
pub fn shell_in(dir: &Utf8Path) -> Result<Shell> {
    let sh = Shell::new().context("cannot determine the current directory")?;
    sh.change_dir(dir);
    Ok(sh)
}

/// Makes Linux end a program when the thread that starts it ends, for whatever reason.
#[cfg(target_os = "linux")]
pub fn end_with_us(command: &mut Command, signal: Signal) {
    let parent = rustix::process::getpid();
    let ask = move || {
        rustix::process::set_parent_process_death_signal(Some(signal))?;
        // We may have ended before that.
        match rustix::process::getppid() {
            Some(there) if there == parent => Ok(()),
            _ => Err(std::io::ErrorKind::Interrupted.into()),
        }
    };
    // SAFETY: between fork and exec only two system calls are made, and nothing is allocated or locked.
    unsafe { command.pre_exec(ask) };
}

#[cfg(not(target_os = "linux"))]
pub fn end_with_us(_: &mut Command, _: Signal) {}

/// Gives a program a separate session: it has no terminal to ask on, and what it starts can be killed with it.
pub fn own_session(command: &mut Command) {
    // SAFETY: between fork and exec only one system call is made, and nothing is allocated or locked.
    unsafe { command.pre_exec(|| rustix::process::setsid().map(drop).map_err(Into::into)) };
}

/// Sends a signal to a program that has its own session, and to everything that it started there.
pub fn signal_group(leader: u32, signal: Signal) {
    let group = i32::try_from(leader).ok().and_then(Pid::from_raw);
    // It may have ended just now.
    let _ = group.map(|group| rustix::process::kill_process_group(group, signal));
}

/// Sends a signal to one program.
pub fn signal_one(number: u32, signal: Signal) {
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
    // It may have ended just now.
    let _ = pid.map(|pid| rustix::process::kill_process(pid, signal));
}

/// Turns a command into a program that ends when we do, ready to be started.
pub(super) fn ours(cmd: Cmd) -> Command {
    let mut command = Command::from(prepared(cmd));
    end_with_us(&mut command, Signal::TERM);
    command
}

/// Runs a program to its end and captures what it writes, whatever its exit status.
///
/// # Errors
/// The program cannot be started.
pub fn capture(cmd: Cmd) -> Result<Output> {
    term::detail(format_args!("$ {cmd}"));
    let shown = cmd.to_string();
    prepared(cmd).ignore_status().output().with_context(|| cannot_run(&shown))
}

/// Like [`capture`], for a program that may run for long: it ends when we do. It gets no stdin.
///
/// # Errors
/// The program cannot be started.
pub fn capture_long(cmd: Cmd) -> Result<Output> {
    term::detail(format_args!("$ {cmd}"));
    let shown = cmd.to_string();
    let mut cmd = ours(cmd);
    cmd.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    output::of(cmd.spawn().with_context(|| cannot_run(&shown))?, &shown)
}

/// Runs a program and returns what it wrote to stdout.
///
/// # Errors
/// It cannot be started, or fails: the error holds the command, the status, and the last lines of stderr.
pub fn read_bytes(cmd: Cmd) -> Result<Vec<u8>> {
    let shown = cmd.to_string();
    let output = capture(cmd)?;
    check(&shown, &output)?;
    Ok(output.stdout)
}

/// Like [`read_bytes`], as text without the final newline.
///
/// # Errors
/// As for [`read_bytes`], and output that is not UTF-8.
pub fn read(cmd: Cmd) -> Result<String> {
    let shown = cmd.to_string();
    text(&shown, read_bytes(cmd)?)
}

/// Returns what a program wrote as text without its final newline.
///
/// # Errors
/// It is not UTF-8.
pub fn text(shown: &str, written: Vec<u8>) -> Result<String> {
    let text = String::from_utf8(written).with_context(|| format!("`{shown}` wrote something other than UTF-8"))?;
    Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
}

/// Like [`read`], with a time limit, and without a terminal, so that the program cannot ask anything.
///
/// # Errors
/// As for [`read`], or the program does not end in time: then it and what it started are killed.
pub fn read_within(patience: Duration, cmd: Cmd) -> Result<String> {
    let shown = cmd.to_string();
    let deadline = Instant::now() + patience;
    let output = capture_watched(cmd, &shown, |_| {
        ensure!(Instant::now() < deadline, "`{shown}` did not end within {} s", patience.as_secs());
        Ok(())
    })?;
    check(&shown, &output)?;
    text(&shown, output.stdout)
}

/// Whether this process is about to end.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Kills every program that [`capture_watched`] runs, now or later, so that no thread waits for one.
pub fn end_watched() {
    ENDING.store(true, Ordering::SeqCst);
}

/// Runs a program to its end and captures what it writes, whatever its exit status. It has no stdin and no terminal.
/// `shown` is the command, for messages.
///
/// While it runs, `watch` gets the number of bytes that it has written so far.
///
/// # Errors
/// It cannot be started, or `watch` fails, or we end: then it and what it started are killed.
pub fn capture_watched(cmd: Cmd, shown: &str, mut watch: impl FnMut(u64) -> Result<()>) -> Result<Output> {
    term::detail(format_args!("$ {shown}"));
    let streams = || -> std::io::Result<_> {
        let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let written = (stdout.try_clone()?, stderr.try_clone()?);
        Ok((stdout, stderr, written))
    };
    let (out, err, (mut stdout, mut stderr)) = streams().with_context(no_file)?;
    let mut cmd = ours(cmd);
    cmd.stdin(Stdio::null()).stdout(out).stderr(err);
    own_session(&mut cmd);
    let mut leader = Leader(cmd.spawn().with_context(|| cannot_run(shown))?);
    let status = loop {
        if let Some(status) = leader.0.try_wait().with_context(|| format!("cannot wait for `{shown}`"))? {
            break status;
        }
        ensure!(!ENDING.load(Ordering::SeqCst), "`{shown}` was stopped");
        let written = length(&stdout) + length(&stderr);
        ensure!(written <= output::MOST, output::too_much(shown));
        watch(written)?;
        std::thread::sleep(STEP);
    };
    let reading = || format!("cannot read what `{shown}` wrote");
    Ok(Output {
        status,
        stdout: all(&mut stdout).with_context(reading)?,
        stderr: all(&mut stderr).with_context(reading)?,
    })
}

/// A program with a separate session, killed with this value.
struct Leader(Child);

impl Drop for Leader {
    fn drop(&mut self) {
        // Once it has been waited for, its number may belong to another program.
        if matches!(self.0.try_wait(), Ok(None)) {
            signal_group(self.0.id(), Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

/// Like [`read_bytes`], for a program that may ask something on the terminal, where its messages go.
///
/// # Errors
/// It cannot be started, or fails. The error has nothing of what it wrote to stdout.
pub fn ask(cmd: Cmd) -> Result<Vec<u8>> {
    term::detail(format_args!("$ {cmd}"));
    let shown = cmd.to_string();
    let output =
        ours(cmd).stdin(Stdio::inherit()).stderr(Stdio::inherit()).output().with_context(|| cannot_run(&shown))?;
    if !output.status.success() {
        bail!("`{shown}` failed ({}); its messages are above", output.status);
    }
    Ok(output.stdout)
}

/// Runs a program with the terminal as its stdout and stderr.
///
/// # Errors
/// It cannot be started, or fails.
pub fn show(cmd: Cmd) -> Result<()> {
    term::detail(format_args!("$ {cmd}"));
    let shown = cmd.to_string();
    let status = ours(cmd).stdin(Stdio::null()).status().with_context(|| cannot_run(&shown))?;
    if !status.success() {
        bail!("`{shown}` failed ({status}); its messages are above");
    }
    Ok(())
}

/// Runs a program that must not be interrupted halfway: in a separate process group, so that neither Ctrl-C nor a
/// signal to our group reaches it, and so that it finishes even if we are killed.
///
/// Its stdin and stderr are files, so that even then it can read all of its input and write its messages. Its stdout is
/// our stderr, although it writes nothing there: a parent that reads our output to its end then waits for the program,
/// too.
/// It holds `lock`, so that the lock ends with the program.
///
/// # Errors
/// It cannot be started, or fails.
pub fn run_uninterruptible(cmd: Cmd, stdin: &str, lock: &File) -> Result<()> {
    term::detail(format_args!("$ {cmd}"));
    let shown = cmd.to_string();
    let streams = || -> std::io::Result<_> {
        let (mut input, messages) = (tempfile::tempfile()?, tempfile::tempfile()?);
        input.write_all(stdin.as_bytes())?;
        input.rewind()?;
        let (out, err) = (std::io::stderr().as_fd().try_clone_to_owned()?, messages.try_clone()?);
        Ok((input, messages, out, err))
    };
    let (input, mut messages, out, err) = streams().with_context(no_file)?;
    let mut cmd = Command::from(prepared(cmd));
    cmd.process_group(0).stdin(input).stdout(out).stderr(err);
    rustix::io::fcntl_setfd(lock, FdFlags::empty()).context("cannot hand a lock on")?;
    let child = cmd.spawn().with_context(|| cannot_run(&shown));
    // No other program is to hold it.
    rustix::io::fcntl_setfd(lock, FdFlags::CLOEXEC).context("cannot keep a lock")?;
    let status = child?.wait().with_context(|| format!("cannot wait for `{shown}`"))?;
    let stderr = all(&mut messages).with_context(|| format!("cannot read what `{shown}` wrote"))?;
    check(&shown, &Output { status, stdout: Vec::new(), stderr })
}

fn length(file: &File) -> u64 {
    file.metadata().map(|metadata| metadata.len()).unwrap_or_default()
}

/// Reads a file from its start to its end.
fn all(file: &mut std::fs::File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes).map(|_| bytes)
}

/// Replaces this process with a program, which gets our terminal, and whose exit code is ours.
///
/// # Errors
/// It cannot be started; otherwise this does not return.
pub fn exec(cmd: Cmd) -> Result<Infallible> {
    term::detail(format_args!("$ {cmd}"));
    let shown = cmd.to_string();
    Err(Command::from(cmd).exec()).with_context(|| cannot_run(&shown))
}

/// Whether this machine has a process with this number.
pub fn is_running(number: u32) -> bool {
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
    // A process of another user may not be signalled, but it exists.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// Returns the message about a temporary file that cannot be made.
fn no_file() -> String {
    format!("cannot make a temporary file in {}", std::env::temp_dir().display())
}

/// Returns the message about a program that cannot be started.
pub fn cannot_run(shown: &str) -> String {
    let program = shown.split(' ').next().unwrap_or_default();
    // Memory, processes or open files may be lacking instead.
    let hint = if files::on_path(program) { "" } else { ": is `PROGRAM` installed and on PATH?" };
    format!("cannot run `{shown}`{}", hint.replace("PROGRAM", program))
}

/// Checks that a program succeeded.
///
/// # Errors
/// It failed: the error holds the command, the status, and the last lines of stderr.
pub fn check(shown: &str, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = last_lines(&output.stderr);
    let why = if advice::is_about_room(&said) { None } else { room::missing() };
    bail!("`{shown}` failed ({})\n{said}{}", output.status, why.map(|why| format!("\n{why}")).unwrap_or_default());
}

/// Returns the last lines that a program wrote; of a line that it redrew, as progress, only the last state.
pub fn last_lines(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let drawn = |line: &'_ str| line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default().to_owned();
    let lines: Vec<String> = text.trim_end().lines().map(drawn).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_killed_with_everything_that_it_started() {
        let dir = tempfile::tempdir().expect("a directory");
        let sh = shell_in(Utf8Path::from_path(dir.path()).expect("UTF-8")).expect("a shell");
        let script = "echo $$ > pid; sleep 600 & echo $! > child; wait";
        // Long enough to write both numbers, however busy the machine is.
        let error = read_within(Duration::from_secs(2), sh.cmd("sh").args(["-c", script])).expect_err("it waits");
        assert!(error.to_string().ends_with("did not end within 2 s"), "{error}");
        for file in ["pid", "child"] {
            let number = std::fs::read_to_string(dir.path().join(file)).expect(file);
            let deadline = Instant::now() + Duration::from_secs(60);
            loop {
                let state = std::fs::read_to_string(format!("/proc/{}/stat", number.trim())).unwrap_or_default();
                // It dies once it is scheduled, and its new parent reaps it at any time after that.
                if state.is_empty() || state.contains(") Z ") {
                    break;
                }
                assert!(Instant::now() < deadline, "{file}: {state}");
                std::thread::sleep(STEP);
            }
        }
        let patience = Duration::from_secs(60);
        assert_eq!(read_within(patience, sh.cmd("echo").arg("a")).expect("it ends"), "a");
        let error = read_within(patience, sh.cmd("sh").args(["-c", "echo why >&2; exit 3"])).expect_err("it fails");
        assert!(error.to_string().contains("exit status: 3)\nwhy"), "{error}");
    }
}
