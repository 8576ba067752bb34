//! Owns an HTTP server inside this process that serves one bucket to anybody on loopback, as a public address does: for
//! programs that know HTTP and no S3. Refuses to write.

use std::convert::Infallible;

use anyhow::{Context, Result};
use aws_sdk_s3::primitives::SdkBody;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::store::Store;

/// A running server. It stops when this is dropped.
#[derive(Debug)]
pub struct Anonymous {
    url: String,
    server: JoinHandle<()>,
}

impl Anonymous {
    /// Serves a bucket on a free port.
    ///
    /// # Errors
    /// There is none.
    pub async fn start(store: Store) -> Result<Anonymous> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no free port on loopback")?;
        let url = format!("http://{}", listener.local_addr()?);
        Ok(Anonymous { url, server: tokio::spawn(serve(listener, store)) })
    }

    /// Without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Anonymous {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, store: Store) {
    // Connections end with the server, because they are part of this task.
    let mut connections = JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let store = store.clone();
        connections.spawn(async move {
            let service = service_fn(|request| answer(&store, request));
            // What goes wrong with one connection is told to its client.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

type Body = Either<Full<Bytes>, SdkBody>;

async fn answer(store: &Store, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let key = request.uri().path().trim_start_matches('/');
    let found = match *request.method() {
        Method::GET => {
            store.stream(key).await.map(|found| found.map(|(size, body)| (size, Either::Right(body.into_inner()))))
        }
        Method::HEAD => store.head(key).await.map(|found| found.map(|head| (head.size, Either::Left(Full::default())))),
        _ => return Ok(empty(StatusCode::METHOD_NOT_ALLOWED)),
    };
    Ok(match found {
        Ok(Some((size, body))) => {
            let mut response = Response::new(body);
            response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
            response
        }
        Ok(None) => empty(StatusCode::NOT_FOUND),
        Err(_) => empty(StatusCode::BAD_GATEWAY),
    })
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}
