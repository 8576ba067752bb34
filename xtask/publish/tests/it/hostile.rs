//! Hostile data, for every reader of what publishes: the table of readers and damages.
//!
//! By default, some cells of every row and column are tried. `RELENG_HOSTILE=all` tries every cell, at every place.

use std::fs;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use xtask_test_support::hostile::{DAMAGES, ESCAPED, Table, is_tried, places, suffered};

use crate::installers::installers;
use crate::release::Release;

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

/// Whether a name was made outside of its directory.
fn has_escaped(release: &Release) -> bool {
    let beside = release.repo.beside("");
    let found = Command::new("find")
        .args([beside.as_str(), "/tmp", "-name", ESCAPED])
        .args(["-maxdepth", "6", "-print", "-quit"])
        .output();
    !found.expect("find runs").stdout.is_empty()
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
                    if has_escaped(new) {
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
    try_all(&old, &new, &files, 6, 40);
}
