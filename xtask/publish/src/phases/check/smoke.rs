//! The check that what was built runs: installed in an empty store as a user would install it, from the tarball, from a
//! binary cache, and as a container image. This machine's own store is not touched.

use std::fs;
use std::io::{BufReader, Read};

use anyhow::{Context, Result, anyhow, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use tar::Archive;
use xshell::Shell;
use xtask::domain::amounts::enumerate;
use xtask::domain::build::OUT;
use xtask::domain::layout::{ARTIFACTS, MANIFEST};
use xtask::domain::problem::Problems;
use xtask::domain::shown::excerpt;
use xtask::domain::store_path::StorePath;
use xtask::domain::system::System;
use xtask::tools::nix::Nix;
use xtask::tools::scratch_dir::ScratchDir;
use xtask::tools::{files, process};

use super::{Candidate, outcome};
use crate::domain::checks::docker;
use crate::domain::checks::report::Outcome;
use crate::tools::archive;
use crate::tools::nix_cache;
use crate::tools::sandbox::{Sandbox, View};

/// Name of the key that signs the cache, which is thrown away.
const KEY: &str = "lix-releng-check-1";
/// Search path of commands, after what was built.
const PATH: &str = "/usr/bin:/bin";
/// Most lines of an output that a message quotes.
const QUOTED: usize = 4;

/// Installs what was built for this machine, and runs commands in each installation.
pub fn smoke(candidate: &Candidate) -> Result<Outcome> {
    if candidate.settings.smoke.is_empty() {
        return Ok(Outcome::Passed { told: "releng.toml names no commands".to_owned() });
    }
    let scratch = ScratchDir::new()?;
    let home = scratch.path().join("home");
    fs::create_dir(&home).with_context(|| format!("cannot make {home}"))?;
    let sandbox = Sandbox::new(&home)?;
    let here = Nix::new(&candidate.tree, &candidate.nix_args)?.machines()?.here;
    let (runs, not): (Vec<&System>, Vec<&System>) =
        candidate.record.builds.keys().partition(|system| here.contains(&system.to_string()));
    if runs.is_empty() {
        bail!("this machine runs {}, which is not among what was built", here.join(", "));
    }
    let mut problems = Problems::default();
    for system in &runs {
        let dir = scratch.path().join(system.to_string());
        let install = Install { candidate, system, dir, sh: process::shell_in(scratch.path())? };
        for (name, installed) in install.all() {
            let tried = installed.and_then(|view| install.try_out(&sandbox, &view, &name));
            match tried {
                Ok(found) => problems.extend(found),
                Err(why) => problems.add(format!("{name}: {why:#}")),
            }
        }
    }
    let not = if not.is_empty() { String::new() } else { format!("; not for {}, which run elsewhere", enumerate(not)) };
    Ok(outcome(problems, format!("installed as a user would, for {}{not}", enumerate(runs))))
}

/// What is installed for one system.
struct Install<'a> {
    candidate: &'a Candidate,
    system: &'a System,
    /// Directory of the installations.
    dir: Utf8PathBuf,
    sh: Shell,
}

impl Install<'_> {
    /// Every way to install, with its result.
    fn all(&self) -> Vec<(String, Result<View>)> {
        let name = |how: &str| format!("{how} for {}", self.system);
        let mut all = vec![(name("tarball"), self.tarball()), (name("cache"), self.cache())];
        if self.system.platform().is_some() {
            all.push((name("image"), self.image()));
        }
        all
    }

    fn output(&self) -> Result<&StorePath> {
        self.candidate.record.builds[self.system].outputs.get(OUT).context("there is no output")
    }

    /// Unpacks the tarball as its installer does: store paths, and their registration.
    fn tarball(&self) -> Result<View> {
        let (unpacked, root) = (self.dir.join("unpacked"), self.dir.join("tarball"));
        let name = self.candidate.layout().binary(self.system);
        unpack(archive::open(&self.candidate.version_dir().join(&name))?, &unpacked)?;
        let top = unpacked.join(name.trim_end_matches(".tar.xz"));
        let store = root.join("nix/store");
        fs::create_dir_all(store.parent().context("it has a parent")?)?;
        fs::rename(top.join("store"), &store).with_context(|| format!("{name} has no store/"))?;
        let registration = files::read_text(&top.join(".reginfo"))?;
        let cmd = self.sh.cmd("nix-store").args(["--store", &local(&root), "--load-db"]);
        process::read(cmd.stdin(registration)).context("its registration cannot be loaded")?;
        Ok(View::Store(root.join("nix")))
    }

    /// Signs the closure with a key that is thrown away, and lets Nix fetch it from the cache into an empty store, by the path that
    /// the manifest names, as `nix upgrade-nix` does.
    fn cache(&self) -> Result<View> {
        let (cache, root) = (self.dir.join("cache"), self.dir.join("fetched"));
        fs::create_dir_all(&self.dir)?;
        let secret = nix_cache::generate_key(&self.sh, KEY)?;
        let key_file = self.dir.join("key");
        files::create(&key_file, &secret)?;
        let public = process::read(nix_cache::nix(&self.sh, &["key", "convert-secret-to-public"]).stdin(&secret))?;
        let (output, url) = (self.output()?.to_string(), format!("file://{cache}"));
        let to = format!("{url}?compression=none&secret-key={key_file}");
        process::read(nix_cache::nix(&self.sh, &["copy", "--to", &to, &output]))
            .context("the closure cannot be put into a cache")?;
        let manifest = self.candidate.dir().join(ARTIFACTS).join(MANIFEST);
        let attribute = format!("\"{}\"", self.system);
        let evaluated =
            self.sh.cmd("nix-instantiate").args(["--eval", "--json", manifest.as_str(), "--attr", &attribute]);
        let named: String = serde_json::from_str(&process::read(evaluated)?).context("the manifest names no path")?;
        ensure!(named == output, "the manifest leads to {}", excerpt(&named));
        let fetch = self.sh.cmd("nix-store").args(["--store", &local(&root), "--realise", &named]);
        let fetch = fetch.args(["--option", "substituters", &url, "--option", "trusted-public-keys", &public]);
        process::read(fetch).context("it cannot be fetched from the cache")?;
        Ok(View::Store(root.join("nix")))
    }

    /// Unpacks the layers of the image, one over the other.
    fn image(&self) -> Result<View> {
        let (root, unpacked) = (self.dir.join("image"), self.dir.join("layers"));
        let name = self.candidate.layout().image(self.system);
        unpack(archive::open(&self.candidate.version_dir().join(&name))?, &unpacked)?;
        let layers = docker::layers(&files::read(&unpacked.join(docker::MANIFEST))?).map_err(|why| anyhow!(why))?;
        for layer in layers {
            let file = files::open_file(&unpacked.join(&layer))?.0;
            unpack(BufReader::new(file), &root).with_context(|| format!("in the layer {}", excerpt(&layer)))?;
        }
        Ok(View::root(root))
    }

    /// Runs each command in an installation.
    fn try_out(&self, sandbox: &Sandbox, view: &View, name: &str) -> Result<Problems> {
        let (bin, mut problems) = (format!("{}/bin", self.output()?), Problems::default());
        for command in &self.candidate.settings.smoke {
            let mut words = command.run.clone();
            words[0] = format!("{bin}/{}", words[0]);
            let output = sandbox.run(view, &words, &command.input, &format!("{bin}:{PATH}"))?;
            let says = [&output.stderr[..], &output.stdout].concat();
            let (shown, expected) = (command.run.join(" "), command.expected(&self.candidate.record.version));
            if !output.status.success() {
                problems.add(format!("{name}: `{shown}` failed ({}){}", output.status, quoted(&says)));
            } else if !command.is_answered(&String::from_utf8_lossy(&says), &self.candidate.record.version) {
                problems.add(format!("{name}: `{shown}` does not say `{}`, but:{}", excerpt(&expected), quoted(&says)));
            }
        }
        Ok(problems)
    }
}

/// The last lines that a program wrote, each on a separate line.
fn quoted(says: &[u8]) -> String {
    let says = process::last_lines(says);
    let lines: Vec<&str> = says.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(QUOTED)..].iter().map(|line| format!("\n  | {}", excerpt(line))).collect()
}

/// The address of a store below a directory.
fn local(root: &Utf8Path) -> String {
    format!("local?root={root}")
}

/// Unpacks a tar archive; what leads out of `to` is left out.
fn unpack(tar: impl Read, to: &Utf8Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {to}"))?;
    let mut archive = Archive::new(tar);
    archive.set_overwrite(true);
    archive.unpack(to).with_context(|| format!("cannot unpack into {to}"))
}
