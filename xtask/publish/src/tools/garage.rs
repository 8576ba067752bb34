//! Garage, the server behind Lix's buckets, on loopback for tests and rehearsals. The program `garage` is started with
//! its data in one directory, and asked for buckets, keys and websites through its admin API. Its tokens are fixed and
//! lie in that directory.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::server::{self, Life, Server, free_addresses};
use super::store::{Credentials, Endpoint};

const REGION: &str = "garage";
const ADMIN_TOKEN: &str = "loopback-admin-token";
/// Number of attempts to start: a free port may be taken before Garage uses it.
const STARTS: u32 = 3;

/// A running Garage, which ends when this is dropped; its data stays.
#[derive(Debug)]
pub struct Garage {
    endpoint: Endpoint,
    admin: SocketAddr,
    web: SocketAddr,
    server: Server,
}

/// What a key may do with its buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    ReadWrite,
}

impl Garage {
    /// Whether the program is on `PATH`.
    pub fn is_installed() -> bool {
        server::is_installed("garage")
    }

    /// Starts it on free ports, with data, configuration and log in `data`, and makes missing buckets.
    pub async fn start(data: &Path, buckets: &[&str]) -> Result<Self> {
        Self::start_for(data, buckets, Life::Ours).await
    }

    /// Starts it as [`Garage::start`] does, possibly to outlive this process.
    pub async fn start_for(data: &Path, buckets: &[&str], life: Life) -> Result<Self> {
        std::fs::create_dir_all(data).with_context(|| format!("cannot make {} for Garage's data", data.display()))?;
        let mut start = 1;
        let garage = loop {
            match Self::try_start(data, life).await {
                Err(_) if start < STARTS => start += 1,
                garage => break garage?,
            }
        };
        for bucket in buckets {
            garage.make_bucket(bucket).await?;
        }
        Ok(garage)
    }

    async fn try_start(data: &Path, life: Life) -> Result<Self> {
        let addresses @ [rpc, s3, admin, web] = free_addresses()?;
        let config = data.join("garage.toml");
        let text = configuration(data, addresses)?;
        std::fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
        let mut command = Command::new("garage");
        command.arg("-c").arg(&config).args(["server", "--single-node"]);
        // Otherwise it logs a line for each request.
        command.env("RUST_LOG", "garage=warn");
        let mut server = Server::start(command, &data.join("garage.log"), life)?;
        server.ready(&[rpc, s3, admin, web]).await?;
        let endpoint = Endpoint { url: format!("http://{s3}"), region: REGION.into() };
        Ok(Self { endpoint, admin, web, server })
    }

    /// Lets it run on without us, and returns its process id.
    pub fn leave(self) -> u32 {
        self.server.leave()
    }

    /// Address and region of its S3 API.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Makes a bucket, unless it exists.
    pub async fn make_bucket(&self, bucket: &str) -> Result<()> {
        if self.bucket(bucket).await?.is_none() {
            self.ask("POST", "CreateBucket", Some(json!({ "globalAlias": bucket }))).await?;
        }
        Ok(())
    }

    /// Makes an access key for `buckets`, which the server rejects after `expiration`, if there is one.
    pub async fn make_key(
        &self,
        name: &str,
        buckets: &[&str],
        access: Access,
        expiration: Option<SystemTime>,
    ) -> Result<Credentials> {
        let expiration = expiration.map(|time| DateTime::from(time).fmt(DateTimeFormat::DateTime)).transpose()?;
        let wanted = json!({ "name": name, "expiration": expiration, "neverExpires": expiration.is_none() });
        let key = self.ask("POST", "CreateKey", Some(wanted)).await?;
        let credentials =
            Credentials { id: text(&key, "accessKeyId")?, secret: text(&key, "secretAccessKey")?, session_token: None };
        for bucket in buckets {
            let info = self
                .bucket(bucket)
                .await?
                .with_context(|| format!("Garage has no bucket {bucket} for the key {name}"))?;
            let permissions = json!({ "read": true, "write": access == Access::ReadWrite, "owner": false });
            let allowed =
                json!({ "bucketId": text(&info, "id")?, "accessKeyId": credentials.id, "permissions": permissions });
            self.ask("POST", "AllowBucketKey", Some(allowed)).await?;
        }
        Ok(credentials)
    }

    /// Makes a bucket readable without a key over plain HTTP, and returns its URL without a final slash.
    ///
    /// Garage chooses the bucket by the `Host` header. Programs that cannot resolve names below `localhost` connect to
    /// [`Self::web_address`] and send that header themselves.
    pub async fn publish(&self, bucket: &str) -> Result<String> {
        let info = self.bucket(bucket).await?.with_context(|| format!("Garage has no bucket {bucket} to publish"))?;
        let website = json!({ "websiteAccess": { "enabled": true, "indexDocument": "index.html" } });
        self.ask("POST", &format!("UpdateBucket?id={}", text(&info, "id")?), Some(website)).await?;
        Ok(format!("http://{bucket}.localhost:{}", self.web.port()))
    }

    /// Address at which published buckets are served.
    pub fn web_address(&self) -> SocketAddr {
        self.web
    }

    /// Number of multipart uploads to a bucket that were neither completed nor aborted.
    pub async fn unfinished_uploads(&self, bucket: &str) -> Result<u64> {
        let info = self.bucket(bucket).await?.with_context(|| format!("Garage has no bucket {bucket}"))?;
        info["unfinishedMultipartUploads"].as_u64().context("Garage's answer has no unfinishedMultipartUploads")
    }

    async fn bucket(&self, bucket: &str) -> Result<Option<Value>> {
        let (status, info) = self.exchange("GET", &format!("GetBucketInfo?globalAlias={bucket}"), None).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => Ok(Some(info)),
            _ => bail!("Garage was asked for the bucket {bucket} and answered {status}: {info}"),
        }
    }

    async fn ask(&self, method: &str, operation: &str, body: Option<Value>) -> Result<Value> {
        let (status, answer) = self.exchange(method, operation, body).await?;
        if !status.is_success() {
            bail!("Garage was asked for {operation} and answered {status}: {answer}");
        }
        Ok(answer)
    }

    async fn exchange(&self, method: &str, operation: &str, body: Option<Value>) -> Result<(StatusCode, Value)> {
        let asking = || format!("cannot ask Garage's admin API on {} for {operation}", self.admin);
        let socket = TcpStream::connect(self.admin).await.with_context(asking)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.with_context(asking)?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("/v2/{operation}"))
            .header(header::HOST, self.admin.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {ADMIN_TOKEN}"))
            .body(Full::new(body.map_or_else(Bytes::new, |body| body.to_string().into())))?;
        let response = sender.send_request(request).await.with_context(asking)?;
        let status = response.status();
        let answer = response.into_body().collect().await.with_context(asking)?.to_bytes();
        drop(sender);
        connection.await?.with_context(asking)?;
        Ok((status, serde_json::from_slice(&answer).unwrap_or(Value::Null)))
    }
}

fn configuration(data: &Path, [rpc, s3, admin, web]: [SocketAddr; 4]) -> Result<String> {
    let data = data.canonicalize().with_context(|| format!("cannot find {}", data.display()))?;
    // A JSON string is a TOML string too.
    let [meta, blocks] = ["meta", "data"].map(|directory| json!(data.join(directory).to_string_lossy()));
    Ok(format!(
        r#"metadata_dir = {meta}
data_dir = {blocks}
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "{rpc}"
rpc_public_addr = "{rpc}"
rpc_secret = "{:064}"

[s3_api]
s3_region = "{REGION}"
api_bind_addr = "{s3}"

[s3_web]
bind_addr = "{web}"
root_domain = ".localhost"

[admin]
api_bind_addr = "{admin}"
admin_token = "{ADMIN_TOKEN}"
"#,
        0
    ))
}

fn text(value: &Value, field: &str) -> Result<String> {
    // The message does not quote the answer, which may hold a secret key.
    Ok(value[field].as_str().with_context(|| format!("Garage's answer has no {field}"))?.to_owned())
}
