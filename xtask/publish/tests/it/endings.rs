//! Failed uploads: the error says why, its last line says what to do, and doing that works.

use std::fs;
use std::process::Command;

use anyhow::Result;
use expect_test::expect;
use hyper::Method;
use xtask_publish::tools::content::Content;

use crate::cache::BUCKET;
use crate::proxy::Fault;
use crate::release::Release;
use crate::repo::Ran;
use crate::rollback::{Harm, Served};
use crate::world::{World, page, silent};

const EMPTY_LISTING: &str = "<ListBucketResult><Name>local-docs</Name><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>";

/// The error without temporary names.
fn error(ran: &Ran, release: &Release) -> String {
    let error = ran.stderr.split("error: ").last().unwrap_or_default();
    error.replace(release.repo.beside("").as_str(), "BESIDE/")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_line_says_what_to_do_and_is_true() -> Result<()> {
    let served = Served::empty().await?;
    let release = &served.old;
    let harm = |method, path, fault| Harm { method, path, fault: Some(fault), ..Harm::default() };
    let mut said = Vec::new();
    let mut fails = |harm| {
        let (ran, _) = served.with(harm, || release.upload());
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        said.push(error(&ran, release));
    };
    fails(harm(Method::PUT, "/lix-2.93.1/SHA256SUMS", Fault::Status(403)));
    fails(harm(Method::PUT, "/local-releases/manifest.nix", Fault::Status(507)));
    // A listing that does not show what was written.
    fails(harm(Method::GET, "/local-docs/", Fault::Stale(EMPTY_LISTING)));
    expect![[r#"
        the upload is not finished
          everything that does not need it is done; not tried: branch release-2.93, tag 2.93.1, releases manifest.nix, docs manual/lix/stable/ and 4 more
          cannot publish releases lix/lix-2.93.1/
          cannot upload s3://local-releases/lix/lix-2.93.1/SHA256SUMS
          the server answered 403 without a reason; the access key may have expired, or may not do this in this bucket, or the object does not exist (some servers then answer 403)
        next: fix that, then run the same command again; what is done stays done

        the upload is not finished
          everything that does not need it is done; not tried: releases receipts/lix-2.93.1.json
          cannot publish releases manifest.nix
          cannot upload s3://local-releases/manifest.nix
          the server answered 507 without a reason: the server's disk is full
        next: make room there, and run the same command again

        the upload is not finished
          everything that does not need it is done; not tried: branch release-2.93, tag 2.93.1, releases manifest.nix, docs manual/lix/stable/ and 4 more
          docs manual/lix/2.93/ was published, but is not visible as it should be: add 8 (208 B): the newest release of 2.93 here; the server may need longer to show it
        next: run the same command again; what is done stays done
    "#]].assert_eq(&said.join("\n"));
    release.upload().ok();
    release.release("verify", "local", &["--deep"]).ok();
    Ok(())
}

/// What an earlier run had staged when it was killed.
#[test]
fn what_was_staged_and_not_sent_does_not_stay() {
    let release = Release::new("2.93.1");
    let stage = release.release_dir().join("cache");
    let leave = |name: &str| {
        fs::create_dir_all(stage.join("nar")).expect("a directory");
        fs::write(stage.join(name), "left").expect("written");
    };
    leave("nar/0000000000000000000000000000000000000000000000000000.nar.zst");
    release.upload().ok();
    assert!(!stage.exists());
    let objects = || fs::read_dir(release.object(BUCKET).join("nar")).expect("NARs").count();
    let sent = objects();
    // Nothing has to be staged now.
    leave("x.narinfo");
    release.release("plan", "local", &[]).ok();
    assert!(stage.exists(), "a plan changes nothing");
    release.upload().ok();
    assert!(!stage.exists());
    leave("x.narinfo");
    release.release("upload", "local", &["--target", "manual", "--noconfirm"]).ok();
    assert!(!stage.exists());
    assert_eq!(objects(), sent, "nothing of it was sent");
    // A link is removed, but not its target.
    let elsewhere = release.repo.beside("elsewhere");
    fs::create_dir(&elsewhere).expect("a directory");
    fs::write(elsewhere.join("file"), "kept").expect("written");
    std::os::unix::fs::symlink(&elsewhere, &stage).expect("a link");
    release.upload().ok();
    assert!(fs::symlink_metadata(&stage).is_err() && elsewhere.join("file").exists());
}

/// Opening a pipe would wait for a writer.
#[tokio::test]
async fn nothing_but_a_file_is_sent() -> Result<()> {
    let world = World::embedded().await?;
    let path = world.file("x", b"x")?;
    fs::remove_file(&path)?;
    assert!(Command::new("mkfifo").arg(&path).status()?.success());
    let content = Content::of_bytes(b"x");
    let error = world.store().put_file("x", &path, &content, &page(), &silent()).await.expect_err("a pipe");
    let error = format!("{error:#}").replace(path.as_str(), "PATH");
    expect!["cannot upload PATH: PATH is not a regular file, but a pipe"].assert_eq(&error);
    Ok(())
}
