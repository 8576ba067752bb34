//! What an S3 server says about itself without authentication: for messages about a wrong region or clock.

use anyhow::Result;
use aws_sdk_s3::primitives::ByteStream;
use time::OffsetDateTime;

use super::http::{SHORT_PATIENCE, interrupted, request};
use super::wire::{self, CannotAsk, Patience, Waited, Wire};

/// Longest refusal that is read, in bytes.
const REFUSAL_LIMIT: u64 = 64 << 10;

/// What an S3 server says about itself without authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// The server's time, if it says.
    pub time: Option<OffsetDateTime>,
    /// The region that signatures must name, if the server says; Garage does, in every refusal.
    pub region: Option<String>,
}

/// Asks an S3 server about itself.
///
/// # Errors
/// The server does not answer.
pub async fn ask(url: &str) -> Result<ServerInfo> {
    let asking = async {
        let wire = Wire::new(url, Patience::LONG, false);
        let response = wire.send(request("GET", url)?, Waited::default()).await;
        let mut response = response.map_err(|error| interrupted(error.into()))?;
        let header = |name| response.headers().get(name).map(str::to_owned);
        let (time, region) = (header("date").and_then(|date| wire::date(&date)), header("x-amz-bucket-region"));
        let mut body = Vec::new();
        let mut chunks = ByteStream::new(response.take_body());
        while let Some(Ok(chunk)) = chunks.next().await {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > REFUSAL_LIMIT {
                break;
            }
        }
        Ok(ServerInfo { time, region: region.or_else(|| named_region(&String::from_utf8_lossy(&body))) })
    };
    match tokio::time::timeout(SHORT_PATIENCE, asking).await {
        Ok(info) => info,
        Err(_) => Err(CannotAsk(format!("it did not answer within {} s", SHORT_PATIENCE.as_secs())).into()),
    }
}

/// Finds the region in the XML of a refusal.
fn named_region(body: &str) -> Option<String> {
    let (_, rest) = body.split_once("<Region>")?;
    let (region, _) = rest.split_once("</Region>")?;
    Some(region.to_owned()).filter(|region| !region.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_region() {
        let garage = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Region>garage</Region></Error>";
        assert_eq!(named_region(garage).as_deref(), Some("garage"));
        assert_eq!(named_region("<Error><Region></Region></Error>"), None);
        assert_eq!(named_region("<html>"), None);
    }
}
