//! Complete publications to the embedded environment: consent, refusals, resuming, damage, and the order of pointers.

mod verified;

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
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
          + releases lix/lix-2.93.1/          add 13 (24 kB)
          + cache closures                    add 10 paths (3 kB unpacked)
          + docs manual/lix/2.93/             add 8 (208 B): the newest release of 2.93 here
          + images release/local/images       push COMMIT (4 kB)

        git
          + branch release-2.93               to COMMIT
          + tag 2.93.1                        to COMMIT

        pointers
          + releases manifest.nix             to 2.93.1: the newest stable release here
          + docs manual/lix/stable/           add 8 (208 B): the newest stable release here
          + image release/local/images:2.93.1 to COMMIT
          + image release/local/images:2.93   to 5ce0d172743b: the newest release of 2.93 here
          + image release/local/images:latest to 5ce0d172743b: the newest stable release here

        receipt
          + releases receipts/lix-2.93.1.json says that everything is done"#]]
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
fn nothing_happens_without_consent_to_exactly_this() {
    let release = Release::new("2.93.1");
    let answer = |sentence: &str, args: &[&str]| {
        let mut child = release
            .command("upload", "local", args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the tool runs");
        child.stdin.take().expect("piped").write_all(sentence.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for wrong in ["", "yes\n", "I want to release this to production\n"] {
        let (code, said) = answer(wrong, &[]);
        assert_eq!(code, Some(1));
        assert!(said.contains("type: I want to release this to local") && said.contains("nothing was done"), "{said}");
    }
    let (_, said) = answer("yes\n", &["--quiet"]);
    assert!(said.starts_with("Lix 2.93.1") && said.contains("+ releases manifest.nix"), "the plan is shown: {said}");
    let error = release.release("upload", "local", &["--plan", &"0".repeat(64)]).fails(1);
    assert!(error.contains("read the plan again"), "{error}");
    release.configure(|text| text.replacen("noconfirm = true", "noconfirm = false", 1));
    let error = release.upload().fails(1);
    assert!(error.contains("does not allow `--noconfirm`"), "{error}");
    assert!(!release.object("local-releases/lix").exists());

    let plan = release.release("plan", "local", &["--json"]).ok();
    let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
    release.release("upload", "local", &["--plan", plan["digest"].as_str().expect("a digest")]).ok();
    let (code, _) = answer("I want to release this to local\n", &[]);
    assert_eq!(code, Some(0), "nothing is left to ask for");
}

#[test]
fn what_is_not_as_built_or_not_for_this_environment_is_refused() {
    let release = Release::new("2.93.1");
    let refused =
        |args: &[&str]| release.release("plan", "local", args).fails(1).replace(release.repo.root.as_str(), "TREE");
    let mut shown = Vec::new();

    fs::write(release.version_dir().join("extra"), "x").expect("written");
    fs::write(release.release_dir().join("manual/page-1.html"), "changed").expect("written");
    fs::write(release.version_dir().join("SHA256SUMS"), "wrong").expect("written");
    fs::remove_file(release.version_dir().join("manual/page-2.html")).expect("removed");
    release.repo.write("version.json", "dirty");
    shown.push(refused(&[]));
    release.repo.git(&["restore", "version.json"]);
    release.seal(&SYSTEMS, PAGES);

    // None of these is waited for, or hashed completely.
    let page = release.release_dir().join("manual/page-1.html");
    let text = fs::read(&page).expect("a page");
    fs::create_dir_all(release.release_dir().join("manual/empty/a")).expect("a directory");
    fs::File::create(&page).and_then(|file| file.set_len(200 << 30)).expect("a sparse file");
    shown.push(refused(&[]));
    fs::remove_dir_all(release.release_dir().join("manual/empty")).expect("removed");
    fs::write(&page, text).expect("written");
    for name in ["release.json", "artifacts/manifest.nix", "images/index.json", "manual"] {
        let (path, aside) = (release.release_dir().join(name), release.release_dir().join("aside"));
        fs::rename(&path, &aside).expect("moved");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo runs").success());
        shown.push(refused(&[]));
        fs::remove_file(&path).expect("removed");
        fs::rename(&aside, &path).expect("moved back");
    }
    let (there, elsewhere) = (release.release_dir(), release.repo.beside("elsewhere"));
    fs::rename(&there, &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, &there).expect("a link");
    shown.push(refused(&[]));
    fs::remove_file(&there).expect("removed");
    fs::rename(&elsewhere, &there).expect("moved back");

    release.repo.git(&["switch", "--quiet", "main"]);
    shown.push(refused(&[]));
    release.repo.git(&["switch", "--quiet", "--detach", "2.93.1"]);

    release.configure(|text| text.replacen("profiles = [\"all\", ", "profiles = [", 1));
    shown.push(refused(&[]));
    shown.push(release.release("plan", "nowhere", &[]).fails(1));
    fs::remove_file(release.release_dir().join("release.json")).expect("removed");
    shown.push(refused(&[]));
    let head = release.repo.git(&["rev-parse", "--short=12", "main"]);
    let shown = shown.join("").replace(&head, "MAIN").replace(release.repo.beside("").as_str(), "BESIDE/");
    let digests = |line: &str| {
        line.split(' ')
            .map(|word| if word.trim_end_matches(',').len() == 64 { "DIGEST" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    };
    let shown: Vec<String> = shown.lines().map(digests).collect();
    expect![[r#"
        error: cannot plan the publication
          TREE/release cannot be published as it is
          version.json has uncommitted changes: commit or stash them
          page-1.html has changed: built with 26 bytes, and now it has 7
          manual/page-2.html is missing
          extra was not built with the rest
          SHA256SUMS in the version directory does not match TREE/release/release.json
        error: cannot plan the publication
          TREE/release cannot be published as it is
          TREE/release/manual/empty/a is an empty directory, and was not built
          page-1.html has changed: built with 26 bytes, and now it has 214748364800
        error: cannot plan the publication
          TREE/release/release.json is not a regular file, but a pipe
        error: cannot plan the publication
          TREE/release/artifacts/manifest.nix is not a regular file, but a pipe
        error: cannot plan the publication
          TREE/release/images/index.json is not a regular file, but a pipe
        error: cannot plan the publication
          TREE/release/manual is a pipe, not the directory that was built: build it again
        error: cannot plan the publication
          TREE/release is a link, not the directory that was built: build it again
        error: cannot plan the publication
          TREE/release cannot be published as it is
          HEAD is at MAIN, but release/ was built from 2.93.1: `git switch --detach 2.93.1`
        error: cannot plan the publication
          release/ was built with profile all, but local accepts only x86_64-linux-only: build it with another `--profile`
        error: cannot plan the publication
          BESIDE/releng.toml: there is no environment `nowhere`: known environments are local, production, staging
        error: cannot plan the publication
          TREE/release/release.json does not exist: has `cargo xtask release build` finished?"#]]
    .assert_eq(&shown.join("\n"));
}

#[test]
fn what_is_published_never_changes() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    release.seal(&["x86_64-linux"], PAGES);
    let refused = release.upload().fails(1);
    assert!(refused.contains("manifest.nix is published with different content and must never change"), "{refused}");
    assert!(refused.contains("--drop-system aarch64-linux"), "{refused}");
    let plan = release.release("plan", "local", &[]).ok();
    assert!(plan.contains("! releases lix/lix-2.93.1/"), "{plan}");
    release.release("verify", "local", &[]).ok();
}

#[test]
fn a_manual_that_shrinks_or_loses_a_system_needs_a_word() {
    let first = Release::new("2.93.1");
    first.upload().ok();
    let next = Release::tagged("2.93.2");
    next.share(&first);
    next.seal(&["x86_64-linux"], 2);
    let refused = next.upload().fails(1);
    assert!(
        refused.contains("ours has 2 files, and 8 are live") && refused.contains("--drop-system aarch64-linux"),
        "{refused}"
    );
    let args = ["--noconfirm", "--allow-shrink", "--drop-system", "aarch64-linux", "--force-push-tag"];
    next.release("upload", "local", &args).ok();
    next.release("verify", "local", &[]).ok();
    assert!(!first.object("local-docs/manual/lix/stable/page-7.html").exists(), "what is gone is deleted");
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
        Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).status().expect("kill runs");
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
    assert!(ran.stderr.contains("stays: 2.94.0 is published here and newer"), "{}", ran.stderr);
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
