//! What is not published: without consent, not as it was built, or where it would take something from users.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use expect_test::expect;

use crate::release::{PAGES, Release, SYSTEMS};

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
    // The plan is shown, however quiet the rest is.
    let (_, said) = answer("yes\n", &["--quiet"]);
    let mut shown = said;
    shown += &release.release("upload", "local", &["--quiet", "--plan", &"0".repeat(64)]).fails(1);
    release.configure(|text| text.replacen("noconfirm = true", "noconfirm = false", 1));
    shown += &release.release("upload", "local", &["--quiet", "--noconfirm"]).fails(1);
    expect![[r#"
        Lix 2.93.1 to local (patch)

        contents
          + releases lix/lix-2.93.1/               add 14 (28 kB)
          + releases lix/lix-2.93.1/SHA256SUMS.sig sign OBJECT
          + cache closures                         add 10 paths (3 kB unpacked)
          + docs manual/lix/2.93/                  add 8 (208 B): the newest release of 2.93 here
          + images release/local/images            push OBJECT (4 kB)

        git
          + branch release-2.93                    to OBJECT
          + tag 2.93.1                             to OBJECT

        pointers
          + releases manifest.nix                  to 2.93.1: the newest stable release here
          + docs manual/lix/stable/                add 8 (208 B): the newest stable release here
          + image release/local/images:2.93.1      to OBJECT
          + image release/local/images:2.93        to OBJECT: the newest release of 2.93 here
          + image release/local/images:latest      to OBJECT: the newest stable release here

        receipt
          + releases receipts/lix-2.93.1.json      says that everything is done

        plan DIGEST

        To go on, type: I want to release this to local
        > error: the upload is not finished
          nothing was done, because the answer was not `I want to release this to local`
        error: the upload is not finished
          the plan is now DIGEST, but DIGEST was agreed to: read the plan again
        error: the upload is not finished
          local does not allow `--noconfirm`: type the sentence, or agree to a plan with `--plan DIGEST`
    "#]]
    .assert_eq(&release.neutral(&shown));
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
          TREE/release/artifacts/manifest.nix is neither a file nor a directory: it cannot be published
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
    let refused = release.release("upload", "local", &["--noconfirm", "--quiet"]).fails(1);
    let plan = release.release("plan", "local", &[]).ok();
    expect![[r#"
        Lix 2.93.1 to local (patch)

        contents
          ! releases lix/lix-2.93.1/               refused: SHA256SUMS is published with different content and must never change: published DIGEST, ours DIGEST
              lix-2.93.1.intoto.json is published with different content and must never change: published DIGEST, ours DIGEST
              manifest.nix is published with different content and must never change: published DIGEST, ours DIGEST
              release.json is published with different content and must never change: published DIGEST, ours DIGEST
          ~ releases lix/lix-2.93.1/SHA256SUMS.sig sign again OBJECT
          = cache closures                         nothing to do
          = docs manual/lix/2.93/                  nothing to do
          = images release/local/images            nothing to do

        git
          = branch release-2.93                    nothing to do
          = tag 2.93.1                             nothing to do

        pointers
          ! releases manifest.nix                  refused: aarch64-linux disappears, and its users get no more upgrades: if that is right, add `--drop-system aarch64-linux`
          = docs manual/lix/stable/                nothing to do
          = image release/local/images:2.93.1      nothing to do
          = image release/local/images:2.93        nothing to do
          = image release/local/images:latest      nothing to do

        receipt
          ~ releases receipts/lix-2.93.1.json      says that everything is done

        plan DIGEST
        error: the upload is not finished
          this plan cannot be carried out:
          releases lix/lix-2.93.1/: SHA256SUMS is published with different content and must never change: published DIGEST, ours DIGEST
          releases lix/lix-2.93.1/: lix-2.93.1.intoto.json is published with different content and must never change: published DIGEST, ours DIGEST
          releases lix/lix-2.93.1/: manifest.nix is published with different content and must never change: published DIGEST, ours DIGEST
          releases lix/lix-2.93.1/: release.json is published with different content and must never change: published DIGEST, ours DIGEST
          releases manifest.nix: aarch64-linux disappears, and its users get no more upgrades: if that is right, add `--drop-system aarch64-linux`
    "#]].assert_eq(&release.neutral(&(plan + &refused)));
    release.release("verify", "local", &[]).ok();
}

#[test]
fn a_manual_that_shrinks_or_loses_a_system_needs_a_word() {
    let first = Release::new("2.93.1");
    first.upload().ok();
    let next = Release::tagged("2.93.2");
    next.share(&first);
    next.seal(&["x86_64-linux"], 2);
    let refused = next.release("upload", "local", &["--noconfirm", "--quiet"]).fails(1);
    expect![[r#"
        error: the upload is not finished
          this plan cannot be carried out:
          docs manual/lix/2.93/, docs manual/lix/stable/: ours has 2 files, and 8 are live: if that is right, add `--allow-shrink`
          releases manifest.nix: aarch64-linux disappears, and its users get no more upgrades: if that is right, add `--drop-system aarch64-linux`
    "#]].assert_eq(&next.neutral(&refused));
    let args = ["--noconfirm", "--allow-shrink", "--drop-system", "aarch64-linux", "--force-push-tag"];
    next.release("upload", "local", &args).ok();
    next.release("verify", "local", &[]).ok();
    assert!(!first.object("local-docs/manual/lix/stable/page-7.html").exists(), "what is gone is deleted");
}
