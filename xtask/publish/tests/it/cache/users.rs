//! What users get from the cache: Nix itself fetches, with the key that they trust.

use std::fs;
use std::process::Command;

use anyhow::Result;
use xtask_publish::tools::anonymous::Anonymous;
use xtask_publish::tools::embedded::Embedded;
use xtask_publish::tools::store::Store;

use super::repair::narinfo;
use super::{BUCKET, Managed, generate, generate_named};
use crate::release::Release;
use crate::repo::NIX_CONFIG;

/// Fetches the output of a release from a cache into an empty store, as a user who trusts `key`.
fn substitute(url: &str, key: &str, release: &Release) -> Result<(bool, String)> {
    let store = tempfile::tempdir()?;
    let out = release.output("x86_64-linux", "out");
    let output = Command::new("nix")
        .args(["--extra-experimental-features", "nix-command", "copy", "--from", url])
        .args(["--to", &format!("local?root={}", store.path().display())])
        .args(["--option", "require-sigs", "true", "--option", "trusted-public-keys", key, &out])
        .env("NIX_CONFIG", NIX_CONFIG)
        .env("XDG_CACHE_HOME", store.path().join("memory"))
        .output()?;
    let arrived = store.path().join(out.trim_start_matches('/')).exists();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.success(), arrived, "{said}");
    Ok((arrived, said))
}

/// The keys that users of `release`'s environment trust.
fn trusted(release: &Release) -> String {
    let secret = fs::read_to_string(release.release_dir().join("local/cache.key")).expect("a key");
    secret.parse::<xtask_publish::domain::cache::signing::SecretKey>().expect("valid").public().to_string()
}

pub async fn is_substituted_by_nix(store: Store, release: &Release) -> Result<()> {
    let server = Anonymous::start(store).await?;
    let (url, key) = (server.url().to_owned(), trusted(release));
    let (_, wrong) = generate();
    tokio::task::block_in_place(|| {
        let (arrived, said) = substitute(&url, &key, release)?;
        assert!(arrived, "{said}");
        for wrong in [&wrong, &wrong.replacen("test-1", "lix-rehearsal", 1)] {
            let (arrived, said) = substitute(&url, wrong, release)?;
            assert!(!arrived && said.contains("lacks a"), "{said}");
        }
        Ok(())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn nix_substitutes_with_the_right_key_and_refuses_with_another() -> Result<()> {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let embedded = Embedded::start(release.object("").as_std_path(), &[BUCKET]).await?;
    let store = Store::new(embedded.endpoint(), Embedded::credentials(), BUCKET);
    is_substituted_by_nix(store, &release).await
}

/// Users of the old key and of the new one, while a cache changes keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_takes_nothing_from_users_of_the_old_one() -> Result<()> {
    let managed = Managed::new();
    managed.key_file("test.key", &managed.secret);
    let run = |phase: &str, args: &[&str]| {
        let (code, said) = managed.run(phase, args);
        assert_eq!(code, Some(0), "{said}");
        said
    };
    run("upload", &["--noconfirm"]);
    let (secret, public) = generate_named("test-2");
    managed.key_file("test.key", &secret);
    managed.trust(&public);
    let (code, said) = managed.run("verify", &[]);
    assert!(code == Some(1) && said.contains("(its signatures are by test-1)"), "{said}");
    managed.trust_also(&public, &[&managed.public]);
    let said = run("verify", &[]);
    assert!(said.contains("10 paths signed by test-1 and not yet by our key: `upload` adds our signature"), "{said}");
    let plan = run("plan", &[]);
    assert!(plan.contains(" sign 10 paths; so far signed by test-1"), "{plan}");
    // A repaired path keeps valid signatures, too.
    let (file, text) = narinfo(&managed.release, "liblix-2.93.1");
    fs::write(file, text.replace("URL: nar/", "URL: /nar/"))?;
    let said = run("upload", &["--noconfirm"]);
    assert!(said.contains("compresses and signs 1 path in"), "{said}");
    let said = run("verify", &["--deep"]);
    assert!(!said.contains("not yet by our key"), "{said}");
    let (code, said) = managed.run("upload", &["--noconfirm"]);
    assert!(code == Some(0) && !said.contains("  ok "), "{said}");

    let embedded = Embedded::start(managed.release.object("").as_std_path(), &[BUCKET]).await?;
    let server = Anonymous::start(Store::new(embedded.endpoint(), Embedded::credentials(), BUCKET)).await?;
    tokio::task::block_in_place(|| {
        for key in [&managed.public, &public] {
            let (arrived, said) = substitute(server.url(), key, &managed.release)?;
            assert!(arrived, "{said}");
        }
        Ok(())
    })
}
