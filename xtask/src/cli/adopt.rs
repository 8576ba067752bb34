//! The arguments of `adopt`.

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use clap::Args;

use super::outcome::{Invocation, Outcome};
use crate::phases::adopt::{self, Consent, Request};

#[derive(Debug, Args)]
pub struct AdoptArgs {
    /// Top directory of the tree that gets the tool
    #[arg(value_name = "DIR")]
    dir: Utf8PathBuf,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Write nothing; exit 1 if something is missing or differs
    #[arg(long, conflicts_with = "yes")]
    check: bool,
}

impl AdoptArgs {
    pub fn run(self, invocation: &Invocation) -> Result<Outcome> {
        let consent = match (self.yes, self.check) {
            (_, true) => Consent::Refused,
            (true, _) => Consent::Given,
            _ => Consent::Ask,
        };
        let complete = adopt::run(&invocation.workspace, &invocation.product, &Request { dir: self.dir, consent });
        Ok(if complete.context("cannot adopt the tool")? { Outcome::Done } else { Outcome::Failed })
    }
}
