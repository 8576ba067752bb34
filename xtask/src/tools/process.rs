//! Running other programs, through `xshell`: arguments as lists, never through a shell.
//!
//! Owns what a failure looks like: the command, the exit status and the last lines that the program wrote. Refuses to
//! know any program; each has a file of its own.

use std::io::{Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use camino::Utf8Path;
use xshell::{Cmd, Shell};

use super::term;

/// Lines of a failed program's output that its error carries.
const LAST_LINES: usize = 15;

/// A shell whose commands run in `dir`.
///
/// # Errors
/// The current directory is gone.
pub fn shell_in(dir: &Utf8Path) -> Result<Shell> {
    let sh = Shell::new().context("cannot determine the current directory")?;
    sh.change_dir(dir);
    Ok(sh)
}

/// Runs a program to its end and captures what it writes, whatever its exit status.
///
/// # Errors
/// The program cannot be started.
pub fn capture(cmd: Cmd) -> Result<Output> {
    term::detail(format_args!("$ {cmd}"));
    let shown = cmd.to_string();
    cmd.ignore_status().output().with_context(|| cannot_run(&shown))
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
    let text =
        String::from_utf8(read_bytes(cmd)?).with_context(|| format!("`{shown}` wrote something other than UTF-8"))?;
    Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
}

/// Runs a program with the terminal as its stdout and stderr.
///
/// # Errors
/// It cannot be started, or fails.
pub fn show(cmd: Cmd) -> Result<()> {
    term::detail(format_args!("$ {cmd}"));
    let shown = cmd.to_string();
    let status = Command::from(cmd).stdin(Stdio::null()).status().with_context(|| cannot_run(&shown))?;
    if !status.success() {
        bail!("`{shown}` failed ({status}); its messages are above");
    }
    Ok(())
}

/// Runs a program that must not be interrupted half-way: in a process group of its own, so that neither Ctrl-C nor a
/// signal to our group reaches it, and so that it finishes even if we are killed.
///
/// Its stdin is a file, so that it reads all of it even then. Its stdout is our stderr: whoever waits for our output to
/// end then waits for the program, too.
///
/// # Errors
/// It cannot be started, or fails.
pub fn finish_whatever_happens(cmd: Cmd, stdin: &str) -> Result<()> {
    term::detail(format_args!("$ {cmd}"));
    let shown = cmd.to_string();
    let streams = || -> std::io::Result<_> {
        let mut input = tempfile::tempfile()?;
        input.write_all(stdin.as_bytes())?;
        input.rewind()?;
        Ok((input, std::io::stderr().as_fd().try_clone_to_owned()?))
    };
    let (input, our_stderr) = streams().context("cannot make a temporary file")?;
    let output = Command::from(cmd)
        .process_group(0)
        .stdin(input)
        .stdout(our_stderr)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(Child::wait_with_output)
        .with_context(|| cannot_run(&shown))?;
    check(&shown, &output)
}

fn cannot_run(shown: &str) -> String {
    let program = shown.split(' ').next().unwrap_or_default();
    format!("cannot run `{shown}`: is `{program}` installed and on PATH?")
}

/// Turns a failed program into an error that a person can act on.
fn check(shown: &str, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stderr.trim_end().lines().collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
    bail!("`{shown}` failed ({})\n{last}", output.status);
}
