//! The signature of a release's sums, and the page beside it that says how anyone checks it.

use anyhow::{Context, Result};
use xtask::domain::build::record::Record;
use xtask::domain::layout::{Layout, SUMS_SIGNATURE, VERIFY};
use xtask::tools::files;

use super::delivery::Delivery;
use crate::domain::cache::signing::PublicKey;
use crate::domain::limits;
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::judgement::Seen;
use crate::domain::publication::signature::{self, Page, page};
use crate::domain::serving::{MOVING, content_type};
use crate::domain::sshsig;
use crate::site::Stores;
use crate::tools::store::{Object, Properties, Store};
use crate::tools::unusable::usable;

/// What was seen of the signature, and what is needed to make it.
pub struct Prospect {
    /// Keys of the signature and of the page.
    keys: [String; 2],
    record: Record,
    layout: Layout,
    sums: String,
    /// Address of the bucket for users, if they have one.
    address: Option<String>,
    /// Text of a good signature that is there, with the key that made it.
    good: Option<(Vec<u8>, PublicKey)>,
    pub(super) seen: Seen,
}

impl Prospect {
    pub(super) fn keys(&self) -> Vec<String> {
        self.keys.to_vec()
    }

    /// Signs the sums, unless they are, and writes both objects.
    pub(super) async fn apply(&self, stores: &Stores) -> Result<()> {
        let (text, key) = match &self.good {
            Some((text, key)) => (text.clone(), key.clone()),
            None => {
                let key = stores.signing_key().context("the sums have to be signed, but there is no signing key")?;
                (sshsig::sign(key, &self.layout.namespace(), self.sums.as_bytes()).into_bytes(), key.public().clone())
            }
        };
        let page = page(&self.record, &self.layout, &key, self.address.as_deref()).into_bytes();
        for (key, text) in self.keys.iter().zip([text, page]) {
            let properties = properties(key);
            stores.of(Bucket::Releases).put_bytes(key, text, &properties).await?;
        }
        Ok(())
    }
}

/// A signature may be made again by another key, and the page names the key.
fn properties(key: &str) -> Properties {
    Properties { content_type: content_type(key).into(), cache_control: MOVING.into() }
}

/// Looks at the signature and the page.
///
/// # Errors
/// The bucket cannot be read.
pub async fn look(delivery: &Delivery<'_>) -> Result<Prospect> {
    let (built, layout, releases) = (&delivery.built, delivery.built.layout(), delivery.read.of(Bucket::Releases));
    let keys = [SUMS_SIGNATURE, VERIFY].map(|name| format!("{}/{name}", layout.version_directory()));
    let sums = built.record.sums(built.record_digest);
    let (trusted, unready) = match delivery.site.cache_keys() {
        Ok(keys) => (keys.all(), None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let [there, page_there] = [read(releases, &keys[0]).await?, read(releases, &keys[1]).await?];
    let (mut good, mut faults) = (None, Vec::new());
    let signature = match there {
        Ok(None) => None,
        Err(why) => Some(Err(why)),
        Ok(Some(Object { bytes, served })) => {
            faults.extend(served.faults(content_type(&keys[0]), MOVING));
            Some(sshsig::check(&bytes, &layout.namespace(), sums.as_bytes(), &trusted).map(|key| {
                good = Some((bytes.clone(), key.clone()));
                key.name().to_owned()
            }))
        }
    };
    let address = delivery.site.environment.public.as_ref().map(|public| public.releases.clone());
    let key = good.as_ref().map(|(_, key)| key).or(trusted.first());
    let ours = key.map(|key| page(&built.record, &layout, key, address.as_deref()).into_bytes());
    let page_seen = match page_there {
        Ok(None) => Some(Page::Missing),
        Ok(Some(there)) if Some(&there.bytes) == ours.as_ref() => {
            faults.extend(there.served.faults(content_type(&keys[1]), MOVING));
            None
        }
        Ok(Some(_)) | Err(_) => Some(Page::Different),
    };
    let digest = files::digest_of(sums.as_bytes()).sha256;
    let seen = signature::Seen { sums: digest, signature, page: page_seen, unready };
    let seen = Seen::Signature(seen).served(faults);
    Ok(Prospect { keys, record: built.record.clone(), layout, sums, address, good, seen })
}

/// Reads an object, or says what is wrong with it.
async fn read(releases: &Store, key: &str) -> Result<Result<Option<Object>, String>> {
    let read = usable(releases.read(key, limits::POINTER).await)?;
    Ok(read.map_err(|why| format!("cannot be read: {why}")))
}
