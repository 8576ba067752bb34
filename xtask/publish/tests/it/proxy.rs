//! A proxy in front of an S3 server, which counts requests and harms some of them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, client, server};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use xtask_publish::tools::store::Endpoint;

/// Something that happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server never sees it; the answer is 503 `SlowDown`.
    SlowDown,
    /// The server never sees it; the answer is this status, without a body.
    Status(u16),
    /// The server never sees it; the connection is reset.
    Reset,
    /// The server never sees it; there is no answer.
    Silence,
    /// The answer is cut off after half its length.
    HalfAnswer,
    /// The server never sees it; the answer is this text, as from a stale replica.
    Stale(&'static str),
}

type Plan = Arc<dyn Fn(usize, &Method, &str) -> Option<Fault> + Send + Sync>;
pub type Body = BoxBody<Bytes, anyhow::Error>;

pub struct Proxy {
    pub endpoint: Endpoint,
    requests: Arc<Mutex<Vec<Method>>>,
    server: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy; `plan` gets the number of the request, from 0, and its method.
    pub async fn start(
        upstream: &Endpoint,
        plan: impl Fn(usize, &Method) -> Option<Fault> + Send + Sync + 'static,
    ) -> Result<Self> {
        Proxy::start_by_path(upstream, move |number, method, _| plan(number, method)).await
    }

    /// Starts a proxy whose `plan` also gets `/BUCKET/KEY`.
    pub async fn start_by_path(
        upstream: &Endpoint,
        plan: impl Fn(usize, &Method, &str) -> Option<Fault> + Send + Sync + 'static,
    ) -> Result<Self> {
        let address: SocketAddr = upstream.url.trim_start_matches("http://").parse()?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = Endpoint { url: format!("http://{}", listener.local_addr()?), region: upstream.region.clone() };
        let requests = Arc::new(Mutex::new(Vec::new()));
        let server = tokio::spawn(serve(listener, address, Arc::new(plan), Arc::clone(&requests)));
        Ok(Self { endpoint, requests, server })
    }

    /// The methods of all requests so far.
    pub fn requests(&self) -> Vec<Method> {
        self.requests.lock().expect("no test panics while counting").clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, upstream: SocketAddr, plan: Plan, requests: Arc<Mutex<Vec<Method>>>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (plan, requests) = (Arc::clone(&plan), Arc::clone(&requests));
        let service = service_fn(move |request: Request<Incoming>| {
            let number = {
                let mut requests = requests.lock().expect("no test panics while counting");
                requests.push(request.method().clone());
                requests.len() - 1
            };
            harm(upstream, plan(number, request.method(), request.uri().path()), request)
        });
        connections.spawn(async move {
            // Makes an error of the service, which drops the socket, reset the connection.
            #[expect(deprecated, reason = "its successor is younger than the oldest tokio allowed here, and without a delay it does not block")]
            let _ = socket.set_linger(Some(Duration::ZERO));
            let _ = server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn harm(upstream: SocketAddr, fault: Option<Fault>, request: Request<Incoming>) -> Result<Response<Body>> {
    match fault {
        Some(Fault::SlowDown) => {
            answer(503, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
        }
        Some(Fault::Status(status)) => answer(status, ""),
        Some(Fault::Stale(text)) => answer(200, text),
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Reset) => Err(anyhow!("reset on purpose")),
        Some(Fault::HalfAnswer) => halve(forward(upstream, request).await?).await,
        None => Ok(forward(upstream, request).await?.map(|body| body.map_err(Into::into).boxed())),
    }
}

pub fn answer(status: u16, text: &'static str) -> Result<Response<Body>> {
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never: Infallible| match never {});
    Ok(Response::builder().status(status).body(body.boxed())?)
}

pub async fn forward(upstream: SocketAddr, request: Request<Incoming>) -> Result<Response<Incoming>> {
    let socket = TcpStream::connect(upstream).await?;
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

async fn halve(response: Response<Incoming>) -> Result<Response<Body>> {
    let (head, body) = response.into_parts();
    let whole = body.collect().await?.to_bytes();
    let half = whole.slice(..whole.len() / 2);
    let frames = [Ok(Frame::data(half)), Err(anyhow!("broken off on purpose"))];
    Ok(Response::from_parts(head, BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)))))
}
