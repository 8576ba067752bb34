//! Many objects, brought as a manual is: only what differs is sent, by content, in the right order.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Result;
use hyper::Method;
use xtask_publish::tools::store::{Progress, Store};
use xtask_publish::tools::transfer::{Difference, Item, delete, send, survey};

use crate::proxy::{Fault, Proxy};
use crate::world::{World, noise, on_every_server};

on_every_server! {
    only_what_differs_is_sent,
    more_than_one_page_is_listed,
    a_server_that_is_overloaded_for_a_while_gets_everything,
}

/// What was seen of a directory before it was made equal to our items.
#[derive(Debug, PartialEq, Eq)]
struct Brought {
    differences: Vec<Difference>,
    deleted: usize,
    /// In bytes.
    sent: i64,
}

/// Does with the objects below `prefix` what publishing a manual does.
async fn bring(store: &Store, prefix: &str, items: Vec<Item>) -> Result<Brought> {
    let sent = Arc::new(AtomicI64::new(0));
    let told = Arc::clone(&sent);
    let progress: Progress = Arc::new(move |bytes| {
        told.fetch_add(bytes, Ordering::Relaxed);
    });
    let mut listing = store.list(prefix).await?;
    let surveyed = survey(store, items, &listing).await?;
    send(store, &surveyed, &progress).await?;
    for one in &surveyed {
        listing.remove(&one.item.key);
    }
    let deleted = listing.len();
    delete(store, listing.into_keys()).await?;
    let differences = surveyed.iter().map(|one| one.difference).collect();
    Ok(Brought { differences, deleted, sent: sent.load(Ordering::Relaxed) })
}

async fn only_what_differs_is_sent(world: &World) -> Result<()> {
    use Difference::{Absent, Different, Same};
    let proxy = Proxy::start(&world.endpoint, |_, _| None).await?;
    let store = world.store_at(&proxy.endpoint);
    let mut items = vec![
        world.item("manual/index.html", b"<a href=one.html>")?,
        world.item("manual/one.html", b"version 1")?,
        world.item("manual/two.html", b"two")?,
    ];
    let brought = bring(&store, "manual/", items.clone()).await?;
    assert_eq!(brought, Brought { differences: vec![Absent; 3], deleted: 0, sent: 29 });

    let before = proxy.requests().len();
    let brought = bring(&store, "manual/", items.clone()).await?;
    assert_eq!(brought, Brought { differences: vec![Same; 3], deleted: 0, sent: 0 });
    assert!(proxy.requests()[before..].iter().all(|method| *method == Method::GET || *method == Method::HEAD));

    // The same size, with one different digit.
    items[1] = world.item("manual/one.html", b"version 2")?;
    items.pop();
    world.store().put_bytes("elsewhere", "stays", &items[0].properties).await?;
    let before = proxy.requests().len();
    let brought = bring(&store, "manual/", items).await?;
    assert_eq!(brought, Brought { differences: vec![Same, Different], deleted: 1, sent: 9 });
    let writes: Vec<_> = proxy
        .requests()
        .split_off(before)
        .into_iter()
        .filter(|method| *method != Method::GET && *method != Method::HEAD)
        .collect();
    assert_eq!(writes, [Method::PUT, Method::DELETE]);
    assert_eq!(
        store.list("").await?.into_keys().collect::<Vec<_>>(),
        ["elsewhere", "manual/index.html", "manual/one.html"]
    );
    Ok(())
}

async fn more_than_one_page_is_listed(world: &World) -> Result<()> {
    let items = (0..1001).map(|n| world.item(&format!("{n:04}.html"), &noise(10, n))).collect::<Result<Vec<_>>>()?;
    let store = world.store();
    assert_eq!(bring(&store, "", items.clone()).await?.differences, [Difference::Absent; 1001]);
    assert_eq!(bring(&store, "", items).await?.differences, [Difference::Same; 1001]);
    assert_eq!(bring(&store, "", Vec::new()).await?.deleted, 1001);
    Ok(())
}

async fn a_server_that_is_overloaded_for_a_while_gets_everything(world: &World) -> Result<()> {
    // More failures than the SDK's default quota of retries allows.
    let proxy =
        Proxy::start(&world.endpoint, |number, _| (1..120).contains(&number).then_some(Fault::SlowDown)).await?;
    let items = (0..100).map(|n| world.item(&format!("{n}.html"), &noise(10, n))).collect::<Result<Vec<_>>>()?;
    let brought = bring(&world.store_at(&proxy.endpoint), "", items.clone()).await?;
    // What failed is not counted.
    assert_eq!(brought, Brought { differences: vec![Difference::Absent; 100], deleted: 0, sent: 1000 });
    let listing = world.store().list("").await?;
    assert!(survey(&world.store(), items, &listing).await?.iter().all(|one| one.difference == Difference::Same));
    Ok(())
}
