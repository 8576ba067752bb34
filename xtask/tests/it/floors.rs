//! The floors of the house, in all its packages: an upper one may use lower ones, never the reverse.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

mod circles;
mod effects;
mod length;

/// The floors of a package, from the bottom. A file in one of these directories (or of this name) may not name a later
/// one.
const HOUSES: [(&str, &[&str]); 2] = [
    ("src", &["tools", "tree", "phases", "cli"]),
    ("publish/src", &["domain", "tools", "site", "acts", "delivery", "phases"]),
];

#[test]
fn no_floor_uses_one_above_it() {
    let mut seen = 0;
    for (house, floors) in HOUSES {
        for (height, floor) in floors.iter().enumerate() {
            visit(&at(house).join(floor), &mut |path, text| {
                seen += 1;
                for above in &floors[height + 1..] {
                    let names = [format!("crate::{above}"), format!("super::super::{above}")];
                    let used = names.iter().any(|name| text.contains(name));
                    assert!(!used, "{}: `{floor}` uses `{above}`, which stands above it", path.display());
                }
                // Only commands know the command line.
                if house != "src" && *floor != "phases" {
                    for above in ["xtask::cli", "xtask::phases"] {
                        assert!(!text.contains(above), "{}: `{floor}` uses `{above}`", path.display());
                    }
                }
                assert!(text.starts_with("//!"), "{}: says nothing about what it owns", path.display());
            });
        }
    }
    assert!(seen > 100, "the source was not found");
}

/// The nouns that programs are spoken to about. What a release is, and what of it goes where, is not among them.
const KNOWN_TO_TOOLS: [&str; 19] = [
    "amounts::",
    "build::",
    "cache::",
    "date::",
    "digest::",
    "environment::",
    // Its name alone: what is locked, and when, is not known to the lock.
    "layout::LOCK",
    "limits",
    "checks::entry::",
    "live_manifest::",
    "nix_hash::",
    "oid::",
    "problem::",
    "release::intent::",
    "release::tagging::",
    "serving::",
    "shown::",
    "store_path::",
    "system::",
];

/// The tools of each package, and how they name a domain.
const TOOLS: [(&str, &str); 3] = [
    ("src/tools", "crate::domain::"),
    ("publish/src/tools", "crate::domain::"),
    ("publish/src/tools", "xtask::domain::"),
];

#[test]
fn tools_know_no_policy() {
    let mut seen = 0;
    for (tools, domain) in TOOLS {
        let before = seen;
        visit(&at(tools), &mut |path, text| {
            for (_, noun) in text.lines().filter_map(|line| line.split_once(domain)) {
                seen += 1;
                let known = KNOWN_TO_TOOLS.iter().any(|known| noun.starts_with(known));
                assert!(known, "{}: no tool has to know of `{noun}`", path.display());
            }
        });
        assert!(seen > before, "{tools}: the source was not found");
    }
    assert!(seen > 35, "the source was not found");
}

/// Files of `verify` that no kind of act has: what is found, from where, and what building again proves.
const OF_VERIFY_ALONE: &[&str] = &["rebuild", "report", "sides"];

/// Files of `acts` that no kind of act has: the two matches, and what a release is published with.
const OF_ACTS_ALONE: &[&str] = &["mod", "delivery"];

#[test]
fn what_users_get_is_checked_without_what_publishes_it() {
    let mut seen = 0;
    for place in ["publish/src/phases/verify.rs", "publish/src/phases/verify"] {
        visit(&at(place), &mut |path, text| {
            seen += 1;
            for other in ["crate::acts", "crate::delivery", "super::super::acts", "super::super::delivery"] {
                assert!(!text.contains(other), "{}: `verify` shares nothing with `{other}`", path.display());
            }
        });
    }
    assert!(seen > 5, "the source was not found");
    // `verify` spells the list of acts a second time, on purpose.
    let names = |dir, alone: &[&str]| -> BTreeSet<String> {
        let (known, names): (Vec<_>, Vec<_>) =
            file_names(&at(dir)).into_iter().partition(|name| alone.contains(&name.as_str()));
        assert_eq!(known.len(), alone.len(), "{dir}");
        names.into_iter().collect()
    };
    assert_eq!(
        names("publish/src/phases/verify", OF_VERIFY_ALONE),
        names("publish/src/acts", OF_ACTS_ALONE),
        "each kind of act is checked in a file that is called as the one where it is applied"
    );
}

/// The floors of commands.
const PHASES: [&str; 2] = ["src/phases", "publish/src/phases"];

/// Files of these floors that are not a command.
const NOT_COMMANDS: [&str; 2] = [
    // The way to the commands of the other package.
    "publish", "mod",
];

/// Commands whose file has a different name.
const ELSEWHERE: [(&str, &str); 1] = [("train", "upload")];

#[test]
fn each_command_is_a_file_of_phases_and_each_file_a_command() {
    let help = |args: &[&str]| {
        let output = Command::new(crate::TOOL).args(args).arg("--help").output().expect("our own binary");
        let text = String::from_utf8(output.stdout).expect("text");
        let (_, commands) = text.split_once("Commands:\n").expect("commands");
        let (commands, _) = commands.split_once("\n\n").expect("options");
        let name = |line: &str| line.split_whitespace().next().map(str::to_owned);
        commands.lines().filter_map(name).filter(|name| name != "help").collect::<BTreeSet<String>>()
    };
    let mut commands: BTreeSet<String> = &help(&[]) | &help(&["release"]);
    assert!(commands.remove("release") && commands.len() > 15, "{commands:?}");
    for (command, file) in ELSEWHERE {
        assert!(commands.remove(command) && commands.contains(file), "`{command}` is a command of its own");
    }
    let files: BTreeSet<String> = PHASES.iter().flat_map(|floor| file_names(&at(floor))).collect();
    let missing: Vec<_> = commands.difference(&files).collect();
    assert!(missing.is_empty(), "no file of `phases` for the commands {missing:?}");
    for file in files.difference(&commands) {
        let known = NOT_COMMANDS.contains(&file.as_str());
        assert!(known, "phases/{file}.rs is not a command: its place is on a lower floor");
    }
}

fn file_names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.map(|file| file.file_stem().expect("a name").to_string_lossy().into_owned()).collect()
}

fn at(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn visit(path: &Path, check: &mut impl FnMut(&Path, &str)) {
    if let Ok(entries) = fs::read_dir(path) {
        for entry in entries.flatten() {
            visit(&entry.path(), check);
        }
    } else {
        let file = if path.extension().is_some() { path.to_owned() } else { path.with_extension("rs") };
        if file.extension().is_some_and(|extension| extension == "rs") {
            check(&file, &fs::read_to_string(&file).expect("a source file"));
        }
    }
}
