//! The receipt that a publication leaves in its environment, and the rule that an environment may require another's.
//!
//! `requires` in `releng.toml` names the environment to which exactly the same `release.json` must have been published
//! before.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use xtask::domain::digest::Digest;
use xtask::domain::format::{self, Format, Misread};
use xtask::domain::shown::excerpt;

use crate::domain::cache::signing::PublicKey;
use crate::domain::checks::proof::{Checked, Proof};
use crate::domain::publication::plan::{Judgement, Status};
use crate::domain::publication::servers::names;
use crate::domain::publication::statement;

/// The proof that a release is completely published in an environment, including its pointers, except for what it says
/// is missing. A newer tool may add fields.
///
/// `missing` came later, in the same format. A tool from before ignores it, and takes the receipt for that of a complete
/// publication; its `upload` still sends what is missing, because that is decided by looking, but leaves the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    #[serde(default)]
    pub format: Format,
    pub environment: String,
    pub version: String,
    /// Digest of `release.json`.
    pub record: Digest,
    /// Time at which everything was done.
    #[serde(with = "rfc3339")]
    pub published: OffsetDateTime,
    /// The required environment, if its receipt was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<Skipped>,
    /// The checks of the release. A tool from before ignores them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<Checked>,
    /// Targets that were left out, and have nothing of the release yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
}

/// A target that was left out of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Name of the target, as in `--without`.
    pub target: String,
    pub why: String,
}

/// A required environment whose receipt was skipped, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub environment: String,
    /// The manager's reason.
    pub reason: String,
}

/// What was seen of receipts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Digest of `release.json`, as released.
    pub record: Digest,
    /// The receipt in this environment.
    pub there: StoredReceipt,
    pub gate: Gate,
    pub proof: Proof,
    /// What this publication leaves out.
    pub left_out: Vec<Missing>,
}

/// The receipt for a version that an environment has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredReceipt {
    Missing,
    /// Something other than a receipt for this version in this environment, and why. Writing the receipt repairs it.
    Unreadable(String),
    /// A newer tool wrote it in a format that this one does not know; the message says so.
    Newer(String),
    Is(Receipt),
}

impl StoredReceipt {
    /// Reads `version`'s receipt in `environment`, if there is one. A receipt copied from elsewhere proves nothing about
    /// this environment, and neither does one that none of `keys` has signed, if there are any.
    pub fn parse(text: Option<&[u8]>, environment: &str, version: &str, keys: &[PublicKey]) -> StoredReceipt {
        let Some(text) = text else { return StoredReceipt::Missing };
        match format::parse::<Receipt>(&String::from_utf8_lossy(text), "a receipt") {
            Ok(receipt) if receipt.environment != environment || receipt.version != version => {
                let (of, from) = (excerpt(&receipt.version), excerpt(&receipt.environment));
                StoredReceipt::Unreadable(format!("is a copy of the receipt for {of} in {from}"))
            }
            Ok(receipt) => match statement::check(text, statement::RECEIPT, keys) {
                Err(why) if !keys.is_empty() => StoredReceipt::Unreadable(why),
                Ok(()) | Err(_) => StoredReceipt::Is(receipt),
            },
            Err(Misread::Wrong(why)) => StoredReceipt::Unreadable(why),
            Err(Misread::Newer(why)) => StoredReceipt::Newer(why),
        }
    }

    /// Whether it is the receipt for exactly this `release.json`.
    pub fn is_of(&self, record: Digest) -> bool {
        self.of(record).is_some()
    }

    /// The receipt, if it is for exactly this `release.json`.
    pub fn of(&self, record: Digest) -> Option<&Receipt> {
        match self {
            StoredReceipt::Is(receipt) if receipt.record == record => Some(receipt),
            StoredReceipt::Is(_) | StoredReceipt::Missing | StoredReceipt::Unreadable(_) | StoredReceipt::Newer(_) => {
                None
            }
        }
    }

    /// What is missing after a publication of `record` that leaves something out: what was there before still is.
    pub fn still_missing(&self, record: Digest, left_out: &[Missing]) -> Vec<Missing> {
        let was_there = |missing: &&Missing| match self.of(record) {
            Some(receipt) => !receipt.missing.iter().any(|before| before.target == missing.target),
            None => false,
        };
        left_out.iter().filter(|missing| !was_there(missing)).cloned().collect()
    }
}

/// Names of targets.
fn targets(missing: &[Missing]) -> String {
    names(missing.iter().map(|missing| missing.target.as_str()))
}

/// What another environment must have first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Nothing.
    Open,
    /// The environment must have this release; and the receipt that it has.
    Requires { environment: String, receipt: Option<Receipt> },
    /// The manager skips the requirement.
    Skipped(Skipped),
}

impl Gate {
    /// What the receipt records about a skipped requirement.
    pub fn skipped(&self) -> Option<Skipped> {
        match self {
            Gate::Skipped(skipped) => Some(skipped.clone()),
            Gate::Open | Gate::Requires { .. } => None,
        }
    }
}

/// Judges whether the receipt is there, and if not, whether it may be written.
pub fn judge(seen: &Seen) -> Judgement {
    let Seen { record, there, gate, proof, left_out } = seen;
    let missing = there.still_missing(*record, left_out);
    let but = if missing.is_empty() { String::new() } else { format!(", without {}", targets(&missing)) };
    if there.of(*record).is_some_and(|receipt| targets(&receipt.missing) == targets(&missing)) {
        return Judgement::same(record.short() + &but);
    }
    let judged = match proof.refusals(*record) {
        refusals if refusals.is_empty() => judge_new(*record, there, gate),
        // A release that is published already is repaired without it.
        _ if there.is_of(*record) => judge_new(*record, there, gate),
        refusals => Judgement::refused(refusals.into_iter().map(unproven).collect()),
    };
    if judged.is_to_do() && !but.is_empty() {
        let Judgement { status, summary, mut changes } = judged;
        changes.push(format!("record that it is{}", &but[1..]));
        return Judgement::new(status, summary + &but, changes);
    }
    judged
}

/// Judges whether a receipt other than what is there may be written.
fn judge_new(record: Digest, there: &StoredReceipt, gate: &Gate) -> Judgement {
    let (status, write) = match there {
        StoredReceipt::Is(before) if before.record == record => {
            (Status::Different, format!("write for {record}: {} was missing", targets(&before.missing)))
        }
        // Replacing it would lose fields that only the newer tool knows.
        StoredReceipt::Newer(why) => return Judgement::refused(vec![why.clone()]),
        StoredReceipt::Missing => (Status::Absent, format!("write for {record}")),
        StoredReceipt::Is(other) => (Status::Different, format!("write for {record} instead of {}", other.record)),
        StoredReceipt::Unreadable(why) => (Status::Different, format!("write for {record}: what is there {why}")),
    };
    match gate {
        Gate::Open => Judgement::new(status, "says that everything is done", vec![write]),
        Gate::Skipped(Skipped { environment, reason }) => {
            let without = format!("without {environment}: {reason}");
            Judgement::new(status, without.clone(), vec![write, without])
        }
        Gate::Requires { environment, receipt } => match receipt {
            Some(receipt) if receipt.record == record && !receipt.missing.is_empty() => {
                let missing = targets(&receipt.missing);
                refused(format!("{environment} has it without {missing}: `upload --env {environment}` completes it"))
            }
            Some(receipt) if receipt.record == record => {
                let since = receipt.published.date();
                Judgement::new(status, format!("{environment} has had it since {since}"), vec![write])
            }
            Some(receipt) => refused(format!(
                "{environment} has another build of it: its receipt is for release.json {}, ours is {}",
                receipt.record.short(),
                record.short()
            )),
            None => refused(format!("{environment} has no receipt for it: upload it to {environment} first")),
        },
    }
}

fn unproven(why: String) -> String {
    why + ": run `check` (`--skip-checks REASON` continues without it; the reason is recorded)"
}

fn refused(why: String) -> Judgement {
    Judgement::refused(vec![why + " (`--skip-staging REASON` continues without it; the reason is recorded)"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use time::macros::datetime;

    fn receipt(byte: u8) -> Receipt {
        Receipt {
            format: Format,
            environment: "staging".to_owned(),
            version: "2.93.1".to_owned(),
            record: Digest::new([byte; 32]),
            published: datetime!(2025-06-18 20:00 UTC),
            skipped: None,
            checked: None,
            missing: Vec::new(),
        }
    }

    #[test]
    fn the_gate_on_one_page() {
        let requires = |receipt| Gate::Requires { environment: "staging".to_owned(), receipt };
        let skipped = Skipped { environment: "staging".to_owned(), reason: "staging is down".to_owned() };
        let cases = [
            ("nothing required", StoredReceipt::Missing, Gate::Open),
            ("never tried", StoredReceipt::Missing, requires(None)),
            ("another build", StoredReceipt::Missing, requires(Some(receipt(2)))),
            ("the same", StoredReceipt::Missing, requires(Some(receipt(1)))),
            ("skipped", StoredReceipt::Missing, Gate::Skipped(skipped)),
            ("done before", StoredReceipt::Is(receipt(1)), requires(None)),
            ("done with another record", StoredReceipt::Is(receipt(2)), requires(Some(receipt(1)))),
            ("something else is there", StoredReceipt::parse(Some(b"{}"), "staging", "2.93.1", &[]), Gate::Open),
        ];
        let shown: Vec<String> = cases
            .into_iter()
            .map(|(what, there, gate)| {
                let Judgement { status, summary, .. } = judge(&Seen {
                    record: Digest::new([1; 32]),
                    there,
                    gate,
                    proof: Proof::default(),
                    left_out: Vec::new(),
                });
                format!("{what}: {status:?} {summary}")
            })
            .collect();
        expect![[r#"
            nothing required: Absent says that everything is done
            never tried: Refused(["staging has no receipt for it: upload it to staging first (`--skip-staging REASON` continues without it; the reason is recorded)"]) 
            another build: Refused(["staging has another build of it: its receipt is for release.json 020202020202, ours is 010101010101 (`--skip-staging REASON` continues without it; the reason is recorded)"]) 
            the same: Absent staging has had it since 2025-06-18
            skipped: Absent without staging: staging is down
            done before: Same 010101010101
            done with another record: Different staging has had it since 2025-06-18
            something else is there: Different says that everything is done"#]].assert_eq(&shown.join("\n"));
    }

    #[test]
    fn what_is_left_out_is_missing_until_it_is_there() {
        let missing = |targets: &[&str]| -> Vec<Missing> {
            let one = |target: &&str| Missing { target: (*target).to_owned(), why: "it is down".to_owned() };
            targets.iter().map(one).collect()
        };
        let partial = |targets: &[&str]| StoredReceipt::Is(Receipt { missing: missing(targets), ..receipt(1) });
        let cases = [
            ("first", StoredReceipt::Missing, vec!["a", "b"]),
            ("again", partial(&["a", "b"]), vec!["b", "a"]),
            ("one is back", partial(&["a", "b"]), vec!["b"]),
            ("both are back", partial(&["a", "b"]), vec![]),
            ("complete before", partial(&[]), vec!["a"]),
            ("another was out before", partial(&["a"]), vec!["b"]),
            ("another build", StoredReceipt::Is(Receipt { missing: missing(&["a"]), ..receipt(2) }), vec!["a"]),
        ];
        let shown: Vec<String> = cases
            .into_iter()
            .map(|(what, there, left_out)| {
                let seen = Seen {
                    record: Digest::new([1; 32]),
                    there,
                    gate: Gate::Open,
                    proof: Proof::default(),
                    left_out: missing(&left_out),
                };
                let Judgement { status, summary, .. } = judge(&seen);
                format!("{what}: {status:?} {summary}")
            })
            .collect();
        expect![[r#"
            first: Absent says that everything is done, without a, b
            again: Same 010101010101, without a, b
            one is back: Different says that everything is done, without b
            both are back: Different says that everything is done
            complete before: Same 010101010101
            another was out before: Different says that everything is done
            another build: Different says that everything is done, without a"#]]
        .assert_eq(&shown.join("\n"));
        let gate = Gate::Requires {
            environment: "staging".to_owned(),
            receipt: Some(Receipt { missing: missing(&["a"]), ..receipt(1) }),
        };
        let seen = Seen {
            record: Digest::new([1; 32]),
            there: StoredReceipt::Missing,
            gate,
            proof: Proof::default(),
            left_out: Vec::new(),
        };
        expect![[r#"Refused(["staging has it without a: `upload --env staging` completes it (`--skip-staging REASON` continues without it; the reason is recorded)"])"#]].assert_eq(&format!("{:?}", judge(&seen).status));
    }

    #[test]
    fn bytes() {
        let skipped = Skipped { environment: "staging".to_owned(), reason: "it is down".to_owned() };
        let missing = vec![Missing { target: "ghcr.io/lix".to_owned(), why: "connection refused".to_owned() }];
        let receipt = Receipt { skipped: Some(skipped), missing, ..receipt(1) };
        let json = serde_json::to_string_pretty(&receipt).expect("JSON");
        expect![[r#"
            {
              "format": 1,
              "environment": "staging",
              "version": "2.93.1",
              "record": "0101010101010101010101010101010101010101010101010101010101010101",
              "published": "2025-06-18T20:00:00Z",
              "skipped": {
                "environment": "staging",
                "reason": "it is down"
              },
              "missing": [
                {
                  "target": "ghcr.io/lix",
                  "why": "connection refused"
                }
              ]
            }"#]]
        .assert_eq(&json);
        let read = |json: &str| StoredReceipt::parse(Some(json.as_bytes()), "staging", "2.93.1", &[]);
        assert_eq!(read(&json), StoredReceipt::Is(receipt.clone()));
        assert_eq!(
            read(&json.replacen("{", "{ \"signed\": true,", 1)),
            StoredReceipt::Is(receipt.clone()),
            "a newer tool adds fields"
        );
        assert_eq!(read(&json.replacen("\"format\": 1,", "", 1)), StoredReceipt::Is(receipt));
        let why = |json: &str, environment: &str, version: &str| match StoredReceipt::parse(
            Some(json.as_bytes()),
            environment,
            version,
            &[],
        ) {
            StoredReceipt::Unreadable(why) | StoredReceipt::Newer(why) => why + "\n",
            other => panic!("{other:?}"),
        };
        expect![[r#"
            is a copy of the receipt for 2.93.1 in staging
            is a copy of the receipt for 2.93.1 in staging
            was made by a newer tool (format 2): use that tool
            is not a receipt: expected value at line 1 column 1
            is not a receipt: missing field `environment` at line 1 column 2
        "#]]
        .assert_eq(
            &[
                why(&json, "production", "2.93.1"),
                why(&json, "staging", "2.93.2"),
                why(&json.replacen("1", "2", 1), "staging", "2.93.1"),
                why("<html>", "staging", "2.93.1"),
                why("{}", "staging", "2.93.1"),
            ]
            .concat(),
        );
    }
}
