//! The signature of a release's sums, the signed statement of its provenance, and the page beside them that says how
//! anyone checks them; and the signature of the record of its installers.

use anyhow::{Context, Result};
use xtask::domain::build::record::Record;
use xtask::domain::layout::{INSTALLER_RECORD, INSTALLER_SIGNATURE, Layout, SUMS, SUMS_SIGNATURE, VERIFY};
use xtask::tools::files;
use xtask::tree::seal::{Seal, Statement};

use super::delivery::Delivery;
use crate::domain::cache::signing::{PublicKey, SecretKey};
use crate::domain::dsse;
use crate::domain::limits;
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::judgement::Seen;
use crate::domain::publication::signature::{self, Page, page};
use crate::domain::serving::{MOVING, Served, content_type};
use crate::domain::sshsig;
use crate::site::Stores;
use crate::tools::store::{Object, Properties, Store};
use crate::tools::unusable::usable;

/// What was seen of the signatures, and what is needed to make them.
pub struct Prospect {
    pub(super) bucket: Bucket,
    signed: Vec<Signed>,
    /// The page, if there is to be one.
    page: Option<OurPage>,
    pub(super) seen: Seen,
}

/// What the page is made of, and its key.
struct OurPage {
    key: String,
    record: Record,
    layout: Layout,
    /// Address of the bucket for users, if they have one.
    address: Option<String>,
}

impl OurPage {
    fn text(&self, by: &PublicKey) -> Vec<u8> {
        page(&self.record, &self.layout, by, self.address.as_deref()).into_bytes()
    }
}

/// A text of ours, and its signature.
struct Signed {
    way: Way,
    /// Name of the text, as a file.
    name: String,
    text: String,
    /// Name and key of the object with the signature.
    object: String,
    key: String,
    /// Text of a good signature that is there, with the key that made it.
    good: Option<(Vec<u8>, PublicKey)>,
}

/// How a text is signed.
enum Way {
    /// Beside it, for `ssh-keygen`; with its namespace.
    Beside(String),
    /// In an envelope with it.
    Envelope,
}

impl Signed {
    /// What is signed: the sums, and the statement, if there is one.
    fn all(seal: Seal, layout: &Layout) -> Vec<Signed> {
        let new = |way, name: &str, text, object: &str| Signed {
            way,
            name: name.to_owned(),
            text,
            key: format!("{}/{object}", layout.version_directory()),
            object: object.to_owned(),
            good: None,
        };
        let Seal { statement, sums } = seal;
        let sums = new(Way::Beside(layout.namespace()), SUMS, sums, SUMS_SIGNATURE);
        let stated = |Statement { name, text }: Statement| new(Way::Envelope, &name, text, &layout.envelope());
        [sums].into_iter().chain(statement.map(stated)).collect()
    }

    fn check<'k>(&self, there: &[u8], keys: &'k [PublicKey]) -> Result<&'k PublicKey, String> {
        match &self.way {
            Way::Beside(namespace) => sshsig::check(there, namespace, self.text.as_bytes(), keys),
            Way::Envelope => dsse::check(there, self.text.as_bytes(), keys, keys),
        }
    }

    fn sign(&self, key: &SecretKey) -> String {
        match &self.way {
            Way::Beside(namespace) => sshsig::sign(key, namespace, self.text.as_bytes()),
            Way::Envelope => dsse::sign(key, self.text.as_bytes()),
        }
    }

    /// Looks at the signature there. Returns what is wrong with how it is served.
    async fn look(&mut self, store: &Store, trusted: &[PublicKey]) -> Result<(signature::Signed, Vec<String>)> {
        let mut faults = Vec::new();
        let by = match read(store, &self.key, limits::SIGNATURE).await? {
            Ok(None) => None,
            Err(why) => Some(Err(why)),
            Ok(Some(Object { bytes, served })) => {
                faults = header_faults(&served, &self.object);
                let key = self.check(&bytes, trusted).cloned();
                self.good = key.clone().ok().map(|key| (bytes, key));
                Some(key.map(|key| key.name().to_owned()))
            }
        };
        let digest = files::digest_of(self.text.as_bytes()).sha256;
        let (name, object) = (self.name.clone(), self.object.clone());
        Ok((signature::Signed { name, digest, object, by }, faults))
    }
}

impl Prospect {
    pub(super) fn keys(&self) -> Vec<String> {
        let page = self.page.iter().map(|page| page.key.clone());
        self.signed.iter().map(|signed| signed.key.clone()).chain(page).collect()
    }

    /// Signs what is not signed, and writes all objects.
    pub(super) async fn apply(&self, stores: &Stores) -> Result<()> {
        let (mut objects, mut by) = (Vec::new(), None);
        for signed in &self.signed {
            let (text, key) = match &signed.good {
                Some((text, key)) => (text.clone(), key.clone()),
                None => {
                    let key = stores.signing_key();
                    let key =
                        key.with_context(|| format!("{} has to be signed, but there is no signing key", signed.name))?;
                    (signed.sign(key).into_bytes(), key.public().clone())
                }
            };
            objects.push((&signed.key, text));
            by.get_or_insert(key);
        }
        objects.extend(self.page.as_ref().zip(by).map(|(page, by)| (&page.key, page.text(&by))));
        for (key, text) in objects {
            // A signature may be made again by another key, and the page names the key.
            let properties = Properties { content_type: content_type(key).into(), cache_control: MOVING.into() };
            stores.of(self.bucket).put_bytes(key, text, &properties).await?;
        }
        Ok(())
    }
}

/// Looks at the signatures of a release and the page.
///
/// # Errors
/// The bucket cannot be read.
pub async fn look(delivery: &Delivery<'_>) -> Result<Prospect> {
    let (built, layout) = (&delivery.built, delivery.built.layout());
    let signed = Signed::all(Seal::of(&built.record, built.record_digest, &layout), &layout);
    let page = OurPage {
        key: format!("{}/{VERIFY}", layout.version_directory()),
        record: built.record.clone(),
        layout,
        address: delivery.site.environment.public.as_ref().map(|public| public.releases.clone()),
    };
    look_at(delivery, Bucket::Releases, signed, Some(page)).await
}

/// Looks at the signature of the record of a release's installers.
///
/// # Errors
/// The bucket cannot be read.
pub async fn of_installers(delivery: &Delivery<'_>) -> Result<Prospect> {
    let layout = delivery.built.layout();
    let record = delivery.built.installers.get(INSTALLER_RECORD).context("these installers have no record")?;
    let signed = Signed {
        way: Way::Beside(layout.installer_namespace()),
        name: INSTALLER_RECORD.to_owned(),
        text: files::read_text(&record.path)?,
        object: INSTALLER_SIGNATURE.to_owned(),
        key: layout.installer_signature(),
        good: None,
    };
    look_at(delivery, Bucket::Install, vec![signed], None).await
}

async fn look_at(
    delivery: &Delivery<'_>,
    bucket: Bucket,
    mut signed: Vec<Signed>,
    page: Option<OurPage>,
) -> Result<Prospect> {
    let store = delivery.read.of(bucket);
    let (trusted, unready) = match delivery.site.cache_keys() {
        Ok(keys) => (keys.all(), None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let (mut seen, mut faults) = (Vec::new(), Vec::new());
    for signed in &mut signed {
        let (one, wrong) = signed.look(store, &trusted).await?;
        seen.push(one);
        faults.extend(wrong);
    }
    let by = signed.iter().find_map(|signed| Some(&signed.good.as_ref()?.1)).or(trusted.first());
    let page_seen = match &page {
        None => None,
        Some(page) => match read(store, &page.key, limits::POINTER).await? {
            Ok(None) => Some(Page::Missing),
            Ok(Some(there)) if by.is_some_and(|by| there.bytes == page.text(by)) => {
                faults.extend(header_faults(&there.served, VERIFY));
                None
            }
            Ok(Some(_)) | Err(_) => Some(Page::Different),
        },
    };
    let seen = Seen::Signature(signature::Seen { signed: seen, page: page_seen, unready }).served(faults);
    Ok(Prospect { bucket, signed, page, seen })
}

/// Returns what is wrong with the headers of an object of this name.
fn header_faults(served: &Served, name: &str) -> Vec<String> {
    served.faults(content_type(name), MOVING).iter().map(|fault| format!("{name}: {fault}")).collect()
}

/// Reads an object, or says what is wrong with it.
async fn read(store: &Store, key: &str, longest: u64) -> Result<Result<Option<Object>, String>> {
    let read = usable(store.read(key, longest).await)?;
    Ok(read.map_err(|why| format!("cannot be read: {why}")))
}
