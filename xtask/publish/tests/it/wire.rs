//! Servers that are silent, slow or overloaded: given up after a time limit, and waited for if they ask for it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use xtask_publish::tools::http::Http;
use xtask_publish::tools::transfer;
use xtask_publish::tools::wire::{Patience, cannot_be_asked};

use crate::scripted::{Answer, FOR_EVER, Scripted};

const SHORT: Patience = Patience {
    quiet: Duration::from_millis(100),
    attempt: Duration::from_millis(300),
    operation: Duration::from_millis(800),
    asked: Duration::from_secs(4),
};

/// Asserts that an error says that the server is silent, after at most `attempts` attempts.
fn given_up(server: &Scripted, error: &anyhow::Error, attempts: usize) -> Result<()> {
    let message = format!("{error:#}");
    ensure!(message.contains("127.0.0.1:") && message.contains("was silent for"), "{message}");
    ensure!(cannot_be_asked(error), "{message}");
    let asked = server.asked().len();
    ensure!(asked <= attempts, "it was asked {asked} times");
    Ok(())
}

#[tokio::test]
async fn a_silent_s3_server_is_given_up() -> Result<()> {
    let server = Scripted::start(|_| Answer { pause: FOR_EVER, ..Answer::new(200, "") }).await?;
    let store = server.store_with(SHORT);
    let error = store.list("").await.expect_err("it is silent");
    given_up(&server, &error, 3)?;
    let properties = crate::world::page();
    let error = store.put_bytes("page", "page", &properties).await.expect_err("it is silent");
    given_up(&server, &error, 6)
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() -> Result<()> {
    let server = Scripted::start(|_| Answer { pause_within: FOR_EVER, ..Answer::new(200, "half of it") }).await?;
    let store = server.store_with(SHORT);
    given_up(&server, &store.get("page", 100).await.expect_err("it stalls"), 3)?;
    let listing = store.list("").await.expect_err("it stalls");
    ensure!(cannot_be_asked(&listing), "{listing:#}");
    ensure!(server.asked().len() <= 6, "{:?}", server.asked().len());
    Ok(())
}

#[tokio::test]
async fn a_public_address_that_is_silent_or_stalls_is_given_up() -> Result<()> {
    for answer in [(FOR_EVER, Duration::ZERO), (Duration::ZERO, FOR_EVER)] {
        let server =
            Scripted::start(move |_| Answer { pause: answer.0, pause_within: answer.1, ..Answer::new(200, "half") })
                .await?;
        let http = Http::with_patience(&server.url, SHORT);
        given_up(&server, &http.get("page", 100).await.expect_err("it is silent"), 3)?;
        given_up(&server, &http.content("page").await.expect_err("it is silent"), 6)?;
    }
    Ok(())
}

#[tokio::test]
async fn slow_is_not_silent() -> Result<()> {
    // Each half arrives in time, but both together do not.
    let pause = Duration::from_millis(200);
    let server =
        Scripted::start(move |_| Answer { pause, pause_within: pause, ..Answer::new(200, "slow, but there") }).await?;
    assert!(server.store_with(SHORT).get("page", 100).await?.is_some());
    assert!(Http::with_patience(&server.url, SHORT).get("page", 100).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn retry_after_is_obeyed() -> Result<()> {
    for status in [429, 503] {
        let busy = move || {
            Scripted::start(move |asked| match asked.number {
                0 => Answer::new(status, "slow down").header("retry-after", 1),
                _ => Answer::new(200, "page"),
            })
        };
        let (one, two) = (busy().await?, busy().await?);
        assert!(one.store_with(SHORT).get("page", 100).await?.is_some());
        assert!(Http::with_patience(&two.url, SHORT).get("page", 100).await?.is_some());
        for server in [one, two] {
            let asked = server.asked();
            assert_eq!(asked.len(), 2);
            assert!(asked[1].at - asked[0].at >= Duration::from_secs(1));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_asks_for_an_hour_is_not_waited_for() -> Result<()> {
    let server = Scripted::start(|_| Answer::new(429, "slow down").header("retry-after", 3600)).await?;
    let began = Instant::now();
    for error in [
        server.store_with(SHORT).get("page", 100).await.expect_err("it is busy"),
        Http::with_patience(&server.url, SHORT).get("page", 100).await.expect_err("it is busy"),
    ] {
        let message = format!("{error:#}");
        assert!(message.contains("asks us to wait 3600 s, longer than the limit of 4 s"), "{message}");
        assert!(cannot_be_asked(&error), "{message}");
    }
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(server.asked().len(), 2);
    Ok(())
}

#[tokio::test]
async fn everybody_waits_while_a_server_is_busy() -> Result<()> {
    let server = Scripted::start(|asked| match asked.number {
        0 => Answer::new(429, "slow down").header("retry-after", 1),
        _ => Answer::new(200, "page"),
    })
    .await?;
    let http = Http::with_patience(&server.url, SHORT);
    http.get("first", 100).await?;
    let asked = server.asked();
    assert!(asked[1].at - asked[0].at >= Duration::from_secs(1));
    let many = (0..20).map(|number| {
        let http = http.clone();
        async move { http.get(&number.to_string(), 100).await }
    });
    futures_util::future::try_join_all(many).await?;
    assert_eq!(server.asked().len(), 22);
    Ok(())
}

#[tokio::test]
async fn what_stays_as_it_is_is_asked_once() -> Result<()> {
    for (status, body) in [(403, "no"), (401, "no"), (404, ""), (400, "no"), (200, "more than is expected")] {
        let server = Scripted::start(move |_| Answer::new(status, body)).await?;
        let result = Http::new(&server.url).get("page", 10).await;
        assert_eq!(result.is_ok(), status == 404, "{status}");
        assert_eq!(server.asked().len(), 1, "{status}");
    }
    Ok(())
}

#[tokio::test]
async fn what_may_pass_is_asked_again() -> Result<()> {
    for first in [500, 502, 503, 504, 429] {
        let server = Scripted::start(move |asked| match asked.number {
            0 => Answer::new(first, ""),
            1 => Answer { cut: true, ..Answer::new(200, "page") },
            _ => Answer::new(200, "page"),
        })
        .await?;
        assert_eq!(Http::new(&server.url).get("page", 10).await?.as_deref(), Some(&b"page"[..]), "{first}");
    }
    let server = Scripted::start(|_| Answer::new(500, "")).await?;
    let error = Http::with_patience(&server.url, SHORT).get("page", 10).await.expect_err("it is broken");
    assert!(cannot_be_asked(&error), "{error:#}");
    assert!(format!("{error:#}").ends_with("the server answered 500 (internal error)"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_answers_nothing_is_not_asked_for_each_of_many_pages() -> Result<()> {
    let server = Scripted::start(|asked| match asked.path.as_str() {
        "/there" => Answer::new(200, "page"),
        _ => Answer::new(503, ""),
    })
    .await?;
    let http = Http::with_patience(&server.url, SHORT);
    // A failure between successes is not a reason to give up.
    for number in 0..5 {
        http.get(&number.to_string(), 10).await.expect_err("it is busy");
        http.get("there", 10).await?;
    }
    let before = server.asked().len();
    let many = (0..400).map(|number| {
        let http = http.clone();
        async move { Ok(http.get(&number.to_string(), 10).await.expect_err("it is busy")) }
    });
    let errors = transfer::all(many).await?;
    assert!(errors.iter().all(cannot_be_asked));
    let last = errors.iter().map(|error| format!("{error:#}")).find(|error| error.contains("not asked again"));
    let last = last.expect("it is given up");
    assert!(last.contains("failed in a row, so it is not asked again"), "{last}");
    assert!(server.asked().len() - before < 400, "{}", server.asked().len() - before);
    Ok(())
}

#[tokio::test]
async fn redirects_are_followed_and_circles_end() -> Result<()> {
    let server = Scripted::start(|asked| match asked.path.as_str() {
        "/circle" => Answer::new(302, "").header("location", "/circle"),
        "/one" => Answer::new(301, "").header("location", "two"),
        "/nowhere" => Answer::new(302, ""),
        _ => Answer::new(200, "page"),
    })
    .await?;
    let http = Http::new(&server.url);
    assert_eq!(http.get("one", 10).await?.as_deref(), Some(&b"page"[..]));
    assert!(format!("{:#}", http.get("circle", 10).await.expect_err("a circle")).contains("redirected 10 times"));
    assert!(http.get("nowhere", 10).await.is_err());
    Ok(())
}
