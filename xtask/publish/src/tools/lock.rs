//! The lock in a bucket that keeps two managers apart.
//!
//! Best effort, and said to be: Garage ignores conditional writes, so the lock is written, waited for and read back.
//! What it cannot prevent, the acts survive: each is looked at before it is done. Refuses to lock anything on this
//! machine.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use xtask::tools::process;

use super::store::{Properties, Store};

/// Where it lies.
pub const KEY: &str = "release.lock";
/// How long a lock counts whose owner is gone. Longer than a part of an upload takes; it is renewed in between.
const LIFETIME: SignedDuration = SignedDuration::from_hours(2);
/// No lock is nearly this long.
const LIMIT: u64 = 4096;

/// Who publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// As git knows them.
    pub name: String,
    pub host: String,
    /// The number of the process on that host.
    pub process: u32,
}

impl Owner {
    /// Whether this is a run on our machine that has ended, such as one that was killed.
    fn is_gone(&self, us: &Owner) -> bool {
        self.host == us.host && !process::is_running(self.process)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {} on {})", self.name, self.process, self.host)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lock {
    owner: Owner,
    expires: Timestamp,
}

/// A lock that is held. [`Held::release`] gives it back.
pub struct Held {
    store: Store,
    lock: Lock,
}

/// Takes the lock. `settle` is how long another's write may take to show.
///
/// # Errors
/// Somebody else has it; the message says who, and until when.
pub async fn take(store: &Store, owner: Owner, settle: Duration) -> Result<Held> {
    let now = Timestamp::now();
    if let Some(other) = read(store).await?.filter(|other| other.expires > now && !other.owner.is_gone(&owner)) {
        bail!(
            "{} is publishing to this environment (the lock s3://{}/{KEY} counts until {}): wait, or if that run is dead, delete \
             the lock",
            other.owner,
            store.bucket(),
            other.expires.strftime("%H:%M UTC"),
        );
    }
    let lock = Lock { owner, expires: now + LIFETIME };
    write(store, &lock).await?;
    tokio::time::sleep(settle).await;
    match read(store).await? {
        Some(there) if there == lock => Ok(Held { store: store.clone(), lock }),
        Some(other) => bail!("{} took the lock at the same time: wait for that run to end", other.owner),
        None => bail!("the lock that was just written is gone: somebody deletes it, find out who"),
    }
}

impl Held {
    /// Makes it count for as long again, once half of that is over.
    ///
    /// # Errors
    /// It is not ours any more, or the bucket cannot be reached.
    pub async fn renew(&mut self, now: Timestamp) -> Result<()> {
        if self.lock.expires - LIFETIME / 2 > now {
            return Ok(());
        }
        match read(&self.store).await? {
            Some(there) if there == self.lock => {}
            Some(other) => bail!("{} has taken the lock meanwhile: wait for that run to end", other.owner),
            None => bail!("the lock is gone: somebody deletes it, find out who"),
        }
        self.lock.expires = now + LIFETIME;
        write(&self.store, &self.lock).await
    }

    /// Gives the lock back, if it is still ours.
    ///
    /// # Errors
    /// The bucket cannot be reached.
    pub async fn release(self) -> Result<()> {
        if read(&self.store).await?.is_some_and(|there| there == self.lock) {
            self.store.delete(KEY).await?;
        }
        Ok(())
    }
}

async fn write(store: &Store, lock: &Lock) -> Result<()> {
    let properties = Properties { content_type: "application/json".into(), cache_control: "no-store".into() };
    store.put_bytes(KEY, serde_json::to_vec(lock)?, &properties).await.context("cannot write the lock")
}

/// The lock that is there. What cannot be read as one counts for nothing.
async fn read(store: &Store) -> Result<Option<Lock>> {
    let bytes = store.get(KEY, LIMIT).await?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}
