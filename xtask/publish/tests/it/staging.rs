//! An environment that requires another one to have exactly the same release first.

use std::fs;

use expect_test::expect;

use crate::release::{PAGES, Release};

/// Adds an environment `second` that is like `local` and requires its receipt.
pub fn with_second(release: &Release) {
    release.configure(|text| {
        let start = text.find("[environments.local]").expect("local");
        let end = text.find("\n\n\n# Like production").expect("the next one");
        let second = text[start..end].replace("environments.local", "environments.second");
        let second = second.replace("release/local", "release/second");
        let second = second.replacen("noconfirm = true", "noconfirm = true\nrequires = \"local\"", 1);
        format!("{text}\n{second}\n")
    });
}

fn receipt(release: &Release, environment: &str) -> serde_json::Value {
    let path = release.release_dir().join(environment).join("s3/local-releases/receipts/lix-2.93.1.json");
    serde_json::from_str(&fs::read_to_string(&path).expect("a receipt")).expect("JSON")
}

#[test]
fn the_second_environment_takes_what_the_first_has_taken() {
    let release = Release::new("2.93.1");
    with_second(&release);
    let second = |args: &[&str]| release.release("upload", "second", &[&["--noconfirm"], args].concat());
    let refused = second(&[]).fails(1);
    assert!(refused.contains("local has no receipt for it: upload it to local first"), "{refused}");
    assert!(!release.release_dir().join("second/s3/local-releases/lix").exists(), "nothing was done");
    // The manual alone does not get around the requirement.
    let refused = second(&["--target", "manual"]).fails(1);
    assert!(refused.contains("2.93.1 is not published to second, and a manual alone is for repairs only"), "{refused}");
    assert!(!release.release_dir().join("second/s3/local-docs/manual").exists(), "nothing was done");

    release.upload().ok();
    // As if that run had been killed at the very end: running it again writes the receipt.
    let key = release.object("local-releases/receipts/lix-2.93.1.json");
    fs::remove_file(&key).expect("there is one");
    let refused = second(&[]).fails(1);
    assert!(refused.contains("local has no receipt for it"), "{refused}");
    let stdout = release.release("verify", "local", &[]);
    assert!(stdout.stdout.contains("the upload did not finish, run it again"), "{}", stdout.stdout);
    assert_eq!(stdout.code, Some(1));
    release.upload().ok();
    let plan = release.release("plan", "second", &[]).ok();
    assert!(plan.contains("local has had it since 2"), "{plan}");
    second(&[]).ok();
    release.release("verify", "second", &[]).ok();
    let left = receipt(&release, "second");
    assert_eq!(left["record"], receipt(&release, "local")["record"]);
    assert!(left.get("skipped").is_none(), "{left}");

    // A complete release, or an invalid receipt, is repaired without asking the first environment.
    fs::remove_dir_all(release.release_dir().join("local")).expect("removed");
    let page = release.release_dir().join("second/s3/local-docs/manual/lix/stable/page-1.html");
    fs::write(&page, "damaged").expect("written");
    second(&["--target", "manual"]).ok();
    assert_ne!(fs::read_to_string(&page).expect("a page"), "damaged");
    second(&[]).ok();
    release.upload().ok();
    let receipt = release.release_dir().join("second/s3/local-releases/receipts/lix-2.93.1.json");
    fs::write(&receipt, "{}").expect("written");
    assert_eq!(release.release("verify", "second", &[]).code, Some(1));
    second(&[]).ok();
    release.release("verify", "second", &[]).ok();
}

#[test]
fn another_build_is_another_release_and_what_is_skipped_is_recorded() {
    let release = Release::new("2.93.1");
    with_second(&release);
    release.upload().ok();
    release.seal(&["x86_64-linux"], PAGES);
    let plan = |args: &[&str]| release.release("plan", "second", args);
    let mut shown = plan(&[]).ok();
    for reason in ["", " \n"] {
        shown += &plan(&["--skip-staging", reason]).fails(1);
    }
    shown += &release.release("plan", "local", &["--skip-staging", "why not"]).fails(1);
    shown += &plan(&["--target", "manual", "--skip-staging", "why not"]).fails(1);

    let args = ["--skip-staging", "local is down, and this cannot wait"];
    shown += &plan(&args).ok();
    expect![[r#"
        Lix 2.93.1 to second (patch)

        contents
          + releases lix/lix-2.93.1/               add 14 (28 kB)
          + releases lix/lix-2.93.1/SHA256SUMS.sig sign OBJECT
          + cache closures                         add 5 paths (1 kB unpacked)
          + docs manual/lix/2.93/                  add 8 (208 B): the newest release of 2.93 here
          + images release/second/images           push OBJECT (4 kB)

        git
          + branch release-2.93                    to OBJECT
          + tag 2.93.1                             to OBJECT

        pointers
          + releases manifest.nix                  to 2.93.1: the newest stable release here
          + docs manual/lix/stable/                add 8 (208 B): the newest stable release here
          + image release/second/images:2.93.1     to OBJECT
          + image release/second/images:2.93       to OBJECT: the newest release of 2.93 here
          + image release/second/images:latest     to OBJECT: the newest stable release here

        receipt
          ! releases receipts/lix-2.93.1.json      refused: local has another build of it: its receipt is for release.json OBJECT, ours is OBJECT (`--skip-staging REASON` continues without it; the reason is recorded)

        plan DIGEST
        error: cannot plan the publication
          `--skip-staging` needs a reason, which is recorded
        error: cannot plan the publication
          `--skip-staging` needs a reason, which is recorded
        error: cannot plan the publication
          local does not require another environment: leave out `--skip-staging`
        error: cannot plan the publication
          `--target manual` does not require another environment: leave out `--skip-staging`
        Lix 2.93.1 to second (patch)

        contents
          + releases lix/lix-2.93.1/               add 14 (28 kB)
          + releases lix/lix-2.93.1/SHA256SUMS.sig sign OBJECT
          + cache closures                         add 5 paths (1 kB unpacked)
          + docs manual/lix/2.93/                  add 8 (208 B): the newest release of 2.93 here
          + images release/second/images           push OBJECT (4 kB)

        git
          + branch release-2.93                    to OBJECT
          + tag 2.93.1                             to OBJECT

        pointers
          + releases manifest.nix                  to 2.93.1: the newest stable release here
          + docs manual/lix/stable/                add 8 (208 B): the newest stable release here
          + image release/second/images:2.93.1     to OBJECT
          + image release/second/images:2.93       to OBJECT: the newest release of 2.93 here
          + image release/second/images:latest     to OBJECT: the newest stable release here

        receipt
          + releases receipts/lix-2.93.1.json      without local: local is down, and this cannot wait

        plan DIGEST
    "#]].assert_eq(&release.neutral(&shown));
    release.release("upload", "second", &[&["--noconfirm"], &args[..]].concat()).ok();
    let left = receipt(&release, "second");
    assert_eq!(left["skipped"]["environment"], "local");
    assert_eq!(left["skipped"]["reason"], "local is down, and this cannot wait");
    // What is done stays done, whatever the first environment has.
    release.release("upload", "second", &["--noconfirm"]).ok();
    release.release("verify", "second", &[]).ok();
}
