//! Installers: compared with their names and their release, published once, and followed by those at the top.

use std::fs;

use std::process::Command;

use camino::Utf8PathBuf;
use expect_test::expect;

use crate::release::{Release, SYSTEMS};

/// The first bytes of an executable for one of [`SYSTEMS`], followed by the version.
fn executable(system: &str, version: &str) -> Vec<u8> {
    let machine = if system.starts_with("aarch64") { 183 } else { 62 };
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([3, 0, machine, 0]);
    file.extend(version.as_bytes());
    file
}

/// A directory of installers, beside the tree.
pub fn installers(release: &Release) -> Utf8PathBuf {
    let dir = release.repo.beside("installers");
    fs::create_dir_all(&dir).expect("made");
    for system in SYSTEMS {
        fs::write(dir.join(format!("lix-installer-{system}")), executable(system, &release.version)).expect("written");
    }
    dir
}

#[test]
fn published_once_verified_and_rolled_back() {
    let (old, new) = (Release::new("2.93.1"), Release::new("2.93.2"));
    new.share(&old);
    let install = |release: &Release, args: &[&str]| {
        let dir = installers(release);
        release.release("installer", "local", &[&["--from", dir.as_str()], args].concat())
    };
    let mut shown = install(&old, &["--noconfirm"]).fails(1);
    old.upload().ok();
    let receipt = old.object("local-releases/receipts/lix-2.93.1.json");
    let text = fs::read(&receipt).expect("a receipt");
    fs::remove_file(&receipt).expect("removed");
    shown += &install(&old, &["--noconfirm"]).fails(1);
    fs::write(&receipt, text).expect("written");

    shown += &install(&old, &[]).fails(1);
    // Two installers and their record.
    shown += &install(&old, &["--dry-run"]).ok();
    expect![[r#"
        error: the upload of the installers is not finished
          installers follow their release: 2.93.1 must be published to local first
          2.93.1 has no release.json here: it is not published, or an older tool published it
        error: the upload of the installers is not finished
          installers follow their release: 2.93.1 must be published to local first
          its upload is not finished: run `upload` again
        Lix 2.93.1 to local (patch)

        contents
          + install lix/lix-2.93.1/                   add 3 (399 B)
          + install lix/lix-2.93.1/installer.json.sig sign OBJECT

        pointers
          + install lix/lix-installer-*               add 3 (399 B): the newest stable release here

        plan DIGEST

        To go on, type: I want to release these installers to local
        > 
        error: the upload of the installers is not finished
          nothing was done, because there was no answer; without a terminal, agree with `--plan DIGEST`
        Lix 2.93.1 to local (patch)

        contents
          + install lix/lix-2.93.1/                   add 3 (399 B)
          + install lix/lix-2.93.1/installer.json.sig sign OBJECT

        pointers
          + install lix/lix-installer-*               add 3 (399 B): the newest stable release here

        plan DIGEST
    "#]]
    .assert_eq(&old.neutral(&shown));
    assert!(!old.object("local-install/lix").exists(), "nothing was done");
    install(&old, &["--noconfirm"]).ok();
    let top = |system: &str| fs::read(old.object(&format!("local-install/lix/lix-installer-{system}"))).expect(system);
    assert_eq!(top("x86_64-linux"), executable("x86_64-linux", "2.93.1"));
    let stdout = old.release("verify", "local", &[]).ok();
    assert!(stdout.contains("ok     install lix/lix-2.93.1/            2 installers"), "{stdout}");
    assert!(stdout.contains("ok     install lix/lix-installer-*        are on 2.93.1"), "{stdout}");
    let again = install(&old, &[]);
    assert!(!again.stderr.contains("  ok "), "{}", again.stderr);
    again.ok();

    // The newer release has no installers yet: `verify` says so, and those at the top stay.
    new.upload().ok();
    let stdout = new.release("verify", "local", &[]).ok();
    assert!(stdout.contains("note   install lix/lix-2.93.2/            has no installers yet"), "{stdout}");
    let again = install(&old, &["--dry-run"]).ok();
    assert!(
        again.contains("- install lix/lix-installer-*               stays: 2.93.2 is newer, and is published here"),
        "{again}"
    );
    install(&new, &["--noconfirm"]).ok();
    assert_eq!(top("aarch64-linux"), executable("aarch64-linux", "2.93.2"));

    old.release("rollback", "local", &["--to", "2.93.1", "--noconfirm"]).ok();
    assert_eq!(top("aarch64-linux"), executable("aarch64-linux", "2.93.1"));
    new.release("verify", "local", &["2.93.2"]).ok();

    // Published installers never change, and damage is named.
    let dir = installers(&old);
    fs::write(dir.join("lix-installer-x86_64-linux"), executable("x86_64-linux", "another")).expect("written");
    let error = old.release("installer", "local", &["--from", dir.as_str(), "--noconfirm"]).fails(1);
    assert!(error.contains("lix-installer-x86_64-linux is published with different content"), "{error}");
    fs::write(old.object("local-install/lix/lix-installer-x86_64-linux"), "damaged").expect("written");
    let ran = old.release("verify", "local", &["2.93.1"]);
    assert!(ran.stdout.contains("affects everyone who installs"), "{}", ran.stdout);
    assert_eq!(ran.code, Some(1));
}

/// Puts another installer everywhere, with a record that lists it, as someone would who can write to the bucket.
fn forge(release: &Release) {
    let name = "lix-installer-x86_64-linux";
    let at = |place: &str, name: &str| release.object(&format!("local-install/lix/{place}{name}"));
    let other = executable("x86_64-linux", "a back door");
    let record = fs::read_to_string(at("lix-2.93.1/", "installer.json")).expect("a record");
    let mut record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    let digest = xtask::tools::files::digest_of(&other);
    record["files"][name] = serde_json::to_value(digest).expect("JSON");
    for place in ["lix-2.93.1/", ""] {
        fs::write(at(place, name), &other).expect("written");
        fs::write(at(place, "installer.json"), record.to_string()).expect("written");
    }
}

#[test]
fn unsigned_installers_are_not_proven() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let install = || {
        let dir = installers(&release);
        release.release("installer", "local", &["--from", dir.as_str(), "--noconfirm"])
    };
    install().ok();
    let said = |ran: &crate::repo::Ran| {
        let lines = ran.stdout.lines().filter(|line| line.contains(" install ")).map(str::trim_end);
        release.neutral(&lines.fold(format!("{:?}\n", ran.code), |said, line| format!("{said}{line}\n")))
    };
    let verify = || said(&release.release("verify", "local", &[]));
    let mut log = verify();
    let signature = release.object("local-install/lix/lix-2.93.1/installer.json.sig");
    let genuine = fs::read(&signature).expect("a signature");
    fs::remove_file(&signature).expect("removed");
    log += &verify();
    // Those that were published before there were signatures are signed by the same command.
    install().ok();
    assert_eq!(fs::read(&signature).expect("a signature"), genuine);
    log += &verify();
    forge(&release);
    log += &verify();
    expect_test::expect![[r#"
        Some(0)
        ok     install lix/lix-2.93.1/            2 installers
        ok     install lix/lix-2.93.1/installer.json.sig by lix-rehearsal
        ok     install lix/lix-installer-*        are on 2.93.1
        Some(1)
        broken install lix/lix-2.93.1/            installer.json is not signed: `installer` with the same files signs it; affects everyone who installs this version
        broken install lix/lix-installer-*        installer.json is not signed: `installer` with the same files signs it; affects everyone who installs
        Some(0)
        ok     install lix/lix-2.93.1/            2 installers
        ok     install lix/lix-2.93.1/installer.json.sig by lix-rehearsal
        ok     install lix/lix-installer-*        are on 2.93.1
        Some(1)
        broken install lix/lix-2.93.1/            the signature of installer.json by lix-rehearsal is not of this content; affects everyone who installs this version
        broken install lix/lix-installer-*        the signature of installer.json by lix-rehearsal is not of this content; affects everyone who installs
    "#]].assert_eq(&log);
    let error = release.release("rollback", "local", &["--to", "2.93.1", "--noconfirm"]).fails(1);
    assert!(error.contains("2.93.1 is not complete in local"), "{error}");
    assert!(install().fails(1).contains("is published with different content"));
}

#[test]
fn what_is_no_installer_of_this_release_is_refused() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let dir = installers(&release);
    let file = |name: &str| dir.join(format!("lix-installer-{name}"));
    let refused = || {
        let ran = release.release("installer", "local", &["--from", dir.as_str(), "--noconfirm"]);
        ran.fails(1).replace(release.repo.scratch.path().to_str().expect("UTF-8"), "DIR")
    };
    fs::write(file("aarch64-darwin"), "x").expect("written");
    Command::new("mkfifo").arg(file("x86_64-darwin")).status().expect("mkfifo runs");
    fs::write(file("aarch64-linux"), "#!/bin/sh\n").expect("written");
    fs::rename(file("x86_64-linux"), dir.join("lix-installer-x86_64-linux.bak")).expect("renamed");
    expect_test::expect![[r#"
        error: the upload of the installers is not finished
          DIR/installers does not have the installers of 2.93.1
          lix-installer-aarch64-darwin: this release has no build for aarch64-darwin
          lix-installer-aarch64-linux is neither an ELF nor a 64-bit Mach-O executable
          lix-installer-x86_64-darwin: this release has no build for x86_64-darwin
          lix-installer-x86_64-linux is missing: the release has a build for it
    "#]]
    .assert_eq(&refused());
    fs::remove_dir_all(&dir).expect("removed");
    assert!(refused().contains("cannot read DIR/installers"));
    assert!(!release.object("local-install/lix").exists(), "nothing was done");
}

#[test]
fn a_system_that_is_dropped_keeps_its_last_installer() {
    let (old, new) = (Release::new("2.93.1"), Release::tagged("2.93.2"));
    new.share(&old);
    new.seal(&["x86_64-linux"], crate::release::PAGES);
    old.upload().ok();
    old.release("installer", "local", &["--from", installers(&old).as_str(), "--noconfirm"]).ok();
    new.release("upload", "local", &["--noconfirm", "--drop-system", "aarch64-linux"]).ok();
    let dir = installers(&new);
    fs::remove_file(dir.join("lix-installer-aarch64-linux")).expect("removed");
    let install =
        |args: &[&str]| new.release("installer", "local", &[&["--from", dir.as_str(), "--noconfirm"], args].concat());
    let error = install(&[]).fails(1);
    assert!(error.contains("aarch64-linux has an installer, but gets no new one"), "{error}");
    install(&["--drop-system", "aarch64-linux"]).ok();
    // It was already agreed to.
    install(&[]).ok();
    let top = |system: &str| fs::read(old.object(&format!("local-install/lix/lix-installer-{system}"))).expect(system);
    assert_eq!(top("x86_64-linux"), executable("x86_64-linux", "2.93.2"));
    assert_eq!(top("aarch64-linux"), executable("aarch64-linux", "2.93.1"));
    new.release("verify", "local", &[]).ok();
}

#[test]
fn a_pointer_that_waits_for_a_newer_release_is_not_done() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let begun = release.object("local-releases/lix/lix-2.93.2");
    fs::create_dir_all(&begun).expect("made");
    fs::write(begun.join("SHA256SUMS"), "").expect("written");
    let dir = installers(&release);
    let install = || release.release("installer", "local", &["--from", dir.as_str(), "--noconfirm"]);
    let error = install().fails(3);
    assert!(error.contains("waits  install lix/lix-installer-*: the upload of 2.93.2"), "{error}");
    assert!(error.ends_with("the installers of 2.93.1 are not completely published to local yet\n"), "{error}");
    assert!(release.object("local-install/lix/lix-2.93.1/installer.json").exists());
    assert!(!release.object("local-install/lix/installer.json").exists());

    fs::remove_dir_all(&begun).expect("removed");
    let ran = install();
    assert!(ran.stderr.contains("1 act, ") && ran.stderr.contains("done: the installers of 2.93.1"), "{}", ran.stderr);
    ran.ok();
    assert!(release.object("local-install/lix/installer.json").exists());
}
