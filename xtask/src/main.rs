//! The front door of Lix's release tool: reads the command line and runs the command. Exit codes: 0 done, 1 failed,
//! 2 wrong usage, 3 waiting for something outside. The commands are in `cli.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::tools::interrupt::listen();
    xtask::cli::main(|_, invocation| xtask::phases::publish::exec_publish(&invocation.workspace))
}
