//! Programs that talk to another machine: the manager is told if it is silent, and in the end the program is ended.
//!
//! Such a program gets a session without a terminal, so that it can be killed with everything that it started, and so
//! that nothing asks a question that is not seen.

use std::error::Error;
use std::fmt;
use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use xshell::Cmd;

use super::process;
use super::term;

/// Another machine that cannot be reached, or is silent. Nothing is known about what it has.
#[derive(Debug)]
pub struct NoAnswer(pub String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for NoAnswer {}

/// How long to wait for another machine.
#[derive(Debug, Clone)]
pub struct Patience {
    /// The other machine, for messages.
    pub whom: String,
    /// Silence after which the manager is told.
    pub spoken_of: Duration,
    /// Silence after which the program is ended.
    pub given_up: Duration,
}

impl Patience {
    /// Tells the manager after 10 s of silence.
    pub fn with(whom: impl Into<String>, given_up: Duration) -> Patience {
        Patience { whom: whom.into(), spoken_of: Duration::from_secs(10), given_up }
    }

    /// Runs a program to its end and captures what it writes, whatever its exit status. `shown` is the command, for
    /// messages.
    ///
    /// # Errors
    /// It cannot be started, or was silent for too long: then it and what it started are killed.
    pub fn capture(&self, cmd: Cmd, shown: &str) -> Result<Output> {
        let mut silence = Silence { written: 0, since: Instant::now(), spoken: false };
        process::capture_watched(cmd, shown, |written| {
            if let Some(message) = self.look(&mut silence, written, shown)? {
                term::say(message);
            }
            Ok(())
        })
    }

    /// Returns what to tell the manager about a program that has written this many bytes by now.
    fn look(&self, silence: &mut Silence, written: u64, shown: &str) -> Result<Option<String>> {
        if written != silence.written {
            *silence = Silence { written, since: Instant::now(), spoken: silence.spoken };
        }
        let silent = silence.since.elapsed();
        let Patience { whom, given_up, .. } = self;
        if silent >= *given_up {
            let seconds = given_up.as_secs();
            bail!(NoAnswer(format!("{whom} has not answered for {seconds} s, so `{shown}` was stopped")));
        }
        if silent < self.spoken_of || silence.spoken {
            return Ok(None);
        }
        silence.spoken = true;
        let left = given_up.saturating_sub(silent).as_secs();
        Ok(Some(format!("  waiting for {whom}, silent for {} s; giving up in {left} s", silent.as_secs())))
    }
}

/// The time for which a program has written nothing.
struct Silence {
    /// Number of bytes that it wrote before.
    written: u64,
    since: Instant,
    spoken: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_spoken_of_once_and_ends() {
        let patience = Patience::with("there", Duration::from_secs(60));
        let ago = |secs| Instant::now().checked_sub(Duration::from_secs(secs)).expect("the machine runs for so long");
        let mut silence = Silence { written: 0, since: ago(9), spoken: false };
        let look = |silence: &mut Silence, written| patience.look(silence, written, "ask").expect("not yet");
        assert_eq!(look(&mut silence, 0), None);
        silence.since = ago(11);
        let said = look(&mut silence, 0).expect("it is spoken of");
        assert!(said.starts_with("  waiting for there, silent for 11 s; giving up in 4"), "{said}");
        assert_eq!(look(&mut silence, 0), None, "once");
        silence.since = ago(61);
        assert_eq!(look(&mut silence, 1), None, "what is written begins the time anew");
        assert_eq!(look(&mut silence, 1), None);
        silence.since = ago(61);
        let error = patience.look(&mut silence, 1, "ask").expect_err("it has been silent for too long");
        assert_eq!(error.to_string(), "there has not answered for 60 s, so `ask` was stopped");
    }

    #[test]
    fn silence_ends_and_what_was_written_counts() {
        let patience = |given_up| Patience { whom: "there".to_owned(), spoken_of: given_up, given_up };
        let sh = xshell::Shell::new().expect("a shell");
        let silent = sh.cmd("sh").args(["-c", "sleep 1000 & wait"]);
        let error = patience(Duration::from_millis(50)).capture(silent, "ask").expect_err("it is silent");
        assert_eq!(error.to_string(), "there has not answered for 0 s, so `ask` was stopped");
        let asks = sh.cmd("sh").args(["-c", "read line </dev/tty || echo asked nobody"]).ignore_status();
        let output = patience(Duration::from_secs(60)).capture(asks, "ask").expect("it ends");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "asked nobody\n", "it has no terminal");
    }
}
