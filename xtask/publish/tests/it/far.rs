//! `build` with a builder that is reached with SSH and has its own store, and every accident that it can have.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use xtask_publish::tools::far_builder::{FarBuilder, Place};

use crate::repo::{NIX_CONFIG, Ran, Repo, command, skip};

/// Time that a build may take to get somewhere, on the busiest of machines.
const PATIENCE: Duration = Duration::from_secs(120);

/// A tree whose build on the builder waits until the test lets it go on.
struct Far {
    builder: FarBuilder,
    repo: Repo,
    dir: Utf8PathBuf,
    _scratch: TempDir,
}

/// A place in a build's script where a test can hold it.
const HERE: &str = "mkdir -p $out/bin $doc/share/doc/nix\n";

impl Far {
    /// `None`, with a line that says why, if there can be no builder.
    async fn start(place: Place) -> Result<Option<Far>> {
        if let Some(why) = FarBuilder::obstacle() {
            skip(&why);
            return Ok(None);
        }
        let scratch = tempfile::tempdir()?;
        let dir = Utf8Path::from_path(scratch.path()).context("UTF-8")?.to_owned();
        let builder = FarBuilder::start(&dir.join("builder"), place, NIX_CONFIG).await?;
        let repo = Repo::empty();
        xtask_test_support::copy_stand_in(&repo.root);
        repo.write("version.json", "{\n    \"version\": \"0.1.0\",\n    \"release_name\": \"First Light\"\n}\n");
        repo.write(".gitignore", "/release\n/release.new\n/release.old\n");
        let far = Far { builder, repo, dir, _scratch: scratch };
        far.edit("flake.nix", "officialRelease = false;", "officialRelease = true;");
        // The first build says that it began, and waits; the name of the directory makes it different from any other. On
        // the same line, because Nix removes the indentation that all lines have.
        let hold = format!("touch {0}/began; until test -e {0}/go; do sleep 0.1; done; ", far.dir);
        far.edit("stand-in/default.nix", HERE, &format!("{hold}{HERE}"));
        Ok(Some(far))
    }

    fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.repo.read(path);
        assert!(text.contains(from), "{path} has no `{from}`");
        self.repo.write(path, &text.replacen(from, to, 1));
        self.repo.commit_all("release: 0.1.0");
        self.repo.git(&["tag", "--force", "--annotate", "--message", "release: 0.1.0", "0.1.0"]);
        self.repo.git(&["switch", "--quiet", "--detach", "0.1.0"]);
    }

    /// `build`, with this many builds at once on this machine.
    fn build(&self, jobs: &str, more: &[&str]) -> Command {
        let (line, root) = (self.builder.line("x86_64-linux"), self.repo.root.as_str());
        let args = ["release", "build", "--repo", root, "--profile", "x86_64-linux-only", "--"];
        let mut command = command(&[&args[..], &["--max-jobs", jobs, "--builders", &line], more].concat());
        // A builder that is silent is given up after seconds here, and after a minute otherwise.
        let options = format!("{} -o ServerAliveInterval=2 -o ServerAliveCountMax=2", self.builder.ssh_options());
        command.env("NIX_SSHOPTS", options).env_remove("NIX_REMOTE");
        command
    }

    fn doctor(&self) -> Result<Ran> {
        let (line, root) = (self.builder.line("x86_64-linux"), self.repo.root.as_str());
        let mut command = command(&["release", "doctor", "--repo", root, "--", "--builders", &line]);
        command.env("NIX_SSHOPTS", self.builder.ssh_options()).env_remove("NIX_REMOTE");
        Ok(Ran::from(command.output()?))
    }

    /// Starts a build, and waits until it is halfway on the builder.
    fn begin(&self, jobs: &str) -> Result<Child> {
        let mut child = self.build(jobs, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut ended = false;
        while !self.began() && !ended {
            ended = child.try_wait()?.is_some();
            std::thread::sleep(Duration::from_millis(20));
        }
        if ended {
            let ran = Ran::from(child.wait_with_output()?);
            anyhow::bail!("nothing began on the builder: {}", ran.stderr);
        }
        Ok(child)
    }

    /// Whether a build is halfway on the builder.
    fn began(&self) -> bool {
        self.dir.join("began").exists()
    }

    fn let_go(&self) -> Result<()> {
        Ok(fs::write(self.dir.join("go"), "")?)
    }

    /// Runs the same command again, which must succeed.
    fn heals(&self) -> Result<()> {
        self.let_go()?;
        let ran = Ran::from(self.build("0", &[]).output()?);
        ran.ok();
        assert!(self.repo.root.join("release/release.json").exists());
        Ok(())
    }

    /// Sends a signal to the builder's processes; without `server`, not to the server that accepts connections.
    fn signal(&self, signal: Signal, server: bool) {
        let mut children = BTreeMap::<u32, Vec<u32>>::new();
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
            children.entry(parent.unwrap_or(0)).or_default().push(pid);
        }
        // What we started is `unshare`; its child is the server.
        let below = |pids: &[u32]| -> Vec<u32> {
            pids.iter().flat_map(|pid| children.get(pid).cloned().unwrap_or_default()).collect()
        };
        let servers = below(&[self.builder.pid()]);
        let mut all = if server { servers.clone() } else { Vec::new() };
        let mut generation = below(&servers);
        while !generation.is_empty() {
            all.extend(&generation);
            generation = below(&generation);
        }
        for pid in all.into_iter().filter_map(|pid| Pid::from_raw(pid as i32)) {
            // It may have ended just now.
            let _ = kill_process(pid, signal);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_builder_was_at_is_tried_once_more() -> Result<()> {
    let Some(mut far) = Far::start(Place::Directory).await? else { return Ok(()) };
    // Its sessions are killed: it is tried again at the same builder.
    let child = far.begin("0")?;
    fs::remove_file(far.dir.join("began"))?;
    far.signal(Signal::KILL, false);
    let deadline = Instant::now() + PATIENCE;
    while !far.began() {
        assert!(Instant::now() < deadline, "it does not begin again");
        std::thread::sleep(Duration::from_millis(20));
    }
    // The second time, the builder is gone for good, and nothing else may build.
    far.signal(Signal::KILL, true);
    let error = Ran::from(child.wait_with_output()?).fails(1);
    assert!(error.contains("ssh://root@127.0.0.1 was lost while it built lix-0.1.0"), "{error}");
    assert!(error.contains("lix-0.1.0 failed with its builder, and is tried once more"), "{error}");
    assert!(error.contains("ssh://root@127.0.0.1 is there, but has no SSH server at that port: start it"), "{error}");
    // Asked before anything is built.
    let error = Ran::from(far.build("0", &[]).output()?).fails(1);
    assert!(error.contains("the builder ssh://root@127.0.0.1 is there, but has no SSH server"), "{error}");
    assert!(error.contains("nothing is built there"), "{error}");
    far.builder = far.builder.again().await?;
    far.heals()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_builder_that_stops_is_given_up_and_another_takes_over() -> Result<()> {
    let Some(far) = Far::start(Place::Directory).await? else { return Ok(()) };
    let child = far.begin("1")?;
    far.signal(Signal::STOP, true);
    far.let_go()?;
    let said = Ran::from(child.wait_with_output()?);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("lix-0.1.0 failed with its builder, and is tried once more"), "{}", said.stderr);
    assert!(said.stderr.contains("is it running"), "{}", said.stderr);
    far.signal(Signal::CONT, true);
    far.heals()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_builder_with_a_full_disk_says_so() -> Result<()> {
    let Some(far) = Far::start(Place::Memory(64)).await? else { return Ok(()) };
    let child = far.begin("0")?;
    let server = fs::read_to_string(format!("/proc/{0}/task/{0}/children", far.builder.pid()))?;
    let filler = format!("/proc/{}/root/nix/filler", server.trim());
    let full = fs::write(&filler, vec![0; 80 << 20]).expect_err("there is no room for it");
    assert_eq!(full.raw_os_error(), Some(rustix::io::Errno::NOSPC.raw_os_error()), "{full}");
    far.let_go()?;
    let error = Ran::from(child.wait_with_output()?).fails(1);
    assert!(error.contains("ssh://root@127.0.0.1 had no space left for lix-0.1.0"), "{error}");
    assert!(error.contains("free some space there"), "{error}");
    fs::remove_file(&filler)?;
    far.heals()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_builder_that_does_not_let_us_in_is_left_out() -> Result<()> {
    let Some(far) = Far::start(Place::Directory).await? else { return Ok(()) };
    far.let_go()?;
    for (file, says) in
        [("authorized_keys", "rejects the key"), ("known_hosts", "has a host key that is not known here")]
    {
        let path = far.builder.dir().join(file);
        let content = fs::read(&path)?;
        fs::write(&path, "")?;
        let page = far.doctor()?.stdout;
        assert!(page.contains(&format!("✗ builder              ssh://root@127.0.0.1 {says}")), "{page}");
        let error = Ran::from(far.build("0", &[]).output()?).fails(1);
        assert!(error.contains(&format!("the builder ssh://root@127.0.0.1 {says}")), "{error}");
        assert!(
            !error.contains("may not have all required system features") || error.contains("nothing is built there"),
            "{error}"
        );
        fs::write(&path, content)?;
    }
    let page = far.doctor()?.stdout;
    let found = page.lines().find(|line| line.contains("ssh://root@127.0.0.1: x86_64-linux, Nix 2."));
    assert!(found.is_some_and(|line| line.ends_with(" GB free")), "{page}");
    // Everything that can be built is built, and every failure is reported, each with its machine and its log.
    for job in ["mkdir -p $out/nix-support ${directory}/store\n", "closure=\"${nix} ${library system}\"\n"] {
        let text = far.repo.read("stand-in/default.nix");
        assert!(text.contains(job), "{job}");
        let broken = format!("echo broken on purpose >&2; exit 7; {job}");
        far.repo.write("stand-in/default.nix", &text.replacen(job, &broken, 1));
    }
    far.edit("version.json", "First Light", "First Lights");
    let error = Ran::from(far.build("0", &[]).output()?).fails(1);
    for name in ["lix-binary-tarball-0.1.0-x86_64-linux", "lix-docker-image-0.1.0-x86_64-linux"] {
        let line = format!("cannot build {name} on ssh://root@127.0.0.1: its builder failed with exit code 7");
        assert!(error.contains(&line), "{error}");
    }
    assert_eq!(error.matches("| broken on purpose").count(), 2, "{error}");
    Ok(())
}
