//! The lock of an environment: taken, renewed during a long run, lost, left, given back.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use xtask::domain::layout::LOCK;
use xtask_publish::tools::lock::{Owner, remove_left, take};
use xtask_publish::tools::store::Store;

use crate::world::World;

async fn text(store: &Store) -> Result<Value> {
    Ok(serde_json::from_slice(&store.get(LOCK, 1 << 20).await?.expect("a lock"))?)
}

async fn put(store: &Store, lock: &Value) -> Result<()> {
    store.put_bytes(LOCK, lock.to_string(), &crate::world::page()).await
}

async fn refused(store: &Store) -> String {
    take(store, Owner::us("Puck"), Duration::ZERO).await.err().expect("it is refused").to_string()
}

#[tokio::test]
async fn a_long_run_keeps_its_lock_until_somebody_takes_it() -> Result<()> {
    let world = World::embedded().await?;
    let store = world.store();
    let held = take(&store, Owner::us("Jade <jade@example.org>"), Duration::ZERO).await?;
    let refused = refused(&store).await;
    assert!(refused.starts_with("Jade (process ") && refused.contains("delete s3://"), "{refused}");

    let before = text(&store).await?;
    assert_eq!(before["owner"]["name"], "Jade", "everybody can read it");
    held.watch().check().await?;
    held.renew().await?;
    let ours = text(&store).await?;
    assert_ne!(ours["expires"], before["expires"]);

    let mut theirs = ours.clone();
    theirs["owner"]["name"] = json!("Puck");
    put(&store, &theirs).await?;
    let lost = held.renew().await.expect_err("it is another's").to_string();
    assert!(lost.starts_with("Puck (process ") && lost.contains("has taken the lock in the meantime"), "{lost}");
    assert_eq!(text(&store).await?, theirs, "another's lock is not overwritten");
    store.delete(LOCK).await?;
    assert!(held.watch().check().await.expect_err("it is gone").to_string().contains("the lock has disappeared"));
    put(&store, &ours).await?;
    held.release().await?;
    assert_eq!(store.get(LOCK, 4096).await?, None);
    Ok(())
}

#[tokio::test]
async fn only_a_run_of_this_boot_that_has_ended_is_gone() -> Result<()> {
    let world = World::embedded().await?;
    let store = world.store();
    let held = take(&store, Owner::us("Jade"), Duration::ZERO).await?;
    let live = text(&store).await?;
    held.release().await?;
    let mut ended = Command::new("true").spawn()?;
    ended.wait()?;

    // Another machine of the same name, on which that process runs.
    let mut elsewhere = live.clone();
    elsewhere["owner"]["process"] = json!(ended.id());
    elsewhere["owner"]["boot"] = json!("another boot pid:[1]");
    put(&store, &elsewhere).await?;
    assert!(refused(&store).await.contains("is publishing to this environment"));
    // An earlier tool did not name the boot.
    elsewhere["owner"].as_object_mut().expect("an object").remove("boot");
    put(&store, &elsewhere).await?;
    assert!(refused(&store).await.contains("is publishing to this environment"));
    assert!(!remove_left(&store, async || Ok(store.clone())).await?);

    let mut dead = live.clone();
    dead["owner"]["process"] = json!(ended.id());
    let mut number_used_again = live.clone();
    number_used_again["owner"]["started"] = json!("1");
    for left in [dead, number_used_again] {
        put(&store, &left).await?;
        take(&store, Owner::us("Puck"), Duration::ZERO).await?.release().await?;
        put(&store, &left).await?;
        assert!(remove_left(&store, async || Ok(store.clone())).await?);
        assert_eq!(store.get(LOCK, 4096).await?, None);
    }
    let mut expired = live;
    expired["owner"]["boot"] = json!("another boot");
    expired["expires"] = json!("2024-01-01T00:00:00Z");
    put(&store, &expired).await?;
    take(&store, Owner::us("Puck"), Duration::ZERO).await?.release().await
}

#[tokio::test]
async fn a_lock_that_cannot_be_read_is_refused() -> Result<()> {
    let world = World::embedded().await?;
    let store = world.store();
    for garbage in ["", "<html>", "{\"format\": 2}", &"x".repeat(5000)] {
        store.put_bytes(LOCK, garbage.to_owned(), &crate::world::page()).await?;
        let refused = refused(&store).await;
        assert!(refused.contains("cannot be read as a lock") && refused.contains("delete it"), "{refused}");
        assert!(refused.len() < 400, "{refused}");
    }
    Ok(())
}
