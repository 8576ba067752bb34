//! What the front door says while it builds the program that it becomes: the real cargo, on a workspace of two packages
//! of which one has a build script that waits until a test lets it go on.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use expect_test::expect;
use tempfile::TempDir;

use crate::TOOL;
use crate::repo::{Ran, skip};

/// A build script that waits for a file, so that a test decides how long the build takes. It ends if the test fails.
const BUILD_SCRIPT: &str = r#"
use std::{fs, path::Path, process, thread, time::Duration};
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    fs::write("../number", process::id().to_string()).unwrap();
    for _ in 0..6000 {
        if Path::new("../go").exists() { return }
        thread::sleep(Duration::from_millis(10));
    }
    process::exit(1);
}
"#;

/// A program that prints its arguments.
const PROGRAM: &str = r#"
fn main() {
    println!("{} in {}", std::env::args().skip(1).collect::<Vec<_>>().join(" "), std::env::var("CARGO_MANIFEST_DIR").unwrap());
    std::process::exit(slow::CODE);
}
"#;

const LOCK: &str = "version = 4\n\n[[package]]\nname = \"slow\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"xtask-publish\"\nversion = \"0.1.0\"\ndependencies = [\n \"slow\",\n]\n";

/// The first line that reports a build.
const LINE: &str = "building xtask-publish: 1 of 4";

/// A workspace that looks like this tool's.
struct Workspace {
    _scratch: TempDir,
    root: Utf8PathBuf,
}

impl Workspace {
    fn new() -> Workspace {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let root = Utf8Path::from_path(scratch.path()).expect("UTF-8").canonicalize_utf8().expect("it is there");
        let workspace = Workspace { _scratch: scratch, root };
        let package = |name| format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
        workspace.write("releng.toml", "");
        workspace.write("Cargo.toml", "[workspace]\nmembers = [\"slow\", \"publish\"]\nresolver = \"3\"\n");
        workspace.write("Cargo.lock", LOCK);
        workspace.write("slow/Cargo.toml", &package("slow"));
        workspace.write("slow/build.rs", BUILD_SCRIPT);
        workspace.write("slow/src/lib.rs", "pub const CODE: i32 = 7;\n");
        let depends = "[dependencies]\nslow = { path = \"../slow\" }\n";
        workspace.write("publish/Cargo.toml", &(package("xtask-publish") + depends));
        workspace.write("publish/src/main.rs", PROGRAM);
        workspace
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("in the workspace")).expect("directories");
        fs::write(path, content).expect("a file");
    }

    fn let_go(&self) {
        self.write("go", "");
    }

    fn hold(&self) {
        fs::remove_file(self.root.join("go")).expect("it was let go");
    }

    fn program(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        // The cargo that runs this test sets many variables for its children.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO")) {
            if name != "CARGO_HOME" {
                command.env_remove(name);
            }
        }
        command.args(args).current_dir(&self.root).env("CARGO_MANIFEST_DIR", &self.root).env_remove("CLICOLOR_FORCE");
        command
    }

    fn front_door(&self, args: &[&str]) -> Command {
        self.program(TOOL, args)
    }

    /// Runs the front door on a terminal.
    fn on_a_terminal(&self, phase: &str) -> Option<Command> {
        if Command::new("script").arg("--version").output().is_err() {
            skip("`script` is not installed");
            return None;
        }
        // If the tests run in the background, the shell makes their children ignore Ctrl-C.
        let typed = format!("exec env --default-signal=INT '{TOOL}' {phase}");
        let mut command = self.program("script", &["--quiet", "--return", "--flush", "--command", &typed, "/dev/null"]);
        command.env("TERM", "xterm");
        Some(command)
    }

    /// The output of the program that was built.
    fn answer(&self, phase: &str) -> String {
        format!("{phase} in {}\n", self.root)
    }
}

/// A running program, and its output so far.
struct Running {
    child: Child,
    stream: Box<dyn Read>,
    said: String,
}

impl Running {
    /// Reads its output from stderr.
    fn start(command: &mut Command) -> Running {
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = started.expect("it starts");
        let stream = Box::new(child.stderr.take().expect("a pipe"));
        Running { child, stream, said: String::new() }
    }

    /// Reads its output from stdout, to which `script` writes everything that its terminal receives.
    fn start_terminal(command: &mut Command) -> Running {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let stream = Box::new(child.stdout.take().expect("a pipe"));
        Running { child, stream, said: String::new() }
    }

    /// Waits until it has printed this.
    #[track_caller]
    fn until(mut self, text: &str) -> Running {
        let mut bytes = [0; 4096];
        while !self.said.contains(text) {
            let count = self.stream.read(&mut bytes).expect("it can be read");
            assert_ne!(count, 0, "it ended without {text:?}:\n{}", self.said);
            self.said += &String::from_utf8_lossy(&bytes[..count]);
        }
        self
    }

    fn ended(mut self) -> Ran {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("it can be read");
        let said = self.said + &String::from_utf8_lossy(&rest);
        let output = self.child.wait_with_output().expect("it ends");
        Ran { stderr: said, ..Ran::from(output) }
    }
}

/// Repeated lines count once, because a busy machine may be slow enough for several.
#[track_caller]
fn only_progress(said: &str) {
    assert!(said.ends_with('\n') && said.lines().all(|line| line.starts_with("building xtask-publish")), "{said}");
}

/// The directory in which a program is built, and the file that makes cargo build it.
struct Place<'a> {
    program: &'a str,
    variables: Vec<(&'static str, &'a str)>,
    configuration: &'static str,
}

#[test]
fn a_build_says_how_far_it_is_wherever_it_goes() {
    let host = Command::new("rustc").arg("-vV").output().expect("rustc is there");
    let host =
        String::from_utf8_lossy(&host.stdout).lines().find_map(|line| line.strip_prefix("host: ").map(str::to_owned));
    let host = host.expect("it says for what it compiles");
    let cross = format!("target/{host}/debug");
    let place = |program, variables, configuration| Place { program, variables, configuration };
    let places = [
        place("target/debug", vec![], ""),
        place("elsewhere/debug", vec![("CARGO_TARGET_DIR", "elsewhere")], ""),
        place(&cross, vec![("CARGO_BUILD_TARGET", host.as_str()), ("CARGO_TERM_QUIET", "true")], ""),
        place("configured/debug", vec![], "[build]\ntarget-dir = \"configured\"\n"),
    ];
    std::thread::scope(|scope| {
        for Place { program: place, variables, configuration } in places {
            scope.spawn(move || {
                let workspace = Workspace::new();
                workspace.write(".cargo/config.toml", configuration);
                let mut command = workspace.front_door(&["release", "status"]);
                let running = Running::start(command.envs(variables)).until(LINE);
                workspace.let_go();
                let ran = running.ended();
                assert_eq!(ran.code, Some(7), "{place}: {}", ran.stderr);
                assert_eq!(ran.stdout, workspace.answer("release status"), "{place}");
                only_progress(&ran.stderr);
                assert!(workspace.root.join(place).join("xtask-publish").exists(), "{place}");
            });
        }
    });
}

#[test]
fn what_is_built_is_not_spoken_of_and_a_part_is() {
    let workspace = Workspace::new();
    workspace.let_go();
    let run = || Ran::from(workspace.front_door(&["release", "status"]).output().expect("it runs"));
    assert_eq!(run().code, Some(7));
    let again = run();
    assert_eq!((again.code, again.stderr.as_str()), (Some(7), ""));

    workspace.hold();
    workspace.write("slow/build.rs", &format!("{BUILD_SCRIPT}// changed\n"));
    let running = Running::start(&mut workspace.front_door(&["release", "status"])).until(LINE);
    workspace.let_go();
    only_progress(&running.ended().stderr);
}

#[test]
fn another_cargo_is_waited_for_aloud() {
    let workspace = Workspace::new();
    let mut other = workspace.program("cargo", &["build", "--quiet"]).spawn().expect("it starts");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !workspace.root.join("number").exists() {
        assert!(Instant::now() < deadline, "the other cargo builds nothing");
        std::thread::sleep(Duration::from_millis(10));
    }
    let line = "building xtask-publish: waiting for another cargo to finish";
    let running = Running::start(&mut workspace.front_door(&["release", "status"])).until(line);
    workspace.let_go();
    let ran = running.ended();
    assert_eq!(ran.code, Some(7), "{}", ran.stderr);
    only_progress(&ran.stderr);
    assert!(other.wait().expect("it ends").success());
}

#[test]
fn a_terminal_has_one_line_that_is_written_over() {
    let workspace = Workspace::new();
    workspace.write("slow/src/lib.rs", "pub const CODE: i32 = 7;\nfn unused() {}\n");
    let Some(mut command) = workspace.on_a_terminal("release status") else { return };
    let running = Running::start_terminal(&mut command).until(LINE);
    workspace.let_go();
    let ran = running.ended();
    let start = "\r\u{1b}[2K";
    assert!(ran.stderr.starts_with(&format!("{start}building xtask-publish")), "{:?}", ran.stderr);
    assert!(ran.stderr.contains(&format!("{start}{LINE}")), "{:?}", ran.stderr);
    let (_, words) = ran.stderr.split_once("\u{1b}[33mwarning").expect(&ran.stderr);
    assert!(words.contains("unused"), "{words:?}");
    let last = ran.stderr.rsplit(start).next().unwrap_or_default().replace("\r\n", "\n");
    assert!(last.ends_with(&workspace.answer("release status")), "{last:?}");
    assert!(!last.contains("building"), "{last:?}");
    assert_eq!(ran.code, Some(7));
}

#[test]
fn ctrl_c_ends_the_build() {
    let workspace = Workspace::new();
    let Some(mut command) = workspace.on_a_terminal("release status") else { return };
    let mut running = Running::start_terminal(&mut command).until(LINE);
    running.child.stdin.as_mut().expect("a pipe").write_all(b"\x03").expect("it can be typed");
    let ran = running.ended();
    assert_eq!(ran.code, Some(130), "{:?}", ran.stderr);
    let number = fs::read_to_string(workspace.root.join("number")).expect("the build script ran");
    let deadline = Instant::now() + Duration::from_secs(10);
    while xtask::tools::process::is_running(number.parse().expect("a number")) {
        assert!(Instant::now() < deadline, "the build goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn with_quiet_only_words_are_left() {
    let workspace = Workspace::new();
    workspace.write("slow/src/lib.rs", "pub const CODE: i32 = 7;\nfn unused() {}\n");
    let running = Running::start(&mut workspace.front_door(&["--quiet", "release", "status"]));
    std::thread::sleep(Duration::from_millis(2500));
    workspace.let_go();
    let ran = running.ended();
    assert_eq!(ran.code, Some(7));
    assert!(ran.stderr.starts_with("warning: function `unused` is never used\n"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("building"), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_built_ends_with_cargos_words() {
    let workspace = Workspace::new();
    workspace.let_go();
    let run = |args: &[&str]| Ran::from(workspace.front_door(args).output().expect("it runs")).fails(1);
    workspace.write("publish/src/main.rs", "fn main() -> u8 {}\n");
    let error = run(&["release", "status"]);
    assert!(
        error.contains("error[E0308]: mismatched types\n --> publish/src/main.rs:1:14\n  |\n1 | fn main"),
        "{error}"
    );
    let last = error.lines().last().unwrap_or_default();
    expect!["error: cannot build xtask-publish: cargo failed (exit status: 101); its messages are above"]
        .assert_eq(last);

    fs::remove_file(workspace.root.join("Cargo.lock")).expect("it is there");
    let error = run(&["--quiet", "release", "status"]);
    assert!(error.contains("because --locked was passed to prevent this"), "{error}");
    assert!(error.lines().last().unwrap_or_default().starts_with("error: cannot build xtask-publish"), "{error}");
}
