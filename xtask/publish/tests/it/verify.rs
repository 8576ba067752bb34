//! `release verify`: things that cannot be checked are not reported as broken, and do not hide the rest.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Result;
use expect_test::expect;

use crate::cache::is_gone;
use crate::edge::World;
use crate::release::Release;
use crate::repo::{Ran, make_executable};

/// The lines with these marks, without what varies.
fn lines(ran: &Ran, marks: &[&str]) -> String {
    let wanted = |line: &&str| marks.iter().any(|mark| line.starts_with(mark));
    ran.stdout.lines().filter(wanted).map(|line| line.to_owned() + "\n").collect()
}

/// Puts a program called `nix` first on `PATH`.
fn with_nix(release: &Release, script: &str) -> String {
    let bin = release.repo.beside("bin");
    fs::create_dir_all(&bin).expect("made");
    fs::write(bin.join("nix"), format!("#!/bin/sh\n{script}\n")).expect("written");
    make_executable(&bin.join("nix"));
    format!("{bin}:{}", std::env::var("PATH").expect("a path"))
}

#[test]
fn a_target_that_cannot_be_asked_is_one_line_and_the_rest_is_verified() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    // Neither the images nor the remote can be read.
    release.configure(|text| text.replacen("oci:release/local/images", "docker://127.0.0.1:1/lix", 1));
    let git = release.release_dir().join("local/git");
    fs::remove_dir_all(&git).expect("removed");
    fs::create_dir(&git).expect("made");
    fs::write(git.join("HEAD"), "garbage").expect("written");
    fs::write(release.object("local-releases/lix/lix-2.93.1/lix-2.93.1.tar.gz"), "damaged").expect("written");

    let ran = release.release("verify", "local", &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    // What skopeo and git say of it is theirs.
    let marked = |line: &str| line.split(" could not be checked").next().unwrap_or_default().trim_end().to_owned();
    let shown: Vec<String> = ran.stdout.lines().map(marked).collect();
    let last = ran.stderr.lines().last().unwrap_or_default();
    expect![[r#"
        ok     releases lix/lix-2.93.1/SHA256SUMS.sig by lix-rehearsal
        broken releases lix/lix-2.93.1/           lix-2.93.1.tar.gz is not what was released: 7 bytes with SHA-256 DIGEST, expected 21000 with DIGEST; affects everyone who downloads it
        ok     releases lix/lix-2.93.1/manifest.nix names what was built
        ok     cache closures                     10 paths, 1 kB compressed, by name and size; --deep downloads them
        ok     cache, as Nix reads it             signed
        ok     docs manual/lix/2.93/              8 pages of 2.93.1
        ?      images 127.0.0.1:1/lix
        note   install lix/lix-2.93.1/            has no installers yet: `cargo xtask release installer` publishes them
        ?      branch
        ?      tag 2.93.1
        ok     releases manifest.nix              is on 2.93.1
        ok     docs manual/lix/stable/            8 pages of 2.93.1
        ?      image 127.0.0.1:1/lix:2.93.1
        ?      image 127.0.0.1:1/lix:2.93
        ?      image 127.0.0.1:1/lix:latest
        note   install lix/lix-installer-*        should lead to 2.93.1, which has no installers
        ok     releases receipts/lix-2.93.1.json  is for release.json OBJECT
        failed: 2.93.1 in local: 1 broken, and not everything could be checked (6 unknown)"#]].assert_eq(&release.neutral(&(shown.join("\n") + "\n" + last)));

    // It takes a minute to give up on that registry; the remote is enough to ask about.
    release.configure(|text| text.replacen("docker://127.0.0.1:1/lix", "oci:release/local/images", 1));
    let json = release.release("verify", "local", &["--json"]);
    assert_eq!(json.code, Some(1));
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    let unknown = |entry: &&serde_json::Value| entry["unknown"].as_array().is_some_and(|unknown| !unknown.is_empty());
    let entries = json.as_array().expect("a list");
    assert_eq!(entries.iter().filter(unknown).count(), 2, "{json:#}");
    assert!(
        entries.iter().filter(unknown).all(|entry| entry["good"] == false && entry["broken"] == serde_json::json!([]))
    );
}

#[test]
fn what_ails_nix_itself_is_not_a_broken_cache_and_stops_no_rollback() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let run = |phase: &str, args: &[&str], script: &str| {
        let path = with_nix(&release, script);
        Ran::from(release.command(phase, "local", args).env("PATH", path).output().expect("the tool runs"))
    };
    let full = "echo 'error: cannot open SQLite database: database or disk is full' >&2; exit 1";
    let ran = run("verify", &[], full);
    assert_eq!(ran.code, Some(1));
    expect![[r#"
        ?      cache, as Nix reads it             could not be checked: Nix could not verify the cache (exit status: 1), for a reason other than its contents: error: cannot open SQLite database: database or disk is full
    "#]]
    .assert_eq(&lines(&ran, &["broken", "?"]));
    assert!(
        ran.stderr.ends_with("not everything could be checked (1 unknown); the rest is what was released\n"),
        "{}",
        ran.stderr
    );
    let ran = run("rollback", &["--to", "2.93.1", "--noconfirm"], full);
    assert!(
        ran.stderr.contains("Nix could not verify the cache") && !ran.stderr.contains("another version"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");

    // Nix's objections to the cache still count.
    let modified = "echo \"path '/nix/store/x' was modified! expected hash 'a', got 'b'\" >&2; exit 1";
    let ran = run("verify", &[], modified);
    assert!(lines(&ran, &["broken"]).contains("was modified"), "{}", ran.stdout);
    assert_eq!(lines(&ran, &["?"]), "");
}

#[test]
fn a_rollback_looks_at_where_it_goes_and_at_nothing_else() {
    let old = Release::new("2.93.1");
    old.upload().ok();
    let new = Release::new("2.93.2");
    new.share(&old);
    new.upload().ok();
    // Everything that is left of the release is damaged, and the remote is gone.
    let record = old.object("local-releases/lix/lix-2.93.2/release.json");
    let text = fs::read_to_string(&record).expect("a record");
    fs::remove_file(old.object("local-docs/manual/lix/2.93/index.html")).expect("removed");
    for damage in ["garbage".to_owned(), text.replace("2.93.2", "2.93.3"), String::new()] {
        fs::write(&record, damage).expect("written");
        let ran = old.release("rollback", "local", &["--to", "2.93.1", "--dry-run"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let ran = old.release("verify", "local", &["2.93.2"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(lines(&ran, &["broken"]).contains("lix-2.93.2/release.json"), "{ran:?}");
        // Everything of the older version is checked, and pointers lead to something that is not proven.
        let ran = old.release("verify", "local", &["2.93.1"]);
        assert!(lines(&ran, &["broken"]).contains("should lead to 2.93.2, which is not proven: "), "{ran:?}");
    }
    // Only the version to go back to counts.
    fs::remove_file(old.object("local-releases/lix/lix-2.93.1/manual/page-1.html")).expect("removed");
    let error = old.release("rollback", "local", &["--to", "2.93.1", "--dry-run"]).fails(1);
    assert!(error.contains("2.93.1 is not complete in local"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_gets_what_changed_and_is_made_up_for() -> Result<()> {
    let release = Release::new("2.93.1");
    let _world = World::of(&release).await?;
    let (hook, taken, fails) =
        (release.repo.beside("purge"), release.repo.beside("taken"), release.repo.beside("fails"));
    fs::write(
        &hook,
        format!(
            "#!/bin/sh\nif test -e {fails}; then echo 'the edge says no'; exit 7; fi\n\
             test -z \"$AWS_SECRET_ACCESS_KEY\" || exit 8\ncat > {taken}\n"
        ),
    )?;
    make_executable(&hook);
    release.configure(|text| {
        text.replacen("noconfirm = true", &format!("noconfirm = true\npurge = [\"{hook}\", \"--all\"]"), 1)
    });
    let plan = release.release("plan", "local", &[]).ok();
    assert!(plan.contains(&format!("purge, once pointers have moved\n  {hook} gets ")), "{plan}");

    fs::write(&fails, "")?;
    let ran = release.upload();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let list = release.release_dir().join("purge-local.txt");
    let again = format!(
        "run the same command again, which repeats the purge, or: (cd {} && {hook} --all < {list})\n",
        release.repo.root
    );
    assert!(ran.stderr.contains("the edge says no") && ran.stderr.contains(&again), "{}", ran.stderr);
    assert!(!taken.exists());

    // Nothing is left to publish, but something to purge.
    fs::remove_file(&fails)?;
    let upload = || release.command("upload", "local", &["--noconfirm"]);
    Ran::from(upload().env("AWS_SECRET_ACCESS_KEY", "x").output()?).ok();
    let got = fs::read_to_string(&taken)?;
    let ends = [
        "/manifest.nix",
        "/manual/lix/stable/",
        "/manual/lix/2.93/index.html",
        "/lix/lix-2.93.1/SHA256SUMS",
        ".narinfo",
    ];
    for end in ends {
        assert!(got.lines().any(|line| line.starts_with("http://127.0.0.1:") && line.ends_with(end)), "{end}: {got}");
    }
    assert_eq!(got.lines().collect::<std::collections::BTreeSet<_>>().len(), got.lines().count(), "each once");
    assert!(!list.exists());
    fs::remove_file(&taken)?;
    release.upload().ok();
    assert!(!taken.exists(), "it is not run for nothing");

    // A signal ends the hook with its children; the next run repeats what it did not accept.
    let number = release.repo.beside("number");
    let script = fs::read_to_string(&hook)?;
    fs::write(&hook, format!("#!/bin/sh\nsleep 600 &\necho $! > {number}.new\nmv {number}.new {number}\nwait\n"))?;
    fs::write(&list, "http://127.0.0.1:1/manifest.nix\n")?;
    let mut running = xtask_test_support::heeding_ctrl_c(&upload()).stderr(Stdio::piped()).spawn()?;
    while !number.exists() {
        assert!(running.try_wait()?.is_none(), "it waits for the program");
        std::thread::sleep(Duration::from_millis(20));
    }
    xtask_test_support::send(running.id(), xtask_test_support::SIGINT);
    let stopped = Ran::from(running.wait_with_output()?);
    assert_eq!(stopped.code, Some(130), "{stopped:?}");
    assert!(stopped.stderr.contains("everything is published, and caches may show"), "{}", stopped.stderr);
    assert!(is_gone(fs::read_to_string(&number)?.trim()), "it goes on");
    fs::write(&hook, script)?;
    release.upload().ok();
    assert_eq!(fs::read_to_string(&taken)?, "http://127.0.0.1:1/manifest.nix\n");
    Ok(())
}

#[test]
fn what_a_newer_tool_wrote_is_not_broken_and_not_absent() {
    let (old, new) = (Release::new("2.93.1"), Release::new("2.93.2"));
    new.share(&old);
    old.upload().ok();
    new.upload().ok();
    let releases = |key: &str| old.object("local-releases").join(key);
    let newer = |key: &str| {
        let (path, found) = (releases(key), "\"format\": 1");
        let text = fs::read_to_string(&path).expect("an object");
        assert!(text.contains(found), "{text}");
        fs::write(&path, text.replacen(found, "\"format\": 2, \"more\": []", 1)).expect("written");
        text
    };
    let mut shown = String::new();
    let mut verify = |version: &str| {
        let ran = new.release("verify", "local", &[version]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        shown += &format!("{version}\n{}", lines(&ran, &["?", "broken"]));
        shown += &ran.stderr;
    };
    let receipt = newer("receipts/lix-2.93.2.json");
    fs::write(releases("withdrawn.json"), r#"{"format": 2}"#).expect("written");
    verify("2.93.2");
    let error = new.upload().fails(1);
    assert!(error.contains("withdrawn.json was made by a newer tool (format 2): use that tool"), "{error}");
    fs::remove_file(releases("withdrawn.json")).expect("removed");
    // The newer receipt is not overwritten, and counts: the release is published.
    let error = new.upload().fails(1);
    assert!(error.contains("receipts/lix-2.93.2.json") && error.contains("use that tool"), "{error}");
    assert!(old.release("plan", "local", &[]).ok().contains("2.93.2 is newer, and is published here"));
    fs::write(releases("receipts/lix-2.93.2.json"), receipt).expect("written");
    newer("lix/lix-2.93.2/release.json");
    verify("2.93.2");
    newer("lix/lix-2.93.1/release.json");
    verify("2.93.1");
    let error = old.release("rollback", "local", &["--to", "2.93.1", "--noconfirm"]).fails(1);
    assert!(error.contains("lix-2.93.1/release.json was made by a newer tool (format 2): use that tool"), "{error}");
    expect![[r#"
        2.93.2
        ?      releases withdrawn.json            could not be checked: s3://local-releases/withdrawn.json was made by a newer tool (format 2): use that tool
        ?      releases receipts/lix-2.93.2.json  could not be checked: it was made by a newer tool (format 2): use that tool
        failed: 2.93.2 in local: not everything could be checked (2 unknown); the rest is what was released
        2.93.2
        ?      releases lix/lix-2.93.2/release.json could not be checked: the published lix/lix-2.93.2/release.json was made by a newer tool (format 2): use that tool; nothing else can be checked without it
        failed: 2.93.2 in local could not be checked (1 unknown)
        2.93.1
        ?      releases lix/lix-2.93.1/release.json could not be checked: the published lix/lix-2.93.1/release.json was made by a newer tool (format 2): use that tool; nothing else can be checked without it
        failed: 2.93.1 in local could not be checked (1 unknown)
    "#]].assert_eq(&shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_leaves_nothing_behind_in_a_cache_and_what_it_shows_is_told_from_what_is_there() -> Result<()> {
    let release = Release::new("2.93.1");
    let world = World::of(&release).await?;
    let status = || release.repo.xtask(&["release", "status", "--config", release.config.as_str()]);
    status().ok();
    release.release("verify", "local", &[]).fails(1);
    assert_eq!(world.remembered_as_missing(), [""; 0], "before it is published");
    release.upload().ok();
    release.release("verify", "local", &[]).ok();
    let page = status().ok();
    assert!(page.contains("local        ✓ published as built"), "{page}");

    // The edges keep what they have, although the next release is published.
    let next = Release::new("2.93.2");
    world.share(&next, &release)?;
    next.upload().ok();
    let ran = next.release("verify", "local", &[]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(lines(&ran, &["broken", "?"]), "");
    let stale = lines(&ran, &["stale"]);
    let shows = "the bucket has 2.93.2; this address still shows 2.93.1 (Age 57, X-Cache HIT): wait, or purge\n";
    assert!(stale.contains(shows), "{stale}");
    assert!(stale.contains("index.html: the bucket has it as released; this address still shows different"), "{stale}");
    assert!(ran.stderr.contains("waiting: 2.93.2 in local is what was released, but a cache"), "{}", ran.stderr);
    world.forget();
    next.release("verify", "local", &[]).ok();

    // A fault in the bucket is broken, whatever an edge still shows; a cached 404 is only stale.
    let page = world.object("local-docs/manual/lix/stable/page-1.html");
    let text = fs::read_to_string(&page)?;
    fs::write(&page, "damaged")?;
    let ran = next.release("verify", "local", &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(lines(&ran, &["broken"]).contains("page-1.html in the bucket is not what was released"), "{}", ran.stdout);
    fs::remove_file(&page)?;
    let ran = next.release("verify", "local", &[]);
    assert!(lines(&ran, &["broken"]).contains("page-1.html is missing"), "{}", ran.stdout);
    fs::write(&page, text)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_cannot_be_bypassed_is_not_asked_for_what_is_not_there() -> Result<()> {
    let release = Release::new("2.93.1");
    let world = World::of(&release).await?;
    release.upload().ok();
    let next = Release::new("2.93.2");
    world.share(&next, &release)?;
    world.ignore_queries();
    let page = next.repo.xtask(&["release", "status", "--config", next.config.as_str()]).ok();
    assert!(page.contains("local        ? could not be checked: a cache in front of it ignores queries"), "{page}");
    assert_eq!(world.remembered_as_missing(), [""; 0]);

    // An address that does not answer is one line, and the rest is checked.
    world.answers("docs", Some(403));
    let ran = release.release("verify", "local", &[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        lines(&ran, &["?"]).contains("docs manual/lix/stable/") && lines(&ran, &["broken"]).is_empty(),
        "{}",
        ran.stdout
    );
    assert!(lines(&ran, &["ok"]).contains("releases manifest.nix"), "{}", ran.stdout);
    assert!(!world.take_asked("docs").is_empty());
    Ok(())
}

#[test]
fn what_is_there_besides_and_half_a_rollback_are_named() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    for key in ["local-releases/lix/lix-2.93.1/extra", "local-docs/manual/lix/stable/old.html"] {
        fs::write(release.object(key), "x").expect("written");
    }
    let ran = release.release("verify", "local", &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    expect![[r#"
        note   releases lix/lix-2.93.1/           1 more object: extra
        note   install lix/lix-2.93.1/            has no installers yet: `cargo xtask release installer` publishes them
        note   docs manual/lix/stable/            1 more object: old.html; not part of the manual of 2.93.1: its `upload` deletes it
        note   install lix/lix-installer-*        should lead to 2.93.1, which has no installers
        verified: 2.93.1 in local is what was released
    "#]].assert_eq(&(lines(&ran, &["note"]) + &ran.stderr));
    release.upload().ok();
    release.release("verify", "local", &[]).ok();
}
