//! The AWS SDK's configuration for a server and an access key, and the messages for its errors.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::{Result, anyhow};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextRef,
    BeforeTransmitInterceptorContextMut,
};
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Config, ConfigBag, IdentityCache, Intercept, ProvideCredentials, Region,
    RequestChecksumCalculation, ResponseChecksumValidation, RuntimeComponents, SharedCredentialsProvider,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{BoxError, DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime::client::retries::classifiers::HttpStatusCodeClassifier;
use aws_smithy_runtime_api::client::result::DispatchFailure;
use aws_smithy_types::config_bag::{Storable, StoreReplace};

use crate::tools::wire::{CannotAsk, Patience, Waited, Wire};

/// Attempts at one request. With the backoff below, they bridge half a minute in which a server restarts or is
/// overloaded.
const ATTEMPTS: u32 = 10;
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(20);

/// Address of an S3 server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://HOST[:PORT]`, or `http://…` on loopback.
    pub url: String,
    /// Region, which is part of every signature: the server rejects a wrong one.
    pub region: String,
}

/// An access key, kept in memory. `Debug` shows only its public half.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The public half.
    pub id: String,
    /// The secret half.
    pub secret: String,
    /// Session token of temporary AWS credentials; Garage has none.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("id", &self.id).finish_non_exhaustive()
    }
}

pub(super) fn connect(endpoint: &Endpoint, credentials: Arc<RwLock<Credentials>>, patience: Patience) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(Wire::new(&endpoint.url, patience, false))
        .interceptor(OneWaiting)
        .interceptor(WholeAnswers)
        .retry_classifier(HttpStatusCodeClassifier::new_from_codes(&[429_u16][..]))
        .endpoint_url(&endpoint.url)
        .region(Region::new(endpoint.region.clone()))
        .force_path_style(true)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .credentials_provider(SharedCredentialsProvider::new(Current(credentials)))
        // A cached identity would still be used after the key was renewed.
        .identity_cache(IdentityCache::no_cache())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(ATTEMPTS)
                .with_initial_backoff(FIRST_BACKOFF)
                .with_max_backoff(LONGEST_BACKOFF),
        )
        // The SDK stops retrying after a hundred failures in a row across all requests of the process. A busy server
        // may answer each of a thousand small uploads with `SlowDown`; attempts, backoff and bounded parallelism are
        // limit enough.
        .retry_partition(RetryPartition::custom("store").token_bucket(TokenBucket::unlimited()).build())
        // The wire limits silence instead; a time limit for a request would cut off slow uploads.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .build();
    Client::from_conf(config)
}

/// Makes all attempts of one operation share their waiting time.
#[derive(Debug)]
struct OneWaiting;

impl Storable for Waited {
    type Storer = StoreReplace<Waited>;
}

impl Intercept for OneWaiting {
    fn name(&self) -> &'static str {
        "OneWaiting"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        cfg.interceptor_state().store_put(Waited::default());
        Ok(())
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(waited) = cfg.load::<Waited>() {
            context.request_mut().add_extension(waited.clone());
        }
        Ok(())
    }
}

/// Rejects answers that were cut off. The SDK accepts XML that ends early; and a server or proxy with HTTP/1.0 ends
/// every answer by closing the connection, whether it is complete or not.
#[derive(Debug)]
struct WholeAnswers;

impl Intercept for WholeAnswers {
    fn name(&self) -> &'static str {
        "WholeAnswers"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        // The body of an object is streamed, and its bytes are counted.
        match response.body().bytes() {
            Some(body) if response.status().is_success() => Ok(ends(body)?),
            _ => Ok(()),
        }
    }
}

/// Checks that an XML document is complete.
fn ends(body: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(body);
    let starts = text.split('<').skip(1);
    // A declaration and comments may come before the first element.
    let Some(root) = starts.clone().find(|start| start.starts_with(|first: char| first.is_alphabetic())) else {
        return Ok(());
    };
    let name = root.split(|end: char| end.is_whitespace() || end == '>' || end == '/').next().unwrap_or(root);
    let last = starts.last().unwrap_or_default().trim_end();
    let is_closed = last.strip_prefix('/').and_then(|last| last.strip_suffix('>')).map(str::trim_end) == Some(name);
    let is_empty_element = last == root.trim_end() && last.ends_with("/>");
    if is_closed || is_empty_element { Ok(()) } else { Err(format!("it ends before </{name}>")) }
}

/// Pause after a broken download, without jitter, because attempts at one download do not compete.
pub(super) fn backoff(attempt: u32) -> Duration {
    (FIRST_BACKOFF * 2_u32.pow(attempt)).min(LONGEST_BACKOFF)
}

/// Gives the SDK the current credentials.
struct Current(Arc<RwLock<Credentials>>);

impl ProvideCredentials for Current {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let Credentials { id, secret, session_token } =
            self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let credentials = aws_sdk_s3::config::Credentials::new(id, secret, session_token, None, "xtask");
        aws_credential_types::provider::future::ProvideCredentials::ready(Ok(credentials))
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

/// Whether the server said that the object does not exist. A 404 for something else, such as the bucket, or with a page
/// from something other than an S3 server, does not count.
pub(super) fn is_missing<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    SdkError<E, HttpResponse>: ProvideErrorMetadata,
{
    let Some(response) = error.raw_response().filter(|response| response.status().as_u16() == 404) else {
        return false;
    };
    match error.code() {
        Some(code) => matches!(code, "NoSuchKey" | "NotFound"),
        None => response.body().bytes().is_none_or(<[u8]>::is_empty),
    }
}

/// Turns the SDK's errors into messages: what was attempted, what the server said, what to do.
pub(super) trait Attempted<T> {
    fn attempted(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E> Attempted<T> for Result<T, SdkError<E, HttpResponse>>
where
    E: Error + 'static,
    SdkError<E, HttpResponse>: ProvideErrorMetadata + Error,
{
    fn attempted(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| {
            let status = error.raw_response().map(|response| response.status().as_u16());
            let answer = answer(&error);
            let error = match status {
                // A full disk does not keep the server from being read.
                Some(507) => anyhow!("{answer}"),
                Some(429 | 500..=599) | None => anyhow::Error::new(CannotAsk(answer)),
                Some(_) => anyhow!("{answer}"),
            };
            error.context(what())
        })
    }
}

/// Returns the innermost cause of an error, without the SDK's wrappers.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Says why there was no answer, in the wire's own words if it has some.
fn not_answered(failure: &DispatchFailure) -> String {
    let Some(error) = failure.as_connector_error() else { return "the server cannot be reached".to_owned() };
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(CannotAsk(why)) = error.downcast_ref() {
            return why.clone();
        }
        cause = error.source();
    }
    format!("the server cannot be reached: {}", root_cause(error))
}

fn answer<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: Error + 'static,
    SdkError<E, HttpResponse>: ProvideErrorMetadata + Error,
{
    let Some(response) = error.raw_response() else {
        return match error {
            SdkError::DispatchFailure(failure) => not_answered(failure),
            _ => DisplayErrorContext(error).to_string(),
        };
    };
    let status = response.status().as_u16();
    let Some(code) = error.code() else {
        return format!("the server answered {status}{}", without_a_code(status, response, error));
    };
    let message = error.message().unwrap_or_default();
    let said = if message.is_empty() { String::new() } else { format!(": {message}") };
    format!("the server answered {status} {code}{said}{}", remedy(status, code, message))
}

/// Describes an answer without an S3 error code.
fn without_a_code(status: u16, response: &HttpResponse, error: &(dyn Error + 'static)) -> String {
    let body = response.body().bytes().unwrap_or_default();
    let start = String::from_utf8_lossy(&body[..body.len().min(512)]).trim_start().to_ascii_lowercase();
    let is_html = start.starts_with("<!doctype html") || start.starts_with("<html");
    match status {
        _ if is_html => " with an HTML page: is the endpoint the address of an S3 server?".to_owned(),
        200..=299 if start.is_empty() => " with an empty body: it was cut off, or this is not an S3 server".to_owned(),
        200..=299 => {
            format!(" with a body that was cut off or is not from an S3 server: {}", root_cause(error))
        }
        301 | 302 | 307 | 308 => {
            let to = response.headers().get("location").map(|to| format!(" to {to}")).unwrap_or_default();
            format!(" and redirects{to}: check the endpoint and the region")
        }
        403 => format!(" without a reason; {REFUSED}"),
        507 => " without a reason: the server's disk is full".to_owned(),
        500.. => format!(" without a reason{OVERLOADED}"),
        _ => " without a reason".to_owned(),
    }
}

const REFUSED: &str = "the access key may have expired, or may not do this in this bucket, or the object does not \
 exist (some servers then answer 403)";
const OVERLOADED: &str = "; every attempt failed: the server is down or overloaded, try again later";

/// Returns a remedy, unless the server's own message has one.
fn remedy(status: u16, code: &str, message: &str) -> String {
    let says_more = !message.is_empty() && !message.eq_ignore_ascii_case(code) && code != "AccessDenied";
    match (status, code) {
        (_, "BadDigest") => {
            "; the file changed while it was being uploaded, or the network damaged it: try again".to_owned()
        }
        (_, "NoSuchBucket") => "; check the bucket's name, and that the access key may see it".to_owned(),
        (_, "SignatureDoesNotMatch") => "; check the secret key, the region and this machine's clock".to_owned(),
        (_, "AuthorizationHeaderMalformed") => "; check the region and the access key".to_owned(),
        (_, "RequestTimeTooSkewed") => "; set this machine's clock".to_owned(),
        (_, "InvalidAccessKeyId") => "; the server does not know the access key, or it has expired".to_owned(),
        (_, "ExpiredToken" | "InvalidToken") => "; the temporary access key has expired: get a new one".to_owned(),
        (301 | 307, _) => "; the bucket is at another endpoint or in another region".to_owned(),
        // A message about a quota, a policy or a lock is enough.
        (403, _) if !says_more => format!("; {REFUSED}"),
        (_, "InsufficientStorage" | "StorageFull" | "XMinioStorageFull") => "; the server's disk is full".to_owned(),
        (507, _) if !says_more => "; the server's disk is full".to_owned(),
        (507, _) => String::new(),
        (500.., _) => OVERLOADED.to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_ends_with_its_first_element() {
        for whole in ["", "<?xml version=\"1.0\"?>\n<!-- x --><A b='c'><D/></A>\n", "<A/>", "<A></A >", "<A b=\"c\" />"]
        {
            assert_eq!(ends(whole.as_bytes()), Ok(()), "{whole}");
        }
        for cut in ["<A>", "<A><D/>", "<A><D></D>", "<A></A", "<A></", "<A", "<A b=\"c", "<A></B>", "<A></A><C>"] {
            assert_eq!(ends(cut.as_bytes()), Err("it ends before </A>".to_owned()), "{cut}");
        }
    }
}
