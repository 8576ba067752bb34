//! `release doctor`: every precondition of a release at once, each with its remedy.
//!
//! Changes nothing, except that it writes a probe to each bucket and removes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use futures_util::future::join_all;
use xtask::cli::{DoctorArgs, Invocation, Outcome};
use xtask::domain::amounts::counted;
use xtask::domain::build::builders::{self, Machines};
use xtask::domain::build::program::{PROGRAMS, Program};
use xtask::domain::environment::{Access, GitTarget};
use xtask::domain::layout::PROBE;
use xtask::domain::notes;
use xtask::domain::product::Product;
use xtask::domain::profile::Profile;
use xtask::domain::release::Release;
use xtask::domain::version::Version;
use xtask::phases::build::RELEASE_JOBS;
use xtask::phases::notes::{AuthorList, Request, problems};
use xtask::tools::git::Git;
use xtask::tools::nix::{Flake, Nix, Probe};
use xtask::tools::pristine::Pristine;
use xtask::tools::scratch_dir::ScratchDir;
use xtask::tools::{files, paint, process, term};
use xtask::tree::{self, movement};

use super::environments;
use crate::delivery::preflight::{HOOK, message_of, preflight};
use crate::domain::publication::bucket::Bucket;
use crate::domain::reports::checkup::Checkup;
use crate::site::Site;
use crate::site::published::{published, signers};
use crate::tools::sandbox::Sandbox;
use crate::tools::store::{Properties, Store};

/// Space that a build of all systems needs, in bytes.
const ROOMY: u64 = 10_000_000_000;
/// Content of the probe.
const PROBE_TEXT: &[u8] = b"`cargo xtask release doctor` was here for a moment\n";
/// Number of files that a line names; there may be hundreds.
const NAMED: usize = 5;

/// Checks all preconditions.
///
/// # Errors
/// There is no tree to check. A precondition that is not met is not an error: it is printed, and the outcome says so.
pub async fn run(invocation: &Invocation, args: &DoctorArgs) -> Result<Outcome> {
    let git = Git::open(&invocation.tree)?;
    let site = match &args.env {
        Some(name) => Some((name, Site::open(&environments(invocation), git.root(), name).await)),
        None => None,
    };
    let opened = site.as_ref().and_then(|(_, site)| site.as_ref().ok());
    let mut checkup = Checkup::default();
    checkup.begin("this machine");
    check_machine(&git, &args.nix_args, opened, &mut checkup);
    checkup.begin("the tree");
    check_tree(&git, invocation, opened, &mut checkup)?;
    if let Some((name, site)) = &site {
        checkup.begin(name);
        match site {
            Ok(site) => {
                if preflight(&git, site, &mut checkup).await {
                    check_buckets(site, &mut checkup).await
                } else {
                    checkup.note("buckets", "not tried, because the server cannot be used")
                }
            }
            Err(error) => checkup.add("environment", Err(format!("{error:#}"))),
        }
    }
    show(invocation, &checkup)?;
    Ok(if checkup.failures() == 0 { Outcome::Done } else { Outcome::Failed })
}

fn show(invocation: &Invocation, checkup: &Checkup) -> Result<()> {
    if invocation.json {
        return term::json(checkup);
    }
    term::data(paint::checks(&checkup.to_text()))?;
    match checkup.failures() {
        0 => term::say(format_args!("\n{} no problems", term::good("healthy:"))),
        n => term::say(format_args!("\n{} {n} to fix", term::bad("not ready:"))),
    }
    Ok(())
}

fn check_machine(git: &Git, nix_args: &[String], site: Option<&Site>, checkup: &mut Checkup) {
    for program in PROGRAMS {
        checkup.add(program.name, judge(git, &program));
    }
    match Jobs::new(git, nix_args).and_then(|jobs| Ok((jobs.probe()?, jobs))) {
        Ok((found, jobs)) => {
            checkup.add("nix with flakes", Ok(found));
            check_builders(&jobs, site, checkup);
        }
        Err(error) => {
            checkup.add("nix with flakes", message_of(Err(error)));
            checkup.note("builders", "unknown until Nix can evaluate the jobs");
        }
    }
    checkup.add("namespaces", message_of(namespaces()));
    check_disk(git, checkup);
}

/// Checks that `check` can install and run what was built.
fn namespaces() -> Result<String> {
    let home = ScratchDir::new()?;
    let maker = Sandbox::new(home.path()).context("`check` cannot run what was built: install bubblewrap")?;
    Ok(format!("{} runs what was built, for `check`", maker.name()))
}

fn judge(git: &Git, program: &Program) -> Result<String, String> {
    if !files::on_path(program.name) {
        return Err(program.missing());
    }
    let says = process::shell_in(git.root()).and_then(|sh| process::read(sh.cmd(program.name).arg("--version")));
    program.judge(&says.map_err(|error| format!("it is installed, but fails: {error:#}"))?)
}

/// The tree's jobs, as `build` evaluates them: those of HEAD or, with uncommitted changes, those of the work tree.
struct Jobs {
    nix: Nix,
    flake: Flake,
    /// The checkout of HEAD that has the flake, if it is HEAD's.
    _pristine: Option<Pristine>,
}

impl Jobs {
    fn new(git: &Git, nix_args: &[String]) -> Result<Jobs> {
        let nix = Nix::new(git.root(), nix_args)?;
        if !git.dirty_files()?.is_empty() {
            return Ok(Jobs { nix, flake: Flake::work_tree(git.root()), _pristine: None });
        }
        let commit = git.head()?.commit;
        let pristine = Pristine::at(git, &commit, None)?;
        Ok(Jobs { nix, flake: Flake::at(pristine.root(), "HEAD", &commit), _pristine: Some(pristine) })
    }

    /// Checks that Nix can evaluate the jobs, and may build.
    fn probe(&self) -> Result<String> {
        let Probe { attributes, has_no_build_users } = self.nix.probe(&self.flake, &[RELEASE_JOBS.to_owned()])?;
        ensure!(
            !has_no_build_users,
            "Nix builds as root here, but has no build users: use a daemon, or set `build-users-group =` in NIX_CONFIG"
        );
        Ok(format!("evaluates {RELEASE_JOBS}, for {}", attributes.join(" and ")))
    }
}

/// Asks all builders, and checks that there is one for each system of the profile that is released.
fn check_builders(jobs: &Jobs, site: Option<&Site>, checkup: &mut Checkup) {
    let profiles = match site {
        Some(site) => site.environment.profiles.clone(),
        None => Profile::EVERY.into(),
    };
    let Some((profile, smaller)) = profiles.split_first() else { return };
    let path = [RELEASE_JOBS, &profile.to_string(), "build"].map(str::to_owned);
    let mut machines = match jobs.nix.machines() {
        Ok(machines) => machines,
        Err(error) => return checkup.add("builders", Err(format!("{error:#}"))),
    };
    let mut lost = BTreeSet::new();
    for verdict in jobs.nix.ask(&machines) {
        if !verdict.usable {
            lost.insert(verdict.builder.uri.clone());
        }
        match (verdict.problems.is_empty(), verdict.usable && verdict.ours_alone) {
            (true, _) => checkup.add("builder", Ok(verdict.line())),
            // Its daemon is another user, with other keys.
            (false, true) => checkup.note("builder", format!("{}, or Nix's daemon can log in there", verdict.line())),
            (false, false) => checkup.add("builder", Err(verdict.line())),
        }
    }
    let wanted = match jobs.nix.systems(&jobs.flake, &path) {
        Ok(wanted) => wanted,
        Err(error) => return checkup.add("builders", Err(format!("{error:#}"))),
    };
    let judge =
        |machines: &Machines| builders::judge(&wanted, machines, smaller.first().map(Profile::to_string).as_deref());
    let configured = judge(&machines);
    machines.builders.retain(|builder| !lost.contains(&builder.uri));
    match (judge(&machines), configured) {
        (Ok(who), _) => checkup.add("builders", Ok(format!("{who} (profile {profile})"))),
        // What is wrong is said of each of them.
        (Err(_), Ok(who)) => checkup.note("builders", format!("{who} (profile {profile}), once they all answer")),
        (Err(missing), Err(_)) => checkup.add("builders", Err(missing)),
    }
}

fn check_disk(git: &Git, checkup: &mut Checkup) {
    // By file system, because the store and the tree may share one.
    let mut free = BTreeMap::new();
    for place in [Utf8Path::new("/nix/store"), git.root()].into_iter().filter(|place| place.exists()) {
        match files::free_space(place) {
            Ok((file_system, bytes)) => drop(free.entry(file_system).or_insert((place, bytes))),
            Err(error) => checkup.note("disk", format!("{error:#}")),
        }
    }
    for (place, bytes) in free.into_values() {
        let there = format!("{:.0} GB free at {place}", bytes as f64 / 1e9);
        let remedy =
            || format!("{there}, but a release for all systems takes about 10: free some with `nix-collect-garbage`");
        checkup.add("disk", if bytes < ROOMY { Err(remedy()) } else { Ok(there) });
    }
}

/// Checks that this clone has all of HEAD's history and files, in a format that Nix can read.
fn complete(git: &Git) -> Result<String> {
    git.require_format_of_nix()?;
    ensure!(!git.is_shallow()?, "this clone is shallow: `git fetch --unshallow` fetches the rest");
    git.require_objects(&git.head()?.commit, false)?;
    Ok("complete".to_owned())
}

fn check_tree(git: &Git, invocation: &Invocation, site: Option<&Site>, checkup: &mut Checkup) -> Result<()> {
    let product = &invocation.product;
    checkup.add("git identity", message_of(git.require_identity().and_then(|()| git.identity())));
    // For Gerrit, the hook is checked with the environment.
    if !site.is_some_and(|site| matches!(site.environment.git, GitTarget::Gerrit { .. })) {
        let there = git.has_hook(HOOK)?;
        checkup.note("commit-msg hook", if there { "installed" } else { "none; only Gerrit requires it" });
    }
    if let Some(ready) = invocation.signers().ready(git) {
        checkup.add("signed tags", message_of(ready));
    }
    checkup.add("clone", message_of(complete(git)));
    if git.has_reftable()? {
        let remedy = "a reftable, which newer versions of Nix cannot read: `build` and `rehearse` make a copy for it; \
                      uncommitted changes cannot be built before `git refs migrate --ref-format=files`";
        checkup.note("refs", remedy);
    }
    checkup.add(
        "work tree",
        match movement::interrupted(git)? {
            Some(command) => Err(movement::explain(&command)),
            None => clean(&git.dirty_files()?),
        },
    );
    let request = Request { product: Arc::clone(product), dirs: Vec::new(), authors: AuthorList::Tree };
    let valid = match problems(git.root(), &request) {
        Ok((count, found)) if found.is_empty() => {
            Ok(format!("{} in {}, no problems", counted(count, "fragment"), notes::FRAGMENTS))
        }
        Ok((_, found)) => Err(found.to_string()),
        Err(error) => Err(format!("{error:#}")),
    };
    checkup.add("release notes", valid);
    match version(git, product) {
        Ok(release) => checkup.add("version", Ok(format!("{} \"{}\"", release.version(), release.name()))),
        // A tree between releases is normal before `prepare`.
        Err(error) => checkup.note("version", format!("{error:#}")),
    }
    Ok(())
}

fn clean(dirty: &[String]) -> Result<String, String> {
    match dirty {
        [] => Ok("clean".to_owned()),
        few if few.len() <= NAMED => Err(format!("commit or stash {}", few.join(", "))),
        many => Err(format!("commit or stash {}, and {} more", many[..NAMED].join(", "), many.len() - NAMED)),
    }
}

fn version(git: &Git, product: &Arc<Product>) -> Result<Release> {
    let file = tree::version_file(git, &git.head()?.commit)?;
    Ok(Release::new(product, file.version, file.name.as_deref().unwrap_or_default())?)
}

/// Checks that there are keys for reading and writing, and that they work.
async fn check_buckets(site: &Site, checkup: &mut Checkup) {
    let buckets = [Bucket::Cache, Bucket::Docs, Bucket::Install, Bucket::Releases];
    let stores = match site.connect(Access::Read, &buckets).await {
        Ok(stores) => stores,
        Err(error) => return checkup.add("key for reading", Err(format!("{error:#}"))),
    };
    checkup.add("key for reading", Ok("obtained".to_owned()));
    let releases = stores.of(Bucket::Releases);
    match published(releases, site).await {
        Ok(published) => {
            let count = counted(published.versions.len(), "version");
            checkup.add("published", published.unclear.clone().map_or(Ok(count), Err));
            match signers(releases, site, &published.versions).await {
                Ok(signers) => show_signers(&signers, checkup),
                Err(error) => checkup.add("signatures", Err(format!("{error:#}"))),
            }
        }
        Err(error) => checkup.add("published", Err(format!("{error:#}"))),
    }
    match site.connect(Access::ReadWrite, &buckets).await {
        Ok(stores) => {
            checkup.add("key for writing", Ok("obtained".to_owned()));
            let trying = buckets.map(|bucket| try_write(stores.of(bucket)));
            for (bucket, tried) in buckets.into_iter().zip(join_all(trying).await) {
                let tried = tried.map(|()| format!("{}: write, read and delete succeeded", stores.of(bucket).bucket()));
                checkup.add("bucket", message_of(tried));
            }
        }
        Err(error) => checkup.add("key for writing", Err(format!("{error:#}"))),
    }
}

/// Shows which key has signed which versions. What is not signed may be older than signatures: `verify` judges it.
fn show_signers(signers: &BTreeMap<Version, Result<String, String>>, checkup: &mut Checkup) {
    let mut by = BTreeMap::<_, Vec<String>>::new();
    for (version, signer) in signers {
        by.entry(signer).or_default().push(version.to_string());
    }
    for (signer, versions) in by {
        let newest = versions.len().saturating_sub(NAMED);
        let more = if newest > 0 { format!("{newest} older, ") } else { String::new() };
        let versions = format!("{more}{}", versions[newest..].join(", "));
        match signer {
            Ok(key) => checkup.add("signed", Ok(format!("by {key}: {versions}"))),
            Err(why) => checkup.note("signed", format!("{why}: {versions}")),
        }
    }
}

async fn try_write(store: &Store) -> Result<()> {
    let properties = Properties { content_type: "text/plain".into(), cache_control: "no-store".into() };
    let written = store.put_bytes(PROBE, PROBE_TEXT, &properties).await;
    let read = match written {
        Ok(()) => store.get(PROBE, PROBE_TEXT.len() as u64).await,
        Err(error) => Err(error),
    };
    // Also after an error: a request whose answer was lost may have arrived.
    let removed = store.delete(PROBE).await;
    let read = read?;
    removed.with_context(|| format!("`{PROBE}` was left in {}: delete it", store.bucket()))?;
    ensure!(read.as_deref() == Some(PROBE_TEXT), "{} does not return what was written to it", store.bucket());
    Ok(())
}
