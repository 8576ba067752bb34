//! Carries out an agreed plan: takes the lock, and then applies the acts wave by wave, each looked at just before.
//! Leaves a journal and a receipt for people.
//!
//! Resuming is looking again: a run that was killed at any point is repaired by running the same command.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use camino::Utf8PathBuf;
use futures_util::future::join_all;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::serde::rfc3339;
use xtask::domain::amounts::{bytes_for_people, counted};
use xtask::domain::environment::Access;
use xtask::domain::layout::{RELEASE, journal, local_receipt};
use xtask::tools::{files, term};

use crate::acts::delivery::Delivery;
use crate::acts::look;
use crate::acts::object::receipt_of;
use crate::delivery::failures::Failures;
use crate::delivery::train::{PlannedTrain, Train};
use crate::delivery::{preflight, purge};
use crate::domain::cache::signing::SecretKey;
use crate::domain::publication::acts::{Act, Wave};
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::judgement::{Seen, judge};
use crate::domain::publication::plan::{Planned, Plans, Status};
use crate::domain::publication::pointers::Published;
use crate::domain::publication::receipt::{Receipt, StoredReceipt};
use crate::site::Stores;
use crate::tools::wire::CannotAsk;
use crate::tools::{child, lock, progress::Meter, shutdown};

/// Carries out a plan, with a key that can write and under the environment's lock. An act that fails holds back only
/// those that need it.
///
/// # Errors
/// Acts fail, or their targets have changed since the plan was made; what is done stays done.
pub async fn carry_out<'a>(planned: &PlannedTrain<'a>, signing_key: Option<SecretKey>) -> Result<Done<'a>> {
    let train = planned.train;
    let (site, git) = (train.site(), train.deliveries[0].git);
    let stores = site.connect(Access::ReadWrite, &train.written()).await?.with_signing_key(signing_key);
    if planned.is_first {
        preflight::may_write(site, &stores, &train.written()).await?;
    }
    let owner = lock::Owner::us(&git.identity().unwrap_or_else(|_| "an unknown manager".to_owned()));
    let mut held = lock::take(stores.of(Bucket::Docs), owner, site.settle()).await?;
    let lock = held.watch();
    let done = tokio::select! {
        done = carry_out_waves(planned, &stores, &lock) => done,
        lost = held.lost() => {
            let lost = lost.context("stopped, because this run no longer has the environment's lock");
            Err(Failures::default().stop(lost))
        }
    };
    // Programs of other acts must end before the lock is released.
    child::all_ended().await;
    let released = match &done {
        Err(failures) if failures.are_of_silence() => soon(held.release()).await,
        _ => held.release().await,
    };
    if let Err(error) = released {
        term::warn(format_args!("the lock could not be released, and will expire: {error:#}"));
    }
    if let Err(failures) = &done
        && failures.pointers_moved
    {
        purge::run(&train.deliveries).await;
    }
    done.map_err(Failures::into_error)
}

/// Time limit for what is asked of servers after one of them did not answer: the manager has waited for it already.
const AFTERWARDS: Duration = Duration::from_secs(20);

/// Does something for which it is not worth waiting long.
///
/// # Errors
/// It fails, or takes too long.
pub async fn soon<T>(doing: impl Future<Output = Result<T>>) -> Result<T> {
    let limit = AFTERWARDS.as_secs();
    tokio::time::timeout(AFTERWARDS, doing).await.unwrap_or_else(|_| Err(anyhow!("no answer within {limit} s")))
}

/// Carries out one wave after the other, and stops after a wave in which an act waits for something outside.
async fn carry_out_waves<'a>(
    planned: &PlannedTrain<'a>,
    stores: &Stores,
    lock: &lock::Watch,
) -> Result<Done<'a>, Failures> {
    let (train, mut done) = (planned.train, Done::new(planned));
    let mut failures = Failures::of(planned);
    if let Err(error) = train.check_unchanged(stores).await {
        return Err(failures.stop(error));
    }
    let titles = planned.acts().map(|(delivery, planned)| train.title(delivery, planned).chars().count());
    let width = titles.max().unwrap_or_default();
    for wave in Wave::ALL {
        if !planned.acts().any(|(_, planned)| planned.wave == wave) {
            continue;
        }
        // What failed because of a signal must not lead on to the next wave.
        if shutdown::is_stopping() {
            return Err(failures);
        }
        shutdown::users_see(match wave {
            Wave::Contents | Wave::Git | Wave::Withdrawal => "no pointer has moved, so users see what they saw before",
            Wave::Pointers => "some pointers may have moved already, so users may see either release",
            Wave::Receipt => "all pointers have moved, and only the receipt is missing",
        });
        // Another manager may have published in the meantime.
        let checked = async {
            lock.check().await?;
            train.published().await
        };
        let published = match checked.await {
            Ok(published) => published,
            Err(error) => return Err(failures.stop(error)),
        };
        let turn = Turn { train, stores, published, meter: Meter::start(wave), width };
        let mut waits = false;
        for (delivery, plan) in &mut done.after.deliveries {
            let acts: Vec<&mut Planned> = plan.acts.iter_mut().filter(|act| act.wave == wave).collect();
            for act in turn.carry_out(delivery, acts, wave, &mut failures).await {
                waits |= matches!(act.status, Status::Waiting(_));
                done.count += usize::from(act.is_to_do());
                failures.pointers_moved |= wave == Wave::Pointers && act.is_to_do();
            }
        }
        if wave == Wave::Pointers {
            turn.look_at_pointers(planned, &mut failures).await;
        }
        done.sent += turn.meter.finish();
        if waits {
            return Ok(done);
        }
    }
    if !failures.is_empty() {
        return Err(failures);
    }
    shutdown::users_see("everything is done, and only the lock is left");
    Ok(done)
}

/// Pauses, in milliseconds, while waiting for a write to become visible.
const PAUSES: [u64; 5] = [200, 500, 1000, 2000, 4000];

/// A wave that is being carried out.
struct Turn<'a> {
    train: &'a Train<'a>,
    stores: &'a Stores,
    /// What was published when the wave began.
    published: Published,
    meter: Meter,
    /// Width of the longest title in characters.
    width: usize,
}

impl Turn<'_> {
    /// Carries out the acts of one release in the wave, replaces each planned act with its result, and returns those that
    /// were carried out.
    async fn carry_out<'b>(
        &self,
        delivery: &Delivery<'_>,
        acts: Vec<&'b mut Planned>,
        wave: Wave,
        failures: &mut Failures,
    ) -> Vec<&'b Planned> {
        let mut results = Vec::new();
        match wave {
            // One after the other, because Gerrit accepts the tag only after the branch.
            Wave::Git => {
                for act in acts {
                    results.extend(self.try_each(delivery, vec![act], failures).await);
                }
            }
            Wave::Contents | Wave::Withdrawal | Wave::Pointers | Wave::Receipt => {
                results = self.try_each(delivery, acts, failures).await;
            }
        }
        results
    }

    /// Carries out acts concurrently, except those that are held back.
    async fn try_each<'b>(
        &self,
        delivery: &Delivery<'_>,
        acts: Vec<&'b mut Planned>,
        failures: &mut Failures,
    ) -> Vec<&'b Planned> {
        let is_tried = |act: &Planned| !matches!(act.status, Status::Unreachable(_) | Status::LeftOut);
        let acts: Vec<&mut Planned> = acts
            .into_iter()
            .filter(|act| is_tried(act) && !failures.hold_back(&act.act, &self.train.title(delivery, act)))
            .collect();
        let doing = acts.into_iter().map(async |act| {
            let tried = self.train.silent.ask(&act.act, async || self.carry_out_one(delivery, act).await).await;
            (act, tried)
        });
        let mut results = Vec::new();
        for (act, tried) in join_all(doing).await {
            match tried {
                Ok(result) => {
                    *act = result;
                    results.push(&*act);
                }
                Err(error) => failures.add(&act.act, self.train.title(delivery, act), error),
            }
        }
        results
    }

    /// Looks at an act again, and applies it if nothing else than agreed would change.
    async fn carry_out_one(&self, delivery: &Delivery<'_>, planned: &Planned) -> Result<Planned> {
        let (act, title, width) = (&planned.act, self.train.title(delivery, planned), self.width);
        let doing = || format!("cannot publish {title}");
        let prospect = look(delivery, act).await.with_context(doing)?;
        let now = self.judge(delivery, act, prospect.seen());
        match &now.status {
            Status::Stays(why) if planned.is_to_do() => {
                bail!("{title} was to move, but now stays: {why}; run the same command again, and read its plan")
            }
            Status::Same | Status::Stays(_) | Status::Waiting(_) => return Ok(now),
            Status::Refused(why) => bail!("{title} can no longer be published as planned: {}", why.join("; ")),
            Status::Absent | Status::Different => {}
            Status::Unseen(_) | Status::Unreachable(_) | Status::LeftOut => bail!("{title} is not to be published"),
        }
        // Some changes may already be done, by a run that was interrupted; others were not agreed to.
        let agreed: HashSet<&String> = planned.changes.iter().collect();
        let is_new = |change: &&String| !agreed.contains(change);
        if let Some(change) = now.changes.iter().find(is_new) {
            bail!(
                "{title} has changed since the plan was made ({change}): run the same command again, and read its plan"
            );
        }
        purge::note(delivery, &purge::addresses(delivery, &prospect)).with_context(doing)?;
        prospect.apply(self.stores, &self.meter.progress()).await.with_context(doing)?;
        if let Err(error) = note(delivery, &now) {
            term::warn(format_args!("{error:#}; publishing continues, because the journal is only for people"));
        }
        self.meter.line(format_args!("  {} {title:<width$} {}", term::good("ok"), now.summary));
        let (after, stubborn) = self.look_until_it_shows(delivery, act).await.with_context(doing)?;
        if let Some(first) = stubborn.first() {
            term::warn(format_args!(
                "{title} is there, but the server does not send the headers that we set for {} of its objects \
                 ({first}): `plan` will list them again",
                stubborn.len()
            ));
        }
        Ok(match after.status {
            Status::Same => now,
            Status::Waiting(_) => Planned { status: after.status, ..now },
            _ => bail!(CannotAsk(format!(
                "{title} was published, but is not visible as it should be: {}; the server may need longer to show it",
                after.explained()
            ))),
        })
    }

    /// Looks at an act that was applied, for a while: a bucket may still give the old answer for a moment.
    async fn look_until_it_shows(&self, delivery: &Delivery<'_>, act: &Act) -> Result<(Planned, Vec<String>)> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let prospect = look(delivery, act).await?;
            let (seen, stubborn) = prospect.seen().with_headers_overlooked();
            let after = self.judge(delivery, act, &seen);
            if matches!(after.status, Status::Same | Status::Waiting(_) | Status::Stays(_)) {
                return Ok((after, stubborn));
            }
            let Some(pause) = pauses.next() else { return Ok((after, stubborn)) };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Checks where the pointers lead after all of them have moved, before the receipt says that everything is done.
    async fn look_at_pointers(&self, planned: &PlannedTrain<'_>, failures: &mut Failures) {
        for (delivery, planned) in planned.acts().filter(|(_, planned)| planned.wave == Wave::Pointers) {
            if matches!(planned.status, Status::LeftOut) || failures.has(&planned.act) {
                continue;
            }
            if let Err(error) = self.look_at_pointer(delivery, planned).await {
                failures.add(&planned.act, self.train.title(delivery, planned), error);
            }
        }
    }

    async fn look_at_pointer(&self, delivery: &Delivery<'_>, planned: &Planned) -> Result<()> {
        let title = self.train.title(delivery, planned);
        let doing = || format!("cannot check where {title} leads");
        let (after, _) = self.look_until_it_shows(delivery, &planned.act).await.with_context(doing)?;
        let stays = matches!(after.status, Status::Stays(_)) && !planned.is_to_do();
        let leads_there = stays || matches!(after.status, Status::Same | Status::Waiting(_));
        ensure!(leads_there, "{title} does not lead where it should: {}", after.explained());
        Ok(())
    }

    fn judge(&self, delivery: &Delivery, act: &Act, seen: &Seen) -> Planned {
        judge(act, &delivery.built.subject, seen, &self.published, &delivery.waivers)
    }
}

/// Notes in the journal what was done when. It is for people only, and nothing reads it.
fn note(delivery: &Delivery, act: &Planned) -> Result<()> {
    let dir = delivery.git.root().join(RELEASE);
    let path = dir.join(journal(&delivery.site.name));
    let at = OffsetDateTime::now_utc().format(&Rfc3339)?;
    let line = serde_json::json!({ "at": at, "act": act.title, "done": act.summary });
    files::append_line(&path, &line.to_string())
}

/// Writes the receipts in `release/` that a run did not write because it was killed at its very end.
pub fn write_missing_receipts(planned: &PlannedTrain) {
    let mut missing = planned.clone();
    missing.deliveries.retain(|(delivery, _)| !has_receipt(delivery));
    Done::new(&missing).write_receipts(&planned.plans());
}

/// Whether a tree has the receipt for what it is about to publish.
fn has_receipt(delivery: &Delivery) -> bool {
    let text = files::read_if_there(&receipt_path(delivery)).ok().flatten();
    let receipt = text.and_then(|text| serde_json::from_str::<Receipt>(&text).ok());
    receipt.is_some_and(|receipt| receipt.record == delivery.built.record_digest)
}

fn receipt_path(delivery: &Delivery) -> Utf8PathBuf {
    delivery.git.root().join(RELEASE).join(local_receipt(&delivery.site.name))
}

/// The result of a run.
pub struct Done<'a> {
    started: OffsetDateTime,
    clock: Instant,
    /// The plan, with each act replaced by its result.
    pub after: PlannedTrain<'a>,
    /// Number of acts that were applied.
    count: usize,
    /// Number of bytes sent.
    sent: u64,
}

/// The receipt of a run in `release/`: the environment's receipt, with details of the run.
#[derive(Serialize)]
struct LocalReceipt<'a> {
    #[serde(flatten)]
    receipt: Receipt,
    /// Digest of the plan that was agreed to.
    plan: String,
    #[serde(with = "rfc3339")]
    started: OffsetDateTime,
    /// Number of bytes sent for all releases of the run.
    sent: u64,
    acts: &'a [Planned],
}

impl<'a> Done<'a> {
    fn new(planned: &PlannedTrain<'a>) -> Done<'a> {
        Done { started: OffsetDateTime::now_utc(), clock: Instant::now(), after: planned.clone(), count: 0, sent: 0 }
    }

    /// Writes a receipt to each tree, for people only, so a failure is a warning.
    pub fn write_receipts(&self, plans: &Plans) {
        if let Err(error) = self.try_write_receipts(plans) {
            term::warn(format_args!(
                "{error:#}; the release is published all the same, because that file is only for people"
            ));
        }
    }

    fn try_write_receipts(&self, plans: &Plans) -> Result<()> {
        for (delivery, after) in &self.after.deliveries {
            let local = LocalReceipt {
                receipt: receipt_of(delivery, &StoredReceipt::Missing),
                plan: plans.digest().to_string(),
                started: self.started,
                sent: self.sent,
                acts: &after.acts,
            };
            files::write_atomic(&receipt_path(delivery), &format!("{}\n", serde_json::to_string_pretty(&local)?))?;
        }
        Ok(())
    }

    /// Summarises the run for people.
    pub fn summary(&self) -> String {
        let elapsed = self.clock.elapsed().max(Duration::from_millis(1));
        let acts = self.count;
        let rate = bytes_for_people((self.sent as f64 / elapsed.as_secs_f64()) as u64);
        format!(
            "{}, {} in {:.1} s ({rate}/s)",
            counted(acts, "act"),
            bytes_for_people(self.sent),
            elapsed.as_secs_f64()
        )
    }
}
