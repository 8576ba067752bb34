//! The test servers themselves: they start, serve, stop, and leave nothing behind.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use xtask_publish::tools::garage::{Access, Garage};
use xtask_publish::tools::registry::Registry;
use xtask_publish::tools::store::Store;

use crate::world::{BUCKET, World, page};

async fn get(address: SocketAddr, host: &str, path: &str) -> Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(Request::get(path).header("host", host).body(Empty::<Bytes>::new())?).await?;
    Ok((response.status(), response.into_body().collect().await?.to_bytes()))
}

#[tokio::test]
async fn garage_serves_a_published_bucket_to_everybody() -> Result<()> {
    let Some(world) = World::garage().await? else { return Ok(()) };
    let garage = world.as_garage().context("it is Garage")?;
    world.store().put_bytes("manual/page.html", "hello", &page()).await?;
    let url = garage.publish(BUCKET).await?;
    let host = url.trim_start_matches("http://");
    assert_eq!(get(garage.web_address(), host, "/manual/page.html").await?, (StatusCode::OK, "hello".into()));
    assert_eq!(get(garage.web_address(), host, "/manual/none.html").await?.0, StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test]
async fn garage_keeps_its_data_over_a_restart_and_leaves_its_ports() -> Result<()> {
    if !Garage::is_installed() {
        crate::repo::skip("garage is not installed");
        return Ok(());
    }
    let data = tempfile::tempdir()?;
    let (key, web) = {
        let garage = Garage::start(data.path(), &[BUCKET]).await?;
        let key = garage.make_key("test", &[BUCKET], Access::ReadWrite, None).await?;
        Store::new(garage.endpoint(), key.clone(), BUCKET).put_bytes("page", "page", &page()).await?;
        (key, garage.web_address())
    };
    assert!(TcpStream::connect(web).await.is_err(), "it stopped");
    let garage = Garage::start(data.path(), &[BUCKET]).await?;
    assert_eq!(Store::new(garage.endpoint(), key, BUCKET).get("page", 4).await?.as_deref(), Some(&b"page"[..]));
    Ok(())
}

#[tokio::test]
async fn a_registry_answers_and_stops() -> Result<()> {
    if !Registry::is_installed() {
        crate::repo::skip("docker-registry is not installed");
        return Ok(());
    }
    let data = tempfile::tempdir()?;
    let open = Registry::start(&data.path().join("open"), None).await?;
    assert_eq!(get(open.address(), "localhost", "/v2/").await?.0, StatusCode::OK);
    let htpasswd = data.path().join("htpasswd");
    // The user `releng` with the password `secret`.
    std::fs::write(&htpasswd, "releng:$2y$05$h1nWbTFCNyKWqP6SyiQ5KOtUhQ1wPqvmlVSKUWCkYBxIHwBqVFgM6\n")?;
    let closed = Registry::start(&data.path().join("closed"), Some(&htpasswd)).await?;
    assert_eq!(get(closed.address(), "localhost", "/v2/").await?.0, StatusCode::UNAUTHORIZED);
    let address = open.address();
    drop(open);
    assert!(TcpStream::connect(address).await.is_err(), "it stopped");
    Ok(())
}

/// Started again as a child of itself, this test leaves a registry running and is killed; the registry must go with it.
#[tokio::test]
async fn a_server_does_not_outlive_who_started_it() -> Result<()> {
    const DATA: &str = "XTASK_TEST_REGISTRY_TO_LEAVE";
    if let Some(data) = std::env::var_os(DATA) {
        let registry = Registry::start(data.as_ref(), None).await?;
        println!("\n{}", registry.address());
        return std::future::pending().await;
    }
    if !Registry::is_installed() {
        crate::repo::skip("docker-registry is not installed");
        return Ok(());
    }
    let data = tempfile::tempdir()?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "servers::a_server_does_not_outlive_who_started_it", "--nocapture"])
        .env(DATA, data.path())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(child.stdout.take().context("it was piped")?);
    let address = output.lines().map_while(Result::ok).find_map(|line| line.parse::<SocketAddr>().ok());
    child.kill()?;
    child.wait()?;
    let address = address.context("the child started no registry")?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).await.is_ok() {
        assert!(Instant::now() < deadline, "the registry outlived its parent");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
