//! SHA-256 digests, and what a release records about a file. The floor above computes them.

use std::fmt;
use std::str::FromStr;

use crate::shown::excerpt;
use serde::{Deserialize, Serialize};

/// A SHA-256 digest; shown and stored as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// The digits of base 64.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl Digest {
    pub fn new(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// Returns the first 12 digits, for messages.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the digest as OCI spells it: `sha256:` and the digits.
    pub fn oci(&self) -> String {
        format!("sha256:{self}")
    }

    /// Returns the digest as Nix spells it (SRI): `sha256-` and Base64.
    pub fn sri(&self) -> String {
        let mut text = "sha256-".to_owned();
        for three in self.0.chunks(3) {
            let bits =
                three.iter().fold(0, |bits: usize, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
            text.extend((0..=three.len()).map(|i| char::from(ALPHABET[bits >> (18 - 6 * i) & 63])));
        }
        // 32 bytes leave two over.
        text + "="
    }

    /// Reads what [`Digest::sri`] returns; `None` for anything else.
    pub fn of_sri(text: &str) -> Option<Digest> {
        let digits = text.strip_prefix("sha256-")?.strip_suffix('=')?;
        let mut bytes = Vec::new();
        for four in digits.as_bytes().chunks(4) {
            let value = |digit: &u8| ALPHABET.iter().position(|known| known == digit);
            let bits = four.iter().try_fold(0, |bits: usize, digit| Some(bits << 6 | value(digit)?))?
                << (6 * (4 - four.len()));
            bytes.extend((1..four.len()).map(|i| bits.to_be_bytes()[size_of::<usize>() - 4 + i]));
        }
        // Written back, because the last digit has bits that mean nothing.
        bytes.try_into().ok().map(Digest).filter(|digest| digest.sri() == text)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = String;

    /// # Errors
    /// The text is not 64 lower-case hexadecimal digits.
    fn from_str(text: &str) -> Result<Digest, String> {
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        let digits = text.as_bytes();
        let pairs = bytes.iter_mut().zip(digits.chunks(2)).try_for_each(|(byte, pair)| {
            *byte = nibble(pair[0])? << 4 | nibble(*pair.get(1)?)?;
            Some(())
        });
        match pairs {
            Some(()) if digits.len() == 64 => Ok(Digest(bytes)),
            _ => Err(format!("`{}` is not a SHA-256 digest: it has 64 digits of 0-9a-f", excerpt(text))),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Digest, String> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

/// Digests in OCI's files, `sha256:` and the digits, for `#[serde(with = "oci")]`.
pub mod oci {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Digest;

    /// # Errors
    /// The serializer's own.
    pub fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&digest.oci())
    }

    /// # Errors
    /// Anything else, such as digests of other kinds than SHA-256.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.strip_prefix("sha256:").unwrap_or(&text).parse().map_err(D::Error::custom)
    }
}

/// What a release records about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Size in bytes.
    pub size: u64,
    pub sha256: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_survives_and_nothing_else_is_a_digest() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(text.parse::<Digest>().map(|digest| digest.to_string()).as_deref(), Ok(text));
        let sri = text.parse().map(|digest: Digest| digest.sri());
        assert_eq!(sri.as_deref(), Ok("sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="));
        assert_eq!(sri.ok().and_then(|sri| Digest::of_sri(&sri)), text.parse().ok());
        for wrong in ["", "e3", &text[..63], &format!("{text}0"), &text.to_uppercase(), &text.replace('e', "ö")] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
