//! What the tests of both packages share: temporary repositories, shaped like a Lix tree, and a package's own program
//! run in them.
//!
//! Only tests depend on this, so that nothing of it is compiled for the tool.

use std::fs;
use std::io::Write;
use std::marker::PhantomData;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, ExitStatus, Output, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

pub mod fuzz;
pub mod hostile;

/// As root and off the network.
pub const NIX_CONFIG: &str = "sandbox = false\nbuild-users-group =\nsubstituters =\n";

/// The parts of the host tree that make a stand-in to release, relative to the tree.
pub const STAND_IN: [&str; 8] = [
    "Cargo.toml",
    "Cargo.lock",
    "flake.nix",
    "flake.lock",
    "version.json",
    "stand-in",
    "doc",
    "xtask/release-jobs.nix",
];

/// The option of git for a repository whose refs are a reftable; `None` if this git makes none, as before 2.45.
pub fn reftable() -> Option<&'static str> {
    const REFTABLE: &str = "--ref-format=reftable";
    let scratch = tempfile::tempdir().expect("a directory");
    let made = Command::new("git").args(["init", "--quiet", REFTABLE]).arg(scratch.path()).output();
    made.is_ok_and(|made| made.status.success()).then_some(REFTABLE)
}

/// The signal of Ctrl-C.
pub const SIGINT: i32 = 2;

/// The same command, which Ctrl-C stops even if these tests run in the background, where a shell makes all that is started
/// ignore it.
pub fn heeding_ctrl_c(command: &Command) -> Command {
    let mut heeding = Command::new("env");
    heeding.arg("--default-signal=INT").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => heeding.env(name, value),
            None => heeding.env_remove(name),
        };
    }
    heeding.current_dir(command.get_current_dir().unwrap_or(".".as_ref()));
    heeding
}

/// Sends a signal, by its number, to a process. (A small machine has no program that does.)
///
/// # Panics
/// There is no such process, or no such signal.
pub fn send(to: u32, signal: i32) {
    let signal = Signal::from_named_raw(signal).expect("a signal");
    rustix::process::kill_process(pid(to), signal).expect("sent");
}

/// Kills all processes of a group that are still there.
pub fn kill_group(leader: u32) {
    let _ = rustix::process::kill_process_group(pid(leader), Signal::KILL);
}

fn pid(number: u32) -> Pid {
    i32::try_from(number).ok().and_then(Pid::from_raw).expect("the number of a process")
}

/// Copies the stand-in of this repository into a directory that exists.
///
/// # Panics
/// It cannot be copied.
pub fn copy_stand_in(to: &Utf8Path) {
    let host = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).expect("the host of the workspace");
    fs::create_dir_all(to.join("xtask")).expect("a directory");
    for part in STAND_IN {
        let copied = Command::new("cp").arg("-r").arg(host.join(part)).arg(to.join(part)).status();
        assert!(copied.is_ok_and(|status| status.success()), "{part}");
    }
}

/// Reports that a test cannot run on this machine, and why.
///
/// # Panics
/// Every test has to run here: continuous integration sets `RELENG_TESTS=all`, so that a program that is no longer
/// installed is a failure and not a test less.
pub fn skip(why: &str) {
    assert!(std::env::var_os("RELENG_TESTS").is_none_or(|which| which != "all"), "this test cannot be skipped: {why}");
    eprintln!("skipped: {why}");
}

/// The Python that has the verifiers that others wrote, from `.ci/verifiers`; `None` if it is not there.
pub fn verifiers() -> Option<Utf8PathBuf> {
    let cache = || {
        let home = |name: &str, below: &str| Some(Utf8PathBuf::from(std::env::var(name).ok()?).join(below));
        let cache = home("XDG_CACHE_HOME", "").or_else(|| home("HOME", ".cache"))?;
        Some(cache.join("releng-verifiers/bin/python"))
    };
    let python = std::env::var("RELENG_VERIFIERS").ok().map(Utf8PathBuf::from).or_else(cache)?;
    python.exists().then_some(python)
}

/// The program that a package's tests run. Cargo gives its path only to these tests.
pub trait Tool {
    const PATH: &'static str;

    /// Makes a command that runs it outside of any repository.
    fn command(args: &[&str]) -> Command {
        let mut command = isolated(Self::PATH, Utf8Path::new("/"));
        command.args(args);
        command
    }

    /// Runs it outside of any repository.
    fn run(args: &[&str]) -> Ran {
        Ran::from(Self::command(args).output().expect("the tool runs"))
    }
}

/// A repository that is removed with this value, with everything beside it; and the tool to run in it.
pub struct Repo<T> {
    pub scratch: TempDir,
    pub root: Utf8PathBuf,
    tool: PhantomData<T>,
}

/// The output of a program, and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn from(output: Output) -> Ran {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran {
            code: output.status.code(),
            status: output.status,
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Asserts success, and returns stdout.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.code == Some(0), "{}{}{}", self.stdout, self.stderr, self.status);
        self.stdout
    }

    /// Asserts failure with this exit code, and returns stderr.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert!(self.code == Some(code), "{}{}{}, not {code}", self.stdout, self.stderr, self.status);
        self.stderr
    }
}

impl<T: Tool> Repo<T> {
    /// Wraps an existing repository at `root`; `scratch` has everything beside it.
    pub fn at(scratch: TempDir, root: Utf8PathBuf) -> Repo<T> {
        Repo { scratch, root, tool: PhantomData }
    }

    /// Makes an empty repository on branch `main`, with an identity.
    pub fn empty() -> Repo<T> {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let root = Utf8Path::from_path(scratch.path()).expect("UTF-8").join("tree");
        fs::create_dir(&root).expect("a new directory");
        let repo = Self::at(scratch, root);
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo.git(&["config", "user.name", "Release Manager"]);
        repo.git(&["config", "user.email", "manager@example.org"]);
        repo
    }

    /// Makes a tree at 2.93.1 of an existing series, with two fragments.
    pub fn patch_release() -> Repo<T> {
        let repo = Self::empty();
        repo.write("version.json", "{\n    \"version\": \"2.93.1\",\n    \"official_release\": false,\n    \"release_name\": \"Bici Bici\"\n}\n");
        repo.write(".gitignore", "/release\n");
        repo.write("doc/manual/change-authors.yml", "jade:\n  forgejo: jade\npuck: {}\n");
        repo.write("doc/manual/src/SUMMARY.md", "- [Notes](n.md)\n    <!-- RELENG-AUTO-INSERTION-MARKER -->\n  - [Lix 2.93 (2025-05-09)](release-notes/rl-2.93.md)\n");
        repo.write(
            "doc/manual/src/release-notes/rl-2.93.md",
            "# Lix 2.93 \"Bici Bici\" (2025-05-09)\n\n\n# Lix 2.93.0 (2025-05-09)\n## Fixes\n\n- a\n",
        );
        repo.write("doc/manual/rl-next/.gitkeep", "");
        repo.write(
            "doc/manual/rl-next/one.md",
            "---\nsynopsis: One\ncategory: Fixes\ncls: 1\ncredits: jade\n---\n\nFirst.\n",
        );
        repo.write("doc/manual/rl-next/two.md", "---\nsynopsis: Two\ncls: 2\n---\n\nSecond.\n");
        repo.commit_all("a tree");
        repo
    }

    /// Copies the repository.
    pub fn copy(&self) -> Repo<T> {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let root = Utf8Path::from_path(scratch.path()).expect("UTF-8").join("tree");
        let copied = Command::new("cp").args(["-a", self.root.as_str(), root.as_str()]).status();
        assert!(copied.is_ok_and(|status| status.success()));
        Self::at(scratch, root)
    }

    /// Path beside the repository.
    pub fn beside(&self, name: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.scratch.path()).expect("UTF-8").join(name)
    }

    pub fn write(&self, path: &str, content: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("in the tree")).expect("directories");
        fs::write(path, content).expect("a file");
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).expect(path)
    }

    pub fn commit_all(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--no-verify", "-m", message]);
    }

    /// Runs git, asserts success, and returns its output without the final newline.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        let output = isolated("git", &self.root).args(args).output().expect("git runs");
        let ran = Ran::from(output);
        assert_eq!(ran.code, Some(0), "git {args:?}: {}", ran.stderr);
        ran.stdout.trim_end_matches('\n').to_owned()
    }

    /// The state of the branch, the index and the work tree, to compare before and after.
    pub fn state(&self) -> String {
        let head = self.git(&["rev-parse", "--symbolic-full-name", "HEAD"]);
        format!("{head}\n{}\n{}", self.git(&["rev-parse", "HEAD"]), self.git(&["status", "--porcelain"]))
    }

    /// Runs the tool from elsewhere, with `--repo` naming this tree.
    pub fn xtask(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().expect("the tool runs"))
    }

    /// Runs the tool with this stdin.
    pub fn answering(&self, answers: &str, args: &[&str]) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the tool runs");
        // It may have ended without reading its stdin.
        let _ = child.stdin.take().expect("piped").write_all(answers.as_bytes());
        Ran::from(child.wait_with_output().expect("it ends"))
    }

    /// Runs the tool with a `git` that kills it after a call, numbered from 1.
    pub fn killed_after(&self, call: usize, args: &[&str]) -> Output {
        let dir = self.beside("bin");
        fs::create_dir_all(&dir).expect("a directory");
        let path = std::env::var("PATH").expect("a PATH");
        let script = format!(
            "#!/bin/sh\necho >> {dir}/calls\nPATH='{path}' git \"$@\"\nstatus=$?\n\
             [ \"$(wc -l < {dir}/calls)\" = {call} ] && kill -KILL $PPID\nexit $status\n"
        );
        fs::write(dir.join("git"), script).expect("written");
        make_executable(&dir.join("git"));
        self.command(args).env("PATH", format!("{dir}:{path}")).output().expect("the tool runs")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = T::command(args);
        command.args(["--repo", self.root.as_str()]);
        command
    }
}

/// Makes a command run under limits that a shell sets, such as `ulimit -n 64`. A file that becomes too large is an error
/// there, as on a full disk, and not the end of the program.
pub fn limited(command: &Command, limits: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("trap '' XFSZ; {limits} && exec \"$@\""), "sh"]);
    within(shell, command)
}

/// Makes a command run where a directory is mounted read-only, which stops even root; `None` if this machine does not allow
/// such mounts.
pub fn read_only(command: &Command, dir: &Utf8Path) -> Option<Command> {
    let ways = [&["--mount"][..], &["--map-root-user", "--mount"]];
    let works = |args: &&[&str]| {
        let tried = Command::new("unshare").args(*args).arg("true").output();
        tried.is_ok_and(|output| output.status.success())
    };
    let mut other = Command::new("unshare");
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && exec \"$@\"";
    other.args(ways.into_iter().find(works)?).args(["sh", "-c", script, dir.as_str()]);
    Some(within(other, command))
}

/// Adds a command to one that runs another, with its environment and directory.
fn within(mut outer: Command, command: &Command) -> Command {
    outer.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        outer.current_dir(dir);
    }
    outer
}

pub fn make_executable(path: &Utf8Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
}

/// Makes a command that does not see this machine's git configuration.
fn isolated(program: &str, dir: &Utf8Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    command.env("NIX_CONFIG", NIX_CONFIG);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "NO_COLOR"]
    {
        command.env_remove(variable);
    }
    command
}

/// Makes bytes that neither compress nor repeat within one block of the server, like a tarball's. The same seed gives
/// the same bytes.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    const BLOCK: usize = 1 << 16;
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    // Only one block is computed, and stamped with its number, because this usually runs unoptimised.
    let block: Vec<u8> = words.flatten().take(length.min(BLOCK)).collect();
    let mut bytes = Vec::with_capacity(length);
    for number in 0..length.div_ceil(BLOCK) {
        let start = bytes.len();
        bytes.extend_from_slice(&block[..block.len().min(length - start)]);
        let stamp = (number as u64).to_le_bytes();
        let stamped = stamp.len().min(bytes.len() - start);
        if number > 0 {
            bytes[start..start + stamped].copy_from_slice(&stamp[..stamped]);
        }
    }
    bytes
}
