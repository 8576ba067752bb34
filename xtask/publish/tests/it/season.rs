//! A season of releases as a manager makes them, with real builds of the stand-in: a new MAJOR, two patches, the next
//! MAJOR, a maintenance release, a rollback, and two releases in one night from work trees without the tool.

use std::fs;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use crate::repo::{Ran, Repo, xtask};

const SYSTEMS: [&str; 3] = ["aarch64-darwin", "aarch64-linux", "x86_64-linux"];

struct Season {
    repo: Repo,
    config: Utf8PathBuf,
}

impl Season {
    /// A tree before 0.1.0; `None`, with a line that says so, if it could not be built here.
    fn begin() -> Option<Season> {
        for program in ["nix", "skopeo"] {
            if !Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success()) {
                crate::repo::skip(&format!("{program} is not installed"));
                return None;
            }
        }
        let repo = Repo::empty();
        xtask_test_support::copy_stand_in(&repo.root);
        // Without this repository's own notes, which change.
        for fragment in fs::read_dir(repo.root.join("doc/manual/rl-next")).expect("a directory") {
            fs::remove_file(fragment.expect("readable").path()).expect("removed");
        }
        repo.write("doc/manual/rl-next/.gitkeep", "");
        repo.write(".gitignore", "/release\n/release.new\n/release.old\n");
        repo.commit_all("a tree");
        // Another `releng.toml`: for another product, with only the environment that needs nothing.
        let config = repo.beside("releng.toml");
        let ours = include_str!("../../../releng.toml").replacen("name = \"Lix\"", "name = \"Xil\"", 1);
        let ours = ours.replacen("compare-with = \"production\"", "compare-with = \"local\"", 1);
        let end = ours.find("\n\n# Like production").expect("the environments that others need");
        fs::write(&config, &ours[..end]).expect("written");
        Some(Season { repo, config })
    }

    fn run(&self, tree: &Utf8Path, args: &[&str]) -> Ran {
        let always = ["--config", self.config.as_str(), "--repo", tree.as_str()];
        xtask(&[&["release"], args, &always].concat())
    }

    #[track_caller]
    fn release(&self, args: &[&str]) -> Ran {
        self.run(&self.repo.root, args)
    }

    /// Asserts the last command that `status` shows as next.
    #[track_caller]
    fn next_is(&self, command: &str) {
        let everywhere = format!(" --repo {} --config {}", self.repo.root, self.config);
        let status = self.release(&["status"]).ok();
        assert!(status.contains(&everywhere) || status.contains("next: nothing"), "as it is to be typed: {status}");
        let status = status.replace(&everywhere, "");
        assert!(status.lines().count() <= 25 && status.lines().all(|line| line.chars().count() <= 100), "{status}");
        assert!(status.starts_with("Xil 0.") && status.ends_with(&format!("{command}\n")), "{command}: {status}");
    }

    fn note(&self, tree: &Utf8Path, what: &str) {
        let name = what.replace(' ', "-").to_lowercase();
        let text = format!("---\nsynopsis: \"{what}\"\ncategory: Fixes\ncredits: releng\n---\n\nIt is {what}.\n");
        fs::write(tree.join(format!("doc/manual/rl-next/{name}.md")), text).expect("written");
        self.repo.git(&["-C", tree.as_str(), "add", "--all"]);
        self.repo.git(&["-C", tree.as_str(), "commit", "--quiet", "--message", what]);
    }

    /// Makes a release from a branch, publishes and verifies it.
    #[track_caller]
    fn make(&self, version: &str, from: &str, prepare: &[&str]) {
        self.repo.git(&["switch", "--quiet", "-C", &format!("releng/{version}"), from]);
        self.release(&[&["prepare", version], prepare].concat()).ok();
        self.next_is("cargo xtask release tag");
        self.release(&["tag"]).ok();
        self.next_is("cargo xtask release build");
        self.release(&["build"]).ok();
        self.next_is("cargo xtask release upload --env local");
        self.release(&["upload", "--env", "local", "--noconfirm"]).ok();
        self.release(&["verify", "--env", "local"]).ok();
        self.install(version);
        self.next_is("cargo xtask release finish --env local --push");
    }

    /// Publishes the installers of a release.
    fn install(&self, version: &str) {
        let dir = self.repo.beside(&format!("installers-{version}"));
        fs::create_dir(&dir).expect("made");
        for system in SYSTEMS {
            fs::write(dir.join(format!("lix-installer-{system}")), executable(system, version)).expect("written");
        }
        self.release(&["installer", "--env", "local", "--from", dir.as_str(), "--noconfirm", version]).ok();
    }

    /// Goes back to the branch, merges the manager's branch into it, and finishes the release.
    #[track_caller]
    fn finish(&self, version: &str, branch: &str) {
        self.release(&["finish", version, "--env", "local", "--push", "--yes"]).ok();
        self.repo.git(&["branch", "--force", branch, &format!("releng/{version}")]);
        self.next_is("cargo xtask release announce");
        self.release(&["announce"]).ok();
        self.next_is("nothing, this release is out");
    }

    fn object(&self, key: &str) -> String {
        let path = self.repo.root.join("release/local/s3").join(key);
        String::from_utf8_lossy(&fs::read(&path).expect(key)).into_owned()
    }

    /// Asserts which version users of the newest stable release have.
    #[track_caller]
    fn users_are_on(&self, version: &str) {
        assert!(self.object("local-releases/manifest.nix").contains(&format!("-lix-{version}\"")), "{version}");
        assert!(self.object("local-docs/manual/lix/stable/index.html").contains(version), "{version}");
        for system in SYSTEMS {
            assert!(self.object(&format!("local-install/lix/lix-installer-{system}")).ends_with(version), "{system}");
        }
    }
}

/// The header of an executable, followed by the version.
fn executable(system: &str, version: &str) -> Vec<u8> {
    let (machine, mach_o) = if system.starts_with("aarch64") { (183, 12) } else { (62, 7) };
    let mut file = if system.ends_with("linux") {
        [&b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0"[..], &[machine, 0]].concat()
    } else {
        [&[0xcf, 0xfa, 0xed, 0xfe, mach_o, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0], &[0; 16][..]].concat()
    };
    file.extend(version.as_bytes());
    file
}

#[test]
fn of_releases() {
    let Some(season) = Season::begin() else { return };
    season.make("0.1.0", "main", &["--name", "First Light"]);
    season.users_are_on("0.1.0");
    season.finish("0.1.0", "main");
    assert_eq!(season.repo.git(&["rev-parse", "--verify", "release-0.1"]).len(), 40);
    assert!(season.repo.git(&["show", "main:version.json"]).contains("0.2.0-dev"));

    let own = season.repo.root.as_path();
    for version in ["0.1.1", "0.1.2"] {
        season.repo.git(&["switch", "--quiet", "release-0.1"]);
        season.note(own, &format!("Fix in {version}"));
        season.make(version, "release-0.1", &[]);
        season.users_are_on(version);
        season.finish(version, "release-0.1");
        assert!(season.repo.git(&["show", "main:doc/manual/src/release-notes/rl-0.1.md"]).contains(version));
    }
    season.repo.git(&["switch", "--quiet", "main"]);
    season.note(own, "Feature of 0.2");
    season.make("0.2.0", "main", &["--name", "Second Wind"]);
    season.users_are_on("0.2.0");
    season.finish("0.2.0", "main");

    season.repo.git(&["switch", "--quiet", "release-0.1"]);
    season.note(own, "Fix in 0.1.3");
    season.make("0.1.3", "release-0.1", &[]);
    season.users_are_on("0.2.0");
    assert!(season.object("local-docs/manual/lix/0.1/index.html").contains("0.1.3"));
    season.finish("0.1.3", "release-0.1");

    season.release(&["rollback", "--env", "local", "--to", "0.1.3", "--noconfirm"]).ok();
    season.users_are_on("0.1.3");
    for version in ["0.1.3", "0.2.0"] {
        season.release(&["verify", "--env", "local", version]).ok();
    }

    // In one night: 0.2.1 brings users forward again, and 0.1.4 does not.
    let trees = [("0.1.4", "release-0.1"), ("0.2.1", "release-0.2")].map(|(version, branch)| {
        let tree = season.repo.beside(version);
        let own = format!("releng/{version}");
        season.repo.git(&["worktree", "add", "--quiet", "-b", &own, tree.as_str(), branch]);
        season.note(&tree, &format!("Security fix in {version}"));
        for args in [&["prepare", version][..], &["tag"], &["build"]] {
            season.run(&tree, args).ok();
        }
        tree
    });
    // `local` is in the first tree.
    fs::rename(season.repo.root.join("release/local"), trees[0].join("release/local")).expect("moved");
    std::os::unix::fs::symlink(trees[0].join("release/local"), season.repo.root.join("release/local")).expect("linked");
    let train = ["train", "--env", "local", "--noconfirm", "--repo", trees[0].as_str()];
    season.run(&trees[1], &train).ok();
    for version in ["0.1.4", "0.2.1"] {
        season.install(version);
        season.release(&["verify", "--env", "local", version]).ok();
    }
    season.users_are_on("0.2.1");
    assert!(season.object("local-docs/manual/lix/0.1/index.html").contains("0.1.4"));
}
