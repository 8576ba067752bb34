//! The spellings of a SHA-256 in Nix's files: SRI, and base 32, 64 and 16.

use crate::digest::Digest;
use crate::shown::excerpt;
use crate::store_path::{DIGEST_DIGITS, from_base32};

/// Length of a SHA-256 in base 64.
const BASE64_DIGITS: usize = 44;

/// Reads a SHA-256 in any spelling that Nix has used: SRI, or after `sha256:` in base 32, 64 or 16.
///
/// # Errors
/// The text is not a SHA-256.
pub fn parse_hash(text: &str) -> Result<Digest, String> {
    let odd = || format!("`{}` is not a SHA-256 hash", excerpt(text));
    if text.starts_with("sha256-") {
        return Digest::of_sri(text).ok_or_else(odd);
    }
    let digits = text.strip_prefix("sha256:").ok_or_else(odd)?;
    match digits.len() {
        DIGEST_DIGITS => from_base32(digits).map(Digest::new).ok_or_else(odd),
        BASE64_DIGITS => Digest::of_sri(&format!("sha256-{digits}")).ok_or_else(odd),
        _ => digits.to_ascii_lowercase().parse().map_err(|_| odd()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_many_spellings() {
        let expected = parse_hash("sha256:0k7zd7hgp5vs1m3bnrf8873pb97j9gp4phgl6y80bb4fd3jk6dqy").expect("base 32");
        for text in [
            "sha256-Hjcz5WiOrAWQN/TBS+5L8qR1x0HIZbtGDXqX++Bp/0w=",
            "sha256:Hjcz5WiOrAWQN/TBS+5L8qR1x0HIZbtGDXqX++Bp/0w=",
            &format!("sha256:{expected}"),
            &format!("sha256:{}", expected.to_string().to_uppercase()),
        ] {
            assert_eq!(parse_hash(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "sha256:",
            "sha256-",
            "sha1:abc",
            "md5:0",
            &expected.to_string(),
            &format!("sha256:{expected}0"),
            // Base 64 without its last sign, with another alphabet, and with bits that mean nothing.
            "sha256-Hjcz5WiOrAWQN/TBS+5L8qR1x0HIZbtGDXqX++Bp/0w",
            "sha256-Hjcz5WiOrAWQN_TBS-5L8qR1x0HIZbtGDXqX--Bp_0w=",
            "sha256-Hjcz5WiOrAWQN/TBS+5L8qR1x0HIZbtGDXqX++Bp/0x=",
            "sha256-Hjcz5WiOrAWQN/TBS+5L8qR1x0HIZbtGDXqX++Bp/é=",
        ] {
            assert!(parse_hash(text).is_err(), "{text}");
        }
    }
}
