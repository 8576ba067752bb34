//! The floors of the house: an upper one may use lower ones, never the reverse.

use std::fs;
use std::path::Path;

/// From the bottom. A file in one of these directories (or of this name) may not name a later one.
const FLOORS: [&str; 4] = ["domain", "tools", "phases", "cli"];

/// What the pure floor may not mention at all.
const EFFECTS: [&str; 6] = ["std::fs", "std::process", "std::net", "std::env", "xshell", "::now()"];

#[test]
fn no_floor_uses_one_above_it() {
    let mut seen = 0;
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (height, floor) in FLOORS.iter().enumerate() {
        visit(&src.join(floor), &mut |path, text| {
            seen += 1;
            for above in &FLOORS[height + 1..] {
                let used =
                    text.contains(&format!("crate::{above}")) || text.contains(&format!("super::super::{above}"));
                assert!(!used, "{}: `{floor}` uses `{above}`, which stands above it", path.display());
            }
            if *floor == "domain" {
                for effect in EFFECTS {
                    assert!(!text.contains(effect), "{}: the domain is pure and cannot use `{effect}`", path.display());
                }
            }
            assert!(text.starts_with("//!"), "{}: says nothing about what it owns", path.display());
        });
    }
    assert!(seen > 10, "the source was not found");
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
