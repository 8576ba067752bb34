//! Carrying out what was agreed to: the lock, then the acts, wave by wave, each looked at just before it is done; and
//! what is left of it for people, journal and receipt.
//!
//! Resuming is looking again: a run that was killed anywhere is repaired by running the same command.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::Serialize;
use xtask::domain::environment::Access;
use xtask::domain::judgement::{Seen, judge};
use xtask::domain::layout::{RELEASE, journal, local_receipt};
use xtask::domain::plan::{Plan, Planned, Plans, Status, bytes_for_people};
use xtask::domain::pointers::Published;
use xtask::domain::publication::{Act, Wave};
use xtask::domain::receipt::Receipt;
use xtask::domain::signing::SecretKey;
use xtask::tools::git::Git;
use xtask::tools::{files, process, term};

use super::applying::{apply, receipt};
use super::destination::{Bucket, Stores};
use super::looking::look;
use super::purge;
use super::session::{Session, Train};
use crate::tools::{child, lock, progress::Meter, shutdown};

/// Does it all, with a key that can write and under the environment's lock. `first` comes before every act.
///
/// # Errors
/// An act fails, or is not as it was when the plan was made: what is done by then stays done.
pub async fn carry_out(
    train: &Train<'_>,
    plans: &Plans,
    signing_key: Option<SecretKey>,
    first: impl AsyncFnOnce(&Stores) -> Result<()>,
) -> Result<Done> {
    let (world, git) = (train.world(), train.sessions[0].git);
    let stores = world.connect(Access::ReadWrite, &train.written()).await?.with_signing_key(signing_key);
    let mut held = lock::take(stores.of(Bucket::Docs), owner(git), world.settle()).await?;
    let done = match first(&stores).await {
        Ok(()) => carry_out_waves(train, plans, &stores, &mut held).await,
        Err(error) => Err(error),
    };
    // What another act's program still does, it does under the lock.
    child::all_ended().await;
    // What went wrong before matters more than a lock that expires by itself.
    let released = held.release().await;
    let done = done?;
    released.context("everything is done, but the lock could not be given back; it expires by itself")?;
    Ok(done)
}

/// Who we are, to another manager.
fn owner(git: &Git) -> lock::Owner {
    let name = git.identity().unwrap_or_else(|_| "somebody".to_owned());
    lock::Owner { name, host: process::host_name(), process: std::process::id() }
}

/// One wave after the other. What waits for something outside keeps those after it from beginning.
async fn carry_out_waves(train: &Train<'_>, plans: &Plans, stores: &Stores, held: &mut lock::Held) -> Result<Done> {
    let mut done = Done::new(train.sessions.len());
    let titles = train.acts(plans).map(|(session, _, planned)| train.title(session, planned).chars().count());
    let width = titles.max().unwrap_or_default();
    for wave in Wave::ALL {
        if !train.acts(plans).any(|(_, act, _)| act.wave() == wave) {
            continue;
        }
        shutdown::users_see(match wave {
            Wave::Contents | Wave::Git => "no pointer has moved, so users see what they saw before",
            Wave::Pointers => "some pointers may have moved already, so users may see either release",
            Wave::Receipt => "all pointers have moved, and only the receipt is missing",
        });
        held.renew(Timestamp::now()).await?;
        // Another manager may have published meanwhile.
        let turn = Turn { train, stores, published: train.published().await?, meter: Meter::start(wave), width };
        let mut waits = false;
        for ((session, plan), acts) in train.sessions.iter().zip(&plans.0).zip(&mut done.acts) {
            let results = turn.carry_out(session, plan, wave).await?;
            waits |= results.iter().any(|act| matches!(act.status, Status::Waiting(_)));
            acts.extend(results);
        }
        done.sent += turn.meter.finish();
        if waits {
            break;
        }
    }
    Ok(done)
}

/// A wave that is under way.
struct Turn<'a> {
    train: &'a Train<'a>,
    stores: &'a Stores,
    /// As it was when the wave began.
    published: Published,
    meter: Meter,
    /// Of the longest title.
    width: usize,
}

impl Turn<'_> {
    /// What of one release belongs to the wave.
    async fn carry_out(&self, session: &Session<'_>, plan: &Plan, wave: Wave) -> Result<Vec<Planned>> {
        let turn = session.acts.iter().zip(&plan.acts).filter(|(act, _)| act.wave() == wave);
        let doing = turn.map(|(act, planned)| self.carry_out_one(session, act, planned));
        match wave {
            // git goes one by one: Gerrit takes the tag only after the branch.
            Wave::Git => {
                let mut results = Vec::new();
                for one in doing {
                    results.push(one.await?);
                }
                Ok(results)
            }
            Wave::Contents | Wave::Pointers | Wave::Receipt => try_join_all(doing).await,
        }
    }

    /// Looks at an act once more, and does what was agreed to.
    async fn carry_out_one(&self, session: &Session<'_>, act: &Act, planned: &Planned) -> Result<Planned> {
        let (title, width) = (self.train.title(session, planned), self.width);
        let doing =
            || format!("cannot publish {title}; what is done stays done, and the same command goes on from here");
        let looked = look(session, act).await.with_context(doing)?;
        let now = self.judge(session, act, &looked.seen());
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
        purge::note(session, &purge::addresses(session, act, &looked)).with_context(doing)?;
        apply(session, act, &looked, self.stores, &self.meter.progress()).await.with_context(doing)?;
        if let Err(error) = note(session, &now) {
            term::warn(format_args!("{error:#}; what was done is done, and no decision rests on the journal"));
        }
        self.meter.line(format_args!("  {} {title:<width$} {}", term::good("ok"), now.summary));
        let (after, stubborn) = look(session, act).await.with_context(doing)?.seen().with_headers_overlooked();
        if let Some(first) = stubborn.first() {
            term::warn(format_args!(
                "{title} is there, but the server does not send the headers that it was given with {} of its objects \
                 ({first}): `plan` will name them again",
                stubborn.len()
            ));
        }
        Ok(match self.judge(session, act, &after) {
            after if after.is_to_do() => {
                bail!("{title} was published, and is not there as it should be: {}", after.summary)
            }
            Planned { status: status @ Status::Waiting(_), .. } => Planned { status, ..now },
            _ => now,
        })
    }

    fn judge(&self, session: &Session, act: &Act, seen: &Seen) -> Planned {
        judge(act, &session.sealed.subject, seen, &self.published, &session.consent)
    }
}

/// Notes in the journal what was done when, for people. No decision rests on it.
fn note(session: &Session, act: &Planned) -> Result<()> {
    let dir = session.git.root().join(RELEASE);
    let path = dir.join(journal(&session.world.name));
    let line = serde_json::json!({ "at": Timestamp::now(), "act": act.title, "done": act.summary });
    files::append_line(&path, &line.to_string())
}

/// What a run has done.
pub struct Done {
    started: Timestamp,
    clock: Instant,
    /// Of each release, in the order in which they ended.
    acts: Vec<Vec<Planned>>,
    /// Bytes.
    sent: u64,
}

/// What is left of a run in `release/`: the environment's receipt, and how it came to be.
#[derive(Serialize)]
struct LocalReceipt<'a> {
    #[serde(flatten)]
    receipt: Receipt,
    /// Of the plan that was agreed to.
    plan: String,
    started: Timestamp,
    /// Of all that went with it.
    sent: u64,
    acts: &'a [Planned],
}

impl Done {
    fn new(releases: usize) -> Done {
        Done { started: Timestamp::now(), clock: Instant::now(), acts: vec![Vec::new(); releases], sent: 0 }
    }

    /// Leaves a receipt in each tree.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_receipts(&self, train: &Train, plans: &Plans) -> Result<()> {
        for (session, acts) in train.sessions.iter().zip(&self.acts) {
            let local = LocalReceipt {
                receipt: receipt(session),
                plan: plans.digest().to_string(),
                started: self.started,
                sent: self.sent,
                acts,
            };
            let path = session.git.root().join(RELEASE).join(local_receipt(&session.world.name));
            files::replace(&path, &format!("{}\n", serde_json::to_string_pretty(&local)?))?;
        }
        Ok(())
    }

    /// For people.
    pub fn summary(&self) -> String {
        let elapsed = self.clock.elapsed().max(Duration::from_millis(1));
        let acts = self.acts.iter().flatten().filter(|act| act.is_to_do()).count();
        let rate = bytes_for_people((self.sent as f64 / elapsed.as_secs_f64()) as u64);
        format!("{acts} acts, {} in {:.1} s ({rate}/s)", bytes_for_people(self.sent), elapsed.as_secs_f64())
    }
}
