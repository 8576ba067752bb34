//! `release rehearse`: in which clones it works, and that it says so before it does anything.

use std::fs;

use camino::Utf8Path;

use crate::repo::{Ran, Repo, make_executable};

fn clone(repo: &Repo, options: &[&str]) -> Repo {
    let scratch = tempfile::tempdir().expect("a directory");
    let root = Utf8Path::from_path(scratch.path()).expect("UTF-8").join("tree");
    repo.git(&[&["clone", "--quiet"], options, &[&format!("file://{}", repo.root), root.as_str()]].concat());
    let clone = Repo { scratch, root };
    clone.git(&["switch", "--quiet", "-c", "releng/2.93.1"]);
    clone
}

#[test]
fn a_partial_clone_is_refused_before_anything_is_done() {
    let repo = Repo::patch_release();
    repo.write("README.md", "history that a partial clone does not have\n");
    repo.commit_all("more");
    repo.write("README.md", "the readme\n");
    repo.commit_all("and more");
    repo.git(&["config", "uploadpack.allowFilter", "true"]);
    let partial = clone(&repo, &["--filter=blob:none"]);
    let said = partial.xtask(&["release", "rehearse"]).fails(1);
    assert!(said.contains("this is a partial clone: the history of commit"), "{said}");
    assert!(said.contains("`git fetch --refetch --no-filter origin`"), "{said}");
    assert!(!partial.root.join("release").exists());

    // What it says to do is enough.
    partial.git(&["fetch", "--quiet", "--refetch", "--no-filter", "origin"]);
    let said = partial.xtask(&["release", "rehearse"]).fails(1);
    assert!(said.contains("`release build"), "{said}");
}

#[test]
fn the_scratch_clone_is_a_plain_one_whatever_is_configured() {
    let repo = clone(&Repo::patch_release(), &["--ref-format=reftable"]);
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
    // There is nothing to build in it.
    let said = ran.fails(1);
    assert!(said.contains("`release build"), "{said}");
    let scratch =
        Repo { root: repo.root.join("release/rehearsal/tree"), scratch: tempfile::tempdir().expect("a directory") };
    assert_eq!(scratch.git(&["rev-parse", "--show-ref-format"]), "files");
    assert_eq!(scratch.git(&["remote"]), "origin");
    assert_eq!(scratch.git(&["log", "-1", "--format=%cn", "2.93.1"]), "Release Manager");
}
