//! The lock of an environment: taken, renewed while a long run goes on, lost, given back.

use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use xtask_publish::tools::lock::{KEY, Owner, take};

use crate::world::World;

#[tokio::test]
async fn a_long_run_keeps_its_lock_until_somebody_takes_it() -> Result<()> {
    let world = World::embedded().await?;
    let store = world.store();
    let owner = |name: &str| Owner { name: name.to_owned(), host: "here".to_owned(), process: std::process::id() };
    let mut held = take(&store, owner("Jade"), Duration::ZERO).await?;
    let refused = take(&store, owner("Puck"), Duration::ZERO).await.err().expect("it is taken").to_string();
    assert!(refused.starts_with("Jade (process "), "{refused}");

    let now = Timestamp::now();
    let before = store.get(KEY, 4096).await?;
    held.renew(now).await?;
    assert_eq!(store.get(KEY, 4096).await?, before, "there is time enough");
    held.renew(now + SignedDuration::from_mins(90)).await?;
    assert_ne!(store.get(KEY, 4096).await?, before);

    let later = now + SignedDuration::from_hours(3);
    let ours = store.get(KEY, 4096).await?.expect("it is there");
    let theirs = String::from_utf8(ours.clone())?.replace("Jade", "Puck");
    store.put_bytes(KEY, theirs, &crate::world::page()).await?;
    let lost = held.renew(later).await.expect_err("it is another's").to_string();
    assert!(lost.starts_with("Puck (process ") && lost.contains("has taken the lock meanwhile"), "{lost}");
    store.delete(KEY).await?;
    assert!(held.renew(later).await.expect_err("it is gone").to_string().contains("the lock is gone"));
    store.put_bytes(KEY, ours, &crate::world::page()).await?;
    held.release().await?;
    assert_eq!(store.get(KEY, 4096).await?, None);
    Ok(())
}
