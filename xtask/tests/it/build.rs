//! `release build` of the stand-in, with real Nix and skopeo; judged by other programs.

mod judge;
mod old_release;
mod provenance;
mod sbom;
mod tree;

use expect_test::expect;
use judge::{judge, listing, without_hashes};
use tree::{Tree, VERSION, programs};
use xshell::cmd;

#[test]
fn both_profiles_hold_what_they_should() {
    if !programs() {
        return;
    }
    let tree = Tree::named("tree");
    tree.write("release/receipt-local.json", "another phase's");
    tree.built(&[]);
    expect![[r#"
        release
        release/artifacts
        release/artifacts/lix
        release/artifacts/lix/lix-0.1.0
        release/artifacts/lix/lix-0.1.0/SHA256SUMS
        release/artifacts/lix/lix-0.1.0/lix-0.1.0-aarch64-darwin.cdx.json
        release/artifacts/lix/lix-0.1.0/lix-0.1.0-aarch64-darwin.tar.xz
        release/artifacts/lix/lix-0.1.0/lix-0.1.0-aarch64-darwin.tar.xz.sha256
        release/artifacts/lix/lix-0.1.0/lix-0.1.0-aarch64-linux.cdx.json
        release/artifacts/lix/lix-0.1.0/lix-0.1.0-aarch64-linux.tar.xz
        release/artifacts/lix/lix-0.1.0/lix-0.1.0-aarch64-linux.tar.xz.sha256
        release/artifacts/lix/lix-0.1.0/lix-0.1.0-docker-image-aarch64-linux.tar.gz
        release/artifacts/lix/lix-0.1.0/lix-0.1.0-docker-image-aarch64-linux.tar.gz.sha256
        release/artifacts/lix/lix-0.1.0/lix-0.1.0-docker-image-x86_64-linux.tar.gz
        release/artifacts/lix/lix-0.1.0/lix-0.1.0-docker-image-x86_64-linux.tar.gz.sha256
        release/artifacts/lix/lix-0.1.0/lix-0.1.0-manual.tar.gz
        release/artifacts/lix/lix-0.1.0/lix-0.1.0-manual.tar.gz.sha256
        release/artifacts/lix/lix-0.1.0/lix-0.1.0-x86_64-linux.cdx.json
        release/artifacts/lix/lix-0.1.0/lix-0.1.0-x86_64-linux.tar.xz
        release/artifacts/lix/lix-0.1.0/lix-0.1.0-x86_64-linux.tar.xz.sha256
        release/artifacts/lix/lix-0.1.0/lix-0.1.0.intoto.json
        release/artifacts/lix/lix-0.1.0/lix-0.1.0.tar.gz
        release/artifacts/lix/lix-0.1.0/lix-0.1.0.tar.gz.sha256
        release/artifacts/lix/lix-0.1.0/manifest.nix
        release/artifacts/lix/lix-0.1.0/manual
        release/artifacts/lix/lix-0.1.0/release.json
        release/artifacts/manifest.nix
        release/drvs.txt
        release/gcroots
        release/gcroots/HASH-lix-0.1.0
        release/gcroots/HASH-lix-0.1.0
        release/gcroots/HASH-lix-0.1.0
        release/gcroots/HASH-lix-0.1.0-doc
        release/gcroots/HASH-lix-0.1.0-doc
        release/gcroots/HASH-lix-0.1.0-doc
        release/gcroots/HASH-lix-release-tarballs-0.1.0
        release/images
        release/images/blobs
        release/images/blobs/sha256
        release/images/index.json
        release/images/oci-layout
        release/manual
        release/receipt-local.json
        release/release.json
    "#]]
    .assert_eq(&listing(&tree));
    assert_eq!(tree.read("release/receipt-local.json"), "another phase's");
    judge(&tree);
    tree.built(&["--profile", "x86_64-linux-only", "--", "--option", "cores", "1"]);
    judge(&tree);
    expect![[r#"
        {
          x86_64-linux = "STORE PATH";
        }
    "#]]
    .assert_eq(&without_hashes(&tree.read("release/artifacts/manifest.nix")));
}

#[test]
fn the_same_tag_gives_the_same_bytes() {
    if !programs() {
        return;
    }
    let trees = [Tree::named("one"), Tree::named("the other, #2 (50%) ō")];
    // A user's configuration must not affect the result.
    trees[1].set_contrary();
    for tree in &trees {
        tree.built(&[]);
    }
    let [one, two] = trees.each_ref().map(|tree| tree.path("release"));
    let sh = &trees[0].sh;
    cmd!(sh, "diff --recursive --no-dereference --exclude gcroots {one} {two}").quiet().run().expect("no difference");

    // Nix builds the tarballs and their inputs again, and compares.
    let script = "tarballs=$(nix-store --query --deriver release/gcroots/*tarballs*); echo $tarballs; \
                  nix-store --query --references $tarballs | grep '[.]drv$'";
    let derivations = cmd!(sh, "sh -euc {script}").quiet().read().expect("Nix knows them");
    let derivations: Vec<&str> = derivations.lines().collect();
    assert!(derivations.len() > 5, "{derivations:?}");
    let again = cmd!(sh, "nix-store --realise --check {derivations...}").quiet().ignore_stdout().ignore_stderr();
    again.run().expect("everything is reproducible");
}

/// Of several that evaluate one commit at the same time, Nix lets one read what another has half written into its cache of
/// evaluations: "attribute … is unexpectedly missing".
#[test]
fn what_nix_caches_of_an_evaluation_is_neither_read_nor_written() {
    if !programs() {
        return;
    }
    let tree = Tree::named("tree");
    let caches = tree.path("../caches");
    tree.sh.set_var("XDG_CACHE_HOME", &caches);
    tree.built(&[]);
    let left = cmd!(tree.sh, "find {caches} -name eval-cache*").quiet().read().expect("Nix has made the directory");
    assert_eq!(left, "");
}

/// The text without what differs between commits.
fn anonymous(text: &str) -> String {
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let hex = |word: &str| word.len() >= 7 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let anonymous = |word: &str| {
        let (bare, end) = match word.chars().last().filter(|c| !c.is_ascii_alphanumeric()) {
            Some(last) => word.split_at(word.len() - last.len_utf8()),
            None => (word, ""),
        };
        if hex(bare) || bare.len() == 32 { format!("HASH{end}") } else { word.to_owned() }
    };
    words.map(anonymous).collect()
}

#[test]
fn everything_in_the_way_is_said_at_once() {
    if !programs() {
        return;
    }
    let tree = Tree::named("tree");
    tree.edit("flake.nix", "release-jobs =", "no-release-jobs =");
    tree.git(&["tag", "--delete", VERSION]);
    expect![[r#"
        error: cannot build the release
          Nix cannot evaluate `release-jobs` of TREE: does Nix support flakes, and does the flake have this output?
          error: flake 'git+file://TREE' does not provide attribute 'packages.x86_64-linux.release-jobs', 'legacyPackages.x86_64-linux.release-jobs' or 'release-jobs'
          there is no annotated tag 0.1.0: make it with `cargo xtask release tag`
          flake.nix has uncommitted changes: commit or stash them
          `--no-check-git` builds the tree as it is, but not as an official release
    "#]]
    .assert_eq(&anonymous(&tree.refused(&[])));
    tree.git(&["checkout", "--quiet", "flake.nix"]);
    tree.git(&["tag", "--annotate", "--message", "release", VERSION, "HEAD"]);
    tree.git(&["commit", "--quiet", "--allow-empty", "--message", "later"]);
    expect![[r#"
        error: cannot build the release
          HEAD is at HASH, but the tag 0.1.0 is at HASH: `git switch --detach 0.1.0`
          `--no-check-git` builds the tree as it is, but not as an official release
    "#]]
    .assert_eq(&anonymous(&tree.refused(&[])));
    assert!(!tree.path("release").exists());

    tree.edit("flake.nix", "officialRelease = true", "officialRelease = false");
    let said = tree.built(&["--no-check-git", "--profile", "x86_64-linux-only"]);
    assert!(said.contains("not an official release"), "{said}");
    assert!(said.contains("0.1.0-pre") && said.contains("-dirty"), "{said}");
}

#[test]
fn the_manual_alone() {
    if !programs() {
        return;
    }
    let tree = Tree::named("tree");
    tree.built(&["--target", "manual"]);
    assert!(!tree.path("release/artifacts").exists());
    let (fresh, record) = (tree.digest("release/manual"), tree.read("release/manual.json"));

    tree.built(&[]);
    assert!(!tree.path("release/manual.json").exists(), "the whole record says it all");
    let artifacts = tree.digest("release/artifacts");
    tree.write("release/manual/left-over.html", "old");
    tree.built(&["--target", "manual"]);
    assert_eq!(tree.digest("release/manual"), fresh);
    assert_eq!(tree.digest("release/artifacts"), artifacts);
    // The profile's other jobs are not even evaluated.
    assert_eq!(tree.read("release/manual.json"), record);
    assert!(record.contains("\"manual/index.html\"") && !record.contains(".tar."));
}

#[test]
fn jobs_that_stream_are_built_while_others_evaluate() {
    if !programs() {
        return;
    }
    let tree = Tree::named("tree");
    let rows = include_str!("../../src/tools/eval-rows.nix");
    let flake = format!("git+file://{}#release-jobs.x86_64-linux-only", tree.root);
    let flags = ["--extra-experimental-features", "nix-command flakes"];
    let rows = cmd!(tree.sh, "nix eval --json {flake} --apply {rows} {flags...}").quiet().read().expect("rows");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&rows).expect("JSON");
    // The tarballs are built after the build, which must have a root by then.
    let script = format!(
        "echo '{}'\nfor i in $(seq 100); do\n  test -e release/gcroots/*-lix-0.1.0 && exec echo '{}'\n  sleep 0.1\ndone\nexit 1",
        rows[0], rows[1]
    );
    tree.program("nix-eval-jobs", &script);
    let said = tree.built(&["--profile", "x86_64-linux-only"]);
    assert!(said.contains("with nix-eval-jobs"), "{said}");
    judge(&tree);
}

#[test]
fn recorded_rows_go_through_the_same_code() {
    if !programs() {
        return;
    }
    let tree = Tree::named("tree");
    let row = |attr: &str, name: &str| {
        let path: Vec<&str> = attr.split('.').collect();
        let store = |name: String| format!("/nix/store/{}-{name}", "a".repeat(32));
        let outputs = serde_json::json!({"out": store(name.to_owned()), "doc": store(format!("{name}-doc"))});
        let drv = store(format!("{name}.drv"));
        serde_json::json!({
            "attr": attr, "attrPath": path, "drvPath": drv, "isCached": false, "name": name, "outputs": outputs,
            "system": "x86_64-linux",
        })
        .to_string()
    };
    let error = |attr: &str, error: &str| {
        let path: Vec<&str> = attr.split('.').collect();
        serde_json::json!({"attr": attr, "attrPath": path, "error": error}).to_string()
    };
    let cases = [
        (
            vec![
                error(
                    "build.aarch64-linux",
                    "error: undefined variable 'x'\n\n       at /nix/store/a/flake.nix:3:4:\n",
                ),
                error("tarballs", "error: assertion '(version != \"\")' failed"),
            ],
            expect![[r#"
                error: cannot build the release
                  build.aarch64-linux does not evaluate:
                    error: undefined variable 'x'
  
                           at /nix/store/a/flake.nix:3:4:
                  tarballs does not evaluate:
                    error: assertion '(version != "")' failed
            "#]],
        ),
        (
            vec![
                row("tarballs", "lix-release-tarballs-0.1.0"),
                row("build.x86_64-linux", "lix-release-tarballs-0.1.0"),
                row("build.x86_64-linux", "lix-0.1.0"),
            ],
            expect![[r#"
                error: cannot build the release
                  `build.x86_64-linux` is defined twice, first as /nix/store/HASH-lix-release-tarballs-0.1.0.drv: which one is to be released?
            "#]],
        ),
    ];
    for (rows, message) in cases {
        tree.program("nix-eval-jobs", &format!("cat << 'END'\n{}\nEND", rows.join("\n")));
        message.assert_eq(&tree.refused(&[]).replace(&"a".repeat(32), "HASH"));
    }
    tree.program("nix-eval-jobs", "echo 'error: out of memory' >&2; exit 1");
    assert!(tree.refused(&[]).contains("error: out of memory"));
    tree.program("nix-eval-jobs", "echo oops");
    assert!(tree.refused(&[]).contains("wrote an unexpected line"));
    let both = format!("{}{}", row("tarballs", "lix-release-tarballs-0.1.0"), row("build.x86_64-linux", "lix-0.1.0"));
    tree.program("nix-eval-jobs", &format!("echo '{both}'"));
    let refused = tree.refused(&[]);
    assert!(refused.contains("it holds two rows; `-- --workers 1` may help"), "{refused}");
    assert!(refused.lines().all(|line| line.len() < 300), "{refused}");
    // Only the evaluator knows these options; other programs would reject them.
    let log = tree.root.join("arguments");
    tree.program("nix-eval-jobs", &format!("echo \"$*\" > {log}; echo 'error: enough' >&2; exit 1"));
    let refused = tree.refused(&["--", "--max-memory-size", "8192", "--workers", "1", "-L", "--impure"]);
    assert!(refused.contains("error: enough"), "{refused}");
    let given = std::fs::read_to_string(&log).expect("it was asked");
    assert!(given.contains("--max-memory-size 8192 --workers 1 --impure") && !given.contains("-L"), "{given}");
}

#[test]
fn a_record_of_another_tag_is_refused() {
    if !programs() {
        return;
    }
    let tree = Tree::named("tree");
    tree.write("release/tag.json", "{}");
    let error = tree.refused(&[]);
    assert!(error.contains("TREE/release/tag.json is not a tag record") || error.contains("merged back"), "{error}");
}

#[test]
fn words_for_one_program_do_not_stop_another() {
    if !programs() {
        return;
    }
    let tree = Tree::named("tree");
    let words = ["--profile", "x86_64-linux-only", "--", "-L", "--impure", "--workers", "1"];
    let said = tree.built(&words);
    assert!(said.contains("`--workers` is only for nix-eval-jobs, which is not installed: left out"), "{said}");
    assert!(said.contains("done in ") && said.contains(": look "), "{said}");
}

/// `bootstrap`, with a Nix that has no configuration.
#[test]
fn only_the_stand_in_is_built_without_the_sandbox() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = camino::Utf8Path::from_path(dir.path()).expect("UTF-8");
    if camino::Utf8Path::new("/etc/nix/nix.conf").exists()
        || camino::Utf8Path::new("/nix/var/nix/daemon-socket/socket").exists()
    {
        crate::repo::skip("Nix is set up here");
        return;
    }
    let sh = xshell::Shell::new().expect("a shell");
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/bootstrap");
    std::fs::create_dir_all(dir.join("lix/xtask")).expect("a directory");
    let theirs = dir.join("lix/xtask/bootstrap");
    std::fs::copy(ours, &theirs).expect("copied");
    let config = |script: &str, args: &[&str]| {
        let words = ["-c", "echo \"$NIX_CONFIG\"", "x"];
        xshell::cmd!(sh, "{script} sh {words...} {args...}")
            .env_remove("NIX_CONFIG")
            .quiet()
            .ignore_stderr()
            .read()
            .expect("it runs")
    };
    assert_eq!(config(ours, &[]), "build-users-group =\nsandbox = false");
    for (script, args) in [(theirs.as_str(), &[][..]), (ours, &["--repo", "../lix"]), (ours, &["--repo=../lix"])] {
        assert_eq!(config(script, args), "build-users-group =", "{script} {args:?}");
    }
}
