//! A container registry on loopback for tests and rehearsals: the program `docker-registry`, with its data in one
//! directory. Plain HTTP, and without authentication unless asked for.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use super::server::{self, Life, Server, free_addresses};

/// Number of attempts to start: a free port may be taken before the registry uses it.
const STARTS: u32 = 3;

/// A running registry, which ends when this is dropped; its data stays.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    server: Server,
}

impl Registry {
    /// Whether the program is on `PATH`.
    pub fn is_installed() -> bool {
        server::is_installed("docker-registry")
    }

    /// Starts it on a free port, with data, configuration and log in `data`. With a file made by `htpasswd -B`, it
    /// requires Basic authentication.
    pub async fn start(data: &Path, htpasswd: Option<&Path>) -> Result<Self> {
        Self::start_for(data, htpasswd, Life::Ours).await
    }

    /// Starts it as [`Registry::start`] does, possibly to outlive this process.
    pub async fn start_for(data: &Path, htpasswd: Option<&Path>, life: Life) -> Result<Self> {
        std::fs::create_dir_all(data)
            .with_context(|| format!("cannot make {} for the registry's data", data.display()))?;
        let mut start = 1;
        loop {
            match Self::try_start(data, htpasswd, life).await {
                Err(_) if start < STARTS => start += 1,
                registry => return registry,
            }
        }
    }

    /// Lets it run on without us, and returns its process id.
    pub fn leave(self) -> u32 {
        self.server.leave()
    }

    /// `HOST:PORT`, as at the start of an image's name.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    async fn try_start(data: &Path, htpasswd: Option<&Path>, life: Life) -> Result<Self> {
        let [address] = free_addresses()?;
        let mut config = json!({
            "version": "0.1",
            "log": { "level": "warn" },
            "storage": { "filesystem": { "rootdirectory": data.join("data") }, "delete": { "enabled": true } },
            "http": { "addr": address },
        });
        if let Some(htpasswd) = htpasswd {
            config["auth"] = json!({ "htpasswd": { "realm": "Registry", "path": htpasswd } });
        }
        // JSON is YAML too.
        let path = data.join("config.yml");
        std::fs::write(&path, config.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&path);
        let mut server = Server::start(command, &data.join("registry.log"), life)?;
        server.ready(&[address]).await?;
        Ok(Self { address, server })
    }
}
