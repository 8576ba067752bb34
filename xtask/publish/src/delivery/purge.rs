//! The hook `purge`: caches in front of buckets are told what changed behind them, once the pointers have moved.
//!
//! The addresses are noted in `release/` before anything is written there, and stay until the program has taken them: a
//! run that was killed, or a program that failed, is made up for by the next run, also by one that finds nothing to do.

use std::collections::BTreeSet;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::domain::amounts::counted;
use xtask::domain::environment::Environment;
use xtask::domain::layout::{RELEASE, purge_list};
use xtask::tools::{files, process, term};

use crate::acts::Prospect;
use crate::acts::delivery::Delivery;
use crate::domain::publication::plan::Purge;
use crate::tools::child::{self, Wait};
use crate::tools::shutdown;

/// How long the program may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the plan says of the hook; `None` where there is none, or nothing for it.
pub fn planned(environment: &Environment, addresses: &BTreeSet<String>) -> Option<Purge> {
    let program = environment.purge.first()?;
    (!addresses.is_empty()).then(|| Purge { program: program.clone(), addresses: addresses.len() })
}

/// The public addresses behind which an act changes something, as it was seen before it; none where there is no hook.
pub fn addresses(delivery: &Delivery, prospect: &Prospect) -> Vec<String> {
    let environment = &delivery.site.environment;
    match &environment.public {
        Some(public) if !environment.purge.is_empty() => prospect.addresses(public),
        Some(_) | None => Vec::new(),
    }
}

fn list(delivery: &Delivery) -> Utf8PathBuf {
    delivery.git.root().join(RELEASE).join(purge_list(&delivery.site.name))
}

/// Notes addresses that are about to change.
///
/// # Errors
/// They cannot be written down.
pub fn note(delivery: &Delivery, addresses: &[String]) -> Result<()> {
    if addresses.is_empty() {
        return Ok(());
    }
    let path = list(delivery);
    files::append_line(&path, &addresses.join("\n")).context("cannot note what caches have to forget")
}

/// Lets the program have every address that was noted and not taken. What goes wrong is a warning: what is published is
/// right, and a cache forgets by itself in the end.
pub async fn run(deliveries: &[Delivery<'_>]) {
    for delivery in deliveries {
        if let Err(error) = run_one(delivery).await {
            term::warn(format_args!(
                "the purge failed, so caches show users what was there before until they forget it by themselves: \
                 {error:#}\nrun the same command again, which does that, or: {}",
                by_hand(delivery)
            ));
        }
    }
}

async fn run_one(delivery: &Delivery<'_>) -> Result<()> {
    let path = list(delivery);
    let Some(program) = delivery.site.environment.purge.first() else { return Ok(()) };
    let count = noted(&path)?;
    if count == 0 {
        return Ok(());
    }
    shutdown::users_see("all of it is published, and caches may show what was there before until they forget it");
    term::say(format_args!("purge: {program} gets {}", counted(count, "address")));
    hand_over(delivery, &path).await?;
    if let Err(error) = std::fs::remove_file(&path) {
        term::warn(format_args!("cannot remove {path}, so the next run purges the same again: {error}"));
    }
    Ok(())
}

/// What a manager types to purge without us.
fn by_hand(delivery: &Delivery) -> String {
    let words: Vec<String> = delivery.site.environment.purge.iter().map(|word| term::typed(word)).collect();
    let (root, list) = (term::typed(delivery.git.root().as_str()), term::typed(list(delivery).as_str()));
    format!("(cd {root} && {} < {list})", words.join(" "))
}

/// How many addresses wait in the list, once each is there once.
fn noted(path: &Utf8Path) -> Result<usize> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        text => text.with_context(|| format!("cannot read {path}, so no cache is purged"))?,
    };
    let addresses: BTreeSet<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let lines: String = addresses.iter().map(|address| format!("{address}\n")).collect();
    files::write_atomic(path, &lines)?;
    Ok(addresses.len())
}

async fn hand_over(delivery: &Delivery<'_>, list: &Utf8Path) -> Result<()> {
    let [program, args @ ..] = delivery.site.environment.purge.as_slice() else { return Ok(()) };
    let running = {
        let wait = Wait::for_(format!("`{program}`, which purges caches")).at_most(PATIENCE).reading(list.to_owned());
        child::capture(process::shell_in(delivery.git.root())?.cmd(program).args(args), &wait)
    };
    let Output { status, stdout, stderr } = running.await?;
    // Programs say what is wrong where they like.
    process::check(program, &Output { status, stdout: Vec::new(), stderr: [stdout, stderr].concat() })
}
