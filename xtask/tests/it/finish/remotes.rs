//! `finish` with remotes: what is pushed to which one, and what is not touched there.

use std::fs;

use camino::Utf8PathBuf;
use expect_test::expect;

use super::{maintenance, new_major};
use crate::repo::{Repo, make_executable};

/// A bare repository, and a `releng.toml` whose environment `local` uses it.
pub fn remote(repo: &Repo, kind: &str) -> (Utf8PathBuf, String) {
    let bare = repo.beside("remote.git");
    repo.git(&["init", "--quiet", "--bare", "--initial-branch=main", bare.as_str()]);
    let target = format!("[environments.local.git.{kind}]\nurl = \"file://{bare}\"");
    let text = include_str!("../../../releng.toml").replacen(
        "[environments.local.git.directory]\npath = \"release/local/git\"",
        &target,
        1,
    );
    let config = repo.beside("releng.toml");
    fs::write(&config, text).expect("written");
    (bare, config.into_string())
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

    // Both the remote and this repository have new commits.
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
    // One call each for remote commits, for obstacles and for what is left; and two pushes.
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
    let expected =
        format!("is merged back to origin/{branch}, but not to a local branch: `git branch {branch} origin/{branch}`");
    assert!(error.contains(&expected), "{error}");
}
