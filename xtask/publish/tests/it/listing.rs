//! Listings: a partial listing never counts as complete, whatever a server does.

use anyhow::Result;
use expect_test::{Expect, expect};

use crate::scripted::{Answer, Scripted};

const DOCUMENT: &str =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";

fn object(key: &str) -> String {
    format!("<Contents><Key>{key}</Key><ETag>&quot;0&quot;</ETag><Size>3</Size></Contents>")
}

fn more(token: &str) -> String {
    format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>")
}

const LAST: &str = "<IsTruncated>false</IsTruncated>";

fn directory(name: &str) -> String {
    format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>")
}

/// Serves the pages one after the other, and the last one repeatedly.
async fn pages(pages: Vec<String>) -> Result<Scripted> {
    Scripted::start(move |asked| {
        let page = &pages[asked.number.min(pages.len() - 1)];
        Answer::new(200, format!("{DOCUMENT}{page}</ListBucketResult>"))
    })
    .await
}

async fn refused(script: Vec<String>, expected: Expect) -> Result<()> {
    let server = pages(script).await?;
    let error = server.store().list("lix/").await.expect_err("it is not the whole listing");
    expected.assert_eq(&format!("{error:#}"));
    Ok(())
}

#[tokio::test]
async fn a_listing_that_is_cut_off_is_refused() -> Result<()> {
    let whole = |text: &str| vec![text.to_owned()];
    refused(
        whole(&format!("<IsTruncated>true</IsTruncated>{}", object("lix/a"))),
        expect!["the listing of s3://test-bucket/lix/ is incomplete or inconsistent, so it is not used: after 1 entries, the server says that there are more, but gives no token to ask for them"],
    )
    .await?;
    refused(whole(&format!("{}{}", more(""), object("lix/a"))), expect!["the listing of s3://test-bucket/lix/ is incomplete or inconsistent, so it is not used: after 1 entries, the server says that there are more, but gives no token to ask for them"])
        .await?;
    refused(whole(&format!("{LAST}<KeyCount>2</KeyCount>{}", object("lix/a"))), expect!["the listing of s3://test-bucket/lix/ is incomplete or inconsistent, so it is not used: a page announces 2 entries, but has 1"]).await?;
    refused(
        vec![format!("{}{}", more("x"), object("lix/a")), format!("{}{}", more("x"), object("lix/b"))],
        expect!["the listing of s3://test-bucket/lix/ is incomplete or inconsistent, so it is not used: the server repeats a token, so the listing would never end"],
    )
    .await?;
    refused(
        vec![format!("{}{}", more("x"), object("lix/b")), format!("{LAST}{}", object("lix/a"))],
        expect!["the listing of s3://test-bucket/lix/ is incomplete or inconsistent, so it is not used: a page goes back: it has lix/a, but earlier pages went up to lix/b"],
    )
    .await
}

#[tokio::test]
async fn entries_that_make_no_sense_are_refused() -> Result<()> {
    for (entry, expected) in [
        ("<Contents><Size>3</Size></Contents>", expect!["an object has no key"]),
        ("<Contents><Key>lix/a</Key></Contents>", expect!["lix/a has no size"]),
        ("<Contents><Key>lix/a</Key><Size>-1</Size></Contents>", expect!["lix/a has the size -1"]),
        (
            "<Contents><Key>other</Key><Size>1</Size></Contents>",
            expect!["other is listed, but does not start with lix/"],
        ),
        (
            "<CommonPrefixes><Prefix>other/</Prefix></CommonPrefixes>",
            expect!["other/ is listed, but does not start with lix/"],
        ),
        ("<CommonPrefixes></CommonPrefixes>", expect!["a directory has no name"]),
    ] {
        let server = pages(vec![format!("{LAST}{entry}")]).await?;
        let error = server.store().directories("lix/").await.expect_err("it makes no sense");
        expected.assert_eq(&error.root_cause().to_string());
    }
    Ok(())
}

#[tokio::test]
async fn directories_of_a_listing_that_is_cut_off_are_refused() -> Result<()> {
    let server = pages(vec![format!("<IsTruncated>true</IsTruncated>{}", directory("lix/lix-0.1.0/"))]).await?;
    let error = server.store().directories("lix/lix-").await.expect_err("it is not the whole listing");
    assert!(format!("{error:#}").contains("gives no token"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn what_servers_may_do_is_understood() -> Result<()> {
    // Unsorted, and a token on the last page.
    let server = pages(vec![format!(
        "{LAST}<NextContinuationToken>x</NextContinuationToken>{}{}",
        object("lix/b"),
        object("lix/a")
    )])
    .await?;
    assert_eq!(server.store().list("lix/").await?.len(), 2);
    // An empty page between others, and a count of only the objects.
    let server = pages(vec![
        format!("{}{}", more("x"), object("lix/a")),
        more("y"),
        format!("{LAST}<KeyCount>1</KeyCount>{}{}", object("lix/b"), directory("lix/c/")),
    ])
    .await?;
    assert_eq!(server.store().list("lix/").await?.into_keys().collect::<Vec<_>>(), ["lix/a", "lix/b"]);
    // A token without a mark means that there are more pages.
    let server = pages(vec![
        format!("<NextContinuationToken>x</NextContinuationToken>{}", directory("lix/a/")),
        format!("{LAST}{}", directory("lix/b/")),
    ])
    .await?;
    assert_eq!(server.store().directories("lix/").await?, ["lix/a", "lix/b"]);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_not_one_of_s3_is_described() -> Result<()> {
    let cut = format!("{DOCUMENT}{LAST}{}", object("lix/a"));
    for (body, expected) in [
        (
            "<!DOCTYPE html><html><body>Welcome</body></html>",
            expect!["the server answered 200 with an HTML page: is the endpoint the address of an S3 server?"],
        ),
        ("", expect!["the server answered 200 with an empty body: it was cut off, or this is not an S3 server"]),
        (
            cut.as_str(),
            expect![
                "the server answered 200 with a body that was cut off or is not from an S3 server: it ends before </ListBucketResult>"
            ],
        ),
        (
            &cut[..cut.len() - 9],
            expect![
                "the server answered 200 with a body that was cut off or is not from an S3 server: it ends before </ListBucketResult>"
            ],
        ),
        (
            "{\"ok\":true}",
            expect![
                "the server answered 200 with a body that was cut off or is not from an S3 server: error parsing XML: no root element"
            ],
        ),
    ] {
        let body = body.to_owned();
        let server = Scripted::start(move |_| Answer::new(200, body.clone())).await?;
        let error = match server.store().list("lix/").await {
            Ok(listing) => format!("accepted: {listing:?}"),
            Err(error) => error.root_cause().to_string(),
        };
        expected.assert_eq(&error);
    }
    Ok(())
}

#[tokio::test]
async fn a_bucket_that_is_missing_is_never_an_absent_object() -> Result<()> {
    let missing = "<Error><Code>NoSuchBucket</Code><Message>The bucket is not there</Message></Error>";
    let server = Scripted::start(move |_| Answer::new(404, missing)).await?;
    let store = server.store();
    for error in [
        store.head("page").await.expect_err("there is no bucket"),
        store.get("page", 100).await.expect_err("there is no bucket"),
        store.content("page").await.expect_err("there is no bucket"),
    ] {
        assert!(format!("{error:#}").contains("404 NoSuchBucket"), "{error:#}");
    }
    let world = crate::world::World::embedded().await?;
    assert_eq!(world.store().head("page").await?, None);
    assert_eq!(world.store().get("page", 100).await?, None);
    for key in ["", "x".repeat(1025).as_str()] {
        assert!(world.store().head(key).await.is_err());
        assert!(world.store().get(key, 1).await.is_err());
    }
    Ok(())
}

#[tokio::test]
async fn refusals_say_what_helps_and_only_that() -> Result<()> {
    for (status, code, message, expected) in [
        (
            403,
            "AccessDenied",
            "Forbidden",
            expect![
                "the server answered 403 AccessDenied: Forbidden; the access key may have expired, or may not do this in this bucket, or the object does not exist (some servers then answer 403)"
            ],
        ),
        (
            403,
            "QuotaExceeded",
            "the bucket is full",
            expect!["the server answered 403 QuotaExceeded: the bucket is full"],
        ),
        (
            403,
            "RequestTimeTooSkewed",
            "The difference is too large",
            expect![
                "the server answered 403 RequestTimeTooSkewed: The difference is too large; set this machine's clock"
            ],
        ),
        (
            301,
            "PermanentRedirect",
            "The bucket is elsewhere",
            expect![
                "the server answered 301 PermanentRedirect: The bucket is elsewhere; the bucket is at another endpoint or in another region"
            ],
        ),
        (
            404,
            "NoSuchBucket",
            "",
            expect![
                "the server answered 404 NoSuchBucket; check the bucket's name, and that the access key may see it"
            ],
        ),
        (
            400,
            "AuthorizationHeaderMalformed",
            "the region 'here' is wrong; expecting 'garage'",
            expect![
                "the server answered 400 AuthorizationHeaderMalformed: the region 'here' is wrong; expecting 'garage'; check the region and the access key"
            ],
        ),
    ] {
        let server = Scripted::start(move |_| {
            Answer::new(status, format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"))
        })
        .await?;
        let error = server.store().get("page", 100).await.expect_err("it is refused");
        expected.assert_eq(&error.root_cause().to_string());
    }
    let server = Scripted::start(|_| Answer::new(404, "<html>not here</html>")).await?;
    let error = server.store().get("page", 100).await.expect_err("that is not an S3 server");
    expect!["the server answered 404 with an HTML page: is the endpoint the address of an S3 server?"]
        .assert_eq(&error.root_cause().to_string());
    Ok(())
}
