//! The phases that are killed: the state that each starts from, and its command line.
//!
//! Every state is made by the tool itself, from a small copy of the stand-in tree. A state is one directory, which is
//! copied for each run: `tree/`, `tree2/`, `env/` (the environment that is published to), `inst/`, `tmp/` and `home/`.

use std::fs;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use xtask_test_support::STAND_IN;

/// Number of fragments that stay: few, so that there are few points.
const FRAGMENTS: usize = 3;
const DATE: &str = "2025-06-23";

/// A phase of a release.
#[derive(Debug, Clone, Copy)]
pub struct Phase {
    pub name: &'static str,
    /// The state that it starts from.
    pub state: &'static str,
    pub arguments: &'static [&'static str],
    /// Whether it publishes, so that users see a difference.
    pub publishes: bool,
}

const TO_LOCAL: [&str; 3] = ["--env", "local", "--noconfirm"];

pub const PHASES: [Phase; 10] = [
    Phase {
        name: "prepare",
        state: "prepare",
        arguments: &["prepare", "0.1.0", "--name", "First Light", "--date", DATE],
        publishes: false,
    },
    Phase { name: "tag", state: "tag", arguments: &["tag"], publishes: false },
    Phase { name: "build", state: "build", arguments: &["build"], publishes: false },
    Phase {
        name: "upload",
        state: "upload",
        arguments: &["upload", TO_LOCAL[0], TO_LOCAL[1], TO_LOCAL[2]],
        publishes: true,
    },
    Phase {
        name: "finish",
        state: "finish",
        arguments: &["finish", "--env", "local", "--push", "--yes"],
        publishes: true,
    },
    Phase { name: "announce", state: "finish", arguments: &["announce"], publishes: false },
    Phase {
        name: "installer",
        state: "installer",
        arguments: &["installer", TO_LOCAL[0], TO_LOCAL[1], TO_LOCAL[2], "--from", "inst"],
        publishes: true,
    },
    Phase {
        name: "patch",
        state: "patch",
        arguments: &["upload", TO_LOCAL[0], TO_LOCAL[1], TO_LOCAL[2]],
        publishes: true,
    },
    Phase {
        name: "rollback",
        state: "rollback",
        arguments: &["rollback", TO_LOCAL[0], TO_LOCAL[1], TO_LOCAL[2], "--to", "0.1.0"],
        publishes: true,
    },
    Phase {
        name: "train",
        state: "train",
        arguments: &["train", TO_LOCAL[0], TO_LOCAL[1], TO_LOCAL[2]],
        publishes: true,
    },
];

/// A directory for all runs, and the programs that are run.
pub struct Lab {
    pub dir: Utf8PathBuf,
    /// Paths of `xtask` and `xtask-publish`.
    pub programs: [Utf8PathBuf; 2],
    /// The tool's workspace.
    pub workspace: Utf8PathBuf,
}

impl Lab {
    /// The directory that a worker works in.
    pub fn place(&self, worker: usize) -> Utf8PathBuf {
        self.dir.join(format!("w{worker}"))
    }

    /// The command of a phase, in a place.
    pub fn command(&self, phase: &Phase, place: &Utf8Path) -> Command {
        let mut command = self.tool(phase.arguments, place, "tree");
        if phase.name == "train" {
            command.args(["--repo", place.join("tree2").as_str()]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn tool(&self, arguments: &[&str], place: &Utf8Path, tree: &str) -> Command {
        let publishes = ["plan", "upload", "installer", "rollback", "train", "verify"].contains(&arguments[0]);
        let mut command = Command::new(&self.programs[usize::from(publishes)]);
        command.arg("release").args(
            arguments.iter().map(
                |word| {
                    if *word == "inst" { place.join(word).into_string() } else { (*word).to_owned() }
                },
            ),
        );
        command.args(["--repo", place.join(tree).as_str()]);
        if arguments.contains(&"--env") {
            command.args(["--config", place.join("releng.toml").as_str()]);
        }
        isolate(&mut command, place);
        command
    }

    /// Puts a copy of a state in a place.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn reset(&self, state: &str, place: &Utf8Path) -> Result<()> {
        if place.exists() {
            fs::remove_dir_all(place).with_context(|| format!("cannot remove {place}"))?;
        }
        run(Command::new("cp").args(["-a", self.dir.join("states").join(state).as_str(), place.as_str()]))?;
        // The environment lies beside the trees, so that a train shares it.
        let config = fs::read_to_string(self.workspace.join("releng.toml")).context("cannot read releng.toml")?;
        let config = config.replace("release/local/", &format!("{place}/env/"));
        fs::write(place.join("releng.toml"), config).context("cannot write releng.toml")
    }

    fn save(&self, state: &str, place: &Utf8Path) -> Result<()> {
        run(Command::new("cp").args(["-a", place.as_str(), self.dir.join("states").join(state).as_str()]))
    }

    /// Makes every state.
    ///
    /// # Errors
    /// A phase fails.
    pub fn prepare(&self) -> Result<()> {
        self.prepare_for(&PHASES.iter().collect::<Vec<_>>())
    }

    /// Makes the states that some phases start from, and those on the way.
    ///
    /// # Errors
    /// A phase fails.
    pub fn prepare_for(&self, phases: &[&Phase]) -> Result<()> {
        let is_all = || phases.iter().all(|phase| self.dir.join("states").join(phase.state).exists());
        let place = self.place(0);
        let (tree, other) = (place.join("tree"), place.join("tree2"));
        fs::create_dir_all(self.dir.join("states"))?;
        for dir in ["tree/xtask", "tmp", "home", "env", "inst"] {
            fs::create_dir_all(place.join(dir))?;
        }
        self.stand_in(&tree)?;
        self.save("prepare", &place)?;
        self.reset("prepare", &place)?;
        let phase = |name: &str| PHASES.iter().find(|phase| phase.name == name).expect("a phase of the list");
        let tool = |arguments: &[&str]| run(&mut self.tool(arguments, &place, "tree"));
        let git = |tree: &Utf8Path, arguments: &[&str]| run(git(tree, &place).args(arguments));
        for (name, next) in [("prepare", "tag"), ("tag", "build"), ("build", "upload"), ("upload", "finish")] {
            run(&mut self.command(phase(name), &place))?;
            self.save(next, &place)?;
            if is_all() {
                return Ok(());
            }
        }
        installers(&place.join("inst"))?;
        self.save("installer", &place)?;
        if is_all() {
            return Ok(());
        }
        tool(phase("finish").arguments)?;
        // The next new series, in another tree.
        run(Command::new("cp").args(["-a", tree.as_str(), other.as_str()]))?;
        // A patch, with a page less and a page more.
        git(&tree, &["switch", "--quiet", "release-0.1"])?;
        git(&tree, &["mv", "doc/manual/src/introduction.md", "doc/manual/src/beginning.md"])?;
        let summary = tree.join("doc/manual/src/SUMMARY.md");
        let text = fs::read_to_string(&summary)?.replace("introduction.md", "beginning.md");
        fs::write(&summary, text)?;
        fs::write(tree.join("doc/manual/rl-next/a-page.md"), "---\nsynopsis: Another page\n---\n\nIt begins.\n")?;
        git(&tree, &["add", "--all"])?;
        git(&tree, &["commit", "--quiet", "--message", "another page"])?;
        for arguments in [&["prepare", "0.1.1", "--date", DATE][..], &["tag"], &["build"]] {
            tool(arguments)?;
        }
        self.save("patch", &place)?;
        tool(phase("patch").arguments)?;
        self.save("rollback", &place)?;
        if is_all() {
            return Ok(());
        }

        self.reset("patch", &place)?;
        let in_other = |arguments: &[&str]| run(&mut self.tool(arguments, &place, "tree2"));
        fs::write(other.join("doc/manual/rl-next/new.md"), "---\nsynopsis: New\n---\n\nIt is.\n")?;
        git(&other, &["add", "--all"])?;
        git(&other, &["commit", "--quiet", "--message", "something new"])?;
        for arguments in [&["prepare", "0.2.0", "--name", "Second Light", "--date", DATE][..], &["tag"], &["build"]] {
            in_other(arguments)?;
        }
        self.save("train", &place)
    }

    fn stand_in(&self, tree: &Utf8Path) -> Result<()> {
        let host = self.workspace.parent().context("the workspace stands in no tree")?;
        ensure!(host.join("stand-in").exists(), "{host} is not the tool's own tree, which has a small release to make");
        for part in STAND_IN {
            run(Command::new("cp").args(["-a", host.join(part).as_str(), tree.join(part).as_str()]))?;
        }
        let manual = tree.join("stand-in/manual.sh");
        fs::write(&manual, fs::read_to_string(&manual)?.replace("pages=200", "pages=8"))?;
        let fragments = tree.join("doc/manual/rl-next");
        let mut names: Vec<_> = fragments.read_dir_utf8()?.flatten().map(|entry| entry.into_path()).collect();
        names.retain(|path| path.extension() == Some("md"));
        names.sort();
        for path in names.iter().skip(FRAGMENTS) {
            fs::remove_file(path)?;
        }
        fs::write(tree.join(".gitignore"), "/release\n/release.new\n/release.old\n")?;
        let place = tree.parent().context("the tree has no parent directory")?;
        for arguments in [
            &["init", "--quiet", "--initial-branch=main"][..],
            &["add", "--all"],
            &["commit", "--quiet", "--message", "a small tree"],
        ] {
            run(git(tree, place).args(arguments))?;
        }
        Ok(())
    }
}

/// Runs a program, and asserts success.
fn run(command: &mut Command) -> Result<()> {
    let output = output(command)?;
    ensure!(output.status.success(), "{command:?} failed ({})\n{}", output.status, said(&output));
    Ok(())
}

/// Runs a program that has no stdin.
///
/// # Errors
/// It cannot be started.
pub fn output(command: &mut Command) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot run {command:?}"))
}

/// Returns what a program wrote to stderr.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim_end().to_owned()
}

/// Returns a git command in a tree, without the user's settings.
pub fn git(tree: &Utf8Path, place: &Utf8Path) -> Command {
    let mut command = Command::new("git");
    isolate(&mut command, place);
    command.args(["-C", tree.as_str()]);
    command
}

/// Makes a run repeatable, and keeps everything that it writes in its place.
fn isolate(command: &mut Command, place: &Utf8Path) {
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Release Manager");
        command.env(format!("GIT_{who}_EMAIL"), "manager@example.org");
        command.env(format!("GIT_{who}_DATE"), "1750000000 +0000");
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("HOME", place.join("home"))
        .env("TMPDIR", place.join("tmp"))
        .env("NIX_CONFIG", "sandbox = false\nbuild-users-group =\nsubstituters =\n")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("XDG_RUNTIME_DIR")
        .env_remove("XDG_CACHE_HOME")
        .env_remove("RUST_BACKTRACE");
}

/// Files that begin like installers of three systems.
fn installers(dir: &Utf8Path) -> Result<()> {
    for (system, machine) in [("x86_64-linux", 62u16), ("aarch64-linux", 183)] {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend_from_slice(&2u16.to_le_bytes());
        file.extend_from_slice(&machine.to_le_bytes());
        file.resize(4096, 0);
        fs::write(dir.join(format!("lix-installer-{system}")), file)?;
    }
    let mut file = Vec::new();
    // The magic number of 64-bit Mach-O, and the number of 64-bit Arm.
    file.extend_from_slice(&0xfeed_facfu32.to_le_bytes());
    file.extend_from_slice(&0x0100_000cu32.to_le_bytes());
    file.extend_from_slice(&[0, 0, 0, 0, 2, 0, 0, 0]);
    file.resize(4096, 0);
    fs::write(dir.join("lix-installer-aarch64-darwin"), file)?;
    Ok(())
}
