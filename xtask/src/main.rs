//! The front door of Lix's release tool: reads the command line, runs what it asks for, and turns the result into an
//! exit code (0 done, 1 failed, 2 wrong usage). What there is to ask for stands in `cli.rs`.

use std::process::ExitCode;

use clap::Parser;
use xtask::cli::{Cli, Outcome};
use xtask::tools::term;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(error) => {
            term::error(&error);
            ExitCode::FAILURE
        }
    }
}
