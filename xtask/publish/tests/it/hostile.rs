//! Hostile data, for every reader of what publishes: the table of readers and damages.
//!
//! By default, some cells of every row and column are tried. `RELENG_HOSTILE=PLACES` tries every cell, at so many
//! places.

use std::fs;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use xtask_test_support::hostile::{DAMAGES, KINDS, NASTY, Table, has_escaped, is_tried, places, put, suffered};

use crate::installers::installers;
use crate::release::Release;
use crate::repo::make_executable;

/// Two releases with installers, of which the newer is withdrawn; as seen from the newer one.
fn world() -> (Release, Release) {
    let (old, new) = (Release::new("2.93.1"), Release::new("2.93.2"));
    new.share(&old);
    for release in [&old, &new] {
        release.upload().ok();
        let dir = installers(release);
        release.release("installer", "local", &["--from", dir.as_str(), "--noconfirm"]).ok();
    }
    new.release("rollback", "local", &["--to", "2.93.1", "--noconfirm"]).ok();
    (old, new)
}

/// Commands that read what is published.
const COMMANDS: [(&str, &[&str]); 5] = [
    ("status", &[]),
    ("verify", &["2.93.2"]),
    ("plan", &[]),
    ("rollback", &["--to", "2.93.1", "--dry-run"]),
    ("upload", &["--noconfirm"]),
];

fn command(release: &Release, phase: &str, args: &[&str]) -> Command {
    let mut command = release.repo.command(&["release", phase, "--config", release.config.as_str()]);
    if phase != "status" {
        command.args(["--env", "local"]);
    }
    command.args(args);
    command
}

/// Copies a directory over another, which is emptied first.
fn restore(from: &Utf8Path, to: &Utf8Path) {
    fs::remove_dir_all(to).expect("removed");
    let copied = Command::new("cp").args(["-a", from.as_str(), to.as_str()]).status().expect("cp runs");
    assert!(copied.success());
}

/// Tries the damages of some files of a world.
fn try_all(old: &Release, new: &Release, files: &[(String, Utf8PathBuf)], every: usize, least: usize) {
    let (whole, kept) = (old.release_dir().join("local"), old.repo.beside("kept"));
    restore_into(&whole, &kept);
    let mut table = Table::default();
    let everything = std::env::var_os("RELENG_HOSTILE").is_some();
    for (row, (name, path)) in files.iter().enumerate() {
        let content = fs::read(path).expect(name);
        for (column, (damage, make)) in DAMAGES.iter().enumerate() {
            if !is_tried(row, column, every) {
                continue;
            }
            let mut tried = Vec::new();
            for place in 0..places() {
                let Some(damaged) = make(&content, place + row).filter(|damaged| !tried.contains(damaged)) else {
                    break;
                };
                for (number, (phase, args)) in COMMANDS.iter().enumerate() {
                    if !everything && number != (row + column) % COMMANDS.len() {
                        continue;
                    }
                    fs::write(path, &damaged).expect("written");
                    let mut bad = suffered(&mut command(new, phase, args));
                    if has_escaped(&new.repo.beside("")) {
                        bad.push("escapes".to_owned());
                    }
                    table.note(&format!("{name} by {phase}"), &format!("{damage} {place}"), bad);
                    if *phase == "upload" {
                        restore(&kept, &whole);
                    }
                    fs::write(path, &content).expect("written");
                }
                tried.push(damaged);
            }
        }
    }
    table.check(least);
}

fn restore_into(from: &Utf8Path, to: &Utf8Path) {
    fs::create_dir_all(to).expect("made");
    restore(from, to);
}

#[test]
fn what_buckets_hold_harms_nobody() {
    let (old, new) = world();
    let cache = old.object("local-cache");
    let first = |ending: &str| {
        let mut names: Vec<_> =
            cache.read_dir_utf8().expect("a cache").filter_map(|entry| Some(entry.ok()?.into_path())).collect();
        names.sort();
        names.into_iter().find(|path| path.as_str().ends_with(ending)).expect(ending)
    };
    let releases = |key: &str| (key.to_owned(), old.object("local-releases").join(key));
    fs::write(old.object("local-docs/release.lock"), include_str!("hostile/release.lock")).expect("written");
    let files = [
        releases("lix/lix-2.93.2/release.json"),
        releases("lix/lix-2.93.2/SHA256SUMS"),
        releases("lix/lix-2.93.2/SHA256SUMS.sig"),
        releases("lix/lix-2.93.2/lix-2.93.2.intoto.jsonl"),
        releases("lix/lix-2.93.2/VERIFY.md"),
        releases("lix/lix-2.93.1/release.json"),
        releases("receipts/lix-2.93.2.json"),
        releases("receipts/lix-2.93.1.json"),
        releases("withdrawn.json"),
        releases("receipts/withdrawn.json"),
        releases("manifest.nix"),
        ("release.lock".to_owned(), old.object("local-docs/release.lock")),
        ("installer.json".to_owned(), old.object("local-install/lix/lix-2.93.2/installer.json")),
        ("narinfo".to_owned(), first(".narinfo")),
        ("listing".to_owned(), first(".ls")),
        ("nix-cache-info".to_owned(), first("nix-cache-info")),
        ("images/index.json".to_owned(), old.release_dir().join("local/images/index.json")),
        ("git HEAD".to_owned(), old.release_dir().join("local/git/HEAD")),
        ("git config".to_owned(), old.release_dir().join("local/git/config")),
    ];
    try_all(&old, &new, &files, 9, 25);
}

/// Files of `release/`, and what is kept there for later runs.
const LOCAL: [&str; 10] = [
    "release.json",
    "tag.json",
    "artifacts/manifest.nix",
    "images/index.json",
    "images/oci-layout",
    "manual/index.html",
    "journal-local.jsonl",
    "receipt-local.json",
    "purge-local.txt",
    "local/cache.key",
];

#[test]
fn what_stands_in_release_harms_nobody() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let (dir, kept, outside) = (release.release_dir(), release.repo.beside("kept"), release.repo.beside("outside"));
    restore_into(&dir, &kept);
    fs::write(&outside, "outside").expect("written");
    let everything = std::env::var_os("RELENG_HOSTILE").is_some();
    let commands: [(&str, &[&str]); 3] = [("status", &[]), ("plan", &[]), ("upload", &["--noconfirm"])];
    let mut table = Table::default();
    for (row, name) in LOCAL.into_iter().enumerate() {
        let content = fs::read(dir.join(name)).unwrap_or_default();
        for column in 0..DAMAGES.len() + KINDS.len() {
            if !is_tried(row, column, 9) {
                continue;
            }
            for (number, (phase, args)) in commands.iter().enumerate() {
                if !everything && number != (row + column) % commands.len() {
                    continue;
                }
                let damage = match DAMAGES.get(column) {
                    Some((damage, make)) => {
                        let Some(damaged) = make(&content, row) else { continue };
                        fs::write(dir.join(name), damaged).expect("written");
                        *damage
                    }
                    None => {
                        let kind = KINDS[column - DAMAGES.len()];
                        put(kind, &dir.join(name), &outside);
                        kind
                    }
                };
                let mut bad = suffered(&mut command(&release, phase, args));
                if has_escaped(&release.repo.beside("")) || fs::read(&outside).is_ok_and(|text| text != b"outside") {
                    bad.push("escapes".to_owned());
                }
                table.note(&format!("{name} by {phase}"), damage, bad);
                restore(&kept, &dir);
            }
        }
    }
    table.check(20);
}

/// What other programs say instead of what they should: the program, a word in its command line, and the command.
const SAYINGS: [(&str, &str, &str); 5] = [
    ("git", "ls-remote", "plan"),
    ("git", "push", "upload"),
    ("skopeo", "inspect", "plan"),
    ("nix", "path-info", "plan"),
    ("nix-instantiate", "--eval", "verify"),
];

#[test]
fn what_programs_say_harms_nobody() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    fs::remove_dir_all(release.release_dir().join("local/s3/local-cache")).expect("removed");
    fs::write(release.object("local-releases/manifest.nix"), "{ x86_64-linux = toString 1; }").expect("written");
    // Other commits than ours, so that there is something to push.
    fs::remove_dir_all(release.release_dir().join("local/git")).expect("removed");
    release.push_images_to("127.0.0.1:1/lix", false);
    let (bin, says, kept) = (release.repo.beside("bin"), release.repo.beside("says"), release.repo.beside("kept"));
    restore_into(&release.release_dir(), &kept);
    fs::create_dir(&bin).expect("made");
    let path = std::env::var("PATH").expect("a PATH");
    let texts: [(&str, &[u8]); 5] = [
        ("escapes", NASTY.as_bytes()),
        ("not UTF-8", b"\xff\xfe\n"),
        ("deep", &[b'['; 100_000]),
        ("nothing", b""),
        ("endless", b""),
    ];
    let mut table = Table::default();
    for (row, (program, word, phase)) in SAYINGS.into_iter().enumerate() {
        for (column, (name, text)) in texts.into_iter().enumerate() {
            for (stream, to) in [("stdout", ""), ("stderr", ">&2; exit 1")] {
                if !is_tried(row, 2 * column + to.len() % 2, 3) {
                    continue;
                }
                fs::write(&says, text).expect("written");
                let say = if name == "endless" { "yes 0123456789012345678901234567890123456789" } else { "cat" };
                let says = if name == "endless" { "" } else { says.as_str() };
                let script = format!(
                    "#!/bin/sh\nfor word in \"$@\"; do test \"$word\" != {word} || {{ {say} {says} {to}; exit; }}; done\n\
                     PATH='{path}' exec {program} \"$@\"\n"
                );
                fs::write(bin.join(program), script).expect("written");
                make_executable(&bin.join(program));
                let args: &[&str] = if phase == "upload" { &["--noconfirm"] } else { &[] };
                let bad = suffered(command(&release, phase, args).env("PATH", format!("{bin}:{path}")));
                table.note(&format!("{program} {word} ({stream}) by {phase}"), name, bad);
                fs::remove_file(bin.join(program)).expect("ours");
                restore(&kept, &release.release_dir());
            }
        }
    }
    table.check(10);
}
