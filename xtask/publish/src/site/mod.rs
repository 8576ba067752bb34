//! An environment that is connected to: its buckets, with keys for just what is done there, and what signs its cache.
//!
//! Observing uses a key that can only read; a key that can write is asked for after the confirmation, for just the
//! buckets that are written. Refuses to know what is published.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::cli::Invocation;
use xtask::domain::environment::image_target::ImageTarget;
use xtask::domain::environment::{Access, Buckets, CacheKey, Config, Environment, GitTarget, Storage};
use xtask::domain::layout::Layout;
use xtask::domain::product::Product;
use xtask::tree;

use crate::domain::cache::faults::Keys;
use crate::domain::cache::keys::{also_trusted, public_key};
use crate::domain::cache::signing::SecretKey;
use crate::tools::embedded::Embedded;
use crate::tools::images::Images;
use crate::tools::keys::{Key, KeySource, RETRY, Renewal};
use crate::tools::signing_key;
use crate::tools::store::{Endpoint, Store};

pub mod built;
pub mod published;

/// Reads `releng.toml`.
///
/// # Errors
/// It cannot be read, or is not valid.
pub fn config(invocation: &Invocation) -> Result<Config> {
    tree::config(&invocation.config_file())
}

/// How long another manager's write to a shared server may take to show.
const SETTLE: Duration = Duration::from_secs(2);

/// A bucket, by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    Docs,
    Releases,
    Cache,
    Install,
}

impl Bucket {
    pub const ALL: [Bucket; 4] = [Bucket::Docs, Bucket::Releases, Bucket::Cache, Bucket::Install];

    /// What is said of it where something is said of each: its name, or its address.
    pub fn among(self, buckets: &Buckets) -> &str {
        match self {
            Bucket::Docs => &buckets.docs,
            Bucket::Releases => &buckets.releases,
            Bucket::Cache => &buckets.cache,
            Bucket::Install => &buckets.install,
        }
    }
}

/// An environment that is connected to.
pub struct Site {
    pub name: String,
    /// What is released there.
    pub product: Arc<Product>,
    pub environment: Environment,
    /// What its directories are relative to.
    tree: Utf8PathBuf,
    /// Whose turn it is to look at a tag of images or to move one: a registry that stores an index again, for another
    /// tag, may not find it meanwhile.
    pub tagging: tokio::sync::Mutex<()>,
    endpoint: Endpoint,
    /// Serves the environment's buckets as long as it lives.
    embedded: Option<Embedded>,
}

/// Connections to some buckets, with one access key; and what signs what is written to them.
pub struct Stores {
    stores: BTreeMap<Bucket, Store>,
    signing: Option<SecretKey>,
    _renewal: Option<Renewal>,
}

impl Stores {
    /// # Panics
    /// The bucket was not asked for.
    pub fn of(&self, bucket: Bucket) -> &Store {
        &self.stores[&bucket]
    }

    /// The same, able to sign.
    pub fn with_signing_key(self, key: Option<SecretKey>) -> Stores {
        Stores { signing: key, ..self }
    }

    /// `None` if there was nothing to sign when these were made.
    pub fn signing_key(&self) -> Option<&SecretKey> {
        self.signing.as_ref()
    }
}

/// Where releases go, connected to for looking.
pub struct Destination {
    pub site: Site,
    pub read: Stores,
}

impl Destination {
    /// Connects, to look at some buckets. Directories that the environment names are relative to `tree`.
    ///
    /// # Errors
    /// There is no such environment, or it cannot be reached.
    pub async fn open(invocation: &Invocation, tree: &Utf8Path, name: &str, buckets: &[Bucket]) -> Result<Destination> {
        let site = Site::open(invocation, tree, name).await?;
        let read = site.connect(Access::Read, buckets).await?;
        Ok(Destination { site, read })
    }
}

impl Site {
    /// What the artifacts of a version are called.
    pub fn layout(&self, version: impl Display) -> Layout {
        Layout::new(&self.product, version)
    }

    /// What `releng.toml` says of an environment.
    ///
    /// # Errors
    /// The file is not valid, or there is no such environment.
    pub fn known(invocation: &Invocation, name: &str) -> Result<Environment> {
        let config = config(invocation)?;
        Ok(config.environment(name).map_err(|why| anyhow!("{}: {why}", invocation.config_file()))?.clone())
    }

    /// Reads `releng.toml` and finds the environment in it; starts its server, if it is one of ours.
    ///
    /// # Errors
    /// The file is not valid, or there is no such environment.
    pub async fn open(invocation: &Invocation, tree: &Utf8Path, name: &str) -> Result<Site> {
        let mut environment = Site::known(invocation, name)?;
        // Whichever repository pushes there.
        if let GitTarget::Directory { path, .. } = &mut environment.git {
            *path = tree.join(&path).into_string();
        }
        let (endpoint, embedded) = match &environment.storage {
            Storage::S3 { endpoint, region, .. } => (Endpoint { url: endpoint.clone(), region: region.clone() }, None),
            Storage::Embedded { directory } => {
                let buckets = &environment.buckets;
                let names = [&buckets.cache, &buckets.docs, &buckets.install, &buckets.releases];
                let embedded = Embedded::start(tree.join(directory).as_std_path(), &names.map(String::as_str)).await?;
                (embedded.endpoint().clone(), Some(embedded))
            }
        };
        Ok(Site {
            name: name.to_owned(),
            product: Arc::clone(&invocation.product),
            environment,
            tree: tree.to_owned(),
            tagging: tokio::sync::Mutex::default(),
            endpoint,
            embedded,
        })
    }

    /// A place for images.
    pub fn images(&self, target: &ImageTarget) -> Images {
        Images::new(target, &self.tree, self.environment.images.tls_verify)
    }

    /// What its directories are relative to.
    pub fn tree(&self) -> &Utf8Path {
        &self.tree
    }

    /// What users of the cache trust; `None` if its key is yet to be made.
    ///
    /// # Errors
    /// Nobody knows, and why.
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

    /// Opens what signs the cache, and makes sure that it is what users trust.
    ///
    /// # Errors
    /// It cannot be found or opened, or it is another one.
    pub fn open_signing_key(&self) -> Result<SecretKey> {
        match &self.environment.cache {
            CacheKey::Made { key_file, name } => signing_key::open_or_make(&self.tree.join(key_file), name),
            held @ CacheKey::Held { key_file, .. } => {
                let trusted = public_key(held).map_err(|why| anyhow!(why))?;
                let key = signing_key::open(key_file, &self.tree)?;
                ensure!(
                    trusted.as_ref() == Some(key.public()),
                    "`{key_file}` is not the key of {}: its public half is {}, and users trust {}",
                    self.name,
                    key.public(),
                    trusted.map(|key| key.to_string()).unwrap_or_default()
                );
                Ok(key)
            }
        }
    }

    /// How long to wait for others' writes.
    pub fn settle(&self) -> Duration {
        if self.embedded.is_some() { Duration::ZERO } else { SETTLE }
    }

    /// Connects to some buckets with a key for them and nothing else.
    ///
    /// # Errors
    /// There is no key to be had.
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
