//! The command line: words become the values that phases take. Nothing is decided here, and nothing is done.

use std::process::ExitCode;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::domain::date::Date;
use crate::domain::product;
use crate::domain::profile::Profile;
use crate::domain::version::Version;
use crate::phases::{announce, bench, build, ci, finish, notes, prepare, tag};
use crate::tools::clock;
use crate::tools::git::Git;
use crate::tools::term::{self, Verbosity};
use crate::tree;

mod adopt;
mod publish;

pub use publish::{
    Agreement, DoctorArgs, InstallerArgs, PlanArgs, Publish, RehearsalWorld, RehearseArgs, RollbackArgs, TrainArgs,
    UploadArgs, VerifyArgs, World,
};

/// Lix's release tool.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
struct Global {
    /// The tree to release [default: the one this tool stands in]; several of them for `train`
    #[arg(long, global = true, value_name = "DIR")]
    repo: Vec<Utf8PathBuf>,
    /// Another releng.toml [default: the one beside this tool]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<Utf8PathBuf>,
    /// Write data as JSON to stdout: verify, status, doctor, and the plan of what was or would be published
    #[arg(long, global = true)]
    json: bool,
    /// Say errors and warnings only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Also say which programs are run
    #[arg(long, short, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a release, phase by phase
    #[command(subcommand)]
    Release(Phase),
    /// Check format, lints and tests
    Ci,
    /// Put this tool into a tree, or check that it is there: shows the difference, and asks
    Adopt(adopt::AdoptArgs),
    /// A Garage and a registry on loopback, to release to
    #[command(subcommand)]
    World(World),
    /// Measure; nothing is checked
    #[command(subcommand)]
    Bench(Bench),
}

/// Shown in the order in which a manager meets them.
#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
enum Phase {
    /// Render release-note fragments to stdout, or check them
    #[command(display_order = 1)]
    Notes(NotesArgs),
    /// Set the version, turn the fragments into release notes, and commit
    #[command(display_order = 2)]
    Prepare(PrepareArgs),
    /// Make the release commit and the tag, and merge them back to the branch
    #[command(display_order = 3)]
    Tag(TagArgs),
    /// Build the tag with Nix and gather everything in release/
    #[command(display_order = 4)]
    Build(BuildArgs),
    /// After publishing: branch off, set the next version, bring release notes to main, go back to the branch
    #[command(display_order = 9)]
    Finish(FinishArgs),
    /// Draft the blog post, the toot and what others have to know in release/announce/; nothing is posted
    #[command(display_order = 10)]
    Announce,
    #[command(flatten)]
    Publish(Publish),
}

#[derive(Debug, Args)]
struct NotesArgs {
    /// Directories of fragments [default: doc/manual/rl-next]
    #[arg(value_name = "DIR")]
    dirs: Vec<Utf8PathBuf>,
    /// Report every problem of every fragment and render nothing; exit 1 if there is one
    #[arg(long)]
    check: bool,
    /// The author list [default: doc/manual/change-authors.yml]
    #[arg(long, value_name = "FILE", conflicts_with = "no_authors")]
    authors: Option<Utf8PathBuf>,
    /// Show credits by their keys, unlinked
    #[arg(long)]
    no_authors: bool,
}

#[derive(Debug, Args)]
struct PrepareArgs {
    /// The version to release, such as 2.93.1 [default: what version.json holds]
    version: Option<Version>,
    /// The release name of a new MAJOR
    #[arg(long)]
    name: Option<String>,
    /// The date in the release notes, YYYY-MM-DD [default: today]
    #[arg(long)]
    date: Option<Date>,
    /// Announce again what an earlier release announced already
    #[arg(long)]
    despite_released: bool,
    /// Show the changes and make none
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct TagArgs {
    /// Sign the tag and the commits, with what git is configured for
    #[arg(long)]
    sign: bool,
    /// Replace a tag that exists here and was never pushed
    #[arg(long)]
    force_tag: bool,
    /// Do not look for uncommitted changes, a shallow clone, or the tag on `origin`
    #[arg(long)]
    no_check_git: bool,
    /// Show the commits and the difference, and make none
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct BuildArgs {
    /// What to build
    #[arg(long, value_enum, default_value_t = build::Target::All)]
    target: build::Target,
    /// Which of the flake's `release-jobs`
    #[arg(long, value_parser = profile(), default_value_t = Profile::All)]
    profile: Profile,
    /// Build whatever is here, tagged and committed or not
    #[arg(long)]
    no_check_git: bool,
    /// For every call of Nix, such as `--max-jobs 4`, `--builders …` or `--option NAME VALUE`
    #[arg(last = true, value_name = "NIX-ARGS")]
    nix_args: Vec<String>,
}

#[derive(Debug, Args)]
struct FinishArgs {
    /// The release to finish [default: the one that was tagged last]
    version: Option<Version>,
    /// Look whether this environment's git remote, as in releng.toml, has it all
    #[arg(long, alias = "environment", value_name = "ENV")]
    env: Option<String>,
    /// Push what it lacks, after asking
    #[arg(long, requires = "env")]
    push: bool,
    /// Do not ask, where releng.toml allows it
    #[arg(long)]
    yes: bool,
    /// Show what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Command {
    /// Whether there is data to write as JSON.
    fn speaks_json(&self) -> bool {
        match self {
            Command::Release(Phase::Publish(phase)) => !matches!(phase, Publish::Rehearse(_)),
            Command::Release(_) | Command::Ci | Command::Adopt(_) | Command::World(_) | Command::Bench(_) => false,
        }
    }

    fn is_train_without_file(&self) -> bool {
        matches!(self, Command::Release(Phase::Publish(Publish::Train(TrainArgs { file: None, .. }))))
    }
}

#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
enum Bench {
    /// Rendering of no fragments and of 2,000
    Notes,
    /// Uploads to a Garage on loopback, side by side with `aws` and `s5cmd` where they are installed
    Store {
        /// How often each tool does each task; they take turns
        #[arg(long, default_value_t = 5)]
        rounds: u32,
    },
}

/// How a command ended that ran to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// What was checked is not right; the details are printed.
    Failed,
    /// It goes on once something outside has happened.
    Waiting,
    /// A signal ended it.
    Stopped {
        signal: i32,
    },
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> ExitCode {
        match outcome {
            Outcome::Done => ExitCode::SUCCESS,
            Outcome::Failed => ExitCode::FAILURE,
            Outcome::Waiting => ExitCode::from(3),
            // As a shell tells it.
            Outcome::Stopped { signal } => ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
        }
    }
}

/// What every command knows.
#[derive(Debug)]
pub struct Place {
    /// The workspace of this tool, `xtask/`.
    pub workspace: Utf8PathBuf,
    /// The tree that is released.
    pub tree: Utf8PathBuf,
    /// Every tree that was named, for what takes several.
    pub named_trees: Vec<Utf8PathBuf>,
    /// Another `releng.toml`.
    pub config: Option<Utf8PathBuf>,
    /// Whether data on stdout is JSON.
    pub json: bool,
}

impl Place {
    /// `releng.toml`.
    pub fn config_file(&self) -> Utf8PathBuf {
        self.config.clone().unwrap_or_else(|| self.workspace.join("releng.toml"))
    }
}

/// Reads the command line, does what it says, and gives the exit code. `publish` does what this package cannot.
pub fn main(publish: impl FnOnce(Publish, &Place) -> Result<Outcome>) -> ExitCode {
    Cli::parse().run(publish).map_or_else(
        |error| {
            term::error(&error);
            ExitCode::FAILURE
        },
        ExitCode::from,
    )
}

/// The profiles, with their help.
fn profile() -> impl TypedValueParser<Value = Profile> {
    let help = |profile| match profile {
        Profile::All => "All systems",
        Profile::X86_64LinuxOnly => "What one machine can build; for testing",
    };
    let values = Profile::EVERY.map(|profile| PossibleValue::new(profile.name()).help(help(profile)));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Profile>())
}

/// Ends the program as clap does: with its words and its exit code.
fn wrong_usage(why: &str) -> ! {
    Cli::command().error(ErrorKind::ArgumentConflict, why).exit()
}

impl Cli {
    fn run(self, publish: impl FnOnce(Publish, &Place) -> Result<Outcome>) -> Result<Outcome> {
        term::set_verbosity(match (self.global.quiet, self.global.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        });
        let workspace = workspace()?;
        let takes_several = matches!(self.command, Command::Release(Phase::Publish(Publish::Train(_))));
        if self.global.repo.len() > 1 && !takes_several {
            wrong_usage("only `release train` takes more than one `--repo`");
        }
        // clap forgets those that stand before the phase where more stand behind it.
        let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
        let ours = words.take_while(|word| word != "--");
        if ours.filter(|word| word == "--repo" || word.starts_with("--repo=")).count() > self.global.repo.len() {
            wrong_usage("give every `--repo` in one place, behind the name of the phase");
        }
        if self.global.json && !self.command.speaks_json() {
            wrong_usage("this writes no data, so there is nothing for `--json` to change");
        }
        if self.command.is_train_without_file() && self.global.repo.is_empty() {
            wrong_usage("which trees? Name each with `--repo`, or a file that lists them");
        }
        if matches!(self.command, Command::Adopt(_)) && (!self.global.repo.is_empty() || self.global.config.is_some()) {
            wrong_usage("`adopt` takes the tree as its argument, and neither `--repo` nor `--config`");
        }
        let repo = self.global.repo.first().filter(|_| self.global.repo.len() == 1);
        let given = [("--repo", repo), ("--config", self.global.config.as_ref())];
        let given =
            given.into_iter().filter_map(|(name, value)| Some(format!(" {name} {}", term::typed(value?.as_str()))));
        term::set_everywhere(given.collect());
        let place = Place {
            tree: self.global.repo.first().cloned().unwrap_or_else(|| host_of(&workspace)),
            named_trees: self.global.repo,
            workspace,
            config: self.global.config,
            json: self.global.json,
        };
        if let Some(config) = &place.config {
            tree::config(config)?.product.into_iter().for_each(product::choose);
        }
        match self.command {
            Command::Ci => ci::run(&place.workspace)?,
            Command::Adopt(args) => return args.run(&place.workspace),
            Command::Bench(Bench::Notes) => bench::notes(&place.workspace)?,
            Command::Bench(Bench::Store { rounds }) => return publish(Publish::BenchStore { rounds }, &place),
            Command::World(world) => return publish(Publish::World(world), &place),
            Command::Release(Phase::Publish(command)) => return publish(command, &place),
            Command::Release(phase) => return phase.run(&place),
        }
        Ok(Outcome::Done)
    }
}

impl Phase {
    fn run(self, place: &Place) -> Result<Outcome> {
        let tree = &place.tree;
        match self {
            Phase::Notes(args) => {
                let authors = match args.authors {
                    _ if args.no_authors => notes::Source::None,
                    Some(file) => notes::Source::File(file),
                    None => notes::Source::Tree,
                };
                let request = notes::Request { dirs: args.dirs, authors };
                if args.check {
                    let good = notes::check(tree, &request)?;
                    return Ok(if good { Outcome::Done } else { Outcome::Failed });
                }
                notes::render(tree, &request).context("cannot render the release notes")?;
            }
            Phase::Prepare(args) => {
                let git = Git::open(tree)?;
                let date = args.date.map_or_else(clock::today, Ok)?;
                let request = prepare::Request {
                    version: args.version,
                    name: args.name,
                    date,
                    despite_released: args.despite_released,
                };
                let result = if args.dry_run { prepare::dry_run(&git, &request) } else { prepare::run(&git, &request) };
                result.context("cannot prepare the release")?;
            }
            Phase::Tag(args) => {
                let git = Git::open(tree)?;
                let request = tag::Request {
                    sign: args.sign,
                    force: args.force_tag,
                    check_git: !args.no_check_git,
                    today: clock::today()?,
                };
                let result = if args.dry_run { tag::dry_run(&git, &request) } else { tag::run(&git, &request) };
                result.context("cannot tag the release")?;
            }
            Phase::Build(args) => {
                let request = build::Request {
                    target: args.target,
                    profile: args.profile,
                    check_git: !args.no_check_git,
                    nix_args: args.nix_args,
                };
                build::run(&Git::open(tree)?, &request).context("cannot build the release")?;
            }
            Phase::Finish(args) => {
                let request = finish::Request {
                    version: args.version,
                    environment: args.env,
                    config: place.config_file(),
                    push: args.push,
                    yes: args.yes,
                    patience: None,
                };
                let git = Git::open(tree)?;
                let result = if args.dry_run { finish::dry_run(&git, &request) } else { finish::run(&git, &request) };
                return Ok(match result.context("cannot finish the release")? {
                    finish::End::Done => Outcome::Done,
                    finish::End::Waiting => Outcome::Waiting,
                });
            }
            Phase::Announce => {
                announce::run(&Git::open(tree)?).context("cannot draft the announcement")?;
            }
            Phase::Publish(_) => unreachable!("another package does these"),
        }
        Ok(Outcome::Done)
    }
}

/// The workspace of this tool: cargo says where while it runs us, and said so when it built us.
fn workspace() -> Result<Utf8PathBuf> {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let package = Utf8PathBuf::from(package);
    let workspace = package.ancestors().find(|dir| dir.join("releng.toml").exists());
    workspace.map(Utf8Path::to_owned).with_context(|| format!("{package} is not in the workspace of this tool"))
}

/// The tree that a workspace of this tool stands in.
fn host_of(workspace: &Utf8Path) -> Utf8PathBuf {
    workspace.parent().unwrap_or(workspace).to_owned()
}
