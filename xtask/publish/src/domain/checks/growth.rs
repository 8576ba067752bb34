//! A release compared with the one before: closures, archives, images, pages and systems.

use std::collections::{BTreeMap, BTreeSet};

use xtask::domain::amounts::bytes_for_people as bytes;
use xtask::domain::build::record::{Closure, Record};
use xtask::domain::build::sbom::{self, Sbom};
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

/// What a closure consists of, by store path: as a bill of materials tells it, or an older tool's record.
pub type Contents = BTreeMap<StorePath, Item>;

/// A store path in a closure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub name: String,
    /// Empty if the name has none.
    pub version: String,
    pub bytes: u64,
    /// Names of the licenses that its derivation states; a record does not know them.
    pub licenses: BTreeSet<String>,
}

/// Returns what a bill of materials lists.
pub fn listed(sbom: &Sbom) -> Contents {
    let item = |part: &sbom::Part| Item {
        name: part.name.clone(),
        version: part.version.clone(),
        bytes: part.nar.size,
        licenses: part.description.licenses.iter().map(ToString::to_string).collect(),
    };
    sbom.parts.iter().map(|(path, part)| (path.clone(), item(part))).collect()
}

/// Returns what a record lists.
pub fn recorded(closure: &Closure) -> Contents {
    let item = |(path, bytes): (&StorePath, &u64)| {
        let (name, version) = path.name_and_version();
        let item =
            Item { name: name.to_owned(), version: version.to_owned(), bytes: *bytes, licenses: BTreeSet::new() };
        (path.clone(), item)
    };
    closure.iter().map(item).collect()
}

/// What a system's closure consists of, compared with the release before, by the names of paths without their versions.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Parts {
    pub new: Vec<String>,
    pub gone: Vec<String>,
    /// Other versions, or another size.
    pub changed: Vec<String>,
    /// Other licenses, where both releases state them.
    pub relicensed: Vec<String>,
}

impl Parts {
    /// Compares two closures.
    pub fn compare(before: &Contents, now: &Contents) -> Parts {
        let (before, now) = (by_name(before), by_name(now));
        let mut parts = Parts::default();
        let names: BTreeSet<&str> = before.keys().chain(now.keys()).copied().collect();
        for name in names {
            match (before.get(name), now.get(name)) {
                (None, Some(part)) => parts.new.push(part.line(name, &part.licensed())),
                (Some(part), None) => parts.gone.push(part.line(name, "")),
                (Some(was), Some(is)) => {
                    if (&was.versions, was.bytes) != (&is.versions, is.bytes) {
                        parts.changed.push(format!("{name} ({}) → ({})", was.numbers(), is.numbers()));
                    }
                    let stated = !was.licenses.is_empty() && !is.licenses.is_empty();
                    if stated && was.licenses != is.licenses {
                        parts.relicensed.push(format!("{name} ({}) → ({})", was.licensed(), is.licensed()));
                    }
                }
                (None, None) => {}
            }
        }
        parts
    }
}

/// All paths of one name in a closure.
#[derive(Debug, Default)]
struct Part<'a> {
    versions: BTreeSet<&'a str>,
    bytes: u64,
    licenses: BTreeSet<&'a str>,
}

impl Part<'_> {
    fn numbers(&self) -> String {
        let size = bytes(self.bytes);
        self.versions
            .iter()
            .copied()
            .filter(|text| !text.is_empty())
            .chain([size.as_str()])
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn licensed(&self) -> String {
        self.licenses.iter().copied().collect::<Vec<_>>().join(", ")
    }

    /// The line of a part, with something more to say.
    fn line(&self, name: &str, more: &str) -> String {
        let more = if more.is_empty() { String::new() } else { format!(", {more}") };
        format!("{name} ({}{more})", self.numbers())
    }
}

fn by_name(contents: &Contents) -> BTreeMap<&str, Part<'_>> {
    let mut parts: BTreeMap<&str, Part> = BTreeMap::new();
    for item in contents.values() {
        let part = parts.entry(&item.name).or_default();
        part.versions.insert(&item.version);
        part.bytes = part.bytes.saturating_add(item.bytes);
        part.licenses.extend(item.licenses.iter().map(String::as_str));
    }
    parts
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

    fn path(name: &str) -> StorePath {
        format!("/nix/store/{}-{name}", "a".repeat(32)).parse().expect("a store path")
    }

    fn closure(paths: &[(&str, u64)]) -> Contents {
        recorded(&paths.iter().map(|(name, size)| (path(name), *size)).collect())
    }

    #[test]
    fn what_a_closure_consists_of() {
        let before =
            closure(&[("lix-2.93.0", 50_000_000), ("boehm-gc-8.2.8", 700_000), ("openssl-3.0.1-bin", 9), ("x", 1)]);
        let mut now = closure(&[
            ("lix-2.93.1", 51_000_000),
            ("boehm-gc-8.2.8", 700_000),
            ("aws-sdk-cpp-1.11", 4_000_000),
            ("x", 2),
        ]);
        let licensed = |contents: &mut Contents, name: &str, license: &str| {
            let item = contents.get_mut(&path(name)).expect(name);
            item.licenses.insert(license.to_owned());
        };
        licensed(&mut now, "aws-sdk-cpp-1.11", "Apache-2.0");
        licensed(&mut now, "boehm-gc-8.2.8", "BSL-1.0");
        let Parts { new, gone, changed, relicensed } = Parts::compare(&before, &now);
        expect![[r#"
            [
                "aws-sdk-cpp (1.11, 4.0 MB, Apache-2.0)",
            ][
                "openssl (3.0.1-bin, 9 B)",
            ][
                "lix (2.93.0, 50.0 MB) → (2.93.1, 51.0 MB)",
                "x (1 B) → (2 B)",
            ][]"#]]
        .assert_eq(&format!("{new:#?}{gone:#?}{changed:#?}{relicensed:#?}"));

        let mut later = now.clone();
        licensed(&mut later, "boehm-gc-8.2.8", "MIT");
        licensed(&mut later, "x", "MIT");
        let Parts { relicensed, .. } = Parts::compare(&now, &later);
        assert_eq!(relicensed, ["boehm-gc (BSL-1.0) → (BSL-1.0, MIT)"]);
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
