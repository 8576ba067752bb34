//! The commands that `xtask-publish` carries out: their words only.

use std::str::FromStr;

use camino::Utf8PathBuf;
use clap::{Args, Subcommand, ValueEnum};

use super::values::{check, extent, profile};
use crate::domain::digest::Digest;
use crate::domain::extent::Extent;
use crate::domain::profile::Profile;
use crate::domain::release::check::Check;
use crate::domain::system::System;
use crate::domain::version::Version;

/// The phases that talk to environments. The package `xtask-publish` carries them out, so that the other phases do not
/// have to compile its dependencies.
#[derive(Debug, Subcommand)]
pub enum Publish {
    /// Prove what was built before users get it: open it, install it, compare it
    #[command(display_order = 5)]
    Check(CheckArgs),
    /// Show what publishing would do; writes nothing
    #[command(display_order = 5)]
    Plan(PlanArgs),
    /// Publish release/ to an environment, after asking
    #[command(display_order = 6)]
    Upload(UploadArgs),
    /// Publish the releases of several trees together: one plan, one question, one move of each pointer
    #[command(display_order = 11)]
    Train(TrainArgs),
    /// Check what users get from an environment
    #[command(display_order = 7)]
    Verify(VerifyArgs),
    /// Make a complete release in a scratch clone and publish it on this machine
    #[command(display_order = 15)]
    Rehearse(RehearseArgs),
    /// Move users of the newest stable release back to an older one
    #[command(display_order = 12)]
    Rollback(RollbackArgs),
    /// Publish the installers of a release, which are built elsewhere
    #[command(display_order = 8)]
    Installer(InstallerArgs),
    /// Check every precondition at once, each with its remedy
    #[command(display_order = 13)]
    Doctor(DoctorArgs),
    /// Show how far this release is, and what to type next
    #[command(display_order = 14)]
    Status,
    /// Not a phase, but `xtask-publish` carries it out, too.
    #[command(skip)]
    World(WorldCommand),
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// An environment in releng.toml whose preconditions are checked, too
    #[arg(long, alias = "environment", value_name = "ENV")]
    pub env: Option<String>,
    /// Arguments for every call of Nix: give the same as to `build`, such as `--builders …`
    #[arg(last = true, value_name = "NIX-ARGS")]
    pub nix_args: Vec<String>,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Run only these checks; the others keep their outcomes
    #[arg(long, value_name = "NAME", value_parser = check(), num_args = 1..)]
    pub only: Vec<Check>,
    /// The release to compare with, or `none` [default: the newest published one of the series, or of the one before]
    #[arg(long, value_name = "VERSION")]
    pub against: Option<Against>,
    /// Build everything again, and compare the bytes
    #[arg(long)]
    pub rebuild: bool,
    /// Go on although something has grown; REASON is recorded
    #[arg(long, value_name = "REASON")]
    pub accept_growth: Option<String>,
    /// Go on although issues block the release; REASON is recorded
    #[arg(long, value_name = "REASON")]
    pub despite_blockers: Option<String>,
    /// Check release/ as it was built, without checking HEAD or the work tree
    #[arg(long)]
    pub no_check_git: bool,
    /// Arguments for every call of Nix, such as `--builders …`
    #[arg(last = true, value_name = "NIX-ARGS")]
    pub nix_args: Vec<String>,
}

/// The release that another one is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Against {
    None,
    Version(Version),
}

impl FromStr for Against {
    type Err = <Version as FromStr>::Err;

    fn from_str(text: &str) -> Result<Against, Self::Err> {
        if text == "none" { Ok(Against::None) } else { text.parse().map(Against::Version) }
    }
}

/// What to publish, and where.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The name of an environment in releng.toml
    #[arg(long, alias = "environment", value_name = "ENV")]
    pub env: String,
    /// What to publish
    #[arg(long, value_parser = extent(), default_value_t = Extent::All)]
    pub target: Extent,
    /// Let a directory of documentation lose most of its pages
    #[arg(long)]
    pub allow_shrink: bool,
    /// Let a system vanish from the root manifest
    #[arg(long, value_name = "SYSTEM")]
    pub drop_system: Vec<System>,
    /// Replace a tag that the remote has
    #[arg(long)]
    pub force_push_tag: bool,
    /// Publish release/ as it was built, without checking HEAD or the work tree
    #[arg(long)]
    pub no_check_git: bool,
    /// Publish although the environment in `requires` has not received this release; REASON is recorded publicly
    #[arg(long, value_name = "REASON")]
    pub skip_staging: Option<String>,
    /// Publish although the release has not passed the checks that `requires-checks` demands; REASON is recorded publicly
    #[arg(long, value_name = "REASON")]
    pub skip_checks: Option<String>,
    /// Leave out a target of images that is down; the receipt records it, and the next upload completes it. May be
    /// repeated
    #[arg(long, value_name = "NAME")]
    pub without: Vec<String>,
}

#[derive(Debug, Args)]
pub struct UploadArgs {
    #[command(flatten)]
    pub plan: PlanArgs,
    #[command(flatten)]
    pub agreement: Agreement,
}

#[derive(Debug, Args)]
pub struct TrainArgs {
    /// A list of trees: one directory per line, relative to the file; ` #` begins a comment. Or pass `--repo` for each
    #[arg(value_name = "FILE")]
    pub file: Option<Utf8PathBuf>,
    #[command(flatten)]
    pub upload: UploadArgs,
    /// Show the plan and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What replaces the sentence that the manager is asked to type.
#[derive(Debug, Args)]
pub struct Agreement {
    /// Do not ask, if the plan has this digest
    #[arg(long, value_name = "DIGEST", conflicts_with = "noconfirm")]
    pub plan: Option<Digest>,
    /// Do not ask, if releng.toml allows that
    #[arg(long)]
    pub noconfirm: bool,
}

#[derive(Debug, Args)]
pub struct InstallerArgs {
    /// The name of an environment in releng.toml
    #[arg(long, alias = "environment", value_name = "ENV")]
    pub env: String,
    /// Directory with one installer for each system
    #[arg(long, value_name = "DIR")]
    pub from: Utf8PathBuf,
    /// The release that the installers install [default: the version in version.json]
    pub version: Option<Version>,
    /// Let a system that the release no longer has keep its last installer
    #[arg(long, value_name = "SYSTEM")]
    pub drop_system: Vec<System>,
    #[command(flatten)]
    pub agreement: Agreement,
    /// Show the plan and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The name of an environment in releng.toml
    #[arg(long, alias = "environment", value_name = "ENV")]
    pub env: String,
    /// The version to check [default: the one in version.json]
    pub version: Option<Version>,
    /// Download everything, content-addressed objects included
    #[arg(long)]
    pub deep: bool,
    /// A public key that must have signed, instead of those in releng.toml. May be repeated
    #[arg(long, value_name = "NAME:BASE64")]
    pub key: Vec<String>,
    /// A list of allowed signers, as for `ssh-keygen -Y verify`, whose keys must have signed, instead of those in releng.toml
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub allowed_signers: Option<Utf8PathBuf>,
    /// Ask only the public addresses, the registries and the clone's remote `origin`, which needs no key
    #[arg(long)]
    pub public: bool,
    /// Build the release again from its tag, and compare it with what was published
    #[arg(long)]
    pub rebuild: bool,
    /// Arguments for every call of Nix that builds, such as `--builders …`
    #[arg(last = true, value_name = "NIX-ARGS", requires = "rebuild")]
    pub nix_args: Vec<String>,
}

#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The name of an environment in releng.toml
    #[arg(long, alias = "environment", value_name = "ENV")]
    pub env: String,
    /// The version to move users back to
    #[arg(long, value_name = "VERSION")]
    pub to: Version,
    /// Let a system vanish from the root manifest, or keep an installer of the newer version
    #[arg(long, value_name = "SYSTEM")]
    pub drop_system: Vec<System>,
    /// Leave out a target of images that is down: users who pull from it stay where they are. May be repeated
    #[arg(long, value_name = "NAME")]
    pub without: Vec<String>,
    #[command(flatten)]
    pub agreement: Agreement,
    /// Show the plan and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct RehearseArgs {
    /// The version to rehearse [default: the one in version.json, or the next patch if that is tagged]
    #[arg(long)]
    pub version: Option<Version>,
    /// Which of the flake's `release-jobs` to build
    #[arg(long, value_parser = profile(), default_value_t = Profile::All)]
    pub profile: Profile,
    /// The servers to publish to
    #[arg(long, value_enum, default_value_t = RehearsalServers::Embedded)]
    pub world: RehearsalServers,
    /// Keep the scratch clone, in release/rehearsal/tree
    #[arg(long)]
    pub keep: bool,
}

/// The servers that a rehearsal publishes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RehearsalServers {
    /// An S3 server in this program, and directories
    Embedded,
    /// Garage and docker-registry, started for the rehearsal
    Real,
}

/// Test servers on loopback that outlive the command.
#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
pub enum WorldCommand {
    /// Start the servers and show how to use them
    Up,
    /// Stop the servers; their data stays in release/world
    Down,
}
