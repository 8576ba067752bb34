//! Single objects: what is written can be read, content decides, and a bad network is survived.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use hyper::Method;
use xtask_publish::tools::content::{Content, PART_SIZE, SINGLE_LIMIT};
use xtask_publish::tools::embedded::Embedded;
use xtask_publish::tools::garage::{Access, Garage};
use xtask_publish::tools::store::{Comparison, Progress, Store, compare};

use crate::proxy::{Fault, Proxy};
use crate::world::{BUCKET, World, noise, on_every_server, page, silent};

on_every_server! {
    what_goes_in_comes_out,
    large_files_go_in_parts,
    a_changed_file_is_refused,
    slow_down_is_outlived,
    resets_are_outlived,
    broken_downloads_are_started_again,
    a_wrong_secret_is_explained_and_not_shown,
}

const KEYS: [&str; 4] = ["plain.html", "deep/er/page.html", "lix 2.93+rc1/näme ☃.html", "%41&?#.html"];

async fn what_goes_in_comes_out(world: &World) -> Result<()> {
    let store = world.store();
    for key in KEYS {
        store.put_bytes(key, key.to_owned(), &page()).await?;
    }
    let listing = store.list("").await?;
    let mut sorted = KEYS;
    sorted.sort_unstable();
    assert_eq!(listing.keys().collect::<Vec<_>>(), sorted.iter().collect::<Vec<_>>());
    assert_eq!(store.list("deep/").await?.len(), 1);
    for key in KEYS {
        let content = Content::of_bytes(key.as_bytes());
        let head = store.head(key).await?.context("it is there")?;
        assert_eq!(head.size, key.len() as u64);
        assert_eq!(head.served.content_type, Some(page().content_type));
        assert_eq!(head.served.cache_control, Some(page().cache_control));
        assert_eq!(head.sha256, Some(content.sha256));
        assert_eq!(store.get(key, 1000).await?.as_deref(), Some(key.as_bytes()));
        assert_ne!(compare(&listing[key], &content), Comparison::Different);
        assert!(store.holds(key, &content).await?);
        assert!(!store.holds(key, &Content::of_bytes(&noise(key.len(), 1))).await?);
        store.delete(key).await?;
        store.delete(key).await?;
        assert_eq!(store.head(key).await?, None);
        assert_eq!(store.get(key, 1000).await?, None);
    }
    assert!(store.list("").await?.is_empty());
    let error = store.sibling("no-such-bucket").list("").await.expect_err("there is no such bucket");
    assert!(format!("{error:#}").contains("cannot list s3://no-such-bucket/"), "{error:#}");
    Ok(())
}

async fn large_files_go_in_parts(world: &World) -> Result<()> {
    let store = world.store();
    let mut bytes = noise((SINGLE_LIMIT + PART_SIZE / 2) as usize, 2);
    let path = world.file("large", &bytes)?;
    let content = Content::of_file(&path).await?;
    assert!(content.etag().ends_with("-3"), "{}", content.etag());
    let sent = Arc::new(AtomicI64::new(0));
    let progress: Progress = {
        let sent = Arc::clone(&sent);
        Arc::new(move |bytes| _ = sent.fetch_add(bytes, Ordering::Relaxed))
    };
    store.put_file("large", &path, &content, &page(), &progress).await?;
    assert_eq!(sent.load(Ordering::Relaxed), content.size as i64);
    assert_eq!(store.content("large").await?.as_ref(), Some(&content));
    let head = store.head("large").await?.context("it is there")?;
    assert_eq!(head.served.content_type, Some(page().content_type));
    assert_eq!(head.etag, Some(content.etag()));
    assert!(store.holds("large", &content).await?);
    bytes[0] ^= 1;
    assert!(!store.holds("large", &Content::of_bytes(&bytes)).await?);
    assert!(store.get("large", 1000).await.is_err(), "more than the limit");
    Ok(())
}

async fn a_changed_file_is_refused(world: &World) -> Result<()> {
    let store = world.store();
    let path = world.file("page", b"before")?;
    let content = Content::of_file(&path).await?;
    world.file("page", b"behind")?;
    let error = store.put_file("page", &path, &content, &page(), &silent()).await.expect_err("it changed");
    let message = format!("{error:#}");
    assert!(message.starts_with("cannot upload s3://test-bucket/page: the server answered 400 BadDigest"), "{message}");
    world.file("page", b"short")?;
    let error = store.put_file("page", &path, &content, &page(), &silent()).await.expect_err("it is shorter");
    assert!(format!("{error:#}").contains("has it changed?"), "{error:#}");
    Ok(())
}

/// Harms the first three requests, and later some in the middle of a large upload.
fn at_first(fault: Fault) -> impl Fn(usize, &Method) -> Option<Fault> {
    move |number, _| matches!(number, 0..3 | 6 | 8).then_some(fault)
}

async fn outlive(world: &World, fault: Fault) -> Result<()> {
    let proxy = Proxy::start(&world.endpoint, at_first(fault)).await?;
    let store = world.store_at(&proxy.endpoint);
    store.put_bytes("small", "small", &page()).await?;
    let path = world.file("large", &noise(SINGLE_LIMIT as usize + 1, 3))?;
    let content = Content::of_file(&path).await?;
    store.put_file("large", &path, &content, &page(), &silent()).await?;
    assert_eq!(world.store().content("large").await?, Some(content));
    assert_eq!(store.get("small", 1000).await?.as_deref(), Some(&b"small"[..]));
    Ok(())
}

async fn slow_down_is_outlived(world: &World) -> Result<()> {
    outlive(world, Fault::SlowDown).await?;
    outlive(world, Fault::Status(500)).await
}

async fn resets_are_outlived(world: &World) -> Result<()> {
    outlive(world, Fault::Reset).await
}

async fn broken_downloads_are_started_again(world: &World) -> Result<()> {
    let proxy = Proxy::start(&world.endpoint, |number, _| (number < 2).then_some(Fault::HalfAnswer)).await?;
    let bytes = noise(1 << 20, 4);
    world.store().put_bytes("page", bytes.clone(), &page()).await?;
    assert_eq!(world.store_at(&proxy.endpoint).content("page").await?, Some(Content::of_bytes(&bytes)));
    assert_eq!(proxy.requests().len(), 3);
    Ok(())
}

async fn a_wrong_secret_is_explained_and_not_shown(world: &World) -> Result<()> {
    let mut credentials = world.credentials.clone();
    credentials.secret = "0123456789abcdef".into();
    let store = Store::new(&world.endpoint, credentials.clone(), BUCKET);
    let error = store.put_bytes("page", "page", &page()).await.expect_err("the secret is wrong");
    let message = format!("{error:#} {error:?} {credentials:?}");
    assert!(message.contains("the server answered 403"), "{message}");
    assert!(!message.contains(&credentials.secret), "{message}");
    Ok(())
}

#[tokio::test]
async fn garage_refuses_a_damaged_part_and_forgets_the_others() -> Result<()> {
    let Some(world) = World::garage().await? else { return Ok(()) };
    let mut bytes = noise(SINGLE_LIMIT as usize + 1, 5);
    let path = world.file("large", &bytes)?;
    let content = Content::of_file(&path).await?;
    bytes[PART_SIZE as usize] ^= 1;
    world.file("large", &bytes)?;
    let error = world
        .store()
        .put_file("large", &path, &content, &page(), &silent())
        .await
        .expect_err("its second part changed");
    assert!(format!("{error:#}").contains("cannot upload part 2 of s3://test-bucket/large"), "{error:#}");
    assert!(world.store().list("").await?.is_empty());
    let garage = world.as_garage().context("it is Garage")?;
    unfinished_uploads_come_to(0, garage).await
}

/// Waits until Garage's count is right, which lags behind.
async fn unfinished_uploads_come_to(expected: u64, garage: &Garage) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let number = garage.unfinished_uploads(BUCKET).await?;
        if number == expected {
            return Ok(());
        }
        assert!(Instant::now() < deadline, "{number} uploads are unfinished, not {expected}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_a_killed_upload_left_is_forgotten_by_the_next() -> Result<()> {
    let Some(world) = World::garage().await? else { return Ok(()) };
    let garage = world.as_garage().context("it is Garage")?;
    let path = world.file("large", &noise(SINGLE_LIMIT as usize + 1, 6))?;
    let content = Content::of_file(&path).await?;
    // Neither parts nor the abort get through, as if the connection were cut.
    let cut = |_, method: &Method| matches!(*method, Method::PUT | Method::DELETE).then_some(Fault::Status(403));
    let proxy = Proxy::start(&world.endpoint, cut).await?;
    let cut_off = world.store_at(&proxy.endpoint);
    for key in ["large", "large too"] {
        assert!(cut_off.put_file(key, &path, &content, &page(), &silent()).await.is_err());
    }
    unfinished_uploads_come_to(2, garage).await?;
    let store = world.store();
    store.put_file("large", &path, &content, &page(), &silent()).await?;
    // The upload to another key stays.
    unfinished_uploads_come_to(1, garage).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    unfinished_uploads_come_to(1, garage).await?;
    store.put_file("large too", &path, &content, &page(), &silent()).await?;
    unfinished_uploads_come_to(0, garage).await
}

#[tokio::test]
async fn an_expired_key_is_explained_and_can_be_renewed() -> Result<()> {
    let Some(world) = World::garage().await? else { return Ok(()) };
    let garage = world.as_garage().context("it is Garage")?;
    let soon = SystemTime::now() + Duration::from_secs(2);
    let key = garage.make_key("brief", &[BUCKET], Access::ReadWrite, Some(soon)).await?;
    let store = Store::new(&world.endpoint, key, BUCKET);
    store.put_bytes("page", "before", &page()).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let error = store.put_bytes("page", "late", &page()).await.expect_err("the key has expired");
    assert!(format!("{error:#}").contains("may have expired"), "{error:#}");
    store.clone().renew(world.credentials.clone());
    store.put_bytes("page", "after", &page()).await?;
    Ok(())
}

#[tokio::test]
async fn a_key_for_reading_cannot_write() -> Result<()> {
    let Some(world) = World::garage().await? else { return Ok(()) };
    let garage = world.as_garage().context("it is Garage")?;
    let reader = Store::new(&world.endpoint, garage.make_key("reader", &[BUCKET], Access::Read, None).await?, BUCKET);
    world.store().put_bytes("page", "page", &page()).await?;
    assert_eq!(reader.get("page", 4).await?.as_deref(), Some(&b"page"[..]));
    let error = reader.delete("page").await.expect_err("it may only read");
    assert!(format!("{error:#}").contains("cannot delete s3://test-bucket/page: the server answered 403"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn the_embedded_server_keeps_everything_over_a_restart() -> Result<()> {
    let data = tempfile::tempdir()?;
    let files = tempfile::tempdir()?;
    let large = camino::Utf8PathBuf::try_from(files.path().join("large"))?;
    std::fs::write(&large, noise(SINGLE_LIMIT as usize + 1, 6))?;
    let content = Content::of_file(&large).await?;
    let (address, stopped) = {
        let server = Embedded::start(data.path(), &[BUCKET]).await?;
        let store = Store::new(server.endpoint(), Embedded::credentials(), BUCKET);
        for key in KEYS {
            store.put_bytes(key, key.to_owned(), &page()).await?;
        }
        store.put_file("large+ file", &large, &content, &page(), &silent()).await?;
        (server.endpoint().url.trim_start_matches("http://").to_owned(), store)
    };
    tokio::task::yield_now().await;
    // Another test's server may have the port by now, with nothing of this one's.
    let is_taken = tokio::net::TcpStream::connect(address).await.is_ok();
    assert!(!is_taken || stopped.get(KEYS[0], 100).await.ok().flatten().is_none(), "it stopped");

    let server = Embedded::start(data.path(), &[BUCKET]).await?;
    let store = Store::new(server.endpoint(), Embedded::credentials(), BUCKET);
    assert_eq!(store.list("").await?.len(), KEYS.len() + 1);
    for key in KEYS {
        assert_eq!(store.head(key).await?.context("it is there")?.served.content_type, Some(page().content_type));
        assert!(store.holds(key, &Content::of_bytes(key.as_bytes())).await?);
    }
    let head = store.head("large+ file").await?.context("it is there")?;
    assert_eq!((head.served.content_type, head.sha256), (Some(page().content_type), Some(content.sha256)));
    assert_eq!(store.content("large+ file").await?, Some(content));
    Ok(())
}
