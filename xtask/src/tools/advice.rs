//! What to do about an error: the last line of its message.

use std::error::Error;
use std::fmt;

/// Messages of operating systems, SQLite and other programs when there is no room to write.
const NO_ROOM: [&str; 6] = [
    "no space left",
    "out of diskspace",
    "the server's disk is full",
    "database or disk is full",
    "disk quota exceeded",
    "file too large (os error",
];

/// What to do about a place that cannot be written.
const WRITABLE: &str = "make that writable for you, and run the same command again";

/// Messages of operating systems when this process or its user has too much of something, and what to do.
const NOT_ALLOWED: [(&str, &str); 6] = [
    ("read-only file system", WRITABLE),
    ("permission denied (os error 13)", WRITABLE),
    // As git says it.
    ("unable to create temporary file: permission denied", WRITABLE),
    ("too many open files", "allow more open files (`ulimit -n 4096`), and run the same command again"),
    ("cannot allocate memory", "free some memory, and run the same command again"),
    ("resource temporarily unavailable", "end other programs or free some memory, and run the same command again"),
];

/// An error, and what to do about it.
#[derive(Debug)]
struct Advised {
    error: anyhow::Error,
    next: String,
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without its causes, which are passed on as ours.
        write!(f, "{}", self.error)
    }
}

impl Error for Advised {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// Adds advice to an error. Advice that was given before, nearer to the cause, stays.
pub fn advised(error: anyhow::Error, next: impl Into<String>) -> anyhow::Error {
    match advice(&error) {
        Some(_) => error,
        None => Advised { error, next: next.into() }.into(),
    }
}

/// Whether a message says that there is no room to write.
pub fn is_about_room(message: &str) -> bool {
    let message = message.to_lowercase();
    NO_ROOM.iter().any(|sign| message.contains(sign))
}

fn advice(error: &anyhow::Error) -> Option<&str> {
    error.chain().find_map(|cause| cause.downcast_ref()).map(|Advised { next, .. }| next.as_str())
}

/// Returns what to do about an error, unless its message ends with that already.
pub fn next(error: &anyhow::Error) -> Option<String> {
    if error.root_cause().to_string().contains("the same command again") {
        return None;
    }
    if is_about_room(&format!("{error:#}")) {
        return Some("make room there, and run the same command again".to_owned());
    }
    let said = format!("{error:#}").to_lowercase();
    let lacking = NOT_ALLOWED.iter().find(|(sign, _)| said.contains(sign)).map(|(_, remedy)| *remedy);
    lacking.or_else(|| advice(error)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    fn shown(error: anyhow::Error) -> Option<String> {
        next(&error.context("the upload is not finished"))
    }

    #[test]
    fn the_first_advice_counts() {
        let error = advised(anyhow!("refused").context("cannot push"), "inner");
        assert_eq!(format!("{error:#}"), "cannot push: refused");
        assert_eq!(shown(advised(error, "outer")).as_deref(), Some("inner"));
        assert_eq!(shown(anyhow!("refused")), None);
    }

    #[test]
    fn what_is_said_already_is_not_said_twice() {
        let error = anyhow!("another manager published meanwhile: run the same command again, and read its plan");
        assert_eq!(shown(advised(error, "run the same command again")), None);
    }

    #[test]
    fn what_the_system_denies_is_named() {
        for (code, remedy) in [(24, "open files"), (12, "free some memory"), (11, "end other programs")] {
            let error = anyhow!(std::io::Error::from_raw_os_error(code)).context("cannot run `git status`");
            assert!(shown(advised(error, "fix that")).is_some_and(|said| said.contains(remedy)), "{code}");
        }
    }

    #[test]
    fn a_full_disk_is_recognised_whichever_program_reports_it() {
        let by_the_system = |code| anyhow!(std::io::Error::from_raw_os_error(code)).context("cannot write release/x");
        for error in [
            by_the_system(28),
            by_the_system(122),
            anyhow!("error: cannot open SQLite database: database or disk is full"),
            anyhow!("fatal: write error: No space left on device"),
        ] {
            let said = shown(advised(error, "run the same command again"));
            assert_eq!(said.as_deref(), Some("make room there, and run the same command again"));
        }
    }
}
