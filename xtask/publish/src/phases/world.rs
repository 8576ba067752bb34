//! `world up` and `world down`: a Garage and a registry that stay, to release to by hand. Touches nothing but
//! `release/world/`.

use anyhow::Result;
use camino::Utf8PathBuf;
use xtask::cli::{Invocation, Outcome};
use xtask::domain::layout::RELEASE;
use xtask::tools::git::Git;
use xtask::tools::term;

use crate::tools::server::Life;
use crate::tools::test_servers::{CONFIG, ENVIRONMENT, TestServers, stop};

/// Starts it and says how it is used. One that runs already is started anew, with its data.
///
/// # Errors
/// Something is not installed, or does not start.
pub async fn up(invocation: &Invocation) -> Result<Outcome> {
    let dir = directory(invocation)?;
    if stop(&dir).await? > 0 {
        term::say("it was up, and starts anew on other ports: what speaks to it now fails");
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

/// Stops it.
///
/// # Errors
/// It does not end.
pub async fn down(invocation: &Invocation) -> Result<Outcome> {
    let dir = directory(invocation)?;
    match stop(&dir).await? {
        0 => term::say("no world was up"),
        _ => term::say(format_args!("{} its data stays in {dir}", term::good("down:"))),
    }
    Ok(Outcome::Done)
}

fn directory(invocation: &Invocation) -> Result<Utf8PathBuf> {
    Ok(Git::open(&invocation.tree)?.root().join(RELEASE).join("world"))
}
