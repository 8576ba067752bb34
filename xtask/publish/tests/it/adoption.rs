//! The guide's chapter about putting the tool into a tree, followed in trees of four kinds: its commands are read out
//! of `releng.md` and typed in each, and then a release is made there, with real Nix builds of the stand-in jobs.
//!
//! A `cargo` is first on `PATH` that runs the program under test instead of compiling it, and calls the real cargo for
//! everything else; one tree really compiles what the alias names.

use std::fs;
use std::path::Path;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use crate::TOOL;
use crate::repo::{Ran, Repo, make_executable};

const GUIDE: &str = include_str!("../../../../releng.md");
const CHAPTER: &str = "## Putting the tool into a Lix tree";
/// The directory of this repository.
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// As in Lix: the jobs, and attributes that only the jobs of Nixpkgs have.
const FLAKE: &str = r#"{
  outputs =
    { self }:
    let
      officialRelease = OFFICIAL;
      versionJson = builtins.fromJSON (builtins.readFile ./version.json);
      jobs = import ./JOBS {
        inherit officialRelease;
        version = versionJson.version + (if officialRelease then "" else "-pre");
        revision = self.rev or "0000000000000000000000000000000000000000";
        manualSource = ./doc/manual/src;
      };
      nixpkgsFor.x86_64-linux.native = jobs.pkgs;
    in
    {
      inherit (jobs) hydraJobs;
    };
}
"#;
/// The line of a flake in which nothing has to be changed.
const OWN_JOBS: &str = "\n      release-jobs = import ./releng/release-jobs.nix {\n        inherit (self) hydraJobs;\n        \
                        pkgs = nixpkgsFor.x86_64-linux.native;\n      };";

/// How a tree differs from others.
struct Kind {
    version: &'static str,
    /// Arguments of `prepare`.
    prepare: &'static [&'static str],
    /// Directory of the jobs and of the Cargo workspace from which they build.
    cargo: &'static str,
    /// Other members of the workspace, which are not built.
    members: &'static [&'static str],
    has_release_jobs: bool,
    is_flag_in_flake: bool,
}

/// A tree, and the checkout that the tool comes from.
struct Trial {
    kind: Kind,
    tree: Repo,
    tool: Repo,
    path: String,
}

impl Trial {
    /// `None`, with a line that says so, if it could not be built here.
    fn begin(kind: Kind) -> Option<Trial> {
        for program in ["nix", "skopeo"] {
            if !Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success()) {
                crate::repo::skip(&format!("{program} is not installed"));
                return None;
            }
        }
        let (tree, tool) = (tree(&kind), checkout());
        let bin = tree.beside("bin");
        let path = format!("{bin}:{}", std::env::var("PATH").expect("a PATH"));
        fs::create_dir(&bin).expect("a directory");
        fs::write(bin.join("cargo"), cargo()).expect("written");
        make_executable(&bin.join("cargo"));
        Some(Trial { kind, tree, tool, path })
    }

    /// Runs a shell command in a directory, with `$TOOL` as in the guide.
    fn typed(&self, dir: &Utf8Path, line: &str) -> Ran {
        let mut command = Command::new("sh");
        command.args(["-euc", line]).current_dir(dir).env("PATH", &self.path).env("TOOL", &self.tool.root);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("NIX_CONFIG", crate::repo::NIX_CONFIG);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG")) {
            command.env_remove(name);
        }
        Ran::from(command.output().expect("a shell"))
    }

    fn in_tree(&self, line: &str) -> Ran {
        self.typed(&self.tree.root, line)
    }

    /// The tree's own workspace, as cargo sees it, and its lock file.
    fn workspace(&self) -> String {
        let metadata = "cargo metadata --no-deps --offline --locked --format-version 1; cat Cargo.lock";
        self.typed(&self.tree.root.join(self.kind.cargo), metadata).ok()
    }

    /// Types the guide's commands that put the tool into the tree; typing them again must change nothing.
    fn adopt(&self) {
        let before = self.workspace();
        for line in commands().into_iter().filter(|line| !line.starts_with("cargo xtask release")) {
            let is_adoption = line.starts_with("$TOOL/");
            let ran = self.in_tree(&if is_adoption { line.replace(" .", " --yes .") } else { line.clone() });
            if !is_adoption || self.kind.has_release_jobs {
                ran.ok();
                continue;
            }
            // One line of the flake is left to people, who copy it as it is printed.
            let said = ran.fails(1);
            let output = said.lines().map(str::trim).find(|line| line.starts_with("release-jobs = "));
            let output = output.expect("what the flake lacks");
            assert!(GUIDE.contains(output), "{output}");
            let jobs = "inherit (jobs) hydraJobs;";
            let flake = self.tree.read("flake.nix").replace(jobs, &format!("{jobs}\n      {output}"));
            self.tree.write("flake.nix", &flake);
        }
        assert_eq!(self.workspace(), before, "the tree's own workspace");
        let state = self.tree.state();
        let again = self.in_tree("$TOOL/xtask/adopt --yes .");
        assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
        again.ok();
        assert_eq!(self.tree.state(), state);
        assert!(state.ends_with('\n'), "everything is committed: {state}");
    }

    /// Types the guide's trial commands, and makes a complete release. `dir` is where the tool is called.
    fn release(&self, dir: &Utf8Path, everywhere: &str) {
        let run = |line: &str| self.typed(dir, &format!("{line}{everywhere}"));
        let branch = self.tree.git(&["branch", "--show-current"]);
        self.tree.git(&["switch", "--quiet", "-c", "releng/next"]);
        let released = self.kind.version.trim_end_matches("-dev");
        let tries = commands().into_iter().filter(|line| line.starts_with("cargo xtask release"));
        for line in tries.filter(|line| !line.contains("--repo")) {
            let line = line.replace("VERSION", released);
            run(&match self.kind.prepare {
                [] => line.replace(" --name NAME", ""),
                _ => line.replace("NAME", "Affogato"),
            })
            .ok();
        }
        let prepare = self.kind.prepare.join(" ");
        for phase in [
            &format!("prepare {prepare}"),
            "tag",
            "build --profile x86_64-linux-only",
            "upload --env local --noconfirm",
            "verify --env local",
            "upload --env local --noconfirm",
            "finish --env local --push --yes",
        ] {
            if phase.starts_with("finish") && self.kind.prepare.is_empty() {
                // It has been there since the first release of the series.
                self.tree.git(&["push", "--quiet", "release/local/git", "main"]);
            }
            run(&format!("cargo xtask release {phase}")).ok();
        }
        let uploaded = self.tree.root.join(format!("release/local/s3/local-releases/lix/lix-{released}"));
        assert!(uploaded.join(format!("lix-{released}-x86_64-linux.tar.xz")).exists());
        assert_eq!(self.tree.git(&["branch", "--show-current"]), "releng/next");
        assert_eq!(self.tree.git(&["status", "--porcelain"]), "");
        assert!(self.tree.git(&["log", "--oneline", &format!("{branch}..releng/next")]).contains("merge release"));
    }
}

/// The commands of the chapter without comments: lines in its blocks that start like a command.
fn commands() -> Vec<String> {
    let chapter = &GUIDE[GUIDE.find(CHAPTER).expect(CHAPTER)..];
    let end = chapter[CHAPTER.len()..].find("\n## ").map_or(chapter.len(), |end| CHAPTER.len() + end);
    let lines = chapter[..end].lines().filter_map(|line| line.strip_prefix("    "));
    let is_command = |line: &&str| ["$TOOL/", "git ", "cargo "].iter().any(|program| line.starts_with(program));
    let without_comment = |line: &str| line.split(" #").next().unwrap_or_default().trim_end().to_owned();
    lines.filter(is_command).map(without_comment).collect()
}

/// A `cargo` that does not compile the tool. The alias is looked up in the directory where it is used, as cargo does
/// for the path to the manifest.
fn cargo() -> String {
    format!(
        r#"#!/bin/sh
set -eu
if [ "$1" = xtask ]; then
    shift
    # shellcheck disable=SC2046 # words
    set -- $(sed -n 's/^xtask = "\(.*\)"$/\1/p' .cargo/config.toml) "$@"
fi
if [ "$1" != run ]; then
    PATH=${{PATH#*:}} exec cargo "$@"
fi
while [ "$1" != -- ]; do
    [ "$1" != --manifest-path ] || manifest=$2
    shift
done
shift
[ -e "$manifest" ] || {{ echo "error: manifest path \`$manifest\` does not exist" >&2; exit 101; }}
CARGO_MANIFEST_DIR=$(cd "$(dirname "$manifest")" && pwd)
export CARGO_MANIFEST_DIR
exec "{TOOL}" "$@"
"#
    )
}

/// A tree of a kind, on the branch that it is released from.
fn tree(kind: &Kind) -> Repo {
    let tree = Repo::patch_release();
    tree.write("doc/manual/src/n.md", "# Notes\n");
    let (major, jobs) = (&kind.version[..4], Utf8PathBuf::from(kind.cargo));
    let flag = if kind.is_flag_in_flake { "" } else { "\n    \"official_release\": false," };
    let (version, name) = (kind.version, if kind.prepare.is_empty() { "Bici Bici" } else { "TBD" });
    tree.write(
        "version.json",
        &format!("{{\n    \"version\": \"{version}\",{flag}\n    \"release_name\": \"{name}\"\n}}\n"),
    );
    if kind.prepare.is_empty() {
        let (old, new) = ["2.93", major].map(|major| format!("doc/manual/src/release-notes/rl-{major}.md")).into();
        let page = tree.read(&old).replace("2.93", major);
        fs::remove_file(tree.root.join(old)).expect("removed");
        tree.write(&new, &page);
        tree.write("doc/manual/src/SUMMARY.md", &tree.read("doc/manual/src/SUMMARY.md").replace("2.93", major));
    }
    fs::create_dir_all(tree.root.join(&jobs)).expect("directories");
    for part in ["stand-in", "Cargo.lock"] {
        copy(Path::new(HERE), part, &tree.root.join(&jobs).join(part));
    }
    // Fewer pages than the stand-in has: each is published to three places, which is tested elsewhere.
    let pages = jobs.join("stand-in/manual.sh");
    let text = tree.read(pages.as_str());
    assert!(text.contains("\npages=200\n"), "the stand-in says how many pages it makes");
    tree.write(pages.as_str(), &text.replace("\npages=200\n", "\npages=20\n"));
    // A workspace with more members, of which the jobs copy only the lists that cargo needs.
    let members = [&["stand-in/liblix"], kind.members].concat();
    let mut manifest = "[workspace]\nresolver = \"2\"\nmembers = [\n".to_owned();
    let (mut lock, mut listed) = (tree.read(jobs.join("Cargo.lock").as_str()), String::new());
    for member in &members {
        manifest += &format!("\t\"{member}\",\n");
    }
    for member in kind.members {
        let name = Utf8Path::new(member).file_name().expect("a name");
        let package = format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2021\"\n");
        tree.write(jobs.join(member).join("Cargo.toml").as_str(), &package);
        tree.write(jobs.join(member).join("src/lib.rs").as_str(), "//! Nothing.\n");
        lock += &format!("\n[[package]]\nname = \"{name}\"\nversion = \"0.0.0\"\n");
        listed += &format!("\"{member}/Cargo.toml\"\n\"{member}/src/lib.rs\"\n");
    }
    tree.write(jobs.join("Cargo.toml").as_str(), &(manifest + "]\n\n[profile.release]\ndebug = true\n"));
    tree.write(jobs.join("Cargo.lock").as_str(), &lock);
    let nix = jobs.join("stand-in/default.nix");
    let last = "\"stand-in/liblix/src/main.rs\"\n";
    let text = tree.read(nix.as_str());
    assert!(text.contains(last), "the stand-in copies a list of files");
    tree.write(nix.as_str(), &text.replace(last, &format!("{last}{listed}")));

    let official = if kind.is_flag_in_flake { "false" } else { "versionJson.official_release" };
    let own = "inherit (jobs) hydraJobs;";
    let flake = FLAKE.replace("OFFICIAL", official).replace("JOBS", jobs.join("stand-in").as_str());
    tree.write(
        "flake.nix",
        &if kind.has_release_jobs { flake.replace(own, &format!("{own}{OWN_JOBS}")) } else { flake },
    );
    if kind.has_release_jobs {
        copy(Path::new(HERE), "xtask/release-jobs.nix", &tree.root.join("releng/release-jobs.nix"));
    }
    tree.write(".gitignore", "/release\n/target/\n");
    tree.write(".cargo/config.toml", "[net]\nretry = 3\n");
    tree.commit_all("as Lix is");
    if kind.prepare.is_empty() {
        tree.git(&["switch", "--quiet", "-c", &format!("release-{major}")]);
    }
    tree
}

fn copy(from: &Path, part: &str, to: &Utf8Path) {
    fs::create_dir_all(to.parent().expect("in a tree")).expect("directories");
    let copied = Command::new("cp").arg("-R").arg(from.join(part)).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "{part}");
}

/// Lets cargo find the dependencies that it compiled for us, so that it compiles only our packages. Large files are
/// linked, because cargo removes a file before it writes to the same name.
fn share_compiled(target: &Utf8Path) {
    let (ours, theirs) = (Utf8Path::new(TOOL).parent().expect("a directory"), target.join("debug"));
    if theirs.exists() {
        return;
    }
    fs::create_dir_all(&theirs).expect("a directory");
    for (how, part) in [("-a", ".fingerprint"), ("-a", "build"), ("-al", "deps")] {
        let copied = Command::new("cp").args([how, ours.join(part).as_str(), theirs.as_str()]).status();
        assert!(copied.is_ok_and(|status| status.success()), "{part}");
    }
}

/// A checkout of this repository, with its current files, committed or not.
fn checkout() -> Repo {
    let checkout = Repo::empty();
    let script = "git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do \
                  [ ! -e \"$file\" ] || printf '%s\\0' \"$file\"; done | xargs -0 cp --parents --target-directory \"$1\"";
    let mut command = Command::new("bash");
    command.args(["-euc", script, "copy", checkout.root.as_str()]).current_dir(HERE);
    Ran::from(command.output().expect("a shell")).ok();
    checkout.commit_all("the tool");
    checkout
}

#[test]
fn into_a_tree_like_2_90_with_the_flag_in_its_flake_and_no_workspace() {
    let kind = Kind {
        version: "2.90.1",
        prepare: &[],
        cargo: "lix-doc",
        members: &[],
        has_release_jobs: false,
        is_flag_in_flake: true,
    };
    let Some(trial) = Trial::begin(kind) else { return };
    trial.adopt();
    assert!(!trial.tree.root.join("Cargo.toml").exists());
    trial.release(&trial.tree.root, "");
}

#[test]
fn into_a_tree_like_2_93_with_a_small_workspace() {
    let kind = Kind {
        version: "2.93.1",
        prepare: &[],
        cargo: "",
        members: &[],
        has_release_jobs: true,
        is_flag_in_flake: false,
    };
    let Some(trial) = Trial::begin(kind) else { return };
    trial.adopt();
    // In a subdirectory, the alias does not work, but the guide's other way does.
    let below = trial.tree.root.join("doc/manual");
    let status = "cargo run --manifest-path ../../xtask/Cargo.toml --package xtask -- release status";
    assert!(GUIDE.contains(status));
    assert!(trial.typed(&below, status).ok().starts_with("Lix 2.93.1"));
    // The alias with cargo itself, whose packages are kept apart from ours of the same names.
    let target = concat!(env!("CARGO_TARGET_TMPDIR"), "/adopted");
    share_compiled(Utf8Path::new(target));
    let check = "cargo xtask release notes --check";
    trial.in_tree(&format!("PATH=${{PATH#*:}} CARGO_TARGET_DIR='{target}' {check}")).ok();
    assert_eq!(trial.tree.git(&["status", "--porcelain"]), "");
    trial.release(&trial.tree.root, "");
}

#[test]
fn into_a_tree_like_main_with_members_that_jobs_copy_by_lists() {
    let Some(trial) = Trial::begin(like_main()) else { return };
    trial.adopt();
    trial.release(&trial.tree.root, "");
}

fn like_main() -> Kind {
    Kind {
        version: "2.96.0-dev",
        prepare: &["2.96.0", "--name", "Affogato"],
        cargo: "",
        members: &["lix/lix-rs", "tools/licxxbridge"],
        has_release_jobs: true,
        is_flag_in_flake: false,
    }
}

#[test]
fn beside_a_tree_that_stays_as_it_is() {
    let Some(trial) = Trial::begin(like_main()) else { return };
    let before = trial.tree.git(&["ls-files", "--stage"]);
    let status = commands().into_iter().find(|line| line.contains("--repo")).expect("the way from outside");
    // As in the guide, the tree is beside the checkout.
    let beside = trial.tool.beside("lix");
    std::os::unix::fs::symlink(&trial.tree.root, &beside).expect("a link");
    assert!(trial.typed(&trial.tool.root, &status).ok().starts_with("Lix 2.96.0-dev"));
    assert_eq!(trial.tree.git(&["ls-files", "--stage"]), before);
    trial.release(&trial.tool.root, " --repo ../lix");
    let files = trial.tree.git(&["ls-files"]);
    assert!(!files.contains("xtask") && !files.contains("releng.md"), "{files}");
    assert_eq!(trial.tool.git(&["status", "--porcelain"]), "");
}
