//! A connection to an environment: its buckets, with access keys of no more rights than needed, and its signing key.
//!
//! Looking uses a key that can only read. A key that can write is obtained after the manager has agreed, for just the
//! buckets that are written.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::domain::environment::image_target::ImageTarget;
use xtask::domain::environment::{Access, CacheKey, Environment, GitTarget, Storage};
use xtask::domain::layout::Layout;
use xtask::domain::product::Product;
use xtask::tree::signers::Signers;
use xtask::tree::{self, release_dir};

use crate::domain::cache::faults::Keys;
use crate::domain::cache::keys::{also_trusted, known, public_key};
use crate::domain::cache::signing::{PublicKey, SecretKey};
use crate::domain::publication::bucket::Bucket;
use crate::tools::embedded::Embedded;
use crate::tools::images::Images;
use crate::tools::keys::{Key, KeySource, RETRY, Renewal};
use crate::tools::signing_key;
use crate::tools::store::{Endpoint, Store};

pub mod built;
pub mod checks;
pub mod published;
pub mod rebuilt;
pub mod silent;

/// The environments of a `releng.toml`.
#[derive(Debug, Clone)]
pub struct Environments {
    /// Path of the file.
    pub file: Utf8PathBuf,
    /// The product that is released to them.
    pub product: Arc<Product>,
}

impl Environments {
    /// Returns who may sign tags.
    pub fn signers(&self) -> Signers {
        Signers::new(&self.product, &self.file)
    }

    /// Reads the description of one.
    ///
    /// # Errors
    /// The file is invalid, or the environment does not exist.
    pub fn named(&self, name: &str) -> Result<Environment> {
        let config = tree::config(&self.file)?;
        Ok(config.environment(name).map_err(|why| anyhow!("{}: {why}", self.file))?.clone())
    }
}

/// Time after which another manager's write to a shared server is visible.
const SETTLE: Duration = Duration::from_secs(2);

/// A connected environment.
pub struct Site {
    pub name: String,
    /// The product that is released there.
    pub product: Arc<Product>,
    pub environment: Environment,
    /// Who may sign the tags of its releases.
    pub signers: Signers,
    /// Directory to which the environment's directories are relative.
    tree: Utf8PathBuf,
    /// Serialises tag operations: while a registry stores an index again for one tag, it may not find it for another.
    pub tagging: tokio::sync::Mutex<()>,
    endpoint: Endpoint,
    /// The embedded server, if the environment has one; it runs while this exists.
    embedded: Option<Embedded>,
}

/// Connections to some buckets with one access key, and the signing key.
pub struct Stores {
    stores: BTreeMap<Bucket, Store>,
    signing: Option<SecretKey>,
    _renewal: Option<Renewal>,
}

impl Stores {
    /// Returns the connection to a bucket.
    ///
    /// # Panics
    /// The bucket was not connected to.
    pub fn of(&self, bucket: Bucket) -> &Store {
        &self.stores[&bucket]
    }

    /// Adds the signing key.
    pub fn with_signing_key(self, key: Option<SecretKey>) -> Stores {
        Stores { signing: key, ..self }
    }

    /// The signing key; `None` if there was nothing to sign.
    pub fn signing_key(&self) -> Option<&SecretKey> {
        self.signing.as_ref()
    }
}

/// An environment with connections for looking.
pub struct Destination {
    pub site: Site,
    pub read: Stores,
}

impl Destination {
    /// Connects to some buckets for looking. Directories that the environment names are relative to `tree`.
    ///
    /// # Errors
    /// The environment does not exist, or cannot be reached.
    pub async fn open(
        environments: &Environments,
        tree: &Utf8Path,
        name: &str,
        buckets: &[Bucket],
    ) -> Result<Destination> {
        let site = Site::open(environments, tree, name).await?;
        let read = site.connect(Access::Read, buckets).await?;
        Ok(Destination { site, read })
    }
}

impl Site {
    /// Names of a version's artifacts.
    pub fn layout(&self, version: impl Display) -> Layout {
        Layout::new(&self.product, version)
    }

    /// Reads an environment from `releng.toml`, and starts its embedded server, if it has one.
    ///
    /// # Errors
    /// The file is invalid, or the environment does not exist.
    pub async fn open(environments: &Environments, tree: &Utf8Path, name: &str) -> Result<Site> {
        let mut environment = environments.named(name)?;
        // Absolute, because the pushing repository may be elsewhere.
        if let GitTarget::Directory { path, .. } = &mut environment.git {
            *path = tree.join(&path).into_string();
        }
        let (endpoint, embedded) = match &environment.storage {
            Storage::S3 { endpoint, region, .. } => (Endpoint { url: endpoint.clone(), region: region.clone() }, None),
            Storage::Embedded { directory } => {
                // Usually below `release/`: what is missing there would be made anew, and empty.
                release_dir::require_tidy(tree)?;
                let buckets = &environment.buckets;
                let names = [&buckets.cache, &buckets.docs, &buckets.install, &buckets.releases];
                let embedded = Embedded::start(tree.join(directory).as_std_path(), &names.map(String::as_str)).await?;
                (embedded.endpoint().clone(), Some(embedded))
            }
        };
        Ok(Site {
            name: name.to_owned(),
            product: Arc::clone(&environments.product),
            environment,
            signers: environments.signers(),
            tree: tree.to_owned(),
            tagging: tokio::sync::Mutex::default(),
            endpoint,
            embedded,
        })
    }

    /// Opens a target for images.
    pub fn images(&self, target: &ImageTarget) -> Images {
        Images::new(target, &self.tree, self.environment.images.tls_verify)
    }

    /// Directory to which the environment's directories are relative.
    pub fn tree(&self) -> &Utf8Path {
        &self.tree
    }

    /// Returns the keys that users of the cache trust, without the cache's own key if that has not been made yet.
    ///
    /// # Errors
    /// Says why the keys are unknown.
    pub fn cache_keys(&self) -> Result<Keys, String> {
        let own = match &self.environment.cache {
            CacheKey::Made { key_file, .. } => {
                let key = signing_key::open_made(&self.tree.join(key_file)).map_err(|error| format!("{error:#}"))?;
                key.map(|key| key.public().clone())
            }
            held @ CacheKey::Held { .. } => public_key(held)?,
        };
        Ok(Keys { own, also: also_trusted(&self.environment.cache)? })
    }

    /// The keys that may have signed what is published; none if `releng.toml` names none, or the tool has not made one yet.
    ///
    /// # Errors
    /// A key is named or made, and cannot be read: nothing must pass for want of it.
    pub fn trusted(&self) -> Result<Vec<PublicKey>> {
        match &self.environment.cache {
            held @ CacheKey::Held { .. } => known(held).map_err(|why| anyhow!(why)),
            CacheKey::Made { .. } => self.cache_keys().map(|keys| keys.all()).map_err(|why| anyhow!(why)),
        }
    }

    /// Opens the cache's signing key, and makes sure that users trust it.
    ///
    /// # Errors
    /// The key is missing, cannot be opened, or is not the one that users trust.
    pub fn open_signing_key(&self) -> Result<SecretKey> {
        match &self.environment.cache {
            CacheKey::Made { key_file, name } => signing_key::open_or_make(&self.tree.join(key_file), name),
            held @ CacheKey::Held { key_file, .. } => {
                let trusted = public_key(held).map_err(|why| anyhow!(why))?;
                let key = signing_key::open(key_file, &self.tree)?;
                ensure!(
                    trusted.as_ref() == Some(key.public()),
                    "`{key_file}` is not the signing key of {}: its public half is {}, but users trust {}",
                    self.name,
                    key.public(),
                    trusted.map(|key| key.to_string()).unwrap_or_default()
                );
                Ok(key)
            }
        }
    }

    /// Time after which another manager's write is visible.
    pub fn settle(&self) -> Duration {
        if self.embedded.is_some() { Duration::ZERO } else { SETTLE }
    }

    /// Connects to some buckets, with a key for exactly these.
    ///
    /// # Errors
    /// A key cannot be obtained.
    pub async fn connect(&self, access: Access, buckets: &[Bucket]) -> Result<Stores> {
        let names: Vec<String> =
            buckets.iter().map(|bucket| bucket.among(&self.environment.buckets).to_owned()).collect();
        let source = match &self.environment.storage {
            Storage::Embedded { .. } => None,
            Storage::S3 { credentials, .. } => {
                Some(KeySource { credentials: credentials.clone(), access, buckets: names.clone() })
            }
        };
        let Key { credentials, due } = match &source {
            Some(source) => source.obtain().await?,
            None => Key { credentials: Embedded::credentials(), due: None },
        };
        let first = Store::new(&self.endpoint, credentials, names.first().context("no bucket to connect to")?);
        let stores = buckets.iter().zip(&names).map(|(bucket, name)| (*bucket, first.sibling(name))).collect();
        let renewal = source.zip(due).map(|(source, due)| source.keep_fresh(first, due, RETRY));
        Ok(Stores { stores, signing: None, _renewal: renewal })
    }
}
