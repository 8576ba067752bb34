//! `release upload`: checks, plan, consent, and then the acts, wave by wave, the pointers last.
//!
//! Resuming is looking again: every act is looked at just before it is done, so a run that was killed anywhere is
//! repaired by running the same command.

use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::Serialize;
use xtask::cli::{Outcome, Place, UploadArgs};
use xtask::domain::environment::{Access, Colour};
use xtask::domain::judgement::judge;
use xtask::domain::layout::RELEASE;
use xtask::domain::plan::{Plan, Planned, Status, bytes_for_people};
use xtask::domain::pointers::Published;
use xtask::domain::publication::{Act, Wave};
use xtask::tools::git::Git;
use xtask::tools::{files, process, swap, term};

use super::applying::{apply, refspec};
use super::images::check_logins;
use super::looking::look;
use super::session::{Bucket, Session, Stores, World, published};
use crate::tools::{lock, progress::Meter};

/// Publishes.
///
/// # Errors
/// Something stands in the way, the manager does not agree, or an act fails: what is done by then stays done, and the
/// same command goes on from there.
pub async fn run(place: &Place, args: &UploadArgs) -> Result<Outcome> {
    let git = Git::open(&place.tree)?;
    let _working = swap::lock(git.root())?;
    swap::recover(git.root())?;
    let session = Session::open(place, &git, &args.plan).await?;
    let plan = session.plan().await?;
    term::say(term::paint_plan(&plan.to_text(term::is_verbose())));
    let refusals = plan.refusals();
    ensure!(refusals.is_empty(), "the plan may not be carried out:\n{}", refusals.join("\n"));
    if plan.is_done() {
        return finish(&session, &plan);
    }
    check_pushes(&session, &plan)?;
    check_logins(&session, &plan).await?;
    let signing_key = session.signing_key(&plan)?;
    let sentence = format!("I want to release this to {}", session.world.name);
    ask(&session.world, &plan, &sentence, &Agreement { plan: args.agreed.as_deref(), noconfirm: args.noconfirm })?;

    let stores = session.world.connect(Access::ReadWrite, &session.written()).await?.with_signing_key(signing_key);
    // Every publication writes there.
    let held = lock::take(stores.of(Bucket::Docs), owner(&git), session.world.settle()).await?;
    let journal = Journal::new(git.root().join(RELEASE).join(format!("journal-{}.jsonl", session.world.name)));
    let done = carry_out(&session, &plan, &stores, &journal).await;
    // What went wrong before matters more than a lock that expires by itself.
    let released = held.release().await;
    let done = done?;
    released.context("everything is done, but the lock could not be given back; it expires by itself")?;
    done.write_receipt(&session, &plan, &git)?;
    let after = session.plan().await?;
    term::say(done.summary());
    finish(&session, &after)
}

/// Says how things stand when there is nothing left to do for us.
fn finish(session: &Session, plan: &Plan) -> Result<Outcome> {
    let waiting: Vec<String> = plan
        .acts
        .iter()
        .filter_map(|act| match &act.status {
            Status::Waiting(why) => Some(format!("{}: {why}", act.title)),
            _ => None,
        })
        .collect();
    let (version, environment) = (&session.sealed.record.version, &session.world.name);
    if waiting.is_empty() {
        term::say(format_args!(
            "{} {version} is published to {environment}; next: cargo xtask release verify --env {environment}",
            term::good("done:")
        ));
        return Ok(Outcome::Done);
    }
    for why in waiting {
        term::say(format_args!("waits  {why}"));
    }
    term::say(format_args!("{version} is not all published to {environment} yet, and no pointer has moved"));
    Ok(Outcome::Waiting)
}

/// Finds out whether we may push, while nothing is public yet.
fn check_pushes(session: &Session, plan: &Plan) -> Result<()> {
    let to_do =
        session.acts.iter().zip(&plan.acts).filter(|(act, planned)| act.wave() == Wave::Git && planned.is_to_do());
    for (act, planned) in to_do {
        let remote = session.remote.as_ref().context("there is no git remote")?;
        remote
            .try_push(&[refspec(session, act)?])
            .with_context(|| format!("{} would not be accepted", planned.title))?;
    }
    Ok(())
}

/// What the command line says in place of the sentence.
pub struct Agreement<'a> {
    /// The digest of the plan that was read.
    pub plan: Option<&'a str>,
    pub noconfirm: bool,
}

/// Gets the manager's consent to exactly this plan.
///
/// # Errors
/// There is none.
pub fn ask(world: &World, plan: &Plan, sentence: &str, agreement: &Agreement) -> Result<()> {
    if let Some(agreed) = agreement.plan {
        let digest = plan.digest().to_string();
        ensure!(agreed == digest, "the plan is {digest} by now, and {agreed} was agreed to: read it again");
        return Ok(());
    }
    if agreement.noconfirm {
        ensure!(
            world.environment.noconfirm,
            "{} does not allow `--noconfirm`: type the sentence, or agree to a plan with `--plan DIGEST`",
            world.name
        );
        return Ok(());
    }
    let colour = match world.environment.colour {
        Colour::Blue => term::BLUE,
        Colour::Green => term::GREEN,
        Colour::Red => term::RED,
    };
    anstream::eprint!("To go on, type: {colour}{sentence}{colour:#}\n> ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read your answer")?;
    ensure!(line.trim() == sentence, "nothing was done, since the answer was not `{sentence}`");
    Ok(())
}

/// Who we are, to another manager.
pub fn owner(git: &Git) -> lock::Owner {
    let name = git.identity().unwrap_or_else(|_| "somebody".to_owned());
    lock::Owner { name, host: process::host_name(), process: std::process::id() }
}

/// Does the acts of one wave after the other. Waits for something outside end it before the pointers.
///
/// # Errors
/// An act fails, or is not as it was when the plan was made.
pub async fn carry_out(session: &Session<'_>, plan: &Plan, stores: &Stores, journal: &Journal) -> Result<Done> {
    let mut done = Done::new();
    for wave in Wave::ALL {
        // Another manager may have published meanwhile.
        let published = published(session.read.of(Bucket::Releases)).await?;
        let turn: Vec<_> = session.acts.iter().zip(&plan.acts).filter(|(act, _)| act.wave() == wave).collect();
        if turn.is_empty() {
            continue;
        }
        let meter = Meter::start(wave);
        let doing = turn
            .into_iter()
            .map(|(act, planned)| carry_out_one(session, act, planned, &published, stores, &meter, journal));
        let results = match wave {
            // git goes one by one: Gerrit takes the tag only after the branch.
            Wave::Git => {
                let mut results = Vec::new();
                for one in doing {
                    results.push(one.await?);
                }
                results
            }
            Wave::Contents | Wave::Pointers => try_join_all(doing).await?,
        };
        done.sent += meter.finish();
        let waits = results.iter().any(|act| matches!(act.status, Status::Waiting(_)));
        done.acts.extend(results);
        if waits {
            break;
        }
    }
    Ok(done)
}

/// Looks at an act once more, and does what was agreed to.
async fn carry_out_one(
    session: &Session<'_>,
    act: &Act,
    planned: &Planned,
    published: &Published,
    stores: &Stores,
    meter: &Meter,
    journal: &Journal,
) -> Result<Planned> {
    let title = &planned.title;
    let doing = || format!("cannot publish {title}; what is done stays done, and the same command goes on from here");
    let looked = look(session, act).await.with_context(doing)?;
    let now = judge(act, &session.sealed.subject, &looked.seen(), published, &session.consent);
    match &now.status {
        Status::Same | Status::Stays(_) | Status::Waiting(_) => return Ok(now),
        Status::Refused(why) => bail!("{title} may no longer be published as planned: {}", why.join("; ")),
        Status::Absent | Status::Different => {}
    }
    // Part of it may be done, by a run that was interrupted; anything else was not agreed to.
    let is_new = |change: &&String| !planned.changes.contains(change);
    if let Some(change) = now.changes.iter().find(is_new) {
        bail!(
            "{title} is not as it was when the plan was made ({change}): run the same command again, and read its plan"
        );
    }
    apply(session, act, &looked, stores, &meter.progress()).await.with_context(doing)?;
    journal.note(&now)?;
    meter.line(format_args!("  {} {:<34} {}", term::good("ok"), now.title, now.summary));
    let after = look(session, act).await.with_context(doing)?;
    Ok(match judge(act, &session.sealed.subject, &after.seen(), published, &session.consent) {
        after if after.is_to_do() => {
            bail!("{title} was published, and is not there as it should be: {}", after.summary)
        }
        Planned { status: status @ Status::Waiting(_), .. } => Planned { status, ..now },
        _ => now,
    })
}

/// What was done when, for people. No decision rests on it.
pub struct Journal {
    path: camino::Utf8PathBuf,
}

impl Journal {
    pub fn new(path: camino::Utf8PathBuf) -> Journal {
        Journal { path }
    }

    fn note(&self, act: &Planned) -> Result<()> {
        let line = serde_json::json!({ "at": Timestamp::now(), "act": act.title, "done": act.summary });
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path);
        file.and_then(|mut file| writeln!(file, "{line}")).with_context(|| format!("cannot write {}", self.path))
    }
}

/// What a run has done.
pub struct Done {
    started: Timestamp,
    clock: Instant,
    /// In the order in which they ended.
    acts: Vec<Planned>,
    /// Bytes.
    sent: u64,
}

/// What is left of a run, for later.
#[derive(Serialize)]
struct Receipt<'a> {
    environment: &'a str,
    version: &'a str,
    /// Of `release.json`.
    record: String,
    /// Of the plan that was agreed to.
    plan: String,
    started: Timestamp,
    ended: Timestamp,
    sent: u64,
    acts: &'a [Planned],
}

impl Done {
    fn new() -> Done {
        Done { started: Timestamp::now(), clock: Instant::now(), acts: Vec::new(), sent: 0 }
    }

    fn write_receipt(&self, session: &Session, plan: &Plan, git: &Git) -> Result<()> {
        let environment = &session.world.name;
        let receipt = Receipt {
            environment,
            version: &plan.version,
            record: plan.record.to_string(),
            plan: plan.digest().to_string(),
            started: self.started,
            ended: Timestamp::now(),
            sent: self.sent,
            acts: &self.acts,
        };
        let path = git.root().join(RELEASE).join(format!("receipt-{environment}.json"));
        files::replace(&path, &format!("{}\n", serde_json::to_string_pretty(&receipt)?))
    }

    fn summary(&self) -> String {
        let elapsed = self.clock.elapsed().max(Duration::from_millis(1));
        let acts = self.acts.iter().filter(|act| act.is_to_do()).count();
        let rate = bytes_for_people((self.sent as f64 / elapsed.as_secs_f64()) as u64);
        format!("{acts} acts, {} in {:.1} s ({rate}/s)", bytes_for_people(self.sent), elapsed.as_secs_f64())
    }
}
