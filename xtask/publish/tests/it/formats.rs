//! Flakes and repositories that this version of Nix, or every version, cannot read: what `doctor`, `build` and
//! `rehearse` say.

use expect_test::expect;

use crate::doctor::{about, doctor, flat};
use crate::release::{Release, nix};

/// Jobs that do not use the flake's only input.
const FLAKE: &str = r#"{
  inputs.x = { url = "https://example.org/x.tar.gz"; flake = false; };
  outputs = { self, x }: { release-jobs.all.build = WHAT; };
}
"#;

/// A lock file of this version for FLAKE's input, with another attribute.
fn lock(version: u32, more: &str) -> String {
    let url = r#""type": "tarball", "url": "https://example.org/x.tar.gz""#;
    let hash = r#""narHash": "sha256-K8pGvFito5dp9T0+clr60q+bJPGEskK75aAJ39w7HBM=""#;
    format!(
        r#"{{"nodes": {{"x": {{"flake": false, "locked": {{{url}, {hash}{more}}}, "original": {{{url}}}}},
            "root": {{"inputs": {{"x": "x"}}}}}}, "root": "root", "version": {version}}}"#
    )
}

/// A release whose flake has these jobs and this lock file.
fn release(jobs: &str, lock: &str) -> Release {
    let release = Release::tagged("2.93.1");
    release.repo.write("flake.nix", &FLAKE.replace("WHAT", jobs));
    release.repo.write("flake.lock", lock);
    release.repo.commit_all("a flake");
    release
}

/// The messages of `doctor` and `build`, without Nix's version and the tree's path.
fn said(release: &Release) -> [String; 2] {
    let neutral = |text: &str| {
        let text =
            text.replace(nix("nix", &["--version"]).trim(), "THIS NIX").replace(release.repo.root.as_str(), "TREE");
        let words = text.split(' ').map(|word| if word.contains("-source/") { "'FILE'" } else { word });
        flat(&words.collect::<Vec<_>>().join(" "))
    };
    let doctor = neutral(&about(&doctor(release, &[]).stdout, "nix with flakes"));
    let built = release.repo.xtask(&["release", "build", "--no-check-git"]).fails(1);
    let error = built.find("error: cannot build").map_or(built.as_str(), |start| &built[start..]);
    [doctor, neutral(error)]
}

#[test]
fn a_flake_of_a_newer_nix_is_called_that() {
    let [doctor, build] = said(&release("{ }", &lock(8, "")));
    let old = " (Lix since 2.95 needs 2.26 or newer)";
    expect!["✗ nix with flakes `THIS NIX` is too old for this flake: put a newer Nix first on PATH"]
        .assert_eq(doctor.split(" error: ").next().expect("a line").trim_end_matches(old));
    assert!(doctor.contains("has unsupported version 8"), "{doctor}");
    let start = "error: cannot build the release Nix cannot evaluate `release-jobs` of TREE: `THIS NIX` is too old for \
                 this flake: put a newer Nix first on PATH";
    assert!(build.starts_with(start) && build.contains("has unsupported version 8"), "{build}");
}

#[test]
fn what_lix_locks_since_2_95_is_too_new_for_nix_2_8_alone() {
    let release = release("{ }", &lock(7, r#", "lastModified": 1700000000"#));
    let shown = about(&doctor(&release, &[]).stdout, "nix with flakes");
    if nix("nix", &["--version"]).contains(" 2.8.") {
        expect![[r#"
            ✗ nix with flakes      `nix (Nix) 2.8.0` is too old for this flake: put a newer Nix first on PATH
                                   (Lix since 2.95 needs 2.26 or newer)
                                   error: unsupported tarball input attribute 'lastModified'
                                   (use '--show-trace' to show detailed location information)"#]]
        .assert_eq(&shown)
    } else {
        assert_eq!(shown, "✓ nix with flakes      evaluates release-jobs, for all")
    }
}

#[test]
fn a_job_that_asks_for_a_newer_nix_is_called_that() {
    let release = release("builtins.ofTheNextNix { }", &lock(7, ""));
    let [doctor, build] = said(&release);
    assert!(doctor.contains("evaluates release-jobs, for all"), "the jobs themselves are not looked at: {doctor}");
    let start = "error: cannot build the release build does not evaluate: `THIS NIX` is too old for this flake";
    assert!(build.contains(start) && build.contains("attribute 'ofTheNextNix' missing"), "{build}");
}

/// A repository of this format with a flake in it.
fn tree(release: &Release, format: &str) -> String {
    let tree = release.repo.beside(format);
    release.repo.git(&["init", "--quiet", "--initial-branch=main", format, tree.as_str()]);
    for file in ["flake.nix", "flake.lock", "version.json", "doc"] {
        let from = release.repo.root.join(file);
        let copied = std::process::Command::new("cp").args(["-r", from.as_str(), tree.as_str()]).status();
        assert!(copied.is_ok_and(|status| status.success()));
    }
    let git = |args: &[&str]| release.repo.git(&[&["-C", tree.as_str()], args].concat());
    git(&["add", "--all"]);
    git(&["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "--message=x"]);
    tree.into_string()
}

#[test]
fn formats_of_git_that_nix_does_not_read_are_named() {
    // A machine whose git makes no reftable cannot read one either.
    let Some(reftable) = xtask_test_support::reftable() else { return };
    let release = release("{ }", &lock(7, ""));
    let (reftable, sha256) = (tree(&release, reftable), tree(&release, "--object-format=sha256"));
    let mut shown = Vec::new();
    for tree in [&reftable, &sha256] {
        let stdout = crate::repo::xtask(&["release", "doctor", "--repo", tree]).stdout;
        shown.extend(["clone", "refs", "nix with flakes"].map(|what| flat(&about(&stdout, what))));
    }
    shown.push(crate::repo::xtask(&["release", "rehearse", "--repo", &sha256]).fails(1));
    assert!(!camino::Utf8Path::new(&sha256).join("release").exists());
    let hash = shown.iter().find_map(|line| line.split_once(" error: ")).expect("Nix's message").1.to_owned();
    assert!(hash.contains("has wrong length for hash"), "{hash}");
    expect![[r#"
        ✓ clone complete
        · refs a reftable, which newer versions of Nix cannot read: `build` and `rehearse` make a copy for it; uncommitted changes cannot be built before `git refs migrate --ref-format=files`
        ✓ nix with flakes evaluates release-jobs, for all
        ✗ clone its objects use SHA-256, which Nix cannot read: use a repository with SHA-1

        ✗ nix with flakes Nix cannot read a repository whose objects use SHA-256: use one with SHA-1 error: …
        error: the rehearsal failed
          its objects use SHA-256, which Nix cannot read: use a repository with SHA-1
    "#]].assert_eq(&shown.join("\n").replace(&hash, "…"));
}
