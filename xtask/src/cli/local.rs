//! The commands that this package carries out: turns their words into the requests that phases take.

use std::sync::Arc;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use super::outcome::{Invocation, Outcome};
use super::values::{extent, profile};
use crate::domain::date::Date;
use crate::domain::extent::Extent;
use crate::domain::profile::Profile;
use crate::domain::version::Version;
use crate::phases::{announce, build, finish, notes, prepare, tag};
use crate::tools::clock;
use crate::tools::git::Git;

/// The phases that this package carries out. `display_order` lists all phases in the order in which a manager meets
/// them.
#[derive(Debug, Subcommand)]
pub enum Local {
    /// Render release-note fragments to stdout, or check them
    #[command(display_order = 1)]
    Notes(NotesArgs),
    /// Set the version, turn the fragments into release notes, and commit
    #[command(display_order = 2)]
    Prepare(PrepareArgs),
    /// Make the release commit and the tag, and merge them back into the branch
    #[command(display_order = 3)]
    Tag(TagArgs),
    /// Build the tag with Nix and gather everything in release/
    #[command(display_order = 4)]
    Build(BuildArgs),
    /// After publishing: branch off, set the next version, bring release notes to main, return to the branch
    #[command(display_order = 9)]
    Finish(FinishArgs),
    /// Draft the blog post, the toot and the facts for downstream in release/announce/; posts nothing
    #[command(display_order = 10)]
    Announce,
}

#[derive(Debug, Args)]
pub struct NotesArgs {
    /// Directories of fragments [default: doc/manual/rl-next]
    #[arg(value_name = "DIR")]
    dirs: Vec<Utf8PathBuf>,
    /// Report every problem in every fragment instead of rendering; exit 1 if there are any
    #[arg(long)]
    check: bool,
    /// The author list [default: doc/manual/change-authors.yml]
    #[arg(long, value_name = "FILE", conflicts_with = "no_authors")]
    authors: Option<Utf8PathBuf>,
    /// Show credits as keys, without links
    #[arg(long)]
    no_authors: bool,
}

#[derive(Debug, Args)]
pub struct PrepareArgs {
    /// The version to release, such as 2.93.1 [default: the one in version.json]
    version: Option<Version>,
    /// The release name of a new MAJOR
    #[arg(long)]
    name: Option<String>,
    /// The date in the release notes, YYYY-MM-DD [default: today]
    #[arg(long)]
    date: Option<Date>,
    /// Allow notes that an earlier release has announced already
    #[arg(long)]
    despite_released: bool,
    /// Show the changes without making them
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub struct TagArgs {
    /// Sign the tag and the commits, as git is configured to, also where releng.toml does not require it
    #[arg(long)]
    sign: bool,
    /// Replace a tag that exists here and was never pushed
    #[arg(long)]
    force_tag: bool,
    /// Do not check for uncommitted changes, a shallow clone, or the tag on `origin`
    #[arg(long)]
    no_check_git: bool,
    /// Show the commits and the diff without making them
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub struct BuildArgs {
    /// What to build
    #[arg(long, value_parser = extent(), default_value_t = Extent::All)]
    target: Extent,
    /// Which of the flake's `release-jobs` to build
    #[arg(long, value_parser = profile(), default_value_t = Profile::All)]
    profile: Profile,
    /// Build the tree as it is, even if it is not tagged or committed
    #[arg(long)]
    no_check_git: bool,
    /// Arguments for every call of Nix, such as `--max-jobs 4`, `--builders …` or `--option NAME VALUE`
    #[arg(last = true, value_name = "NIX-ARGS")]
    nix_args: Vec<String>,
}

#[derive(Debug, Args)]
pub struct FinishArgs {
    /// The release to finish [default: the one tagged last]
    version: Option<Version>,
    /// Check that the git remote of this environment in releng.toml has everything
    #[arg(long, alias = "environment", value_name = "ENV")]
    env: Option<String>,
    /// Push what is missing there, after asking
    #[arg(long, requires = "env")]
    push: bool,
    /// Do not ask, if releng.toml allows that
    #[arg(long)]
    yes: bool,
    /// Show what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Local {
    /// # Errors
    /// The phase's error, with the name of the phase.
    pub fn run(self, invocation: &Invocation) -> Result<Outcome> {
        let tree = &invocation.tree;
        let product = Arc::clone(&invocation.product);
        match self {
            Local::Notes(args) => {
                let authors = match args.authors {
                    _ if args.no_authors => notes::AuthorList::None,
                    Some(file) => notes::AuthorList::File(file),
                    None => notes::AuthorList::Tree,
                };
                let request = notes::Request { product, dirs: args.dirs, authors };
                if args.check {
                    let good = notes::check(tree, &request)?;
                    return Ok(if good { Outcome::Done } else { Outcome::Failed });
                }
                notes::render(tree, &request).context("cannot render the release notes")?;
            }
            Local::Prepare(args) => {
                let git = Git::open(tree)?;
                let date = args.date.map_or_else(clock::today, Ok)?;
                let request = prepare::Request {
                    product,
                    version: args.version,
                    name: args.name,
                    date,
                    despite_released: args.despite_released,
                };
                let result = if args.dry_run { prepare::dry_run(&git, &request) } else { prepare::run(&git, &request) };
                result.context("cannot prepare the release")?;
            }
            Local::Tag(args) => {
                let git = Git::open(tree)?;
                let request = tag::Request {
                    product,
                    sign: args.sign,
                    signers: invocation.signers(),
                    force: args.force_tag,
                    check_git: !args.no_check_git,
                    today: clock::today()?,
                };
                let result = if args.dry_run { tag::dry_run(&git, &request) } else { tag::run(&git, &request) };
                result.context("cannot tag the release")?;
            }
            Local::Build(args) => {
                let request = build::Request {
                    product,
                    target: args.target,
                    profile: args.profile,
                    check_git: !args.no_check_git,
                    nix_args: args.nix_args,
                };
                build::run(&Git::open(tree)?, &request).context("cannot build the release")?;
            }
            Local::Finish(args) => {
                let request = finish::Request {
                    product,
                    version: args.version,
                    environment: args.env,
                    config: invocation.config_file(),
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
            Local::Announce => {
                announce::run(&Git::open(tree)?, &product).context("cannot draft the announcement")?;
            }
        }
        Ok(Outcome::Done)
    }
}
