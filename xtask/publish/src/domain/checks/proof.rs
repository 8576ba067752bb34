//! Whether the checks of a release allow its publication, and what the receipt says of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xtask::domain::digest::Digest;

use super::report::{Checks, Outcome};

/// What is known of the checks of a release when it is published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Whether the environment takes only a release that passed.
    pub is_required: bool,
    /// The manager's reason to go without.
    pub skipped: Option<String>,
    /// The outcomes; `None` if nothing was checked.
    pub checks: Option<Checks>,
}

/// What a receipt says of checks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The manager's reason to publish without all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// The outcome of each: `passed`, `failed`, `not run`, or `accepted` and the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outcomes: BTreeMap<String, String>,
}

impl Proof {
    /// Returns why the release with this record may not be published; empty if it may.
    pub fn refusals(&self, record: Digest) -> Vec<String> {
        match (&self.checks, &self.skipped) {
            (_, Some(_)) => Vec::new(),
            _ if !self.is_required => Vec::new(),
            (None, None) => vec!["the release is not checked".to_owned()],
            (Some(checks), None) => checks.missing(record),
        }
    }

    /// Returns what the receipt says; `None` if there is nothing to say.
    pub fn checked(&self, record: Digest) -> Option<Checked> {
        let ours = self.checks.iter().filter(|checks| checks.record == record);
        let outcomes: BTreeMap<String, String> =
            ours.flat_map(|checks| &checks.checks).map(|(name, outcome)| (name.clone(), in_a_word(outcome))).collect();
        let checked = Checked { skipped: self.skipped.clone(), outcomes };
        (checked != Checked::default()).then_some(checked)
    }
}

fn in_a_word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed { .. } => "passed".to_owned(),
        Outcome::Failed { .. } => "failed".to_owned(),
        Outcome::NotRun { .. } => "not run".to_owned(),
        Outcome::Accepted { reason, .. } => format!("accepted: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask::domain::format::Format;

    #[test]
    fn what_is_required_is_asked_for_and_only_that() {
        let record = Digest::new([1; 32]);
        let failed = Outcome::Failed { problems: vec!["it grew".to_owned()] };
        let checks = Checks {
            format: Format,
            version: "2.93.1".to_owned(),
            record,
            tool: "0.1.0".to_owned(),
            checks: BTreeMap::from([("growth".to_owned(), failed)]),
        };
        let required = Proof { is_required: true, ..Proof::default() };
        assert_eq!(Proof::default().refusals(record), Vec::<String>::new());
        assert_eq!(required.refusals(record), ["the release is not checked"]);
        let failed = Proof { checks: Some(checks), ..required.clone() };
        assert!(failed.refusals(record).contains(&"failed: growth".to_owned()));
        let skipped = Proof { skipped: Some("in a hurry".to_owned()), ..failed.clone() };
        assert_eq!(skipped.refusals(record), Vec::<String>::new());
        let checked = skipped.checked(record).expect("something");
        assert_eq!(checked.skipped.as_deref(), Some("in a hurry"));
        assert_eq!(checked.outcomes["growth"], "failed");
        assert_eq!(failed.checked(Digest::new([2; 32])), None, "of another build");
        assert_eq!(required.checked(record), None);
    }
}
