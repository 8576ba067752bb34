//! The part of the command line that `xtask-publish` carries out. Words only; nothing is done here.

use camino::Utf8PathBuf;
use clap::{Args, Subcommand, ValueEnum};

use super::values::profile;
use crate::domain::profile::Profile;
use crate::domain::system::System;
use crate::domain::version::Version;
use crate::phases::build;

/// The phases that speak to the world. The package `xtask-publish` does them, so that nobody else compiles what that
/// takes.
#[derive(Debug, Subcommand)]
pub enum Publish {
    /// Show what publishing would do; nothing is written
    #[command(display_order = 5)]
    Plan(PlanArgs),
    /// Publish release/ to an environment, after asking
    #[command(display_order = 6)]
    Upload(UploadArgs),
    /// Publish several trees' releases together: one plan, one question, and each pointer moved once
    #[command(display_order = 11)]
    Train(TrainArgs),
    /// Check what users get from an environment
    #[command(display_order = 7)]
    Verify(VerifyArgs),
    /// Make a whole release in a scratch clone and publish it on this machine
    #[command(display_order = 15)]
    Rehearse(RehearseArgs),
    /// Take users of the newest stable release back to an older one
    #[command(display_order = 12)]
    Rollback(RollbackArgs),
    /// Publish the installers of a release, which are built elsewhere
    #[command(display_order = 8)]
    Installer(InstallerArgs),
    /// Check every precondition at once, each with its remedy
    #[command(display_order = 13)]
    Doctor(DoctorArgs),
    /// Show where this release stands, and what to type next
    #[command(display_order = 14)]
    Status,
    /// Not a phase, but done in the same place.
    #[command(skip)]
    World(World),
    /// The same.
    #[command(skip)]
    BenchStore { rounds: u32 },
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Also an environment's, as in releng.toml
    #[arg(long, alias = "environment", value_name = "ENV")]
    pub env: Option<String>,
    /// For every call of Nix, as for `build`: whoever builds with `--builders …` checks with it
    #[arg(last = true, value_name = "NIX-ARGS")]
    pub nix_args: Vec<String>,
}

/// What is published, and where.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The environment, as in releng.toml
    #[arg(long, alias = "environment", value_name = "ENV")]
    pub env: String,
    /// What to publish
    #[arg(long, value_enum, default_value_t = build::Target::All)]
    pub target: build::Target,
    /// Let a directory of documentation lose most of its pages
    #[arg(long)]
    pub allow_shrink: bool,
    /// Let a system vanish from the root manifest
    #[arg(long, value_name = "SYSTEM")]
    pub drop_system: Vec<System>,
    /// Replace a tag that the remote has
    #[arg(long)]
    pub force_push_tag: bool,
    /// Publish whatever commit and changes are checked out, as long as release/ is what was built
    #[arg(long)]
    pub no_check_git: bool,
    /// Go on though the environment that should have this release before has not; the reason is recorded, in public
    #[arg(long, value_name = "REASON")]
    pub skip_staging: Option<String>,
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
    /// A list of trees: a directory a line, relative to the file; ` #` begins a comment. Or say `--repo` for each
    #[arg(value_name = "FILE")]
    pub file: Option<Utf8PathBuf>,
    #[command(flatten)]
    pub upload: UploadArgs,
    /// Show the plan and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What stands in for the sentence that is asked for.
#[derive(Debug, Args)]
pub struct Agreement {
    /// Do not ask, if this is the digest of the plan
    #[arg(long, value_name = "DIGEST", conflicts_with = "noconfirm")]
    pub plan: Option<String>,
    /// Do not ask, where releng.toml allows it
    #[arg(long)]
    pub noconfirm: bool,
}

#[derive(Debug, Args)]
pub struct InstallerArgs {
    /// The environment, as in releng.toml
    #[arg(long, alias = "environment", value_name = "ENV")]
    pub env: String,
    /// The directory with one installer for each system
    #[arg(long, value_name = "DIR")]
    pub from: Utf8PathBuf,
    /// The release that they install [default: what version.json holds]
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
    /// The environment, as in releng.toml
    #[arg(long, alias = "environment", value_name = "ENV")]
    pub env: String,
    /// The version to check [default: what version.json holds]
    pub version: Option<Version>,
    /// Download everything, also what has a digest for a name
    #[arg(long)]
    pub deep: bool,
}

#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The environment, as in releng.toml
    #[arg(long, alias = "environment", value_name = "ENV")]
    pub env: String,
    /// The version that users get instead
    #[arg(long, value_name = "VERSION")]
    pub to: Version,
    /// Let a system vanish from the root manifest, or keep an installer of the newer version
    #[arg(long, value_name = "SYSTEM")]
    pub drop_system: Vec<System>,
    #[command(flatten)]
    pub agreement: Agreement,
    /// Show the plan and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct RehearseArgs {
    /// The version to rehearse [default: the next one after version.json's]
    #[arg(long)]
    pub version: Option<Version>,
    /// Which of the flake's `release-jobs`
    #[arg(long, value_parser = profile(), default_value_t = Profile::All)]
    pub profile: Profile,
    /// Where to publish to
    #[arg(long, value_enum, default_value_t = RehearsalServers::Embedded)]
    pub world: RehearsalServers,
    /// Leave the scratch clone in release/rehearsal
    #[arg(long)]
    pub keep: bool,
}

/// Where a rehearsal publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RehearsalServers {
    /// An S3 server in this program, and directories
    Embedded,
    /// Garage and docker-registry, started for the rehearsal
    Real,
}

/// A world on loopback that stays.
#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
pub enum World {
    /// Start it, and say how to use it
    Up,
    /// Stop it; its data stays in release/world
    Down,
}
