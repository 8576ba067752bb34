//! What is pushed to a git remote, and what others have changed there.

use std::fs;

use expect_test::expect;

use crate::release::Release;

#[test]
fn a_published_record_with_something_else_for_a_commit_is_named() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let record = release.object("local-releases/lix/lix-2.93.1/release.json");
    let text = fs::read_to_string(&record).expect("a record");
    let commit = release.repo.git(&["rev-parse", "HEAD"]);
    // Twelve bytes in the middle of a character, a branch that contains itself, an option, and half an id.
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

#[test]
fn a_lightweight_tag_is_not_the_annotated_one() {
    let release = Release::new("2.93.1");
    let commit = release.repo.git(&["rev-parse", "2.93.1^{commit}"]);
    let annotated = release.repo.git(&["rev-parse", "2.93.1"]);
    let status = || release.repo.xtask(&["release", "status", "--config", release.config.as_str()]);
    release.repo.git(&["tag", "--force", "2.93.1", &commit]);
    let lightweight = "is a lightweight tag";
    let mut shown = String::new();
    for (phase, args) in [("plan", &[][..]), ("upload", &["--noconfirm"])] {
        let error = release.release(phase, "local", args).fails(1);
        assert!(error.contains(&annotated[..12]), "{error}");
        shown += &error;
    }
    shown += &release.repo.xtask(&["release", "finish"]).fails(1);
    let page = status();
    assert!(page.stdout.contains(lightweight), "{page:?}");
    // Also without the record.
    fs::remove_file(release.release_dir().join("tag.json")).expect("removed");
    for phase in ["plan", "verify"] {
        let ran = release.release(phase, "local", &[]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
    }
    shown += &release.release("plan", "local", &[]).fails(1);

    // And on the remote.
    release.repo.git(&["update-ref", "refs/tags/2.93.1", &annotated]);
    release.upload().ok();
    release.release("verify", "local", &[]).ok();
    release.repo.git(&["-C", "release/local/git", "update-ref", "refs/tags/2.93.1", &commit]);
    let verified = release.release("verify", "local", &[]);
    let broken = |line: &&str| line.starts_with("broken");
    shown.extend(verified.stdout.lines().filter(broken).map(|line| format!("{line}\n")));
    shown += &release.release("upload", "local", &["--noconfirm", "--quiet"]).fails(1);
    expect![[r#"
        error: cannot plan the publication
          the tag 2.93.1 is a lightweight tag, which names OBJECT directly; a release needs the annotated one, which has a tagger and a message. The annotated tag is still in this repository, so restore it: `git update-ref refs/tags/2.93.1 OBJECT`
        error: the upload is not finished
          the tag 2.93.1 is a lightweight tag, which names OBJECT directly; a release needs the annotated one, which has a tagger and a message. The annotated tag is still in this repository, so restore it: `git update-ref refs/tags/2.93.1 OBJECT`
        error: cannot finish the release
          the tag 2.93.1 is a lightweight tag, which names OBJECT directly; a release needs the annotated one, which has a tagger and a message. The annotated tag is still in this repository, so restore it: `git update-ref refs/tags/2.93.1 OBJECT`
        error: cannot plan the publication
          the tag 2.93.1 is a lightweight tag, which names OBJECT directly; a release needs the annotated one, which has a tagger and a message. If the annotated tag was pushed, fetch it: `git fetch --force REMOTE tag 2.93.1`. If not, delete this tag (`git tag --delete 2.93.1`), `git switch` to the branch and run `cargo xtask release tag --repo TREE --config BESIDE/releng.toml`
        broken tag 2.93.1                         it is a lightweight tag for OBJECT, and not an annotated one with a message and a tagger; affects everyone who builds from git
        error: the upload is not finished
          this plan cannot be carried out:
          tag 2.93.1: the remote has a lightweight tag of this name, for OBJECT, while ours is an annotated one, OBJECT: a published tag stays (`--force-push-tag` replaces it anyway)
    "#]].assert_eq(&release.neutral(&shown));
    assert_eq!(release.repo.git(&["-C", "release/local/git", "cat-file", "-t", "2.93.1"]), "commit", "it stays");
}

#[test]
fn a_remote_that_cannot_be_asked_is_one_line_of_verify() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let git = release.release_dir().join("local/git");
    fs::rename(git.join("HEAD"), git.join("HEAD.away")).expect("renamed");
    let verified = release.release("verify", "local", &[]);
    assert_eq!(verified.code, Some(1));
    let lines: Vec<&str> = verified.stdout.lines().filter(|line| line.starts_with('?')).collect();
    assert_eq!(lines.len(), 2, "{}", verified.stdout);
    assert!(lines[0].contains("cannot look at the git remote"), "{}", lines[0]);
    assert!(verified.stdout.contains("ok     releases manifest.nix"), "the rest is checked: {}", verified.stdout);
    assert!(verified.stderr.contains("not everything could be checked (2 unknown)"), "{}", verified.stderr);
}

#[test]
fn what_opens_a_remote_is_not_shown() {
    let release = Release::new("2.93.1");
    // Nothing listens there.
    let target = "git.plain]\nurl = \"http://tokentoken:hunter2@127.0.0.1:9/lix\"";
    release.configure(|text| text.replacen("git.directory]\npath = \"release/local/git\"", target, 1));
    for phase in ["plan", "doctor", "verify"] {
        let ran = release.release(phase, "local", &["--verbose"]);
        let all = ran.stdout + &ran.stderr;
        assert!(all.contains("http://127.0.0.1:9/lix") || phase == "verify", "{phase}: {all}");
        assert!(!all.contains("hunter2") && !all.contains("tokentoken"), "{phase}: {all}");
    }
}

#[test]
fn a_rehearsal_on_a_tag_says_where_it_is() {
    let release = Release::new("2.93.1");
    release.repo.git(&["switch", "--quiet", "--detach", "2.93.1"]);
    let error = release.repo.xtask(&["release", "rehearse"]).fails(1);
    assert!(error.contains("HEAD is on the tag 2.93.1: `git switch` to a branch"), "{error}");
}

#[test]
fn a_clone_without_its_history_says_so() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let shallow = release.repo.beside("shallow");
    let url = format!("file://{}", release.repo.root);
    release.repo.git(&["clone", "--quiet", "--depth=1", "--branch=main", &url, shallow.as_str()]);
    // The remote branch has new commits that are not here.
    let tip = release.repo.git(&["commit-tree", "-p", "main", "-m", "later", "main^{tree}"]);
    let remote = release.release_dir().join("local/git");
    release.repo.git(&["push", "--quiet", remote.as_str(), &format!("{tip}:refs/heads/release-2.93")]);
    release.configure(|text| text.replace("\"release/local/", &format!("\"{}/local/", release.release_dir())));
    let args = ["release", "verify", "2.93.1", "--env", "local", "--config", release.config.as_str()];
    let ran = crate::repo::xtask(&[&args[..], &["--repo", shallow.as_str()]].concat());
    assert!(ran.stdout.contains("this clone is shallow") && ran.stdout.contains("git fetch --unshallow"), "{ran:?}");
    assert!(!ran.stdout.contains("does not contain the release"), "{ran:?}");
}
