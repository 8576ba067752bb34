//! `release finish` after each kind of release, with notes to bring forward, with remotes, and killed at every point.

pub mod remotes;

use expect_test::expect;

use crate::repo::Repo;

const ONE: &str = "---\nsynopsis: One\ncategory: Fixes\ncls: 1\ncredits: jade\n---\n\nFirst.\n";

/// A repository with 2.94.0, tagged on `branch`.
pub fn new_major(branch: &str) -> Repo {
    let repo = Repo::patch_release();
    if branch != "main" {
        repo.git(&["switch", "--quiet", "-c", branch]);
    }
    repo.xtask(&["release", "prepare", "2.94.0", "--name", "Açaí na tigela"]).ok();
    repo.xtask(&["release", "tag"]).ok();
    repo
}

/// `main` before 2.94.0, and `release-2.93` with 2.93.1 prepared and checked out.
///
/// Of the fragments that become the notes of 2.93.1, `main` has the first under two names, another one instead of the
/// second, and one more.
fn maintenance() -> Repo {
    let repo = Repo::patch_release();
    repo.git(&["branch", "release-2.93"]);
    repo.write("version.json", &repo.read("version.json").replace("2.93.1", "2.94.0-dev").replace("Bici Bici", "TBD"));
    repo.write("doc/manual/rl-next/uno.md", ONE);
    repo.write("doc/manual/rl-next/two.md", "---\nsynopsis: Another two\ncls: 22\n---\n\nSecond.\n");
    repo.write("doc/manual/rl-next/three.md", "---\nsynopsis: Three\ncls: 3\n---\n\nThird.\n");
    repo.commit_all("on the way");
    repo.git(&["switch", "--quiet", "release-2.93"]);
    repo.xtask(&["release", "prepare", "--date", "2025-06-18"]).ok();
    repo
}

fn log(repo: &Repo, range: &str) -> String {
    repo.git(&["log", "--format=%s", "--first-parent", "--reverse", range])
}

#[test]
fn a_new_major_gets_its_branch_and_main_the_next_version() {
    let repo = new_major("main");
    let merge = repo.git(&["rev-parse", "main"]);
    let ran = repo.xtask(&["release", "finish"]);
    expect![[r#"
        Lix 2.94.0 "Açaí na tigela" (new MAJOR)
          switch  back to main
          create  branch release-2.94 at MERGE, the merged release
          commit  version: 2.94.0 -> 2.95.0-dev
            write   version.json
          on      main
        done: HEAD is on main
        nothing was pushed; next: cargo xtask release finish --env ENV --push --repo TREE
    "#]]
    .assert_eq(&ran.stderr.replace(&merge[..12], "MERGE").replace(repo.root.as_str(), "TREE"));
    ran.ok();
    assert_eq!(repo.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!(repo.git(&["rev-parse", "release-2.94", "main^"]), format!("{merge}\n{merge}"));
    assert_eq!(
        repo.read("version.json"),
        "{\n    \"version\": \"2.95.0-dev\",\n    \"official_release\": false,\n    \"release_name\": \"TBD\"\n}\n"
    );
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    repo.git(&["fsck", "--strict", "--no-dangling"]);

    let (state, refs) = (repo.state(), repo.git(&["for-each-ref"]));
    let again = repo.xtask(&["release", "finish"]);
    assert!(again.stderr.contains("release-2.94 contains the release") && !again.stderr.contains("commit  "));
    again.ok();
    assert_eq!((repo.state(), repo.git(&["for-each-ref"])), (state, refs));
}

#[test]
fn what_the_release_was_tagged_on_goes_to_main_whatever_its_name() {
    let repo = new_major("releng/2.94.0");
    let main = repo.git(&["rev-parse", "main"]);
    repo.xtask(&["release", "finish"]).ok();
    assert_eq!(repo.git(&["symbolic-ref", "HEAD"]), "refs/heads/releng/2.94.0");
    assert_eq!(log(&repo, "release-2.94..HEAD"), "version: 2.94.0 -> 2.95.0-dev");
    assert_eq!(repo.git(&["rev-parse", "main"]), main);
    // HEAD is now on a branch with another version; the record says which release to finish.
    repo.xtask(&["release", "finish"]).ok();
    repo.xtask(&["release", "finish", "2.94.0"]).ok();
    assert_eq!(log(&repo, "release-2.94..HEAD"), "version: 2.94.0 -> 2.95.0-dev");
}

#[test]
fn a_patch_release_brings_its_notes_to_main() {
    let repo = maintenance();
    repo.xtask(&["release", "tag"]).ok();
    let asked = repo.answering("n\n", &["release", "finish"]);
    assert!(asked.stderr.contains("Commit this to main? [y/N]   left out"), "{}", asked.stderr);
    assert!(asked.ok().contains("+# Lix 2.93.1 (2025-06-18)"));
    assert_eq!(repo.git(&["symbolic-ref", "HEAD"]), "refs/heads/release-2.93");
    assert_eq!(log(&repo, "main"), "a tree\non the way");

    let ran = repo.answering("y\n", &["release", "finish"]);
    assert!(ran.stderr.contains("two.md stays: 2.93.1 released a note with this name or synopsis but another text"));
    ran.ok();
    expect![[r#"
        release: bring forward the release notes of 2.93.1

         doc/manual/rl-next/one.md               |  8 --------
         doc/manual/rl-next/uno.md               |  8 --------
         doc/manual/src/release-notes/rl-2.93.md | 19 +++++++++++++++++++
         3 files changed, 19 insertions(+), 16 deletions(-)"#]]
    .assert_eq(&repo.git(&["show", "--format=%s", "--stat", "main"]));
    let page = "doc/manual/src/release-notes/rl-2.93.md";
    assert_eq!(repo.git(&["diff", "main", "release-2.93", "--", page]), "", "to the byte");
    assert_eq!(repo.git(&["status", "--porcelain"]), "");

    let refs = repo.git(&["for-each-ref"]);
    repo.answering("y\n", &["release", "finish"]).ok();
    assert_eq!(repo.git(&["for-each-ref"]), refs);
}

#[test]
fn main_in_another_work_tree_moves_with_its_files() {
    let repo = maintenance();
    repo.xtask(&["release", "tag"]).ok();
    let linked = repo.beside("main");
    repo.git(&["worktree", "add", "--quiet", linked.as_str(), "main"]);
    repo.xtask(&["release", "finish", "--yes"]).ok();
    assert!(!linked.join("doc/manual/rl-next/uno.md").exists());
    assert_eq!(repo.git(&["-C", linked.as_str(), "status", "--porcelain"]), "");
    assert!(log(&repo, "main").ends_with("\nrelease: bring forward the release notes of 2.93.1"));
}

#[test]
fn notes_of_several_releases_come_with_the_next_new_major() {
    let repo = maintenance();
    repo.xtask(&["release", "tag"]).ok();
    repo.git(&["switch", "--quiet", "release-2.93"]);
    repo.write("doc/manual/rl-next/four.md", "---\nsynopsis: Four\ncls: 4\n---\n\nFourth.\n");
    repo.commit_all("a fix");
    repo.xtask(&["release", "prepare", "2.93.2"]).ok();
    repo.xtask(&["release", "tag"]).ok();
    repo.git(&["switch", "--quiet", "main"]);
    repo.xtask(&["release", "prepare", "2.94.0", "--name", "Name", "--despite-released"]).ok();
    repo.xtask(&["release", "tag"]).ok();
    repo.xtask(&["release", "finish", "--yes"]).ok();
    expect![[r#"
        version: 2.94.0 -> 2.95.0-dev
        release: bring forward the release notes of 2.93.1, 2.93.2"#]]
    .assert_eq(&log(&repo, "release-2.94..main"));
    let page = "doc/manual/src/release-notes/rl-2.93.md";
    assert_eq!(repo.git(&["diff", "main", "release-2.93", "--", page]), "", "to the byte");
}

#[test]
fn a_pre_release_only_goes_back() {
    let repo = Repo::patch_release();
    repo.xtask(&["release", "prepare", "2.94.0-rc1", "--name", "Name"]).ok();
    repo.xtask(&["release", "tag"]).ok();
    let refs = repo.git(&["for-each-ref"]);
    repo.xtask(&["release", "finish"]).ok();
    assert_eq!(repo.git(&["for-each-ref"]), refs);
    assert_eq!(repo.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
}

#[test]
fn refusals_name_everything_at_once_and_change_nothing() {
    let repo = new_major("main");
    repo.git(&["branch", "release-2.94", "main~2"]);
    repo.git(&["switch", "--quiet", "-c", "elsewhere"]);
    repo.write("doc/manual/src/SUMMARY.md", "changed");
    let before = (repo.state(), repo.git(&["for-each-ref"]));
    let (old, merge) = (repo.git(&["rev-parse", "release-2.94"]), repo.git(&["rev-parse", "main"]));
    let error = repo.xtask(&["release", "finish", "2.94.0", "--yes", "--env", "production", "--push"]).fails(1);
    assert!(error.contains("no git remote has the URL ssh://gerrit.lix.systems:2022/lix"), "{error}");
    repo.git(&["remote", "add", "gerrit", "ssh://me@gerrit.lix.systems:2022/lix"]);
    let error = repo.xtask(&["release", "finish", "2.94.0", "--yes", "--env", "production", "--push"]).fails(1);
    expect![[r#"
        error: cannot finish the release
          doc/manual/src/SUMMARY.md has uncommitted changes: commit or stash them
          HEAD is on elsewhere, but 2.94.0 was tagged on main: `git switch main`
          production does not allow pushing without asking: leave out `--yes`
          the local branch release-2.94, at OLD, does not contain the merged release: if it is not needed as it is, `git branch --force release-2.94 MERGE`
    "#]].assert_eq(&error.replace(&old[..12], "OLD").replace(&merge[..12], "MERGE"));
    assert_eq!((repo.state(), repo.git(&["for-each-ref"])), before);

    let untagged = Repo::patch_release();
    let error = untagged.xtask(&["release", "finish"]).fails(1);
    assert!(error.contains("there is no tag 2.93.1 here: run `cargo xtask release tag"), "{error}");
    untagged.xtask(&["release", "finish", "--push"]).fails(2);
}

#[test]
fn a_dry_run_shows_the_diff_and_leaves_no_object() {
    let repo = maintenance();
    repo.xtask(&["release", "tag"]).ok();
    let all = || (repo.state(), repo.git(&["for-each-ref"]), repo.git(&["count-objects", "-v"]));
    let before = all();
    let diff = repo.xtask(&["release", "finish", "--dry-run"]).ok();
    assert!(diff.contains("+# Lix 2.93.1 (2025-06-18)") && diff.contains("deleted file mode"), "{diff}");
    assert_eq!(all(), before);
}

#[test]
fn killed_after_any_call_of_git_running_again_completes_it() {
    let tagged = maintenance();
    tagged.xtask(&["release", "tag"]).ok();
    tagged.git(&["switch", "--quiet", "main"]);
    tagged.xtask(&["release", "prepare", "2.94.0", "--name", "Name", "--despite-released"]).ok();
    tagged.xtask(&["release", "tag"]).ok();
    let end = |repo: &Repo| {
        let branch = repo.git(&["symbolic-ref", "HEAD"]);
        let status = repo.git(&["status", "--porcelain"]);
        let merged = repo.git(&["rev-parse", "release-2.94^2"]) == repo.git(&["rev-parse", "2.94.0^{commit}"]);
        (branch, status, merged, repo.git(&["rev-parse", "main^{tree}"]), log(repo, "main"))
    };
    let expected = {
        let repo = tagged.copy();
        repo.xtask(&["release", "finish", "--yes"]).ok();
        end(&repo)
    };
    assert!(expected.2);
    let mut kills = 0;
    for point in 1.. {
        let repo = tagged.copy();
        let finished = repo.killed_after(point, &["release", "finish", "--yes"]).status.success();
        repo.xtask(&["release", "finish", "--yes"]).ok();
        assert_eq!(end(&repo), expected, "call {point}");
        if finished {
            break;
        }
        kills += 1;
    }
    assert!(kills > 20, "killed only {kills} times");
}
