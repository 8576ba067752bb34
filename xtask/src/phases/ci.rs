//! `ci`: what every change has to pass, the quickest check first.

use std::num::NonZero;
use std::time::Instant;

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::tools::process;
use crate::tools::term::{self, BOLD, DIM, GOOD};

/// The parts, each with the arguments that cargo gets for it.
const PARTS: [(&str, &[&str]); 3] = [
    ("format", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"]),
    ("tests", &["test", "--workspace", "--locked"]),
];

/// How many tests run at once. They wait for programs and servers for much of their time, so twice as many as there are
/// cores keep these busy.
const THREADS: &str = "RUST_TEST_THREADS";

/// Runs the parts on `workspace` and stops at the first that fails.
///
/// # Errors
/// The name of the part that failed.
pub fn run(workspace: &Utf8Path) -> Result<()> {
    let sh = process::shell_in(workspace)?;
    if std::env::var_os(THREADS).is_none() {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        sh.set_var(THREADS, (2 * cores).to_string());
    }
    let mut times = Vec::new();
    for (name, args) in PARTS {
        let cmd = sh.cmd("cargo").args(args);
        term::say(format_args!("{BOLD}{name}{BOLD:#} {DIM}{cmd}{DIM:#}"));
        let start = Instant::now();
        process::show(cmd).with_context(|| format!("the part `{name}` failed"))?;
        times.push((name, start.elapsed()));
    }
    for (name, time) in times {
        term::say(format_args!("{GOOD}ok{GOOD:#}  {name:<8} {:>7.1} s", time.as_secs_f64()));
    }
    Ok(())
}
