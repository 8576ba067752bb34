//! The dependencies that the front door and the publisher share are compiled only once.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Each crate of a package's build, with its features; one that also runs on the host may have two sets of them.
fn crates(package: &str) -> BTreeMap<String, BTreeSet<String>> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--quiet", "--locked", "--manifest-path", manifest, "--package", package])
        .args(["--edges", "normal,build", "--prefix", "none", "--no-dedupe", "--format", "{p}|{f}"])
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut crates = BTreeMap::<_, BTreeSet<_>>::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (name, features) = line.split_once('|').expect("a crate and its features");
        crates.entry(name.to_owned()).or_default().insert(features.to_owned());
    }
    crates
}

#[test]
fn a_crate_that_both_have_has_the_same_features_in_both() {
    let (ours, theirs) = (crates("xtask"), crates("xtask-publish"));
    assert!(ours.len() > 30 && theirs.len() > ours.len(), "{} and {} crates", ours.len(), theirs.len());
    for (name, features) in ours {
        let there = &theirs[&name];
        let missing =
            "is compiled twice: name it in xtask/Cargo.toml, with the features that what publishes needs of it";
        assert!(features.is_subset(there), "{name} {missing} ({features:?} and {there:?})");
    }
}
