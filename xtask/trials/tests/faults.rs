//! Some faults of each kind, and some interleavings of two runs, as `cargo xtask faults` tries them all.

use std::path::Path;
use std::process::Command;

/// Of quick faults and of meetings, as many as every change can wait for.
const TRIALS: [&str; 10] = [
    "upload",
    "rollback",
    "together",
    "--side=s3",
    "--kinds",
    "--quick",
    "--most=6",
    "--meeting=series",
    "--interleavings=3",
    "--workers=4",
];
const ROWS: usize = 3;

#[test]
fn a_fault_of_each_kind_and_two_at_once_end_well() {
    let faults = Path::new(env!("CARGO_BIN_EXE_xtask-faults"));
    let built = |name: &str| faults.with_file_name(name);
    let (front_door, publisher) = (built("xtask"), built("xtask-publish"));
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    if let Some(missing) = missing(&front_door, &publisher) {
        xtask_test_support::skip(&missing);
        return;
    }
    let mut command = Command::new(faults);
    command.args(TRIALS).arg("--workspace").arg(workspace);
    command.arg("--front-door").arg(&front_door).arg("--publisher").arg(&publisher);
    let output = command.output().expect("it runs");
    let (table, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{table}");
    assert!(output.status.success(), "{table}{why}");
    assert_eq!(table.lines().count(), 1 + ROWS, "a heading, two phases, and a meeting:\n{table}");
}

/// Why it cannot be tried here.
fn missing(front_door: &Path, publisher: &Path) -> Option<String> {
    // Both are built before any test runs, if the whole workspace is tested.
    if !front_door.exists() || !publisher.exists() {
        return Some("the tool is not built beside this test: test the whole workspace".to_owned());
    }
    let missing =
        ["nix", "skopeo"].into_iter().find(|program| Command::new(program).arg("--version").output().is_err());
    missing.map(|program| format!("{program} is not installed"))
}
