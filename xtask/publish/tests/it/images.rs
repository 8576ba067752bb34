//! Container images, with the real skopeo and a real registry: pushed, tagged, lost, repaired, refused.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpStream;
use xtask::domain::environment::image_target::ImageTarget;
use xtask_publish::tools::images::Images;
use xtask_publish::tools::oci::OciDirectory;
use xtask_publish::tools::registry::Registry;

use crate::layout;
use crate::registry::{Front, is_read};
use crate::release::Release;

/// `htpasswd -B`: the user `releng` with the password `secret`.
pub const HTPASSWD: &str = "releng:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// A registry behind a proxy.
struct World {
    // Dropped in this order: the servers before their data.
    front: Front,
    registry: Registry,
    dir: TempDir,
}

impl World {
    /// `None`, with a line that says so, if something is not installed.
    async fn start(
        htpasswd: Option<&str>,
        plan: impl Fn(&[String]) -> Option<u16> + Send + Sync + 'static,
    ) -> Result<Option<World>> {
        let skopeo = Command::new("skopeo").arg("--version").output().is_ok_and(|output| output.status.success());
        if !skopeo || !Registry::is_installed() {
            crate::repo::skip("skopeo or docker-registry is not installed");
            return Ok(None);
        }
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("htpasswd");
        fs::write(&file, htpasswd.unwrap_or_default())?;
        let registry = Registry::start(&dir.path().join("registry"), htpasswd.map(|_| file.as_path())).await?;
        let front = Front::start(registry.address(), plan).await?;
        Ok(Some(World { front, registry, dir }))
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.dir.path()).expect("UTF-8").join(name)
    }

    /// `ADDRESS/lix`, through the proxy.
    fn repository(&self) -> String {
        format!("{}/lix", self.front.address)
    }

    fn images(&self) -> Images {
        let target = ImageTarget::Registry { repository: self.repository() };
        Images::new(&target, Utf8Path::new("/"), false).patient(Duration::from_secs(6))
    }

    /// A release whose environment `local` pushes here.
    fn release(&self, login: bool) -> Release {
        let release = Release::new("2.93.1");
        release.push_images_to(&self.repository(), login);
        release
    }

    fn skopeo(&self, args: &[&str]) -> Result<String> {
        let output = Command::new("skopeo").args(args).output()?;
        anyhow::ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn publish(release: &Release, phase: &str, args: &[&str], auth: &Utf8Path) -> (bool, String) {
    let output = release.command(phase, "local", args).env("REGISTRY_AUTH_FILE", auth).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_tagged_and_the_second_time_nothing_is_sent() -> Result<()> {
    let Some(world) = World::start(None, |_| None).await? else { return Ok(()) };
    let release = world.release(false);
    release.upload().ok();
    release.release("verify", "local", &["--deep"]).ok();
    world.front.take();
    release.upload().ok();
    assert_eq!(world.front.take_writes(), Vec::<String>::new());

    let name = format!("docker://{}", world.repository());
    let tags = world.skopeo(&["list-tags", "--tls-verify=false", &name])?;
    let tags: serde_json::Value = serde_json::from_str(&tags)?;
    let mut tags: Vec<&str> =
        tags["Tags"].as_array().context("a list")?.iter().filter_map(|tag| tag.as_str()).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["2.93", "2.93.1", "latest"], "and no stray one");
    let tagged = format!("{name}:2.93.1");
    for architecture in layout::ARCHITECTURES {
        let inspect = ["--override-arch", architecture, "inspect", "--tls-verify=false", &tagged];
        let seen: serde_json::Value = serde_json::from_str(&world.skopeo(&inspect)?)?;
        assert_eq!(seen["Architecture"], architecture);
        assert_eq!(seen["Labels"]["version"], "2.93.1");
    }
    let copy = world.path("copy");
    let to = format!("oci:{copy}:x");
    world.skopeo(&[
        "--insecure-policy",
        "copy",
        "--all",
        "--preserve-digests",
        "--src-tls-verify=false",
        &tagged,
        &to,
    ])?;
    let copied = OciDirectory::new(copy);
    let built = OciDirectory::new(release.release_dir().join("images"));
    let index = built.named("2.93.1")?.context("it was built")?;
    assert_eq!(copied.named("x")?, Some(index));
    let found = Images::Directory(copied).find(index).await?;
    let platforms: Vec<String> = found.platforms.iter().map(ToString::to_string).collect();
    assert_eq!((platforms.join(" "), found.missing), ("linux/arm64 linux/amd64".to_owned(), vec![]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_manifest_is_named_offered_and_pushed_again() -> Result<()> {
    let Some(world) = World::start(None, |_| None).await? else { return Ok(()) };
    let release = world.release(false);
    release.upload().ok();
    let built = OciDirectory::new(release.release_dir().join("images"));
    let index = built.named("2.93.1")?.context("it was built")?;
    let index: serde_json::Value = serde_json::from_slice(&built.read(index)?.context("it is there")?)?;
    let child = index["manifests"][0]["digest"].as_str().context("a digest")?.to_owned();
    delete(world.registry.address(), &child).await?;

    let named = format!("the manifest of linux/arm64, {child}");
    let broken = release.release("verify", "local", &[]);
    assert!(broken.stdout.contains(&format!("{named} is missing")), "{}", broken.stdout);
    let plan = release.release("plan", "local", &[]).stdout;
    assert!(plan.contains(&format!("again: it is missing {named}")), "{plan}");
    release.upload().ok();
    release.release("verify", "local", &["--deep"]).ok();
    Ok(())
}

async fn delete(address: SocketAddr, digest: &str) -> Result<()> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
    tokio::spawn(connection);
    let request = Request::delete(format!("/v2/lix/manifests/{digest}")).header("host", address.to_string());
    let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    anyhow::ensure!(response.status().as_u16() == 202, "the registry answered {}", response.status());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_layer_is_found_by_looking_deep() -> Result<()> {
    let Some(world) = World::start(None, |_| None).await? else { return Ok(()) };
    let release = world.release(false);
    release.upload().ok();
    let blobs = world.path("registry/data/docker/registry/v2/blobs/sha256");
    let layers =
        fs::read_dir(&blobs)?.flat_map(|dir| fs::read_dir(dir.expect("an entry").path()).expect("a directory"));
    let data = layers.map(|blob| blob.expect("an entry").path().join("data"));
    let layer = data.filter(|path| path.metadata().is_ok_and(|data| data.len() == 1536)).min().context("a layer")?;
    fs::remove_file(layer)?;
    let broken = release.release("verify", "local", &["--deep"]);
    assert!(broken.code == Some(1) && broken.stdout.contains("it cannot be downloaded"), "{}", broken.stdout);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_wants_to_know_us() -> Result<()> {
    let Some(world) = World::start(Some(HTPASSWD), |_| None).await? else { return Ok(()) };
    let (release, auth) = (world.release(true), world.path("auth.json"));
    let registry = world.front.address.to_string();
    let remedy = format!("`skopeo login {registry}`");
    let (ok, said) = publish(&release, "upload", &["--noconfirm"], &auth);
    assert!(!ok && said.contains(&remedy), "{said}");

    let login = |password: &str| {
        let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("releng:{password}"));
        let json = serde_json::json!({ "auths": { (registry.clone()): { "auth": encoded } } });
        fs::write(&auth, json.to_string())
    };
    login("an old one")?;
    let (ok, said) = publish(&release, "upload", &["--noconfirm"], &auth);
    assert!(!ok && said.contains(&remedy), "{said}");
    login("secret")?;
    let (ok, said) = publish(&release, "upload", &["--noconfirm"], &auth);
    assert!(ok && !said.contains("secret"), "{said}");
    let (ok, said) = publish(&release, "verify", &["--deep"], &auth);
    assert!(ok, "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_before_every_login_is_known() -> Result<()> {
    // This registry can be read without a login.
    let Some(world) = World::start(None, |_| None).await? else { return Ok(()) };
    let release = world.release(true);
    let (ok, said) = publish(&release, "upload", &["--noconfirm"], &world.path("auth.json"));
    let registry = world.front.address;
    assert!(!ok && said.contains(&format!("not logged in to {registry}: type `skopeo login {registry}`")), "{said}");
    assert_eq!(world.front.take_writes(), Vec::<String>::new());
    assert!(!release.object("local-releases/lix").exists(), "nor to a bucket");
    Ok(())
}

/// Whether a registry shows its manifests; it takes a while after a push.
fn shy(statuses: &'static [u16]) -> impl Fn(&[String]) -> Option<u16> + Send + Sync + 'static {
    let of_manifest = |request: &&String| request.contains("/manifests/");
    move |log| {
        let pushed = log.iter().position(|request| of_manifest(&request) && !is_read(request))?;
        log.last().filter(|request| of_manifest(request) && is_read(request))?;
        let reads = log[pushed..].iter().filter(|request| of_manifest(request) && is_read(request)).count();
        statuses.get(reads - 1).copied()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_takes_a_while_is_waited_for() -> Result<()> {
    let Some(world) = World::start(None, shy(&[404, 503, 404, 429, 503])).await? else { return Ok(()) };
    let built = world.path("built");
    let record = layout::write(&built, "2.93.1");
    let index = record.digest;
    let (images, built) = (world.images().patient(Duration::from_secs(60)), OciDirectory::new(built));
    images.push(&built, "2.93.1", index).await?;
    images.tag(index, "2.93.1").await?;
    assert_eq!(images.tagged("2.93.1").await?, Some(index));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_never_shows_what_it_took_is_a_failure() -> Result<()> {
    for (status, says) in [(404, "it is missing the index sha256:"), (503, "503")] {
        let faults: &'static [u16] = Box::leak(vec![status; 1000].into_boxed_slice());
        let Some(world) = World::start(None, shy(faults)).await? else { return Ok(()) };
        let built = world.path("built");
        let record = layout::write(&built, "2.93.1");
        let index = record.digest;
        let error = world.images().push(&OciDirectory::new(built), "2.93.1", index).await.expect_err("it is not there");
        let said = format!("{error:#}");
        assert!(said.contains("but does not show it 6 s later") && said.contains(says), "{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_filled_repaired_and_its_tags_move() -> Result<()> {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let dir = release.release_dir().join("local/images");
    let there = OciDirectory::new(dir.clone());
    let first = there.named("latest")?.context("it is tagged")?;
    let layer = fs::read_dir(dir.join("blobs/sha256"))?.map(|blob| blob.expect("an entry").path());
    let layer = layer.filter(|path| path.metadata().is_ok_and(|data| data.len() == 1536)).min().context("a layer")?;
    fs::write(&layer, "damaged")?;
    let broken = release.release("verify", "local", &[]);
    assert!(broken.stdout.contains("a layer of linux/"), "{}", broken.stdout);
    let said = release.upload().stderr;
    assert!(said.contains("again: it is missing a layer of linux/"), "{said}");
    release.release("verify", "local", &[]).ok();

    // Another release moves the tags that move, and leaves the fixed one.
    let built = release.repo.beside("built");
    let second = layout::write(&built, "2.93.2").digest;
    let images = Images::Directory(there.clone());
    images.push(&OciDirectory::new(built), "2.93.2", second).await?;
    for tag in ["2.93.2", "2.93", "latest"] {
        images.tag(second, tag).await?;
    }
    let named = ["2.93.1", "2.93.2", "2.93", "latest"].map(|tag| there.named(tag).expect("readable"));
    assert_eq!(named, [Some(first), Some(second), Some(second), Some(second)]);
    Ok(())
}

/// A proxy that answers the first `times` pushes of a manifest with a status.
fn grumpy(status: u16, times: usize) -> impl Fn(&[String]) -> Option<u16> + Send + Sync + 'static {
    let is_push = |request: &&String| request.starts_with("PUT ") && request.contains("/manifests/");
    move |log| {
        log.last().filter(is_push)?;
        (log.iter().filter(is_push).count() <= times).then_some(status)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_meets_a_busy_registry_is_tried_again() -> Result<()> {
    for status in [500, 502, 503, 504] {
        let Some(world) = World::start(None, grumpy(status, 2)).await? else { return Ok(()) };
        let built = world.path("built");
        let record = layout::write(&built, "2.93.1");
        let index = record.digest;
        let images = world.images().patient(Duration::from_secs(60));
        images.push(&OciDirectory::new(built), "2.93.1", index).await?;
        images.tag(index, "2.93.1").await?;
        assert_eq!(images.tagged("2.93.1").await?, Some(index));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_tag_is_explained_in_the_registrys_words() -> Result<()> {
    let of_tag = |log: &[String]| log.last().is_some_and(|last| last.ends_with("/manifests/latest")).then_some(400);
    let Some(world) = World::start(None, of_tag).await? else { return Ok(()) };
    let built = world.path("built");
    let record = layout::write(&built, "2.93.1");
    let index = record.digest;
    let images = world.images();
    images.push(&OciDirectory::new(built), "2.93.1", index).await?;
    let error = format!("{:#}", images.tag(index, "latest").await.expect_err("it is refused"));
    assert!(error.contains("uploading manifest latest") && error.contains("400"), "{error}");
    assert!(!error.contains("preserve digests") && !error.contains("level="), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_not_there_yet_is_made_by_the_push() -> Result<()> {
    // As GHCR and Quay answer until something was pushed.
    let private = |log: &[String]| {
        let pushed = log.iter().any(|request| request.starts_with("PUT ") && request.contains("/manifests/"));
        log.last().filter(|last| is_read(last) && last.contains("/manifests/") && !pushed).map(|_| 403)
    };
    let Some(world) = World::start(None, private).await? else { return Ok(()) };
    let (release, auth) = (world.release(false), world.path("auth.json"));
    let (ok, said) = publish(&release, "plan", &[], &auth);
    assert!(ok && said.contains("perhaps because the repository does not exist yet"), "{said}");
    let (ok, said) = publish(&release, "upload", &["--noconfirm"], &auth);
    assert!(ok, "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_helper_that_is_missing_is_named() -> Result<()> {
    let Some(world) = World::start(None, |_| None).await? else { return Ok(()) };
    let (release, auth) = (world.release(true), world.path("auth.json"));
    let helpers = serde_json::json!({ "auths": {}, "credHelpers": { (world.front.address.to_string()): "nowhere" } });
    fs::write(&auth, helpers.to_string())?;
    let (ok, said) = publish(&release, "upload", &["--noconfirm"], &auth);
    assert!(!ok && said.contains("docker-credential-nowhere") && !said.contains("type `skopeo login"), "{said}");
    Ok(())
}
