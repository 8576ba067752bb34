//! `status` before a release, during a rehearsal or a review, and when the tree is past the release.

use std::fs;

use camino::Utf8PathBuf;
use expect_test::expect;

use super::{check, page, status};
use crate::gerrit::reviewed;
use crate::release::Release;
use crate::repo::Repo;

/// An upload to the embedded environment that ended before its receipt.
#[test]
fn a_rehearsal_that_was_begun_comes_next() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let page = || page(&status(&release));
    assert!(!page().contains("upload --env local"), "{}", page());
    let receipt = release.object("local-releases/receipts/lix-2.93.1.json");
    let text = fs::read(&receipt).expect("a receipt");
    fs::remove_file(&receipt).expect("removed");
    assert!(page().contains("      cargo xtask release upload --env local\n"), "{}", page());
    fs::remove_file(release.object("local-releases/lix/lix-2.93.1/release.json")).expect("removed");
    assert!(page().contains("local        · the upload is not finished: upload again"), "{}", page());
    assert!(page().contains("      cargo xtask release upload --env local\n"), "{}", page());
    release.upload().ok();
    assert_eq!(String::from_utf8_lossy(&text).contains("2.93.1"), receipt.exists());
    assert!(!page().contains("upload --env local"), "{}", page());
}

#[test]
fn before_a_release_and_without_a_network() {
    let release = Release { config: Utf8PathBuf::new(), repo: Repo::patch_release(), version: String::new() };
    let config = release.repo.beside("releng.toml");
    // Nothing listens on port 1, and no ssh is started for a host that does not exist.
    let text = include_str!("../../../../releng.toml");
    let nowhere = |text: &str| text.replace("https://", "http://127.0.0.1:1/").replace("ssh://git@git", "file:///git");
    fs::write(&config, nowhere(text)).expect("written");
    let release = Release { config, ..release };
    release.repo.git(&["remote", "add", "gerrit", "ssh://nobody@gerrit.lix.systems:2022/lix"]);
    check(
        &release,
        expect![[r#"
            Lix 2.93.1 "Bici Bici", on main

              notes        · rl-2.93.md has no section for 2.93.1
              tag          · not tagged yet
              build        · nothing is built
              local        · not published
              staging      ? could not be checked: the connection failed: Connection refused (os error 111)
              production   ? could not be checked: the connection failed: Connection refused (os error 111)
              finish       · comes after publishing
              announce     · no drafts yet

            next: cargo xtask release prepare
        "#]],
    );
    assert!(!release.repo.root.join("release").exists(), "looking makes nothing");

    let text = release.repo.read("version.json").replace("2.93.1", "2.94.0-dev").replace("Bici Bici", "TBD");
    release.repo.write("version.json", &text);
    release.repo.commit_all("on the way");
    check(
        &release,
        expect![[r#"
        Lix 2.94.0-dev, on main

          prepare      · the tree is on the way to 2.94.0

        next: cargo xtask release prepare 2.94.0 --name NAME
    "#]],
    );
}

#[test]
fn what_has_become_of_the_review() {
    let (release, gerrit) = reviewed();
    let review = || {
        let page = status(&release);
        let line = page.lines().find(|line| line.contains("review:")).expect("a line about the review");
        line.trim().to_owned()
    };
    let mut shown = vec![review()];
    assert!(!release.release_dir().join("local").exists(), "looking makes nothing");
    assert_eq!(release.upload().code, Some(3));
    shown.push(review());
    release.repo.git(&["-C", gerrit.as_str(), "update-ref", "refs/heads/main", "refs/changes/01/1/1"]);
    shown.push(review());
    release.repo.git(&["remote", "remove", "gerrit"]);
    let lost = review();
    assert!(lost.starts_with("? review: unknown, no git remote has the URL file://"), "{lost}");
    expect![[r#"
        · review: not pushed
        … review: waiting to be submitted
        ✓ review: submitted"#]]
    .assert_eq(&shown.join("\n"));
}

#[test]
fn once_the_tree_is_on_the_way_to_the_next() {
    let (release, gerrit) = reviewed();
    release.repo.git(&["remote", "remove", "gerrit"]);
    fs::remove_dir_all(&gerrit).expect("removed");
    release.repo.xtask(&["release", "finish", "--yes"]).ok();
    let page = status(&release);
    assert!(page.starts_with("Lix 2.94.0 \"Bici Bici\", on main, which is on the way to 2.95.0\n"), "{page}");
    assert!(page.contains("tag          ✓ 2.94.0 at ") && page.contains("build        ✓ in release/"), "{page}");
    assert!(page.contains("finish       ✓ "), "{page}");
}
