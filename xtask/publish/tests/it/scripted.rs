//! A server with scripted answers, for what no real server does on demand.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, server};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use xtask_publish::tools::store::{Credentials, Endpoint, Store};
use xtask_publish::tools::wire::Patience;

use crate::world::BUCKET;

/// A request that was received.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Number of the request, from 0.
    pub number: usize,
    pub method: String,
    pub path: String,
    pub at: Instant,
}

/// A scripted answer.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Pause before the answer.
    pub pause: Duration,
    /// Pause between the halves of the body.
    pub pause_within: Duration,
    /// Whether the connection is closed after half of the body.
    pub cut: bool,
}

/// Pause that is longer than any test waits.
pub const FOR_EVER: Duration = Duration::from_secs(3600);

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
            pause: Duration::ZERO,
            pause_within: Duration::ZERO,
            cut: false,
        }
    }

    pub fn header(mut self, name: &'static str, value: impl ToString) -> Answer {
        self.headers.push((name, value.to_string()));
        self
    }
}

type Body = http_body_util::combinators::BoxBody<Bytes, anyhow::Error>;

pub struct Scripted {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    server: JoinHandle<()>,
}

impl Scripted {
    pub async fn start(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Result<Scripted> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (asked, script) = (Arc::new(Mutex::new(Vec::new())), Arc::new(script));
        let server = tokio::spawn(serve(listener, script, Arc::clone(&asked)));
        Ok(Scripted { url, asked, server })
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panics while counting").clone()
    }

    /// Uses it as an S3 server, which checks no signatures.
    pub fn store(&self) -> Store {
        self.store_with(Patience::LONG)
    }

    pub fn store_with(&self, patience: Patience) -> Store {
        let endpoint = Endpoint { url: self.url.clone(), region: "here".into() };
        let credentials = Credentials { id: "id".into(), secret: "secret".into(), session_token: None };
        Store::with_patience(&endpoint, credentials, BUCKET, patience)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve<S>(listener: TcpListener, script: Arc<S>, asked: Arc<Mutex<Vec<Asked>>>)
where
    S: Fn(&Asked) -> Answer + Send + Sync + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (script, asked) = (Arc::clone(&script), Arc::clone(&asked));
        let service = service_fn(move |request: Request<Incoming>| {
            let (script, asked) = (Arc::clone(&script), Arc::clone(&asked));
            async move {
                let (head, body) = request.into_parts();
                body.collect().await?;
                let asked = {
                    let mut asked = asked.lock().expect("no test panics while counting");
                    let number = asked.len();
                    asked.push(Asked {
                        number,
                        method: head.method.to_string(),
                        path: head.uri.path().to_owned(),
                        at: Instant::now(),
                    });
                    asked.last().expect("one was pushed").clone()
                };
                answer(script(&asked), asked.method == "HEAD").await
            }
        });
        connections.spawn(async move {
            let _ = server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn answer(answer: Answer, is_head: bool) -> Result<Response<Body>> {
    tokio::time::sleep(answer.pause).await;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    if is_head {
        if !answer.cut {
            response = response.header("content-length", answer.body.len());
        }
        return Ok(response.body(http_body_util::Empty::new().map_err(|never: Infallible| match never {}).boxed())?);
    }
    let body = Bytes::from(answer.body);
    if !answer.cut {
        response = response.header("content-length", body.len());
    }
    let half = body.len() / 2;
    let halves = [body.slice(..half), body.slice(half..)].into_iter().enumerate();
    let frames = halves.map(move |(number, bytes)| async move {
        if number == 1 {
            tokio::time::sleep(answer.pause_within).await;
            anyhow::ensure!(!answer.cut, "cut off on purpose");
        }
        Ok(Frame::data(bytes))
    });
    Ok(response.body(BodyExt::boxed(StreamBody::new(ordered(frames))))?)
}

/// Runs futures one after the other, and returns their results.
fn ordered<F: Future<Output = Result<Frame<Bytes>>> + Send + Sync + 'static>(
    futures: impl Iterator<Item = F> + Send + Sync + 'static,
) -> impl futures_util::Stream<Item = Result<Frame<Bytes>>> + Send + Sync + 'static {
    use futures_util::StreamExt;
    futures_util::stream::iter(futures).then(|future| future)
}
