//! Servers on loopback for rehearsals and tests, the same as Lix's: Garage with buckets and keys, a registry, a bare
//! git repository, and a `releng.toml` for them.
//!
//! Access keys lie in the servers' directory, and a program there prints them as the real one does, so that credentials
//! work as they do in production.

use std::fs::Permissions;
use std::net::ToSocketAddrs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use xtask::tools::files;

use super::garage::{Access, Garage};
use super::registry::Registry;
use super::server::Life;

/// Name of the environment in `releng.toml`.
pub const ENVIRONMENT: &str = "world";
/// Name of the configuration in the servers' directory.
pub const CONFIG: &str = "releng.toml";
/// File with the servers' process ids, while they run on without us.
const PIDS: &str = "pids";
/// Program that prints access keys.
const KEYS: &str = "keys";
/// Purpose of each bucket.
const PURPOSES: [&str; 4] = ["cache", "docs", "install", "releases"];
/// Time that a server has to end, in steps of [`STEP`].
const STEPS: u32 = 100;
const STEP: Duration = Duration::from_millis(100);

/// Text of the program that prints the requested access key.
const KEYS_PROGRAM: &str = "#!/bin/sh
# Stands in for garage-ephemeral-key: prints the access key with the requested rights.
cd \"$(dirname \"$0\")\" || exit 1
for argument; do
    [ \"$argument\" != --write ] || exec cat read-write.json
done
exec cat read.json
";

/// The running servers.
pub struct TestServers {
    dir: Utf8PathBuf,
    garage: Garage,
    registry: Registry,
}

impl TestServers {
    /// Whether the servers' programs are on `PATH`.
    pub fn is_installed() -> bool {
        Garage::is_installed() && Registry::is_installed()
    }

    /// Starts the servers on free ports, with everything in `dir`, including what was published there before.
    ///
    /// # Errors
    /// A server is not installed, or does not start.
    pub async fn start(dir: &Utf8Path, life: Life) -> Result<TestServers> {
        ensure!(Garage::is_installed(), "garage is not installed: `cargo install --locked garage`");
        ensure!(Registry::is_installed(), "docker-registry is not installed: `apt-get install docker-registry`");
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {dir}"))?;
        let dir = dir.canonicalize_utf8().with_context(|| format!("cannot find {dir}"))?;
        // It contains keys.
        set_mode(&dir, 0o700)?;
        let names = PURPOSES.map(bucket);
        let names = names.each_ref().map(String::as_str);
        let garage = Garage::start_for(dir.join("garage").as_std_path(), &names, life).await?;
        for (file, access) in [("read.json", Access::Read), ("read-write.json", Access::ReadWrite)] {
            let name = format!("{ENVIRONMENT}-{access:?}");
            let key = garage.make_key(&name, &names, access, None).await?;
            let printed = json!({ "name": name, "id": key.id, "secret_key": key.secret });
            files::write_atomic(&dir.join(file), &format!("{printed}\n"))?;
            set_mode(&dir.join(file), 0o600)?;
        }
        files::write_atomic(&dir.join(KEYS), KEYS_PROGRAM)?;
        set_mode(&dir.join(KEYS), 0o700)?;
        let mut public = Vec::new();
        for name in names {
            public.push(garage.publish(name).await?);
        }
        let registry = Registry::start_for(dir.join("registry").as_std_path(), None, life).await?;
        let servers = TestServers { dir, garage, registry };
        files::write_atomic(&servers.config(), &servers.releng_toml(&public))?;
        Ok(servers)
    }

    /// Path of the `releng.toml` for these servers.
    pub fn config(&self) -> Utf8PathBuf {
        self.dir.join(CONFIG)
    }

    /// Repository for images, as `REGISTRY/REPOSITORY`.
    pub fn registry(&self) -> String {
        format!("{}/lix", self.registry.address())
    }

    pub fn garage(&self) -> &Garage {
        &self.garage
    }

    /// Lets the servers run until [`stop`].
    ///
    /// # Errors
    /// The process ids cannot be written; the servers then run on regardless.
    pub fn leave(self) -> Result<()> {
        let pids = [self.garage.leave(), self.registry.leave()].map(|pid| format!("{pid}\n"));
        files::write_atomic(&self.dir.join(PIDS), &pids.concat())
    }

    /// Makes the text of `releng.toml`; `public` has the address of each bucket.
    fn releng_toml(&self, public: &[String]) -> String {
        let quoted = |text: &str| json!(text).to_string();
        let lines = |values: Vec<String>| -> String {
            PURPOSES.iter().zip(values).map(|(purpose, value)| format!("{purpose} = {}\n", quoted(&value))).collect()
        };
        // Not every system resolves names below localhost.
        let resolves = |url: &String| url.trim_start_matches("http://").to_socket_addrs().is_ok();
        let public = if public.iter().all(resolves) {
            format!("\n[environments.{ENVIRONMENT}.public]\n{}", lines(public.to_vec()))
        } else {
            "\n# No public addresses: names below localhost do not resolve on this machine.\n".to_owned()
        };
        format!(
            r#"# Generated at every start: servers on loopback, with their data in this directory.

[environments.{ENVIRONMENT}]
colour = "blue"
profiles = ["all", "x86_64-linux-only"]
noconfirm = true

[environments.{ENVIRONMENT}.storage.s3]
endpoint = {endpoint}
region = {region}

[environments.{ENVIRONMENT}.storage.s3.credentials.command]
program = [{keys}, "{{access}}", "{{buckets}}"]
renew-after-minutes = 45

[environments.{ENVIRONMENT}.buckets]
{buckets}{public}
[environments.{ENVIRONMENT}.cache.made]
key-file = {cache_key}
name = "lix-{ENVIRONMENT}"

[environments.{ENVIRONMENT}.git.directory]
path = {git}
branch-off = "refs/heads/{{branch}}"

[environments.{ENVIRONMENT}.images]
targets = [{target}]
tls-verify = false
login = false
"#,
            endpoint = quoted(&self.garage.endpoint().url),
            region = quoted(&self.garage.endpoint().region),
            keys = quoted(self.dir.join(KEYS).as_str()),
            buckets = lines(PURPOSES.map(bucket).to_vec()),
            cache_key = quoted(self.dir.join("cache.key").as_str()),
            git = quoted(self.dir.join("git").as_str()),
            target = quoted(&format!("docker://{}", self.registry())),
        )
    }
}

/// Stops the servers that were left running in `dir`, and returns their number.
///
/// # Errors
/// A server does not end.
pub async fn stop(dir: &Utf8Path) -> Result<usize> {
    let path = dir.join(PIDS);
    let Ok(pids) = std::fs::read_to_string(&path) else { return Ok(0) };
    let mut stopped = 0;
    for pid in pids.lines().filter_map(|line| line.parse::<i32>().ok()).filter_map(Pid::from_raw) {
        if !is_of(pid, dir) {
            continue;
        }
        kill_process(pid, Signal::TERM).with_context(|| format!("cannot stop the process {pid:?}"))?;
        stopped += 1;
        let mut steps = 0;
        while is_of(pid, dir) {
            if steps == STEPS {
                bail!("the process {pid:?} does not end: look at the logs in {dir}");
            }
            tokio::time::sleep(STEP).await;
            steps += 1;
        }
    }
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {path}"))?;
    Ok(stopped)
}

/// Whether a process is one of our servers, whose command lines name the directory: process ids are reused.
fn is_of(pid: Pid, dir: &Utf8Path) -> bool {
    let words = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let dir = dir.as_str().as_bytes();
    words.windows(dir.len()).any(|window| window == dir)
}

fn bucket(purpose: &str) -> String {
    format!("{ENVIRONMENT}-{purpose}")
}

fn set_mode(path: &Utf8Path, mode: u32) -> Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the mode of {path}"))
}
