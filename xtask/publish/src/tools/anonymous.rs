//! An HTTP server inside this process that serves one bucket on loopback without authentication, as a public address
//! does, for programs that speak HTTP and not S3. Read-only.

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

use super::embedded::accept;
use super::store::{Store, Stored};

/// A running server, which stops when this is dropped.
#[derive(Debug)]
pub struct Anonymous {
    url: String,
    server: JoinHandle<()>,
}

impl Anonymous {
    /// Serves a bucket on a free port.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(store: Store) -> Result<Anonymous> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no free port on loopback")?;
        let url = format!("http://{}", listener.local_addr()?);
        Ok(Anonymous { url, server: tokio::spawn(serve(listener, store)) })
    }

    /// URL of the bucket, without a slash at the end.
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
        let socket = accept(&listener).await;
        let store = store.clone();
        connections.spawn(async move {
            let service = service_fn(|request| answer(&store, request));
            // The client of a connection sees its error.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

type Body = Either<Full<Bytes>, SdkBody>;

async fn answer(store: &Store, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().trim_start_matches('/');
    let Some(key) = unescaped(path) else { return Ok(empty(StatusCode::BAD_REQUEST)) };
    let found = match *request.method() {
        Method::GET => store
            .stream(&key)
            .await
            .map(|found| found.map(|Stored { size, served, body }| (size, served, Either::Right(body.into_inner())))),
        Method::HEAD => {
            let found = store.head(&key).await;
            found.map(|found| found.map(|head| (head.size, head.served, Either::Left(Full::default()))))
        }
        _ => return Ok(empty(StatusCode::METHOD_NOT_ALLOWED)),
    };
    Ok(match found {
        Ok(Some((size, served, body))) => {
            let mut response = Response::new(body);
            response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
            // The body is sent as it is stored, so clients need Content-Encoding.
            for (name, value) in [
                (header::CONTENT_TYPE, served.content_type),
                (header::CACHE_CONTROL, served.cache_control),
                (header::CONTENT_ENCODING, served.content_encoding),
                (header::CONTENT_DISPOSITION, served.content_disposition),
            ] {
                if let Some(value) = value.and_then(|value| value.parse().ok()) {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        }
        Ok(None) => empty(StatusCode::NOT_FOUND),
        Err(_) => empty(StatusCode::BAD_GATEWAY),
    })
}

/// Decodes the key in the path of a URL; `None` if it is not UTF-8.
fn unescaped(path: &str) -> Option<String> {
    let (mut key, mut rest) = (Vec::new(), path.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        let byte = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                rest = after;
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            _ => *first,
        };
        key.push(byte);
    }
    String::from_utf8(key).ok()
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}
