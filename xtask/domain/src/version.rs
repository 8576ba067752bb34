//! Version numbers: what they look like, how they compare, and which series they belong to.
//!
//! Owns the spellings Lix has used (`2.93.1`, `2.90.0-rc1`, `2.90-beta.1`, `2.96.0-dev`) and their order. Precedence
//! itself is semver's: each spelling is converted to a form that semver compares as people expect. What a release of a
//! version implies is in [`super::release`].

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::shown::excerpt;
use serde::{Deserialize, Serialize};

/// A version, as it is spelled in `version.json`, in tags and in artifact names.
///
/// `Display` returns the exact spelling. Equality compares spellings; order is by precedence, then by spelling, so the
/// two agree.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    text: String,
    /// `2.90-beta.1` as `2.90.0-beta.1`, `rc10` as `rc.10` (so that it follows `rc9`), `dev` as `0.dev` (so that it
    /// precedes every other pre-release).
    precedence: semver::Version,
}

impl Version {
    /// Returns the series, Lix's `MAJOR`: the first two components.
    pub fn series(&self) -> Series {
        Series { major: self.precedence.major, minor: self.precedence.minor }
    }

    /// Returns the third component; 0 if it is not spelled out.
    pub fn patch(&self) -> u64 {
        self.precedence.patch
    }

    /// Whether this is a release candidate, a beta or the like, or a tree between releases (`-dev`).
    pub fn is_pre_release(&self) -> bool {
        !self.precedence.pre.is_empty()
    }

    /// Whether this names a tree between two releases (`2.96.0-dev`), which is never released.
    pub fn is_dev(&self) -> bool {
        self.precedence.pre.as_str() == DEV
    }

    /// Returns the version after this one in its series: `2.93.2` for `2.93.1`.
    pub fn next_patch(&self) -> Version {
        let base = self.base().precedence;
        let precedence = semver::Version { patch: base.patch + 1, ..base };
        Version { text: precedence.to_string(), precedence }
    }

    /// Returns the version without its suffix: `2.90.0` for `2.90.0-rc1`, and for itself.
    pub fn base(&self) -> Version {
        let precedence = semver::Version { pre: semver::Prerelease::EMPTY, ..self.precedence.clone() };
        Version { text: precedence.to_string(), precedence }
    }
}

const DEV: &str = "0.dev";
/// Greatest number in a version: the next one can be computed from it.
const GREATEST: u64 = u32::MAX as u64;

impl FromStr for Version {
    type Err = VersionError;

    /// # Errors
    /// The text has none of the spellings above; the message says what is wrong and how to fix it.
    fn from_str(text: &str) -> Result<Version, VersionError> {
        let wrong = |why: &str| VersionError { text: text.to_owned(), why: why.to_owned() };
        if text.starts_with(['v', 'V']) {
            return Err(wrong("Lix's versions have no `v` in front"));
        }
        let (numbers, suffix) = match text.split_once('-') {
            Some((numbers, suffix)) => (numbers, Some(suffix)),
            None => (text, None),
        };
        let numbers = match (numbers.split('.').count(), suffix) {
            (3, _) => numbers.to_owned(),
            (2, Some(_)) => format!("{numbers}.0"),
            (2, None) => return Err(wrong("the third component is missing (a release is 2.93.0, its series 2.93)")),
            _ => return Err(wrong("expected three numbers, as in 2.93.1 or 2.93.0-rc1")),
        };
        let mut precedence = semver::Version::parse(&numbers)
            .map_err(|_| wrong("expected three numbers without leading zeros, as in 2.93.1"))?;
        if !precedence.build.is_empty() {
            return Err(wrong("build metadata (`+…`) is not used in Lix's versions"));
        }
        let semver::Version { major, minor, patch, .. } = precedence;
        if [major, minor, patch].into_iter().any(|number| number > GREATEST) {
            return Err(wrong("a number is greater than any version's"));
        }
        if let Some(suffix) = suffix {
            precedence.pre = pre_release(suffix).ok_or_else(|| {
                wrong("after the `-` comes `dev`, or a word and a number as in rc1, beta.1 (no leading zeros)")
            })?;
        }
        Ok(Version { text: text.to_owned(), precedence })
    }
}

/// `rc10`, `rc.10` → `rc.10`; `dev` → `0.dev`; anything else is not a suffix that Lix has used.
fn pre_release(suffix: &str) -> Option<semver::Prerelease> {
    if suffix == "dev" {
        return semver::Prerelease::new(DEV).ok();
    }
    let digits_at = suffix.find(|c: char| c.is_ascii_digit())?;
    let (word, number) = suffix.split_at(digits_at);
    let word = word.strip_suffix('.').unwrap_or(word);
    if word.is_empty() || !word.bytes().all(|b| b.is_ascii_lowercase()) || number.parse::<u64>().is_err() {
        return None;
    }
    semver::Prerelease::new(&format!("{word}.{number}")).ok()
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Version, VersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.text
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        self.precedence.cmp_precedence(&other.precedence).then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The first two components of a version, `2.93`: what Lix's documents call MAJOR.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    major: u64,
    minor: u64,
}

impl Series {
    /// Returns the series after this one: `2.94` for `2.93`.
    pub fn next(self) -> Series {
        Series { minor: self.minor + 1, ..self }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a version.
#[derive(Debug, PartialEq, Eq)]
pub struct VersionError {
    text: String,
    why: String,
}

impl fmt::Display for VersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a version: {}", excerpt(&self.text), self.why)
    }
}

impl std::error::Error for VersionError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().expect(text)
    }

    #[test]
    fn order_is_what_people_expect() {
        let ascending = [
            "2.90-beta.0",
            "2.90-beta.1",
            "2.90.0-rc1",
            "2.90.0-rc2",
            "2.90.0-rc9",
            "2.90.0-rc10",
            "2.90.0",
            "2.90.1",
            "2.90.9",
            "2.90.10",
            "2.91.0-dev",
            "2.91.0-beta.1",
            "2.91.0-rc1",
            "2.91.0",
            "2.100.0",
            "10.0.0",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(version(a).cmp(&version(b)), i.cmp(&j), "{a} and {b}");
            }
        }
    }

    #[test]
    fn parts() {
        let rc = version("2.90.0-rc1");
        assert_eq!(rc.series().to_string(), "2.90");
        assert!(rc.is_pre_release() && !rc.is_dev());
        assert_eq!(rc.base(), version("2.90.0"));
        assert!(version("2.96.0-dev").is_dev());
        assert!(!version("2.93.1").is_pre_release());
        assert_eq!(version("2.90-beta.1").to_string(), "2.90-beta.1");
        assert_eq!(version("2.90-beta.1").base(), version("2.90.0"));
    }

    #[test]
    fn what_is_not_a_version_is_refused_with_the_reason() {
        let messages: Vec<String> = [
            "",
            "2",
            "2.93",
            "v2.93.1",
            "2.93.01",
            "2.93.1.4",
            "2.93.1+build",
            "2.93.1-rc",
            "2.93.1-rc01",
            "2.93.1-RC1",
            "2.93.1-",
            "2.93.1-rc1-2",
            "99999999999999999999.0.0",
            "2.93.1\n",
            "２.93.1",
            "TBD",
        ]
        .iter()
        .map(|text| text.parse::<Version>().expect_err(text).to_string())
        .collect();
        expect_test::expect![[r#"
            `` is not a version: expected three numbers, as in 2.93.1 or 2.93.0-rc1
            `2` is not a version: expected three numbers, as in 2.93.1 or 2.93.0-rc1
            `2.93` is not a version: the third component is missing (a release is 2.93.0, its series 2.93)
            `v2.93.1` is not a version: Lix's versions have no `v` in front
            `2.93.01` is not a version: expected three numbers without leading zeros, as in 2.93.1
            `2.93.1.4` is not a version: expected three numbers, as in 2.93.1 or 2.93.0-rc1
            `2.93.1+build` is not a version: build metadata (`+…`) is not used in Lix's versions
            `2.93.1-rc` is not a version: after the `-` comes `dev`, or a word and a number as in rc1, beta.1 (no leading zeros)
            `2.93.1-rc01` is not a version: after the `-` comes `dev`, or a word and a number as in rc1, beta.1 (no leading zeros)
            `2.93.1-RC1` is not a version: after the `-` comes `dev`, or a word and a number as in rc1, beta.1 (no leading zeros)
            `2.93.1-` is not a version: after the `-` comes `dev`, or a word and a number as in rc1, beta.1 (no leading zeros)
            `2.93.1-rc1-2` is not a version: after the `-` comes `dev`, or a word and a number as in rc1, beta.1 (no leading zeros)
            `99999999999999999999.0.0` is not a version: expected three numbers without leading zeros, as in 2.93.1
            `2.93.1\n` is not a version: expected three numbers without leading zeros, as in 2.93.1
            `２.93.1` is not a version: expected three numbers without leading zeros, as in 2.93.1
            `TBD` is not a version: expected three numbers, as in 2.93.1 or 2.93.0-rc1"#]]
        .assert_eq(&messages.join("\n"));
    }

    fn any_version() -> impl Strategy<Value = Version> {
        let suffix = prop_oneof![
            Just(String::new()),
            Just("-dev".to_owned()),
            (0..12u64).prop_map(|n| format!("-rc{n}")),
            (0..12u64).prop_map(|n| format!("-beta.{n}")),
        ];
        (0..4u64, 0..12u64, 0..12u64, suffix).prop_map(|(a, b, c, suffix)| version(&format!("{a}.{b}.{c}{suffix}")))
    }

    proptest! {
        #[test]
        fn spelling_survives(v in any_version()) {
            prop_assert_eq!(v.to_string().parse::<Version>(), Ok(v));
        }

        #[test]
        fn order_agrees_with_equality_and_with_series(a in any_version(), b in any_version()) {
            prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b);
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a.series() < b.series() {
                prop_assert!(a < b);
            }
        }

        #[test]
        fn a_pre_release_precedes_its_release(v in any_version()) {
            prop_assert_eq!(v.is_pre_release(), v < v.base());
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = text.parse::<Version>();
        }
    }
}
