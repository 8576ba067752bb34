//! The lock in a bucket that keeps two managers from publishing at the same time. Two runs in one tree are kept apart
//! by the lock of `release/`.
//!
//! Best effort only: Garage ignores conditional writes, so the lock is written and, after a pause, read back. If two
//! runs still overlap, the acts survive it, because each is looked at before it is applied.
//!
//! The lock is public, so it has the manager's name and no address.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::serde::rfc3339;
use time::{OffsetDateTime, SignedDuration, UtcOffset};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use xtask::domain::layout::LOCK;
use xtask::domain::shown::{excerpt, reason};
use xtask::tools::{process, term};

use super::shutdown::{self, Begun};
use super::store::{Properties, Store};
use crate::domain::limits;

/// Time for which a lock counts after its last renewal. An emergency rollback from another machine may have to wait
/// this long for a manager whose machine died.
const LIFETIME: SignedDuration = SignedDuration::minutes(10);
/// Time between renewals.
const RENEWAL: Duration = Duration::from_secs(120);
/// Pause after a failed renewal.
const RETRY: Duration = Duration::from_secs(20);
/// Most by which another manager's clock may be behind ours.
const SKEW: SignedDuration = SignedDuration::minutes(2);
/// Format of a time of day, as in `20:00 UTC`.
const CLOCK: &[BorrowedFormatItem] = format_description!("[hour]:[minute] UTC");

/// The manager and process that publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The manager's name in git, without the address.
    pub name: String,
    pub host: String,
    /// Process id on that host.
    pub process: u32,
    /// Boot and PID namespace to which the process id belongs, because machines may share a host name.
    #[serde(default)]
    boot: Option<String>,
    /// Start of the process in the kernel's ticks, because process ids are reused.
    #[serde(default)]
    started: Option<String>,
}

impl Owner {
    /// This process.
    pub fn us(name: &str) -> Owner {
        let process = std::process::id();
        let name = name.split(" <").next().unwrap_or(name).to_owned();
        Owner { name, host: host_name(), process, boot: boot(), started: started(process) }
    }

    /// Whether this run was on the current boot of this machine and has ended, for instance because it was killed. A
    /// lock by an earlier tool does not name its boot, so it counts until it expires.
    fn is_gone(&self) -> bool {
        self.boot.is_some()
            && self.boot == boot()
            && (!process::is_running(self.process) || self.started != started(self.process))
    }
}

/// Name of this machine.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The current boot and PID namespace. Known on Linux only; elsewhere a lock counts until it expires.
fn boot() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let names = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), names.display()))
}

fn started(process: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name is second and may contain anything; the start time is the 20th field after it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {} on {})", excerpt(&self.name), self.process, excerpt(&self.host))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lock {
    owner: Owner,
    /// Time at which it was taken, which distinguishes two runs by one owner.
    #[serde(default, with = "rfc3339::option")]
    taken: Option<OffsetDateTime>,
    #[serde(with = "rfc3339")]
    expires: OffsetDateTime,
}

impl Lock {
    fn counts(&self) -> bool {
        self.end() > OffsetDateTime::now_utc() && !self.owner.is_gone()
    }

    /// Time at which it stops counting.
    fn end(&self) -> OffsetDateTime {
        self.expires.saturating_add(SKEW)
    }

    /// Time of day at which it stops counting, for messages.
    fn until(&self) -> String {
        let end = self.end().checked_to_offset(UtcOffset::UTC).unwrap_or(self.end());
        end.format(CLOCK).unwrap_or_else(|_| end.to_string())
    }

    /// Whether it is the same lock, ignoring renewals.
    fn is(&self, other: &Lock) -> bool {
        self.owner == other.owner && self.taken == other.taken
    }
}

/// A lock that is held, and renewed in the background. [`Guard::release`] releases it, as does a signal.
pub struct Guard {
    kept: Arc<Kept>,
    renewal: JoinHandle<Error>,
    _begun: Begun,
}

struct Kept {
    store: Store,
    /// The lock as last written. Held while it is written.
    lock: Mutex<Lock>,
}

/// Takes the lock. `settle` is the time after which another run's write is visible.
///
/// # Errors
/// Another run has it (the message says whose, and until when), or the lock there cannot be read.
pub async fn take(store: &Store, owner: Owner, settle: Duration) -> Result<Guard> {
    if let Some(other) = read(store).await?.filter(Lock::counts) {
        bail!(
            "{} is publishing to this environment: wait for that run to end\nIf it is dead, its lock expires at {}; \
             to go on before that, delete s3://{}/{LOCK}",
            other.owner,
            other.until(),
            store.bucket(),
        );
    }
    let now = OffsetDateTime::now_utc();
    let lock = Lock { owner, taken: Some(now), expires: now + LIFETIME };
    // Before the lock is written, because a signal may arrive during the write.
    let kept = Arc::new(Kept { store: store.clone(), lock: Mutex::new(lock.clone()) });
    let ours = Arc::clone(&kept);
    let begun = shutdown::on_signal(move || async move {
        if let Err(error) = ours.give_back().await {
            term::warn(format_args!("the lock could not be released, and will expire: {error:#}"));
        }
    });
    write(store, &lock).await?;
    tokio::time::sleep(settle).await;
    match look_again(store).await? {
        Some(there) if there == lock => {}
        Some(other) => bail!("{} took the lock at the same time: wait for that run to end", other.owner),
        None => bail!(
            "the lock disappeared right after it was written: find out what deletes s3://{}/{LOCK}",
            store.bucket()
        ),
    }
    let renewal = tokio::spawn(keep(Arc::clone(&kept)));
    Ok(Guard { kept, renewal, _begun: begun })
}

/// Removes a lock that a killed run on this machine left; returns whether there was one. `there` and `writable` are
/// the same bucket.
///
/// # Errors
/// The bucket cannot be reached, or the lock there cannot be read.
pub async fn remove_left<F: Future<Output = Result<Store>>>(
    there: &Store,
    writable: impl FnOnce() -> F,
) -> Result<bool> {
    if !read(there).await?.is_some_and(|lock| lock.owner.is_gone()) {
        return Ok(false);
    }
    writable().await?.delete(LOCK).await?;
    Ok(true)
}

/// Renews the lock while it is ours, and returns the reason when it no longer is.
async fn keep(kept: Arc<Kept>) -> Error {
    let mut failed = false;
    loop {
        tokio::time::sleep(if failed { RETRY } else { RENEWAL }).await;
        failed = match kept.renew().await {
            Ok(Hold::Ours) => false,
            Ok(Hold::Lost(why)) => return why,
            Err(error) if kept.lock.lock().await.expires < OffsetDateTime::now_utc() => {
                return error.context("the lock could not be renewed in time");
            }
            Err(error) => {
                if !failed {
                    term::warn(format_args!("cannot renew the lock, trying again: {error:#}"));
                }
                true
            }
        };
    }
}

/// Whether our lock is still ours.
enum Hold {
    Ours,
    /// Lost, for this reason.
    Lost(Error),
}

impl Hold {
    fn or_lost(self) -> Result<()> {
        match self {
            Hold::Ours => Ok(()),
            Hold::Lost(why) => Err(why),
        }
    }
}

impl Kept {
    /// Checks whether the lock is still ours.
    async fn check(&self, ours: &Lock) -> Result<Hold> {
        Ok(match look_again(&self.store).await? {
            Some(there) if there.is(ours) => Hold::Ours,
            Some(other) => {
                Hold::Lost(anyhow!("{} has taken the lock in the meantime: wait for that run to end", other.owner))
            }
            None => Hold::Lost(anyhow!(
                "the lock has disappeared: find out what deletes s3://{}/{LOCK}",
                self.store.bucket()
            )),
        })
    }

    /// Renews the lock if it is still ours.
    async fn renew(&self) -> Result<Hold> {
        let mut lock = self.lock.lock().await;
        let hold = self.check(&lock).await?;
        if let Hold::Ours = hold {
            let renewed = Lock { expires: OffsetDateTime::now_utc() + LIFETIME, ..lock.clone() };
            write(&self.store, &renewed).await?;
            *lock = renewed;
        }
        Ok(hold)
    }

    /// Removes the lock, unless another run has taken it.
    async fn give_back(&self) -> Result<()> {
        // A renewal in progress finishes first; a later one finds no lock of ours.
        let ours = self.lock.lock().await;
        match read(&self.store).await {
            Ok(Some(there)) if !there.is(&ours) => Ok(()),
            // We wrote it last, so an answer that it is missing may be stale.
            Ok(_) => self.store.delete(LOCK).await,
            Err(error) => Err(error),
        }
    }
}

/// Checks a lock that is held.
pub struct Watch(Arc<Kept>);

impl Watch {
    /// Reads the lock, and checks that it is still ours.
    ///
    /// # Errors
    /// The lock is no longer ours, or the bucket cannot be reached.
    pub async fn check(&self) -> Result<()> {
        let lock = self.0.lock.lock().await;
        self.0.check(&lock).await?.or_lost()
    }
}

impl Guard {
    pub fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.kept))
    }

    /// Renews the lock now.
    ///
    /// # Errors
    /// As for [`Watch::check`].
    pub async fn renew(&self) -> Result<()> {
        self.kept.renew().await?.or_lost()
    }

    /// Waits until the lock is lost, and returns the reason.
    pub async fn lost(&mut self) -> Error {
        match (&mut self.renewal).await {
            Ok(lost) => lost,
            Err(_) => pending().await,
        }
    }

    /// Gives the lock back, unless another run has taken it.
    ///
    /// # Errors
    /// The bucket cannot be reached.
    pub async fn release(self) -> Result<()> {
        self.kept.give_back().await
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

async fn write(store: &Store, lock: &Lock) -> Result<()> {
    let properties = Properties { content_type: "application/json".into(), cache_control: "no-store".into() };
    store.put_bytes(LOCK, serde_json::to_vec(lock)?, &properties).await.context("cannot write the lock")
}

/// Reads the lock after a write. For a moment, a bucket may still answer that it is missing.
async fn look_again(store: &Store) -> Result<Option<Lock>> {
    for pause in [200, 1000] {
        if let Some(lock) = read(store).await? {
            return Ok(Some(lock));
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    read(store).await
}

/// A lock, for a report.
pub struct Seen {
    pub owner: String,
    /// Time of day at which it stops counting.
    pub until: String,
    pub counts: bool,
}

/// Reads the text of a lock for a report.
///
/// # Errors
/// The text is not a lock that this tool knows.
pub fn seen(text: &[u8]) -> Result<Seen, String> {
    let lock: Lock =
        serde_json::from_slice(text).map_err(|error| format!("cannot be read as a lock ({})", reason(error)))?;
    Ok(Seen { owner: lock.owner.to_string(), until: lock.until(), counts: lock.counts() })
}

/// Reads the lock in the bucket, if there is one.
async fn read(store: &Store) -> Result<Option<Lock>> {
    let name = format!("s3://{}/{LOCK}", store.bucket());
    let Some(bytes) = store.get(LOCK, limits::POINTER).await.with_context(|| format!("cannot read the lock {name}"))?
    else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        anyhow!(
            "{name} cannot be read as a lock ({}): a newer tool may be publishing; if none is, delete it and run \
             the same command again",
            reason(error)
        )
    })
}
