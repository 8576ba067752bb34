//! One point of each kind, in the first phase that has it, as `cargo xtask crash --kinds --once` tries them: everything is
//! killed, or the power is cut.

mod trial;

/// The others, a patch and a train, have the kinds of an upload.
const PHASES: [&str; 8] = ["prepare", "tag", "build", "finish", "announce", "installer", "upload", "rollback"];

#[test]
fn one_point_of_each_kind_ends_well() {
    if !(cfg!(target_os = "linux") && cfg!(target_arch = "x86_64")) {
        xtask_test_support::skip("only Linux on x86_64 can stop a program before what it changes");
        return;
    }
    let how = ["--kinds", "--once", "--victim", "all", "--victim", "power"];
    let Some(table) = trial::table(env!("CARGO_BIN_EXE_xtask-crash"), &[&PHASES[..], &how].concat()) else { return };
    assert_eq!(table.lines().count(), 1 + 2 * PHASES.len(), "a heading, and two rows for each phase");
}
