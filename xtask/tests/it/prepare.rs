//! `release prepare` in repositories as managers have them, and killed at any point.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use expect_test::expect;

use crate::repo::{Repo, make_executable};

const DATE: [&str; 2] = ["--date", "2025-06-23"];

fn prepare<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["release", "prepare"], args, &DATE].concat()
}

fn install_hook(repo: &Repo, name: &str, script: &str) {
    repo.write(&format!(".git/hooks/{name}"), script);
    make_executable(&repo.root.join(".git/hooks").join(name));
}

#[test]
fn a_patch_release_and_then_nothing_to_do() {
    let repo = Repo::patch_release();
    repo.xtask(&prepare(&[])).ok();
    expect![[r#"
        Release Manager
        release: release notes for 2.93.1


         doc/manual/rl-next/one.md               |  8 --------
         doc/manual/rl-next/two.md               |  6 ------
         doc/manual/src/release-notes/rl-2.93.md | 19 +++++++++++++++++++
         3 files changed, 19 insertions(+), 14 deletions(-)
         delete mode 100644 doc/manual/rl-next/one.md
         delete mode 100644 doc/manual/rl-next/two.md"#]]
    .assert_eq(&repo.git(&["show", "--format=%an%n%s%n%b", "--stat", "--summary"]));
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    assert!(repo.root.join("doc/manual/rl-next/.gitkeep").exists());

    let before = repo.state();
    let again = repo.xtask(&prepare(&[]));
    assert!(again.stderr.contains("already prepared"), "{}", again.stderr);
    again.ok();
    assert_eq!(repo.state(), before);
}

#[test]
fn version_and_name_are_set_first() {
    let repo = Repo::patch_release();
    repo.xtask(&prepare(&["2.94.0", "--name", "Dragon's \"Breath\" ō"])).ok();
    expect![[r#"
        release: release notes for 2.94.0

         doc/manual/rl-next/one.md               |  8 --------
         doc/manual/rl-next/two.md               |  6 ------
         doc/manual/src/SUMMARY.md               |  1 +
         doc/manual/src/release-notes/rl-2.94.md | 18 ++++++++++++++++++
         4 files changed, 19 insertions(+), 14 deletions(-)
        version: 2.93.1 -> 2.94.0

         version.json | 4 ++--
         1 file changed, 2 insertions(+), 2 deletions(-)
        a tree

         .gitignore                              | 1 +
         doc/manual/change-authors.yml           | 3 +++
         doc/manual/rl-next/.gitkeep             | 0
         doc/manual/rl-next/one.md               | 8 ++++++++
         doc/manual/rl-next/two.md               | 6 ++++++
         doc/manual/src/SUMMARY.md               | 3 +++
         doc/manual/src/release-notes/rl-2.93.md | 7 +++++++
         version.json                            | 5 +++++
         8 files changed, 33 insertions(+)"#]]
    .assert_eq(&repo.git(&["log", "--format=%s", "--stat=120"]));
    assert!(
        repo.read("version.json")
            .contains("\"official_release\": false,\n    \"release_name\": \"Dragon's \\\"Breath\\\" ō\"\n}\n")
    );
    assert!(repo.read("doc/manual/src/SUMMARY.md").contains("MARKER -->\n  - [Lix 2.94 (2025-06-23)]"));
    assert!(
        repo.read("doc/manual/src/release-notes/rl-2.94.md")
            .starts_with("# Lix 2.94 \"Dragon's \"Breath\" ō\" (2025-06-23)\n\n\n# Lix 2.94.0 (2025-06-23)\n## Fixes")
    );
}

#[test]
fn a_pre_release_leaves_the_fragments() {
    let repo = Repo::patch_release();
    let ran = repo.xtask(&prepare(&["2.94.0-rc1", "--name", "Açaí na tigela"]));
    assert!(ran.stderr.contains("the fragments stay for 2.94.0"), "{}", ran.stderr);
    ran.ok();
    assert_eq!(repo.git(&["log", "-1", "--format=%s"]), "version: 2.93.1 -> 2.94.0-rc1");
    assert!(repo.root.join("doc/manual/rl-next/one.md").exists());
    // The final release keeps the name.
    repo.xtask(&prepare(&["2.94.0"])).ok();
    assert!(repo.read("doc/manual/src/release-notes/rl-2.94.md").starts_with("# Lix 2.94 \"Açaí na tigela\""));
}

#[test]
fn no_fragments_make_an_empty_section_and_a_warning() {
    let repo = Repo::patch_release();
    repo.git(&["rm", "--quiet", "-r", "doc/manual/rl-next"]);
    repo.commit_all("no fragments, not even the directory");
    let ran = repo.xtask(&prepare(&[]));
    assert!(ran.stderr.contains("there are no fragments"), "{}", ran.stderr);
    ran.ok();
    assert!(
        repo.read("doc/manual/src/release-notes/rl-2.93.md")
            .contains("# Lix 2.93.1 (2025-06-23)\n\n\n\n\n# Lix 2.93.0")
    );
}

#[test]
fn refusals_name_everything_at_once_and_change_nothing() {
    let repo = Repo::patch_release();
    repo.git(&["tag", "2.93.1"]);
    repo.git(&["tag", "not-a-version"]);
    repo.write("doc/manual/rl-next/untracked.md", "---\nsynopsis: Not in git\n---\n");
    repo.write("doc/manual/src/SUMMARY.md", "changed\n");
    repo.write("staged é.txt", "x");
    repo.git(&["add", "staged é.txt"]);
    repo.write("doc/manual/rl-next/one.md", "---\nsynopsis: One\ncredits: nobody\n---\n");
    let before = repo.state();
    let error = repo.xtask(&prepare(&[])).fails(1);
    expect![[r#"
        error: cannot prepare the release
          doc/manual/rl-next/one.md has uncommitted changes: commit or stash them
          doc/manual/src/SUMMARY.md has uncommitted changes: commit or stash them
          staged é.txt has uncommitted changes: commit or stash them
          doc/manual/rl-next/untracked.md is not in git and would be lost from history: commit it, or move it away
          the tag 2.93.1 exists, so it is released: prepare a later one with `cargo xtask release prepare VERSION`
          doc/manual/rl-next/one.md:3: credits: `nobody` is not in the author list: add it there
    "#]]
    .assert_eq(&error);
    assert_eq!(repo.state(), before);
}

#[test]
fn what_may_not_be_released() {
    let repo = Repo::patch_release();
    repo.git(&["tag", "2.93.4"]);
    let mut shown = Vec::new();
    for args in [
        &["2.93.2-dev"][..],
        &["2.93.2"],
        &["2.93.0"],
        &["2.94.0"],
        &["2.95.1"],
        &["2.93.5", "--name", "Other"],
        &["2.94.0", "--name", "TBD"],
        &["--name", "Lonely"],
    ] {
        shown.push(repo.xtask(&prepare(args)).fails(1));
    }
    repo.write("version.json", "{\"version\": \"2.96.0-dev\", \"release_name\": \"TBD\"}\n");
    repo.commit_all("on the way");
    shown.push(repo.xtask(&prepare(&[])).fails(1));
    repo.git(&["switch", "--quiet", "--detach"]);
    shown.push(repo.xtask(&prepare(&["2.96.0", "--name", "Name"])).fails(1));
    expect![[r#"
        error: cannot prepare the release
          2.93.2-dev names a tree between releases and is never released: run `cargo xtask release prepare 2.93.2` (with `--name` for a new MAJOR) first
          2.93.2-dev is not newer than 2.93.4, the last tag of 2.93: prepare a later version
        error: cannot prepare the release
          2.93.2 is not newer than 2.93.4, the last tag of 2.93: prepare a later version
        error: cannot prepare the release
          2.93.0 is older than 2.93.1 in version.json: is this the right branch?
        error: cannot prepare the release
          2.94.0 starts a series: give it a name with `--name NAME`
        error: cannot prepare the release
          2.95.1 is a patch release of 2.95, but this tree is at 2.93.1: switch to release-2.95
        error: cannot prepare the release
          2.93 is already called "Bici Bici", and a series keeps its name: leave out `--name`
        error: cannot prepare the release
          the release name is still `TBD`: give the series its name with `cargo xtask release prepare 2.94.0 --name NAME`
        error: cannot prepare the release
          `--name` needs VERSION: say which release gets the name
        error: cannot prepare the release
          2.96.0-dev names a tree between releases and is never released: run `cargo xtask release prepare 2.96.0` (with `--name` for a new MAJOR) first
        error: cannot prepare the release
          HEAD is detached: `git switch` to the branch you want to release from
    "#]].assert_eq(&shown.join(""));
}

#[test]
fn a_fragment_that_a_sparse_checkout_hides_is_not_forgotten() {
    let repo = Repo::patch_release();
    repo.git(&["update-index", "--skip-worktree", "doc/manual/rl-next/two.md"]);
    std::fs::remove_file(repo.root.join("doc/manual/rl-next/two.md")).expect("removed");
    let error = repo.xtask(&prepare(&[])).fails(1);
    assert!(error.contains("two.md is in git but not in the work tree"), "{error}");
}

#[test]
fn fragments_that_came_after_the_notes_are_named() {
    let repo = Repo::patch_release();
    repo.xtask(&prepare(&[])).ok();
    repo.write("doc/manual/rl-next/late.md", "---\nsynopsis: Late\n---\n");
    repo.commit_all("late");
    let error = repo.xtask(&prepare(&[])).fails(1);
    assert!(error.contains("late.md was added after"), "{error}");
}

#[test]
fn a_dry_run_shows_the_diff_and_leaves_no_object() {
    let repo = Repo::patch_release();
    let objects = || repo.git(&["count-objects", "-v"]);
    let (state, before) = (repo.state(), objects());
    let diff = repo.xtask(&prepare(&["2.93.2", "--dry-run"])).ok();
    assert!(diff.contains("-    \"version\": \"2.93.1\",\n+    \"version\": \"2.93.2\",\n"), "{diff}");
    assert!(diff.contains("+# Lix 2.93.2 (2025-06-23)") && diff.contains("deleted file mode"), "{diff}");
    assert!(!diff.contains('\x1b'), "no colour in a pipe");
    assert_eq!((repo.state(), objects()), (state, before));
}

#[test]
fn only_the_commit_msg_hook_runs() {
    let repo = Repo::patch_release();
    for name in ["pre-commit", "post-merge", "post-checkout", "prepare-commit-msg", "post-commit"] {
        install_hook(&repo, name, "#!/bin/sh\ntouch \"$(git rev-parse --git-dir)/ran\"\nexit 1\n");
    }
    install_hook(
        &repo,
        "commit-msg",
        "#!/bin/sh\ngit interpret-trailers --in-place --trailer \"Change-Id: I$(git hash-object \"$1\")\" \"$1\"\n",
    );
    repo.xtask(&prepare(&["2.93.2"])).ok();
    assert_eq!(repo.git(&["log", "-2", "--format=%(trailers:key=Change-Id)"]).matches("Change-Id: I").count(), 2);
    assert!(!repo.root.join(".git/ran").exists());

    install_hook(&repo, "commit-msg", "#!/bin/sh\necho 'the message is too dull' >&2\nexit 1\n");
    let before = repo.state();
    let error = repo.xtask(&prepare(&["2.93.3"])).fails(1);
    assert!(error.contains("commit-msg hook refused") && error.contains("too dull"), "{error}");
    assert_eq!(repo.state(), before);
}

#[test]
fn from_a_worktree_a_sub_directory_and_without_identity() {
    let repo = Repo::patch_release();
    let linked = repo.beside("linked");
    repo.git(&["worktree", "add", "--quiet", linked.as_str(), "-b", "releng/2.93.1"]);
    let tool = |dir: &camino::Utf8Path| {
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(prepare(&["--repo", dir.as_str()]))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .expect("the tool runs")
    };
    let output = tool(&linked.join("doc/manual"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(repo.git(&["log", "-1", "--format=%s", "releng/2.93.1"]), "release: release notes for 2.93.1");
    assert_eq!(repo.git(&["log", "-1", "--format=%s", "main"]), "a tree");
    assert!(!linked.join("doc/manual/rl-next/one.md").exists());

    repo.git(&["config", "--unset", "user.email"]);
    let error = String::from_utf8_lossy(&tool(&repo.root).stderr).into_owned();
    assert!(error.contains("git does not know who you are"), "{error}");
}

#[test]
fn an_ignored_or_untracked_file_is_never_overwritten() {
    let repo = Repo::patch_release();
    repo.write(".gitignore", "rl-2.94.md\n");
    repo.commit_all("ignores");
    repo.write("doc/manual/src/release-notes/rl-2.94.md", "precious\n");
    let before = repo.state();
    let error = repo.xtask(&prepare(&["2.94.0", "--name", "Name"])).fails(1);
    assert!(error.contains("rl-2.94.md"), "{error}");
    assert_eq!(repo.state(), before);
    assert_eq!(repo.read("doc/manual/src/release-notes/rl-2.94.md"), "precious\n");
}

#[test]
fn killed_at_any_moment_the_tree_is_as_before_or_as_after() {
    let after = {
        let repo = Repo::patch_release();
        repo.xtask(&prepare(&[])).ok();
        repo.git(&["rev-parse", "HEAD^{tree}"])
    };
    let moments = 20;
    let (mut untouched, mut finished) = (0, 0);
    for moment in 0..moments {
        let repo = Repo::patch_release();
        let before = repo.git(&["rev-parse", "HEAD^{tree}"]);
        let mut child = repo
            .command(&prepare(&[]))
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the tool runs");
        std::thread::sleep(Duration::from_millis(moment * 8));
        // The complete process group, as a terminal or a CI runner does.
        xtask_test_support::kill_group(child.id());
        // Ends when the last program that holds our output has ended.
        let _ = std::io::Read::read_to_end(&mut child.stderr.take().expect("piped"), &mut Vec::new());
        child.wait().expect("it ends");

        assert_eq!(repo.git(&["status", "--porcelain"]), "", "moment {moment}");
        let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
        assert!(tree == before || tree == after, "moment {moment}");
        *(if tree == before { &mut untouched } else { &mut finished }) += 1;

        repo.xtask(&prepare(&[])).ok();
        assert_eq!(repo.git(&["rev-parse", "HEAD^{tree}"]), after, "moment {moment}: running it again completes it");
    }
    eprintln!("killed {moments} times: {untouched} before, {finished} after");
}

#[test]
fn another_product_has_other_names_and_links() {
    let repo = Repo::patch_release();
    let config = repo.beside("releng.toml");
    let ours = include_str!("../../releng.toml");
    let other = ours.replacen("name = \"Lix\"", "name = \"Xil\"", 1).replacen(
        "gerrit.lix.systems/c/lix",
        "review.example.org",
        1,
    );
    std::fs::write(&config, other).expect("written");
    let page = repo.read("doc/manual/src/release-notes/rl-2.93.md").replace("Lix", "Xil");
    repo.write("doc/manual/src/release-notes/rl-2.93.md", &page);
    repo.commit_all("another name");
    repo.xtask(&prepare(&["--config", config.as_str()])).ok();
    let page = repo.read("doc/manual/src/release-notes/rl-2.93.md");
    assert!(page.contains("# Xil 2.93.1 (2025-06-23)\n"), "{page}");
    assert!(page.contains("[cl/1](https://review.example.org/+/1)"), "{page}");
    std::fs::write(&config, "[product]\nnam = 1\n").expect("written");
    let error = repo.xtask(&prepare(&["--config", config.as_str()])).fails(1);
    assert!(error.contains("unknown field `nam`"), "{error}");
}

#[test]
fn of_many_files_only_the_first_are_named() {
    let repo = Repo::patch_release();
    for n in 10..30 {
        repo.write(&format!("a-{n}\nb"), "x");
    }
    repo.commit_all("files");
    for n in 10..30 {
        repo.write(&format!("a-{n}\nb"), "changed");
    }
    let error = repo.xtask(&["release", "prepare"]).fails(1);
    expect![[r#"
        error: cannot prepare the release
          a-10\nb has uncommitted changes: commit or stash them
          a-11\nb has uncommitted changes: commit or stash them
          a-12\nb has uncommitted changes: commit or stash them
          a-13\nb has uncommitted changes: commit or stash them
          a-14\nb has uncommitted changes: commit or stash them
          a-15\nb has uncommitted changes: commit or stash them
          a-16\nb has uncommitted changes: commit or stash them
          a-17\nb has uncommitted changes: commit or stash them
          a-18\nb has uncommitted changes: commit or stash them
          a-19\nb has uncommitted changes: commit or stash them
          the same is true of 10 more
    "#]]
    .assert_eq(&error);
}
