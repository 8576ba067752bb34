//! A build that fails or is killed leaves the earlier release in place.

use camino::Utf8Path;
use expect_test::{Expect, expect};
use xshell::cmd;

use super::anonymous;
use super::judge::judge;
use super::tree::{Tree, programs};

#[test]
fn what_is_no_release_leaves_the_old_one() {
    if !programs() {
        return;
    }
    const JOBS: &str = "xtask/release-jobs.nix";
    const STAND_IN: &str = "stand-in/default.nix";
    let cases: [(&str, &str, &str, Expect); 7] = [
        (
            STAND_IN,
            "runCommand \"liblix-",
            "if system == \"aarch64-darwin\" then throw \"no Mac today\" else runCommand \"liblix-",
            expect![[r#"
                error: cannot build the release
                  build.aarch64-darwin does not evaluate:
                    error: no Mac today
                    (use '--show-trace' to show detailed location information)
                  tarballs does not evaluate:
                    error: no Mac today
                    (use '--show-trace' to show detailed location information)
            "#]],
        ),
        (
            STAND_IN,
            "mkdir -p $out/lib",
            "echo the compiler gives up; false",
            expect![[r#"
                error: cannot build the release
                  cannot build lix-release-tarballs-0.1.0: everything else is built, and stays
                  cannot build liblix-0.1.0-aarch64-darwin here: its builder failed with exit code 1
                    | the compiler gives up
                    the whole log: nix-store --read-log /nix/store/HASH-liblix-0.1.0-aarch64-darwin.drv
                  cannot build liblix-0.1.0-aarch64-linux here: its builder failed with exit code 1
                    | the compiler gives up
                    the whole log: nix-store --read-log /nix/store/HASH-liblix-0.1.0-aarch64-linux.drv
                  cannot build liblix-0.1.0-x86_64-linux here: its builder failed with exit code 1
                    | the compiler gives up
                    the whole log: nix-store --read-log /nix/store/HASH-liblix-0.1.0-x86_64-linux.drv
            "#]],
        ),
        (
            JOBS,
            "cp -r ${lix.doc}",
            "touch surprise.txt; mkdir other; touch other/x; cp -r ${lix.doc}",
            expect![[r#"
                error: cannot build the release
                  /nix/store/HASH-lix-release-tarballs-0.1.0 does not have exactly the files of a release
                  other/x is not part of a release
                  surprise.txt is not part of a release
            "#]],
        ),
        (
            JOBS,
            "cp -r ${lix.doc}",
            "rm *-docker-image-aarch64-linux.*; cp -r ${lix.doc}",
            expect![[r#"
            error: cannot build the release
              /nix/store/HASH-lix-release-tarballs-0.1.0 does not have exactly the files of a release
              lix-0.1.0-docker-image-aarch64-linux.tar.gz is missing
              lix-0.1.0-docker-image-aarch64-linux.tar.gz.sha256 is missing
        "#]],
        ),
        (
            JOBS,
            "      done\n",
            "      done\n      echo 00 > ${prefix}-manual.tar.gz.sha256\n",
            expect![[r#"
            error: cannot build the release
              /nix/store/HASH-lix-release-tarballs-0.1.0 contradicts itself
              lix-0.1.0-manual.tar.gz.sha256 says 00, but lix-0.1.0-manual.tar.gz has SHA-256 HASH
        "#]],
        ),
        (
            STAND_IN,
            "image.title\" = \"Lix\"",
            "image.title\" = \"Lix for ${system}\"",
            expect![[r#"
            error: cannot build the release
              the container images cannot be joined into one
              the images disagree on the label org.opencontainers.image.title: x86_64-linux says `Lix for x86_64-linux`, aarch64-linux says `Lix for aarch64-linux`
        "#]],
        ),
        (
            "flake.nix",
            "officialRelease = true",
            "officialRelease = false",
            expect![[r#"
            error: cannot build the release
              the tag 0.1.0 evaluates to version 0.1.0-pre20250615-HASH: is the flag for an official release off there?
        "#]],
        ),
    ];
    let tree = Tree::named("tree");
    tree.built(&[]);
    let before = tree.digest("release");
    for (file, from, to, message) in cases {
        tree.edit(file, from, to);
        tree.tag();
        message.assert_eq(&anonymous(&tree.refused(&[])));
        assert_eq!(tree.digest("release"), before, "after: {to}");
        assert!(!tree.path("release.new").exists());
        tree.reset();
    }
}

#[test]
fn a_kill_while_gathering_leaves_the_old_release() {
    if !programs() {
        return;
    }
    let tree = Tree::named("tree");
    tree.built(&["--profile", "x86_64-linux-only"]);
    let before = tree.digest("release");
    let real = cmd!(tree.sh, "sh -c 'command -v skopeo; command -v git'").quiet().read().expect("they are there");
    let (skopeo, git) = real.split_once('\n').expect("two lines");
    let kills = [
        ("git", format!("case \"$*\" in *archive*) kill -9 $PPID;; *) exec {git} \"$@\";; esac")),
        ("skopeo", format!("case \"$*\" in *copy*) kill -9 $PPID;; *) exec {skopeo} \"$@\";; esac")),
    ];
    for (program, script) in kills {
        tree.program(program, &script);
        assert!(!tree.build(&[]).ok);
        assert_eq!(tree.digest("release"), before);
        assert!(tree.path("release.new").exists(), "it was killed in the middle");
        tree.sh.remove_path(tree.path(&format!("../bin/{program}"))).expect("removable");
    }
    tree.built(&[]);
    assert!(!tree.path("release.new").exists());
    judge(&tree);
}

#[test]
fn a_full_disk_leaves_the_old_release() {
    if !programs() {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let root = Utf8Path::from_path(dir.path()).expect("UTF-8").join("disk");
    std::fs::create_dir(&root).expect("writable");
    let sh = xshell::Shell::new().expect("a current directory");
    if cmd!(sh, "mount -t tmpfs -o size=2m tmpfs {root}").quiet().ignore_stderr().run().is_err() {
        crate::repo::skip("no permission to mount a small disk");
        return;
    }
    let _unmount = Unmount(root.clone());
    let tree = Tree::at(dir, root.join("tree"));
    tree.write("release/release.json", "old");
    let message = tree.refused(&[]);
    assert!(message.contains("cannot write") && message.contains("No space left on device"), "{message}");
    assert_eq!(tree.read("release/release.json"), "old");
    assert!(!tree.path("release.new").exists());
}

struct Unmount(camino::Utf8PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let ended = std::process::Command::new("umount").args(["--lazy", self.0.as_str()]).status();
        assert!(ended.is_ok_and(|status| status.success()), "cannot unmount {}", self.0);
    }
}
