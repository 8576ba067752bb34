//! `release finish` after each kind of release, with notes to bring forward, with remotes, and killed at every point.

use std::fs;

use camino::Utf8PathBuf;
use expect_test::expect;

use crate::repo::{Repo, make_executable};

const ONE: &str = "---\nsynopsis: One\ncategory: Fixes\ncls: 1\ncredits: jade\n---\n\nFirst.\n";

/// 2.94.0, tagged on `branch`.
fn new_major(branch: &str) -> Repo {
    let repo = Repo::patch_release();
    if branch != "main" {
        repo.git(&["switch", "--quiet", "-c", branch]);
    }
    repo.xtask(&["release", "prepare", "2.94.0", "--name", "Açaí na tigela"]).ok();
    repo.xtask(&["release", "tag"]).ok();
    repo
}

/// `main` on its way to 2.94.0, and `release-2.93` with 2.93.1 prepared and checked out.
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

/// A bare repository and a `releng.toml` whose environment `local` is there.
fn remote(repo: &Repo, kind: &str) -> (Utf8PathBuf, String) {
    let bare = repo.beside("remote.git");
    repo.git(&["init", "--quiet", "--bare", "--initial-branch=main", bare.as_str()]);
    let target = format!("[environments.local.git.{kind}]\nurl = \"file://{bare}\"");
    let text = include_str!("../../releng.toml").replacen(
        "[environments.local.git.directory]\npath = \"release/local/git\"",
        &target,
        1,
    );
    let config = repo.beside("releng.toml");
    fs::write(&config, text).expect("written");
    (bare, config.into_string())
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
    // HEAD is on a branch with another version now; the record says which release this is about.
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
          doc/manual/src/SUMMARY.md has changes that are not committed: commit or stash them
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
fn a_plain_remote_gets_branch_and_commits_once_it_has_the_release() {
    let repo = new_major("main");
    let (bare, config) = remote(&repo, "plain");
    let finish = |answers: &str, args: &[&str]| {
        let always = ["release", "finish", "--env", "local", "--config", &config];
        repo.answering(answers, &[&always, args].concat())
    };
    repo.git(&["push", "--quiet", bare.as_str(), "main~1:refs/heads/main"]);
    let waits = finish("y\ny\n", &["--push"]);
    assert!(waits.stderr.contains("waits   until main at local contains the merged release"), "{}", waits.stderr);
    waits.fails(3);
    assert_eq!(repo.git(&["symbolic-ref", "HEAD"]), "refs/heads/main", "the rest is done");

    repo.git(&["push", "--quiet", bare.as_str(), "release-2.94:refs/heads/main"]);
    let looked = finish("", &[]);
    assert!(looked.stderr.contains("not pushed: release-2.94 at "), "{}", looked.stderr);
    looked.ok();
    let asked = finish("y\nn\n", &["--push"]);
    assert!(asked.stderr.contains("pushed  release-2.94") && asked.stderr.contains("not pushed: that commit"));
    asked.ok();
    let there = |name: &str| repo.git(&["-C", bare.as_str(), "rev-parse", name]);
    let here = |name: &str| repo.git(&["rev-parse", name]);
    assert_eq!((there("release-2.94"), there("main")), (here("release-2.94"), here("release-2.94")));
    finish("", &["--push", "--yes"]).ok();
    assert_eq!(there("main"), here("main"));
    let all_there = finish("", &["--push"]);
    assert!(all_there.stderr.contains("local has release-2.94") && all_there.stderr.contains("everything on main"));
    all_there.ok();

    // Somebody else was there meanwhile, and so were we.
    let theirs = repo.git(&["commit-tree", "-p", "main", "-m", "theirs", "main^{tree}"]);
    repo.git(&["push", "--quiet", bare.as_str(), &format!("{theirs}:main")]);
    repo.commit_all("ours");
    let error = finish("", &["--push", "--yes"]).fails(1);
    assert!(
        error.contains("local has commits on main that are not on main here") && error.contains("git rebase"),
        "{error}"
    );
    assert_eq!(there("main"), theirs);
    // One that is only behind would lack what they have, too: what is made of it would be made of an old tree.
    repo.git(&["reset", "--quiet", "--hard", "HEAD^"]);
    let error = finish("", &["--dry-run"]).fails(1);
    assert!(error.contains("local has commits on main that are not on main here"), "{error}");
}

#[test]
fn a_look_at_a_remote_takes_few_connections() {
    let repo = new_major("main");
    let (bare, config) = remote(&repo, "plain");
    let (ssh, calls) = (repo.beside("ssh"), repo.beside("calls"));
    fs::write(&ssh, format!("#!/bin/sh\necho \"$2\" >> {calls}\nexec sh -c \"$2\"\n")).expect("written");
    make_executable(&ssh);
    repo.git(&["config", "core.sshCommand", ssh.as_str()]);
    repo.git(&["config", "ssh.variant", "simple"]);
    let text = fs::read_to_string(&config).expect("a configuration").replace("file://", "ssh://git.invalid");
    fs::write(&config, text).expect("written");
    repo.git(&["push", "--quiet", bare.as_str(), "main"]);
    let finish = |args: &[&str]| {
        fs::write(&calls, "").expect("written");
        repo.xtask(&[&["release", "finish", "--env", "local", "--config", &config], args].concat()).ok();
        let calls = fs::read_to_string(&calls).expect("a list");
        ["upload", "receive"]
            .map(|kind| calls.lines().filter(|call| call.contains(&format!("git-{kind}-pack"))).count())
    };
    // What is ahead there, what would stop us, and what is left; and two pushes.
    assert_eq!(finish(&["--push", "--yes"]), [3, 2]);
    assert_eq!(finish(&[]), [3, 0]);
}

#[test]
fn a_patch_release_is_looked_for_on_its_branch() {
    let repo = maintenance();
    repo.git(&["switch", "--quiet", "-c", "releng/2.93.1"]);
    repo.git(&["branch", "--force", "release-2.93", "HEAD^"]);
    repo.xtask(&["release", "tag"]).ok();
    let (bare, config) = remote(&repo, "plain");
    repo.git(&["push", "--quiet", bare.as_str(), "main", "release-2.93"]);
    let push = ["release", "finish", "--env", "local", "--config", &config, "--push", "--yes"];
    let waits = repo.xtask(&push);
    assert!(waits.stderr.contains("release-2.93 is behind the release here"), "{}", waits.stderr);
    assert!(
        waits.stderr.contains("waits   until release-2.93 at local contains the merged release"),
        "{}",
        waits.stderr
    );
    waits.fails(3);
    repo.git(&["push", "--quiet", bare.as_str(), "releng/2.93.1:release-2.93"]);
    repo.xtask(&push).ok();
    let there = |name: &str| repo.git(&["-C", bare.as_str(), "rev-parse", name]);
    assert_eq!(there("main"), repo.git(&["rev-parse", "main"]), "the notes are there");
    assert_eq!(there("release-2.93"), repo.git(&["rev-parse", "releng/2.93.1"]), "and the branch is as it was");

    let stranger = repo.git(&["commit-tree", "-p", "release-2.93", "-m", "a stranger", "main^{tree}"]);
    repo.git(&["branch", "--force", "release-2.93", &stranger]);
    let error = repo.xtask(&["release", "finish"]).fails(1);
    assert!(error.contains("the local branch release-2.93, at") && error.contains(&stranger[..12]), "{error}");
}

#[test]
fn gerrit_gets_the_branch_directly_and_the_commits_for_review() {
    let repo = new_major("releng/2.94.0");
    let (bare, config) = remote(&repo, "gerrit");
    repo.git(&["remote", "add", "gerrit", &format!("file://{bare}")]);
    repo.git(&["push", "--quiet", bare.as_str(), "releng/2.94.0:refs/heads/main"]);
    let hook = bare.join("hooks/update");
    fs::write(&hook, "#!/bin/sh\n[ \"$1\" != refs/heads/main ]\n").expect("written");
    make_executable(&hook);
    let push = ["release", "finish", "--env", "local", "--config", &config, "--push", "--yes"];
    repo.xtask(&push).ok();
    let refs = repo.git(&["-C", bare.as_str(), "for-each-ref", "--format=%(refname) %(subject)"]);
    expect![[r#"
        refs/for/main version: 2.94.0 -> 2.95.0-dev
        refs/heads/main release: merge release 2.94.0 back to mainline
        refs/heads/release-2.94 release: merge release 2.94.0 back to mainline"#]]
    .assert_eq(&refs);
    repo.git(&["-C", bare.as_str(), "update-ref", "refs/changes/01/1/1", "refs/for/main"]);
    let again = repo.xtask(&push);
    assert!(again.stderr.contains("local has the commits for main in review"), "{}", again.stderr);
    again.ok();
}

#[test]
fn a_branch_of_another_origin_is_not_touched() {
    let repo = new_major("main");
    let (bare, config) = remote(&repo, "plain");
    let stranger = repo.git(&["commit-tree", "-m", "a stranger", "main^{tree}"]);
    repo.git(&["push", "--quiet", bare.as_str(), "main", &format!("{stranger}:refs/heads/release-2.94")]);
    let before = (repo.state(), repo.git(&["for-each-ref"]));
    let error = repo.xtask(&["release", "finish", "--env", "local", "--config", &config, "--push", "--yes"]).fails(1);
    assert!(error.contains("local has a branch release-2.94 at") && error.contains(&stranger[..12]), "{error}");
    assert_eq!((repo.state(), repo.git(&["for-each-ref"])), before, "it was asked before anything was done here");
    fs::rename(&bare, bare.with_extension("away")).expect("renamed");
    let error = repo.xtask(&["release", "finish", "--env", "local", "--config", &config]).fails(1);
    assert!(error.contains("cannot look at the git remote"), "{error}");
    assert_eq!((repo.state(), repo.git(&["for-each-ref"])), before);
}

#[test]
fn a_fresh_clone_is_told_which_branch_to_switch_to() {
    let repo = maintenance();
    repo.xtask(&["release", "tag"]).ok();
    let clone = repo.beside("clone");
    repo.git(&["clone", "--quiet", repo.root.as_str(), clone.as_str()]);
    repo.git(&["-C", clone.as_str(), "switch", "--quiet", "--create", "other", "2.93.1"]);
    let branch = repo.git(&[
        "-C",
        clone.as_str(),
        "for-each-ref",
        "--format=%(refname:lstrip=3)",
        "--contains=2.93.1",
        "refs/remotes",
    ]);
    let branch = branch.lines().find(|name| *name != "HEAD").expect("the branch there").to_owned();
    let heads = repo.git(&["-C", clone.as_str(), "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"]);
    for head in heads.lines().filter(|head| *head != "other") {
        repo.git(&["-C", clone.as_str(), "branch", "--quiet", "-D", head]);
    }
    let error = crate::repo::xtask(&["release", "finish", "2.93.1", "--repo", clone.as_str()]).fails(1);
    let expected = format!("is merged back to origin/{branch}, but not to a local branch: `git switch {branch}`");
    assert!(error.contains(&expected), "{error}");
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
