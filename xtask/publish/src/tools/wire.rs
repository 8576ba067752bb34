//! The HTTP connection to one server, at the pace that [`pace`] keeps.
//!
//! Only silence is limited: a time limit for a request would cut off a large upload on a slow connection.

mod pace;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_http_client::{Connector, proxy, tls};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use tokio::time::Instant;

pub use self::pace::{CannotAsk, Patience, Waited, cannot_be_asked, date};

use self::pace::Pace;
use self::watch::{Incoming, Outgoing};

/// Time limit for making a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// Slowest upload that counts as alive, in bytes per second.
const SLOWEST_UPLOAD: u64 = 32 << 10;
/// Longest answer in bytes that is not an object: a page of a listing has at most 1,000 keys of 1 kB.
const LONGEST_ANSWER: u64 = 16 << 20;
/// Part of a URL that asks for a listing.
const LISTS: &str = "list-type=";
/// Most bytes of an upload that the system may buffer before sending them.
const UNSENT: u64 = 4 << 20;

/// The connection to one server. Clones share connections, slots and the server's requests to wait.
#[derive(Clone)]
pub struct Wire {
    connector: SharedHttpConnector,
    pace: Arc<Pace>,
}

impl Wire {
    /// Prepares a connection to the server at a URL, which is made with the first request. `proxies` uses the proxies
    /// that environment variables name, as curl does, except to reach this machine.
    pub fn new(url: &str, patience: Patience, proxies: bool) -> Wire {
        let name = host(url).to_owned();
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT.min(patience.attempt)).build();
        let is_here = ["localhost", "127.", "[::1]"].iter().any(|here| name.starts_with(here));
        let connector = Connector::builder()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .connector_settings(settings)
            .proxy_config(if proxies && !is_here {
                proxy::ProxyConfig::from_env()
            } else {
                proxy::ProxyConfig::disabled()
            })
            .build();
        Wire { connector: SharedHttpConnector::new(connector), pace: Arc::new(Pace::new(name, patience)) }
    }

    /// Name of the server in messages: its host, with the port if the URL has one.
    pub fn name(&self) -> &str {
        self.pace.name()
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// The server cannot be reached, or is silent for too long. An error that another attempt cannot help is of the
    /// user kind, which is not retried.
    pub async fn send(&self, mut request: HttpRequest, waited: Waited) -> Result<HttpResponse, ConnectorError> {
        let pace = &self.pace;
        let (quiet, attempt) = (pace.patience().quiet, pace.attempt());
        let _slot = pace.turn(&waited).await?;
        let outgoing = Outgoing::default();
        let size = request.body().content_length().unwrap_or_default();
        if size > 0 {
            let body = request.take_body();
            *request.body_mut() = SdkBody::from_body_1_x(outgoing.watch(body));
        }
        // The system buffers bytes that it has not sent.
        let unsent = Duration::from_secs(size.min(UNSENT) / SLOWEST_UPLOAD);
        let is_object = request.method() == "GET" && !request.uri().contains(LISTS);
        let mut answer = self.connector.call(request);
        let mut response = loop {
            let quiet_at = outgoing.last() + quiet + unsent;
            let given_up_at = outgoing.last() + attempt + unsent;
            tokio::select! {
                biased;
                answer = &mut answer => {
                    if answer.is_err() {
                        pace.report_failures("cannot be reached");
                    }
                    break answer?;
                }
                () = tokio::time::sleep_until(quiet_at), if Instant::now() < quiet_at => {
                    if outgoing.last() + quiet + unsent <= Instant::now() {
                        pace.report_silence();
                    }
                }
                () = tokio::time::sleep_until(given_up_at) => {
                    if outgoing.last() + attempt + unsent <= Instant::now() {
                        return Err(pace.silent(&waited, attempt + unsent));
                    }
                }
            }
        };
        pace.heard();
        pace.note_load(&response, &waited);
        // The SDK reads all other answers into memory before it looks at them.
        let most = if is_object && response.status().is_success() { u64::MAX } else { LONGEST_ANSWER };
        let body = response.take_body();
        *response.body_mut() = SdkBody::from_body_1_x(Incoming::new(body, most, Arc::clone(pace), waited));
        Ok(response)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wire({})", self.name())
    }
}

/// For the AWS SDK. All attempts of one operation have the same [`Waited`].
impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let wire = self.clone();
        let waited = request.extension::<Waited>().cloned().unwrap_or_default();
        HttpConnectorFuture::new(async move { wire.send(request, waited).await })
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// Returns the host of a URL, with its port.
fn host(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    // A user name and a password may come before it.
    authority.rsplit('@').next().unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_host_and_no_password() {
        assert_eq!(host("https://user:secret@s3.example.org:8443/bucket?x"), "s3.example.org:8443");
        assert_eq!(host("http://[::1]:1/"), "[::1]:1");
    }
}
