//! `adopt` with a small tool in small trees: what it writes, leaves to people, and refuses.

mod script;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

use expect_test::expect;

use crate::repo::{Ran, Repo, make_executable};

const FLAKE: &str = "{\n  outputs = _: {\n    release-jobs = import ./releng/release-jobs.nix { };\n  };\n}\n";
const MANIFEST: &str = "[workspace]\nresolver = \"2\"\nmembers = [\n\t\"lix/lix-doc\", # the manual's\n]\n";

/// The tree that has the tool.
fn tool() -> Repo {
    let tool = Repo::empty();
    tool.write("xtask/releng.toml", "[environments]\n");
    tool.write("xtask/Cargo.toml", "[package]\nname = \"xtask\"\n");
    tool.write("xtask/publish/Cargo.toml", "[package]\nname = \"xtask-publish\"\n");
    tool.write("xtask/src/main.rs", "fn main() {}\n");
    tool.write("xtask/bootstrap", "#!/bin/sh\n");
    make_executable(&tool.root.join("xtask/bootstrap"));
    tool.write("releng.md", "# Making a Lix release\n\nFirst.\n");
    tool.write(".gitignore", "/xtask/target\n");
    tool.commit_all("the tool");
    tool.write("xtask/target/debug/xtask", "compiled");
    tool.write("xtask/notes.txt", "not committed");
    tool
}

/// The tree that gets the tool.
fn host() -> Repo {
    let host = Repo::patch_release();
    host.write("flake.nix", FLAKE);
    host.write("Cargo.toml", MANIFEST);
    host.write(".gitignore", "/result\n/release/\n");
    host.commit_all("as Lix is");
    host
}

/// Runs `adopt ARGS` of the tool in `tool`, with this answer.
fn adopt(tool: &Repo, answer: &str, args: &[&str]) -> Ran {
    let mut command = crate::repo::command(&[&["adopt"], args].concat());
    command.env("CARGO_MANIFEST_DIR", tool.root.join("xtask")).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool runs");
    // It may have ended without reading its stdin.
    let _ = std::io::Write::write_all(&mut child.stdin.take().expect("piped"), answer.as_bytes());
    Ran::from(child.wait_with_output().expect("it ends"))
}

/// Everything in a tree except `.git`, to compare: paths, modes, targets of links and contents.
fn contents(repo: &Repo) -> String {
    let script = "find . -path ./.git -prune -o -printf '%p %y %m %l\\n' | sort; \
                  find . -path ./.git -prune -o -type f -print0 | sort -z | xargs -0 sha256sum";
    let output = std::process::Command::new("sh").args(["-euc", script]).current_dir(&repo.root).output();
    Ran::from(output.expect("a shell")).ok()
}

#[test]
fn a_tree_gets_the_tool_and_then_there_is_nothing_to_do() {
    let (tool, host) = (tool(), host());
    let dir = host.root.as_str();
    let before = contents(&host);
    assert!(adopt(&tool, "n\n", &[dir]).fails(1).contains("nothing was written"));
    assert!(adopt(&tool, "", &[dir]).fails(1).contains("pass `--yes`"));
    adopt(&tool, "", &["--check", dir]).fails(1);
    assert_eq!(contents(&host), before);

    let ran = adopt(&tool, "y\n", &[dir]);
    expect![[r#"
        TREE Lix 2.93.1: a Cargo workspace of lix/lix-doc; the flag of official releases in version.json; `release-jobs` in flake.nix
          + 6 new files of the tool, 1 kB
        Write this to TREE? [y/N] done: TREE has the tool; next: commit it, then `cargo xtask release doctor` there
    "#]].assert_eq(&ran.stderr.replace(dir, "TREE"));
    expect![[r#"
        diff --git a/.cargo/config.toml b/.cargo/config.toml
        new file mode 100644
        index 0000000..9caea5d
        --- /dev/null
        +++ b/.cargo/config.toml
        @@ -0,0 +1,2 @@
        +[alias]
        +xtask = "run --quiet --locked --manifest-path xtask/Cargo.toml --package xtask --"
        diff --git a/.gitignore b/.gitignore
        index 2f474ee..d22f5a3 100644
        --- a/.gitignore
        +++ b/.gitignore
        @@ -1,2 +1,9 @@
         /result
         /release/
        +
        +# The release tool: what it compiles and builds, and keys
        +/xtask/target
        +/release.new
        +/release.old
        +*.key
        +*.age
        diff --git a/Cargo.toml b/Cargo.toml
        index a4d1ace..f38297c 100644
        --- a/Cargo.toml
        +++ b/Cargo.toml
        @@ -3,3 +3,4 @@ resolver = "2"
         members = [
         	"lix/lix-doc", # the manual's
         ]
        +exclude = ["xtask"]
    "#]]
    .assert_eq(&ran.ok());
    let listed = host.git(&["ls-files", "--others", "--exclude-standard", "--", "xtask", "releng.md"]);
    expect![[r#"
        releng.md
        xtask/Cargo.toml
        xtask/bootstrap
        xtask/publish/Cargo.toml
        xtask/releng.toml
        xtask/src/main.rs"#]]
    .assert_eq(&listed);

    let after = contents(&host);
    for args in [&[dir][..], &["--yes", dir], &["--check", dir]] {
        let again = adopt(&tool, "", args);
        assert!(again.stderr.contains("nothing to do in"), "{}", again.stderr);
        again.ok();
        assert_eq!(contents(&host), after);
    }
    // It may also run in the tree that has it now, and then looks only at the tree's own files.
    host.write("xtask/src/main.rs", "fn main() { ours() }");
    host.write(".gitignore", "/release\n");
    let own = adopt(&host, "", &["--check", dir]);
    own.fails(1);
    adopt(&host, "", &["--yes", dir]).fails(1);
    host.commit_all("another .gitignore");
    adopt(&host, "", &["--yes", dir]).ok();
    assert_eq!(host.git(&["status", "--porcelain"]), " M .gitignore");
}

#[test]
fn a_file_of_the_tool_that_the_flake_had_already_is_taken_over() {
    let (tool, host) = (tool(), host());
    host.write("xtask/bootstrap", "#!/bin/sh\n");
    make_executable(&host.root.join("xtask/bootstrap"));
    host.commit_all("one file of the tool");
    let ran = adopt(&tool, "", &["--yes", host.root.as_str()]);
    assert!(ran.stderr.contains("+ 5 new files"), "{}", ran.stderr);
    ran.ok();
}

#[test]
fn whatever_was_written_before_a_kill_the_same_command_goes_on() {
    let (tool, host) = (tool(), host());
    let dir = host.root.as_str();
    adopt(&tool, "", &["--yes", dir]).ok();
    let whole = contents(&host);
    let written = [
        ".cargo/config.toml",
        "xtask/src/main.rs",
        "xtask/releng.toml",
        "xtask/bootstrap",
        "xtask/Cargo.toml",
        "releng.md",
        "xtask/publish/Cargo.toml",
    ];
    // In the order of writing, backwards.
    for kept in 0..written.len() {
        written.iter().rev().skip(kept).for_each(|path| drop(fs::remove_file(host.root.join(path))));
        adopt(&tool, "", &["--yes", dir]).ok();
        assert_eq!(contents(&host), whole, "after {kept} files");
    }
}

#[test]
fn a_newer_tool_replaces_an_older_one_and_leaves_what_is_the_trees() {
    let (tool, host) = (tool(), host());
    let dir = host.root.as_str();
    adopt(&tool, "", &["--yes", dir]).ok();
    host.write("xtask/releng.toml", "[environments]\n# ours\n");
    host.write("xtask/OWNERS", "us\n");
    host.commit_all("adopted");

    tool.write("xtask/src/main.rs", "fn main() { newer() }\n");
    tool.write("xtask/src/newer.rs", "fn newer() {}\n");
    fs::set_permissions(tool.root.join("xtask/bootstrap"), Permissions::from_mode(0o644)).expect("a mode");
    tool.commit_all("newer");
    let ran = adopt(&tool, "", &["--yes", dir]);
    expect![[r#"
        TREE Lix 2.93.1: a Cargo workspace of lix/lix-doc; the flag of official releases in version.json; `release-jobs` in flake.nix
          + 2 new files of the tool, 1 kB
          ~ xtask/bootstrap
          ~ xtask/src/main.rs
          xtask/releng.toml is the tree's own and stays; the tool's differs
          xtask/OWNERS is not part of the tool and stays
        done: TREE has the tool; next: commit it, then `cargo xtask release doctor` there
    "#]].assert_eq(&ran.stderr.replace(dir, "TREE"));
    assert_eq!(ran.ok(), "");
    expect![[r#"
         M xtask/bootstrap
         M xtask/src/main.rs
        ?? xtask/notes.txt
        ?? xtask/src/newer.rs"#]]
    .assert_eq(&host.git(&["status", "--porcelain"]));
    adopt(&tool, "", &["--check", dir]).ok();

    host.write("xtask/releng.toml", "environment = 1\n");
    let said = adopt(&tool, "", &["--yes", dir]).fails(1);
    assert!(said.contains("this tool cannot read it: TOML parse error"), "{said}");
    // Files that git could not restore are not overwritten.
    host.write("xtask/src/main.rs", "fn main() { ours() }\n");
    let said = adopt(&tool, "", &["--yes", dir]).fails(1);
    assert!(said.contains("xtask/src/main.rs would be changed, and its present content is not committed"), "{said}");
}

#[test]
fn what_stands_in_the_way_is_named_and_nothing_is_written() {
    let tool = tool();
    type Damage = fn(&Repo);
    let cases: [(Damage, &str); 17] = [
        (|host| link("elsewhere", host, "Cargo.toml"), "Cargo.toml is a link"),
        (|host| link("nowhere", host, "releng.md"), "releng.md is a link"),
        (|host| link("doc", host, ".cargo"), ".cargo is a link"),
        (|host| link("doc", host, "xtask"), "xtask is a link"),
        (
            |host| {
                host.write("xtask/publish/Cargo.toml", "[package]\nname = \"xtask-publish\"\n");
                link("../doc", host, "xtask/src");
            },
            "xtask/src is a link",
        ),
        (|host| host.write("xtask/Cargo.toml", "[package]\nname = \"xtask\" # ours\n"), "xtask/ is not this tool"),
        (|host| host.write("xtask", "a file"), "xtask/ is not this tool"),
        (|host| host.write("releng.md", "# Our own\n"), "releng.md is not this tool's guide"),
        (|host| host.write("releng.md/x", ""), "releng.md is not a regular file, but a directory"),
        (|host| host.write(".cargo", ""), ".cargo"),
        (|host| host.write("Cargo.toml", "[workspace\n"), "Cargo.toml is not TOML"),
        (|host| fs::write(host.root.join("Cargo.toml"), b"# \xff\n").expect("written"), "Cargo.toml is not text"),
        (|host| host.write(".cargo/config.toml", "[alias]\nxtask = \"\nx"), ".cargo/config.toml is not TOML"),
        (|host| host.write("version.json", "{}"), "version.json is not a valid version file"),
        (|host| fs::remove_file(host.root.join("version.json")).expect("removed"), "version.json is missing"),
        (|host| make_read_only(host, ".gitignore"), ".gitignore is write-protected: `chmod u+w .gitignore`"),
        (|host| make_read_only(host, "Cargo.toml"), "Cargo.toml is write-protected"),
    ];
    for (damage, expected) in cases {
        let host = host();
        damage(&host);
        host.commit_all("damaged");
        let before = contents(&host);
        let said = adopt(&tool, "", &["--yes", host.root.as_str()]).fails(1);
        assert!(said.contains(expected), "{expected}: {said}");
        assert_eq!(contents(&host), before, "{expected}");
    }
}

fn link(to: &str, host: &Repo, path: &str) {
    let _ = fs::remove_file(host.root.join(path));
    symlink(to, host.root.join(path)).expect("a link");
}

fn make_read_only(host: &Repo, path: &str) {
    fs::set_permissions(host.root.join(path), Permissions::from_mode(0o444)).expect("a mode");
}

#[test]
fn only_what_is_committed_is_changed() {
    let (tool, host) = (tool(), host());
    host.write("Cargo.toml", &MANIFEST.replace("\"2\"", "\"3\""));
    host.write(".cargo/config.toml", "[build]\njobs = 1\n");
    host.write("unrelated", "work in progress");
    let before = contents(&host);
    let said = adopt(&tool, "", &["--yes", host.root.as_str()]).fails(1);
    expect![[r#"
        error: cannot adopt the tool
          nothing was written
          .cargo/config.toml would be changed, and its present content is not committed: commit or stash it
          Cargo.toml would be changed, and its present content is not committed: commit or stash it
    "#]]
    .assert_eq(&said);
    assert_eq!(contents(&host), before);
    host.git(&["stash", "--quiet"]);
    fs::remove_dir_all(host.root.join(".cargo")).expect("removed");
    adopt(&tool, "", &["--yes", host.root.as_str()]).ok();
}

#[test]
fn a_wrong_directory_is_named() {
    let (tool, host) = (tool(), host());
    let elsewhere = tempfile::tempdir().expect("a directory");
    let say = |dir: &str| adopt(&tool, "", &["--yes", dir]).fails(1);
    assert!(say("/nonexistent").contains("/nonexistent is not a directory"));
    assert!(say(elsewhere.path().to_str().expect("UTF-8")).contains("is not in a git work tree"));
    assert!(say(host.root.join("doc").as_str()).contains("name the top of the tree"));
    assert!(say(Repo::empty().root.as_str()).contains("version.json is missing: is this a Lix tree?"));
    // The tool itself is not in a git tree, or not tracked.
    let (loose, dir) = (Repo::empty(), host.root.as_str());
    loose.write("xtask/releng.toml", "");
    assert!(adopt(&loose, "", &[dir]).fails(1).contains("git does not track the files of"));
    for option in ["--repo", "--config"] {
        assert!(adopt(&tool, "", &[option, dir, dir]).fails(2).contains("takes the tree as its argument"));
    }
    adopt(&tool, "", &["--yes", "--check", dir]).fails(2);
    adopt(&tool, "", &[]).fails(2);
}

#[test]
fn what_only_a_person_can_do_is_said_each_time() {
    let tool = tool();
    let cases: [(&str, &str, &str); 8] = [
        (
            ".cargo/config.toml",
            "[alias]\nxtask = \"run --package xtask --\"\n",
            "another alias `xtask`, `run --package xtask --`",
        ),
        (".cargo/config", "alias = { b = \"build\" }\n", ".cargo/config is written in an unusual way: add this alias"),
        ("Cargo.toml", "[workspace]\nmembers = [\"a\", \"./xtask/publish\"]\n", "remove `./xtask/publish`"),
        ("Cargo.toml", "workspace = { members = [] }\n", "add `exclude = [\"xtask\"]` to its `[workspace]`"),
        ("flake.nix", "{ outputs = _: { }; }", "flake.nix has no output `release-jobs`"),
        ("doc/manual/src/SUMMARY.md", "- [Notes](n.md)\n", "0 lines with `<!-- RELENG-AUTO-INSERTION-MARKER -->`"),
        ("version.json", "{ \"version\": \"2.93.1\" }", "there is no flag that marks a release"),
        ("version.json", "{ \"version\": \"2.93.1\", \"official_release\": false }", ""),
    ];
    for (path, content, expected) in cases {
        let host = host();
        host.write(path, content);
        host.commit_all("another layout");
        let dir = host.root.as_str();
        for _ in 0..2 {
            let ran = adopt(&tool, "", &["--yes", dir]);
            assert_eq!(ran.code, Some(i32::from(!expected.is_empty())), "{}", ran.stderr);
            assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
            assert_eq!(ran.stderr.contains("left to you"), !expected.is_empty(), "{}", ran.stderr);
        }
        assert!(host.root.join("xtask/src/main.rs").exists(), "the rest is done: {expected}");
    }
}

#[test]
fn layouts_are_told_apart() {
    let tool = tool();
    let cases: [(&str, &str, Option<&str>); 4] = [
        ("{ \"version\": \"2.90.0\" }", "{ officialRelease = false; release-jobs = 1; }", None),
        ("{ \"version\": \"2.93.1\", \"official_release\": false }", FLAKE, Some(MANIFEST)),
        (
            "{ \"version\": \"2.96.0-dev\", \"official_release\": false }",
            "{ }",
            Some("[workspace]\nmembers = [\"*\"]\nexclude = [\"old\"]\n"),
        ),
        ("{ \"version\": \"2.93.1\", \"official_release\": false }", FLAKE, Some("[package]\nname = \"lix\"\n")),
    ];
    let mut seen = Vec::new();
    for (version, flake, manifest) in cases {
        let host = host();
        host.write("version.json", version);
        host.write("flake.nix", flake);
        match manifest {
            Some(manifest) => host.write("Cargo.toml", manifest),
            None => fs::remove_file(host.root.join("Cargo.toml")).expect("removed"),
        }
        host.commit_all("another layout");
        let ran = adopt(&tool, "", &["--yes", host.root.as_str()]);
        let lines = ran.stderr.lines().take_while(|line| !line.contains("done"));
        let layout = lines.collect::<Vec<_>>().join("\n").replace(host.root.as_str(), "TREE");
        let manifest = host.git(&["diff", "--unified=0", "--", "Cargo.toml"]);
        seen.push(layout);
        seen.extend(manifest.lines().skip(5).map(str::to_owned));
    }
    expect![[r#"
        TREE Lix 2.90.0: no Cargo workspace; the flag of official releases in flake.nix; `release-jobs` in flake.nix
          + 6 new files of the tool, 1 kB
        TREE Lix 2.93.1: a Cargo workspace of lix/lix-doc; the flag of official releases in version.json; `release-jobs` in flake.nix
          + 6 new files of the tool, 1 kB
        +exclude = ["xtask"]
        TREE Lix 2.96.0-dev: a Cargo workspace of *; the flag of official releases in version.json
          + 6 new files of the tool, 1 kB
          `*`, a member in Cargo.toml, also matches xtask/: `exclude` prevents that
        warning: left to you: flake.nix has no output `release-jobs`: add this line, with the `pkgs` of that flake
              release-jobs = import ./xtask/release-jobs.nix { inherit (self) hydraJobs; pkgs = nixpkgsFor.x86_64-linux.native; };
        -exclude = ["old"]
        +exclude = ["old", "xtask"]
        TREE Lix 2.93.1: a Cargo package without a workspace; the flag of official releases in version.json; `release-jobs` in flake.nix
          + 6 new files of the tool, 1 kB"#]].assert_eq(&seen.join("\n"));
}

#[test]
fn line_endings_and_modes_stay() {
    let (tool, host) = (tool(), host());
    host.write(".gitignore", "/release\r\n*.key");
    host.write("Cargo.toml", &MANIFEST.replace('\n', "\r\n"));
    fs::set_permissions(host.root.join(".gitignore"), Permissions::from_mode(0o755)).expect("a mode");
    host.commit_all("from elsewhere");
    adopt(&tool, "", &["--yes", host.root.as_str()]).ok();
    assert_eq!(host.read("Cargo.toml"), MANIFEST.replace('\n', "\r\n") + "exclude = [\"xtask\"]\r\n");
    expect![[r#""/release\r\n*.key\r\n\r\n# The release tool: what it compiles and builds, and keys\r\n/xtask/target\r\n/release.new\r\n/release.old\r\n*.age\r\n""#]].assert_eq(&format!("{:?}", host.read(".gitignore")));
    let mode = |path: &str| fs::metadata(host.root.join(path)).expect(path).permissions().mode() & 0o111;
    assert_eq!([".gitignore", "Cargo.toml", "xtask/bootstrap"].map(mode), [0o111, 0, 0o111]);
}
