//! The outcomes of checks, and `checks.json`, which is bound to one `release.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xtask::domain::amounts::enumerate;
use xtask::domain::digest::Digest;
use xtask::domain::format::{self, Format, Misread};
use xtask::domain::release::check::Check;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    Passed {
        /// What was checked, for people.
        told: String,
    },
    Failed {
        problems: Vec<String>,
    },
    /// It failed, and the manager goes on for a reason.
    Accepted {
        problems: Vec<String>,
        reason: String,
    },
    /// It could not be run, which proves nothing.
    NotRun {
        why: String,
    },
}

impl Outcome {
    /// Turns a failure into one that the manager accepts, if there is a reason.
    #[must_use]
    pub fn accepted(self, reason: Option<&str>) -> Outcome {
        match (self, reason) {
            (Outcome::Failed { problems }, Some(reason)) => Outcome::Accepted { problems, reason: reason.to_owned() },
            (outcome, _) => outcome,
        }
    }
}

/// What all checks of one release found. A newer tool may add fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checks {
    #[serde(default)]
    pub format: Format,
    pub version: String,
    /// Digest of `release.json`.
    pub record: Digest,
    /// Version of the tool that checked.
    pub tool: String,
    pub checks: BTreeMap<String, Outcome>,
}

impl Checks {
    /// Reads `checks.json`.
    ///
    /// # Errors
    /// It is something else, or a newer tool's.
    pub fn parse(text: &str) -> Result<Checks, Misread> {
        format::parse(text, "a list of checks")
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("it has only string keys") + "\n"
    }

    /// Returns the outcome of a check; `None` if it was not asked for.
    pub fn of(&self, check: Check) -> Option<&Outcome> {
        self.checks.get(check.name())
    }

    /// Returns why the release with this record is not proven: what is missing, failed, or was not run.
    pub fn missing(&self, record: Digest) -> Vec<String> {
        if self.record != record {
            return vec![format!("the checks are of another build, whose release.json is {}", self.record.short())];
        }
        let (mut unasked, mut failed, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        for check in Check::EVERY.into_iter().filter(|check| check.is_required()) {
            match self.of(check) {
                Some(Outcome::Passed { .. } | Outcome::Accepted { .. }) => {}
                Some(Outcome::NotRun { why }) => missing.push(format!("{check} was not run: {why}")),
                Some(Outcome::Failed { .. }) => failed.push(check),
                None => unasked.push(check),
            }
        }
        for (what, checks) in [("failed", failed), ("not checked", unasked)] {
            if !checks.is_empty() {
                missing.push(format!("{what}: {}", enumerate(checks)));
            }
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn checks() -> Checks {
        let passed = || Outcome::Passed { told: "3 archives".to_owned() };
        let all = Check::EVERY.into_iter().filter(|check| check.is_required());
        Checks {
            format: Format,
            version: "2.93.1".to_owned(),
            record: Digest::new([1; 32]),
            tool: "0.1.0".to_owned(),
            checks: all.map(|check| (check.name().to_owned(), passed())).collect(),
        }
    }

    #[test]
    fn only_what_passed_proves_a_release() {
        let record = Digest::new([1; 32]);
        assert_eq!(checks().missing(record), Vec::<String>::new());
        let mut other = checks();
        let failed = Outcome::Failed { problems: vec!["it grew".to_owned()] };
        other.checks.insert("growth".to_owned(), failed.clone().accepted(Some("a new library")));
        assert_eq!(other.missing(record), Vec::<String>::new());
        other.checks.insert("growth".to_owned(), failed.accepted(None));
        other.checks.insert("smoke".to_owned(), Outcome::NotRun { why: "no namespaces".to_owned() });
        other.checks.remove("jobs");
        expect![[r#"
            smoke was not run: no namespaces
            failed: growth
            not checked: jobs"#]]
        .assert_eq(&other.missing(record).join("\n"));
        expect!["the checks are of another build, whose release.json is 010101010101"]
            .assert_eq(&other.missing(Digest::new([2; 32])).join("\n"));
    }

    #[test]
    fn bytes() {
        let mut checks = checks();
        checks.checks.retain(|name, _| name == "source");
        let failed = Outcome::Failed { problems: vec!["it grew".to_owned()] };
        checks.checks.insert("growth".to_owned(), failed.accepted(Some("a new library")));
        expect![[r#"
            {
              "format": 1,
              "version": "2.93.1",
              "record": "0101010101010101010101010101010101010101010101010101010101010101",
              "tool": "0.1.0",
              "checks": {
                "growth": {
                  "outcome": "accepted",
                  "problems": [
                    "it grew"
                  ],
                  "reason": "a new library"
                },
                "source": {
                  "outcome": "passed",
                  "told": "3 archives"
                }
              }
            }
        "#]]
        .assert_eq(&checks.to_json());
        assert_eq!(Checks::parse(&checks.to_json()), Ok(checks.clone()));
        let newer = checks.to_json().replacen("\"format\": 1", "\"format\": 2", 1);
        assert!(matches!(Checks::parse(&newer), Err(Misread::Newer(_))));
        assert!(matches!(Checks::parse("{}"), Err(Misread::Wrong(_))));
    }
}
