//! What `verify` says about a publication that is damaged, or older than records.

use std::fs;

use expect_test::expect;

use crate::release::{PAGES, Release};

#[test]
fn verify_names_what_is_broken_and_whom_it_affects() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let damage = |key: &str, content: Option<&str>| match content {
        Some(content) => fs::write(release.object(key), content).expect("written"),
        None => fs::remove_file(release.object(key)).expect("removed"),
    };
    damage("local-releases/lix/lix-2.93.1/lix-2.93.1.tar.gz", Some("damaged"));
    damage("local-releases/lix/lix-2.93.1/manual/page-3.html", None);
    damage("local-docs/manual/lix/2.93/page-1.html", Some("<p>Lix 2.93.1, page 2</p>\n"));
    damage("local-releases/manifest.nix", Some("{\n}\n"));
    release.repo.git(&["-C", "release/local/git", "tag", "--delete", "2.93.1"]);
    let ran = release.release("verify", "local", &[]);
    assert_eq!(ran.code, Some(1));
    let digests = |word: &str| if word.len() == 64 { "DIGEST".to_owned() } else { word.to_owned() };
    let shown: Vec<String> = ran.stdout.split(' ').map(|word| digests(word.trim_end_matches([';', ',']))).collect();
    let commit = release.repo.git(&["rev-parse", "--short=12", "2.93.1^{commit}"]);
    let record = fs::read(release.release_dir().join("release.json")).expect("a record");
    let record = xtask::tools::files::digest_of(&record).sha256.short();
    expect![[r#"
        ok     releases lix/lix-2.93.1/SHA256SUMS.sig by lix-rehearsal
        broken releases lix/lix-2.93.1/           lix-2.93.1.tar.gz is not what was released: 7 bytes with SHA-256 DIGEST expected 21000 with DIGEST affects everyone who downloads it
        broken releases lix/lix-2.93.1/           manual/page-3.html is missing affects everyone who downloads it
        ok     releases lix/lix-2.93.1/manifest.nix names what was built
        ok     cache closures                     10 paths 1 kB compressed by name and size --deep downloads them
        ok     cache as Nix reads it             signed
        broken docs manual/lix/2.93/              page-1.html is not what was released: 26 bytes with SHA-256 DIGEST expected 26 with DIGEST affects readers of manual/lix/2.93/
        ok     images release/local/images        5ce0d172743b for linux/arm64 linux/amd64
        note   install lix/lix-2.93.1/            has no installers yet: `cargo xtask release installer` publishes them
        ok     branch release-2.93                contains COMMIT merged back
        broken tag 2.93.1                         the remote does not have it affects everyone who builds from git
        broken releases manifest.nix              it does not lead to 2.93.1 the newest stable release here affects everyone who runs `nix upgrade-nix`
        ok     docs manual/lix/stable/            8 pages of 2.93.1
        ok     image release/local/images:2.93.1  is on 2.93.1
        ok     image release/local/images:2.93    is on 2.93.1
        ok     image release/local/images:latest  is on 2.93.1
        note   install lix/lix-installer-*        should lead to 2.93.1 which has no installers
        ok     releases receipts/lix-2.93.1.json  is for release.json RECORD
    "#]].assert_eq(&shown.join(" ").replace(&commit, "COMMIT").replace(&record, "RECORD"));

    let error = release.release("verify", "local", &["2.93.9"]);
    assert!(error.stdout.contains("it is not published"), "{}", error.stdout);
    assert_eq!(error.code, Some(1));
}

#[test]
fn versions_from_before_there_were_records_are_verified_by_their_digests() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    for name in ["release.json", "SHA256SUMS"] {
        fs::remove_file(release.object(&format!("local-releases/lix/lix-2.93.1/{name}"))).expect("removed");
    }
    let stdout = release.release("verify", "local", &["2.93.1"]).ok();
    expect![[r#"
        note   releases lix/lix-2.93.1/           has no release.json and no signature: files with a digest beside them are checked, and nothing proves those
        unproven releases lix/lix-2.93.1/           1 archive
    "#]]
    .assert_eq(&release.neutral(&stdout));
    fs::write(release.object("local-releases/lix/lix-2.93.1/lix-2.93.1.tar.gz"), "x").expect("written");
    assert_eq!(release.release("verify", "local", &["2.93.1"]).code, Some(1));
}

#[test]
fn half_a_publication_is_no_old_version() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    // The sums are sent first, and the record last.
    fs::remove_file(release.object("local-releases/lix/lix-2.93.1/release.json")).expect("removed");
    let ran = release.release("verify", "local", &[]);
    assert_eq!(ran.code, Some(1));
    expect![[r#"
        broken releases lix/lix-2.93.1/           its upload was begun, but is not finished: run `upload` again; affects everyone who finds it
        failed: 2.93.1 in local: 1 broken
    "#]].assert_eq(&release.neutral(&(ran.stdout + &ran.stderr)));
    release.upload().ok();
    release.release("verify", "local", &[]).ok();
}

#[test]
fn one_cause_is_told_in_a_few_lines() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    for page in 1..PAGES {
        fs::write(release.object(&format!("local-docs/manual/lix/stable/page-{page}.html")), "another")
            .expect("written");
    }
    let told = |args: &[&str]| {
        let ran = release.release("verify", "local", args);
        assert_eq!(ran.code, Some(1));
        ran.stdout.lines().filter(|line| line.starts_with("broken")).map(str::to_owned).collect::<Vec<_>>()
    };
    let few = told(&[]);
    assert_eq!(few.len(), 6, "{few:#?}");
    assert!(few[5].ends_with("and 2 more (`--verbose` lists them)"), "{}", few[5]);
    assert_eq!(told(&["--verbose"]).len(), PAGES - 1);
}
