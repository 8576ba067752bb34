//! `release rehearse`: the clones in which it works, and errors for the others before it does anything.

use std::fs;

use camino::Utf8Path;

use crate::repo::{Ran, Repo, make_executable};

fn clone(repo: &Repo, options: &[&str]) -> Repo {
    let scratch = tempfile::tempdir().expect("a directory");
    let root = Utf8Path::from_path(scratch.path()).expect("UTF-8").join("tree");
    repo.git(&[&["clone", "--quiet"], options, &[&format!("file://{}", repo.root), root.as_str()]].concat());
    let clone = Repo::at(scratch, root);
    if !options.contains(&"--bare") {
        clone.git(&["switch", "--quiet", "-c", "releng/2.93.1"]);
    }
    clone
}

/// The number of HEAD's objects that are missing here, and whether the history is cut off.
fn missing(repo: &Repo) -> (usize, bool) {
    let listed = repo.git(&["rev-list", "--objects", "--missing=print", "HEAD"]);
    (
        listed.lines().filter(|line| line.starts_with('?')).count(),
        repo.git(&["rev-parse", "--is-shallow-repository"]) == "true",
    )
}

fn scratch_clone(repo: &Repo) -> Repo {
    Repo::at(tempfile::tempdir().expect("a directory"), repo.root.join("release/rehearsal/tree"))
}

/// Rehearses a release without jobs, which fails once it is tagged.
fn rehearsed(repo: &Repo) -> String {
    let said = repo.xtask(&["release", "rehearse"]).fails(1);
    assert!(said.contains("`release build"), "{said}");
    said
}

#[test]
fn what_a_clone_lacks_is_fetched_for_the_scratch_clone() {
    let repo = Repo::patch_release();
    for text in ["history that some clones do not have\n", "the readme\n"] {
        repo.write("doc/README.md", text);
        repo.commit_all("more");
    }
    repo.git(&["tag", "--annotate", "--message=x", "2.93.0", "HEAD^"]);
    repo.git(&["config", "uploadpack.allowFilter", "true"]);
    let reftable = ["--filter=tree:0"].into_iter().chain(xtask_test_support::reftable());
    let lacking = [
        vec!["--filter=blob:none"],
        reftable.collect(),
        vec!["--depth=1"],
        vec!["--depth=1", "--filter=blob:none", "--origin=upstream.example"],
    ];
    for options in &lacking {
        let clone = clone(&repo, options);
        clone.git(&["config", "user.name", "Release Manager"]);
        clone.git(&["config", "user.email", "manager@example.org"]);
        clone.write("doc/OTHER.md", "what only this clone has\n");
        clone.commit_all("mine");
        let before = missing(&clone);
        assert_ne!(before, (0, false), "{options:?}");
        let said = rehearsed(&clone);
        let named = options.iter().find_map(|option| option.strip_prefix("--origin="));
        let remote = named.unwrap_or("origin");
        assert!(said.contains(&format!("fetching the rest from `{remote}`")), "{said}");
        let scratch = scratch_clone(&clone);
        assert_eq!(missing(&scratch), (0, false), "{options:?}");
        assert!(scratch.git(&["rev-list", "HEAD"]).contains(&clone.git(&["rev-parse", "HEAD"])));
        assert_eq!(scratch.git(&["tag"]), "2.93.0\n2.93.1");
        assert_eq!(scratch.git(&["remote", "get-url", "origin"]), clone.root);
        assert_eq!(missing(&clone), before, "nothing changes in the clone itself");
        assert_eq!(clone.git(&["for-each-ref", "refs/releng"]), "");
    }
}

#[test]
fn what_cannot_be_fetched_is_said_before_anything_is_done() {
    let repo = Repo::patch_release();
    repo.write("README.md", "more\n");
    repo.commit_all("more");
    let upstream = clone(&repo, &["--bare"]);
    let clone = clone(&upstream, &["--depth=1"]);
    fs::rename(&upstream.root, upstream.beside("elsewhere")).expect("renamed");
    let said = clone.xtask(&["release", "rehearse"]).fails(1);
    assert!(
        said.contains("this clone is shallow (`git fetch --unshallow`), and the rest cannot be fetched from `origin`"),
        "{said}"
    );
    assert!(!said.contains("cargo xtask release prepare"), "{said}");
    assert!(!clone.root.join("release/rehearsal").exists());
    clone.git(&["remote", "remove", "origin"]);
    let said = clone.xtask(&["release", "rehearse"]).fails(1);
    assert!(said.contains("and has no remote to fetch the rest from"), "{said}");
}

#[test]
fn a_work_tree_of_a_bare_repository_and_borrowed_objects_do() {
    let repo = Repo::patch_release();
    for borrows in [false, true] {
        let bare = clone(&repo, if borrows { &["--bare", "--shared"] } else { &["--bare"] });
        let linked = Repo::at(tempfile::tempdir().expect("a directory"), bare.beside("linked"));
        bare.git(&["worktree", "add", "--quiet", linked.root.as_str(), "main"]);
        rehearsed(&linked);
        assert_eq!(missing(&scratch_clone(&linked)), (0, false));
    }
}

#[test]
fn the_scratch_clone_is_a_plain_one_whatever_is_configured() {
    let reftable = xtask_test_support::reftable();
    let repo = clone(&Repo::patch_release(), reftable.as_slice());
    let hook = repo.beside("hooks/post-checkout");
    fs::create_dir(repo.beside("hooks")).expect("a directory");
    fs::write(&hook, "#!/bin/sh\necho hooked > \"$(git rev-parse --show-toplevel)\"/version.json\nexit 1\n")
        .expect("written");
    make_executable(&hook);
    let global = repo.beside("global.conf");
    let settings = format!(
        "[user]\n\tname = Release Manager\n\temail = manager@example.org\n[core]\n\thooksPath = {}\n\
         [clone]\n\trejectShallow = true\n\tdefaultRemoteName = elsewhere\n[init]\n\tdefaultRefFormat = reftable\n",
        repo.beside("hooks")
    );
    fs::write(&global, settings).expect("written");
    let mut command = repo.command(&["release", "rehearse"]);
    let ran = Ran::from(command.env("GIT_CONFIG_GLOBAL", &global).output().expect("the tool runs"));
    // It has no jobs.
    let said = ran.fails(1);
    assert!(said.contains("`release build"), "{said}");
    let scratch = scratch_clone(&repo);
    if reftable.is_some() {
        assert_eq!(scratch.git(&["rev-parse", "--show-ref-format"]), "files");
    }
    assert_eq!(scratch.git(&["remote"]), "origin");
    assert_eq!(scratch.git(&["log", "-1", "--format=%cn", "2.93.1"]), "Release Manager");
}
