//! Too little room for what is written: the error names the reason, nothing is lost, and the same command succeeds once
//! there is room. (`cargo xtask crash --victim disk` tries every write.)

use std::fs::File;

use crate::repo::{Ran, Repo, limited};

/// Largest sizes of a file, in blocks of 512 bytes.
const SIZES: [usize; 5] = [0, 1, 2, 4, 8];

/// Runs a command with too little room, and again with enough; returns how often there was too little.
fn with_too_little_room(tree: &Repo, args: &[&str]) -> usize {
    let undisturbed = tree.copy();
    undisturbed.xtask(args).ok();
    let mut failed = 0;
    for size in SIZES {
        let repo = tree.copy();
        let output = limited(&repo.command(args), &format!("ulimit -f {size}")).output().expect("it runs");
        let ran = Ran::from(output);
        if ran.code != Some(0) {
            failed += 1;
            assert_eq!(ran.code, Some(1), "{args:?} with {size}: {}", ran.stderr);
            assert!(ran.stderr.contains("\nnext: make room "), "{args:?} with {size}: {}", ran.stderr);
            let is_whole = repo.git(&["status", "--porcelain", "--untracked-files=no"]).is_empty();
            assert!(is_whole || ran.stderr.contains("the same command completes it"), "{}", ran.stderr);
            repo.xtask(args).ok();
        }
        assert_eq!(repo.git(&["status", "--porcelain"]), "", "{args:?} with {size}");
        let trees = |repo: &Repo| repo.git(&["log", "--all", "--format=%T %s %D"]);
        assert_eq!(trees(&repo), trees(&undisturbed), "{args:?} with {size}");
    }
    failed
}

#[test]
fn what_did_not_fit_is_done_again_by_the_same_command() {
    let repo = Repo::patch_release();
    let prepare = ["release", "prepare"];
    assert!(with_too_little_room(&repo, &prepare) >= 2);
    repo.xtask(&prepare).ok();
    assert!(with_too_little_room(&repo, &["release", "tag"]) >= 2);
}

#[test]
fn messages_that_cannot_be_written_stop_nothing() {
    let repo = Repo::patch_release();
    let full = || File::options().write(true).open("/dev/full").expect("a device");
    let output = repo.command(&["release", "prepare"]).stderr(full()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0));
    repo.xtask(&["release", "tag"]).ok();
    // What was asked for is another matter.
    repo.write("doc/manual/rl-next/three.md", "---\nsynopsis: Three\n---\n\nThird.\n");
    let output = repo.command(&["release", "notes"]).stdout(full()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write to stdout") && said.contains("No space left on device"), "{said}");
}
