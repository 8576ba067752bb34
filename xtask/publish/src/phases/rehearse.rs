//! `release rehearse`: a complete release in a scratch clone, published on this machine.
//!
//! Runs the commands that a manager types, and shows them with their output. Writes to `release/rehearsal/` only.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::cli::{Invocation, Outcome, RehearsalServers, RehearseArgs};
use xtask::domain::layout::RELEASE;
use xtask::domain::release::UNNAMED;
use xtask::domain::version::Version;
use xtask::tools::git::Git;
use xtask::tools::nix::Nix;
use xtask::tools::process;
use xtask::tools::term::{self, BOLD};
use xtask::tree::{self, released};

use crate::tools::far_builder::{FarBuilder, Place};
use crate::tools::server::Life;
use crate::tools::test_servers::{self, TestServers};
use crate::tools::whole_clone;

/// The environment that needs only this tree.
const ENVIRONMENT: &str = "local";
/// Name for a series that does not have one.
const NAME: &str = "Rehearsal";

/// Rehearses a release.
///
/// # Errors
/// A step failed; the scratch clone stays for inspection.
pub async fn run(invocation: &Invocation, args: &RehearseArgs) -> Result<Outcome> {
    let git = Git::open(&invocation.tree)?;
    if !git.dirty_files()?.is_empty() {
        term::warn("uncommitted changes are not rehearsed");
    }
    require_no_tag(&git)?;
    git.require_format_of_nix()?;
    let scratch = git.root().join(RELEASE).join("rehearsal");
    let tree = clone(&git, &scratch)?;
    let (version, name) = decide(&Git::open(&tree)?, args.version.as_ref())?;

    // The servers end with this function.
    let real = match args.world {
        RehearsalServers::Embedded => None,
        RehearsalServers::Real => Some(TestServers::start(&scratch.join("world"), Life::Ours).await?),
    };
    let (environment, config) = match &real {
        None => (ENVIRONMENT, invocation.config.clone()),
        Some(real) => (test_servers::ENVIRONMENT, Some(real.config())),
    };
    let builder = match &real {
        None => None,
        Some(_) => far_builder(&tree, &scratch.join("builder")).await?,
    };
    let mut rehearsal = Rehearsal::new(invocation, &tree, config)?;
    let (version, profile) = (version.to_string(), args.profile.to_string());
    let named = name.iter().flat_map(|name| ["--name", name.as_str()]);
    // A rehearsal announces nothing, so notes that were already released are only a warning.
    let prepare = ["prepare", &version, "--despite-released"];
    rehearsal.step(&prepare.into_iter().chain(named).collect::<Vec<_>>())?;
    rehearsal.step(&["tag"])?;
    let (mut build, mut builders) = (vec!["build", "--profile", &profile], Vec::new());
    if let Some((builder, line)) = &builder {
        rehearsal.sh.set_var("NIX_SSHOPTS", builder.ssh_options());
        builders.extend(["--", "--builders", line]);
    }
    build.extend(&builders);
    rehearsal.step(&build)?;
    rehearsal.step(&["announce"])?;
    // Nothing is published where this would be compared with.
    rehearsal.step(&[&["check", "--against", "none"], &builders[..]].concat())?;
    rehearsal.step(&["plan", "--env", environment])?;
    rehearsal.step(&["upload", "--env", environment, "--noconfirm"])?;
    rehearsal.step(&["verify", "--env", environment])?;
    rehearsal.step(&["upload", "--env", environment, "--noconfirm"])?;
    rehearsal.show_times();
    // Their data cannot be removed while they write.
    drop(real);
    drop(builder);

    if args.keep {
        term::say(format_args!("the scratch clone is in {tree}"));
    } else {
        std::fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {scratch}"))?;
    }
    term::say(format_args!("{} {version} can be released", term::good("rehearsed:")));
    Ok(Outcome::Done)
}

/// Starts a builder that is reached with SSH, and returns also its line in Nix's list. Builders that are configured already
/// are rehearsed instead of it.
async fn far_builder(tree: &Utf8Path, dir: &Utf8Path) -> Result<Option<(FarBuilder, String)>> {
    let machines = Nix::new(tree, &[])?.machines()?;
    if !machines.builders.is_empty() {
        return Ok(None);
    }
    if let Some(why) = FarBuilder::obstacle() {
        term::say(format_args!("everything is built here, without a builder far away: {why}"));
        return Ok(None);
    }
    let settings = std::env::var("NIX_CONFIG").unwrap_or_default();
    let builder = FarBuilder::start(dir, Place::Directory, &settings).await?;
    let line = builder.line(machines.here.first().map_or("", String::as_str));
    Ok(Some((builder, line)))
}

/// Refuses to start on a tag, where the tree is marked as an official release, so the next one cannot be prepared.
fn require_no_tag(git: &Git) -> Result<()> {
    let commit = git.head()?.commit;
    let version = tree::version_file(git, &commit)?.version;
    if git.tagged_commit(&version.to_string())?.as_ref() == Some(&commit) {
        bail!("HEAD is on the tag {version}: `git switch` to a branch, and rehearse its next release there");
    }
    Ok(())
}

/// Makes a fresh clone of what is committed, on a new branch.
fn clone(git: &Git, scratch: &Utf8Path) -> Result<Utf8PathBuf> {
    let remove = || match std::fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    remove().with_context(|| format!("cannot remove the last rehearsal, {scratch}"))?;
    let tree = scratch.join("tree");
    whole_clone::clone(git, &tree, "releng/rehearsal").inspect_err(|_| drop(remove()))?;
    let clone = Git::open(&tree)?;
    // The clone does not have the repository's own configuration.
    if clone.require_identity().is_err() {
        for (key, value) in [("user.name", "Rehearsal"), ("user.email", "rehearsal@localhost")] {
            process::read(clone.cmd(["config", key, value]))?;
        }
    }
    Ok(tree)
}

/// Chooses the version to rehearse, and a name if its series needs one.
fn decide(clone: &Git, wanted: Option<&Version>) -> Result<(Version, Option<String>)> {
    let file = tree::version_file(clone, &clone.head()?.commit)?;
    let tags = released::tagged(clone)?;
    let mut next = file.version.base();
    while tags.contains(&next) {
        next = next.next_patch();
    }
    let version = wanted.unwrap_or(&next).clone();
    let named = file.name.as_deref().is_some_and(|name| name != UNNAMED) && version.series() == file.version.series();
    Ok((version, (!named).then(|| NAME.to_owned())))
}

/// A rehearsal, with the steps taken so far.
struct Rehearsal<'a> {
    sh: xshell::Shell,
    tree: &'a Utf8Path,
    program: Utf8PathBuf,
    /// Path of another `releng.toml`, if one is used.
    config: Option<Utf8PathBuf>,
    times: Vec<(String, Duration)>,
}

impl<'a> Rehearsal<'a> {
    fn new(invocation: &Invocation, tree: &'a Utf8Path, config: Option<Utf8PathBuf>) -> Result<Rehearsal<'a>> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let program = Utf8PathBuf::from_path_buf(program).map_err(|path| anyhow!("{} is not UTF-8", path.display()))?;
        Ok(Rehearsal { sh: process::shell_in(&invocation.workspace)?, tree, program, config, times: Vec::new() })
    }

    fn step(&mut self, args: &[&str]) -> Result<()> {
        let shown: Vec<String> = args.iter().map(|arg| term::typed(arg)).collect();
        term::say(format_args!("\n{BOLD}$ cargo xtask release {}{BOLD:#}", shown.join(" ")));
        let mut cmd = self.sh.cmd(&self.program).arg("release").args(["--repo", self.tree.as_str()]);
        if let Some(config) = &self.config {
            cmd = cmd.args(["--config", config.as_str()]);
        }
        if term::is_quiet() {
            cmd = cmd.arg("--quiet");
        }
        // Arguments for Nix are at the end.
        cmd = cmd.args(args);
        let start = Instant::now();
        process::show(cmd)
            .with_context(|| format!("`release {}` failed; the scratch clone is {}", args.join(" "), self.tree))?;
        self.times.push((args.join(" "), start.elapsed()));
        Ok(())
    }

    fn show_times(&self) {
        term::say("");
        let total: Duration = self.times.iter().map(|(_, time)| time).sum();
        for (step, time) in self.times.iter().map(|(step, time)| (step.as_str(), *time)).chain([("together", total)]) {
            term::say(format_args!("  {step:<40} {:>7.1} s", time.as_secs_f64()));
        }
    }
}
