//! An S3 server for one test, with one bucket and a directory for files.

use std::sync::Arc;

use anyhow::Result;
use camino::Utf8PathBuf;
use tempfile::TempDir;
use xtask_publish::tools::content::Content;
use xtask_publish::tools::embedded::Embedded;
use xtask_publish::tools::garage::{Access, Garage};
use xtask_publish::tools::store::{Credentials, Endpoint, Progress, Properties, Store};
use xtask_publish::tools::transfer::Item;
pub use xtask_test_support::noise;

pub const BUCKET: &str = "test-bucket";

enum Server {
    Embedded(#[expect(dead_code, reason = "held to keep it running")] Embedded),
    Garage(Garage),
}

pub struct World {
    // Dropped in this order: the server before its data.
    server: Server,
    pub endpoint: Endpoint,
    pub credentials: Credentials,
    directory: TempDir,
}

impl World {
    pub async fn embedded() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let server = Embedded::start(&directory.path().join("data"), &[BUCKET]).await?;
        let endpoint = server.endpoint().clone();
        Ok(Self { server: Server::Embedded(server), endpoint, credentials: Embedded::credentials(), directory })
    }

    /// `None`, with a line that says so, if Garage is not installed.
    pub async fn garage() -> Result<Option<Self>> {
        if !Garage::is_installed() {
            crate::repo::skip("garage is not installed");
            return Ok(None);
        }
        let directory = tempfile::tempdir()?;
        let server = Garage::start(&directory.path().join("data"), &[BUCKET]).await?;
        let credentials = server.make_key("test", &[BUCKET], Access::ReadWrite, None).await?;
        let endpoint = server.endpoint().clone();
        Ok(Some(Self { server: Server::Garage(server), endpoint, credentials, directory }))
    }

    pub fn as_garage(&self) -> Option<&Garage> {
        match &self.server {
            Server::Garage(garage) => Some(garage),
            Server::Embedded(_) => None,
        }
    }

    pub fn store(&self) -> Store {
        self.store_at(&self.endpoint)
    }

    pub fn store_at(&self, endpoint: &Endpoint) -> Store {
        Store::new(endpoint, self.credentials.clone(), BUCKET)
    }

    /// Writes a file outside the server's data.
    pub fn file(&self, name: &str, bytes: &[u8]) -> Result<Utf8PathBuf> {
        let path = self.directory.path().join("files").join(name);
        std::fs::create_dir_all(path.parent().expect("it has a directory"))?;
        std::fs::write(&path, bytes)?;
        Ok(Utf8PathBuf::try_from(path)?)
    }

    /// Writes a file, to be uploaded as the object of the same name.
    pub fn item(&self, key: &str, bytes: &[u8]) -> Result<Item> {
        Ok(Item {
            key: key.into(),
            path: self.file(key, bytes)?,
            content: Content::of_bytes(bytes),
            properties: page(),
        })
    }
}

pub fn page() -> Properties {
    Properties { content_type: "text/html; charset=utf-8".into(), cache_control: "public, max-age=60".into() }
}

pub fn silent() -> Progress {
    Arc::new(|_| ())
}

/// Makes a test on the embedded server and one on Garage from each `async fn(&World) -> Result<()>`.
macro_rules! on_every_server {
    ($($test:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test]
            async fn $test() -> anyhow::Result<()> {
                super::$test(&crate::world::World::embedded().await?).await
            })*
        }
        mod garage {
            $(#[tokio::test]
            async fn $test() -> anyhow::Result<()> {
                match crate::world::World::garage().await? {
                    Some(world) => super::$test(&world).await,
                    None => Ok(()),
                }
            })*
        }
    };
}
pub(crate) use on_every_server;
