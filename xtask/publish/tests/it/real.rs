//! Complete publications to a real Garage, through a proxy that counts requests and harms them, with keys from a
//! program.

use std::fs;

use anyhow::Result;
use camino::Utf8PathBuf;
use hyper::Method;
use tempfile::TempDir;
use xtask_publish::tools::anonymous::Anonymous;
use xtask_publish::tools::garage::{Access, Garage};
use xtask_publish::tools::store::{Credentials, Store};

use crate::proxy::{Fault, Proxy};
use crate::release::{PAGES, Release, SYSTEMS};
use crate::repo::make_executable;

const BUCKETS: [&str; 4] = ["local-cache", "local-docs", "local-install", "local-releases"];

/// A Garage behind a proxy, and a release whose environment `local` is there.
pub struct World {
    // Dropped in this order: the server before its data.
    proxy: Proxy,
    _garage: Garage,
    pub writer: Credentials,
    pub reader: Credentials,
    pub release: Release,
    pub keys: Utf8PathBuf,
    _data: TempDir,
}

impl World {
    /// `None`, with a line that says so, if Garage is not installed.
    pub async fn start(
        plan: impl Fn(usize, &Method) -> Option<Fault> + Send + Sync + 'static,
    ) -> Result<Option<World>> {
        if !Garage::is_installed() {
            crate::repo::skip("garage is not installed");
            return Ok(None);
        }
        let data = tempfile::tempdir()?;
        let garage = Garage::start(data.path(), &BUCKETS).await?;
        let reader = garage.make_key("reader", &BUCKETS, Access::Read, None).await?;
        let writer = garage.make_key("writer", &BUCKETS, Access::ReadWrite, None).await?;
        let proxy = Proxy::start(garage.endpoint(), plan).await?;
        let release = Release::new("2.93.1");
        let keys = release.repo.beside("keys");
        let print = |key: &Credentials| serde_json::json!({ "name": "x", "id": key.id, "secret_key": key.secret });
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> {keys}.asked\ncase \"$*\" in *--write*) echo '{}' ;; *) echo '{}' ;; esac\n",
            print(&writer),
            print(&reader)
        );
        fs::write(&keys, script)?;
        make_executable(&keys);
        let storage = format!(
            "[environments.local.storage.s3]\nendpoint = \"{}\"\nregion = \"garage\"\n\
             [environments.local.storage.s3.credentials.command]\n\
             program = [\"{keys}\", \"{{access}}\", \"{{buckets}}\"]\nrenew-after-minutes = 1\n",
            proxy.endpoint.url
        );
        release.configure(|text| {
            text.replacen("[environments.local.storage.embedded]\ndirectory = \"release/local/s3\"", &storage, 1)
        });
        Ok(Some(World { proxy, _garage: garage, writer, reader, release, keys, _data: data }))
    }

    pub fn store(&self, bucket: &str) -> Store {
        Store::new(&self.proxy.endpoint, self.writer.clone(), bucket)
    }

    /// Runs something, and returns its requests that change something.
    pub fn writes(&self, run: impl FnOnce()) -> Vec<Method> {
        let before = self.proxy.requests().len();
        run();
        let requests = self.proxy.requests().split_off(before);
        requests.into_iter().filter(|method| *method != Method::GET && *method != Method::HEAD).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_change_delete_damage_repair() -> Result<()> {
    let Some(world) = World::start(|_, _| None).await? else { return Ok(()) };
    let release = &world.release;
    // Large enough for a multipart upload.
    let noise: String = (0..5_000_000_u64).map(|i| format!("{:08x}", i.wrapping_mul(2_654_435_761) >> 7)).collect();
    fs::write(release.version_dir().join("lix-2.93.1.tar.gz"), &noise)?;
    release.reseal();
    release.upload().ok();
    release.release("verify", "local", &[]).ok();
    let asked = fs::read_to_string(format!("{}.asked", world.keys))?;
    assert_eq!(asked.lines().next(), Some("--read local-docs local-releases local-cache"), "looking needs no more");
    assert!(asked.contains("--read --write local-docs local-releases local-cache"), "{asked}");

    let writes = world.writes(|| drop(release.upload().ok()));
    assert!(writes.is_empty(), "nothing is written twice: {writes:?}");
    let docs = world.store("local-docs");
    let head = docs.head("manual/lix/2.93/index.html").await?.expect("it is there");
    assert_eq!(head.served.content_type.as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(head.served.cache_control.as_deref(), Some("public, max-age=60"));
    let head = world.store("local-releases").head("lix/lix-2.93.1/manifest.nix").await?.expect("it is there");
    assert_eq!(head.served.content_type.as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(head.served.cache_control.as_deref(), Some("public, max-age=31536000, immutable"));

    // A page with the same size and other content, and an extra one: found and repaired.
    let properties = crate::world::page();
    docs.put_bytes("manual/lix/stable/page-1.html", "<p>Lix 2.93.1, page 9</p>\n", &properties).await?;
    docs.put_bytes("manual/lix/stable/old.html", "old", &properties).await?;
    let broken = release.release("verify", "local", &[]);
    assert!(broken.stdout.contains("page-1.html is not what was released"), "{}", broken.stdout);
    let writes = world.writes(|| drop(release.upload().ok()));
    assert_eq!(writes.iter().filter(|method| **method == Method::PUT).count(), 2, "the lock and one page: {writes:?}");
    release.release("verify", "local", &[]).ok();
    assert!(docs.head("manual/lix/stable/old.html").await?.is_none());

    // Different content under the same version: the error names both digests, and nothing changes.
    release.seal(&SYSTEMS, PAGES);
    let error = release.upload().fails(1);
    assert!(error.contains("lix-2.93.1.tar.gz is published with different content"), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_under_load_and_a_network_with_holes_are_borne() -> Result<()> {
    let harm = |number: usize, _: &Method| match number % 11 {
        3 | 4 => Some(Fault::SlowDown),
        7 => Some(Fault::Reset),
        _ => None,
    };
    let Some(world) = World::start(harm).await? else { return Ok(()) };
    world.release.upload().ok();
    world.release.release("verify", "local", &[]).ok();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_had_or_is_refused_says_so() -> Result<()> {
    let Some(world) = World::start(|_, _| None).await? else { return Ok(()) };
    let release = &world.release;
    fs::write(&world.keys, "#!/bin/sh\necho 'no such user' >&2\nexit 3\n")?;
    let error = release.upload().fails(1);
    assert!(error.contains("cannot get an access key") && error.contains("no such user"), "{error}");

    fs::write(&world.keys, "#!/bin/sh\necho '{\"id\": \"secret-looking\"'\n")?;
    let error = release.upload().fails(1);
    assert!(error.contains("did not print") && !error.contains("secret-looking"), "{error}");

    fs::write(&world.keys, "#!/bin/sh\necho '{\"name\": \"x\", \"id\": \"GK0\", \"secret_key\": \"0\"}'\n")?;
    let error = release.upload().fails(1);
    assert!(error.contains("the server answered 403"), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_is_sent_once_repaired_and_read_by_nix() -> Result<()> {
    let Some(world) = World::start(|_, _| None).await? else { return Ok(()) };
    let release = &world.release;
    release.upload().ok();
    let cache = world.store("local-cache");
    crate::cache::users::is_substituted_by_nix(cache.clone(), release).await?;

    let listing = cache.list("").await?;
    let key = |ending: &str| listing.keys().find(|key| key.ends_with(ending)).expect("it was sent").clone();
    let (narinfo, nar) = (key(".narinfo"), key(".nar.zst"));
    let text = String::from_utf8(cache.get(&narinfo, 1 << 20).await?.expect("it is there"))?;
    let unsigned: String =
        text.lines().filter(|line| !line.starts_with("Sig:")).map(|line| format!("{line}\n")).collect();
    cache.put_bytes(&narinfo, unsigned.into_bytes(), &crate::world::page()).await?;
    cache.delete(&nar).await?;
    release.release("verify", "local", &[]).fails(1);
    let writes = world.writes(|| drop(release.upload().ok()));
    assert!(
        writes.iter().filter(|method| **method == Method::PUT).count() <= 1 + 1 + 2 * 3,
        "only repairs: {writes:?}"
    );
    assert_eq!(cache.list("").await?.len(), listing.len());
    release.release("verify", "local", &["--deep"]).ok();
    let writes = world.writes(|| drop(release.upload().ok()));
    assert!(writes.is_empty(), "nothing is sent twice: {writes:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_reads_where_users_read() -> Result<()> {
    let Some(world) = World::start(|_, _| None).await? else { return Ok(()) };
    let release = &world.release;
    let mut servers = Vec::new();
    let mut public = "\n[environments.local.public]\n".to_owned();
    for bucket in BUCKETS {
        let server = Anonymous::start(world.store(bucket)).await?;
        public += &format!("{} = \"{}\"\n", bucket.trim_start_matches("local-"), server.url());
        servers.push(server);
    }
    release.configure(|text| {
        text.replacen("\n[environments.local.images]", &format!("{public}\n[environments.local.images]"), 1)
    });
    release.upload().ok();
    let verified = release.release("verify", "local", &["--deep"]).ok();
    assert!(verified.contains("docs manual/lix/stable/"), "{verified}");
    let status = release.repo.xtask(&["release", "status", "--config", release.config.as_str()]).ok();
    assert!(status.contains("local        ✓ published as built; 3 files complete"), "{status}");
    assert!(status.contains("✓ `nix upgrade-nix`, docs 2.93 and docs stable lead to it"), "{status}");

    let key = "lix/lix-2.93.1/lix-2.93.1.tar.gz";
    world.store("local-releases").put_bytes(key, "damaged", &crate::world::page()).await?;
    let broken = release.release("verify", "local", &[]);
    assert!(broken.stdout.contains("lix-2.93.1.tar.gz is not what was released: 7 bytes"), "{}", broken.stdout);
    assert_eq!(broken.code, Some(1));
    Ok(())
}
