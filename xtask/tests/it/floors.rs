//! The floors of the house, in all its packages: an upper one may use lower ones, never the reverse.

use std::fs;
use std::path::Path;

use expect_test::expect;

/// The floors of a package, from the bottom. A file in one of these directories (or of this name) may not name a later
/// one.
const HOUSES: [(&str, &[&str]); 2] =
    [("src", &["tools", "phases", "cli"]), ("publish/src", &["domain", "tools", "phases"])];

/// The pure floors.
const PURE: [&str; 2] = ["domain/src", "publish/src/domain"];

/// What a pure floor may not mention at all.
const EFFECTS: [&str; 8] =
    ["std::fs", "std::process", "std::net", "std::env", "std::time", "xshell", "tokio", "::now()"];

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
                assert!(text.starts_with("//!"), "{}: says nothing about what it owns", path.display());
            });
        }
    }
    assert!(seen > 100, "the source was not found");
}

#[test]
fn the_domain_is_pure() {
    let mut seen = 0;
    for floor in PURE {
        visit(&at(floor), &mut |path, text| {
            seen += 1;
            for effect in EFFECTS {
                assert!(!text.contains(effect), "{}: the domain is pure and cannot use `{effect}`", path.display());
            }
            assert!(text.starts_with("//!"), "{}: says nothing about what it owns", path.display());
        });
    }
    assert!(seen > 50, "the source was not found");
    // A crate that is added here must be as pure.
    let manifest = fs::read_to_string(at("domain/Cargo.toml")).expect("the domain's manifest");
    let dependencies = manifest.split_once("[dependencies]").and_then(|(_, rest)| rest.split_once("\n\n"));
    expect![[r#"

        saphyr-parser.workspace = true
        semver.workspace = true
        serde.workspace = true
        serde_json.workspace = true
        strsim.workspace = true
        toml.workspace = true"#]]
    .assert_eq(dependencies.expect("a table").0);
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
