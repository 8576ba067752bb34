//! What only a proof asks of Nix: whether a flake has an output, and a build of what is built already.

use anyhow::Result;

use super::{Failure, Flake, Nix};
use crate::domain::store_path::StorePath;
use crate::tools::process;

impl Nix {
    /// Whether a flake has an output, be it one that does not evaluate.
    ///
    /// # Errors
    /// Nix cannot be run.
    pub fn has(&self, flake: &Flake, path: &[String]) -> Result<bool> {
        match self.eval(flake, path, "output: true") {
            Err(Failure::Message(fault)) => Ok(!fault.is_no_output()),
            Err(failure) => Err(failure.into_error()),
            Ok(_) => Ok(true),
        }
    }

    /// Builds a derivation that is already built, and compares.
    ///
    /// # Errors
    /// Nix's message: the outputs differ, or it does not build.
    pub fn build_again(&self, derivation: &StorePath) -> Result<()> {
        let cmd = self.sh.cmd("nix-store").args(["--realise", "--check", "--quiet", "--no-build-output"]);
        let cmd = cmd.arg(derivation.to_string()).args(&self.args.build);
        let shown = cmd.to_string();
        process::check(&shown, &process::capture_watched(cmd, &shown, |_| Ok(()))?)
    }
}
