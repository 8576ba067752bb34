//! `xtask-publish`: the same command line as the front door's, which becomes this program for what it cannot do itself.

use std::process::ExitCode;

use anyhow::Context;
use tokio::runtime::Runtime;
use xtask_publish::tools::secret_file;

fn main() -> ExitCode {
    xtask::cli::main(|command, place| {
        let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
        let _entered = runtime.enter();
        secret_file::remove_on_signals()?;
        runtime.block_on(xtask_publish::phases::run(command, place))
    })
}
