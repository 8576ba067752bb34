//! `release doctor`: every precondition of a release at once, each with its remedy.
//!
//! Looks and tries; what it writes to try a bucket it removes again. Refuses to mend anything.

use anyhow::{Context, Result};
use jiff::Timestamp;
use xtask::cli::{DoctorArgs, Outcome, Place};
use xtask::domain::checkup::{Checkup, State};
use xtask::domain::environment::{Access, GitTarget, Storage};
use xtask::domain::notes;
use xtask::domain::release::Release;
use xtask::phases::build::RELEASE_JOBS;
use xtask::phases::notes::{Request, Source, problems};
use xtask::tools::git::Git;
use xtask::tools::nix::{Flake, Nix};
use xtask::tools::remote::Remote;
use xtask::tools::tree;
use xtask::tools::{files, process, term};

use super::destination::{Bucket, World, published};
use crate::tools::http;
use crate::tools::store::{Properties, Store};

/// What the release needs, and what says its version.
const PROGRAMS: [(&str, &str); 4] =
    [("git", "--version"), ("nix", "--version"), ("skopeo", "--version"), ("cargo", "--version")];
/// A build of all systems needs about this much, in bytes.
const ROOMY: u64 = 10_000_000_000;
/// A clock that is off by more makes signatures invalid.
const SKEW_SECONDS: i64 = 300;
/// What is written to try a bucket.
const PROBE: &str = "release.probe";

/// Checks.
///
/// # Errors
/// There is no tree to check. What is wrong with it is no error: it is printed, and the outcome says so.
pub async fn run(place: &Place, args: &DoctorArgs) -> Result<Outcome> {
    let git = Git::open(&place.tree)?;
    let mut checkup = Checkup::default();
    check_machine(&git, &mut checkup);
    check_tree(&git, &mut checkup)?;
    if let Some(environment) = &args.env {
        match World::open(place, git.root(), environment).await {
            Ok(world) => check_environment(&git, &world, &mut checkup).await,
            Err(error) => checkup.add(environment, Err(format!("{error:#}"))),
        }
    }
    if place.json {
        term::data(format_args!("{}\n", serde_json::to_string_pretty(&checkup)?))?;
    } else {
        show(&checkup)?;
    }
    Ok(if checkup.failures() == 0 { Outcome::Done } else { Outcome::Failed })
}

fn show(checkup: &Checkup) -> Result<()> {
    for entry in checkup.entries() {
        let (mark, text) = match &entry.state {
            State::Good { detail } => (term::good("✓"), detail.clone()),
            State::Note { detail } => ("·".to_owned(), detail.clone()),
            State::Bad { remedy } => (term::bad("✗"), remedy.replace('\n', &format!("\n{:25}", ""))),
        };
        term::data(format_args!("{mark} {:<22} {text}\n", entry.what))?;
    }
    match checkup.failures() {
        0 => term::say(format_args!("{} nothing stands in the way", term::good("healthy:"))),
        n => term::say(format_args!("{} {n} to mend", term::bad("not ready:"))),
    }
    Ok(())
}

/// The message of an error, for a remedy.
fn told<T>(result: Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{error:#}"))
}

fn check_machine(git: &Git, checkup: &mut Checkup) {
    for (program, argument) in PROGRAMS {
        let version = process::shell_in(git.root()).and_then(|sh| process::read(sh.cmd(program).arg(argument)));
        let missing = |_| format!("{program} cannot be run: install it, or run `xtask/bootstrap`");
        checkup.add(program, version.map(|text| text.lines().next().unwrap_or_default().to_owned()).map_err(missing));
    }
    checkup.add("nix with flakes", told(probe_nix(git)));
    for place in ["/nix/store", git.root().as_str()] {
        match files::free_space(place.into()) {
            Ok((_, free)) if free < ROOMY => {
                checkup.note("disk", format!("{place} has only {:.1} GB free", free as f64 / 1e9))
            }
            Ok((_, free)) => checkup.add("disk", Ok(format!("{place} has {:.0} GB free", free as f64 / 1e9))),
            Err(error) => checkup.note("disk", format!("{error:#}")),
        }
    }
    match builders(git) {
        Ok(builders) if builders.is_empty() => {
            checkup.note("remote builders", "none: only this machine's own system can be built (see releng.md, build)");
        }
        Ok(builders) => checkup.add("remote builders", Ok(builders)),
        Err(error) => checkup.note("remote builders", format!("{error:#}")),
    }
}

/// Whether Nix evaluates the tree's flake, and may build.
fn probe_nix(git: &Git) -> Result<String> {
    let nix = Nix::new(git.root(), &[])?;
    let (profiles, lacks_users) = nix.probe(&Flake::work_tree(git.root()), &[RELEASE_JOBS.to_owned()])?;
    anyhow::ensure!(
        !lacks_users,
        "Nix builds as root here and has no users for it: use a daemon, or set `build-users-group =` in NIX_CONFIG"
    );
    Ok(format!("profiles {}", profiles.join(", ")))
}

/// The machines that Nix hands builds to, as its configuration names them.
fn builders(git: &Git) -> Result<String> {
    let sh = process::shell_in(git.root())?;
    let show = ["--extra-experimental-features", "nix-command flakes", "show-config", "--json"];
    let config: serde_json::Value = serde_json::from_str(&process::read(sh.cmd("nix").args(show))?)?;
    let builders = config["builders"]["value"].as_str().unwrap_or_default();
    let text = match builders.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).unwrap_or_default(),
        None => builders.replace(';', "\n"),
    };
    let machines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let shown = |line: &&str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" for ");
    Ok(machines.iter().map(shown).collect::<Vec<_>>().join("; "))
}

fn check_tree(git: &Git, checkup: &mut Checkup) -> Result<()> {
    checkup.add("git identity", told(git.require_identity().and_then(|()| git.identity())));
    match git.hook_exists("commit-msg")? {
        true => checkup.add("commit-msg hook", Ok("installed".to_owned())),
        false => checkup.note("commit-msg hook", "none: Gerrit demands the Change-Id that its hook adds"),
    }
    let dirty = git.dirty_files()?;
    let clean =
        if dirty.is_empty() { Ok("clean".to_owned()) } else { Err(format!("commit or stash {}", dirty.join(", "))) };
    checkup.add("work tree", clean);
    let request = Request { dirs: Vec::new(), authors: Source::Tree };
    let valid = match problems(git.root(), &request) {
        Ok((count, found)) if found.is_empty() => Ok(format!("{count} fragments in {}, no problems", notes::FRAGMENTS)),
        Ok((_, found)) => Err(found.to_string()),
        Err(error) => Err(format!("{error:#}")),
    };
    checkup.add("release notes", valid);
    match version(git) {
        Ok(release) => checkup.add("version", Ok(format!("{} \"{}\"", release.version(), release.name()))),
        // A tree on the way is how it should be before `prepare`.
        Err(error) => checkup.note("version", format!("{error:#}")),
    }
    Ok(())
}

fn version(git: &Git) -> Result<Release> {
    let file = tree::version_file(git, &git.head()?.commit)?;
    Ok(Release::new(file.version, file.name.as_deref().unwrap_or_default())?)
}

async fn check_environment(git: &Git, world: &World, checkup: &mut Checkup) {
    check_git(git, &world.environment.git, checkup);
    check_registries(world, checkup).await;
    if let Storage::S3 { endpoint, .. } = &world.environment.storage {
        checkup.add("clock", told(check_clock(endpoint).await));
    }
    let buckets = [Bucket::Docs, Bucket::Releases];
    let stores = match world.connect(Access::Read, &buckets).await {
        Ok(stores) => stores,
        Err(error) => return checkup.add("key for reading", Err(format!("{error:#}"))),
    };
    checkup.add("key for reading", Ok("obtained".to_owned()));
    match published(stores.of(Bucket::Releases)).await {
        Ok(published) => checkup.add("releases bucket", Ok(format!("{} versions published", published.versions.len()))),
        Err(error) => return checkup.add("releases bucket", Err(format!("{error:#}"))),
    }
    match world.connect(Access::ReadWrite, &buckets).await {
        Ok(stores) => {
            for bucket in buckets {
                let store = stores.of(bucket);
                checkup.add(&format!("write {}", store.bucket()), told(try_write(store).await));
            }
        }
        Err(error) => checkup.add("key for writing", Err(format!("{error:#}"))),
    }
}

/// Whether the remote is there and would take a push, of a branch that is not there.
fn check_git(git: &Git, target: &GitTarget, checkup: &mut Checkup) {
    let pushable = Remote::find(git, target).and_then(|remote| {
        remote.refs(&["refs/heads/*"])?;
        let head = git.head()?.commit;
        let reference = match target {
            GitTarget::Gerrit { .. } => "refs/for/main",
            GitTarget::Directory { .. } | GitTarget::Plain { .. } => "refs/heads/release-doctor",
        };
        remote.try_push(&[format!("{head}:{reference}")])?;
        Ok(format!("{} takes pushes", remote.shown()))
    });
    checkup.add("git remote", told(pushable));
}

/// Whether each registry knows us. Whether it lets us push, only a push tells.
async fn check_registries(world: &World, checkup: &mut Checkup) {
    let images = &world.environment.images;
    for target in images.targets.iter().filter(|_| images.login) {
        let known = world.images(target).check_login().await.map(|()| "knows us".to_owned());
        checkup.add(&format!("images {target}"), told(known));
    }
}

async fn check_clock(endpoint: &str) -> Result<String> {
    let theirs = http::server_time(endpoint).await.with_context(|| format!("cannot reach {endpoint}"))?;
    let skew = (Timestamp::now().as_second() - theirs.as_second()).abs();
    anyhow::ensure!(
        skew <= SKEW_SECONDS,
        "this machine's clock is {skew} s off the server's: set it (signatures hold the time)"
    );
    Ok(format!("within {} s of the server's", skew.max(1)))
}

async fn try_write(store: &Store) -> Result<String> {
    let properties = Properties { content_type: "text/plain".into(), cache_control: "no-store".into() };
    store.put_bytes(PROBE, &b"probe"[..], &properties).await?;
    store.delete(PROBE).await?;
    Ok("works".to_owned())
}
