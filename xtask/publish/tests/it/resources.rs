//! Too little of something: room, open files. The error names the reason and blames nothing else, nothing is lost, and the
//! same command succeeds once there is enough.

use std::fs::{self, File};
use std::process::Command;

use crate::release::Release;
use crate::repo::{Ran, limited, read_only, skip};

fn under(limits: &str, release: &Release, phase: &str, args: &[&str]) -> Ran {
    let command = release.command(phase, "local", args);
    Ran::from(limited(&command, limits).output().expect("it runs"))
}

#[test]
fn no_room_is_not_taken_for_a_broken_release() {
    let release = Release::new("2.93.1");
    let upload = ["--noconfirm"];
    for blocks in [0, 8] {
        let ran = under(&format!("ulimit -f {blocks}"), &release, "upload", &upload);
        let said = ran.fails(1);
        // Nix may fail for the same reason, if nothing else has its database open; then each failure has its line.
        assert!(said.contains("next: make room there, and run the same command again"), "{blocks}: {said}");
    }
    release.upload().ok();
    let rollback = ["--to", "2.93.1", "--noconfirm"];
    for (phase, args, code) in [("verify", &["--deep"][..], 1), ("rollback", &rollback, 0)] {
        let ran = under("ulimit -f 8", &release, phase, args);
        let said = ran.stdout + &ran.stderr;
        assert_eq!(ran.code, Some(code), "{phase}: {said}");
        let blame = ["affects", "is not whole", "roll back to another", "is not complete"];
        assert!(!blame.iter().any(|blame| said.contains(blame)), "{phase}: {said}");
    }
    release.release("verify", "local", &["--deep"]).ok();
}

#[test]
fn as_many_open_files_as_are_allowed_are_used() {
    let release = Release::new("2.93.1");
    under("ulimit -Sn 40", &release, "upload", &["--noconfirm"]).ok();
    under("ulimit -n 512", &release, "verify", &["--deep"]).ok();
    let said = under("ulimit -n 100", &release, "verify", &["--deep"]).fails(1);
    assert!(said.contains("only 100 files may be open at once") && said.contains("`ulimit -n 4096`"), "{said}");
    release.release("verify", "local", &["--deep"]).ok();
}

#[test]
fn messages_that_cannot_be_written_stop_nothing() {
    let release = Release::new("2.93.1");
    let full = File::options().write(true).open("/dev/full").expect("a device");
    let output = release.command("upload", "local", &["--noconfirm"]).stderr(full).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0));
    release.release("verify", "local", &[]).ok();
}

#[test]
fn what_cannot_be_written_is_named_and_nothing_is_lost() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let tmp = release.repo.beside("tmp");
    fs::create_dir(&tmp).expect("a directory");
    let dir = release.release_dir();
    fs::remove_file(release.object("local-docs/manual/lix/stable/page-1.html")).expect("removed");
    // `release/` has the buckets, too; what only reads does not need it.
    for (place, phase, args, code) in [
        (&dir, "upload", &["--noconfirm"][..], 1),
        (&dir, "plan", &[], 0),
        (&tmp, "upload", &["--noconfirm"], 1),
        (&tmp, "plan", &[], 1),
        (&tmp, "verify", &["--deep"], 1),
    ] {
        let mut command = release.command(phase, "local", args);
        command.env("TMPDIR", &tmp);
        let Some(mut command) = read_only(&command, place) else { return skip("`unshare --mount` is not allowed") };
        let ran = Ran::from(command.output().expect("it runs"));
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, Some(code), "{phase}, {place}: {said}");
        if code == 1 {
            let line = said.lines().any(|line| line.contains(place.as_str()) && line.contains("Read-only file system"));
            assert!(line, "{phase}, {place}: {said}");
            let next = "next: make that writable for you, and run the same command again\n";
            assert!(phase == "verify" || said.ends_with(next), "{phase}, {place}: {said}");
        }
    }
    release.upload().ok();
    release.release("verify", "local", &["--deep"]).ok();
}

/// Also the runtime's threads count as processes, and it would panic without them.
#[test]
fn without_room_for_another_process_the_reason_is_said() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can become the user that this needs");
    }
    let release = Release::new("2.93.1");
    let beside = release.repo.beside("");
    let give_to = |user: &str| {
        let changed = Command::new("chown").args(["--recursive", user, beside.as_str()]).status();
        assert!(changed.expect("chown runs").success());
    };
    give_to("54322");
    for processes in [1, 2, 4, 8] {
        let command = release.command("upload", "local", &["--noconfirm"]);
        let mut limited = Command::new("setpriv");
        // The limit does not count for root.
        limited.args(["--reuid=54322", "--clear-groups", "prlimit", &format!("--nproc={processes}:{processes}")]);
        limited.arg(command.get_program()).args(command.get_args()).env("TMPDIR", &beside).env("HOME", &beside);
        let said = Ran::from(limited.current_dir("/").output().expect("it runs")).fails(1);
        let next = "next: end other programs or free some memory, and run the same command again\n";
        assert!(said.ends_with(next), "{processes}: {said}");
    }
    give_to("0");
    release.upload().ok();
}
