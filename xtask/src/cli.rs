//! The command line: words become the values that phases take. Nothing is decided here, and nothing is done.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use self::local::Local;
use crate::domain::product::Product;
use crate::phases::{bench, ci};
use crate::tools::term::{self, Verbosity};
use crate::tree;

mod adopt;
mod local;
mod outcome;
mod publish;
mod values;

pub use outcome::{Invocation, Outcome};
pub use publish::{
    Agreement, DoctorArgs, InstallerArgs, PlanArgs, Publish, RehearsalServers, RehearseArgs, RollbackArgs, TrainArgs,
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

#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
enum Phase {
    #[command(flatten)]
    Local(Local),
    #[command(flatten)]
    Publish(Publish),
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

/// Reads the command line, does what it says, and gives the exit code. `publish` does what this package cannot.
pub fn main(publish: impl FnOnce(Publish, &Invocation) -> Result<Outcome>) -> ExitCode {
    Cli::parse().run(publish).map_or_else(
        |error| {
            term::error(&error);
            ExitCode::FAILURE
        },
        ExitCode::from,
    )
}

/// Ends the program as clap does: with its words and its exit code.
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
            Command::Bench(Bench::Notes) => bench::notes(&invocation.workspace)?,
            Command::Bench(Bench::Store { rounds }) => return publish(Publish::BenchStore { rounds }, &invocation),
            Command::World(world) => return publish(Publish::World(world), &invocation),
            Command::Release(Phase::Publish(command)) => return publish(command, &invocation),
            Command::Release(Phase::Local(command)) => return command.run(&invocation),
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
