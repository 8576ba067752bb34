//! The hook `purge`, which tells caches in front of buckets what has changed, once the pointers have moved.
//!
//! The addresses are noted in `release/` before anything changes, and stay there until the program has accepted them.
//! If a run is killed, or the program fails, the next run makes up for it, even if it has nothing else to do.

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

/// Time limit for the program.
const PATIENCE: Duration = Duration::from_secs(120);

/// Returns what the plan says about the hook; `None` if there is no hook, or no address for it.
pub fn planned(environment: &Environment, addresses: &BTreeSet<String>) -> Option<Purge> {
    let program = environment.purge.first()?;
    (!addresses.is_empty()).then(|| Purge { program: program.clone(), addresses: addresses.len() })
}

/// Returns the public addresses whose content an act changes, if there is a hook.
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
/// They cannot be written.
pub fn note(delivery: &Delivery, addresses: &[String]) -> Result<()> {
    if addresses.is_empty() {
        return Ok(());
    }
    let path = list(delivery);
    files::append_line(&path, &addresses.join("\n")).context("cannot note what to purge from caches")
}

/// Runs the program with every noted address. A failure is only a warning: what is published is right, and caches
/// expire in the end.
pub async fn run(deliveries: &[Delivery<'_>]) {
    for delivery in deliveries {
        if let Err(error) = run_one(delivery).await {
            term::warn(format_args!(
                "the purge failed, so caches still show the old content until it expires: {error:#}\n\
                 run the same command again, which repeats the purge, or: {}",
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
    shutdown::users_see("everything is published, and caches may show the old content until it expires");
    term::say(format_args!("purge: {program} gets {}", counted(count, "address")));
    hand_over(delivery, &path).await?;
    if let Err(error) = std::fs::remove_file(&path) {
        term::warn(format_args!("cannot remove {path}, so the next run purges the same addresses again: {error}"));
    }
    Ok(())
}

/// Returns the command for a manager to purge by hand.
fn by_hand(delivery: &Delivery) -> String {
    let words: Vec<String> = delivery.site.environment.purge.iter().map(|word| term::typed(word)).collect();
    let (root, list) = (term::typed(delivery.git.root().as_str()), term::typed(list(delivery).as_str()));
    format!("(cd {root} && {} < {list})", words.join(" "))
}

/// Removes duplicates from the list, and returns the number of addresses.
fn noted(path: &Utf8Path) -> Result<usize> {
    let text = files::read_if_there(path).context("no cache is purged")?;
    let Some(text) = text else { return Ok(0) };
    let addresses: BTreeSet<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let lines: String = addresses.iter().map(|address| format!("{address}\n")).collect();
    files::write_atomic(path, &lines)?;
    Ok(addresses.len())
}

async fn hand_over(delivery: &Delivery<'_>, list: &Utf8Path) -> Result<()> {
    let [program, args @ ..] = delivery.site.environment.purge.as_slice() else { return Ok(()) };
    let addresses = std::fs::File::open(list).with_context(|| format!("cannot read {list}"))?;
    let running = {
        let wait = Wait::for_(format!("`{program}`, which purges caches")).at_most(PATIENCE).reading(addresses);
        child::capture(process::shell_in(delivery.git.root())?.cmd(program).args(args), &wait)
    };
    let Output { status, stdout, stderr } = running.await?;
    // The reason may be on either stream.
    process::check(program, &Output { status, stdout: Vec::new(), stderr: [stdout, stderr].concat() })
}
