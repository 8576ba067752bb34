//! A stand-in for Gerrit: a bare repository in which `refs/for/BRANCH` opens a change, and which accepts a tag only
//! after its commit was submitted.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use expect_test::expect;

use crate::release::Release;
use crate::repo::{make_executable, xtask};

/// Answers pushes to `refs/for/…` in git's proc-receive protocol, and keeps them as changes.
const PROC_RECEIVE: &str = r#"#!/usr/bin/perl
use strict;
$| = 1;
sub line { read(STDIN, my $length, 4) == 4 or exit 1; my $n = hex $length; return "" unless $n; read(STDIN, my $data, $n - 4); chomp $data; $data }
sub put { my $data = shift; printf "%04x%s", length($data) + 4, $data }
while (line() ne "") {}
put("version=1\n"); print "0000";
my @commands;
while ((my $command = line()) ne "") { push @commands, $command }
for (@commands) {
    my ($old, $new, $ref) = split / /;
    my $known = grep { /^\Q$new\E / } `git for-each-ref --format='%(objectname) %(refname)' refs/changes`;
    if ($known) { put("ng $ref no new changes\n"); next }
    if (open my $file, "<", "refuse") { chomp(my $why = <$file>); put("ng $ref $why\n"); next }
    my $number = 1 + `git for-each-ref refs/changes | wc -l`;
    system("git", "update-ref", "refs/changes/0$number/$number/1", $new) == 0 or exit 1;
    put("ok $ref\n");
}
print "0000";
"#;

const UPDATE: &str = "#!/bin/sh
case $1 in
refs/tags/*) [ -n \"$(git for-each-ref --contains \"$3^{commit}\" refs/heads)\" ] || { echo 'commit is not submitted' >&2; exit 1; } ;;
refs/heads/*) echo 'push to refs/for instead' >&2; exit 1 ;;
esac
";

/// A release whose environment `local` has Gerrit instead of a plain repository.
pub fn reviewed() -> (Release, Utf8PathBuf) {
    let release = Release::new("2.94.0");
    let gerrit = release.repo.beside("gerrit.git");
    release.repo.git(&["init", "--quiet", "--bare", gerrit.as_str()]);
    release.repo.git(&["-C", gerrit.as_str(), "config", "receive.procReceiveRefs", "refs/for"]);
    for (name, script) in [("proc-receive", PROC_RECEIVE), ("update", UPDATE)] {
        let path = gerrit.join("hooks").join(name);
        fs::write(&path, script).expect("written");
        make_executable(&path);
    }
    send_to(&release, &gerrit, "main");
    (release, gerrit)
}

/// Points a release to this Gerrit, whose branch is as it was before `prepare`.
fn send_to(release: &Release, gerrit: &Utf8Path, branch: &str) {
    let base = release.repo.git(&["rev-parse", &format!("{}^{{commit}}^^", release.version)]);
    // Pushed past review, because this is only the starting point.
    let update = format!("{base}:refs/imported/{branch}");
    release.repo.git(&["push", "--quiet", gerrit.as_str(), &update]);
    release.repo.git(&["-C", gerrit.as_str(), "update-ref", &format!("refs/heads/{branch}"), &base]);
    release.repo.git(&["remote", "add", "gerrit", &format!("file://{gerrit}")]);
    let target = format!("[environments.local.git.gerrit]\nurl = \"file://{gerrit}\"");
    release.configure(|text| {
        text.replacen("[environments.local.git.directory]\npath = \"release/local/git\"", &target, 1)
    });
}

#[test]
fn the_pointers_wait_for_the_review() {
    let (release, gerrit) = reviewed();
    let plan = release.release("plan", "local", &[]).ok();
    assert!(plan.contains("+ review for main") && plan.contains("… tag 2.94.0"), "{plan}");

    let waiting = release.upload();
    assert!(waiting.stderr.contains("waits  review for main: submit the changes up to"), "{}", waiting.stderr);
    assert_eq!(waiting.code, Some(3), "{}", waiting.stderr);
    assert!(release.object("local-releases/lix/lix-2.94.0/release.json").exists(), "contents are there");
    assert!(!release.object("local-releases/manifest.nix").exists(), "pointers are not");
    assert!(!release.object("local-docs/manual/lix/stable").exists(), "pointers are not");
    let git = |args: &[&str]| release.repo.git(&[&["-C", gerrit.as_str()], args].concat());
    assert_eq!(git(&["rev-parse", "refs/changes/01/1/1"]), release.repo.git(&["rev-parse", "main"]));

    assert_eq!(release.upload().code, Some(3), "nothing has happened meanwhile");
    assert_eq!(git(&["for-each-ref", "--format=%(refname)", "refs/changes"]), "refs/changes/01/1/1");

    git(&["update-ref", "refs/heads/main", "refs/changes/01/1/1"]);
    release.upload().ok();
    assert_eq!(git(&["rev-parse", "refs/tags/2.94.0"]), release.repo.git(&["rev-parse", "refs/tags/2.94.0"]));
    assert!(release.object("local-releases/manifest.nix").exists());
    release.release("verify", "local", &[]).ok();
}

#[test]
fn commits_that_gerrit_rewrote_are_noticed() {
    let (release, gerrit) = reviewed();
    assert_eq!(release.upload().code, Some(3));
    // Gerrit's "rebase if necessary": the same trees in other commits.
    let git = |args: &[&str]| release.repo.git(&[&["-C", gerrit.as_str()], args].concat());
    release.repo.git(&["switch", "--quiet", "--detach", "2.94.0"]);
    let other = git(&[
        "-c",
        "user.name=Gerrit",
        "-c",
        "user.email=g@example.org",
        "commit-tree",
        "-p",
        "refs/heads/main",
        "-m",
        "release: 2.94.0, rebased",
        "refs/changes/01/1/1^2^{tree}",
    ]);
    git(&["update-ref", "refs/heads/main", &other]);
    let error = release.upload().fails(1);
    assert!(error.contains("Gerrit rewrote the release commit") && error.contains(&other[..12]), "{error}");
    assert!(error.contains("tag --force-tag"), "{error}");
    assert!(!release.object("local-releases/manifest.nix").exists());
}

#[test]
fn the_release_commit_alone_is_half_a_release() {
    let (release, gerrit) = reviewed();
    assert_eq!(release.upload().code, Some(3));
    let git = |args: &[&str]| release.repo.git(&[&["-C", gerrit.as_str()], args].concat());
    // The chain is submitted up to the tagged commit: the branch is marked as an official release.
    git(&["update-ref", "refs/heads/main", "refs/changes/01/1/1^2"]);
    let merge = release.repo.git(&["rev-parse", "--short=12", "main"]);
    let waiting = release.upload();
    let why = "is marked as an official release until the commit that merges it back";
    assert!(waiting.stderr.contains(why) && waiting.stderr.contains(&merge), "{}", waiting.stderr);
    assert_eq!(waiting.code, Some(3), "{}", waiting.stderr);
    assert!(!release.object("local-releases/manifest.nix").exists(), "users are not led there");
    assert_eq!(git(&["for-each-ref", "refs/tags"]), "", "the tag waits, too");
    let status = release.repo.xtask(&["release", "status", "--config", release.config.as_str()]);
    assert!(status.stdout.contains("the release commit is submitted, but its merge back is not"), "{}", status.stdout);

    // If the server does not show its changes, the last one is pushed again, and still waited for.
    git(&["config", "uploadpack.hideRefs", "refs/changes"]);
    let waiting = release.upload();
    assert!(waiting.stderr.contains(why), "{}", waiting.stderr);
    assert_eq!(waiting.code, Some(3), "{}", waiting.stderr);

    // Another commit may replace the merge, if it has the same tree.
    let args = ["commit-tree", "-p", "refs/heads/main", "-m", "rewritten", "refs/changes/01/1/1^{tree}"];
    let rewritten = git(&[&["-c", "user.name=Gerrit", "-c", "user.email=g@example.org"], &args[..]].concat());
    git(&["update-ref", "refs/heads/main", &rewritten]);
    release.upload().ok();
    let verified = release.release("verify", "local", &[]).ok();
    assert!(verified.contains("merged back"), "{verified}");

    git(&["update-ref", "refs/heads/main", "refs/tags/2.94.0^{commit}"]);
    let verified = release.release("verify", "local", &[]);
    assert!(verified.stdout.contains("the branch itself, at"), "{}", verified.stdout);
    assert_eq!(verified.code, Some(1));
}

#[test]
fn a_server_that_does_not_show_its_changes_has_them_all_the_same() {
    let (release, gerrit) = reviewed();
    let git = |args: &[&str]| release.repo.git(&[&["-C", gerrit.as_str()], args].concat());
    git(&["config", "uploadpack.hideRefs", "refs/changes"]);
    for _ in 0..2 {
        let waiting = release.upload();
        assert!(waiting.stderr.contains("waits  review for main: submit the changes up to"), "{}", waiting.stderr);
        assert_eq!(waiting.code, Some(3), "{}", waiting.stderr);
    }
    assert_eq!(git(&["for-each-ref", "--format=%(refname)", "refs/changes"]), "refs/changes/01/1/1");
    git(&["update-ref", "refs/heads/main", "refs/changes/01/1/1"]);
    release.upload().ok();
}

#[test]
fn gerrits_reason_reaches_the_manager() {
    let (release, gerrit) = reviewed();
    let mut shown = Vec::new();
    for reason in [
        "commit abc1234: missing Change-Id in message footer",
        "change http://gerrit.example/c/lix/+/12 closed",
        "prohibited by Gerrit: not permitted: push",
        "email address manager@example.org is not registered in your account, and you lack 'forge committer'",
    ] {
        fs::write(gerrit.join("refuse"), format!("{reason}\n")).expect("written");
        let error = release.upload().fails(1);
        let from = error.find("cannot push to").expect("it was pushed");
        shown.push(error[from..].replace(gerrit.as_str(), "GERRIT"));
    }
    expect![[r#"
        cannot push to file://GERRIT
          refs/for/main was refused: commit abc1234: missing Change-Id in message footer
          Gerrit wants a Change-Id in each commit: install its `commit-msg` hook in this clone (its page of the repository shows how), undo the tag and its commits as the guide says, and tag again
        next: fix that, then run the same command again; what is done stays done
        cannot push to file://GERRIT
          refs/for/main was refused: change http://gerrit.example/c/lix/+/12 closed
          the change was abandoned or submitted already: look at it in Gerrit, where an abandoned one can be restored
        next: fix that, then run the same command again; what is done stays done
        cannot push to file://GERRIT
          refs/for/main was refused: prohibited by Gerrit: not permitted: push
          your account may not push this: a tag needs `Create Annotated Tag` or `Create Signed Tag`, a branch `Create Reference`, a review `Push` on `refs/for/…`: ask the repository's administrators for it
        next: fix that, then run the same command again; what is done stays done
        cannot push to file://GERRIT
          refs/for/main was refused: email address manager@example.org is not registered in your account, and you lack 'forge committer'
          Gerrit does not know that address as yours: register it there, or set `git config user.email` to one that is registered, undo the tag and its commits as the guide says, and tag again
        next: fix that, then run the same command again; what is done stays done
    "#]].assert_eq(&shown.concat());
}

#[test]
fn a_train_waits_for_all_of_its_reviews() {
    let (first, gerrit) = reviewed();
    let second = Release::new("2.93.4");
    send_to(&second, &gerrit, "release-2.93");
    let train = || {
        let (one, other) = (first.repo.root.as_str(), second.repo.root.as_str());
        let args = ["release", "train", "--env", "local", "--config", first.config.as_str(), "--noconfirm"];
        xtask(&[&args[..], &["--repo", one, "--repo", other]].concat())
    };
    let git = |args: &[&str]| first.repo.git(&[&["-C", gerrit.as_str()], args].concat());
    let waiting = train().fails(3);
    for what in ["waits  2.94.0  review for main: submit", "waits  2.93.4  review for release-2.93: submit"] {
        assert!(waiting.contains(what), "{waiting}");
    }
    for version in ["2.94.0", "2.93.4"] {
        assert!(first.object(&format!("local-releases/lix/lix-{version}/release.json")).exists(), "{version}");
    }
    // One is submitted: its tag is pushed, and no pointer moves yet, for either.
    git(&["update-ref", "refs/heads/main", "refs/changes/01/1/1"]);
    let waiting = train().fails(3);
    assert!(waiting.contains("ok 2.94.0  tag 2.94.0") && !waiting.contains("waits  2.94.0"), "{waiting}");
    assert!(waiting.contains("2.94.0, 2.93.4 are not all published to local yet"), "{waiting}");
    assert!(!first.object("local-releases/manifest.nix").exists());
    assert!(!first.object("local-releases/receipts").exists());
    git(&["update-ref", "refs/heads/release-2.93", "refs/changes/02/2/1"]);
    train().ok();
    assert!(first.object("local-releases/manifest.nix").exists());
    for release in [&first, &second] {
        first.release("verify", "local", &[&release.version]).ok();
    }
}

#[test]
fn the_live_release_is_right_and_can_be_left_while_a_newer_one_waits_for_its_review() {
    let (old, live) = (Release::new("2.93.1"), Release::new("2.93.2"));
    let (next, gerrit) = reviewed();
    live.share(&old);
    next.share(&old);
    old.upload().ok();
    live.upload().ok();
    next.upload().fails(3);

    let ran = live.release("verify", "local", &[]);
    let noted: Vec<&str> = ran.stdout.lines().filter(|line| !line.starts_with("ok ")).collect();
    expect![[r#"
        note   releases lix/lix-2.94.0/           was begun, but is not finished (it may wait for a review): upload it again, or delete it; pointers wait for it
        note   install lix/lix-2.93.2/            has no installers yet: `cargo xtask release installer` publishes them
        note   install lix/lix-installer-*        should lead to 2.93.2, which has no installers"#]]
    .assert_eq(&noted.join("\n"));
    ran.ok();
    let ran = live.upload();
    assert!(ran.stderr.contains("done: 2.93.2 is published to local"), "{}", ran.stderr);
    ran.ok();

    let live_version = || fs::read_to_string(old.object("local-releases/manifest.nix")).expect("a manifest");
    old.release("rollback", "local", &["--to", "2.93.1", "--noconfirm"]).ok();
    assert!(live_version().contains("-lix-2.93.1\""));
    let withdrawn = fs::read_to_string(old.object("local-releases/withdrawn.json")).expect("a list");
    assert_eq!(serde_json::from_str::<Vec<String>>(&withdrawn).expect("a list"), ["2.93.2"]);
    old.release("verify", "local", &["2.93.1"]).ok();

    next.repo.git(&["-C", gerrit.as_str(), "update-ref", "refs/heads/main", "refs/changes/01/1/1"]);
    next.upload().ok();
    assert!(live_version().contains("-lix-2.94.0\""));
    next.release("verify", "local", &[]).ok();
}

#[test]
fn the_remote_has_to_be_there_before_anything_is_public() {
    let (release, gerrit) = reviewed();
    release.repo.git(&["remote", "remove", "gerrit"]);
    let error = release.upload().fails(1);
    assert!(error.contains("no git remote has the URL") && error.contains("git remote add gerrit"), "{error}");
    assert!(!release.object("local-releases/lix").exists());

    release.repo.git(&["remote", "add", "gerrit", &format!("file://{gerrit}")]);
    // As for a user who may read but not push; the trial push finds this out.
    fs::remove_dir_all(&gerrit).expect("removed");
    let error = release.upload().fails(1);
    assert!(error.contains("cannot look at the git remote"), "{error}");
    assert!(!release.object("local-releases/lix").exists());
}
