//! A small release that is prepared, tagged and recorded as by `build`. It is made once for each version, and every
//! test gets its own copy.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use xtask::domain::build::manifest;
use xtask::domain::build::record::{Build, Closure, Materials, Record};
use xtask::domain::format::Format;
use xtask::domain::layout::{self, Layout};
use xtask::domain::product::Product;
use xtask::tools::files;
use xtask::tree::seal::Seal;

use crate::repo::{NIX_CONFIG, Ran, Repo, make_executable};

/// A tree with `release/`, and the environments that it is published to.
pub struct Release {
    pub repo: Repo,
    pub version: String,
    pub config: Utf8PathBuf,
}

/// The configuration, beside the tree.
const CONFIG: &str = "releng.toml";

pub const SYSTEMS: [&str; 2] = ["aarch64-linux", "x86_64-linux"];

impl Release {
    /// A release that publishes below its own tree.
    pub fn new(version: &str) -> Release {
        static MADE: Mutex<BTreeMap<String, Arc<[u8]>>> = Mutex::new(BTreeMap::new());
        let packed = once(&MADE, version.to_owned(), || {
            let release = Release::tagged(version);
            release.seal(&SYSTEMS, PAGES);
            release.pack()
        });
        Release::unpack(version, &packed)
    }

    /// A release that is tagged, but not built.
    pub fn tagged(version: &str) -> Release {
        static MADE: Mutex<BTreeMap<String, Arc<[u8]>>> = Mutex::new(BTreeMap::new());
        Release::unpack(version, &once(&MADE, version.to_owned(), || Release::make(version).pack()))
    }

    fn make(version: &str) -> Release {
        let repo = Repo::patch_release();
        let text = repo.read("version.json").replace("2.93.1", version);
        repo.write("version.json", &text);
        repo.commit_all("a version");
        repo.xtask(&["release", "prepare"]).ok();
        repo.xtask(&["release", "tag"]).ok();
        let config = repo.beside(CONFIG);
        fs::write(&config, include_str!("../../../releng.toml")).expect("a configuration");
        Release { repo, version: version.to_owned(), config }
    }

    /// The files of a release in memory, because a shared file would stay after the tests.
    fn pack(&self) -> Arc<[u8]> {
        let mut tar = Command::new("tar");
        tar.args(["--create", "--format=posix", "--directory"]).arg(self.repo.scratch.path()).arg(".");
        let output = tar.output().expect("tar runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout.into()
    }

    fn unpack(version: &str, packed: &[u8]) -> Release {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--directory"]).arg(scratch.path()).stdin(Stdio::piped());
        let mut child = tar.spawn().expect("tar runs");
        child.stdin.take().expect("piped").write_all(packed).expect("taken");
        assert!(child.wait().expect("it ends").success());
        let root = Utf8Path::from_path(scratch.path()).expect("UTF-8").join("tree");
        let repo = Repo::at(scratch, root);
        // Refreshes the facts that git compares before it reads files.
        repo.git(&["update-index", "--refresh"]);
        Release { config: repo.beside(CONFIG), repo, version: version.to_owned() }
    }

    /// Changes the configuration.
    pub fn configure(&self, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(&self.config).expect("a configuration");
        fs::write(&self.config, change(text)).expect("a configuration");
    }

    /// Makes `local` push its images to a registry on this machine.
    pub fn push_images_to(&self, repository: &str, login: bool) {
        self.configure(|text| {
            text.replacen("oci:release/local/images", &format!("docker://{repository}"), 1)
                .replacen("tls-verify = true", "tls-verify = false", 1)
                .replacen("login = true", &format!("login = {login}"), 1)
        });
    }

    /// Makes `local` publish to an S3 server at this address, with the keys of the embedded one, which a program prints.
    pub fn store_at(&self, url: &str) {
        let keys = self.repo.beside("keys");
        fs::write(&keys, "#!/bin/sh\necho '{\"id\": \"local\", \"secret_key\": \"local-secret\"}'\n")
            .expect("a program");
        make_executable(&keys);
        let storage = format!(
            "storage.s3]\nendpoint = \"{url}\"\nregion = \"local\"\n\
             [environments.local.storage.s3.credentials.command]\n\
             program = [\"{keys}\", \"{{access}}\", \"{{buckets}}\"]\nrenew-after-minutes = 45\n"
        );
        self.configure(|text| {
            let from = text.find("storage.embedded]").expect("the embedded server");
            let end = from + text[from..].find("\n\n").expect("an end");
            format!("{}{storage}{}", &text[..from], &text[end..])
        });
    }

    /// Makes it publish where `other` does, except git.
    pub fn share(&self, other: &Release) {
        for part in ["s3", "images", "cache.key"] {
            let theirs = other.release_dir().join("local").join(part);
            self.configure(|text| text.replacen(&format!("release/local/{part}"), theirs.as_str(), 1));
        }
    }

    pub fn release_dir(&self) -> Utf8PathBuf {
        self.repo.root.join(layout::RELEASE)
    }

    /// Names of its artifacts.
    pub fn layout(&self) -> Layout {
        Layout::new(&Product::built_in(), &self.version)
    }

    pub fn version_dir(&self) -> Utf8PathBuf {
        self.release_dir().join(layout::ARTIFACTS).join(self.layout().version_directory())
    }

    /// Makes what `build` makes, with a manual of this many pages.
    pub fn seal(&self, systems: &[&str], pages: usize) {
        let git = |revision: &str| self.repo.git(&["rev-parse", revision]).parse().expect("an object");
        let (layout, version) = (self.layout(), &self.version);
        let dir = self.release_dir();
        for part in [layout::ARTIFACTS, layout::MANUAL, layout::IMAGES] {
            let _ = fs::remove_dir_all(dir.join(part));
        }
        let mut record = Record {
            format: Format,
            version: version.clone(),
            name: Some("Bici Bici".to_owned()),
            tag: Some(version.parse().expect("a version")),
            commit: git("HEAD"),
            tree: git("HEAD^{tree}"),
            committed: "2025-06-23T00:00:00Z".to_owned(),
            tool: "0.1.0".to_owned(),
            profile: "all".to_owned().into(),
            builds: systems.iter().map(|system| (system.parse().expect(system), build(version, system))).collect(),
            materials: Some(Materials {
                repository: Product::built_in().links.source,
                tag: Some(git(version)),
                modified: false,
                inputs: Default::default(),
            }),
            keys: Default::default(),
            image: Some(crate::layout::write(&dir.join(layout::IMAGES), version)),
            files: Default::default(),
        };
        let mut add = |name: &str, content: &str| {
            let facts = files::create(&self.version_dir().join(name), content).expect("written");
            record.files.insert(name.to_owned(), facts);
            facts
        };
        let source = layout.source();
        let facts = add(&source, &format!("the source of {version}\n").repeat(1000));
        add(&layout::side_file(&source), &format!("{}\n", facts.sha256));
        for page in 0..pages {
            let name = if page == 0 { layout::MANUAL_INDEX.to_owned() } else { format!("page-{page}.html") };
            let text = format!("<p>Lix {version}, page {page}</p>\n");
            add(&format!("{}/{name}", layout::MANUAL), &text);
            files::create(&dir.join(layout::MANUAL).join(name), text).expect("written");
        }
        let manifest = manifest::render(&record.manifest());
        let facts = files::create(&self.version_dir().join(layout::MANIFEST), &manifest).expect("written");
        record.files.insert(layout::MANIFEST.to_owned(), facts);
        files::write_atomic(&dir.join(layout::ARTIFACTS).join(layout::MANIFEST), &manifest).expect("written");

        self.write_record(&record);
    }

    /// Records the current files, for a release with an unusual file.
    pub fn reseal(&self) {
        let path = self.release_dir().join(layout::RECORD);
        let mut record = Record::parse(&fs::read_to_string(&path).expect("a record")).expect("valid");
        for (name, facts) in &mut record.files {
            *facts = files::digest_of(&fs::read(self.version_dir().join(name)).expect("a file"));
        }
        self.write_record(&record);
    }

    fn write_record(&self, record: &Record) {
        let json = record.to_json();
        files::write_atomic(&self.release_dir().join(layout::RECORD), &json).expect("written");
        files::write_atomic(&self.version_dir().join(layout::RECORD), &json).expect("written");
        let seal = Seal::of(record, files::digest_of(json.as_bytes()).sha256, &self.layout());
        for (name, text) in seal.texts() {
            files::write_atomic(&self.version_dir().join(name), text).expect("written");
        }
    }

    /// `cargo xtask release ARGS --env ENVIRONMENT`.
    pub fn release(&self, phase: &str, environment: &str, args: &[&str]) -> Ran {
        let all = [&["release", phase, "--env", environment, "--config", self.config.as_str()], args].concat();
        self.repo.xtask(&all)
    }

    pub fn command(&self, phase: &str, environment: &str, args: &[&str]) -> Command {
        let all = [&["release", phase, "--env", environment, "--config", self.config.as_str()], args].concat();
        self.repo.command(&all)
    }

    /// `upload` to the embedded environment, without asking.
    pub fn upload(&self) -> Ran {
        self.release("upload", "local", &["--noconfirm"])
    }

    /// A text without what differs from run to run: where the tree is, names of git's objects, and digests.
    pub fn neutral(&self, text: &str) -> String {
        let text = text.replace(self.repo.root.as_str(), "TREE").replace(self.repo.beside("").as_str(), "BESIDE/");
        let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
        let named = |word: &str| {
            let name = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            match name.len() {
                12 | 40 | 64 if !name.bytes().all(|b| b.is_ascii_hexdigit()) => word.to_owned(),
                12 | 40 => word.replace(name, "OBJECT"),
                64 => word.replace(name, "DIGEST"),
                _ => word.to_owned(),
            }
        };
        words.map(named).collect()
    }

    /// One of the store paths that were built.
    pub fn output(&self, system: &str, output: &str) -> String {
        let text = fs::read_to_string(self.release_dir().join(layout::RECORD)).expect("a record");
        let record = Record::parse(&text).expect("valid");
        record.builds[&system.parse().expect("a system")].outputs[output].to_string()
    }

    /// An object in the embedded environment.
    pub fn object(&self, key: &str) -> Utf8PathBuf {
        self.release_dir().join("local/s3").join(key)
    }
}

pub const PAGES: usize = 8;

/// Two outputs and a dependency of one of them, really built, because the cache takes them from the store.
fn build(version: &str, system: &str) -> Build {
    static MADE: Mutex<BTreeMap<(String, String), Build>> = Mutex::new(BTreeMap::new());
    once(&MADE, (version.to_owned(), system.to_owned()), || realise(version, system))
}

fn realise(version: &str, system: &str) -> Build {
    let expression = format!(
        r#"let
             make = name: outputs: script: derivation {{
               inherit name outputs;
               system = builtins.currentSystem;
               builder = "/bin/sh";
               args = [ "-c" script ];
             }};
             liblix = make "liblix-{version}" [ "out" ] "echo {system} > $out";
           in
           make "lix-{version}" [ "out" "doc" ] "echo ${{liblix}} > $out; echo {system} > $doc""#
    );
    let derivation = nix("nix-instantiate", &["--expr", &expression]);
    nix("nix-store", &["--realise", &derivation]);
    let output = |name: &str| (name.to_owned(), nix("nix-store", &["--query", "--binding", name, &derivation]));
    let parse = |path: &str| path.parse().expect("a store path");
    let outputs = ["out", "doc"].map(output).map(|(name, path)| (name, parse(&path)));
    Build { outputs: outputs.into(), derivation: parse(&derivation), closure: Closure::new(), nars: [].into() }
}

pub fn nix(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).env("NIX_CONFIG", NIX_CONFIG).output().expect("Nix is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
}

/// Makes something at most once in a process for each key, while others that need it wait.
fn once<K: Ord, V: Clone>(made: &Mutex<BTreeMap<K, V>>, key: K, make: impl FnOnce() -> V) -> V {
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(key).or_insert_with(make).clone()
}
