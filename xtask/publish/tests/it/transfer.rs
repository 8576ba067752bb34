//! Many objects: only what differs is sent, by content, in the right order.

use anyhow::Result;
use hyper::Method;
use xtask_publish::tools::transfer::{Counts, mirror};

use crate::proxy::{Fault, Proxy};
use crate::world::{World, noise, on_every_server, silent};

on_every_server! {
    only_what_differs_is_sent,
    more_than_one_page_is_listed,
    a_server_that_is_overloaded_for_a_while_gets_everything,
}

async fn only_what_differs_is_sent(world: &World) -> Result<()> {
    let proxy = Proxy::start(&world.endpoint, |_, _| None).await?;
    let store = world.store_at(&proxy.endpoint);
    let mut items = vec![
        world.item("manual/index.html", b"<a href=one.html>")?,
        world.item("manual/one.html", b"version 1")?,
        world.item("manual/two.html", b"two")?,
    ];
    let counts = mirror(&store, "manual/", items.clone(), &silent()).await?;
    assert_eq!(counts, Counts { added: 3, sent: 29, ..Counts::default() });

    let before = proxy.requests().len();
    let counts = mirror(&store, "manual/", items.clone(), &silent()).await?;
    assert_eq!(counts, Counts { same: 3, ..Counts::default() });
    assert!(proxy.requests()[before..].iter().all(|method| *method == Method::GET || *method == Method::HEAD));

    // The same size, and one digit of difference.
    items[1] = world.item("manual/one.html", b"version 2")?;
    items.pop();
    world.store().put_bytes("elsewhere", "stays", &items[0].properties).await?;
    let before = proxy.requests().len();
    let counts = mirror(&store, "manual/", items, &silent()).await?;
    assert_eq!(counts, Counts { replaced: 1, same: 1, deleted: 1, sent: 9, added: 0 });
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
    assert_eq!(mirror(&store, "", items.clone(), &silent()).await?.added, 1001);
    assert_eq!(mirror(&store, "", items, &silent()).await?.same, 1001);
    assert_eq!(mirror(&store, "", Vec::new(), &silent()).await?.deleted, 1001);
    Ok(())
}

async fn a_server_that_is_overloaded_for_a_while_gets_everything(world: &World) -> Result<()> {
    // More failures than the SDK's default quota of retries would bear.
    let proxy =
        Proxy::start(&world.endpoint, |number, _| (1..120).contains(&number).then_some(Fault::SlowDown)).await?;
    let items = (0..100).map(|n| world.item(&format!("{n}.html"), &noise(10, n))).collect::<Result<Vec<_>>>()?;
    let counts = mirror(&world.store_at(&proxy.endpoint), "", items, &silent()).await?;
    assert_eq!(counts, Counts { added: 100, sent: 1000, ..Counts::default() });
    Ok(())
}
