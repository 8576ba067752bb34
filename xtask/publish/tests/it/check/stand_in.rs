//! The stand-in, really built once, in copies that are damaged and sealed again.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use camino::Utf8PathBuf;
use serde_json::Value;
use xtask::domain::build::record::Record;
use xtask::domain::layout::{self, Layout};
use xtask::domain::product::Product;
use xtask::tools::files;
use xtask::tree::seal::Seal;

use crate::repo::{Ran, Repo};

pub const VERSION: &str = "0.1.0";
const DATE: &str = "2025-06-23";
/// What these tests check beyond opening what was built.
const CHECKS: &str = r#"
[checks]
jobs = ["release-checks.{profile}"]
compare-with = "local"
"#;
/// What is started of what was built.
pub const SMOKE: &str = r#"
[[checks.smoke]]
run = ["nix", "--version"]
says = "nix (Lix, like Nix) {version}"
[[checks.smoke]]
run = ["nix", "repl"]
input = ":doc builtins.map"
says = "liblix {version}"
"#;

/// A tree with `release/` as `build` made it.
pub struct StandIn {
    pub repo: Repo,
}

impl StandIn {
    /// A copy of the stand-in, built for the machine that everybody has.
    pub fn built() -> StandIn {
        static BUILT: OnceLock<StandIn> = OnceLock::new();
        let made = BUILT.get_or_init(|| StandIn::with(|_| {}));
        StandIn { repo: made.repo.copy() }
    }

    /// Builds the stand-in after a change.
    pub fn with(change: impl FnOnce(&Repo)) -> StandIn {
        let repo = Repo::empty();
        xtask_test_support::copy_stand_in(&repo.root);
        repo.write(".gitignore", "/release\n");
        repo.write("stand-in/manual.sh", &repo.read("stand-in/manual.sh").replace("pages=200", "pages=8"));
        change(&repo);
        repo.commit_all("a tree");
        repo.xtask(&["release", "prepare", VERSION, "--name", "First Light", "--date", DATE]).ok();
        repo.xtask(&["release", "tag"]).ok();
        repo.xtask(&["release", "build", "--profile", "x86_64-linux-only"]).ok();
        let stand_in = StandIn { repo };
        stand_in.configure(CHECKS);
        stand_in
    }

    /// Replaces the table `checks` of the configuration.
    pub fn configure(&self, checks: &str) {
        let text = include_str!("../../../../releng.toml");
        let (before, rest) = text.split_once("\n[checks]\n").expect("it has checks");
        let (_, after) = rest.split_once("\n# For trying out").expect("it has environments");
        fs::write(self.config(), format!("{before}{checks}\n# For trying out{after}")).expect("written");
    }

    /// Adds to the configuration of these tests.
    pub fn checks_with(&self, more: &str) {
        self.configure(&format!("{CHECKS}{more}"));
    }

    fn config(&self) -> Utf8PathBuf {
        self.repo.root.join("release/releng.toml")
    }

    pub fn layout(&self) -> Layout {
        Layout::new(&Product::built_in(), VERSION)
    }

    pub fn release_dir(&self) -> Utf8PathBuf {
        self.repo.root.join(layout::RELEASE)
    }

    pub fn version_dir(&self) -> Utf8PathBuf {
        self.release_dir().join(layout::ARTIFACTS).join(self.layout().version_directory())
    }

    pub fn record(&self) -> Record {
        let text = files::read_text(&self.release_dir().join(layout::RECORD)).expect("a record");
        Record::parse(&text).expect("a record")
    }

    /// Records everything as it is now, as if it had been built so.
    pub fn seal(&self) {
        let (mut record, dir) = (self.record(), self.version_dir());
        let archives: Vec<String> =
            record.files.keys().filter(|path| layout::side_file_of(path).is_none()).cloned().collect();
        for path in &archives {
            let facts = files::digest_of(&files::read(&dir.join(path)).expect("a file"));
            record.files.insert(path.clone(), facts);
            let side = layout::side_file(path);
            if record.files.contains_key(&side) {
                let text = format!("{}\n", facts.sha256);
                fs::write(dir.join(&side), &text).expect("written");
                record.files.insert(side, files::digest_of(text.as_bytes()));
            }
        }
        let text = record.to_json();
        for place in [&dir, &self.release_dir()] {
            fs::write(place.join(layout::RECORD), &text).expect("written");
        }
        for (name, text) in Seal::of(&record, files::digest_of(text.as_bytes()).sha256, &self.layout()).texts() {
            fs::write(dir.join(name), text).expect("written");
        }
    }

    /// Unpacks an archive, changes it in a directory, and packs it again. `tar` gets these arguments, too.
    pub fn repack(&self, archive: &str, more: &[&str], change: &str) {
        let (path, dir) = (self.version_dir().join(archive), self.repo.beside("unpacked"));
        let compress = if archive.ends_with(".xz") { "--xz" } else { "--gzip" };
        fs::create_dir(&dir).expect("a new directory");
        let sh = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-euc", script, compress, path.as_str()]).args(more).current_dir(&dir);
            let output = command.output().expect("sh runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        sh(r#"tar --extract "$0" --file "$1"; chmod -R u+w ."#);
        sh(change);
        sh(r#"path=$1; shift; tar --create "$0" --file "$path" "$@" *"#);
        fs::remove_dir_all(&dir).expect("removed");
        self.seal();
    }

    /// Makes `local` take only what passed every check.
    pub fn require_checks(&self) {
        let text = fs::read_to_string(self.config()).expect("a configuration");
        let required = "[environments.local]\nrequires-checks = true\n";
        fs::write(self.config(), text.replacen("[environments.local]\n", required, 1)).expect("written");
    }

    /// An object of the environment `local`, which is JSON.
    pub fn object(&self, path: &str) -> Value {
        let text = fs::read_to_string(self.release_dir().join("local/s3").join(path)).expect(path);
        serde_json::from_str(&text).expect("JSON")
    }

    /// Runs a phase with the configuration of these tests.
    pub fn release(&self, args: &[&str]) -> Ran {
        let config = self.config();
        self.repo.xtask(&[&["release"], args, &["--config", config.as_str()]].concat())
    }

    pub fn check(&self, args: &[&str]) -> Ran {
        self.release(&[&["check"], args].concat())
    }

    /// The checks that failed, and those that were not run, of all but those that take long.
    pub fn bad(&self) -> (BTreeSet<String>, String) {
        let ran = self.check(&[
            "--json", "--only", "source", "tarballs", "images", "manual", "outputs", "growth", "blockers", "post",
        ]);
        let checks: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr));
        let outcomes = checks["checks"].as_object().expect("an object");
        let bad = |(name, outcome): (&String, &Value)| {
            let outcome = outcome["outcome"].as_str().expect("text");
            (!["passed", "accepted"].contains(&outcome)).then(|| name.clone())
        };
        (outcomes.iter().filter_map(bad).collect(), checks["checks"].to_string())
    }
}
