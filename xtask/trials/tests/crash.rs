//! One point of each kind, in the first phase that has it, as `cargo xtask crash --kinds --once` tries them: everything is
//! killed, or the power is cut.

use std::path::Path;
use std::process::Command;

/// The others, a patch and a train, have the kinds of an upload.
const PHASES: [&str; 8] = ["prepare", "tag", "build", "finish", "announce", "installer", "upload", "rollback"];

#[test]
fn one_point_of_each_kind_ends_well() {
    let crash = Path::new(env!("CARGO_BIN_EXE_xtask-crash"));
    let built = |name: &str| crash.with_file_name(name);
    let (front_door, publisher) = (built("xtask"), built("xtask-publish"));
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    if let Some(missing) = missing(&front_door, &publisher) {
        xtask_test_support::skip(&missing);
        return;
    }
    let mut command = Command::new(crash);
    command.args(PHASES).args(["--kinds", "--once", "--victim", "all", "--victim", "power", "--workspace"]);
    command.arg(workspace);
    command.arg("--front-door").arg(&front_door).arg("--publisher").arg(&publisher);
    let output = command.output().expect("it runs");
    let (table, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{table}");
    assert!(output.status.success(), "{table}{why}");
    assert_eq!(table.lines().count(), 1 + 2 * PHASES.len(), "a heading, and two rows for each phase");
}

/// Why it cannot be tried here.
fn missing(front_door: &Path, publisher: &Path) -> Option<String> {
    if !(cfg!(target_os = "linux") && cfg!(target_arch = "x86_64")) {
        return Some("only Linux on x86_64 can stop a program before what it changes".to_owned());
    }
    // Both are built before any test runs, if the whole workspace is tested.
    if !front_door.exists() || !publisher.exists() {
        return Some("the tool is not built beside this test: test the whole workspace".to_owned());
    }
    let missing =
        ["nix", "skopeo"].into_iter().find(|program| Command::new(program).arg("--version").output().is_err());
    missing.map(|program| format!("{program} is not installed"))
}
