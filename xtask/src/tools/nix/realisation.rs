//! Nix while it builds: what it writes is read, shown, and kept for the report of what failed.

use std::process::ExitStatus;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use camino::Utf8Path;

use super::super::process::running::{self, Running};
use super::super::{process, term};
use super::Nix;
use crate::domain::build::jobs::Derivation;
use crate::domain::build::nix_log::{Builds, Heard};
use crate::domain::store_path::StorePath;

/// Options that make SSH give up on a builder that is silent for a minute. Those of the manager come first, and win.
const KEEP_ALIVE: &str = "-o ServerAliveInterval=15 -o ServerAliveCountMax=4";
/// Largest number of characters of a line of progress.
const WIDTH: usize = 78;

/// A run of `nix-store --realise`. Dropping it terminates the program.
pub struct Realisation {
    running: Running,
    builds: Arc<Mutex<Builds>>,
    read: Receiver<()>,
}

/// How a run of `nix-store --realise` ended.
#[derive(Debug)]
pub struct Ended {
    pub builds: Builds,
    pub status: ExitStatus,
    /// The command.
    pub shown: String,
}

impl Nix {
    /// Starts to build or fetch derivations with all their outputs. Goes on after a failure, with whatever does not depend
    /// on it. `builders` replaces Nix's list of builders. Links in `gc_roots` protect the outputs from the garbage collector;
    /// those of a single derivation are named after it.
    ///
    /// # Errors
    /// `nix-store` cannot be started.
    pub fn start_realise(
        &self,
        derivations: &[&StorePath],
        gc_roots: &Utf8Path,
        builders: Option<&str>,
    ) -> Result<Realisation> {
        // Nix numbers the links of several.
        let root = match derivations {
            [derivation] => gc_roots.join(Derivation::base_name_of(derivation)),
            _ => gc_roots.join("goal"),
        };
        let cmd = self.sh.cmd("nix-store").arg("--realise").args(derivations.iter().map(|path| path.to_string()));
        let cmd = cmd
            .args(["--add-root", root.as_str()])
            .args(["--keep-going", "--log-format", "internal-json"])
            .args(&self.args.build);
        let cmd = cmd.args(builders.iter().flat_map(|list| ["--builders", list]));
        let options = std::env::var("NIX_SSHOPTS").unwrap_or_default();
        let cmd = cmd.env("NIX_SSHOPTS", format!("{options} {KEEP_ALIVE}").trim_start());
        let builds = Arc::new(Mutex::new(Builds::default()));
        let theirs = Arc::clone(&builds);
        let (running, read) = running::start_reading(cmd, move |line| {
            let mut builds = theirs.lock().unwrap_or_else(PoisonError::into_inner);
            let heard = builds.hear(line);
            show(&heard, builds.now());
        })?;
        Ok(Realisation { running, builds, read })
    }

    /// Returns the derivations that one derivation is made of, directly.
    ///
    /// # Errors
    /// Nix's message.
    pub fn inputs(&self, derivation: &StorePath) -> Result<Vec<StorePath>> {
        self.query("--references", derivation)
    }

    /// Returns everything that a derivation is made of.
    ///
    /// # Errors
    /// Nix's message.
    pub fn requisites(&self, derivation: &StorePath) -> Result<Vec<StorePath>> {
        self.query("--requisites", derivation)
    }

    fn query(&self, what: &str, derivation: &StorePath) -> Result<Vec<StorePath>> {
        let paths = process::read(self.sh.cmd("nix-store").args(["--query", what, &derivation.to_string()]))?;
        let paths = paths.lines().filter_map(|line| StorePath::parse(line.trim()).ok());
        Ok(paths.filter(StorePath::is_derivation).collect())
    }
}

impl Realisation {
    /// Waits for the program to end, whatever becomes of it.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn finish(self) -> Result<Ended> {
        let (status, shown) = self.running.wait()?;
        // A program that it left running may hold the stream open.
        let _ = self.read.recv_timeout(process::LINGER);
        if term::can_redraw() {
            term::erase();
        }
        let builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Ended { builds, status, shown })
    }
}

/// Shows what was heard: on a terminal, one line of progress instead of the logs.
fn show(heard: &Heard, now: Option<String>) {
    let draws = term::can_redraw() && !term::is_verbose();
    match heard {
        Heard::Message(message) if !message.is_empty() => {
            if draws {
                term::erase();
            }
            term::say(message);
        }
        Heard::Log { name, line } if !draws => term::say(format_args!("{name}> {line}")),
        _ => {}
    }
    if let Some(now) = now.filter(|_| draws) {
        term::redraw(now.chars().take(WIDTH).collect::<String>());
    }
}
