//! `cargo xtask bench notes`: `release notes` of a release build on no fragments and on 2,000, as a contributor would run
//! it. A measurement, never a test: a slow machine is no defect.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use xtask::domain::notes::category::Category;

/// Number of runs: enough for a meaningful median, few enough to wait for.
const RUNS: usize = 15;

fn main() {
    for count in [0, 2000] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for i in 0..count {
            fs::write(dir.path().join(format!("fragment-{i}.md")), fragment(i)).expect("written");
        }
        let mut times = Vec::new();
        for _ in 0..RUNS {
            let mut tool = Command::new(env!("CARGO_BIN_EXE_xtask"));
            tool.args(["release", "notes", "--no-authors"]).arg(dir.path());
            let start = Instant::now();
            let output = tool.output().expect("the tool runs");
            times.push(start.elapsed());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        println!("notes, {count:>4} fragments: median {:>6.1} ms of {RUNS} runs", median(times));
    }
}

/// Returns the median in milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

/// Returns a fragment of ordinary size, different for every `i`.
fn fragment(i: usize) -> String {
    let category = Category::ALL[i % Category::ALL.len()].name();
    let paragraph =
        format!("Paragraph of change {i}, about as long as people write them,\nwith `code` and *words*.\n\n");
    let head = [
        "---".to_owned(),
        format!("synopsis: \"Change number {i} of `nix`\""),
        format!("cls: [1{i}, 2{i}]"),
        format!("issues: [fj#1{i}, gh#2{i}]"),
        format!("category: {category}"),
        "credits: [someone, other]".to_owned(),
        "---\n\n".to_owned(),
    ];
    head.join("\n") + &paragraph.repeat(6)
}
