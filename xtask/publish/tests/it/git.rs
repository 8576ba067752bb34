//! What goes to a git remote, and what others have made of it there.

use std::fs;

use crate::release::Release;

#[test]
fn a_published_record_with_something_else_for_a_commit_is_named() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let record = release.object("local-releases/lix/lix-2.93.1/release.json");
    let text = fs::read_to_string(&record).expect("a record");
    let commit = release.repo.git(&["rev-parse", "HEAD"]);
    // Not a character boundary at twelve bytes, a branch that contains itself, an option, and only half of it.
    for wrong in ["aééééééééééééé", "main", "--all", &commit[..12], &commit.to_uppercase()] {
        fs::write(&record, text.replace(&commit, wrong)).expect("written");
        for (phase, args) in [("verify", &[][..]), ("rollback", &["--to", "2.93.1", "--noconfirm"])] {
            let ran = release.release(phase, "local", args);
            let why = format!("`{wrong}` is not the name of a git object");
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(said.contains(&why) && said.contains("lix-2.93.1/release.json"), "{ran:?}");
            assert_eq!(ran.code, Some(1), "{ran:?}");
        }
        let status = release.repo.xtask(&["release", "status", "--config", release.config.as_str()]);
        assert!(matches!(status.code, Some(0 | 1 | 3)), "{status:?}");
    }
}
