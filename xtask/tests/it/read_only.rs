//! Directories that cannot be written: every command says which, and what to do; nothing is lost, and the same command
//! succeeds once they can be.

use std::process::Command;

use crate::finish::new_major;
use crate::repo::{Ran, Repo, read_only, skip};

#[test]
fn what_cannot_be_written_is_named_and_nothing_is_lost() {
    let untagged = Repo::patch_release();
    untagged.xtask(&["release", "prepare"]).ok();
    let cases: [(Repo, &[&str]); 3] = [
        (Repo::patch_release(), &["release", "prepare"]),
        (untagged, &["release", "tag"]),
        (new_major("main"), &["release", "finish", "--yes"]),
    ];
    for (tree, args) in cases {
        for place in ["release", "", ".git", "tmp"] {
            let repo = tree.copy();
            let tmp = repo.beside("tmp");
            let dir = if place == "tmp" { tmp.clone() } else { repo.root.join(place) };
            for dir in [&tmp, &dir] {
                std::fs::create_dir_all(dir).expect("a directory");
            }
            let mut command = repo.command(args);
            command.env("TMPDIR", &tmp);
            let Some(mut command) = read_only(&command, &dir) else {
                return skip("`unshare --mount` is not allowed");
            };
            let ran = Ran::from(command.output().expect("it runs"));
            let shown = format!("{args:?}, {place:?}: {}", ran.stderr);
            if (args[1], place) == ("prepare", "release") {
                // It writes nothing there.
                assert_eq!(ran.code, Some(0), "{shown}");
                continue;
            }
            assert_eq!(ran.code, Some(1), "{shown}");
            assert!(ran.stderr.contains(dir.as_str()) && ran.stderr.contains("Read-only file system"), "{shown}");
            let next = "next: make that writable for you, and run the same command again\n";
            assert!(ran.stderr.ends_with(next), "{shown}");
            assert_eq!(repo.git(&["status", "--porcelain"]), "", "{shown}");
            repo.xtask(args).ok();
            assert_eq!(repo.git(&["status", "--porcelain"]), "", "{shown}");
        }
    }
}

#[test]
fn without_room_for_another_process_the_reason_is_said() {
    let repo = Repo::patch_release();
    let beside = repo.beside("");
    // The limit does not count for root.
    let other = ["--reuid=54321", "--clear-groups"];
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        let changed = Command::new("chown").args(["--recursive", "54321", beside.as_str()]).status();
        assert!(changed.expect("chown runs").success());
    }
    let command = repo.command(&["release", "prepare"]);
    let mut limited = Command::new(if is_root { "setpriv" } else { "prlimit" });
    if is_root {
        limited.args(other).arg("prlimit");
    }
    limited.args(["--nproc=1:1", command.get_program().to_str().expect("UTF-8")]).args(command.get_args());
    limited.env("TMPDIR", &beside).env("GIT_CONFIG_GLOBAL", "/dev/null").current_dir("/");
    let said = Ran::from(limited.output().expect("it runs")).fails(1);
    assert!(said.contains("cannot run `git ") && said.contains("Resource temporarily unavailable"), "{said}");
    assert!(said.ends_with("next: end other programs or free some memory, and run the same command again\n"), "{said}");
    if is_root {
        let changed = Command::new("chown").args(["--recursive", "0", beside.as_str()]).status();
        assert!(changed.expect("chown runs").success());
    }
    repo.xtask(&["release", "prepare"]).ok();
}
