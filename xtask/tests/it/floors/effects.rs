//! What the domain may use: crates that only compute, and of the standard library what has no effect.

use std::collections::BTreeSet;
use std::fs;

use super::circles::{code, paths};
use super::{at, visit};

/// The pure floors, and the manifest of the package of each.
const PURE: [(&str, &str); 2] = [("domain/src", "domain/Cargo.toml"), ("publish/src/domain", "publish/Cargo.toml")];

/// What they may use of crates: a crate, or one part of it. A crate that is added here only computes.
const ALLOWED: [&str; 28] = [
    "base64::Engine",
    "base64::engine",
    "html5gum",
    "memchr",
    "percent_encoding",
    "ring::signature",
    "saphyr_parser",
    "semver",
    "serde",
    "serde_json",
    "sha2",
    "strsim",
    "toml",
    // Without the clock, which is a method of the first: see below.
    "time::OffsetDateTime",
    "time::serde",
    "url",
    "xtask::domain",
    "std::borrow",
    "std::cmp",
    "std::collections",
    "std::error",
    "std::fmt",
    "std::iter",
    "std::mem",
    "std::ops",
    "std::str",
    // Shared, and never changed.
    "std::sync::Arc",
    "std::vec",
];

/// What no part of them may say: the clock, the terminal, and what outlives a call.
const NEVER: [&str; 9] =
    ["::now", "now_utc", "now_local", "print!(", "println!(", "dbg!(", "thread_local!", "\nstatic ", "pub static "];

#[test]
fn the_domain_is_pure() {
    for (floor, manifest) in PURE {
        let crates = crates(manifest);
        assert!(crates.len() > 5, "{manifest}: {crates:?}");
        let roots: Vec<String> = crates.iter().map(|name| format!("{name}::")).collect();
        let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
        let (mut seen, mut used) = (0, 0);
        visit(&at(floor), &mut |path, text| {
            seen += 1;
            assert!(text.starts_with("//!"), "{}: says nothing about what it owns", path.display());
            let code = code(text);
            for word in NEVER {
                assert!(!code.contains(word), "{}: the domain is pure and cannot say `{word}`", path.display());
            }
            for found in paths(&code, &roots) {
                used += 1;
                let found = found.join("::");
                let is_in = |allowed: &str| found == allowed || found.starts_with(&format!("{allowed}::"));
                let allowed = ALLOWED.into_iter().any(is_in);
                assert!(allowed, "{}: the domain is pure and cannot use `{found}`", path.display());
            }
        });
        assert!(seen > 20 && used > 20, "the source was not found");
    }
}

/// The crates that a package may name: its dependencies, and the standard library.
fn crates(manifest: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(at(manifest)).expect("a manifest");
    let (_, rest) = text.split_once("\n[dependencies]\n").expect("dependencies");
    let (table, _) = rest.split_once("\n[").expect("another table");
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let names = lines.filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|name| !name.is_empty());
    names.chain(["std", "core", "alloc"]).map(|name| name.replace('-', "_")).collect()
}
