//! The keys of a binary cache, which Nix writes as `NAME:BASE64`, and the check of signatures made with them.
//!
//! Reads no key file, and never shows a secret.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use serde::Deserialize;
use xtask::domain::shown::is_hidden;

/// Sizes in bytes. A secret key is a seed followed by its public key.
const PUBLIC: usize = 32;
const SECRET: usize = 64;
const SIGNATURE: usize = 64;
/// Longest name of a key in bytes.
const NAME: usize = 1 << 10;

/// A key that users list in `trusted-public-keys`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PublicKey {
    name: String,
    key: [u8; PUBLIC],
}

impl PublicKey {
    /// Makes a key of its parts.
    ///
    /// # Errors
    /// Says what is wrong with the name.
    pub fn named(name: &str, key: [u8; PUBLIC]) -> Result<PublicKey, String> {
        format!("{name}:{}", BASE64.encode(key)).parse()
    }

    /// Name of the key, with which its signatures start.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ed25519 key.
    pub fn bytes(&self) -> &[u8; PUBLIC] {
        &self.key
    }

    /// Whether `signature`, written as Nix writes it, is a signature of `message` by this key.
    pub fn verifies(&self, message: &str, signature: &str) -> bool {
        let Some((name, signature)) = signature.split_once(':') else { return false };
        let Some(signature) = BASE64.decode(signature).ok().filter(|_| name == self.name) else { return false };
        self.verifies_bytes(message.as_bytes(), &signature)
    }

    /// Whether `signature` is an ed25519 signature of `message` by this key.
    pub fn verifies_bytes(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.key).verify(message, signature).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = String;

    /// # Errors
    /// Says what is wrong with the text; a secret key pasted here by mistake is not quoted.
    fn from_str(text: &str) -> Result<PublicKey, String> {
        let (name, key) = split(text)?;
        let key = key.as_slice().try_into().map_err(|_| match key.len() {
            SECRET => "this is a secret key; expected a public one".to_owned(),
            n => format!("a public key has 32 bytes, not {n}"),
        })?;
        Ok(PublicKey { name, key })
    }
}

impl TryFrom<String> for PublicKey {
    type Error = String;

    fn try_from(text: String) -> Result<PublicKey, String> {
        text.parse()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, BASE64.encode(self.key))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key that signs. `Debug` shows its public half only.
pub struct SecretKey {
    text: String,
    public: PublicKey,
    pair: Ed25519KeyPair,
}

impl SecretKey {
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message`, and returns the signature as Nix writes it.
    pub fn sign(&self, message: &str) -> String {
        format!("{}:{}", self.public.name, BASE64.encode(self.sign_bytes(message.as_bytes())))
    }

    /// Makes the ed25519 signature of `message`.
    pub fn sign_bytes(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    /// Returns the text to write to a key file. Use it for nothing else.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl FromStr for SecretKey {
    type Err = String;

    /// Parses the text of a key file.
    ///
    /// # Errors
    /// Says what is wrong without quoting any of the secret.
    fn from_str(text: &str) -> Result<SecretKey, String> {
        let (name, bytes) = split(text.trim())?;
        let (seed, key) = match bytes.len() {
            SECRET => bytes.split_at(SECRET - PUBLIC),
            PUBLIC => return Err("this is a public key; expected a secret one".to_owned()),
            n => return Err(format!("a secret key has 64 bytes, not {n}")),
        };
        // Nix takes the public key from the second half, so it could sign under a key that does not match.
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, key);
        let pair = pair.map_err(|_| "its two halves do not match".to_owned())?;
        let key = key.try_into().map_err(|_| "it is too short".to_owned())?;
        Ok(SecretKey { text: text.trim().to_owned(), public: PublicKey { name, key }, pair })
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Returns the name of the key that a signature claims to be by; `None` if the text is not a signature.
pub fn key_of(signature: &str) -> Option<&str> {
    let (name, bytes) = signature.split_once(':')?;
    let whole = BASE64.decode(bytes).is_ok_and(|bytes| bytes.len() == SIGNATURE);
    (whole && !name.is_empty()).then_some(name)
}

/// Whether every version of Nix can parse this as a signature, even one of the wrong length: a name, and at least one
/// byte in base 64, whose padding may be missing.
pub fn is_signature(text: &str) -> bool {
    let digit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    text.split_once(':').is_some_and(|(name, bytes)| {
        let digits = bytes.trim_end_matches('=');
        !name.is_empty() && digits.len() > 1 && digits.bytes().all(digit)
    })
}

fn split(text: &str) -> Result<(String, Vec<u8>), String> {
    let (name, key) =
        text.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or("a key has the form NAME:BASE64")?;
    if name.len() > NAME || name.contains(|c: char| c.is_whitespace() || is_hidden(c)) {
        return Err("the name of a key is too long, or has blanks or hidden characters".to_owned());
    }
    let key = BASE64.decode(key).map_err(|_| "the part after the colon is not base 64".to_owned())?;
    Ok((name.to_owned(), key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    // Made by `nix key generate-secret` for this test.
    const SECRET_TEXT: &str =
        "test-1:utOOCMym6GwNEDJO5IRfQKvy978RIqbJgMPgelFu1JAKidkcIdOIvXbk91SLbIJh+Mg2uRqgeBSRfkIf5tnMWw==\n";
    const PUBLIC_TEXT: &str = "test-1:ConZHCHTiL125PdUi2yCYfjINrkaoHgUkX5CH+bZzFs=";

    #[test]
    fn the_public_half_is_nixs() {
        let secret: SecretKey = SECRET_TEXT.parse().expect("valid");
        assert_eq!(secret.public().to_string(), PUBLIC_TEXT);
        assert_eq!(PUBLIC_TEXT.parse::<PublicKey>().as_ref(), Ok(secret.public()));
        assert_eq!(secret.expose(), SECRET_TEXT.trim());
    }

    #[test]
    fn a_mistake_is_reported_without_the_secret() {
        let secret = format!("{:?}", SECRET_TEXT.parse::<SecretKey>().expect("valid"));
        let other = SECRET_TEXT.replace("utOO", "uuOO");
        let messages = [
            secret,
            SECRET_TEXT.trim().parse::<PublicKey>().expect_err("secret"),
            PUBLIC_TEXT.parse::<SecretKey>().map(|_| ()).expect_err("public"),
            other.parse::<SecretKey>().map(|_| ()).expect_err("halves"),
            SECRET_TEXT.replace(':', "").parse::<SecretKey>().map(|_| ()).expect_err("no name"),
            SECRET_TEXT.replace("==", "!").parse::<SecretKey>().map(|_| ()).expect_err("no base 64"),
        ];
        expect![[r#"
            SecretKey { public: test-1:ConZHCHTiL125PdUi2yCYfjINrkaoHgUkX5CH+bZzFs=, .. }
            this is a secret key; expected a public one
            this is a public key; expected a secret one
            its two halves do not match
            a key has the form NAME:BASE64
            the part after the colon is not base 64"#]]
        .assert_eq(&messages.join("\n"));
    }
}
