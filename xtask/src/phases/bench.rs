//! `bench`: measurements, side by side and by hand. Never part of a test: a slow machine is not a defect.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::domain::notes::category::Category;
use crate::tools::cargo::Program;
use crate::tools::process;
use crate::tools::scratch_dir::ScratchDir;
use crate::tools::term;

/// Number of runs: enough for a meaningful median, few enough to wait for.
const RUNS: usize = 15;

/// Times `release notes` of a release build on no fragments and on 2,000, as a contributor would run it.
///
/// # Errors
/// The build or a run fails.
pub fn notes(workspace: &Utf8Path) -> Result<()> {
    let sh = process::shell_in(workspace)?;
    let manifest = workspace.join("Cargo.toml");
    let program = Program { what: "xtask", manifest: &manifest, package: "xtask", release: true }.built(&sh)?;
    for count in [0, 2000] {
        let dir = ScratchDir::new()?;
        for i in 0..count {
            let path = dir.path().join(format!("fragment-{i}.md"));
            std::fs::write(&path, fragment(i)).with_context(|| format!("cannot write {path}"))?;
        }
        let mut times = Vec::new();
        for _ in 0..RUNS {
            let start = Instant::now();
            process::read(sh.cmd(&program).args(["release", "notes", "--no-authors"]).arg(dir.path()))?;
            times.push(start.elapsed());
        }
        term::say(format_args!("notes, {count:>4} fragments: median {:>6.1} ms of {RUNS} runs", median(times)));
    }
    Ok(())
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
