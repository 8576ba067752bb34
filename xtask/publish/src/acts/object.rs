//! A single small object: the root manifest, a receipt, or the list of withdrawn versions.

use anyhow::{Context, Result};
use serde_json::Value;
use time::OffsetDateTime;
use xtask::domain::build::manifest;
use xtask::domain::format::Format;
use xtask::domain::layout::{MANIFEST, WITHDRAWN, WITHDRAWN_COPY};
use xtask::domain::version::Version;

use super::delivery::Delivery;
use crate::domain::limits;
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::judgement::Seen;
use crate::domain::publication::pointers::withdrawn_by_rollback;
use crate::domain::publication::receipt::{self, Receipt, StoredReceipt};
use crate::domain::publication::{statement, withdrawn};
use crate::domain::serving::{MOVING, content_type};
use crate::site::Stores;
use crate::site::published::{published_in_any_case, receipt_in};
use crate::tools::root_manifest;
use crate::tools::store::{Properties, Store};

/// An object in the releases bucket, and what it should be.
pub struct Prospect {
    /// Objects to write by their keys, in this order.
    objects: Vec<(String, Text)>,
    properties: Properties,
    /// Whether caches may keep it.
    is_kept: bool,
    pub(super) seen: Seen,
}

/// The text of an object.
enum Text {
    Plain(Vec<u8>),
    /// A statement that is signed when it is written, and its namespace.
    Statement(Value, &'static str),
}

impl Prospect {
    /// Makes the prospect of a pointer or a receipt.
    fn new(key: String, text: Text, seen: Seen) -> Prospect {
        let properties = Properties { content_type: content_type(&key).into(), cache_control: MOVING.into() };
        Prospect { objects: vec![(key, text)], properties, is_kept: true, seen }
    }

    /// The keys that caches may have.
    pub(super) fn keys(&self) -> Vec<String> {
        let kept = self.objects.iter().filter(|_| self.is_kept);
        kept.map(|(key, _)| key.clone()).collect()
    }

    pub(super) async fn apply(&self, stores: &Stores) -> Result<()> {
        for (key, text) in &self.objects {
            let text = match text {
                Text::Plain(text) => text.clone(),
                Text::Statement(value, namespace) => {
                    let signing = stores.signing_key().with_context(|| format!("{key} has to be signed"))?;
                    statement::signed(value, namespace, signing).into_bytes()
                }
            };
            stores.of(Bucket::Releases).put_bytes(key, text, &self.properties).await?;
        }
        Ok(())
    }
}

/// Looks at the root manifest.
///
/// # Errors
/// The bucket cannot be read.
pub async fn root_manifest(delivery: &Delivery<'_>) -> Result<Prospect> {
    let releases = delivery.read.of(Bucket::Releases);
    let live = match releases.get(MANIFEST, limits::POINTER).await? {
        Some(bytes) => Some(root_manifest::read(&bytes).await?),
        None => None,
    };
    let faults = header_faults(releases, MANIFEST).await?;
    let ours = delivery.built.record.manifest();
    let text = Text::Plain(manifest::render(&ours).into_bytes());
    Ok(Prospect::new(MANIFEST.to_owned(), text, Seen::Manifest { ours, live }.served(faults)))
}

/// Looks at the receipt.
///
/// # Errors
/// The bucket cannot be read.
pub async fn receipt(delivery: &Delivery<'_>) -> Result<Prospect> {
    let (built, key) = (&delivery.built, delivery.built.layout().receipt());
    let there = receipt_in(delivery.site, delivery.read, &built.record.version).await?;
    let text = Text::Statement(serde_json::to_value(receipt_of(delivery, &there))?, statement::RECEIPT);
    let (gate, proof, left_out) = (delivery.gate.clone(), delivery.proof.clone(), delivery.missing());
    let seen = receipt::Seen { record: built.record_digest, there, gate, proof, left_out };
    let faults = header_faults(delivery.read.of(Bucket::Releases), &key).await?;
    Ok(Prospect::new(key, text, Seen::Receipt(Box::new(seen)).served(faults)))
}

/// Looks at the list of withdrawn versions, which a rollback to `to` changes.
///
/// # Errors
/// The bucket cannot be read.
pub async fn withdraw(delivery: &Delivery<'_>, to: &Version) -> Result<Prospect> {
    let (now, unclear) = published_in_any_case(delivery.read.of(Bucket::Releases), delivery.site).await?;
    let ours = withdrawn_by_rollback(to, &now);
    let unclear = unclear.map(|unclear| unclear.why);
    let copy = serde_json::to_value(withdrawn::Copy::new(&delivery.site.name, &ours))?;
    Ok(Prospect {
        // The list last, because the act is looked at there: once the list is right, so is the copy.
        objects: vec![
            (WITHDRAWN_COPY.to_owned(), Text::Statement(copy, statement::WITHDRAWN)),
            (WITHDRAWN.to_owned(), Text::Plain(withdrawn::to_json(&ours))),
        ],
        properties: Properties { content_type: "application/json".into(), cache_control: "no-store".into() },
        is_kept: false,
        seen: Seen::Withdrawn(withdrawn::Seen { there: now.withdrawn, unclear, ours }),
    })
}

/// Makes the receipt of a release that is now completely published, except for what is left out, given the receipt that
/// was there before.
pub fn receipt_of(delivery: &Delivery, before: &StoredReceipt) -> Receipt {
    let record = delivery.built.record_digest;
    Receipt {
        format: Format,
        environment: delivery.site.name.clone(),
        version: delivery.built.record.version.clone(),
        record,
        published: OffsetDateTime::now_utc(),
        skipped: delivery.gate.skipped().or_else(|| before.of(record)?.skipped.clone()),
        checked: delivery.proof.checked(record).or_else(|| before.of(record)?.checked.clone()),
        missing: before.still_missing(record, &delivery.missing()),
    }
}

/// Returns what is wrong with the headers of a pointer or a receipt.
async fn header_faults(store: &Store, key: &str) -> Result<Vec<String>> {
    let head = store.head(key).await?;
    Ok(head.map(|head| head.served.faults(content_type(key), MOVING)).unwrap_or_default())
}
