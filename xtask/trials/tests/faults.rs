//! Some faults of each kind, and some interleavings of two runs, as `cargo xtask faults` tries them all.

mod trial;

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
    let Some(table) = trial::table(env!("CARGO_BIN_EXE_xtask-faults"), &TRIALS) else { return };
    assert_eq!(table.lines().count(), 1 + ROWS, "a heading, two phases, and a meeting:\n{table}");
}
