//! Programs of this workspace, built by cargo. A build that takes more than a moment shows its progress, read from
//! cargo's own progress bar. cargo's warnings and errors are shown as it writes them.

mod progress;

use std::io::{BufReader, Read};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use xshell::{Cmd, Shell};

use self::progress::{Heard, Telling, heard};
use super::{process, term};

/// How long to wait for cargo's streams after it has ended: a program that it left running may hold them open.
const LINGER: Duration = Duration::from_millis(500);
/// Interval at which cargo is checked while it writes nothing.
const STEP: Duration = Duration::from_millis(100);

/// Arguments that make cargo draw its progress bar even without a terminal, whatever its configuration.
const WITH_PROGRESS: [&str; 8] = [
    "--config",
    "term.quiet=false",
    "--config",
    "term.progress.when='always'",
    "--config",
    "term.progress.width=80",
    "--config",
    "term.progress.term-integration=false",
];

/// A program of a workspace.
pub struct Program<'a> {
    /// The workspace's `Cargo.toml`.
    pub manifest: &'a Utf8Path,
    /// The program, and the package that it belongs to.
    pub name: &'a str,
    pub package: &'a str,
}

impl Program<'_> {
    /// Builds the program if necessary, and returns its path as cargo reports it.
    ///
    /// # Errors
    /// cargo cannot be started, or fails; its messages have been shown.
    pub fn built(&self, sh: &Shell) -> Result<Utf8PathBuf> {
        let mut build = vec!["build", "--locked", "--package", self.package, "--manifest-path", self.manifest.as_str()];
        build.extend(["--message-format", "json-render-diagnostics"]);
        let mut program = None;
        watched(sh, self.name, &build, |message| program = executable(message, self.name).or(program.take()))?;
        program.with_context(|| format!("cargo built no program `{}`", self.name))
    }
}

/// The part of cargo's JSON messages that is read.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    executable: String,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Returns the path of the program `name`, if the message reports it.
fn executable(message: &str, name: &str) -> Option<Utf8PathBuf> {
    let artifact: Artifact = serde_json::from_str(message).ok()?;
    (artifact.target.name == name).then_some(artifact.executable.into())
}

/// Runs cargo and shows its progress; `each` gets each line of its stdout.
///
/// # Errors
/// cargo cannot be started, or fails; its messages have been shown.
fn watched(sh: &Shell, what: &str, arguments: &[&str], mut each: impl FnMut(&str)) -> Result<()> {
    let colour = if term::has_colour() { "always" } else { "never" };
    let cmd = sh.cmd("cargo").args(WITH_PROGRESS).args(["--color", colour]).args(arguments);
    let (mut child, written) = started(cmd)?;
    let mut view = View { telling: Telling::new(what, term::can_redraw()), start: Instant::now() };
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        match written.recv_timeout(STEP) {
            Ok(Written::Data(line)) => each(&line),
            Ok(Written::Message { line, is_redrawn }) => view.show(&line, is_redrawn),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if ended.is_some_and(|(_, when)| when.elapsed() > LINGER) => break,
            Err(RecvTimeoutError::Timeout) => {
                let status = child.try_wait().context("cannot wait for cargo")?;
                ended = ended.or(status.map(|status| (status, Instant::now())));
            }
        }
        view.tell();
    }
    view.erase();
    let status = child.wait().context("cannot wait for cargo")?;
    if !status.success() {
        bail!("cannot build {what}: cargo failed ({status}); its messages are above");
    }
    Ok(())
}

/// A line that cargo wrote, without its line end.
enum Written {
    /// A line on stdout.
    Data(String),
    /// A line on stderr. Progress ends with a carriage return, so that the next line overwrites it.
    Message { line: String, is_redrawn: bool },
}

/// Starts cargo, and threads that read its two streams.
fn started(cmd: Cmd) -> Result<(Child, Receiver<Written>)> {
    term::detail(format_args!("$ {cmd}"));
    let shown = cmd.to_string();
    let mut command = process::ours(cmd);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| process::cannot_run(&shown))?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        unreachable!("both are pipes");
    };
    let (sender, receiver) = channel();
    read_lines(stdout, sender.clone(), |line, _| Written::Data(line));
    read_lines(stderr, sender, |line, is_redrawn| Written::Message { line, is_redrawn });
    Ok((child, receiver))
}

/// Sends each line of a stream as it comes.
fn read_lines(
    stream: impl Read + Send + 'static,
    sender: Sender<Written>,
    as_written: impl Fn(String, bool) -> Written + Send + 'static,
) {
    std::thread::spawn(move || {
        let mut line = Vec::new();
        // A read error counts as the end of the stream: the exit status tells success from failure.
        for byte in BufReader::new(stream).bytes().map_while(Result::ok) {
            if !matches!(byte, b'\n' | b'\r') {
                line.push(byte);
                continue;
            }
            let text = String::from_utf8_lossy(&line).into_owned();
            line.clear();
            // The receiver may be gone.
            if sender.send(as_written(text, byte == b'\r')).is_err() {
                return;
            }
        }
        if !line.is_empty() {
            let _ = sender.send(as_written(String::from_utf8_lossy(&line).into_owned(), false));
        }
    });
}

/// The display of a build's progress.
struct View<'a> {
    telling: Telling<'a>,
    start: Instant,
}

impl View<'_> {
    fn show(&mut self, line: &str, is_redrawn: bool) {
        match heard(line, is_redrawn) {
            Heard::Stage(stage) => self.telling.note(stage),
            Heard::Step => {}
            Heard::Words => {
                self.erase();
                term::relay(line);
            }
        }
    }

    fn tell(&mut self) {
        match self.telling.line(self.start.elapsed()) {
            Some(line) if term::can_redraw() => term::redraw(line),
            Some(line) => term::say(line),
            None => {}
        }
    }

    fn erase(&mut self) {
        if self.telling.erase() {
            term::erase();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_one_of_its_name() {
        let message = |name: &str, path: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["bin"],"name":"{name}"}},"executable":{path}}}"#
            )
        };
        assert_eq!(executable(&message("two", r#""/x/two""#), "two"), Some("/x/two".into()));
        assert_eq!(executable(&message("one", r#""/x/one""#), "two"), None);
        assert_eq!(executable(&message("two", "null"), "two"), None, "its library");
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#, "two"), None);
        assert_eq!(executable("not a message", "two"), None);
    }
}
