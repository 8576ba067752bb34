//! Lix's real fragments and releases, byte for byte. They are not part of this project: where they are not at hand, the
//! tests say so, and the formats rest on the snapshots in `domain/notes.rs`.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};

use crate::repo::{Repo, xtask};
use crate::tag::assert_tagged;

/// The corpus, if it lies beside the workspace. It is data from outside of this project, so that a checkout without it
/// passes even where no program may be missing.
fn corpus() -> Option<Utf8PathBuf> {
    let dir = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    if !dir.is_dir() {
        eprintln!("skipped: no corpus of real releases at {dir}");
        return None;
    }
    Some(dir)
}

fn entries(dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = dir.read_dir_utf8().expect("a directory");
    entries.map(|entry| entry.expect("an entry").into_path()).collect()
}

#[test]
fn every_real_fragment_renders_as_it_did() {
    let Some(corpus) = corpus() else { return };
    for input in entries(&corpus.join("fragments/in")) {
        let name = input.file_name().expect("a name");
        let alone = tempfile::tempdir().expect("a directory");
        fs::copy(&input, alone.path().join(name)).expect("copied");
        let rendered = xtask(&["release", "notes", "--no-authors", alone.path().to_str().expect("UTF-8")]).ok();
        let expected = fs::read_to_string(corpus.join("fragments/expected").join(name)).expect("an expected output");
        assert_eq!(rendered, expected, "{name}");
    }
}

#[test]
fn every_real_release_is_prepared_as_it_was_and_tagged() {
    let Some(corpus) = corpus() else { return };
    for release in entries(&corpus.join("releases")) {
        let meta: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(release.join("meta.json")).expect("meta.json")).expect("JSON");
        let repo = Repo::empty();
        copy(&release.join("before"), &repo.root);
        repo.commit_all("before");
        repo.xtask(&["release", "prepare", "--date", meta["date"].as_str().expect("a date")]).ok();
        assert_eq!(repo.git(&["status", "--porcelain"]), "");
        let subject = format!("release: release notes for {}", meta["version"].as_str().expect("a version"));
        assert_eq!(repo.git(&["log", "-1", "--format=%s"]), subject);
        assert_same(&repo.root, &release.join("after"));
        assert_same(&release.join("after"), &repo.root);

        let base = repo.git(&["rev-parse", "HEAD"]);
        repo.xtask(&["release", "tag"]).ok();
        let text = |key: &str| meta[key].as_str().expect("text");
        assert_tagged(&repo, text("version"), text("release_name"), "main", &base);
    }
}

fn copy(from: &Utf8Path, to: &Utf8Path) {
    for entry in entries(from) {
        let target = to.join(entry.file_name().expect("a name"));
        if entry.is_dir() {
            fs::create_dir_all(&target).expect("a directory");
            copy(&entry, &target);
        } else {
            fs::copy(&entry, &target).expect("copied");
        }
    }
}

/// Asserts that `b` has everything in `a`, with the same content.
fn assert_same(a: &Utf8Path, b: &Utf8Path) {
    for entry in entries(a).iter().filter(|entry| entry.file_name() != Some(".git")) {
        let other = b.join(entry.file_name().expect("a name"));
        if entry.is_dir() {
            assert_same(entry, &other);
        } else {
            let read = |path| fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(read(entry) == read(&other), "{entry} and {other} differ");
        }
    }
}
