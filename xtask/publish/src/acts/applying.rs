//! Applying one act: it was looked at a moment ago, and what was seen then is brought about.

use anyhow::{Context, Result, bail};
use time::OffsetDateTime;
use xtask::domain::format::Format;
use xtask::domain::layout::{Docs, INSTALLER_RECORD, MANIFEST, RECORD, SUMS, WITHDRAWN, WITHDRAWN_COPY};

use crate::acts::cache;
use crate::acts::images;
use crate::acts::{Looked, LookedTree};
use crate::delivery::train::Session;
use crate::domain::publication::acts::Act;
use crate::domain::publication::judgement::Seen;
use crate::domain::publication::receipt::Receipt;
use crate::domain::publication::serving::{MOVING, content_type};
use crate::domain::publication::withdrawn;
use crate::site::{Bucket, Stores};
use crate::tools::store::{Progress, Properties, Store};
use crate::tools::transfer::{self, Surveyed};

/// Brings an act about.
///
/// # Errors
/// The server or the remote refuses; running the same command again goes on from there.
pub async fn apply(
    session: &Session<'_>,
    act: &Act,
    looked: &Looked,
    stores: &Stores,
    progress: &Progress,
) -> Result<()> {
    match (act, looked) {
        (Act::VersionDirectory, Looked::Tree(tree)) => record_last(stores.of(Bucket::Releases), tree, progress).await,
        (Act::Docs(Docs::Series(_) | Docs::Stable | Docs::Nightly), Looked::Tree(tree)) => {
            mirror(stores.of(Bucket::Docs), tree, progress).await
        }
        (Act::Cache, Looked::Cache(looked)) => Box::pin(cache::publish(session, looked, stores, progress)).await,
        (Act::Installers, Looked::Tree(tree)) => record_last(stores.of(Bucket::Install), tree, progress).await,
        (Act::InstallerPointers, Looked::InstallerPointers(tree, _)) => {
            record_last(stores.of(Bucket::Install), tree, progress).await
        }
        (Act::RootManifest, Looked::Other(_)) => {
            put(stores.of(Bucket::Releases), MANIFEST, session.sealed.root_manifest.clone()).await
        }
        (Act::Receipt, Looked::Other(_)) => {
            let receipt = serde_json::to_string_pretty(&receipt(session))? + "\n";
            put(stores.of(Bucket::Releases), &session.sealed.layout().receipt(), receipt).await
        }
        (Act::Withdraw { .. }, Looked::Other(Seen::Withdrawn(seen))) => {
            let properties = Properties { content_type: "application/json".into(), cache_control: "no-store".into() };
            let (releases, list) = (stores.of(Bucket::Releases), withdrawn::to_json(&seen.ours));
            releases.put_bytes(WITHDRAWN, list.clone(), &properties).await?;
            releases.put_bytes(WITHDRAWN_COPY, list, &properties).await
        }
        (Act::Branch | Act::Review | Act::Tag, Looked::Other(_)) => {
            let side = session.git_side.as_ref().context("this release is not pushed anywhere")?;
            side.remote.push(&[refspec(session, act)?]).map(drop)
        }
        (Act::Images { target }, Looked::Other(_)) => images::push(session, target).await,
        (Act::ImageTag { target, tag }, Looked::Other(_)) => images::tag(session, target, *tag).await,
        (_, Looked::Tree(_) | Looked::InstallerPointers(..) | Looked::Cache(_) | Looked::Other(_)) => {
            bail!("what was seen is not of this act")
        }
    }
}

/// Of a release of which all is done now.
pub fn receipt(session: &Session) -> Receipt {
    Receipt {
        format: Format,
        environment: session.world.name.clone(),
        version: session.sealed.record.version.clone(),
        record: session.sealed.record_digest,
        published: OffsetDateTime::now_utc(),
        skipped: session.gate.skipped(),
    }
}

/// A small file that moves.
async fn put(store: &Store, key: &str, text: String) -> Result<()> {
    let properties = Properties { content_type: content_type(key).into(), cache_control: MOVING.into() };
    store.put_bytes(key, text.into_bytes(), &properties).await
}

/// What an act of git pushes.
///
/// # Errors
/// The act is none of git's, or there is no release.
pub fn refspec(session: &Session, act: &Act) -> Result<String> {
    let side = session.git_side.as_ref().context("this release is not pushed anywhere")?;
    match act {
        Act::Branch => Ok(side.branch_refspec()),
        Act::Review => Ok(side.review_refspec()),
        Act::Tag => Ok(side.tag_refspec(session.consent.force_push_tag)),
        Act::VersionDirectory | Act::Cache | Act::Docs(_) | Act::RootManifest | Act::Receipt => {
            bail!("nothing is pushed for this act")
        }
        Act::Images { .. } | Act::ImageTag { .. } | Act::Installers | Act::InstallerPointers | Act::Withdraw { .. } => {
            bail!("nothing is pushed for this act")
        }
    }
}

/// The sums first, which tell that a publication was begun, and the record last: where it is, everything is.
async fn record_last(store: &Store, tree: &LookedTree, progress: &Progress) -> Result<()> {
    let mut groups: [Vec<Surveyed>; 3] = Default::default();
    for one in &tree.surveyed {
        let turn = match one.item.key.rsplit('/').next() {
            Some(SUMS) => 0,
            Some(RECORD | INSTALLER_RECORD) => 2,
            _ => 1,
        };
        groups[turn].push(one.clone());
    }
    for group in groups {
        transfer::send(store, &group, progress).await?;
    }
    Ok(())
}

/// A tree that moves: new and changed pages, every `index.html` after them, and then what is no longer there.
async fn mirror(store: &Store, tree: &LookedTree, progress: &Progress) -> Result<()> {
    transfer::send(store, &tree.surveyed, progress).await?;
    transfer::delete(store, tree.gone.iter().cloned()).await
}
