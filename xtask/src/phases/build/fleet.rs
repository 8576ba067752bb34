//! The builders that a build can count on: asked before it begins, and again when one was lost.

use std::collections::BTreeSet;

use crate::domain::build::builder_answer::Verdict;
use crate::domain::build::builders::{Builder, Machines};
use crate::domain::build::nix_log::{Failure, Kind};
use crate::tools::nix::Nix;
use crate::tools::term;

/// All machines that build, and what each builder answered.
#[derive(Debug, Default, Clone)]
pub struct Fleet {
    machines: Machines,
    verdicts: Vec<Verdict>,
    /// URIs of builders that answer and are avoided all the same.
    avoided: BTreeSet<String>,
}

impl Fleet {
    /// Asks Nix which builders there are, and all of these whether they could build now.
    pub fn ask(nix: &Nix) -> Fleet {
        match nix.machines() {
            Ok(machines) => {
                let verdicts = nix.ask(&machines);
                Fleet { machines, verdicts, avoided: BTreeSet::new() }
            }
            Err(error) => {
                term::warn(format_args!("the builders cannot be asked: {error:#}"));
                Fleet::default()
            }
        }
    }

    /// Returns what is wrong with the builders, one line each.
    pub fn warnings(&self) -> Vec<String> {
        let wrong = self.verdicts.iter().filter(|verdict| !verdict.problems.is_empty());
        let left_out = |verdict: &Verdict| if verdict.usable { "" } else { "; nothing is built there" };
        wrong.map(|verdict| format!("the builder {}{}", verdict.line(), left_out(verdict))).collect()
    }

    fn is_used(&self, verdict: &Verdict) -> bool {
        verdict.usable && !self.avoided.contains(&verdict.builder.uri)
    }

    fn used(&self) -> impl Iterator<Item = &Builder> {
        self.verdicts.iter().filter(|verdict| self.is_used(verdict)).map(|verdict| &verdict.builder)
    }

    /// Returns the list of builders for Nix; `None` if its own list is right.
    pub fn list(&self) -> Option<String> {
        if self.verdicts.iter().all(|verdict| self.is_used(verdict)) {
            return None;
        }
        Some(self.used().map(|builder| builder.line.as_str()).collect::<Vec<_>>().join(" ; "))
    }

    pub fn ask_again(&mut self, nix: &Nix) {
        self.verdicts = nix.ask(&self.machines);
    }

    /// Asks all builders again, after some were lost. The builds that these were at then go elsewhere, if another machine
    /// takes them.
    pub fn replace_lost(&mut self, nix: &Nix, failures: &[Failure]) {
        self.ask_again(nix);
        for failure in failures.iter().filter(|failure| failure.kind != Kind::Broken) {
            let Some(lost) = self.used().find(|builder| builder.is(&failure.machine)).cloned() else { continue };
            let mut others = self.machines.clone();
            others.builders = self.used().filter(|builder| builder.uri != lost.uri).cloned().collect();
            let own = self.machines.here.first().cloned();
            let mut systems = lost.systems.iter().chain(own.iter().filter(|_| lost.systems.is_empty()));
            // A builder without space has nothing for a second try; one that was lost may be back.
            if failure.kind == Kind::Full || systems.all(|system| others.who(system).is_some()) {
                self.avoided.insert(lost.uri);
            }
        }
    }

    /// Explains a failure that is the builder's: what is wrong with it now, and what to do.
    pub fn explain(&self, failure: &Failure) -> Option<String> {
        let verdict = self.verdicts.iter().find(|verdict| verdict.builder.is(&failure.machine))?;
        match failure.kind {
            Kind::Broken => None,
            Kind::Full => Some(format!("{}: free some space there (`nix-collect-garbage`)", failure.machine)),
            Kind::Lost if verdict.problems.is_empty() => {
                Some(format!("{} answers again ({})", failure.machine, verdict.detail))
            }
            Kind::Lost => Some(verdict.line()),
        }
    }

    /// Returns what keeps builders from being used.
    pub fn unusable(&self) -> impl Iterator<Item = String> {
        self.verdicts.iter().filter(|verdict| !verdict.usable).map(Verdict::line)
    }
}
