//! The command line: help, helpful errors, and exit code 2 for wrong usage.

use crate::repo::{Repo, xtask};

#[test]
fn without_a_command_there_is_help_and_exit_2() {
    for args in [&[][..], &["release"], &["bench"]] {
        let help = xtask(args).fails(2);
        assert!(help.contains("Usage: cargo xtask"), "{help}");
    }
}

#[test]
fn help_at_each_level() {
    for args in [
        &["--help"][..],
        &["release", "--help"],
        &["release", "notes", "--help"],
        &["release", "prepare", "--help"],
        &["release", "finish", "--help"],
        &["release", "announce", "--help"],
        &["ci", "--help"],
        &["adopt", "--help"],
    ] {
        let help = xtask(args).ok();
        assert!(help.contains("Usage: cargo xtask") && help.contains("--repo"), "{help}");
    }
}

#[test]
fn wrong_words_name_the_right_ones() {
    let cases = [
        (&["release", "prepar"][..], "prepare"),
        (&["relese"], "release"),
        (&["release", "notes", "--chek"], "--check"),
        (&["release", "prepare", "v2.93.1"], "no `v` in front"),
        (&["release", "prepare", "--date", "yesterday"], "--date"),
        (&["release", "finish", "--push"], "--env <ENV>"),
        (&["release", "tag", "--json"], "this command has no `--json`"),
        (&["release", "train", "--env", "local"], "no trees given"),
        (&["release", "notes", "--authors", "x", "--no-authors"], "cannot be used with"),
    ];
    for (args, expected) in cases {
        let error = xtask(args).fails(2);
        assert!(error.contains(expected), "{args:?}: {error}");
    }
}

#[test]
fn a_place_that_is_no_tree_is_named() {
    assert!(
        xtask(&["release", "prepare", "--repo", "/nonexistent"]).fails(1).contains("/nonexistent is not a directory")
    );
    assert!(xtask(&["release", "prepare", "--repo", "/proc"]).fails(1).contains("not in a git work tree"));
    let repo = Repo::empty();
    assert!(repo.xtask(&["release", "prepare"]).fails(1).contains("no commit yet"));
    repo.commit_all("empty");
    assert!(repo.xtask(&["release", "prepare"]).fails(1).contains("has no version.json"));
}
