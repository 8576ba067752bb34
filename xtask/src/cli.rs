//! The command line: turns words into the values that phases take. It decides nothing and carries out nothing.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use self::local::Local;
use crate::domain::product::Product;
use crate::phases::{bench, ci, crash, faults};
use crate::tools::interrupt;
use crate::tools::term::{self, Verbosity};
use crate::tree;

mod adopt;
mod local;
mod outcome;
mod publish;
mod values;

pub use outcome::{Invocation, Outcome};
pub use publish::{
    Against, Agreement, CheckArgs, DoctorArgs, InstallerArgs, PlanArgs, Publish, RehearsalServers, RehearseArgs,
    RollbackArgs, TrainArgs, UploadArgs, VerifyArgs, WorldCommand,
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
    /// The tree to release [default: the one that contains this tool]; for `train`, repeat the option
    #[arg(long, global = true, value_name = "DIR")]
    repo: Vec<Utf8PathBuf>,
    /// Another releng.toml [default: the one beside this tool]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<Utf8PathBuf>,
    /// Write JSON to stdout: for verify, status, doctor, and the plan of what was or would be published
    #[arg(long, global = true)]
    json: bool,
    /// Print only errors and warnings
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Also print the commands that are run
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
    /// Add this tool to a tree, or check that it is there; shows the difference and asks first
    Adopt(adopt::AdoptArgs),
    /// Run a local S3 server (Garage) and a registry to practise on
    #[command(subcommand)]
    World(WorldCommand),
    /// Kill the tool before every change that it makes, and check what is left; `crash --help` says more
    #[command(disable_help_flag = true)]
    Crash {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        arguments: Vec<OsString>,
    },
    /// Harm each answer that the tool gets from a server, and check how it ends; `faults --help` says more
    #[command(disable_help_flag = true)]
    Faults {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        arguments: Vec<OsString>,
    },
    /// Run measurements; checks nothing
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
enum Phase {
    #[command(flatten)]
    Local(Local),
    #[command(flatten)]
    Publish(Publish),
}

impl Command {
    /// Whether the command writes data, which `--json` formats.
    fn speaks_json(&self) -> bool {
        match self {
            Command::Release(Phase::Publish(phase)) => !matches!(phase, Publish::Rehearse(_)),
            Command::Release(_)
            | Command::Ci
            | Command::Adopt(_)
            | Command::World(_)
            | Command::Crash { .. }
            | Command::Faults { .. }
            | Command::Bench(_) => false,
        }
    }

    fn is_train_without_file(&self) -> bool {
        matches!(self, Command::Release(Phase::Publish(Publish::Train(TrainArgs { file: None, .. }))))
    }
}

#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
enum Bench {
    /// Time the rendering of no fragments and of 2,000
    Notes,
    /// Time uploads to a local Garage, next to `aws` and `s5cmd` if they are installed
    Store {
        /// How many times each tool does each task; the tools take turns
        #[arg(long, default_value_t = 5)]
        rounds: u32,
    },
}

/// Reads the command line, carries out the command and returns the exit code. `publish` carries out the commands that
/// this package cannot.
pub fn main(publish: impl FnOnce(Publish, &Invocation) -> Result<Outcome>) -> ExitCode {
    Cli::parse().run(publish).map_or_else(
        |error| {
            interrupt::wait_if_stopping();
            term::error(&error);
            ExitCode::FAILURE
        },
        ExitCode::from,
    )
}

/// Ends the program as clap does on a usage error: with its wording and its exit code.
fn wrong_usage(why: &str) -> ! {
    Cli::command().error(ErrorKind::ArgumentConflict, why).exit()
}

impl Cli {
    fn run(self, publish: impl FnOnce(Publish, &Invocation) -> Result<Outcome>) -> Result<Outcome> {
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
        // If `--repo` stands both before and after the phase, clap drops those before it.
        let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
        let ours = words.take_while(|word| word != "--");
        if ours.filter(|word| word == "--repo" || word.starts_with("--repo=")).count() > self.global.repo.len() {
            wrong_usage("put every `--repo` after the name of the phase");
        }
        if self.global.json && !self.command.speaks_json() {
            wrong_usage("this command has no `--json`: it writes no data");
        }
        if self.command.is_train_without_file() && self.global.repo.is_empty() {
            wrong_usage("no trees given: name each with `--repo`, or pass a file that lists them");
        }
        if matches!(self.command, Command::Adopt(_)) && (!self.global.repo.is_empty() || self.global.config.is_some()) {
            wrong_usage("`adopt` takes the tree as its argument, not `--repo` or `--config`");
        }
        let repo = self.global.repo.first().filter(|_| self.global.repo.len() == 1);
        let given = [("--repo", repo), ("--config", self.global.config.as_ref())];
        let given =
            given.into_iter().filter_map(|(name, value)| Some(format!(" {name} {}", term::typed(value?.as_str()))));
        term::set_everywhere(given.collect());
        let config = self.global.config.as_deref().map(tree::config).transpose()?;
        let product = config.and_then(|config| config.product).unwrap_or_else(Product::built_in);
        let invocation = Invocation {
            product: Arc::new(product),
            tree: self.global.repo.first().cloned().unwrap_or_else(|| host_of(&workspace)),
            named_trees: self.global.repo,
            workspace,
            config: self.global.config,
            json: self.global.json,
        };
        match self.command {
            Command::Ci => ci::run(&invocation.workspace)?,
            Command::Adopt(args) => return args.run(&invocation),
            Command::Crash { arguments } => match crash::run(&invocation.workspace, &arguments)? {},
            Command::Faults { arguments } => match faults::run(&invocation.workspace, &arguments)? {},
            Command::Bench(Bench::Notes) => bench::notes(&invocation.workspace)?,
            Command::Bench(Bench::Store { rounds }) => bench::store(&invocation.workspace, rounds)?,
            Command::World(world) => return publish(Publish::World(world), &invocation),
            Command::Release(Phase::Publish(command)) => return publish(command, &invocation),
            Command::Release(Phase::Local(command)) => return command.run(&invocation),
        }
        Ok(Outcome::Done)
    }
}

/// Returns this tool's workspace: the one that cargo names while it runs us, or else the one that we were built from.
fn workspace() -> Result<Utf8PathBuf> {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let package = Utf8PathBuf::from(package);
    let workspace = package.ancestors().find(|dir| dir.join("releng.toml").exists());
    workspace.map(Utf8Path::to_owned).with_context(|| format!("{package} is not in the workspace of this tool"))
}

/// Returns the tree that contains a workspace of this tool.
fn host_of(workspace: &Utf8Path) -> Utf8PathBuf {
    workspace.parent().unwrap_or(workspace).to_owned()
}
