//! Rollbacks that are interrupted, or that get stale answers; and what uploads say about them.

use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use expect_test::expect;
use hyper::Method;
use tempfile::TempDir;
use xtask_publish::tools::embedded::Embedded;

use crate::proxy::{Fault, Proxy};
use crate::release::Release;
use crate::repo::Ran;

/// A fault for requests to some paths.
#[derive(Default)]
pub struct Harm {
    pub method: Method,
    /// End of the path.
    pub path: &'static str,
    /// Number of the request that fails, from 0; all of them if `None`.
    pub number: Option<usize>,
    pub fault: Option<Fault>,
    /// Whether to count only requests after the list of withdrawn versions was written.
    pub after_writing: bool,
    pub written: bool,
    pub seen: usize,
}

/// Two releases, 2.93.1 and 2.93.2, and a server behind a proxy.
pub struct Served {
    pub old: Release,
    new: Release,
    harm: Arc<Mutex<Harm>>,
    data: TempDir,
    // Dropped before its server.
    _proxy: Proxy,
    _server: Embedded,
}

impl Served {
    /// Publishes both releases.
    pub async fn start() -> Result<Served> {
        let served = Served::empty().await?;
        served.old.upload().ok();
        served.new.upload().ok();
        assert_eq!(served.live(), "2.93.2");
        Ok(served)
    }

    /// Publishes nothing.
    pub async fn empty() -> Result<Served> {
        let data = tempfile::tempdir()?;
        let names = ["cache", "docs", "install", "releases"].map(|purpose| format!("local-{purpose}"));
        let server = Embedded::start(data.path(), &names.each_ref().map(String::as_str)).await?;
        let harm = Arc::new(Mutex::new(Harm::default()));
        let plan = Arc::clone(&harm);
        let proxy = Proxy::start_by_path(server.endpoint(), move |_, method, path| {
            let mut harm = plan.lock().expect("no test panics while it holds this");
            harm.written |= *method == Method::PUT && path.ends_with("/withdrawn.json");
            if harm.path.is_empty() || *method != harm.method || !path.ends_with(harm.path) {
                return None;
            }
            if harm.after_writing && !harm.written {
                return None;
            }
            harm.seen += 1;
            harm.fault.filter(|_| harm.number.is_none_or(|number| number + 1 == harm.seen))
        })
        .await?;
        let (old, new) = (Release::new("2.93.1"), Release::new("2.93.2"));
        new.share(&old);
        for release in [&old, &new] {
            release.store_at(&proxy.endpoint.url);
        }
        Ok(Served { old, new, harm, data, _proxy: proxy, _server: server })
    }

    /// The version that the root manifest leads to.
    fn live(&self) -> &'static str {
        let manifest = fs::read_to_string(self.object("local-releases/manifest.nix")).expect("a manifest");
        if manifest.contains("-lix-2.93.2\"") { "2.93.2" } else { "2.93.1" }
    }

    pub fn object(&self, key: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.data.path()).expect("UTF-8").join(key)
    }

    /// Makes some requests fail.
    pub fn harmed(&self, harm: Harm) {
        *self.harm.lock().expect("no test panics while it holds this") = harm;
    }

    /// Number of requests that were counted since.
    pub fn seen(&self) -> usize {
        self.harm.lock().expect("no test panics while it holds this").seen
    }

    /// Runs something while some requests fail, and returns how many were counted.
    pub fn with(&self, harm: Harm, run: impl FnOnce() -> Ran) -> (Ran, usize) {
        let set = |harm| std::mem::replace(&mut *self.harm.lock().expect("no test panics while it holds this"), harm);
        set(harm);
        let ran = run();
        (ran, set(Harm::default()).seen)
    }

    fn rollback(&self, to: &str) -> Ran {
        self.old.release("rollback", "local", &["--to", to, "--noconfirm"])
    }
}

/// The error without the server's own words.
fn told(ran: &Ran) -> String {
    let error = ran.stderr.split("error: ").last().unwrap_or_default();
    error.lines().take(1).map(|line| format!("{line}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_stale_answer_about_withdrawn_versions_is_taken_for_done() -> Result<()> {
    let served = Served::start().await?;
    for fault in [Fault::Status(404), Fault::Stale("[]")] {
        for path in ["/local-releases/withdrawn.json", "/receipts/withdrawn.json"] {
            for number in 0.. {
                served.rollback("2.93.2").ok();
                let harm = Harm {
                    method: Method::GET,
                    path,
                    number: Some(number),
                    fault: Some(fault),
                    after_writing: true,
                    ..Harm::default()
                };
                let (ran, seen) = served.with(harm, || served.rollback("2.93.1"));
                assert!(ran.code == Some(1) || (ran.code == Some(0) && served.live() == "2.93.1"), "{ran:?}");
                if seen <= number {
                    break;
                }
            }
        }
        // An upload of the withdrawn release looks several times, and does not believe any single stale answer.
        for number in 0.. {
            let harm = Harm {
                method: Method::GET,
                path: "/local-releases/withdrawn.json",
                number: Some(number),
                fault: Some(fault),
                ..Harm::default()
            };
            let (ran, seen) = served.with(harm, || served.new.upload());
            assert!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
            assert_eq!(served.live(), "2.93.1", "{ran:?}");
            if seen <= number {
                assert!(number > 0, "the look was worth something");
                break;
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_rollback_says_what_moved_and_an_upload_sees_that_it_is_not_finished() -> Result<()> {
    let served = Served::start().await?;
    let refused = |path| Harm { method: Method::PUT, path, fault: Some(Fault::Status(403)), ..Harm::default() };
    // The copy of the list is written first: without it, nothing is.
    let (ran, _) = served.with(refused("/receipts/withdrawn.json"), || served.rollback("2.93.1"));
    assert_eq!((ran.code, served.live()), (Some(1), "2.93.2"));
    let mut errors = told(&ran);
    errors += &told(&served.rollback("2.93.9"));
    expect![[r#"
        nothing was rolled back by this run
        nothing was rolled back by this run
    "#]]
    .assert_eq(&errors);
    // With the copy alone, an upload does not know which versions are withdrawn.
    let (ran, _) = served.with(refused("/local-releases/withdrawn.json"), || served.rollback("2.93.1"));
    assert_eq!((ran.code, served.live()), (Some(1), "2.93.2"));
    assert!(served.new.upload().fails(1).contains("withdrawn.json is missing"), "it is");

    // One pointer cannot be moved; how many others move depends on timing.
    let (ran, _) = served.with(refused("/local-releases/manifest.nix"), || served.rollback("2.93.1"));
    assert!(
        ran.stderr.contains("not moved, or only in part: releases manifest.nix")
            || ran.stderr.contains("has only begun"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("done:"), "{}", ran.stderr);
    ran.fails(1);
    let ran = served.new.upload();
    let last = ran.stderr.lines().last().unwrap_or_default();
    expect!["the rollback of local that withdrew 2.93.2 is not finished, so pointers still lead to it; next: cargo xtask release rollback --env local --to 2.93.1"]
        .assert_eq(last.split(" --repo ").next().unwrap_or_default());
    assert!(!ran.stderr.contains("done:"), "{}", ran.stderr);
    ran.fails(3);
    served.rollback("2.93.1").ok();
    assert_eq!(served.live(), "2.93.1");
    let ran = served.new.upload();
    let last = ran.stderr.lines().last().unwrap_or_default();
    expect!["2.93.2 is published to local, but withdrawn: a rollback took users of the newest stable release back to 2.93.1; to bring them to 2.93.2: cargo xtask release rollback --env local --to 2.93.2"].assert_eq(last.split(" --repo ").next().unwrap_or_default());
    assert!(!ran.stderr.contains("done:"), "{}", ran.stderr);
    ran.ok();
    Ok(())
}

#[test]
fn a_begun_upload_is_passed_by_no_pointer_and_withdrawn_by_no_rollback() {
    let (old, new) = (Release::new("2.93.1"), Release::new("2.93.2"));
    new.share(&old);
    old.upload().ok();
    let live = || fs::read_to_string(old.object("local-releases/manifest.nix")).expect("a manifest");
    let begun = old.object("local-releases/lix/lix-2.93.3");
    let begin = || {
        fs::create_dir_all(&begun).expect("made");
        fs::write(begun.join("SHA256SUMS"), "").expect("written");
    };
    begin();
    let waiting = new.upload().fails(3);
    assert!(
        waiting.contains("the upload of 2.93.3, which is newer, was begun here and is not finished")
            && waiting.contains("lix/lix-2.93.3/")
            && waiting.ends_with("2.93.2 is not completely published to local yet\n")
            && !waiting.contains("done:"),
        "{waiting}"
    );
    assert!(live().contains("-lix-2.93.1\""));
    let error = old.release("rollback", "local", &["--to", "2.93.3", "--noconfirm"]).fails(1);
    assert!(error.contains("the upload of 2.93.3 to local was begun, but is not finished"), "{error}");
    fs::remove_dir_all(&begun).expect("removed");
    new.upload().ok();
    assert!(live().contains("-lix-2.93.2\""));

    // An upload that began after the plan was made was not agreed to.
    let mut command = old.command("rollback", "local", &["--to", "2.93.1"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the tool runs");
    let mut said = Vec::new();
    let mut stderr = child.stderr.take().expect("piped");
    while !String::from_utf8_lossy(&said).contains("To go on, type") {
        let mut byte = [0];
        assert_eq!(stderr.read(&mut byte).expect("read"), 1, "it asks: {}", String::from_utf8_lossy(&said));
        said.extend(byte);
    }
    begin();
    child.stdin.take().expect("piped").write_all(b"I want to roll local back to 2.93.1\n").expect("written");
    stderr.read_to_end(&mut said).expect("read");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    let said = String::from_utf8_lossy(&said);
    assert!(
        said.contains("another manager published to local since the plan was made: run the same command"),
        "{said}"
    );
    assert!(said.contains("nothing was rolled back by this run") && live().contains("-lix-2.93.2\""), "{said}");

    // An unfinished upload does not stop a rollback, and may still be finished later.
    old.release("rollback", "local", &["--to", "2.93.1", "--noconfirm"]).ok();
    assert!(live().contains("-lix-2.93.1\""));
    let withdrawn = fs::read_to_string(old.object("local-releases/withdrawn.json")).expect("a list");
    expect![[r#"
        [
          "2.93.2"
        ]"#]]
    .assert_eq(withdrawn.trim_end());
}

#[test]
fn a_rollback_is_the_way_out_of_a_list_that_cannot_be_read() {
    let (old, new) = (Release::new("2.93.1"), Release::new("2.93.2"));
    new.share(&old);
    old.upload().ok();
    new.upload().ok();
    let list = old.object("local-releases/withdrawn.json");
    let live = || fs::read_to_string(old.object("local-releases/manifest.nix")).expect("a manifest");
    for garbage in ["", "<html>503</html>", r#"["2.93.2", "latest"]"#, r#"{"format": 2}"#] {
        fs::write(&list, garbage).expect("written");
        let (before, ran) = (live(), new.upload());
        // Nothing has to move at first, so that only a newer format is refused.
        let moves = before.contains("-lix-2.93.1\"");
        assert_eq!(ran.code, Some(i32::from(moves || garbage.contains("format"))), "{garbage}: {}", ran.stderr);
        assert_eq!(live(), before, "{garbage}: no pointer moves");
        let error = ran.stderr;
        assert!(
            error.contains("it is unknown which versions a rollback withdrew")
                || error.contains("does not know which versions a rollback withdrew"),
            "{garbage}: {error}"
        );
        let ran = old.release("rollback", "local", &["--to", "2.93.1", "--noconfirm"]);
        assert!(ran.stderr.contains("this rollback rewrites withdrawn.json"), "{garbage}: {}", ran.stderr);
        ran.ok();
        let text = fs::read_to_string(&list).expect("a list");
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).expect("a list"), ["2.93.2"], "{garbage}");
    }
    assert!(
        fs::read_to_string(old.object("local-releases/manifest.nix")).expect("a manifest").contains("-lix-2.93.1\"")
    );
}

#[test]
fn a_local_receipt_that_cannot_be_written_is_a_warning() {
    let release = Release::new("2.93.1");
    fs::create_dir_all(release.release_dir().join("receipt-local.json/x")).expect("made");
    let ran = release.upload();
    assert!(
        ran.stderr.contains("receipt-local.json") && ran.stderr.contains("that file is only for people"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("done: 2.93.1 is published to local"), "{ran:?}");
    ran.ok();
    assert!(release.object("local-releases/receipts/lix-2.93.1.json").exists());

    // As if the run had been killed at its very end.
    let receipt = release.release_dir().join("receipt-local.json");
    fs::remove_dir_all(&receipt).expect("removed");
    let beside = release.release_dir().join(".receipt-local.json.new");
    fs::write(&beside, "{").expect("written");
    release.upload().ok();
    let written = fs::read_to_string(&receipt).expect("a receipt");
    assert!(written.contains("\"version\": \"2.93.1\"") && !beside.exists(), "{written}");
    release.upload().ok();
    assert_eq!(fs::read_to_string(&receipt).expect("a receipt"), written);
}
