//! Owns an S3 server inside this process, for rehearsals and tests: nothing to install, nothing to configure, data in a
//! directory. Refuses to own what is published to it, and any address but loopback.
//!
//! What it does not do like a real server: its listings carry no ETags, each page of a listing walks the whole bucket,
//! a key cannot be a prefix of another at a `/`, it replaces an object before it finds its `Content-MD5` wrong, and it
//! ignores the `Content-MD5` of parts.

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

/// A running server. It stops when this is dropped; its data stays.
#[derive(Debug)]
pub struct Embedded {
    endpoint: Endpoint,
    server: JoinHandle<()>,
}

impl Embedded {
    /// Serves the directory `data`, making it and a sub-directory for each bucket where they are missing, on a free
    /// port of loopback.
    pub async fn start(data: &Path, buckets: &[&str]) -> Result<Self> {
        let starting = || format!("cannot start the embedded S3 server on {}", data.display());
        for bucket in buckets {
            std::fs::create_dir_all(data.join(bucket)).with_context(starting)?;
        }
        let files = FileSystem::new(data).map_err(|error| anyhow!("{error:?}")).with_context(starting)?;
        let data = std::path::absolute(data).with_context(starting)?;
        let mut service = S3ServiceBuilder::new(Explained { files, data: data.display().to_string() });
        let Credentials { id, secret, .. } = Self::credentials();
        // Without an adapter it would accept anonymous requests alone.
        service.set_auth(SimpleAuth::from_single(id, secret));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.with_context(starting)?;
        let url = format!("http://{}", listener.local_addr().with_context(starting)?);
        Ok(Self {
            endpoint: Endpoint { url, region: "local".into() },
            server: tokio::spawn(serve(listener, service.build())),
        })
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The one access key it knows. No secret: whoever can reach it can read its directory.
    pub fn credentials() -> Credentials {
        Credentials { id: "local".into(), secret: "local-secret".into(), session_token: None }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if shutdown::is_stopping() {
            // What was begun in it is taken back yet; then it ends with us.
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
            // What goes wrong with one connection is told to its client.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// The next connection. One that could not be accepted is gone, and its client tries again; where the reason lasts, such
/// as too many open files, asking again at once would only keep a processor busy.
pub async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => return socket,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
