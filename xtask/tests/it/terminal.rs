//! Output to a terminal: text by others does not control it, and a stream that cannot be written to stops nothing.

use std::fs::OpenOptions;
use std::process::Stdio;

use expect_test::expect;

use crate::repo::{Ran, Repo, command, make_executable, xtask};

/// Text that erases the screen, returns to the start of the line, reverses text, and looks like a message of ours.
const HOSTILE: &str = "/nowhere\u{1b}[2J\r\u{9b}31m\u{202e}\ndone: all is well";

#[test]
fn text_of_others_is_shown_and_steers_nothing() {
    let error = xtask(&["release", "prepare", "--repo", HOSTILE]).fails(1);
    expect![[r#"
        error: /nowhere\u{1b}[2J\u{d}\u{9b}31m\u{202e}
          done: all is well is not a directory: `--repo` names the tree to release
    "#]]
    .assert_eq(&error);
}

#[test]
fn a_program_that_fails_cannot_steer_the_terminal_either() {
    let repo = Repo::patch_release();
    let hook = "#!/bin/sh\nprintf 'no\\033[2J\\rit is\\n\\302\\2332Jdone: all is well\\n' >&2\nexit 1\n";
    repo.write("bin/git", hook);
    make_executable(&repo.root.join("bin/git"));
    let output = repo.command(&["release", "prepare"]).env("PATH", repo.root.join("bin")).output().expect("it runs");
    let error = Ran::from(output).fails(1);
    assert!(error.chars().all(|c| c == '\n' || !c.is_control()), "{error:?}");
    assert!(error.contains("\n  \\u{9b}2Jdone: all is well\n"), "{error}");
}

#[test]
fn colours_are_ours_alone() {
    let mut command = command(&["release", "prepare", "--dry-run", "--repo", HOSTILE]);
    let error = Ran::from(command.env("CLICOLOR_FORCE", "1").output().expect("it runs")).fails(1);
    assert!(error.starts_with("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m /nowhere\\u{1b}[2J"), "{error:?}");
    assert_eq!(error.matches('\u{1b}').count(), 3, "{error:?}");
}

#[test]
fn a_stream_that_cannot_be_written_to_stops_nothing() {
    let full = || OpenOptions::new().write(true).open("/dev/full").expect("it can be opened");
    let repo = Repo::patch_release();
    let before = repo.state();
    let status = repo.command(&["release", "prepare"]).stderr(full()).status().expect("it runs");
    assert_eq!(status.code(), Some(0), "the work goes on without a word");
    assert_ne!(repo.state(), before);
    let status = command(&["release", "tag", "--repo", "/nowhere"]).stderr(full()).status().expect("it runs");
    assert_eq!(status.code(), Some(1), "an error that nobody can read is an error");

    let repo = Repo::patch_release();
    let mut child = repo.command(&["release", "notes"]).stdout(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "a reader that has seen enough is no error");
    let status = repo.command(&["release", "notes"]).stdout(full()).status().expect("it runs");
    assert_eq!(status.code(), Some(1), "half a page on a full disk is an error");
}
