//! A branch moves, here or at the remote, while `prepare`, `tag` or `finish` runs: before each call of git, what the
//! command saw is no longer true. It ends well over what is there now, or refuses and says what moved; then running it
//! again heals it. The other's commit always stays.
//!
//! By default, one call of each kind that moves something is tried, and the last; `RELENG_MOVES=all` tries
//! every call.

use std::collections::BTreeSet;
use std::fs;

use camino::Utf8PathBuf;

use crate::finish::new_major;
use crate::finish::remotes::remote;
use crate::repo::{Ran, Repo, make_executable};

/// Commits to `main`, which may be checked out.
const COMMIT: &str = "if [ \"$(git symbolic-ref -q HEAD)\" = refs/heads/main ]; then \
                      echo theirs > theirs && git add theirs && git commit --quiet --no-verify -m theirs; \
                      else git update-ref refs/heads/main $(git commit-tree -p main -m theirs main^{tree}); fi";
/// Commands of git around which most happens.
const TELLING: [&str; 7] = ["status", "update-ref", "merge", "checkout", "switch", "fetch", "push"];

/// Runs the tool with a `git` that first runs `script` when it is called for the `nth` time, counted from 1. Returns how
/// it ended, and every call.
fn moved_before(repo: &Repo, nth: usize, script: &str, args: &[&str]) -> (Ran, Vec<String>) {
    let dir = repo.beside("bin");
    fs::create_dir_all(&dir).expect("a directory");
    let path = std::env::var("PATH").expect("a PATH");
    // In the tree, and with neither the environment nor the input of the call.
    let wrapper = format!(
        "#!/bin/sh\nexport PATH='{path}'\necho \"$*\" | tr '\\n' ' ' >> {dir}/calls; echo >> {dir}/calls\n\
         if [ \"$(wc -l < {dir}/calls)\" = {nth} ]; then (\n\
         unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\n\
         cd {root} && {{ {script}; }} && touch {dir}/moved) </dev/null >> {dir}/moves 2>&1\nfi\nexec git \"$@\"\n",
        root = repo.root,
    );
    fs::write(dir.join("git"), wrapper).expect("written");
    make_executable(&dir.join("git"));
    let ran = Ran::from(repo.command(args).env("PATH", format!("{dir}:{path}")).output().expect("the tool runs"));
    let calls = fs::read_to_string(dir.join("calls")).expect("a list").lines().map(str::to_owned).collect::<Vec<_>>();
    let moves = fs::read_to_string(dir.join("moves")).unwrap_or_default();
    assert!(calls.len() < nth || dir.join("moved").exists(), "the move before call {nth} failed: {moves}");
    (ran, calls)
}

/// Tries a command with `script` before its calls of git. `check` gets the tree after the command, and how it ended. Then
/// the command is run until it ends well: `again` may do what the message told. Returns the number of refusals.
fn before_every_call(
    tree: &dyn Fn() -> (Repo, Vec<String>),
    script: &dyn Fn(&Repo) -> String,
    check: &dyn Fn(&Repo, &Ran),
    again: &dyn Fn(&Repo, &str),
) -> usize {
    let all = std::env::var("RELENG_MOVES").is_ok_and(|which| which == "all");
    let calls = {
        let (repo, args) = tree();
        moved_before(&repo, usize::MAX, ":", &args.iter().map(String::as_str).collect::<Vec<_>>()).1
    };
    let mut kinds = BTreeSet::new();
    let mut refused = 0;
    for (nth, call) in (1..).zip(&calls) {
        let kind = TELLING.iter().find(|word| call.split(' ').any(|part| part == **word));
        let is_last = nth == calls.len();
        if !(all || is_last || kind.is_some_and(|kind| kinds.insert(kind))) {
            continue;
        }
        let (repo, args) = tree();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (ran, _) = moved_before(&repo, nth, &script(&repo), &args);
        let shown = format!("call {nth} ({call}): {:?}\n{}", ran.code, ran.stderr);
        if all {
            eprintln!("{shown}");
        }
        assert!(matches!(ran.code, Some(0 | 1)), "{shown}");
        let is_clear = ["while this command ran", "that are not on main here", "because someone else pushed"]
            .iter()
            .any(|words| ran.stderr.contains(words));
        assert!(ran.code == Some(0) || is_clear, "{shown}");
        assert_eq!(repo.git(&["status", "--porcelain"]), "", "{shown}");
        assert!(!repo.root.join(".git/release-intent.json").exists(), "{shown}");
        check(&repo, &ran);
        if ran.code == Some(1) {
            refused += 1;
            again(&repo, &ran.stderr);
        }
        let second = repo.xtask(&args);
        assert!(second.code == Some(0), "{shown}\nagain: {}", second.stderr);
        check(&repo, &second);
        repo.git(&["fsck", "--strict", "--no-dangling"]);
    }
    refused
}

fn args(args: &[&str]) -> Vec<String> {
    args.iter().map(|word| (*word).to_owned()).collect()
}

/// Whether a branch has a commit with this subject.
fn has(repo: &Repo, branch: &str, subject: &str) -> bool {
    repo.git(&["log", "--format=%s", branch]).lines().any(|line| line == subject)
}

#[test]
fn a_commit_while_prepare_runs() {
    let tree = Repo::patch_release();
    let refused = before_every_call(
        &|| (tree.copy(), args(&["release", "prepare"])),
        &|_| COMMIT.to_owned(),
        &|repo, ran| {
            assert!(has(repo, "main", "theirs"));
            let prepared = !repo.root.join("doc/manual/rl-next/one.md").exists();
            assert_eq!(prepared, ran.code == Some(0), "{}", ran.stderr);
        },
        &|_, _| {},
    );
    assert!(refused > 1, "{refused}");
}

#[test]
fn a_commit_while_tag_runs() {
    let tree = Repo::patch_release();
    tree.xtask(&["release", "prepare"]).ok();
    let base = tree.git(&["rev-parse", "HEAD"]);
    let refused = before_every_call(
        &|| (tree.copy(), args(&["release", "tag"])),
        &|_| COMMIT.to_owned(),
        &|repo, ran| {
            assert!(has(repo, "main", "theirs"));
            if ran.code == Some(1) {
                assert_eq!(repo.git(&["tag"]), "", "{}", ran.stderr);
                return;
            }
            let theirs = repo.git(&["rev-list", "main", "--grep=^theirs$"]);
            let released = repo.git(&["rev-parse", "2.93.1^{commit}^"]);
            assert!(released == base || released == theirs, "it was made of {released}");
            assert_eq!(repo.git(&["diff", "--name-only", &released, "2.93.1"]), "version.json");
            assert_eq!(repo.git(&["rev-parse", "HEAD"]), repo.git(&["rev-parse", "2.93.1^{commit}"]));
            repo.git(&["merge-base", "--is-ancestor", "2.93.1", "main"]);
        },
        &|_, _| {},
    );
    assert!(refused > 1, "{refused}");
}

#[test]
fn a_commit_while_finish_runs() {
    let tree = new_major("main");
    let refused = before_every_call(
        &|| (tree.copy(), args(&["release", "finish", "--yes"])),
        &|_| COMMIT.to_owned(),
        &|repo, ran| {
            assert!(has(repo, "main", "theirs"));
            if ran.code == Some(0) {
                assert!(has(repo, "main", "version: 2.94.0 -> 2.95.0-dev"));
                assert_eq!(repo.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
                assert_eq!(repo.git(&["rev-parse", "release-2.94^2"]), repo.git(&["rev-parse", "2.94.0^{commit}"]));
            }
        },
        &|_, _| {},
    );
    assert!(refused > 1, "{refused}");
}

#[test]
fn a_switch_while_prepare_runs_is_said() {
    let tree = Repo::patch_release();
    let refused = before_every_call(
        &|| (tree.copy(), args(&["release", "prepare"])),
        &|_| "git switch --quiet --create other".to_owned(),
        &|repo, ran| {
            let is_prepared = |branch| has(repo, branch, "release: release notes for 2.93.1");
            if ran.code == Some(1) {
                let on_other = ran.stderr.contains("are on what is checked out now");
                assert_eq!((is_prepared("main"), is_prepared("other")), (false, on_other), "{}", ran.stderr);
            }
        },
        &|_, _| {},
    );
    assert!(refused > 0, "{refused}");
}

/// A tree to finish, the remote that has its release, and the command that pushes there.
fn pushing(tree: &Repo) -> (Repo, Utf8PathBuf, Vec<String>) {
    let repo = tree.copy();
    let (bare, config) = remote(&repo, "plain");
    repo.git(&["push", "--quiet", bare.as_str(), "main:refs/heads/main"]);
    let words = args(&["release", "finish", "--env", "local", "--push", "--yes", "--config", &config]);
    (repo, bare, words)
}

#[test]
fn a_push_of_another_while_finish_pushes() {
    let tree = new_major("main");
    let bare = |repo: &Repo| repo.beside("remote.git");
    let refused = before_every_call(
        &|| {
            let (repo, _, words) = pushing(&tree);
            (repo, words)
        },
        &|repo| {
            let git = format!("git --git-dir={} -c user.name=They -c user.email=they@example.org", bare(repo));
            format!("{git} update-ref refs/heads/main $({git} commit-tree -p main -m theirs main^{{tree}})")
        },
        &|repo, ran| {
            let there = repo.git(&["--git-dir", bare(repo).as_str(), "log", "--format=%s", "main"]);
            assert!(there.lines().any(|line| line == "theirs"), "{there}");
            assert_eq!(
                there.lines().any(|line| line == "version: 2.94.0 -> 2.95.0-dev"),
                ran.code == Some(0),
                "{}",
                ran.stderr
            );
        },
        &|repo, said| {
            let again = || {
                repo.xtask(&["release", "finish", "--env", "local", "--config", repo.beside("releng.toml").as_str()])
            };
            let said = if said.contains("git rebase") { said.to_owned() } else { again().fails(1) };
            assert!(said.contains("git rebase"), "{said}");
            repo.git(&["switch", "--quiet", "main"]);
            repo.git(&["fetch", "--quiet", bare(repo).as_str(), "main"]);
            repo.git(&["rebase", "--quiet", "FETCH_HEAD"]);
        },
    );
    assert!(refused > 1, "{refused}");
}
