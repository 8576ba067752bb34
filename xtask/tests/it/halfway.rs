//! What a power cut leaves of `prepare`, `tag` and `finish`: every state that git goes through between the start of a
//! movement and its end, with git's lock files in place. Running the same command again completes it.

use std::fs;

use camino::Utf8Path;
use expect_test::expect;
use xtask::domain::oid::Oid;
use xtask::domain::release::intent::{Intent, Place};

use crate::repo::{Repo, make_executable};

/// Stops a command, and the git that it runs, before the `nth` movement, counted from 1.
fn stopped_before(repo: &Repo, nth: usize, args: &[&str]) -> Intent {
    let dir = repo.beside("bin");
    fs::create_dir_all(&dir).expect("a directory");
    let path = std::env::var("PATH").expect("a PATH");
    let intent = repo.root.join(".git/release-intent.json");
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' --ff-only '*|*' update-ref -m '*|*' --detach '*|*' switch '*)\n\
         [ -e {intent} ] && echo >> {dir}/moves && [ \"$(wc -l < {dir}/moves)\" = {nth} ] && kill -KILL $PPID $$;;\nesac\n\
         PATH='{path}' exec git \"$@\"\n"
    );
    fs::write(dir.join("git"), script).expect("written");
    make_executable(&dir.join("git"));
    let ended = repo.command(args).env("PATH", format!("{dir}:{path}")).output().expect("the tool runs");
    assert!(!ended.status.success(), "{args:?} was stopped");
    serde_json::from_str(&fs::read_to_string(&intent).expect("an intent")).expect("JSON")
}

/// One step of git's on the way.
enum Step<'a> {
    Remove(&'a str),
    Begin(&'a str, Vec<u8>),
    Write(&'a str, Vec<u8>),
    Index(&'a Oid),
    Ref(&'a str, &'a Oid),
    Head(&'a Place),
    /// What a power cut may leave of HEAD: this many bytes.
    TornHead(&'a str, usize),
}

impl Step<'_> {
    fn take(&self, repo: &Repo) {
        match self {
            Step::Remove(path) => {
                let _ = fs::remove_file(repo.root.join(path));
            }
            Step::Begin(path, content) | Step::Write(path, content) => {
                fs::create_dir_all(repo.root.join(path).parent().expect("in the tree")).expect("directories");
                fs::write(repo.root.join(path), content).expect("written");
            }
            Step::Index(commit) => drop(repo.git(&["read-tree", commit.as_str()])),
            Step::Ref(name, oid) => drop(repo.git(&["update-ref", name, oid.as_str()])),
            Step::Head(Place::Branch(branch)) => {
                repo.git(&["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]);
            }
            Step::TornHead(branch, length) => {
                let text = format!("ref: refs/heads/{branch}\n");
                fs::write(repo.root.join(".git/HEAD"), &text[..*length]).expect("written");
            }
            Step::Head(Place::Commit(commit)) => drop(repo.git(&["update-ref", "--no-deref", "HEAD", commit.as_str()])),
        }
    }
}

/// Tries every state of a movement: `args` is stopped before it, and run again from there.
fn every_state(tree: &Repo, nth: usize, args: &[&str]) -> usize {
    let stopped = tree.copy();
    let intent = stopped_before(&stopped, nth, args);
    let (from, to) = (intent.files.from.as_str(), intent.files.to.as_str());
    let changed = stopped.git(&["diff-tree", "-r", "--name-only", "--no-renames", from, to]);
    let mut steps = Vec::new();
    for path in changed.lines() {
        steps.push(Step::Remove(path));
        if !stopped.git(&["ls-tree", to, "--", path]).is_empty() {
            let content = format!("{}\n", stopped.git(&["show", &format!("{to}:{path}")])).into_bytes();
            steps.push(Step::Begin(path, content[..content.len() / 2].to_vec()));
            steps.push(Step::Write(path, content));
        }
    }
    if !changed.is_empty() {
        steps.push(Step::Index(&intent.files.to));
    }
    steps.extend(intent.refs.iter().map(|moved| Step::Ref(&moved.name, &moved.to)));
    if intent.head.from != intent.head.to {
        steps.push(Step::Head(&intent.head.to));
    }
    if let (true, Place::Branch(branch)) = (intent.head.from != intent.head.to, &intent.head.to) {
        steps.splice(
            steps.len() - 1..,
            [Step::TornHead(branch, 0), Step::TornHead(branch, 14), Step::Head(&intent.head.to)],
        );
    }
    for taken in 0..=steps.len() {
        let repo = stopped.copy();
        steps[..taken].iter().for_each(|step| step.take(&repo));
        let moved = intent.refs.first().map_or("HEAD", |moved| &moved.name);
        for lock in ["index", "HEAD", "packed-refs", moved] {
            fs::write(repo.root.join(".git").join(format!("{lock}.lock")), "").expect("written");
        }
        let ran = repo.xtask(args);
        assert!(ran.code == Some(0), "{args:?} after {taken} steps: {}", ran.stderr);
        assert_eq!(repo.git(&["status", "--porcelain", "--untracked-files=all"]), "", "{args:?} after {taken} steps");
        assert!(!repo.root.join(".git/release-intent.json").exists());
        let left = repo.git(&["for-each-ref", "--format=%(refname)"]);
        assert!(
            left.lines()
                .chain(["index", "HEAD"])
                .all(|name| { !Utf8Path::new(&format!("{}/.git/{name}.lock", repo.root)).exists() })
        );
        for moved in intent.refs.iter().filter(|_| taken > 0 && args[1] != "finish") {
            assert_eq!(repo.git(&["rev-parse", &moved.name]), moved.to.to_string(), "{args:?} after {taken} steps");
        }
        repo.git(&["fsck", "--strict", "--no-dangling"]);
    }
    steps.len() + 1
}

#[test]
fn whatever_git_was_stopped_at_running_again_completes_it() {
    let tree = Repo::patch_release();
    let mut states = every_state(&tree, 1, &["release", "prepare"]);
    tree.xtask(&["release", "prepare"]).ok();
    states += every_state(&tree, 1, &["release", "tag"]);
    tree.xtask(&["release", "tag"]).ok();
    states += every_state(&tree, 1, &["release", "finish", "--yes"]);
    assert!(states > 20, "{states} states were tried");
}

#[test]
fn where_somebody_has_worked_since_nothing_is_touched() {
    let repo = Repo::patch_release();
    let intent = stopped_before(&repo, 1, &["release", "prepare"]);
    let page = "doc/manual/src/release-notes/rl-2.93.md";
    repo.write(page, "half of");
    fs::remove_file(repo.root.join("doc/manual/rl-next/one.md")).expect("removed");
    let state = repo.state();
    let said = |text: String| {
        let shown = text.replace(repo.root.as_str(), "TREE");
        [&intent.files.from, &intent.files.to]
            .into_iter()
            .zip(["FROM", "TO"])
            .fold(shown, |shown, (oid, name)| shown.replace(oid.short(), name))
    };
    let error = said(repo.xtask(&["release", "prepare"]).fails(1));
    expect![[r#"
        error: cannot prepare the release
          an earlier `prepare` was stopped halfway, and the tree has been changed since: doc/manual/src/release-notes/rl-2.93.md has another content
          to complete it, which discards that change: git -C TREE restore --source=TO --staged --worktree -- doc/manual/rl-next/one.md doc/manual/rl-next/two.md doc/manual/src/release-notes/rl-2.93.md
          to undo it, which also discards that change: git -C TREE restore --source=FROM --staged --worktree -- doc/manual/rl-next/one.md doc/manual/rl-next/two.md doc/manual/src/release-notes/rl-2.93.md
          then run the same command again; or, if the tree is as you want it, remove TREE/.git/release-intent.json
    "#]].assert_eq(&error);
    assert_eq!(repo.state(), state);
    // One of the two commands, and everything goes on.
    let command = error
        .lines()
        .find_map(|line| line.trim().strip_prefix("to undo it, which also discards that change: git -C TREE "));
    let command = command.expect("a command").replace("FROM", intent.files.from.short());
    repo.git(&command.split(' ').collect::<Vec<_>>());
    repo.xtask(&["release", "prepare"]).ok();
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
}

#[test]
fn who_has_tidied_up_with_git_goes_on() {
    let repo = Repo::patch_release();
    stopped_before(&repo, 1, &["release", "prepare"]);
    fs::remove_file(repo.root.join("doc/manual/rl-next/one.md")).expect("removed");
    repo.git(&["reset", "--quiet", "--hard"]);
    repo.write("another", "file");
    repo.commit_all("another file");
    repo.xtask(&["release", "prepare"]).ok();
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    assert_eq!(repo.git(&["show", "HEAD:another"]), "file");
}

#[test]
fn what_only_looks_says_what_was_stopped_and_a_torn_record_is_not_believed() {
    let repo = Repo::patch_release();
    stopped_before(&repo, 1, &["release", "prepare"]);
    let error = repo.xtask(&["release", "prepare", "--dry-run"]).fails(1);
    assert!(error.contains("`prepare` was stopped halfway"), "{error}");
    let intent = repo.root.join(".git/release-intent.json");
    let text = fs::read_to_string(&intent).expect("an intent");
    fs::write(&intent, &text[..text.len() / 2]).expect("written");
    let error = repo.xtask(&["release", "prepare"]).fails(1);
    assert!(error.contains("is not the record of a movement") && error.contains("remove the file"), "{error}");
}
