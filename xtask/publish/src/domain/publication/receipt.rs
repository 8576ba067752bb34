//! The receipt that a publication leaves in its environment, and the rule that one environment may want another's.
//!
//! `requires` in `releng.toml` names the environment that must have taken the very same `release.json` before. Refuses
//! to read buckets.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;
use xtask::domain::digest::Digest;
use xtask::domain::format::{self, Format, Misread};
use xtask::domain::problem::excerpt;

use crate::domain::publication::plan::{Judgement, Status};

/// That all of a release is published in an environment, pointers included. A newer tool may have more to say in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    #[serde(default)]
    pub format: Format,
    pub environment: String,
    pub version: String,
    /// Of `release.json`.
    pub record: Digest,
    /// When it was all done.
    #[serde(with = "rfc3339")]
    pub published: OffsetDateTime,
    /// The environment that should have had it before, and did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<Skipped>,
}

/// Why another environment's receipt was not waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub environment: String,
    /// In the manager's words.
    pub reason: String,
}

/// What was seen of receipts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Of `release.json`, as it is released.
    pub record: Digest,
    /// This environment's own.
    pub there: StoredReceipt,
    pub gate: Gate,
}

/// The receipt that an environment has of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredReceipt {
    Missing,
    /// Something that is not a receipt of this version in this environment, and why. Writing it again repairs that.
    Unreadable(String),
    /// A newer tool wrote it, in a format that this one does not know; and what is said of that.
    Newer(String),
    Is(Receipt),
}

impl StoredReceipt {
    /// What lies there, if anything does: `version`'s receipt in `environment`. One that was copied from elsewhere says
    /// nothing of this environment.
    pub fn parse(text: Option<&[u8]>, environment: &str, version: &str) -> StoredReceipt {
        let Some(text) = text else { return StoredReceipt::Missing };
        match format::parse::<Receipt>(&String::from_utf8_lossy(text), "a receipt") {
            Ok(receipt) if receipt.environment != environment || receipt.version != version => {
                let (of, from) = (excerpt(&receipt.version), excerpt(&receipt.environment));
                StoredReceipt::Unreadable(format!("is the receipt of {of} in {from}, copied here"))
            }
            Ok(receipt) => StoredReceipt::Is(receipt),
            Err(Misread::Wrong(why)) => StoredReceipt::Unreadable(why),
            Err(Misread::Newer(why)) => StoredReceipt::Newer(why),
        }
    }

    /// Whether it is of this very `release.json`.
    pub fn is_of(&self, record: Digest) -> bool {
        matches!(self, StoredReceipt::Is(receipt) if receipt.record == record)
    }
}

/// What has to be true elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Nothing.
    Open,
    /// The environment has to have taken this release; and what it says it has.
    Requires { environment: String, receipt: Option<Receipt> },
    /// The manager goes on without it.
    Skipped(Skipped),
}

impl Gate {
    /// For the receipt of the release that passed.
    pub fn skipped(&self) -> Option<Skipped> {
        match self {
            Gate::Skipped(skipped) => Some(skipped.clone()),
            Gate::Open | Gate::Requires { .. } => None,
        }
    }
}

/// Whether the receipt is there, and else whether it may be written.
pub fn judge(seen: &Seen) -> Judgement {
    let Seen { record, there, gate } = seen;
    if there.is_of(*record) {
        return Judgement::same(record.short());
    }
    let (status, write) = match there {
        // What it says would be lost.
        StoredReceipt::Newer(why) => return Judgement::refused(vec![why.clone()]),
        StoredReceipt::Missing => (Status::Absent, format!("write for {record}")),
        StoredReceipt::Is(other) => (Status::Different, format!("write for {record}, and not for {}", other.record)),
        StoredReceipt::Unreadable(why) => (Status::Different, format!("write for {record}: what is there {why}")),
    };
    match gate {
        Gate::Open => Judgement::new(status, "says that all of it is done", vec![write]),
        Gate::Skipped(Skipped { environment, reason }) => {
            let without = format!("without {environment}: {reason}");
            Judgement::new(status, without.clone(), vec![write, without])
        }
        Gate::Requires { environment, receipt } => match receipt {
            Some(receipt) if receipt.record == *record => {
                Judgement::new(status, format!("{environment} has it since {}", receipt.published.date()), vec![write])
            }
            Some(receipt) => refused(format!(
                "{environment} has another build of it: its receipt is of release.json {}, and ours is {}",
                receipt.record.short(),
                record.short()
            )),
            None => refused(format!("{environment} has no receipt of it: upload it to {environment} first")),
        },
    }
}

fn refused(why: String) -> Judgement {
    Judgement::refused(vec![why + " (`--skip-staging REASON` goes on without, and is recorded)"])
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
            ("something else is there", StoredReceipt::parse(Some(b"{}"), "staging", "2.93.1"), Gate::Open),
        ];
        let shown: Vec<String> = cases
            .into_iter()
            .map(|(what, there, gate)| {
                let Judgement { status, summary, .. } = judge(&Seen { record: Digest::new([1; 32]), there, gate });
                format!("{what}: {status:?} {summary}")
            })
            .collect();
        expect![[r#"
            nothing required: Absent says that all of it is done
            never tried: Refused(["staging has no receipt of it: upload it to staging first (`--skip-staging REASON` goes on without, and is recorded)"]) 
            another build: Refused(["staging has another build of it: its receipt is of release.json 020202020202, and ours is 010101010101 (`--skip-staging REASON` goes on without, and is recorded)"]) 
            the same: Absent staging has it since 2025-06-18
            skipped: Absent without staging: staging is down
            done before: Same 010101010101
            done with another record: Different staging has it since 2025-06-18
            something else is there: Different says that all of it is done"#]].assert_eq(&shown.join("\n"));
    }

    #[test]
    fn bytes() {
        let skipped = Skipped { environment: "staging".to_owned(), reason: "it is down".to_owned() };
        let receipt = Receipt { skipped: Some(skipped), ..receipt(1) };
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
              }
            }"#]]
        .assert_eq(&json);
        let read = |json: &str| StoredReceipt::parse(Some(json.as_bytes()), "staging", "2.93.1");
        assert_eq!(read(&json), StoredReceipt::Is(receipt.clone()));
        assert_eq!(
            read(&json.replacen("{", "{ \"signed\": true,", 1)),
            StoredReceipt::Is(receipt.clone()),
            "a newer tool says more"
        );
        assert_eq!(read(&json.replacen("\"format\": 1,", "", 1)), StoredReceipt::Is(receipt));
        let why = |json: &str, environment: &str, version: &str| match StoredReceipt::parse(
            Some(json.as_bytes()),
            environment,
            version,
        ) {
            StoredReceipt::Unreadable(why) | StoredReceipt::Newer(why) => why + "\n",
            other => panic!("{other:?}"),
        };
        expect![[r#"
            is the receipt of 2.93.1 in staging, copied here
            is the receipt of 2.93.1 in staging, copied here
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
