//! What `build` would do: looks at the tree, the repository and the machine, and makes a plan or refuses.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::fleet::Fleet;
use crate::domain::build::flake_lock::{self, Inputs};
use crate::domain::build::nix_args::NixArgs;
use crate::domain::build::nix_fault::Fault;
use crate::domain::build::record::Materials;
use crate::domain::environment::named_keys::{self, NamedKeys};
use crate::domain::extent::Extent;
use crate::domain::oid::Oid;
use crate::domain::problem::{Problem, Problems};
use crate::domain::product::Product;
use crate::domain::profile::Profile;
use crate::domain::release::Release;
use crate::domain::release::version_file::{self, VersionFile};
use crate::domain::version::Version;
use crate::tools::git::{Git, Head};
use crate::tools::nix::{Flake, Nix, Probe};
use crate::tools::source::Source;
use crate::tools::term::{self, BOLD};
use crate::tools::{files, skopeo};
use crate::tree::tag_record;
use crate::tree::{self, movement};

/// What was asked for.
#[derive(Debug)]
pub struct Request {
    /// What is released.
    pub product: Arc<Product>,
    pub target: Extent,
    pub profile: Profile,
    /// Whether to insist on the tag and a clean tree; otherwise any commit is built, even with uncommitted changes.
    pub check_git: bool,
    /// Arguments for every call of Nix.
    pub nix_args: Vec<String>,
}

/// The flake output that holds the profiles.
pub const RELEASE_JOBS: &str = "release-jobs";
/// Free space in bytes below which the manager is warned.
const ROOMY: u64 = 10_000_000_000;

/// The state of the tree, the repository and the machine.
pub struct Observed {
    root: Utf8PathBuf,
    head: Head,
    tree: Oid,
    committed: String,
    current: VersionFile,
    /// Commit that the tag of the tree's version points at.
    tagged: Option<Oid>,
    /// The tag's own object, if it points at HEAD.
    tag_object: Option<Oid>,
    /// Whether `release/tag.json` agrees with git.
    tag_record: Result<()>,
    /// The inputs that the flake is locked to.
    inputs: Result<Inputs, String>,
    keys: NamedKeys,
    dirty: Vec<String>,
    flake: Flake,
    /// The files of HEAD.
    source: Source,
    /// Reasons why the source archive would depend on the clone.
    source_faults: Problems,
    /// What Nix says about the profiles.
    nix: Result<Probe, Fault>,
    skopeo: Result<()>,
    /// Free space in bytes, by place.
    free: Vec<(Utf8PathBuf, u64)>,
    /// What the builders say.
    fleet: Fleet,
}

impl Observed {
    pub fn new(git: &Git, nix: &Nix, request: &Request) -> Result<Observed> {
        movement::require_none(git)?;
        let head = git.head()?;
        let current = tree::version_file(git, &head.commit)?;
        let tagged = git.tagged_commit(&current.version.to_string())?;
        let dirty = git.dirty_files()?;
        git.require_objects(&head.commit, false)?;
        let tag = format!("refs/tags/{}", current.version);
        let tag_object = if tagged.as_ref() == Some(&head.commit) { git.resolve(&tag)? } else { None };
        let source = Source::open(git, &head.commit, tag_object.as_ref().map(|object| (tag.as_str(), object)))?;
        let flake = match &tag_object {
            Some(_) => Flake::at(source.repository(), &tag, &head.commit),
            None if dirty.is_empty() => Flake::at(source.repository(), "HEAD", &head.commit),
            None => Flake::work_tree(git.root()),
        };
        let lock = match &tag_object {
            None if !dirty.is_empty() => files::read_if_there(&git.root().join(flake_lock::PATH))?,
            _ => git.file(&head.commit, flake_lock::PATH)?,
        };
        // By file system, since the store and the tree may share one.
        let mut free = BTreeMap::new();
        for place in [Utf8Path::new("/nix/store"), git.root()].into_iter().filter(|place| place.exists()) {
            let (file_system, bytes) = files::free_space(place)?;
            free.insert(file_system, (place.to_owned(), bytes));
        }
        Ok(Observed {
            root: git.root().to_owned(),
            tree: git.resolve("HEAD^{tree}")?.context("HEAD has no tree")?,
            committed: git.committed_at(&head.commit)?,
            tag_record: tag_record::check(git, &current.version),
            keys: git.file(&head.commit, named_keys::PATH)?.as_deref().map(named_keys::named_keys).unwrap_or_default(),
            inputs: lock.as_deref().map_or_else(|| Ok(Inputs::new()), flake_lock::inputs),
            tag_object,
            head,
            current,
            tagged,
            dirty,
            nix: nix.probe(&flake, &[RELEASE_JOBS.to_owned()]),
            flake,
            source_faults: source.faults()?,
            source,
            skopeo: if request.target == Extent::All { skopeo::check() } else { Ok(()) },
            free: free.into_values().collect(),
            fleet: Fleet::ask(nix),
        })
    }
}

/// What will be built, and what the manager is told.
#[derive(Debug)]
pub struct Plan {
    pub product: Arc<Product>,
    pub version: Version,
    pub name: Option<String>,
    /// `None` if this is not an official release.
    pub tag: Option<Version>,
    pub commit: Oid,
    pub tree: Oid,
    pub committed: String,
    pub materials: Materials,
    /// The public keys that the commit names for its environments.
    pub keys: NamedKeys,
    pub profile: Profile,
    pub flake: Flake,
    pub source: Source,
    pub fleet: Fleet,
    warnings: Vec<String>,
}

impl Plan {
    pub fn show(&self) {
        let name = self.name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
        let what = if self.tag.is_some() { "" } else { ", not an official release" };
        let at = self.commit.short();
        term::say(format_args!(
            "{BOLD}{} {}{BOLD:#}{name}{what} ({} at {at})",
            self.product.name, self.version, self.profile
        ));
        for warning in &self.warnings {
            term::warn(warning);
        }
    }

    /// Checks that the version that was evaluated is the one to be released.
    pub fn check_version(&self, built: &str) -> Result<()> {
        let version = self.version.to_string();
        if self.tag.is_some() {
            anyhow::ensure!(
                built == version,
                "the tag {version} evaluates to version {built}: is the flag for an official release off there?"
            );
        }
        anyhow::ensure!(
            built.starts_with(&version),
            "{} says {version}, but the builds are of version {built}",
            version_file::PATH
        );
        Ok(())
    }
}

pub fn decide(observed: Observed, request: &Request) -> Result<Plan, Problems> {
    let on_tag = observed.tagged.as_ref() == Some(&observed.head.commit);
    let (mut problems, mut warnings) = (machine(&observed, request), Vec::new());
    if request.check_git {
        problems.extend(off_the_tag(&observed, &request.product));
    } else if !observed.dirty.is_empty() {
        let what = "changes that are not committed";
        warnings.push(if on_tag {
            format!("there are {what}: they are left out")
        } else {
            format!("there are {what}: they are built, but missing from the source archive")
        });
    }
    for (place, free) in observed.free.iter().filter(|(_, free)| *free < ROOMY) {
        let free = *free as f64 / 1e9;
        warnings.push(format!("{place} has {free:.1} GB of free space: a release of all systems may need more"));
    }
    warnings.extend(observed.fleet.warnings());
    if request.target == Extent::All {
        let submodules = observed.source.submodules();
        if !submodules.is_empty() {
            let paths = submodules.join(", ");
            warnings.push(format!("the source archive has only empty directories for the submodules: {paths}"));
        }
        problems.extend(observed.source_faults);
        if let Err(why) = &observed.inputs {
            problems.add(format!("{} {why}", flake_lock::PATH));
        }
    }
    let replaced = NixArgs::replacing_inputs(&request.nix_args);
    if !replaced.is_empty() {
        let options = replaced.join(" ");
        warnings.push(format!(
            "with {options}, the inputs may be others than those of {}: the provenance says so",
            flake_lock::PATH
        ));
    }
    problems.into_result()?;
    let Observed { head, current, .. } = observed;
    let materials = Materials {
        repository: request.product.links.source.clone(),
        tag: observed.tag_object.filter(|_| on_tag),
        modified: !replaced.is_empty() || !on_tag && !observed.dirty.is_empty(),
        inputs: observed.inputs.unwrap_or_default(),
    };
    Ok(Plan {
        product: Arc::clone(&request.product),
        tag: on_tag.then(|| current.version.clone()),
        version: current.version,
        name: current.name,
        commit: head.commit,
        tree: observed.tree,
        committed: observed.committed.clone(),
        materials,
        keys: observed.keys,
        profile: request.profile,
        flake: observed.flake,
        source: observed.source,
        fleet: observed.fleet,
        warnings,
    })
}

/// Returns what is wrong with the machine.
fn machine(observed: &Observed, request: &Request) -> Problems {
    let mut problems = Problems::default();
    let wanted = request.profile.to_string();
    match &observed.nix {
        Err(Fault { meaning, message }) => {
            let why = meaning.as_deref().unwrap_or("does Nix support flakes, and does the flake have this output?");
            let root = &observed.root;
            problems.add(format!("Nix cannot evaluate `{RELEASE_JOBS}` of {root}: {why}\n{message}"));
        }
        Ok(Probe { attributes, .. }) if !attributes.contains(&wanted) => {
            problems.add(format!("the flake has no `{RELEASE_JOBS}.{wanted}`, only {}", attributes.join(", ")))
        }
        Ok(_) => {}
    }
    if matches!(observed.nix, Ok(Probe { has_no_build_users: true, .. })) {
        problems.add(
            "Nix runs as root here and has no build users: use a Nix daemon, create the group that \
             `build-users-group` names, or set `build-users-group =` in NIX_CONFIG to build as root",
        );
    }
    if let Err(error) = &observed.skopeo {
        problems.add(format!("container images need skopeo: {error:#}"));
    }
    problems
}

/// Returns what keeps this tree from being the release that the tag names.
fn off_the_tag(observed: &Observed, product: &Arc<Product>) -> Problems {
    let mut problems = Problems::default();
    let (version, head) = (&observed.current.version, &observed.head);
    let name = observed.current.name.as_deref().unwrap_or_default();
    let never = Release::new(product, version.clone(), name).err().filter(|_| observed.current.name.is_some());
    match &observed.tagged {
        _ if never.is_some() => problems.extend(never.map(Problem::from)),
        // The fault of the tag record says what is there instead.
        None if observed.tag_record.is_err() => {}
        None => problems.add(format!("there is no annotated tag {version}: make it with `cargo xtask release tag`")),
        Some(tagged) if *tagged != head.commit => problems.add(format!(
            "HEAD is at {}, but the tag {version} is at {}: `git switch --detach {version}`",
            head.commit.short(),
            tagged.short()
        )),
        Some(_) => {}
    }
    if let Err(error) = &observed.tag_record {
        problems.add(format!("{error:#}"));
    }
    problems.extend(Problems::uncommitted(&observed.dirty));
    if !problems.is_empty() {
        problems.add("`--no-check-git` builds the tree as it is, but not as an official release");
    }
    problems
}
