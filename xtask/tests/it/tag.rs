//! `release tag`: the shape of history, both layouts, odd names, kills at every point, races, signatures.

use std::fs;
use std::process::{Command, Stdio};

use expect_test::expect;

use crate::repo::{Repo, make_executable};

/// A prepared release, ready to be tagged.
fn prepared() -> Repo {
    let repo = Repo::patch_release();
    repo.xtask(&["release", "prepare"]).ok();
    repo
}

/// Asserts everything that a tag promises, made on `branch` when it was at `base`.
#[track_caller]
pub fn assert_tagged(repo: &Repo, version: &str, name: &str, branch: &str, base: &str) {
    let git = |args: &[&str]| repo.git(args);
    let (tag, branch_ref) = (format!("refs/tags/{version}"), format!("refs/heads/{branch}"));
    let release = git(&["rev-parse", &format!("{tag}^{{commit}}")]);
    assert_eq!(git(&["cat-file", "-t", &tag]), "tag", "annotated");
    assert_eq!(git(&["rev-parse", &format!("{release}^@")]), base, "R's parent is P");
    assert_eq!(
        git(&["diff", "--numstat", base, &release]).split('\t').take(2).collect::<Vec<_>>(),
        ["1", "1"],
        "one line"
    );
    assert_eq!(git(&["rev-parse", &format!("{branch_ref}^@")]), format!("{base}\n{release}"), "M's parents are [P, R]");
    assert_eq!(
        git(&["rev-parse", &format!("{branch_ref}^{{tree}}")]),
        git(&["rev-parse", &format!("{base}^{{tree}}")])
    );
    assert_eq!(git(&["rev-parse", "HEAD"]), release);
    assert_eq!(git(&["rev-parse", "--symbolic-full-name", "HEAD"]), "HEAD", "detached");
    assert_eq!(git(&["describe"]), version);
    assert!(git(&["describe", "--contains", base]).starts_with(version));
    assert!(git(&["merge-base", "--is-ancestor", &tag, &branch_ref]).is_empty());
    git(&["fsck", "--strict", "--no-dangling"]);
    assert_eq!(git(&["status", "--porcelain", "--untracked-files=no"]), "");

    let message = git(&["log", "-1", "--format=%B", &release]);
    assert!(message.starts_with(&format!("release: {version} \"{name}\"\n\nRelease made with")), "{message}");
    assert_eq!(git(&["tag", "--list", "--format=%(contents)", version]), message);
    let merge = git(&["log", "-1", "--format=%s", &branch_ref]);
    assert_eq!(merge, format!("release: merge release {version} back to mainline"));

    let record: serde_json::Value = serde_json::from_str(&repo.read("release/tag.json")).expect("JSON");
    let expected = serde_json::json!({
        "version": version,
        "tag_object": git(&["rev-parse", &tag]),
        "commit": release,
        "tree": git(&["rev-parse", &format!("{release}^{{tree}}")]),
        "branch": branch,
        "merge_commit": git(&["rev-parse", &branch_ref]),
    });
    assert_eq!(record, expected);
}

#[test]
fn prepare_then_tag_then_again() {
    let repo = prepared();
    let base = repo.git(&["rev-parse", "HEAD"]);
    let ran = repo.xtask(&["release", "tag"]);
    assert!(ran.stderr.contains("next: cargo xtask release build"), "{}", ran.stderr);
    ran.ok();
    assert_tagged(&repo, "2.93.1", "Bici Bici", "main", &base);
    assert_eq!(
        repo.git(&["diff", "-U0", "2.93.1^", "2.93.1"]).lines().skip(5).collect::<Vec<_>>(),
        ["-    \"official_release\": false,", "+    \"official_release\": true,",]
    );

    let state = repo.state();
    fs::remove_file(repo.root.join("release/tag.json")).expect("removed");
    let again = repo.xtask(&["release", "tag"]);
    assert!(again.stderr.contains("2.93.1 is tagged already"), "{}", again.stderr);
    again.ok();
    assert_eq!(repo.state(), state);
    assert_tagged(&repo, "2.93.1", "Bici Bici", "main", &base);
}

#[test]
fn the_flag_may_live_in_the_flake() {
    let repo = Repo::patch_release();
    repo.write("version.json", "{\n    \"version\": \"2.90.0-rc1\",\n    \"release_name\": \"Vanilla Ice Cream\"\n}\n");
    repo.write("flake.nix", "{ # é\n  officialRelease = false;\n}");
    repo.commit_all("the older layout, and a pre-release, which needs no notes");
    let base = repo.git(&["rev-parse", "HEAD"]);
    repo.xtask(&["release", "tag"]).ok();
    assert_tagged(&repo, "2.90.0-rc1", "Vanilla Ice Cream", "main", &base);
    assert_eq!(repo.read("flake.nix"), "{ # é\n  officialRelease = true;\n}");
}

#[test]
fn names_may_hold_anything() {
    for (branch, name) in
        [("releng/2.93.1", "Kakigōri"), ("Über/日本 語".trim(), "Dragon's Breath"), ("-dash", "a \"quoted\" name")]
    {
        let branch = branch.replace(' ', "-");
        let repo = Repo::patch_release();
        repo.write(
            "version.json",
            &format!(
                "{{\n    \"version\": \"2.94.0\",\n    \"official_release\": false,\n    \"release_name\": {}\n}}\n",
                serde_json::Value::from(name)
            ),
        );
        repo.commit_all("a name");
        repo.git(&["update-ref", &format!("refs/heads/{branch}"), "HEAD"]);
        repo.git(&["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]);
        repo.xtask(&["release", "prepare"]).ok();
        let base = repo.git(&["rev-parse", "HEAD"]);
        repo.xtask(&["release", "tag"]).ok();
        assert_tagged(&repo, "2.94.0", name, &branch, &base);
    }
}

#[test]
fn refusals_name_everything_at_once_and_change_nothing() {
    let repo = Repo::patch_release();
    let origin = repo.beside("origin.git");
    repo.git(&["clone", "--quiet", "--bare", ".", origin.as_str()]);
    repo.git(&["remote", "add", "origin", origin.as_str()]);
    repo.git(&["tag", "2.93.1"]);
    repo.git(&["tag", "2.93.7"]);
    repo.git(&["push", "--quiet", "origin", "2.93.1"]);
    repo.write("version.json", &repo.read("version.json").replace("false", "true"));
    repo.commit_all("a flag that leaked");
    repo.write("doc/manual/src/SUMMARY.md", "changed");
    repo.git(&["switch", "--quiet", "--detach"]);
    let before = (repo.state(), repo.git(&["for-each-ref"]));
    let error = repo.xtask(&["release", "tag"]).fails(1);
    expect![[r#"
        error: cannot tag the release
          doc/manual/src/SUMMARY.md has uncommitted changes: commit or stash them
          HEAD is detached: `git switch` to the branch you want to release from
          the tag 2.93.1 exists: if it was never pushed, replace it with `--force-tag`
          origin has the tag 2.93.1 already, so it is public: release a later version
          2.93.1 is not newer than 2.93.7, the last tag of 2.93: release a later version
          version.json marks an official release already: revert the release commit that leaked onto this branch
          doc/manual/src/release-notes/rl-2.93.md has no section for 2.93.1: run `cargo xtask release prepare` first
    "#]]
    .assert_eq(&error);
    assert_eq!((repo.state(), repo.git(&["for-each-ref"])), before);

    repo.write("version.json", "{\"version\": \"2.96.0-dev\", \"release_name\": \"TBD\"}\n");
    repo.git(&["switch", "--quiet", "main"]);
    repo.commit_all("on the way");
    repo.git(&["remote", "set-url", "origin", "/nonexistent"]);
    let error = repo.xtask(&["release", "tag"]).fails(1);
    assert!(
        error.contains("cannot ask origin") && error.contains("never released") && error.contains("no flag"),
        "{error}"
    );
}

#[test]
fn a_tree_without_one_source_archive_is_not_tagged() {
    let repo = prepared();
    repo.write(".gitattributes", "*.bin filter=lfs\n");
    repo.write("logo.bin", "a pointer\n");
    repo.commit_all("an image");
    let before = (repo.state(), repo.git(&["for-each-ref"]));
    for arguments in [&["release", "tag"][..], &["release", "tag", "--dry-run"]] {
        let error = repo.xtask(arguments).fails(1);
        assert!(error.contains("logo.bin has the attribute `filter=lfs`"), "{error}");
    }
    assert_eq!((repo.state(), repo.git(&["for-each-ref"])), before);
}

#[test]
fn a_shallow_clone_is_refused_and_what_looks_odd_is_said() {
    let repo = prepared();
    let shallow = repo.beside("shallow");
    repo.git(&["clone", "--quiet", "--depth=1", &format!("file://{}", repo.root), shallow.as_str()]);
    let repo = Repo::at(repo.scratch, shallow);
    let error = repo.xtask(&["release", "tag"]).fails(1);
    assert!(error.contains("this clone is shallow"), "{error}");

    let repo = Repo::patch_release();
    repo.xtask(&["release", "prepare", "--date", "2020-02-02"]).ok();
    let ran = repo.xtask(&["release", "tag", "--dry-run"]);
    assert!(ran.stderr.contains("dates the release 2020-02-02, but today is"), "{}", ran.stderr);
    repo.write("doc/manual/rl-next/late.md", "---\nsynopsis: Late\n---\n");
    repo.commit_all("late");
    let ran = repo.xtask(&["release", "tag", "--dry-run"]);
    assert!(
        ran.stderr.contains("late.md is not in the notes of 2.93.1: it stays for the next release"),
        "{}",
        ran.stderr
    );
    for n in 10..23 {
        repo.write(&format!("doc/manual/rl-next/late-{n}.md"), "---\nsynopsis: Late\n---\n");
    }
    repo.commit_all("late ones");
    let ran = repo.xtask(&["release", "tag", "--dry-run"]);
    let (warning, _) = ran.stderr.split_once("  *   (new)").expect("a graph");
    expect![[r#"
        warning: 14 fragments are not in the notes of 2.93.1: they stay for the next release, unless you undo the tag and the notes commit and prepare again:
              doc/manual/rl-next/late-10.md
              doc/manual/rl-next/late-11.md
              doc/manual/rl-next/late-12.md
              doc/manual/rl-next/late-13.md
              doc/manual/rl-next/late-14.md
              doc/manual/rl-next/late-15.md
              doc/manual/rl-next/late-16.md
              doc/manual/rl-next/late-17.md
              doc/manual/rl-next/late-18.md
              doc/manual/rl-next/late-19.md
              and 4 more
    "#]]
    .assert_eq(warning);
}

#[test]
fn a_dry_run_changes_nothing() {
    let repo = prepared();
    let all = || (repo.state(), repo.git(&["for-each-ref"]), repo.git(&["count-objects", "-v"]));
    let before = all();
    let ran = repo.xtask(&["release", "tag", "--dry-run"]);
    expect![[r#"
        stderr:
          *   (new)         main                 release: merge release 2.93.1 back to mainline
          |\
          | * (new)         tag 2.93.1           release: 2.93.1 "Bici Bici"
          |/
          *   BASE                       where the branch was
    "#]]
    .assert_eq(&format!("stderr:\n{}", ran.stderr.replace(&repo.git(&["rev-parse", "--short=12", "HEAD"]), "BASE")));
    assert!(ran.ok().contains("+    \"official_release\": true,"));
    assert_eq!(all(), before);
    assert!(!repo.root.join("release").exists());
}

#[test]
fn force_replaces_a_tag_that_was_never_pushed() {
    let repo = prepared();
    let origin = repo.beside("origin.git");
    repo.git(&["clone", "--quiet", "--bare", ".", origin.as_str()]);
    repo.git(&["remote", "add", "origin", origin.as_str()]);
    repo.xtask(&["release", "tag"]).ok();
    let old = repo.git(&["rev-parse", "2.93.1"]);
    repo.git(&["switch", "--quiet", "main"]);
    repo.write("fix", "forgotten");
    repo.commit_all("a fix that was forgotten");
    let error = repo.xtask(&["release", "tag"]).fails(1);
    assert!(error.contains("the tag 2.93.1 exists") && error.contains("--force-tag"), "{error}");

    let base = repo.git(&["rev-parse", "HEAD"]);
    repo.xtask(&["release", "tag", "--force-tag"]).ok();
    assert_tagged(&repo, "2.93.1", "Bici Bici", "main", &base);
    assert_ne!(repo.git(&["rev-parse", "2.93.1"]), old);

    repo.git(&["push", "--quiet", "origin", "2.93.1"]);
    repo.git(&["switch", "--quiet", "main"]);
    let error = repo.xtask(&["release", "tag", "--force-tag"]).fails(1);
    assert!(error.contains("origin has the tag 2.93.1 already"), "{error}");
}

#[test]
fn signatures_are_made_with_what_git_is_configured_for() {
    let repo = prepared();
    let key = repo.beside("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", key.as_str()]).status();
    if !made.is_ok_and(|status| status.success()) {
        crate::repo::skip("ssh-keygen is not installed");
        return;
    }
    let public = fs::read_to_string(key.with_extension("pub")).expect("a public key");
    let signers = repo.beside("signers");
    fs::write(&signers, format!("manager@example.org {public}")).expect("written");
    for (option, value) in
        [("gpg.format", "ssh"), ("user.signingKey", key.as_str()), ("gpg.ssh.allowedSignersFile", signers.as_str())]
    {
        repo.git(&["config", option, value]);
    }
    let base = repo.git(&["rev-parse", "HEAD"]);
    repo.xtask(&["release", "tag", "--sign"]).ok();
    repo.git(&["tag", "-v", "2.93.1"]);
    repo.git(&["verify-commit", "2.93.1^{commit}"]);
    repo.git(&["verify-commit", "main"]);
    assert_eq!(repo.git(&["rev-parse", "2.93.1^"]), base);

    fs::remove_file(&key).expect("removed");
    repo.git(&["switch", "--quiet", "main"]);
    let before = repo.git(&["for-each-ref"]);
    let error = repo.xtask(&["release", "tag", "--sign", "--force-tag"]).fails(1);
    assert!(error.contains("cannot tag the release"), "{error}");
    assert_eq!(repo.git(&["for-each-ref"]), before);
}

#[test]
fn killed_after_any_call_of_git_running_again_completes_it() {
    let mut kills = 0;
    for point in 1.. {
        let repo = prepared();
        let base = repo.git(&["rev-parse", "HEAD"]);
        let output = repo.killed_after(point, &["release", "tag"]);
        let branch = repo.git(&["rev-parse", "main"]);
        let tagged = !repo.git(&["tag"]).is_empty();
        assert_eq!(branch != base, tagged, "call {point}: tag and branch move together");
        let finished = output.status.success();
        repo.xtask(&["release", "tag"]).ok();
        assert_tagged(&repo, "2.93.1", "Bici Bici", "main", &base);
        if tagged {
            assert_eq!(repo.git(&["rev-parse", "main"]), branch, "call {point}: nothing is made twice");
        }
        if finished {
            break;
        }
        kills += 1;
    }
    assert!(kills > 15, "killed only {kills} times");
}

#[test]
fn a_forced_tag_that_was_interrupted_is_not_made_again() {
    let repo = prepared();
    repo.xtask(&["release", "tag"]).ok();
    // As after a run that was killed between the refs and the checkout.
    fs::remove_file(repo.root.join("release/tag.json")).expect("removed");
    repo.git(&["switch", "--quiet", "main"]);
    let made = repo.git(&["for-each-ref"]);
    repo.xtask(&["release", "tag", "--force-tag"]).ok();
    assert_eq!(repo.git(&["for-each-ref"]), made, "it was complete but for the checkout");
    repo.git(&["switch", "--quiet", "main"]);
    let ran = repo.xtask(&["release", "tag", "--force-tag", "--no-check-git"]);
    assert!(ran.stderr.contains("origin was not asked whether it has the tag"), "{}", ran.stderr);
    ran.ok();
    assert_ne!(repo.git(&["for-each-ref"]), made, "one that was recorded is replaced");
}

#[test]
fn of_two_at_once_one_wins_and_the_other_says_why_it_stopped() {
    let repo = prepared();
    let base = repo.git(&["rev-parse", "HEAD"]);
    let start = || {
        let mut command = repo.command(&["release", "tag"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool runs")
    };
    let ends = [start(), start()].map(|child| child.wait_with_output().expect("it ends"));
    let (won, lost): (Vec<_>, Vec<_>) = ends.iter().partition(|end| end.status.success());
    // The slower run may also find that the work is done.
    assert!(!won.is_empty());
    for end in lost {
        let error = String::from_utf8_lossy(&end.stderr);
        assert!(
            ["while this command ran", "cannot lock ref", "exists", "index.lock"].iter().any(|why| error.contains(why)),
            "{error}"
        );
    }
    repo.xtask(&["release", "tag"]).ok();
    assert_tagged(&repo, "2.93.1", "Bici Bici", "main", &base);
}

#[test]
fn the_branch_moved_meanwhile() {
    let repo = prepared();
    // The hook runs after everything was looked at and decided, and before anything has moved.
    repo.write(".git/hooks/commit-msg", "#!/bin/sh\nunset GIT_INDEX_FILE\ngit update-ref refs/heads/main $(git commit-tree -p main -m meanwhile main^{tree})\n");
    make_executable(&repo.root.join(".git/hooks/commit-msg"));
    let error = repo.xtask(&["release", "tag"]).fails(1);
    let now = repo.git(&["rev-parse", "main"]);
    expect![[r#"
        error: cannot tag the release
          cannot create the tag and merge it back
          nothing has changed here: main was moved to NOW while this command ran
        next: run the same command again: it starts from what is there now
    "#]]
    .assert_eq(&error.replace(&now[..12], "NOW"));
    assert_eq!(repo.git(&["tag"]), "");
}

#[test]
fn without_the_look_at_git_only_what_is_committed_is_tagged() {
    let repo = prepared();
    repo.git(&["remote", "add", "origin", "/nonexistent"]);
    let base = repo.git(&["rev-parse", "HEAD"]);
    repo.write("doc/manual/src/SUMMARY.md", "changed");
    repo.xtask(&["release", "tag"]).fails(1);
    repo.xtask(&["release", "tag", "--no-check-git"]).ok();
    assert_eq!(repo.read("doc/manual/src/SUMMARY.md"), "changed");
    repo.git(&["restore", "doc/manual/src/SUMMARY.md"]);
    assert_tagged(&repo, "2.93.1", "Bici Bici", "main", &base);
}
