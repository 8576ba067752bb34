//! A cache in front of a bucket, like a CDN, which remembers every answer, including 404, until it is purged; and an
//! environment that is read through such caches.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, server};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use xtask_publish::tools::anonymous::Anonymous;
use xtask_publish::tools::embedded::Embedded;
use xtask_publish::tools::store::Store;

use crate::proxy::forward;
use crate::release::Release;
use crate::repo::make_executable;

pub const PURPOSES: [&str; 4] = ["cache", "docs", "install", "releases"];

/// A cached answer.
#[derive(Clone)]
struct Kept {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

#[derive(Default)]
struct State {
    kept: BTreeMap<String, Kept>,
    /// Addresses that were requested, without their queries.
    asked: Vec<String>,
    /// Whether one cached answer serves all queries.
    ignores_queries: bool,
    /// Status with which every request is answered from now on, if any.
    status: Option<u16>,
}

pub struct Edge {
    url: String,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
    _upstream: Anonymous,
}

impl Edge {
    pub async fn start(upstream: Anonymous) -> Result<Edge> {
        let address: SocketAddr = upstream.url().trim_start_matches("http://").parse()?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(Mutex::new(State::default()));
        let server = tokio::spawn(serve(listener, address, Arc::clone(&state)));
        Ok(Edge { url, state, server, _upstream: upstream })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    /// Empties the cache, so that users get what the bucket has.
    pub fn forget(&self) {
        self.state().kept.clear();
    }

    /// The addresses without a query that it remembers as missing.
    pub fn remembers_nothing_at(&self) -> Vec<String> {
        let state = self.state();
        let missing = state.kept.iter().filter(|(path, kept)| kept.status == 404 && !path.contains('?'));
        missing.map(|(path, _)| path.clone()).collect()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, upstream: SocketAddr, state: Arc<Mutex<State>>) {
    while let Ok((socket, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(upstream, Arc::clone(&state), request));
        tokio::spawn(server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}

async fn answer(
    upstream: SocketAddr,
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>> {
    let path = request.uri().path().to_owned();
    let head = request.method() == Method::HEAD;
    let (key, found, status) = {
        let mut state = state.lock().expect("no test panics while it holds this");
        let all = request.uri().to_string();
        let key = if state.ignores_queries { path.clone() } else { all };
        state.asked.push(path.clone());
        (key.clone(), state.kept.get(&key).cloned(), state.status)
    };
    if let Some(status) = status {
        return Ok(Response::builder().status(status).body(Full::default())?);
    }
    let (kept, how) = match found {
        Some(kept) => (kept, "HIT"),
        None => {
            // A cached answer also serves HEAD.
            let whole = Request::get(&path).header("host", "edge").body(request.into_body())?;
            let (head, body) = forward(upstream, whole).await?.into_parts();
            let kept = Kept { status: head.status, headers: head.headers, body: body.collect().await?.to_bytes() };
            state.lock().expect("no test panics while it holds this").kept.insert(key, kept.clone());
            (kept, "MISS")
        }
    };
    let size = kept.body.len();
    let body = if head { Bytes::new() } else { kept.body };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = kept.status;
    *response.headers_mut() = kept.headers;
    response.headers_mut().insert("content-length", size.into());
    response.headers_mut().insert("x-cache", how.parse()?);
    if how == "HIT" {
        response.headers_mut().insert("age", "57".parse()?);
    }
    Ok(response)
}

/// The environment `local`, on S3 with an edge in front of each bucket.
pub struct World {
    // Dropped in this order: the readers, the server, its data.
    pub edges: BTreeMap<&'static str, Edge>,
    _server: Embedded,
    data: TempDir,
}

impl World {
    pub async fn of(release: &Release) -> Result<World> {
        let data = tempfile::tempdir()?;
        let names = PURPOSES.map(|purpose| format!("local-{purpose}"));
        let server = Embedded::start(data.path(), &names.each_ref().map(String::as_str)).await?;
        let keys = release.repo.beside("keys");
        let printed = serde_json::json!({ "name": "x", "id": "local", "secret_key": "local-secret" });
        fs::write(&keys, format!("#!/bin/sh\necho '{printed}'\n"))?;
        make_executable(&keys);
        let mut edges = BTreeMap::new();
        for purpose in PURPOSES {
            let store = Store::new(server.endpoint(), Embedded::credentials(), format!("local-{purpose}"));
            edges.insert(purpose, Edge::start(Anonymous::start(store).await?).await?);
        }
        let world = World { edges, _server: server, data };
        world.publishes(release, &world._server.endpoint().url, &keys);
        Ok(world)
    }

    /// Configures a release to be published there.
    fn publishes(&self, release: &Release, endpoint: &str, keys: &Utf8Path) {
        let storage = format!(
            "storage.s3]\nendpoint = \"{endpoint}\"\nregion = \"local\"\n\
             [environments.local.storage.s3.credentials.command]\n\
             program = [\"{keys}\", \"{{access}}\", \"{{buckets}}\"]\nrenew-after-minutes = 45\n"
        );
        let mut public = "[environments.local.public]\n".to_owned();
        for (purpose, edge) in &self.edges {
            public += &format!("{purpose} = \"{}\"\n", edge.url);
        }
        let embedded = "storage.embedded]\ndirectory = \"release/local/s3\"";
        release.configure(|text| {
            let text = text.replacen(embedded, &storage, 1);
            text.replacen("[environments.local.buckets]", &format!("{public}\n[environments.local.buckets]"), 1)
        });
    }

    /// Configures a release to be published where `other` is.
    pub fn share(&self, release: &Release, other: &Release) -> Result<()> {
        let keys = other.repo.beside("keys");
        self.publishes(release, &self._server.endpoint().url, &keys);
        for part in ["images", "cache.key"] {
            let theirs = other.release_dir().join("local").join(part);
            release.configure(|text| text.replacen(&format!("release/local/{part}"), theirs.as_str(), 1));
        }
        Ok(())
    }

    pub fn forget(&self) {
        self.edges.values().for_each(Edge::forget);
    }

    /// Every address that all edges remember as missing, with the bucket's purpose.
    pub fn remembered_as_missing(&self) -> Vec<String> {
        let of = |(purpose, edge): (&&str, &Edge)| {
            edge.remembers_nothing_at().into_iter().map(|path| format!("{purpose}{path}")).collect::<Vec<_>>()
        };
        self.edges.iter().flat_map(of).collect()
    }

    pub fn ignore_queries(&self) {
        self.edges.values().for_each(|edge| edge.state().ignores_queries = true);
    }

    /// Makes an edge answer every request with this status from now on.
    pub fn answers(&self, purpose: &str, status: Option<u16>) {
        self.edges[purpose].state().status = status;
    }

    /// Whether an edge was asked for an address since the last call.
    pub fn take_asked(&self, purpose: &str) -> Vec<String> {
        std::mem::take(&mut self.edges[purpose].state().asked)
    }

    pub fn object(&self, key: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.data.path()).expect("UTF-8").join(key)
    }
}
