//! The same histories with the real program: small releases and the embedded server, whose writes fail from some
//! request on where a run is killed. What lies there is read back into a [`World`] after every step.
//!
//! `RELENG_REAL_HISTORIES` sets the number of histories.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use hyper::Method;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use tempfile::TempDir;
use xtask::domain::build::record::Record;
use xtask::domain::version::Version;
use xtask_publish::tools::embedded::Embedded;

use super::environment::{Ended, Part, Pointer, World};
use super::{Command, History, Step, any_step};
use crate::proxy::{Fault, Proxy};
use crate::release::Release;
use crate::repo::{Ran, xtask};

/// Number of histories in a usual run, and of steps in each.
const HISTORIES: usize = 2;
const STEPS: usize = 6;

/// The last one is the old tool's.
const VERSIONS: [&str; 5] = ["2.93.1", "2.93.2", "2.94.1", "2.94.2", "2.94.0"];

/// A server behind a proxy that ends all writing after a number of requests, and what is published there.
struct Real {
    releases: Vec<Release>,
    data: TempDir,
    /// Number of writes that still succeed.
    left: Arc<AtomicI64>,
    _proxy: Proxy,
    _server: Embedded,
}

impl Real {
    async fn start() -> Result<Real> {
        let data = tempfile::tempdir()?;
        let names = ["cache", "docs", "install", "releases"].map(|purpose| format!("local-{purpose}"));
        let server = Embedded::start(data.path(), &names.each_ref().map(String::as_str)).await?;
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let counted = Arc::clone(&left);
        let proxy = Proxy::start(server.endpoint(), move |_, method| {
            let writes = *method != Method::GET && *method != Method::HEAD;
            (writes && counted.fetch_sub(1, Ordering::SeqCst) <= 0).then_some(Fault::Status(403))
        })
        .await?;
        let releases: Vec<Release> = VERSIONS[..4].iter().map(|version| Release::new(version)).collect();
        for (number, release) in releases.iter().enumerate() {
            if number > 0 {
                release.share(&releases[0]);
            }
            release.store_at(&proxy.endpoint.url);
        }
        Ok(Real { releases, data, left, _proxy: proxy, _server: server })
    }

    fn object(&self, key: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.data.path()).expect("UTF-8").join(key)
    }

    fn text(&self, key: &str) -> Option<String> {
        fs::read_to_string(self.object(key)).ok()
    }

    fn release(&self, version: &Version) -> &Release {
        let version = version.to_string();
        self.releases.iter().find(|release| release.version == version).unwrap_or(&self.releases[0])
    }

    /// Reads everything that lies there.
    fn look(&self) -> Result<World> {
        let mut world = World::default();
        let images = self.releases[0].release_dir().join("local/images");
        let index = fs::read_to_string(images.join("index.json")).unwrap_or_else(|_| "{}".to_owned());
        let index: Value = serde_json::from_str(&index)?;
        let tag = |name: &str| {
            let named = |entry: &&Value| entry["annotations"]["org.opencontainers.image.ref.name"] == name;
            index["manifests"].as_array().into_iter().flatten().find(named)?["digest"].as_str().map(str::to_owned)
        };
        let leads_to = |key: &str, version: &str| {
            self.text(key).is_some_and(|text| {
                text.contains(&format!("-lix-{version}\"")) || text.contains(&format!("Lix {version}, page"))
            })
        };
        for text in VERSIONS {
            let version: Version = text.parse().expect("a version");
            let directory = format!("local-releases/lix/lix-{text}");
            let mut parts = std::collections::BTreeSet::new();
            let series = version.series();
            let mut pointers = vec![
                (Pointer::RootManifest, leads_to("local-releases/manifest.nix", text)),
                (Pointer::DocsStable, leads_to("local-docs/manual/lix/stable/index.html", text)),
                (Pointer::SeriesDocs(series), leads_to(&format!("local-docs/manual/lix/{series}/index.html"), text)),
            ];
            if text == VERSIONS[4] {
                if self.object(&format!("{directory}/manifest.nix")).exists() {
                    parts.extend([Part::Files, Part::Cache, Part::Images]);
                    world.of_old_tool.insert(version.clone());
                }
            } else {
                let release = self.release(&version);
                let record = fs::read_to_string(release.release_dir().join("release.json"))?;
                let record = Record::parse(&record).map_err(anyhow::Error::msg)?;
                let digest = record.image.as_ref().context("an image")?.digest;
                let has = |name: &str| self.object(&format!("{directory}/{name}")).exists();
                let narinfo = |path: &str| {
                    let hash = path.rsplit('/').next().and_then(|base| base.split('-').next()).unwrap_or_default();
                    self.object(&format!("local-cache/{hash}.narinfo")).exists()
                };
                let outputs = || record.builds.values().flat_map(|build| build.outputs.values());
                parts.extend(has("SHA256SUMS").then_some(Part::Sums));
                parts.extend(has("release.json").then_some(Part::Record));
                parts.extend(record.files.keys().all(|name| has(name)).then_some(Part::Files));
                parts.extend(outputs().all(|path| narinfo(&path.to_string())).then_some(Part::Cache));
                let blob = images.join("blobs/sha256").join(digest.to_string());
                parts.extend(blob.exists().then_some(Part::Images));
                let is = |name: &str| tag(name).is_some_and(|there| there == digest.oci());
                pointers.push((Pointer::Latest, is("latest")));
                pointers.push((Pointer::SeriesTag(series), is(&series.to_string())));
                if self.object(&format!("local-releases/receipts/lix-{text}.json")).exists() {
                    world.receipts.insert(version.clone());
                }
            }
            for (pointer, _) in pointers.into_iter().filter(|(_, here)| *here) {
                world.pointers.insert(pointer, version.clone());
            }
            if !parts.is_empty() {
                world.parts.insert(version, parts);
            }
        }
        if let Some(list) = self.text("local-releases/withdrawn.json") {
            let list: Vec<String> = serde_json::from_str(&list)?;
            world.withdrawn = list.iter().filter_map(|version| version.parse().ok()).collect();
        }
        Ok(world)
    }

    fn run(&self, command: &Command, killed: Option<u8>) -> Option<Ran> {
        self.left.store(killed.map_or(i64::MAX, |writes| i64::from(writes) * 3), Ordering::SeqCst);
        let ran = match command {
            Command::Publish(versions) => match versions.as_slice() {
                [version] => self.release(version).upload(),
                several => {
                    let releases: Vec<&Release> = several.iter().map(|version| self.release(version)).collect();
                    let first = releases[0];
                    let mut args = vec!["release", "train", "--env", "local", "--config", first.config.as_str()];
                    args.push("--noconfirm");
                    for release in &releases {
                        args.extend(["--repo", release.repo.root.as_str()]);
                    }
                    xtask(&args)
                }
            },
            Command::Rollback(to) => {
                self.releases[0].release("rollback", "local", &["--to", &to.to_string(), "--noconfirm"])
            }
            // Installers are built elsewhere, and come with other tests.
            Command::Installer(_) => return None,
        };
        self.left.store(i64::MAX, Ordering::SeqCst);
        Some(ran)
    }

    /// Publishes as the old tool did: no sums, record or receipt, and every pointer moves.
    fn old_tool(&self) -> Result<()> {
        let version = VERSIONS[4];
        let path = format!("/nix/store/{}-lix-{version}", "0".repeat(32));
        let manifest = format!("{{\n  aarch64-linux = \"{path}\";\n  x86_64-linux = \"{path}\";\n}}\n");
        let page = format!("<p>Lix {version}, page 0</p>\n");
        let objects = [
            (format!("local-releases/lix/lix-{version}/manifest.nix"), &manifest),
            ("local-releases/manifest.nix".to_owned(), &manifest),
            ("local-docs/manual/lix/2.94/index.html".to_owned(), &page),
            ("local-docs/manual/lix/stable/index.html".to_owned(), &page),
        ];
        for (key, text) in objects {
            let path = self.object(&key);
            fs::create_dir_all(path.parent().context("a directory")?)?;
            fs::write(path, text)?;
        }
        Ok(())
    }
}

impl History {
    /// Takes a step with the real program. Returns what it said, for a failure.
    fn take_really(&mut self, real: &Real, step: &Step) -> Result<String, String> {
        let version = |index: usize| -> Version { VERSIONS[index % 4].parse().expect("a version") };
        let (command, killed) = match step {
            Step::Upload { version: one, killed } => (Command::Publish(vec![version(*one)]), *killed),
            Step::Train { versions, killed } => {
                let versions: std::collections::BTreeSet<Version> = versions.iter().map(|one| version(*one)).collect();
                (Command::Publish(versions.into_iter().collect()), *killed)
            }
            Step::Rollback { to, killed } => (Command::Rollback(version(*to)), *killed),
            Step::Resume { killed } => match self.left.clone() {
                Some(command) => (command, *killed),
                None => return Ok(String::new()),
            },
            Step::Installer { .. } => return Ok(String::new()),
            Step::OldTool { .. } => {
                real.old_tool().map_err(|error| error.to_string())?;
                self.world = real.look().map_err(|error| error.to_string())?;
                self.disturbed.extend(self.world.pointers.keys());
                return Ok(String::new());
            }
            Step::TwoManagers { first, second } | Step::LostLock { first, second, .. } => {
                let stale = real.release(&version(*second));
                let plan = stale.release("plan", "local", &[]);
                let digest = plan.stdout.trim_end().rsplit("plan ").next().unwrap_or_default().to_owned();
                let said = self
                    .really(real, Command::Publish(vec![version(*first)]), |real, command| real.run(command, None))?;
                let command = Command::Publish(vec![version(*second)]);
                let then =
                    self.really(real, command, |_, _| Some(stale.release("upload", "local", &["--plan", &digest])))?;
                return Ok(said + &then);
            }
        };
        self.really(real, command, |real, command| real.run(command, killed))
    }

    fn really(
        &mut self,
        real: &Real,
        command: Command,
        run: impl FnOnce(&Real, &Command) -> Option<Ran>,
    ) -> Result<String, String> {
        let mut said = String::new();
        let looked = self.watch(&command, |world| {
            let Some(ran) = run(real, &command) else { return Ended::Refused };
            said = format!("{command:?}: {:?}\n{}{}\n", ran.code, ran.stdout, ran.stderr);
            let now = real.look().expect("what lies there can be read");
            let unchanged = now == *world;
            *world = now;
            match ran.code {
                Some(0) => Ended::Done,
                _ if unchanged => Ended::Refused,
                _ => Ended::Stopped,
            }
        });
        looked.map(|()| said.clone()).map_err(|why| format!("{why}\n{said}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_program_keeps_to_it() -> Result<()> {
    let asked = std::env::var("RELENG_REAL_HISTORIES").ok().and_then(|number| number.parse().ok());
    let number: usize = asked.unwrap_or(HISTORIES);
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let steps = proptest::collection::vec(any_step(), 2..=STEPS);
    let mut done = 0;
    for count in 1..=number {
        let steps = steps.new_tree(&mut runner).map_err(|why| anyhow::anyhow!("{why}"))?.current();
        let real = Real::start().await?;
        let mut history = History::default();
        for (number, step) in steps.iter().enumerate() {
            if let Err(why) = history.take_really(&real, step) {
                panic!("history {count}, step {} of {steps:#?}: {why}\n{:#?}", number + 1, history.world);
            }
        }
        done += history.done;
    }
    eprintln!("{number} random histories of the real program, {done} commands that ended with everything done");
    assert!(done > 0, "the histories get nowhere");
    Ok(())
}
