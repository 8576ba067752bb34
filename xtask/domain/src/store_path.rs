//! Store paths, and Nix's base 32, in which their names and hashes are written.
//!
//! Parsed once, strictly: a store path becomes an argument of Nix, where `#` and `^` have a meaning.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::shown::excerpt;

/// The only store whose paths are published: those of another store never match a user's.
pub const STORE: &str = "/nix/store";
/// Nix's digits: no e, o, t, u.
const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
/// Length of a SHA-256 in base 32.
pub const DIGEST_DIGITS: usize = 52;
/// Length of the part of a store path that makes it unique.
const HASH_DIGITS: usize = 32;
/// Longest name of a store path, without its hash.
const NAME_LENGTH: usize = 211;
/// Ending of the names of derivations.
const DRV: &str = ".drv";

/// A store path, by its name in the store.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StorePath(String);

impl StorePath {
    /// Reads `HASH-NAME`, as references are written.
    ///
    /// # Errors
    /// It is something else.
    pub fn of_base_name(text: &str) -> Result<StorePath, String> {
        let digits = |hash: &str| hash.len() == HASH_DIGITS && hash.bytes().all(|byte| DIGITS.contains(&byte));
        match text.split_once('-') {
            Some((hash, name)) if digits(hash) && is_name(name) => Ok(StorePath(text.to_owned())),
            _ => Err(format!("`{}` is not a store path", excerpt(text))),
        }
    }

    /// Reads `/nix/store/HASH-NAME`.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(path: &str) -> Result<StorePath, String> {
        let name = path.strip_prefix(STORE).and_then(|name| name.strip_prefix('/'));
        StorePath::of_base_name(name.ok_or_else(|| format!("`{}` is not in {STORE}", excerpt(path)))?)
    }

    pub fn hash(&self) -> &str {
        &self.0[..HASH_DIGITS]
    }

    /// Returns what follows the hash.
    pub fn name(&self) -> &str {
        &self.0[HASH_DIGITS + 1..]
    }

    /// Splits the name as Nix does: the version, which may be empty, begins at the first `-` that is not followed by a
    /// letter. But a name is never empty: Nix takes all of `-1` for a version.
    pub fn name_and_version(&self) -> (&str, &str) {
        let name = self.name();
        let begins =
            |(at, _): &(usize, &str)| name[at + 1..].bytes().next().is_some_and(|next| !next.is_ascii_alphabetic());
        match name.match_indices('-').find(begins) {
            Some((at, _)) if at > 0 => (&name[..at], &name[at + 1..]),
            _ => (name, ""),
        }
    }

    /// Returns hash and name.
    pub fn base_name(&self) -> &str {
        &self.0
    }

    pub fn is_derivation(&self) -> bool {
        self.0.ends_with(DRV)
    }

    /// Returns the key of its narinfo in a binary cache.
    pub fn narinfo(&self) -> String {
        format!("{}.narinfo", self.hash())
    }

    /// Returns the key of the listing of its files in a binary cache.
    pub fn listing(&self) -> String {
        format!("{}.ls", self.hash())
    }
}

/// Whether Nix allows the name: no `#`, no `^`, nothing that has a meaning in a shell or a URL.
pub(crate) fn is_name(name: &str) -> bool {
    let first = name.split('-').next();
    (1..=NAME_LENGTH).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._?=".contains(&b))
        && !matches!(first, Some("." | ".."))
}

impl FromStr for StorePath {
    type Err = String;

    fn from_str(text: &str) -> Result<StorePath, String> {
        StorePath::parse(text)
    }
}

impl TryFrom<String> for StorePath {
    type Error = String;

    fn try_from(text: String) -> Result<StorePath, String> {
        text.parse()
    }
}

impl From<StorePath> for String {
    fn from(path: StorePath) -> String {
        path.to_string()
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{STORE}/{}", self.0)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Encodes bytes in Nix's base 32: the last digit has the first bits.
pub fn to_base32(bytes: &[u8; 32]) -> String {
    let digit = |n: usize| {
        let (byte, shift) = (n * 5 / 8, n * 5 % 8);
        let next = bytes.get(byte + 1).copied().unwrap_or(0);
        let bits = (u16::from(bytes[byte]) | u16::from(next) << 8) >> shift;
        char::from(DIGITS[usize::from(bits & 31)])
    };
    (0..DIGEST_DIGITS).rev().map(digit).collect()
}

/// Decodes what [`to_base32`] returns; `None` for anything else.
pub fn from_base32(text: &str) -> Option<[u8; 32]> {
    if text.len() != DIGEST_DIGITS {
        return None;
    }
    let mut bytes = [0; 32];
    for (n, digit) in text.bytes().rev().enumerate() {
        let value = u16::try_from(DIGITS.iter().position(|known| *known == digit)?).ok()?;
        let (byte, shift) = (n * 5 / 8, n * 5 % 8);
        let [low, high] = (value << shift).to_le_bytes();
        bytes[byte] |= low;
        match bytes.get_mut(byte + 1) {
            Some(next) => *next |= high,
            None if high != 0 => return None,
            None => {}
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_nix_calls_one_is_a_store_path() {
        let hash = "s1ph2ym3d4b06r86sv46dg4hz7cr0kzw";
        for name in ["a", "lix-2.93.1", "x.drv", "g++_1?a=b", ".a", "...", &"n".repeat(211)] {
            let path = StorePath::parse(&format!("/nix/store/{hash}-{name}"));
            assert_eq!(path.map(|path| path.name().to_owned()).as_deref(), Ok(name));
        }
        let long = "n".repeat(212);
        for name in ["", "a#b", "a^out", "a b", "a/b", "é", "a\0", ".", "..", ".-a", "..-a", &long] {
            assert!(StorePath::of_base_name(&format!("{hash}-{name}")).is_err(), "{name}");
        }
        for path in
            ["", "-", "/nix/store/", "/nix/store/x", "/nix/store//a", "/gnu/store/a", &format!("/nix/store/{hash}")]
        {
            assert!(StorePath::parse(path).is_err(), "{path}");
        }
        assert!(StorePath::of_base_name(&format!("{}-a", hash.replace('s', "e"))).is_err());
        assert!(StorePath::of_base_name(&format!("{}-a", hash.to_uppercase())).is_err());
    }

    proptest! {
        #[test]
        fn base_32_survives(bytes: [u8; 32]) {
            let text = to_base32(&bytes);
            prop_assert_eq!(from_base32(&text), Some(bytes));
            prop_assert_eq!(from_base32(&text[1..]), None);
            prop_assert_eq!(from_base32(&(text + "0")), None);
        }
    }
}
