//! A proxy in front of a registry, which counts requests and may answer them itself.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, server};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::proxy::{answer, forward};

/// The requests so far, as `METHOD PATH`.
type Log = Arc<Mutex<Vec<String>>>;
/// Decides how to answer the last of the requests so far: with a status, or through the registry.
type Plan = Arc<dyn Fn(&[String]) -> Option<u16> + Send + Sync>;

pub struct Front {
    pub address: SocketAddr,
    log: Log,
    server: JoinHandle<()>,
}

impl Front {
    pub async fn start(
        upstream: SocketAddr,
        plan: impl Fn(&[String]) -> Option<u16> + Send + Sync + 'static,
    ) -> Result<Front> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (address, log) = (listener.local_addr()?, Log::default());
        let server = tokio::spawn(serve(listener, upstream, Arc::new(plan), Arc::clone(&log)));
        Ok(Front { address, log, server })
    }

    /// The requests since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().expect("no test panics while counting"))
    }

    /// The requests since the last call that change something.
    pub fn take_writes(&self) -> Vec<String> {
        self.take().into_iter().filter(|request| !is_read(request)).collect()
    }
}

pub fn is_read(request: &str) -> bool {
    [Method::GET, Method::HEAD].iter().any(|method| request.starts_with(method.as_str()))
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, upstream: SocketAddr, plan: Plan, log: Log) {
    while let Ok((socket, _)) = listener.accept().await {
        let (plan, log) = (Arc::clone(&plan), Arc::clone(&log));
        let service = service_fn(move |request: Request<Incoming>| {
            let status = {
                let mut log = log.lock().expect("no test panics while counting");
                log.push(format!("{} {}", request.method(), request.uri().path()));
                plan(&log)
            };
            async move {
                match status {
                    Some(status) => answer(status, ""),
                    None => Ok(forward(upstream, request).await?.map(|body| body.map_err(Into::into).boxed())),
                }
            }
        });
        // skopeo tries TLS first, and sees the error of a connection.
        tokio::spawn(server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}
