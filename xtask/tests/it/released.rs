//! `release prepare` and `release finish` if earlier releases have already announced some of the fragments.

use std::fs;
use std::process::Command;

use expect_test::expect;

use crate::repo::{Repo, xtask};

const PREPARE: [&str; 5] = ["release", "prepare", "2.94.0", "--name", "Name"];

/// `main` on its way to 2.94.0, and a tagged 2.93.1, whose notes are on its branch alone. Of its two fragments, `main`
/// has one under another name, as the change was merged there (another `cls`, other line ends), and the other with
/// another text.
fn backported() -> Repo {
    let repo = Repo::patch_release();
    repo.git(&["branch", "release-2.93"]);
    repo.write("version.json", &repo.read("version.json").replace("2.93.1", "2.94.0-dev").replace("Bici Bici", "TBD"));
    repo.git(&["mv", "doc/manual/rl-next/one.md", "doc/manual/rl-next/uno.md"]);
    repo.write(
        "doc/manual/rl-next/uno.md",
        "---\r\ncls:\r\n  - 10\r\n  - 11\r\nsynopsis: \"One\"\r\ncategory: Fixes\r\n---\r\nFirst.\r\n\r\n",
    );
    repo.write("doc/manual/rl-next/two.md", "---\nsynopsis: Another two\ncls: 22\n---\n\nSecond.\n");
    repo.write("doc/manual/rl-next/three.md", "---\nsynopsis: Three\ncls: 3\n---\n\nThird.\n");
    repo.commit_all("on the way");
    repo.git(&["switch", "--quiet", "release-2.93"]);
    repo.xtask(&["release", "prepare"]).ok();
    repo.xtask(&["release", "tag"]).ok();
    repo.git(&["switch", "--quiet", "main"]);
    repo
}

#[test]
fn a_new_major_announces_nothing_again_unless_told_to() {
    let repo = backported();
    let before = repo.state();
    let error = repo.xtask(&PREPARE).fails(1);
    expect![[r#"
        error: cannot prepare the release
          doc/manual/rl-next/uno.md: 2.93.1 announced this already: remove it, or announce it again with `--despite-released`
    "#]].assert_eq(&error);
    assert_eq!(repo.state(), before);

    let ran = repo.xtask(&[&PREPARE[..], &["--despite-released", "--dry-run"]].concat());
    expect![[r#"
        Lix 2.94.0 "Name" (new MAJOR)
          commit  version: 2.94.0-dev -> 2.94.0
            write   version.json
          commit  release: release notes for 2.94.0
            write   doc/manual/src/release-notes/rl-2.94.md
            write   doc/manual/src/SUMMARY.md
            remove  3 fragments
        warning: doc/manual/rl-next/uno.md: 2.93.1 announced this already
        warning: doc/manual/rl-next/two.md: 2.93.1 announced a note with this name or synopsis but another text; is it the same news?
        warning: cannot tell whether 2.93.0 announced a fragment of this tree already, because the tag is missing: `git fetch --tags`
    "#]].assert_eq(&ran.stderr);
    assert!(ran.ok().contains("+- One ["));

    // Fragments that `finish` removes are not announced again.
    repo.git(&["switch", "--quiet", "--detach", "2.93.1"]);
    repo.xtask(&["release", "finish", "2.93.1", "--yes"]).ok();
    repo.git(&["switch", "--quiet", "main"]);
    assert!(!repo.root.join("doc/manual/rl-next/uno.md").exists());
    repo.xtask(&PREPARE).ok();
    assert!(!repo.read("doc/manual/src/release-notes/rl-2.94.md").contains("- One"));
}

#[test]
fn every_release_that_announced_it_is_named() {
    let repo = backported();
    // The same fix in an older series, under a third name.
    repo.git(&["switch", "--quiet", "-c", "release-2.92", "release-2.93"]);
    repo.write("version.json", &repo.read("version.json").replace("2.93.1", "2.92.4"));
    repo.write(
        "doc/manual/src/release-notes/rl-2.92.md",
        "# Lix 2.92 \"Bici Bici\" (2025-01-18)\n\n\n# Lix 2.92.0 (2025-01-18)\n",
    );
    repo.write("doc/manual/rl-next/ein.md", "---\nsynopsis: One\n---\nFirst.\n");
    repo.commit_all("the fix for 2.92");
    repo.xtask(&["release", "prepare"]).ok();
    repo.xtask(&["release", "tag"]).ok();
    repo.git(&["switch", "--quiet", "main"]);
    let error = repo.xtask(&PREPARE).fails(1);
    assert!(error.contains("uno.md: 2.92.4 and 2.93.1 announced this already"), "{error}");
}

#[test]
fn a_patch_release_is_compared_with_its_own_series_alone() {
    let repo = backported();
    repo.git(&["switch", "--quiet", "release-2.93"]);
    repo.write("doc/manual/rl-next/again.md", "---\nsynopsis: One\ncls: 99\n---\n\nFirst.\n");
    repo.commit_all("the fix, once more");
    let error = repo.xtask(&["release", "prepare", "2.93.2"]).fails(1);
    assert!(error.contains("again.md: 2.93.1 announced this already"), "{error}");

    // Users of an older series have not read the notes of a newer one.
    repo.git(&["reset", "--quiet", "--hard", "HEAD^"]);
    repo.git(&["switch", "--quiet", "main"]);
    repo.xtask(&[&PREPARE[..], &["--despite-released"]].concat()).ok();
    repo.xtask(&["release", "tag"]).ok();
    repo.git(&["switch", "--quiet", "release-2.93"]);
    repo.write("doc/manual/rl-next/three.md", "---\nsynopsis: Three\ncls: 30\n---\n\nThird.\n");
    repo.commit_all("a backport of what 2.94.0 announced");
    repo.xtask(&["release", "prepare", "2.93.2"]).ok();
}

#[test]
fn a_clone_that_cannot_tell_says_so() {
    let repo = backported();
    let clone = |name: &str, options: &[&str]| {
        let dir = repo.beside(name);
        let url = format!("file://{}", repo.root);
        repo.git(&[&["clone", "--quiet", "--branch=main"], options, &[&url, dir.as_str()]].concat());
        repo.git(&["-C", dir.as_str(), "config", "user.name", "Release Manager"]);
        repo.git(&["-C", dir.as_str(), "config", "user.email", "manager@example.org"]);
        xtask(&[&PREPARE[..], &["--dry-run", "--repo", dir.as_str()]].concat())
    };
    let ran = clone("no-tags", &["--no-tags"]);
    assert!(
        ran.stderr.contains(
            "cannot tell whether 2.93.0 announced a fragment of this tree already, because the tag is missing"
        ),
        "{}",
        ran.stderr
    );
    ran.ok();
    // The branch of the series, one commit deep, and so the tag.
    let ran = clone("shallow", &["--depth=1", "--no-single-branch"]);
    assert!(
        ran.stderr.contains("cannot tell whether 2.93.1 announced a fragment of this tree already"),
        "{}",
        ran.stderr
    );
    ran.ok();
}

#[test]
fn two_thousand_fragments_and_names_that_git_quotes() {
    let repo = backported();
    for number in 0..2000 {
        repo.write(
            &format!("doc/manual/rl-next/n{number}.md"),
            &format!("---\nsynopsis: Number {number}\ncls: {}\n---\n\nText.\n", 1000 + number),
        );
    }
    for (at, name) in
        ["a b", "é", "-x", "\"q\"", "tab\tbed", "line\nbreak", "*", "[a]", ":(top)y", "日本"].iter().enumerate()
    {
        let text = format!("---\nsynopsis: Odd {at}\n---\n{}\n", "Long. ".repeat(at * 1000));
        repo.write(&format!("doc/manual/rl-next/{name}.md"), &text);
    }
    repo.git(&["rm", "--quiet", "doc/manual/rl-next/uno.md"]);
    repo.commit_all("many");
    repo.xtask(&PREPARE).ok();
    let left = fs::read_dir(repo.root.join("doc/manual/rl-next")).expect("a directory").count();
    assert_eq!((left, repo.git(&["ls-files", "doc/manual/rl-next"]).as_str()), (1, "doc/manual/rl-next/.gitkeep"));
    let page = repo.read("doc/manual/src/release-notes/rl-2.94.md");
    assert_eq!((page.matches("- Number ").count(), page.matches("- Odd ").count()), (2000, 10));
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_name_that_is_not_utf8_and_what_is_not_read_are_refused_by_name() {
    let repo = Repo::patch_release();
    repo.write("doc/manual/rl-next/X.MD", "---\nsynopsis: Never read\n---\n");
    repo.write("doc/manual/rl-next/sub/v.md", "---\nsynopsis: Never read\n---\n");
    repo.commit_all("not fragments");
    let error = repo.xtask(&["release", "prepare"]).fails(1);
    expect![[r#"
        error: cannot prepare the release
          doc/manual/rl-next/X.MD is not read: if it is a fragment, rename it to X.md
          doc/manual/rl-next/sub/v.md is in a subdirectory, which is not read: move it up
    "#]]
    .assert_eq(&error);

    let repo = Repo::patch_release();
    let script =
        "printf -- '---\\nsynopsis: x\\n---\\n' > \"doc/manual/rl-next/$(printf 'na\\377me').md\" && git add .";
    let made = Command::new("sh").args(["-c", script]).current_dir(&repo.root).status();
    assert!(made.is_ok_and(|status| status.success()));
    repo.commit_all("a name in Latin-1");
    let before = repo.state();
    let error = repo.xtask(&["release", "prepare"]).fails(1);
    assert!(error.contains("na\u{fffd}me.md is not UTF-8: rename it"), "{error}");
    assert_eq!(repo.state(), before);
}
