//! A build that was killed just after it put its release in place: what other phases keep in `release/` is back there
//! after the next phase, whichever that is, and phases that change nothing say that it is missing.

use std::fs;

use camino::Utf8PathBuf;
use xtask::domain::layout::{BUILT, RELEASE_NEW, journal};
use xtask::tree::release_dir::Stage;

use crate::installers::installers;
use crate::release::Release;

/// The directory that the build was killed in.
fn left(release: &Release) -> Utf8PathBuf {
    release.repo.root.join(RELEASE_NEW)
}

/// Puts everything that is not the build's where a kill leaves it.
fn kill_a_build(release: &Release) {
    fs::create_dir(left(release)).expect("made");
    for entry in release.release_dir().read_dir_utf8().expect("release/") {
        let entry = entry.expect("an entry");
        if !BUILT.contains(&entry.file_name()) {
            fs::rename(entry.path(), left(release).join(entry.file_name())).expect("moved");
        }
    }
    assert!(left(release).join("tag.json").exists());
}

#[test]
fn what_a_killed_build_left_comes_back_with_the_next_phase() {
    let (old, new) = (Release::new("2.93.1"), Release::new("2.93.2"));
    old.upload().ok();
    new.share(&old);
    new.upload().ok();
    let journal = || fs::read_to_string(old.release_dir().join(journal("local"))).expect("a journal");
    let tag = fs::read_to_string(old.release_dir().join("tag.json")).expect("a record");
    let is_back = |before: &str| {
        assert!(!left(&old).exists());
        assert_eq!(fs::read_to_string(old.release_dir().join("tag.json")).expect("a record"), tag);
        journal().starts_with(before) && journal().len() > before.len()
    };

    let before = journal();
    kill_a_build(&old);
    let says = "because a build was killed: `cargo xtask release build";
    let refused = old.release("plan", "local", &[]).fails(1);
    assert!(refused.contains("\n  release/ is without ") && refused.contains(says), "{refused}");
    let refused = old.release("verify", "local", &[]).fails(1);
    assert!(refused.contains(says), "{refused}");
    let page = old.repo.xtask(&["release", "status", "--config", old.config.as_str()]).ok();
    assert!(page.contains("  halfway      ✗ release/ is without "), "{page}");
    assert!(!old.release_dir().join("local").exists(), "no environment is made anew");
    old.release("rollback", "local", &["--to", "2.93.1", "--noconfirm"]).ok();
    assert!(is_back(&before), "one journal, continued");

    let before = journal();
    kill_a_build(&old);
    old.release("installer", "local", &["--from", installers(&old).as_str(), "--noconfirm"]).ok();
    assert!(is_back(&before), "one journal, continued");

    let before = journal();
    kill_a_build(&old);
    old.repo.xtask(&["release", "tag"]).ok();
    assert!(!is_back(&before), "the journal is as it was");
    assert_eq!(journal(), before);
    // What the next build does first.
    drop(Stage::begin(&old.repo.root).expect("nothing is in two places"));
    assert_eq!(journal(), before);
}
