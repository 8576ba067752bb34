//! `world up` and `world down`: Garage and a registry that keep running, to publish to by hand. They write to
//! `release/world/` only.

use anyhow::Result;
use camino::Utf8PathBuf;
use xtask::cli::{Invocation, Outcome};
use xtask::domain::layout::RELEASE;
use xtask::tools::git::Git;
use xtask::tools::term;

use crate::tools::server::Life;
use crate::tools::test_servers::{CONFIG, ENVIRONMENT, TestServers, stop};

/// Starts the servers, and says how to use them. Running servers are restarted with their data.
///
/// # Errors
/// A server is not installed, or does not start.
pub async fn up(invocation: &Invocation) -> Result<Outcome> {
    let dir = directory(invocation)?;
    if stop(&dir).await? > 0 {
        term::say("restarting the servers on other ports; programs that use the old ones will fail");
    }
    let servers = TestServers::start(&dir, Life::Own).await?;
    let registry = servers.registry();
    servers.leave()?;
    let config = dir.join(CONFIG);
    term::say(format_args!("{} Garage and a registry, for the environment `{ENVIRONMENT}`:\n", term::good("up:")));
    for command in [
        format!("cargo xtask release upload --env {ENVIRONMENT} --config {config}"),
        format!("cargo xtask release verify --env {ENVIRONMENT} --config {config}"),
        format!("skopeo list-tags --tls-verify=false docker://{registry}"),
        "cargo xtask world down".to_owned(),
    ] {
        term::say(format_args!("    {command}"));
    }
    Ok(Outcome::Done)
}

/// Stops the servers.
///
/// # Errors
/// A server does not end.
pub async fn down(invocation: &Invocation) -> Result<Outcome> {
    let dir = directory(invocation)?;
    match stop(&dir).await? {
        0 => term::say("no servers were running"),
        _ => term::say(format_args!("{} the data stays in {dir}", term::good("down:"))),
    }
    Ok(Outcome::Done)
}

fn directory(invocation: &Invocation) -> Result<Utf8PathBuf> {
    Ok(Git::open(&invocation.tree)?.root().join(RELEASE).join("world"))
}
