//! Ctrl-C in the front door while a program is silent: the run ends at once, says what stands and what to type, and
//! running it again succeeds. (The publisher's test is `silence`.)

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use expect_test::expect;

use crate::finish::new_major;
use crate::finish::remotes::remote;
use crate::repo::{Ran, Repo, make_executable};

/// Longest time until something happens, on a busy machine; much less than any limit for silence.
const SOON: Duration = Duration::from_secs(30);

/// Runs the tool with a program that is silent when its arguments match a pattern of the shell, and presses Ctrl-C then.
/// Returns what is said about it.
fn interrupted(repo: &Repo, program: &str, pattern: &str, args: &[&str]) -> String {
    let dir = repo.beside("silent");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir(&dir).expect("a directory");
    let path = std::env::var("PATH").expect("a PATH");
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in {pattern})\n touch {dir}/waits\n\
         while [ -d {dir} ] && ! [ -e {dir}/go ]; do sleep 0.05; done;;\nesac\nPATH='{path}' exec {program} \"$@\"\n"
    );
    fs::write(dir.join(program), script).expect("written");
    make_executable(&dir.join(program));
    let mut command = xtask_test_support::heeding_ctrl_c(&repo.command(args));
    command.env("PATH", format!("{dir}:{path}")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("it runs");
    let began = Instant::now();
    while !dir.join("waits").exists() {
        assert!(began.elapsed() < 2 * SOON, "it does not come to that");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pressed = Instant::now();
    xtask_test_support::send(child.id(), xtask_test_support::SIGINT);
    // A git that must not be stopped halfway has the stream, too, and goes on once it may.
    let mut child = child;
    let status = loop {
        if let Some(status) = child.try_wait().expect("it ends") {
            break status;
        }
        assert!(pressed.elapsed() < SOON, "{args:?} does not end");
        std::thread::sleep(Duration::from_millis(10));
    };
    if std::env::var_os("RELENG_TIMES").is_some() {
        eprintln!("{:?} {args:?}", pressed.elapsed());
    }
    fs::write(dir.join("go"), "").expect("written");
    let output = child.wait_with_output().expect("it ends");
    let said = Ran::from(output).stderr;
    assert_eq!(status.code(), Some(130), "{said}");
    let last = said.rfind("warning: stopped by ").map(|at| &said[at..]);
    last.unwrap_or_else(|| panic!("nothing is said: {said}")).to_owned()
}

#[test]
fn every_phase_ends_at_once_and_says_what_stands() {
    let mut said = String::new();
    let mut stop = |repo: &Repo, program: &str, pattern: &str, args: &[&str]| {
        said += &format!("{}, {pattern}\n{}", args[1], interrupted(repo, program, pattern, args));
    };
    let repo = Repo::patch_release();
    let (prepare, tag) = (["release", "prepare"], ["release", "tag"]);
    stop(&repo, "git", "*' status '*", &prepare);
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    stop(&repo, "git", "*' merge '*", &prepare);
    repo.xtask(&prepare).ok();
    stop(&repo, "git", "*' commit-tree '*", &tag);
    stop(&repo, "git", "*' update-ref '*", &tag);
    repo.xtask(&tag).ok();
    stop(&repo, "nix", "*", &["release", "build"]);
    assert_eq!(repo.git(&["status", "--porcelain"]), "");

    let repo = new_major("main");
    let (bare, config) = remote(&repo, "plain");
    repo.git(&["push", "--quiet", bare.as_str(), "main:refs/heads/main"]);
    let finish = ["release", "finish", "--env", "local", "--push", "--yes", "--config", config.as_str()];
    stop(&repo, "git", "*' ls-remote '*", &finish);
    stop(&repo, "git", "*' switch '*", &finish);
    stop(&repo, "git", "*' push '*", &finish);
    repo.xtask(&finish).ok();
    assert_eq!(repo.git(&["--git-dir", bare.as_str(), "rev-parse", "main"]), repo.git(&["rev-parse", "main"]));
    expect![[r#"
        prepare, *' status '*
        warning: stopped by Ctrl-C: nothing has changed
              run the same command again
        prepare, *' merge '*
        warning: stopped by Ctrl-C: git may have moved a part, which the next run completes
              run the same command again
        tag, *' commit-tree '*
        warning: stopped by Ctrl-C: nothing has changed
              run the same command again
        tag, *' update-ref '*
        warning: stopped by Ctrl-C: git may have moved a part, which the next run completes
              run the same command again
        build, *
        warning: stopped by Ctrl-C: release/ is as it was, and what Nix has built stays
              run the same command again
        finish, *' ls-remote '*
        warning: stopped by Ctrl-C: nothing has changed
              run the same command again
        finish, *' switch '*
        warning: stopped by Ctrl-C: git may have moved a part, which the next run completes
              run the same command again
        finish, *' push '*
        warning: stopped by Ctrl-C: everything here is done; local may have release-2.94 at MERGE or not
              run the same command again
    "#]]
    .assert_eq(&said.replace(&repo.git(&["rev-parse", "--short=12", "release-2.94"]), "MERGE"));
}
