//! Where a run takes place: a copy of a state, the servers that it speaks to, and what is there afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use camino::Utf8PathBuf;

use xtask_trials::place::{self, Print, is_litter};
use xtask_trials::scenario::{Lab, Phase, git, output, said};
use xtask_trials::world::{Files, View, files};

use super::backend::Backend;
use super::behind::{Git, Registry};
use super::bucket::{Buckets, Objects, Public, S3};
use super::front::{self, Control, Side};

/// Time in which every run has to end: longer than the longest limit that the tool states.
const LONGEST: Duration = Duration::from_secs(420);
/// Time after which the manager must have heard why nothing happens.
const SPOKEN: Duration = Duration::from_secs(45);
/// Interval at which a running program is looked at.
const STEP: Duration = Duration::from_millis(10);

/// A state to start from: a directory of the lab, and the contents of the buckets.
pub struct State {
    pub name: String,
    pub objects: Objects,
}

/// A place with its servers.
pub struct Stage<'a> {
    lab: &'a Lab,
    /// The side that is a server; the others are directories, but for S3, which always is one.
    side: Side,
    pub place: Utf8PathBuf,
    pub buckets: Arc<Buckets>,
    pub control: Control,
    addresses: BTreeMap<Side, SocketAddr>,
    _registry: Option<Registry>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; `None` if it did not end in time.
    pub code: Option<i32>,
    pub stderr: String,
    /// Longest time in which it said nothing.
    pub silence: Duration,
    pub took: Duration,
}

impl Ran {
    /// What is wrong with how it ended, whatever it should have done.
    pub fn fault(&self) -> Option<String> {
        match self.code {
            None => Some(format!("it does not end within {} s", LONGEST.as_secs())),
            Some(1) if !["error: ", "failed: "].iter().any(|word| self.stderr.contains(word)) => {
                Some("it fails, and does not say why".to_owned())
            }
            Some(0 | 1 | 3) if self.silence > SPOKEN && !self.says_what_it_waits_for() => {
                Some(format!("it says nothing for {} s", self.silence.as_secs()))
            }
            Some(0 | 1 | 3) => None,
            Some(code) => Some(format!("exit code {code}")),
        }
    }

    fn says_what_it_waits_for(&self) -> bool {
        ["has been silent", "giving up after", "asks us to wait", "trying again"]
            .iter()
            .any(|words| self.stderr.contains(words))
    }
}

impl<'a> Stage<'a> {
    /// Makes a place of this name for runs against one side.
    ///
    /// # Errors
    /// A server does not start.
    pub fn new(lab: &'a Lab, side: Side, name: &str, control: Control) -> Result<Stage<'a>> {
        let place = lab.dir.join(name);
        let buckets = Arc::new(Buckets::default());
        let registry = match side {
            Side::Registry => {
                let settings = lab.dir.join(format!("{name}-registry.yml"));
                Some(Registry::start(&place.join("env/registry"), &settings)?)
            }
            Side::S3 | Side::Public | Side::Git => None,
        };
        let mut stage = Stage { lab, side, place, buckets, control, addresses: BTreeMap::new(), _registry: registry };
        stage.open()?;
        Ok(stage)
    }

    /// Makes a second place for runs against the same servers, with requests counted on their own.
    ///
    /// # Errors
    /// Every port is taken.
    pub fn beside(&self, name: &str, control: Control) -> Result<Stage<'a>> {
        let mut stage = Stage {
            lab: self.lab,
            side: self.side,
            place: self.lab.dir.join(name),
            buckets: Arc::clone(&self.buckets),
            control,
            addresses: BTreeMap::new(),
            _registry: None,
        };
        stage.open_with(self._registry.as_ref(), &self.place.join("env"))?;
        Ok(stage)
    }

    fn open(&mut self) -> Result<()> {
        let (registry, env) = (self._registry.take(), self.place.join("env"));
        let opened = self.open_with(registry.as_ref(), &env);
        self._registry = registry;
        opened
    }

    fn open_with(&mut self, registry: Option<&Registry>, env: &camino::Utf8Path) -> Result<()> {
        let mut backends: Vec<(Side, Arc<dyn Backend>)> = vec![(Side::S3, Arc::new(S3(Arc::clone(&self.buckets))))];
        match (self.side, registry) {
            (Side::Public, _) => backends.push((Side::Public, Arc::new(Public(Arc::clone(&self.buckets))))),
            (Side::Git, _) => backends.push((Side::Git, Arc::new(Git { root: env.to_owned() }))),
            (Side::Registry, Some(registry)) => backends.push((Side::Registry, Arc::new(registry.relay()))),
            (Side::S3 | Side::Registry, _) => {}
        }
        for (side, backend) in backends {
            self.addresses.insert(side, front::start(side, backend, &self.control)?);
        }
        Ok(())
    }

    /// Puts a state there.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn reset(&self, state: &State) -> Result<()> {
        self.lab.reset(&state.name, &self.place)?;
        self.buckets.reset(&state.objects);
        self.configure()
    }

    /// Puts the trees of a state there, with the environment of another place.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn reset_beside(&self, state: &State, other: &Stage) -> Result<()> {
        self.lab.reset(&state.name, &self.place)?;
        let env = self.place.join("env");
        fs::remove_dir_all(&env)?;
        std::os::unix::fs::symlink(other.place.join("env"), &env)?;
        self.configure()
    }

    /// Keeps what is there as a state.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn keep(&self, name: &str) -> Result<State> {
        let dir = self.lab.dir.join("states").join(name);
        let copied = output(Command::new("cp").args(["-a", self.place.as_str(), dir.as_str()]))?;
        ensure!(copied.status.success(), "cannot copy {}: {}", self.place, said(&copied));
        Ok(State { name: name.to_owned(), objects: self.buckets.objects() })
    }

    /// Describes the servers in `releng.toml`, in place of directories.
    fn configure(&self) -> Result<()> {
        let path = self.place.join("releng.toml");
        let mut config = fs::read_to_string(&path)?;
        let env = self.place.join("env");
        let address = |side| format!("http://{}", self.addresses[&side]);
        let mut put = |old: String, new: String| -> Result<()> {
            ensure!(config.contains(&old), "{path} does not have {old:?}");
            config = config.replacen(&old, &new, 1);
            Ok(())
        };
        put(
            format!("[environments.local.storage.embedded]\ndirectory = \"{env}/s3\"\n"),
            format!(
                "[environments.local.storage.s3]\nendpoint = \"{}\"\nregion = \"local\"\n\n\
                 [environments.local.storage.s3.credentials.aws]\n",
                address(Side::S3)
            ),
        )?;
        match self.side {
            Side::S3 => {}
            Side::Public => {
                let bucket = |name: &str| format!("{name} = \"{}/local-{name}\"\n", address(Side::Public));
                let buckets = ["cache", "docs", "install", "releases"].map(bucket).concat();
                let key = "[environments.local.cache.made]\n".to_owned();
                put(key.clone(), format!("[environments.local.public]\n{buckets}\n{key}"))?;
            }
            Side::Git => put(
                format!("[environments.local.git.directory]\npath = \"{env}/git\"\n"),
                format!("[environments.local.git.plain]\nurl = \"{}/git\"\n", address(Side::Git)),
            )?,
            Side::Registry => {
                let image = format!("docker://{}/lix", self.addresses[&Side::Registry]);
                put(format!("oci:{env}/images"), image)?;
                put("tls-verify = true".to_owned(), "tls-verify = false".to_owned())?;
                put("login = true".to_owned(), "login = false".to_owned())?;
            }
        }
        fs::write(&path, config).with_context(|| format!("cannot write {path}"))
    }

    /// Makes the repository that is pushed to, which only a directory makes by itself.
    ///
    /// # Errors
    /// git fails.
    pub fn make_repository(&self) -> Result<()> {
        let path = self.place.join("env/git");
        let made = output(git(&self.place, &self.place).args(["init", "--quiet", "--bare", path.as_str()]))?;
        ensure!(made.status.success(), "cannot make {path}: {}", said(&made));
        Ok(())
    }

    /// Runs a phase there.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&self, phase: &Phase) -> Result<Ran> {
        let mut command = self.lab.command(phase, &self.place);
        command.env("AWS_ACCESS_KEY_ID", "local").env("AWS_SECRET_ACCESS_KEY", "local-secret").stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let stderr = child.stderr.take().context("it was piped")?;
        let begun = Instant::now();
        let reading = std::thread::spawn(move || {
            let (mut text, mut silence, mut last) = (String::new(), Duration::ZERO, Instant::now());
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                text += &(String::from_utf8_lossy(&line) + "\n");
                silence = silence.max(last.elapsed());
                last = Instant::now();
            }
            (text, silence.max(last.elapsed()))
        });
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if begun.elapsed() > LONGEST {
                child.kill()?;
            }
            std::thread::sleep(STEP);
        };
        let took = begun.elapsed();
        let (stderr, silence) = reading.join().ok().context("nothing panics there")?;
        let code = status.code().filter(|_| took <= LONGEST);
        Ok(Ran { code, stderr, silence, took })
    }

    /// What users see that is wrong.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn wrong(&self) -> Result<Vec<String>> {
        self.view(self.images()?).faults(&self.place)
    }

    /// How the version that users are led to is not the one that they should get. While one is published or withdrawn,
    /// that is so for a moment.
    pub fn not_the_newest(&self) -> Option<String> {
        self.view(Files::new()).not_the_newest()
    }

    fn view(&self, images: Files) -> View {
        let objects = self.buckets.objects();
        let bucket = |name: &str| -> Files {
            let of = objects.iter().filter(|((bucket, _), _)| *bucket == format!("local-{name}"));
            of.map(|((_, key), object)| (key.clone(), object.body.clone())).collect()
        };
        View {
            cache: bucket("cache"),
            docs: bucket("docs"),
            install: bucket("install"),
            releases: bucket("releases"),
            images,
        }
    }

    /// The images as an OCI layout.
    fn images(&self) -> Result<Files> {
        let env = self.place.join("env");
        if self.side != Side::Registry {
            return files(&env.join("images"));
        }
        let (mut images, mut tags) = (Files::new(), Vec::new());
        for (path, content) in files(&env.join("registry/docker/registry/v2"))? {
            let words: Vec<&str> = path.split('/').collect();
            match words[..] {
                ["blobs", algorithm, _, digest, "data"] => {
                    images.insert(format!("blobs/{algorithm}/{digest}"), content);
                }
                [.., "_manifests", "tags", tag, "current", "link"] => tags.push(serde_json::json!({
                    "digest": String::from_utf8_lossy(&content),
                    "annotations": { "org.opencontainers.image.ref.name": tag },
                })),
                _ => {}
            }
        }
        if !tags.is_empty() {
            images.insert("index.json".to_owned(), serde_json::json!({ "manifests": tags }).to_string().into_bytes());
        }
        Ok(images)
    }

    /// Everything that is there.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn print(&self) -> Result<Print> {
        let mut print = place::print(&self.place)?;
        print.retain(|name, _| !name.starts_with("env/registry"));
        for ((bucket, key), object) in self.buckets.objects() {
            let name = format!("s3/{bucket}/{key}");
            let headers: Vec<_> = object.headers.iter().filter(|(name, _)| name != "x-amz-meta-sha256").collect();
            if let Some(content) = place::content(&name, &object.body) {
                print.insert(name, format!("{content} {headers:?}"));
            }
        }
        // In which order tags came does not matter.
        let index = self.images()?.remove("index.json").unwrap_or_default();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap_or_default();
        let mut tags: Vec<String> =
            index["manifests"].as_array().into_iter().flatten().map(ToString::to_string).collect();
        tags.sort();
        print.insert("env/images/index.json".to_owned(), tags.join("\n"));
        Ok(print)
    }
}

/// What differs between what should be there and what is: more of what matters, and what should be gone.
pub fn differences(expected: &Print, left: &Print) -> (Vec<String>, Vec<String>) {
    let is_litter =
        |name: &&String| is_litter(name) || name.ends_with("/release.lock") || name.ends_with("/release.probe");
    let mut names: Vec<&String> = expected.keys().chain(left.keys()).collect();
    names.sort();
    names.dedup();
    names.retain(|name| expected.get(*name) != left.get(*name));
    // What two undisturbed runs do not leave alike is not compared; something more than they leave is.
    names.retain(|name| expected.contains_key(*name) || is_litter(name));
    let (litter, differs): (Vec<&String>, Vec<&String>) = names.into_iter().partition(is_litter);
    (litter.into_iter().cloned().collect(), differs.into_iter().cloned().collect())
}
