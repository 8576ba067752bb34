//! Owns how the AWS SDK is set up and what its errors say to people. Refuses to own operations.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::{Result, anyhow};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Config, IdentityCache, ProvideCredentials, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::{Builder, tls};

use super::{Credentials, Endpoint};

/// Attempts of one request. With the backoff below they outlast half a minute of a server that is restarting or
/// overloaded.
const ATTEMPTS: u32 = 10;
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(20);
/// One attempt of a request without a large body.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);
/// In bytes a second. An upload slower than this is not slow but stuck.
const SLOWEST_UPLOAD: u64 = 32 << 10;

pub(super) fn connect(endpoint: &Endpoint, credentials: Arc<RwLock<Credentials>>) -> Client {
    let http = Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .endpoint_url(&endpoint.url)
        .region(Region::new(endpoint.region.clone()))
        .force_path_style(true)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .credentials_provider(SharedCredentialsProvider::new(Current(credentials)))
        // A cached identity would outlive a renewed key.
        .identity_cache(IdentityCache::no_cache())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(ATTEMPTS)
                .with_initial_backoff(FIRST_BACKOFF)
                .with_max_backoff(LONGEST_BACKOFF),
        )
        // The SDK stops retrying after a hundred failures in a row, all requests of the process taken together. A busy
        // server answers a thousand small uploads with as many `SlowDown`s; attempts, backoff and bounded parallelism
        // are limit enough.
        .retry_partition(RetryPartition::custom("store").token_bucket(TokenBucket::unlimited()).build())
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled().grace_period(Duration::from_secs(30)).build(),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(10))
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .build(),
        )
        .build();
    Client::from_conf(config)
}

/// Lets one attempt to upload `size` bytes take as long as a slow line needs.
pub(super) fn patient(size: u64) -> aws_sdk_s3::config::Builder {
    let timeout = ATTEMPT_TIMEOUT + Duration::from_secs(size / SLOWEST_UPLOAD);
    Config::builder().timeout_config(TimeoutConfig::builder().operation_attempt_timeout(timeout).build())
}

/// The pause after a broken download. The attempts of one download do not race each other, so it needs no jitter.
pub(super) fn backoff(attempt: u32) -> Duration {
    (FIRST_BACKOFF * 2_u32.pow(attempt)).min(LONGEST_BACKOFF)
}

/// Hands the SDK whichever credentials are current.
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

/// Whether the server said that there is no such object.
pub(super) fn is_missing<E>(error: &SdkError<E, HttpResponse>) -> bool
where
    SdkError<E, HttpResponse>: ProvideErrorMetadata,
{
    let is_404 = error.raw_response().is_some_and(|response| response.status().as_u16() == 404);
    is_404 && error.code() != Some("NoSuchBucket")
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
        self.map_err(|error| anyhow!("{}", answer(&error)).context(what()))
    }
}

/// What lies at the bottom of an error: the rest is the SDK's own words for it.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn answer<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: Error + 'static,
    SdkError<E, HttpResponse>: ProvideErrorMetadata + Error,
{
    let Some(response) = error.raw_response() else {
        return match error {
            SdkError::TimeoutError(_) => format!("no answer in time, {ATTEMPTS} times"),
            SdkError::DispatchFailure(_) => format!("the server cannot be reached: {}", root_cause(error)),
            _ => DisplayErrorContext(error).to_string(),
        };
    };
    let status = response.status().as_u16();
    let code = error.code().unwrap_or("no error code");
    let message = error.message().unwrap_or("no message");
    let remedy = match (status, error.code()) {
        (_, Some("BadDigest")) => {
            "; the file changed while it was being uploaded, or the network damaged it: try again"
        }
        (_, Some("NoSuchBucket")) => "; check the bucket's name, and that the access key may see it",
        (_, Some("SignatureDoesNotMatch" | "AuthorizationHeaderMalformed")) => {
            "; check the secret key, the region and this machine's clock"
        }
        (403, _) => "; the access key may have expired or lack this permission on this bucket",
        (500.., _) => "; it stayed so over many attempts: the server is down or overloaded, try again later",
        _ => "",
    };
    format!("the server answered {status} {code}: {message}{remedy}")
}
