//! Complete publications to the embedded environment: consent, refusals, resuming, damage, and the order of pointers.

mod refused;
mod verified;

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use expect_test::expect;

use crate::release::{PAGES, Release, SYSTEMS};

/// A plan without its digest, with commits replaced.
fn page(stdout: &str) -> String {
    let is_commit = |word: &str| word.len() == 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let plan = stdout.split("\nplan ").next().unwrap_or_default();
    let line = |line: &str| {
        let words = line.split(' ').map(|word| if is_commit(word) { "COMMIT" } else { word });
        words.collect::<Vec<_>>().join(" ")
    };
    plan.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn plan_upload_verify_and_nothing_left_to_do() {
    let release = Release::new("2.93.1");
    let plan = release.release("plan", "local", &[]).ok();
    expect![[r#"
        Lix 2.93.1 to local (patch)

        contents
          + releases lix/lix-2.93.1/               add 14 (28 kB)
          + releases lix/lix-2.93.1/SHA256SUMS.sig sign COMMIT
          + cache closures                         add 10 paths (3 kB unpacked)
          + docs manual/lix/2.93/                  add 8 (208 B): the newest release of 2.93 here
          + images release/local/images            push COMMIT (4 kB)

        git
          + branch release-2.93                    to COMMIT
          + tag 2.93.1                             to COMMIT

        pointers
          + releases manifest.nix                  to 2.93.1: the newest stable release here
          + docs manual/lix/stable/                add 8 (208 B): the newest stable release here
          + image release/local/images:2.93.1      to COMMIT
          + image release/local/images:2.93        to 5ce0d172743b: the newest release of 2.93 here
          + image release/local/images:latest      to 5ce0d172743b: the newest stable release here

        receipt
          + releases receipts/lix-2.93.1.json      says that everything is done"#]]
    .assert_eq(&page(&plan));
    assert!(!release.object("local-releases/lix").exists(), "a plan writes nothing");
    assert!(!release.release_dir().join("local/git").exists(), "a plan writes nothing");

    release.upload().ok();
    release.release("verify", "local", &[]).ok();
    let receipt = fs::read_to_string(release.release_dir().join("receipt-local.json")).expect("a receipt");
    assert!(receipt.contains("\"version\": \"2.93.1\""), "{receipt}");
    assert!(!release.object("local-docs/release.lock").exists(), "the lock is given back");
    assert_eq!(
        release.repo.git(&["-C", "release/local/git", "rev-parse", "release-2.93"]),
        release.repo.git(&["rev-parse", "main"])
    );

    let again = release.upload();
    assert!(again.stderr.contains("is published to local"), "{}", again.stderr);
    assert!(!again.stderr.contains("  ok "), "nothing is done twice: {}", again.stderr);
    again.ok();
    let json = release.release("plan", "local", &["--json"]).ok();
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert!(json["acts"].as_array().expect("acts").iter().all(|act| act["status"] == "same"), "{json:#}");
}

#[test]
fn a_night_with_three_releases_in_any_order() {
    let versions = ["2.95.2", "2.94.2", "2.93.4"];
    let releases: Vec<Release> = versions.iter().map(|version| Release::new(version)).collect();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let world = tempfile::tempdir().expect("a directory");
        let world = camino::Utf8Path::from_path(world.path()).expect("UTF-8");
        for release in order.map(|i| &releases[i]) {
            let text = include_str!("../../../releng.toml").replace("release/local", world.as_str());
            release.configure(|_| text);
            release.upload().ok();
        }
        let read = |key: &str| fs::read_to_string(world.join("s3").join(key)).expect(key);
        assert!(read("local-releases/manifest.nix").contains("-lix-2.95.2\""), "{order:?}");
        assert!(read("local-docs/manual/lix/stable/index.html").contains("Lix 2.95.2"), "{order:?}");
        for version in versions {
            let series = &version[..4];
            assert!(read(&format!("local-docs/manual/lix/{series}/index.html")).contains(version), "{order:?}");
        }
        for release in &releases {
            release.release("verify", "local", &[]).ok();
        }
    }
}

#[test]
fn killed_at_any_moment_the_same_command_goes_on() {
    let release = Release::new("2.93.1");
    for moment in 0..12 {
        let mut child = release
            .command("upload", "local", &["--noconfirm"])
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the tool runs");
        std::thread::sleep(Duration::from_millis(40 + 60 * moment));
        xtask_test_support::kill_group(child.id());
        child.wait().expect("it ends");
        // Pointers move last: a manifest that leads to the release means that the release is complete.
        if release.object("local-releases/manifest.nix").exists() {
            assert!(release.object("local-releases/lix/lix-2.93.1/release.json").exists(), "moment {moment}");
        }
        if moment % 4 == 3 {
            release.upload().ok();
            release.release("verify", "local", &[]).ok();
            fs::remove_dir_all(release.release_dir().join("local")).expect("removed");
        }
    }
    release.upload().ok();
    release.release("verify", "local", &[]).ok();
}

#[test]
fn two_managers_are_kept_apart() {
    let release = Release::new("2.93.1");
    let lock = |expires: &str| {
        let owner = serde_json::json!({ "name": "Somebody Else", "host": "elsewhere", "process": 1 });
        serde_json::json!({ "owner": owner, "expires": expires }).to_string()
    };
    let path = release.object("local-docs/release.lock");
    fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    fs::write(&path, lock("9999-01-01T00:00:00Z")).expect("written");
    let error = release.upload().fails(1);
    assert!(error.contains("Somebody Else (process 1 on elsewhere) is publishing to this environment"), "{error}");
    fs::write(&path, lock("2020-01-01T00:00:00Z")).expect("written");
    release.upload().ok();
}

#[test]
fn the_manual_alone_follows_the_same_rule() {
    let release = Release::new("2.93.1");
    let upload = |release: &Release| release.release("upload", "local", &["--target", "manual", "--noconfirm"]);
    upload(&release).ok();
    assert!(release.object("local-docs/manual/lix/2.93/index.html").exists());
    assert!(release.object("local-docs/manual/lix/stable/index.html").exists());
    assert!(!release.object("local-releases/lix").exists() && !release.release_dir().join("local/git").exists());

    let newer = Release::new("2.94.0");
    newer.share(&release);
    newer.upload().ok();
    let ran = upload(&release);
    assert!(ran.stderr.contains("stays: 2.94.0 is newer, and is published here"), "{}", ran.stderr);
    ran.ok();
}

#[test]
fn a_rollback_moves_pointers_only_and_is_undone_only_by_a_rollback() {
    let (old, new, older) = (Release::new("2.93.1"), Release::new("2.93.2"), Release::tagged("2.92.9"));
    old.upload().ok();
    new.share(&old);
    new.seal(&SYSTEMS, PAGES + 1);
    new.upload().ok();
    let live = || fs::read_to_string(old.object("local-releases/manifest.nix")).expect("a manifest");
    assert!(live().contains("-lix-2.93.2\""));

    let rollback = |to: &str, args: &[&str]| old.release("rollback", "local", &[&["--to", to], args].concat());
    let error = rollback("2.93.7", &["--noconfirm"]).fails(1);
    assert!(error.contains("2.93.7 is not a stable release that is published in local"), "{error}");
    let error = rollback("2.93.1", &[]).fails(1);
    assert!(
        error.contains("type: I want to roll local back to 2.93.1")
            && error.contains(
                "\nwithdrawal\n  ~ releases withdrawn.json           withdraw 2.93.2, which stays published\n"
            ),
        "{error}"
    );
    assert!(live().contains("-lix-2.93.2\""), "nothing was done");

    let plan = rollback("2.93.1", &["--dry-run", "--json"]).ok();
    let plan: serde_json::Value = serde_json::from_str(&plan).expect("nothing but JSON");
    assert!(live().contains("-lix-2.93.2\""), "nothing was done");
    let done = rollback("2.93.1", &["--json", "--plan", plan["digest"].as_str().expect("a digest")]).ok();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&done).expect("nothing but JSON"), plan);
    assert!(live().contains("-lix-2.93.1\""));
    let stable =
        |page: &str| fs::read_to_string(old.object(&format!("local-docs/manual/lix/stable/{page}"))).expect(page);
    assert!(stable("index.html").contains("Lix 2.93.1"));
    assert!(stable(&format!("page-{PAGES}.html")).contains("2.93.2"), "nothing is deleted");
    old.release("verify", "local", &["2.93.1"]).ok();
    let again = rollback("2.93.1", &["--noconfirm"]);
    assert!(again.stderr.contains("local is on 2.93.1 already"), "{}", again.stderr);

    // Neither the same release nor an older one moves users forward again.
    let ran = new.upload();
    assert!(ran.stderr.contains("stays: 2.93.2 was withdrawn by a rollback"), "{}", ran.stderr);
    ran.ok();
    older.share(&old);
    older.seal(&SYSTEMS, PAGES);
    older.upload().ok();
    assert!(live().contains("-lix-2.93.1\""));

    new.release("rollback", "local", &["--to", "2.93.2", "--noconfirm"]).ok();
    assert!(live().contains("-lix-2.93.2\""));
    new.release("verify", "local", &[]).ok();
}
