//! ETags: our MD5 decides, and any other ETag decides nothing.

use anyhow::Result;
use xtask_publish::tools::content::Content;
use xtask_publish::tools::store::{Comparison, Listed, compare};

use crate::scripted::{Answer, Scripted};

const OURS: &[u8] = b"what we have";
const OTHER: &[u8] = b"what is else";

fn md5(bytes: &[u8]) -> String {
    Content::of_bytes(bytes).etag()
}

/// How an object is stored.
#[derive(Clone)]
struct Stored {
    bytes: &'static [u8],
    etag: Option<String>,
    sha256: Option<&'static [u8]>,
    encryption: Option<&'static str>,
}

impl Stored {
    async fn serve(self) -> Result<Scripted> {
        Scripted::start(move |_| {
            let mut answer = Answer::new(200, self.bytes);
            if let Some(etag) = &self.etag {
                answer = answer.header("etag", etag);
            }
            if let Some(bytes) = self.sha256 {
                answer = answer.header("x-amz-meta-sha256", Content::of_bytes(bytes).sha256);
            }
            if let Some(encryption) = self.encryption {
                answer = answer.header("x-amz-server-side-encryption", encryption);
            }
            answer
        })
        .await
    }
}

#[tokio::test]
async fn content_decides_whatever_an_etag_is() -> Result<()> {
    let ours = Content::of_bytes(OURS);
    let strange = Some("\"0123456789abcdef0123456789abcdef\"".to_owned());
    let as_ours =
        Stored { bytes: OURS, etag: Some(format!("\"{}\"", md5(OURS))), sha256: Some(OURS), encryption: None };
    for (what, stored, expected, requests) in [
        ("an MD5", as_ours.clone(), true, 1),
        (
            "a weak one, and no quotes",
            Stored { etag: Some(format!("W/{}", md5(OURS))), sha256: None, ..as_ours.clone() },
            true,
            1,
        ),
        ("no ETag", Stored { etag: None, ..as_ours.clone() }, true, 1),
        ("an empty one", Stored { etag: Some("\"\"".to_owned()), ..as_ours.clone() }, true, 1),
        ("64 digits", Stored { etag: Some(format!("\"{}\"", ours.sha256)), ..as_ours.clone() }, true, 1),
        ("parts other than ours", Stored { etag: Some(format!("\"{}-7\"", md5(OTHER))), ..as_ours.clone() }, true, 1),
        ("nothing at all", Stored { etag: None, sha256: None, ..as_ours.clone() }, true, 2),
        ("encrypted", Stored { etag: strange.clone(), encryption: Some("aws:kms"), ..as_ours.clone() }, true, 1),
        ("32 digits that are not an MD5", Stored { etag: strange.clone(), ..as_ours.clone() }, true, 2),
        (
            "32 digits that are not an MD5, and no metadata",
            Stored { etag: strange.clone(), sha256: None, ..as_ours.clone() },
            true,
            2,
        ),
        (
            "another content",
            Stored { bytes: OTHER, etag: Some(format!("\"{}\"", md5(OTHER))), sha256: Some(OTHER), ..as_ours.clone() },
            false,
            1,
        ),
        (
            "another content, encrypted",
            Stored { bytes: OTHER, etag: strange.clone(), sha256: Some(OTHER), encryption: Some("aws:kms") },
            false,
            1,
        ),
        (
            "damage under our metadata",
            Stored { bytes: OTHER, etag: Some(format!("\"{}\"", md5(OTHER))), ..as_ours.clone() },
            false,
            2,
        ),
        (
            "damage without metadata or ETag",
            Stored { bytes: OTHER, etag: None, sha256: None, ..as_ours.clone() },
            false,
            2,
        ),
    ] {
        let server = stored.serve().await?;
        assert_eq!(server.store().holds("page", &ours).await?, expected, "{what}");
        assert_eq!(server.asked().len(), requests, "{what}");
    }
    Ok(())
}

#[tokio::test]
async fn one_download_shows_that_etags_are_strange() -> Result<()> {
    let stored = Stored {
        bytes: OURS,
        etag: Some("\"0123456789abcdef0123456789abcdef\"".to_owned()),
        sha256: Some(OURS),
        encryption: None,
    };
    let server = stored.serve().await?;
    let (store, ours) = (server.store(), Content::of_bytes(OURS));
    for key in ["one", "two", "three"] {
        assert!(store.holds(key, &ours).await?);
    }
    let methods: Vec<_> = server.asked().into_iter().map(|asked| asked.method).collect();
    assert_eq!(methods, ["HEAD", "GET", "HEAD", "HEAD"]);
    Ok(())
}

#[test]
fn a_listing_decides_what_it_can() {
    let content = Content::of_bytes(OURS);
    let listed = |size, etag: Option<String>| Listed { size, etag };
    assert_eq!(compare(&listed(12, Some(md5(OURS))), &content), Comparison::Same);
    assert_eq!(compare(&listed(12, Some(md5(OURS).to_uppercase())), &content), Comparison::Same);
    assert_eq!(compare(&listed(13, Some(md5(OURS))), &content), Comparison::Different);
    assert_eq!(compare(&listed(12, Some(md5(OTHER))), &content), Comparison::Unknown);
    assert_eq!(compare(&listed(12, None), &content), Comparison::Unknown);
}
