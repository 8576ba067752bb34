//! A release compared with the one before: closures, archives, images, pages and systems.

use std::collections::{BTreeMap, BTreeSet};

use xtask::domain::amounts::bytes_for_people as bytes;
use xtask::domain::build::record::{Closure, Record};
use xtask::domain::layout::{MANUAL, SUMS};
use xtask::domain::store_path::StorePath;

/// How one number changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub what: String,
    pub before: u64,
    pub now: u64,
    pub unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Count,
}

impl Change {
    /// Growth in thousandths of what it was before; nothing that was empty is called grown.
    pub fn permille(&self) -> i64 {
        let (before, now) = (i128::from(self.before), i128::from(self.now));
        let permille = if before == 0 { 0 } else { (now - before) * 1000 / before };
        i64::try_from(permille).unwrap_or(i64::MAX)
    }

    /// Whether it grew by more than this many per cent.
    pub fn exceeds(&self, percent: u32) -> bool {
        let (before, now) = (u128::from(self.before), u128::from(self.now));
        before > 0 && now * 100 > before * (100 + u128::from(percent))
    }

    /// The change as a line.
    pub fn line(&self) -> String {
        let show = |number| match self.unit {
            Unit::Bytes => bytes(number),
            Unit::Count => number.to_string(),
        };
        let permille = self.permille();
        let (sign, size) = (if permille < 0 { '-' } else { '+' }, permille.unsigned_abs());
        format!("{}: {} → {} ({sign}{}.{} %)", self.what, show(self.before), show(self.now), size / 10, size % 10)
    }
}

/// What a system's closure consists of, compared with the release before, by the names of paths without their versions.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Parts {
    pub new: Vec<String>,
    pub gone: Vec<String>,
    pub changed: Vec<String>,
}

impl Parts {
    /// Compares two closures.
    pub fn compare(before: &Closure, now: &Closure) -> Parts {
        let (before, now) = (by_name(before), by_name(now));
        let mut parts = Parts::default();
        let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        for name in names {
            match (before.get(name), now.get(name)) {
                (None, Some(part)) => parts.new.push(part.line(name)),
                (Some(part), None) => parts.gone.push(part.line(name)),
                (Some(was), Some(is)) if was != is => {
                    parts.changed.push(format!("{name} {} → {}", was.numbers(), is.numbers()));
                }
                _ => {}
            }
        }
        parts
    }
}

/// All paths of one name in a closure.
#[derive(Debug, Default, PartialEq, Eq)]
struct Part {
    versions: BTreeSet<String>,
    bytes: u64,
}

impl Part {
    fn numbers(&self) -> String {
        let versions: Vec<&str> = self.versions.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        let versions = if versions.is_empty() { String::new() } else { versions.join(", ") + ", " };
        format!("({versions}{})", bytes(self.bytes))
    }

    fn line(&self, name: &str) -> String {
        format!("{name} {}", self.numbers())
    }
}

fn by_name(closure: &Closure) -> BTreeMap<String, Part> {
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    for (path, size) in closure {
        let (name, version) = name_and_version(path);
        let part = parts.entry(name).or_default();
        part.versions.insert(version);
        part.bytes = part.bytes.saturating_add(*size);
    }
    parts
}

/// Splits the name of a store path as Nix does: the version begins at the first `-` that is not followed by a letter.
fn name_and_version(path: &StorePath) -> (String, String) {
    let name = path.name();
    let begins =
        |(at, _): &(usize, &str)| name[at + 1..].chars().next().is_some_and(|next| !next.is_ascii_alphabetic());
    match name.match_indices('-').find(begins) {
        Some((at, _)) => (name[..at].to_owned(), name[at + 1..].to_owned()),
        None => (name.to_owned(), String::new()),
    }
}

/// Compares the numbers of two releases. `name` makes the names of files comparable: it removes the version.
pub fn changes(before: &Record, now: &Record) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut add = |what: String, before: u64, now: u64, unit| changes.push(Change { what, before, now, unit });
    for (system, build) in &now.builds {
        let size = |closure: &Closure| closure.values().fold(0, |sum: u64, size| sum.saturating_add(*size));
        let earlier = before.builds.get(system).map_or(0, |build| size(&build.closure));
        if !build.closure.is_empty() && earlier > 0 {
            add(format!("closure of {system}"), earlier, size(&build.closure), Unit::Bytes);
        }
    }
    let archives = |record: &Record| -> BTreeMap<String, u64> {
        let named = record.files.iter().filter(|(path, _)| !path.starts_with(MANUAL) && path.contains(".tar"));
        let named = named.filter(|(path, _)| !path.ends_with(".sha256") && *path != SUMS);
        named.map(|(path, facts)| (path.replacen(&record.version, "VERSION", 1), facts.size)).collect()
    };
    let (archives_before, archives_now) = (archives(before), archives(now));
    for (name, size) in &archives_now {
        if let Some(earlier) = archives_before.get(name) {
            add(name.clone(), *earlier, *size, Unit::Bytes);
        }
    }
    let pages = |record: &Record| record.manual().len() as u64;
    add("files of the manual".to_owned(), pages(before), pages(now), Unit::Count);
    changes
}

/// Systems that a release had and its successor does not.
pub fn lost_systems(before: &Record, now: &Record) -> Vec<String> {
    before.builds.keys().filter(|system| !now.builds.contains_key(system)).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn closure(paths: &[(&str, u64)]) -> Closure {
        let path = |name: &str| format!("/nix/store/{}-{name}", "a".repeat(32)).parse().expect("a store path");
        paths.iter().map(|(name, size)| (path(name), *size)).collect()
    }

    #[test]
    fn what_a_closure_consists_of() {
        let before =
            closure(&[("lix-2.93.0", 50_000_000), ("boehm-gc-8.2.8", 700_000), ("openssl-3.0.1-bin", 9), ("x", 1)]);
        let now = closure(&[
            ("lix-2.93.1", 51_000_000),
            ("boehm-gc-8.2.8", 700_000),
            ("aws-sdk-cpp-1.11", 4_000_000),
            ("x", 2),
        ]);
        let Parts { new, gone, changed } = Parts::compare(&before, &now);
        expect![[r#"
            [
                "aws-sdk-cpp (1.11, 4.0 MB)",
            ][
                "openssl (3.0.1-bin, 9 B)",
            ][
                "lix (2.93.0, 50.0 MB) → (2.93.1, 51.0 MB)",
                "x (1 B) → (2 B)",
            ]"#]]
        .assert_eq(&format!("{new:#?}{gone:#?}{changed:#?}"));
    }

    #[test]
    fn growth_is_judged_exactly() {
        let change = |before, now| Change { what: "x".to_owned(), before, now, unit: Unit::Count };
        assert!(!change(100, 110).exceeds(10) && change(1000, 1101).exceeds(10));
        assert!(!change(0, u64::MAX).exceeds(10) && change(u64::MAX / 2, u64::MAX).exceeds(10));
        expect!["x: 100 → 115 (+15.0 %)"].assert_eq(&change(100, 115).line());
        expect!["x: 3 → 2 (-33.3 %)"].assert_eq(&change(3, 2).line());
    }
}
