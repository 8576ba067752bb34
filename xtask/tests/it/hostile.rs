//! Hostile data, for every reader of the front door: the table of readers and damages.
//!
//! By default, some cells of every row and column are tried. `RELENG_HOSTILE=PLACES` tries every cell, at so many
//! places.

use std::fs;
use std::process::Command;

use xtask_test_support::hostile::{DAMAGES, KINDS, NASTY, Table, has_escaped, is_tried, places, put, suffered};

use crate::repo::{Repo, make_executable};

/// A reader: a file of the tree, whether it is read from a commit, and the commands that read it.
type Reader = (&'static str, bool, &'static [&'static [&'static str]]);

const NOTES: &[&str] = &["release", "notes"];
const CHECK: &[&str] = &["release", "notes", "--check"];
const PREPARE: &[&str] = &["release", "prepare", "--dry-run"];
const TAG: &[&str] = &["release", "tag", "--dry-run"];
const FINISH: &[&str] = &["release", "finish", "--dry-run"];
const BUILD: &[&str] = &["release", "build"];

const READERS: [Reader; 9] = [
    ("doc/manual/rl-next/one.md", false, &[NOTES, CHECK]),
    ("doc/manual/rl-next/one.md", true, &[PREPARE]),
    ("doc/manual/change-authors.yml", false, &[NOTES, CHECK]),
    ("doc/manual/src/SUMMARY.md", true, &[PREPARE]),
    ("doc/manual/src/release-notes/rl-2.93.md", true, &[PREPARE]),
    ("version.json", true, &[NOTES, PREPARE, TAG, FINISH]),
    ("release/tag.json", false, &[TAG, FINISH, BUILD]),
    ("release/release.json", false, &[FINISH]),
    ("releng.toml", false, &[CHECK, FINISH]),
];

/// A tree with everything that is read.
fn world() -> Repo {
    let repo = Repo::patch_release();
    let oid = "0123456789abcdef0123456789abcdef01234567";
    let record = format!(
        r#"{{"version":"2.93.1","tag_object":"{oid}","commit":"{oid}","tree":"{oid}","branch":"main","merge_commit":"{oid}"}}"#
    );
    repo.write("release/tag.json", &record);
    repo.write("release/release.json", include_str!("../../domain/tests/corpus/record/release.json"));
    repo.write("releng.toml", include_str!("../../releng.toml"));
    repo.commit_all("releng.toml");
    repo
}

fn command(repo: &Repo, args: &[&str]) -> Command {
    repo.command(&[args, &["--config", repo.root.join("releng.toml").as_str()]].concat())
}

#[test]
fn what_a_tree_holds_harms_nobody() {
    let repo = world();
    let clean = repo.git(&["rev-parse", "HEAD"]);
    let everything = std::env::var_os("RELENG_HOSTILE").is_some();
    let mut table = Table::default();
    for (row, (path, is_committed, commands)) in READERS.into_iter().enumerate() {
        let file = repo.root.join(path);
        let content = fs::read(&file).expect(path);
        for (column, (damage, make)) in DAMAGES.iter().enumerate() {
            if !is_tried(row, column, 6) {
                continue;
            }
            let mut tried = Vec::new();
            for place in 0..places() {
                let Some(damaged) = make(&content, place + row).filter(|damaged| !tried.contains(damaged)) else {
                    break;
                };
                fs::write(&file, &damaged).expect("written");
                if is_committed {
                    repo.commit_all("damaged");
                }
                for (number, args) in commands.iter().enumerate() {
                    if everything || number == (row + column) % commands.len() {
                        let mut bad = suffered(&mut command(&repo, args));
                        if has_escaped(&repo.beside("")) {
                            bad.push("escapes".to_owned());
                        }
                        // The difference has the text that was committed.
                        bad.retain(|what| *args != PREPARE || !what.starts_with("prints "));
                        table.note(&format!("{path} by {}", args[1..].join(" ")), &format!("{damage} {place}"), bad);
                    }
                }
                tried.push(damaged);
                repo.git(&["reset", "--quiet", "--hard", &clean]);
                fs::write(&file, &content).expect("written");
            }
        }
    }
    table.check(20);
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let repo = world();
    let outside = repo.beside("outside");
    fs::write(&outside, "outside").expect("written");
    let mut table = Table::default();
    let everything = std::env::var_os("RELENG_HOSTILE").is_some();
    for (row, (path, _, commands)) in READERS.into_iter().enumerate() {
        let copied = repo.copy();
        for (column, kind) in KINDS.into_iter().enumerate() {
            if !is_tried(row, column, 4) {
                continue;
            }
            let copy = copied.copy();
            put(kind, &copy.root.join(path), &outside);
            for (number, args) in commands.iter().enumerate() {
                if everything || number == (row + column) % commands.len() {
                    let bad = suffered(&mut command(&copy, args));
                    table.note(&format!("{path} by {}", args[1..].join(" ")), kind, bad);
                }
            }
            assert_eq!(fs::read(&outside).expect("there"), b"outside", "{path}, {kind}");
        }
    }
    table.check(20);
}

/// What other programs say instead of what they should: the program, the word in its command line, and whether that is
/// on stdout.
const SAYINGS: [(&str, &str, bool, &[&str]); 6] = [
    ("git", "for-each-ref", true, TAG),
    ("git", "for-each-ref", true, FINISH),
    ("git", "status", true, PREPARE),
    ("git", "ls-tree", true, PREPARE),
    ("nix", "eval", true, BUILD),
    ("nix", "eval", false, BUILD),
];

#[test]
fn what_programs_say_harms_nobody() {
    let repo = world();
    let (bin, says) = (repo.beside("bin"), repo.beside("says"));
    fs::create_dir(&bin).expect("made");
    let path = std::env::var("PATH").expect("a PATH");
    let endless = "yes '{\"attrPath\":[\"build\",\"x86_64-linux\"],'";
    let listed = format!("cat {says}");
    let mut table = Table::default();
    for (row, (program, word, on_stdout, args)) in SAYINGS.into_iter().enumerate() {
        let real = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().expect("sh runs").stdout;
        let real = String::from_utf8(real).expect("UTF-8");
        let texts: [(&str, &str, &[u8]); 5] = [
            ("escapes", &listed, NASTY.as_bytes()),
            ("not UTF-8", &listed, b"\xff\xfe\n"),
            ("deep", &listed, &[b'['; 100_000]),
            ("nothing", &listed, b""),
            ("endless", endless, b""),
        ];
        for (column, (name, command_line, text)) in texts.into_iter().enumerate() {
            // Git on this machine is believed about how much there is: only its remotes are not.
            if !is_tried(row, column, 2) || (name == "endless" && program == "git") {
                continue;
            }
            fs::write(&says, text).expect("written");
            let (to, status) = if on_stdout { ("", 0) } else { (">&2", 1) };
            let script = format!(
                "#!/bin/sh\nfor word in \"$@\"; do test \"$word\" != {word} || {{ {command_line} {to}; exit {status}; }}; done\n\
                 exec {} \"$@\"\n",
                real.trim()
            );
            fs::write(bin.join(program), script).expect("written");
            make_executable(&bin.join(program));
            let bad = suffered(command(&repo, args).env("PATH", format!("{bin}:{path}")));
            table.note(&format!("{program} {word} by {}", args[1..].join(" ")), name, bad);
            fs::remove_file(bin.join(program)).expect("ours");
        }
    }
    table.check(10);
}
