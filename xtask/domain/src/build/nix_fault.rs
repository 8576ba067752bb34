//! A failure of Nix, and what it means for a manager who does not know Nix well: this Nix is too old for the flake, Nix
//! cannot read a repository of this format, or something is wrong with the machine.

use std::error::Error;
use std::fmt;

use super::program::version;
use crate::shown::lines;

/// The oldest Nix that reads the flakes of every Lix so far.
const FOR_LIX: (u64, u64) = (2, 26);

/// Messages about a flake that a newer Nix reads: the parts of one line, in this order.
const TOO_OLD: [&[&str]; 8] = [
    // Nix 2.8, of inputs that Lix has locked since 2.95; and of Git, path and Git host inputs, in other words.
    &["error: unsupported ", "input attribute '"],
    &["error: input attribute '", "' not supported by scheme '"],
    &["error: lock file '", "' has unsupported version "],
    &["error: file:// URL 'file+"],
    &["error: unexpected flake input attribute 'submodules'"],
    &["error: unexpected flake input attribute 'lfs'"],
    &["This version of Nixpkgs requires Nix >= "],
    &["This version of Nixpkgs requires an implementation of Nix"],
];

/// Messages about a word in a flake that a newer Nix may know, or that is misspelt.
const UNKNOWN: [&[&str]; 3] = [
    &["error: input '", "' is unsupported"],
    &["error: flake '", "' has an unsupported attribute '"],
    &["error: unexpected flake input attribute '"],
];

/// Problems that any Nix has, by a part of its message.
const HINTS: [(&[&str], &str); 8] = [
    (
        &["extensions.refstorage"],
        "this Nix cannot read a repository whose refs are a reftable: `git clone --ref-format=files` makes one that it can",
    ),
    (
        &["wrong length for hash ", "extensions.objectformat"],
        "Nix cannot read a repository whose objects use SHA-256: use one with SHA-1",
    ),
    (&["is a shallow Git repository"], "Nix cannot read a shallow clone: `git fetch --unshallow` fetches the rest"),
    (&["unsupported extension name"], "this repository has a format that Nix does not know: clone it again"),
    (&["cannot connect to socket", "cannot connect to daemon"], "the Nix daemon does not answer: is it running?"),
    (&["No space left on device", "database or disk is full"], "there is no space left"),
    (&["Disk quota exceeded"], "the disk quota is used up"),
    (&["Read-only file system", "attempt to write a readonly database"], "a file system is read-only"),
];

/// A failure of Nix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What the failure means, and what to do; `None` if there is nothing to add to Nix's message.
    pub meaning: Option<String>,
    /// Nix's message.
    pub message: String,
}

impl Fault {
    /// Reads what Nix wrote to stderr; `nix` is the version that it reports.
    pub fn new(stderr: &str, nix: &str) -> Fault {
        let message = lines(error_in(stderr));
        Fault { meaning: meaning(&message, nix), message }
    }

    /// Whether the flake has no such output.
    pub fn is_no_output(&self) -> bool {
        self.message.contains("' does not provide attribute '")
    }
}

/// Writes the meaning first, on a separate line.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(meaning) = &self.meaning {
            writeln!(f, "{meaning}")?;
        }
        f.write_str(&self.message)
    }
}

impl Error for Fault {}

/// Returns Nix's output from its error on, without the warnings before it.
fn error_in(stderr: &str) -> &str {
    let start = if stderr.starts_with("error:") { Some(0) } else { stderr.find("\nerror:").map(|newline| newline + 1) };
    stderr[start.unwrap_or(0)..].trim_end()
}

/// Explains a message of the Nix that reports the version `nix`.
pub fn meaning(message: &str, nix: &str) -> Option<String> {
    let says = |signs: &[&[&str]]| message.lines().any(|line| signs.iter().any(|parts| in_order(line, parts)));
    if says(&TOO_OLD) || is_builtin_missing(message) {
        let enough = version(nix).is_some_and(|found| found >= FOR_LIX);
        let which = if enough { "" } else { " (Lix since 2.95 needs 2.26 or newer)" };
        return Some(format!("`{nix}` is too old for this flake: put a newer Nix first on PATH{which}"));
    }
    if says(&UNKNOWN) {
        return Some(format!(
            "`{nix}` does not know a word in this flake: the word is misspelt, or needs a newer Nix on PATH"
        ));
    }
    if let Some(feature) = switched_off(message) {
        return Some(match feature {
            "flakes" | "nix-command" => "flakes are disabled in this Nix, and cannot be enabled".to_owned(),
            other => format!(
                "the flake needs an experimental feature of Nix: `export NIX_CONFIG='extra-experimental-features = {other}'`"
            ),
        });
    }
    let hint = HINTS.iter().find(|(signs, _)| signs.iter().any(|sign| message.contains(sign)));
    hint.map(|(_, hint)| (*hint).to_owned())
}

/// Whether the line has all parts, one after the other.
fn in_order(line: &str, parts: &[&str]) -> bool {
    let mut rest = line;
    parts.iter().all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// Whether a function of the language itself is missing: Nix shows the line that uses it.
fn is_builtin_missing(message: &str) -> bool {
    let missing = message.lines().filter_map(|line| line.split_once("error: attribute '")?.1.strip_suffix("' missing"));
    missing.into_iter().any(|name| message.contains(&format!("builtins.{name}")))
}

/// Returns the experimental feature that would have to be enabled.
fn switched_off(message: &str) -> Option<&str> {
    let start = ["experimental Nix feature '", "experimental Lix feature '"];
    let after = start.iter().find_map(|start| Some(message.split_once(start)?.1))?;
    Some(after.split_once("' is disabled")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const OLD: &str = "nix (Nix) 2.8.0";
    const NEW: &str = "nix (Nix) 2.34.8";

    /// Returns the meanings of messages, one per line.
    fn shown(nix: &str, messages: &[&str]) -> String {
        messages.iter().map(|message| meaning(message, nix).unwrap_or_else(|| "-".to_owned()) + "\n").collect()
    }

    // All as Nix 2.8.0, 2.26.3 and 2.34.8 write them.
    #[test]
    fn too_old_is_said_in_plain_words() {
        let builtin = "error: attribute 'convertHash' missing\n\n       at /nix/store/x-source/flake.nix:1:40:\n\n            \
                       1| { outputs = _: { release-jobs = builtins.convertHash { }; }; }\n";
        let messages = [
            "error: unsupported tarball input attribute 'lastModified'\n(use '--show-trace' to show detailed …)",
            "error: unsupported Git input attribute 'exportIgnore'",
            "error: unsupported input attribute 'treeHash'",
            "error:\n       … while updating the lock file\n\n       error: input attribute 'lfs' not supported by scheme 'git'",
            "error: lock file '/nix/store/x-source//flake.lock' has unsupported version 8",
            "error: file:// URL 'file+https://example.org/x' has unexpected authority 'example.org'",
            "error: unexpected flake input attribute 'submodules', at /nix/store/x-source/flake.nix:1:3",
            "error: evaluation aborted with the following error message: '\n\n         This version of Nixpkgs requires Nix >= 2.18, please upgrade:\n",
            builtin,
        ];
        let too_old = "`nix (Nix) 2.8.0` is too old for this flake: put a newer Nix first on PATH (Lix since 2.95 needs 2.26 or newer)\n";
        assert_eq!(shown(OLD, &messages), too_old.repeat(messages.len()));
        expect!["`nix (Nix) 2.34.8` is too old for this flake: put a newer Nix first on PATH"]
            .assert_eq(&meaning(messages[4], NEW).expect("a meaning"));
    }

    #[test]
    fn what_may_be_misspelt_is_not_called_too_new() {
        expect![[r"
            `nix (Nix) 2.8.0` does not know a word in this flake: the word is misspelt, or needs a newer Nix on PATH
            `nix (Nix) 2.8.0` does not know a word in this flake: the word is misspelt, or needs a newer Nix on PATH
            `nix (Nix) 2.8.0` does not know a word in this flake: the word is misspelt, or needs a newer Nix on PATH
            -
            -
        "]]
        .assert_eq(&shown(
            OLD,
            &[
                "error: input 'novel:x' is unsupported",
                "error: flake 'git+file:///x?rev=1' has an unsupported attribute 'novel', at /x/flake.nix:1:3",
                "error: unexpected flake input attribute 'ulr', at /x/flake.nix:1:3",
                "error: attribute 'convertHash' missing\n\n            1| { outputs = _: { release-jobs = lib.convertHash { }; }; }",
                "error: flake 'x' does not provide attribute 'release-jobs'",
            ],
        ));
    }

    #[test]
    fn problems_of_any_nix_are_explained() {
        expect![[r"
            this Nix cannot read a repository whose refs are a reftable: `git clone --ref-format=files` makes one that it can
            Nix cannot read a repository whose objects use SHA-256: use one with SHA-1
            Nix cannot read a repository whose objects use SHA-256: use one with SHA-1
            Nix cannot read a shallow clone: `git fetch --unshallow` fetches the rest
            flakes are disabled in this Nix, and cannot be enabled
            the flake needs an experimental feature of Nix: `export NIX_CONFIG='extra-experimental-features = pipe-operators'`
            there is no space left
        "]]
        .assert_eq(&shown(
            NEW,
            &[
                "error: unsupported extension name extensions.refstorage (libgit2 error code = 6)",
                "error: hash 'a' has wrong length for hash algorithm 'sha1'",
                "error: hash 'a' has wrong length for hash type 'sha1'",
                "error: '/x' is a shallow Git repository, but a non-shallow repository is needed",
                "error: experimental Nix feature 'nix-command' is disabled; use '--extra-experimental-features nix-command'",
                "error: experimental Nix feature 'pipe-operators' is disabled; add '--extra-experimental-features pipe-operators'",
                "error: writing to file: No space left on device",
            ],
        ));
    }

    #[test]
    fn warnings_are_not_part_of_an_error() {
        let says = |stderr: &str| Fault::new(stderr, OLD).to_string();
        let warned = "warning: unsupported input attribute 'x'\nerror: a\n       b\n\nerror: c\n";
        assert_eq!(says(warned), "error: a\n       b\n\nerror: c");
        assert_eq!(says("killed\n"), "killed");
        assert_eq!(
            says("warning: x\nerror: lock file 'x' has unsupported version 8\n"),
            "`nix (Nix) 2.8.0` is too old for this flake: put a newer Nix first on PATH (Lix since 2.95 needs 2.26 or newer)\n\
             error: lock file 'x' has unsupported version 8"
        );
    }
}
