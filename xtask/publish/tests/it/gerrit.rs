//! A stand-in for Gerrit: a bare repository in which `refs/for/BRANCH` opens a change, and which takes a tag only once
//! its commit is submitted.

use std::fs;

use camino::Utf8PathBuf;

use crate::release::Release;
use crate::repo::make_executable;

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
    let base = release.repo.git(&["rev-parse", "2.94.0^{commit}^^"]);
    release.repo.git(&["init", "--quiet", "--bare", gerrit.as_str()]);
    release.repo.git(&["push", "--quiet", gerrit.as_str(), &format!("{base}:refs/heads/main")]);
    release.repo.git(&["-C", gerrit.as_str(), "config", "receive.procReceiveRefs", "refs/for"]);
    for (name, script) in [("proc-receive", PROC_RECEIVE), ("update", UPDATE)] {
        let path = gerrit.join("hooks").join(name);
        fs::write(&path, script).expect("written");
        make_executable(&path);
    }
    release.repo.git(&["remote", "add", "gerrit", &format!("file://{gerrit}")]);
    let target = format!("[environments.local.git.gerrit]\nurl = \"file://{gerrit}\"");
    release.configure(|text| {
        text.replacen("[environments.local.git.directory]\npath = \"release/local/git\"", &target, 1)
    });
    (release, gerrit)
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
    // What "rebase if necessary" does: the same trees, under other names.
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
fn the_remote_has_to_be_there_before_anything_is_public() {
    let (release, gerrit) = reviewed();
    release.repo.git(&["remote", "remove", "gerrit"]);
    let error = release.upload().fails(1);
    assert!(error.contains("no git remote has the URL") && error.contains("git remote add gerrit"), "{error}");
    assert!(!release.object("local-releases/lix").exists());

    release.repo.git(&["remote", "add", "gerrit", &format!("file://{gerrit}")]);
    // As for a user who may read and not push: found out by the rehearsal of the push.
    fs::remove_dir_all(&gerrit).expect("removed");
    let error = release.upload().fails(1);
    assert!(error.contains("cannot look at the git remote"), "{error}");
    assert!(!release.object("local-releases/lix").exists());
}
