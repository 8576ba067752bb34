//! What other programs say about a release: Nix, coreutils, tar, git, skopeo.

use std::collections::BTreeMap;

use camino::Utf8Path;
use xshell::cmd;

use super::tree::{Tree, VERSION};

const VERSION_DIR: &str = "release/artifacts/lix/lix-0.1.0";

/// Every file except the manual's pages and the blobs of images.
pub fn listing(tree: &Tree) -> String {
    let sh = &tree.sh;
    let list = cmd!(sh, "find release -not -path */manual/* -not -path */sha256/*").quiet().read().expect("find");
    let mut lines: Vec<String> = list.lines().map(without_hashes).collect();
    lines.sort();
    lines.join("\n") + "\n"
}

pub fn without_hashes(text: &str) -> String {
    let hash = |word: &str| word.len() == 32 && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let parts: Vec<&str> = text.split(['-', '/']).collect();
    match parts.iter().find(|part| hash(part)) {
        Some(found) if text.contains("/nix/store/") => {
            let path = format!("/nix/store/{found}-lix-{VERSION}");
            without_hashes(&text.replace(&path, "STORE PATH"))
        }
        Some(found) => text.replace(found, "HASH"),
        None => text.to_owned(),
    }
}

/// What other programs say about the release.
pub fn judge(tree: &Tree) {
    let sh = &tree.sh;
    let version_dir = tree.path(VERSION_DIR);

    let manifest = tree.read("release/artifacts/manifest.nix");
    assert_eq!(manifest, tree.read(&format!("{VERSION_DIR}/manifest.nix")));
    let json = cmd!(sh, "nix-instantiate --eval --strict --json release/artifacts/manifest.nix").quiet().read();
    let systems: BTreeMap<String, String> = serde_json::from_str(&json.expect("Nix reads it")).expect("strings");
    for (system, path) in &systems {
        let says = std::fs::read_to_string(Utf8Path::new(path).join("bin/nix")).expect("a program");
        assert!(says.contains(VERSION), "{system}: {says}");
    }
    assert_eq!(tree.read("release/drvs.txt").lines().count(), systems.len());
    for derivation in tree.read("release/drvs.txt").lines() {
        let outputs = cmd!(sh, "nix-store --query --outputs {derivation}").quiet().read().expect("Nix knows it");
        assert!(systems.values().any(|path| outputs.contains(path.as_str())), "{derivation}");
    }

    let inside = sh.push_dir(&version_dir);
    cmd!(sh, "sha256sum --check --quiet --strict SHA256SUMS").quiet().run().expect("the digests are right");
    for file in version_dir.read_dir_utf8().expect("readable").map(|entry| entry.expect("readable")) {
        let name = file.file_name();
        if name.ends_with(".gz") || name.ends_with(".xz") {
            assert!(!cmd!(sh, "tar tf {name}").quiet().read().expect(name).is_empty());
            let side = cmd!(sh, "sha256sum {name}").quiet().read().expect("coreutils");
            assert_eq!(tree.read(&format!("{VERSION_DIR}/{name}.sha256")), format!("{}\n", &side[..64]));
        }
    }
    let manual = cmd!(sh, "tar tf lix-0.1.0-manual.tar.gz").quiet().read().expect("tar");
    assert!(manual.lines().any(|line| line == "lix-0.1.0-manual/index.html"), "{manual}");
    drop(inside);
    cmd!(sh, "diff -r {version_dir}/manual release/manual").quiet().run().expect("the same manual");

    let source = "git archive --prefix=lix-0.1.0/ 0.1.0 | sha256sum";
    let ours = format!("gunzip < {VERSION_DIR}/lix-0.1.0.tar.gz | sha256sum");
    let [theirs, ours] = [source, &ours].map(|script| cmd!(sh, "sh -c {script}").quiet().read().expect(script));
    assert_eq!(theirs, ours);
    assert!(cmd!(sh, "cmp {version_dir}/release.json release/release.json").quiet().run().is_ok());
    let images = systems.keys().filter(|system| system.ends_with("-linux")).count();
    judge_images(tree, images);
}

fn judge_images(tree: &Tree, images: usize) {
    let sh = &tree.sh;
    let skopeo = |args: &[&str]| cmd!(sh, "skopeo --insecure-policy {args...}").quiet().read().expect("skopeo");
    let [away, back] = ["away", "back"].map(|name| format!("oci:{}:{VERSION}", tree.path(&format!("../{name}"))));
    let here = format!("oci:release/images:{VERSION}");
    for (from, to) in [(&here, &away), (&away, &back)] {
        skopeo(&["copy", "--quiet", "--all", "--preserve-digests", from, to]);
    }
    let raw = skopeo(&["inspect", "--raw", &here]);
    assert_eq!(raw, skopeo(&["inspect", "--raw", &back]));
    let index: serde_json::Value = serde_json::from_str(&raw).expect("JSON");
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(images));
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(index["annotations"]["org.opencontainers.image.version"], VERSION);
    let record: serde_json::Value = serde_json::from_str(&tree.read("release/release.json")).expect("JSON");
    assert_eq!(index["annotations"]["org.opencontainers.image.revision"], record["commit"]);
    let digest = record["image"]["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
    assert!(tree.path(&format!("../back/blobs/sha256/{}", digest.expect("a digest"))).exists());
    for dir in ["away", "back"] {
        sh.remove_path(tree.path(&format!("../{dir}"))).expect("removable");
    }
}
