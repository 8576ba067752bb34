//! An S3 server inside this process, for rehearsals and tests: nothing to install or configure, with its data in a
//! directory, and on loopback only.
//!
//! Unlike a real server, it lists no ETags and walks the complete bucket for each page of a listing; a key cannot be a
//! prefix of another at a `/`; it replaces an object before it notices a wrong `Content-MD5`; and it ignores the
//! `Content-MD5` of parts.

mod explained;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use self::explained::Explained;
use super::shutdown;
use super::store::{Credentials, Endpoint};

/// A running server, which stops when this is dropped; its data stays.
#[derive(Debug)]
pub struct Embedded {
    endpoint: Endpoint,
    server: JoinHandle<()>,
}

impl Embedded {
    /// Serves the directory `data` on a free port of loopback. Makes the directory, with a sub-directory for each
    /// bucket, if they do not exist.
    pub async fn start(data: &Path, buckets: &[&str]) -> Result<Self> {
        let starting = || format!("cannot start the embedded S3 server on {}", data.display());
        for bucket in buckets {
            std::fs::create_dir_all(data.join(bucket)).with_context(starting)?;
        }
        let files = FileSystem::new(data).map_err(|error| anyhow!("{error:?}")).with_context(starting)?;
        let data = std::path::absolute(data).with_context(starting)?;
        let mut service = S3ServiceBuilder::new(Explained { files, data: data.display().to_string() });
        let Credentials { id, secret, .. } = Self::credentials();
        // Without this, it would accept anonymous requests only.
        service.set_auth(SimpleAuth::from_single(id, secret));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.with_context(starting)?;
        let url = format!("http://{}", listener.local_addr().with_context(starting)?);
        Ok(Self {
            endpoint: Endpoint { url, region: "local".into() },
            server: tokio::spawn(serve(listener, service.build())),
        })
    }

    /// Address and region of the server.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The only access key that it accepts. It is not a secret: every process that can connect can also read the
    /// directory.
    pub fn credentials() -> Credentials {
        Credentials { id: "local".into(), secret: "local-secret".into(), session_token: None }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if shutdown::is_stopping() {
            // It is still needed to abort unfinished uploads, and then ends with the process.
            return;
        }
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, service: S3Service) {
    // Connections end with the server, because they are part of this task.
    let mut connections = JoinSet::new();
    loop {
        let socket = accept(&listener).await;
        let service = service.clone();
        connections.spawn(async move {
            // The client of a connection sees its error.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Waits for the next connection. If one cannot be accepted, its client tries again; the pause keeps a lasting reason,
/// such as too many open files, from turning this into a busy loop.
pub async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => return socket,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
