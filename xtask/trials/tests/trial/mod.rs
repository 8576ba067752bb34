//! Runs a trial on the programs that were built beside the tests.

use std::path::Path;
use std::process::Command;

/// Runs a trial, asserts success, and returns its table; `None` if it cannot be tried here.
pub fn table(program: &str, arguments: &[&str]) -> Option<String> {
    let program = Path::new(program);
    let (front_door, publisher) = (program.with_file_name("xtask"), program.with_file_name("xtask-publish"));
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    if let Some(missing) = missing(&front_door, &publisher) {
        xtask_test_support::skip(&missing);
        return None;
    }
    let mut command = Command::new(program);
    command.args(arguments).arg("--workspace").arg(workspace);
    command.arg("--front-door").arg(&front_door).arg("--publisher").arg(&publisher);
    let output = command.output().expect("it runs");
    let (table, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{table}");
    assert!(output.status.success(), "{table}{why}");
    Some(table.into_owned())
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
