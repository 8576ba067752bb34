//! The keys of a binary cache, as Nix writes them: `NAME:BASE64`, and what a signature by one of them proves.
//!
//! Refuses to read key files and to show a secret.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

/// What users trust: they spell it in `trusted-public-keys`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PublicKey {
    name: String,
    key: [u8; ed25519_compact::PublicKey::BYTES],
}

impl PublicKey {
    /// What signatures by this key start with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether `signature`, in Nix's spelling, is one of `message` by this key.
    pub fn verifies(&self, message: &str, signature: &str) -> bool {
        let Some((name, signature)) = signature.split_once(':') else { return false };
        let signature = BASE64.decode(signature).ok().and_then(|bytes| bytes.as_slice().try_into().ok());
        let Some(signature) = signature.filter(|_| name == self.name) else { return false };
        let key = ed25519_compact::PublicKey::new(self.key);
        key.verify(message, &ed25519_compact::Signature::new(signature)).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = String;

    /// # Errors
    /// What is wrong; a secret key that was put here by mistake is not quoted.
    fn from_str(text: &str) -> Result<PublicKey, String> {
        let (name, key) = split(text)?;
        let key = key.as_slice().try_into().map_err(|_| match key.len() {
            ed25519_compact::SecretKey::BYTES => "this is a secret key, where a public one belongs".to_owned(),
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

/// What signs. `Debug` shows its public half.
pub struct SecretKey {
    text: String,
    public: PublicKey,
    pair: ed25519_compact::KeyPair,
}

impl SecretKey {
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A signature of `message`, in Nix's spelling.
    pub fn sign(&self, message: &str) -> String {
        format!("{}:{}", self.public.name, BASE64.encode(*self.pair.sk.sign(message, None)))
    }

    /// The text of a key file: for that and for nothing else.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl FromStr for SecretKey {
    type Err = String;

    /// Of the text of a key file.
    ///
    /// # Errors
    /// What is wrong, without a part of the secret.
    fn from_str(text: &str) -> Result<SecretKey, String> {
        let (name, bytes) = split(text.trim())?;
        let bytes: [u8; ed25519_compact::SecretKey::BYTES] =
            bytes.as_slice().try_into().map_err(|_| match bytes.len() {
                ed25519_compact::PublicKey::BYTES => "this is a public key, where a secret one belongs".to_owned(),
                n => format!("a secret key has 64 bytes, not {n}"),
            })?;
        // The second half is the public key: Nix takes it from there, and so might sign with something else than it
        // says.
        let (seed, stored) = bytes.split_at(ed25519_compact::Seed::BYTES);
        let seed = ed25519_compact::Seed::from_slice(seed).map_err(|_| "it is too short".to_owned())?;
        let pair = ed25519_compact::KeyPair::from_seed(seed);
        let key = *pair.pk;
        if key != stored {
            return Err("its two halves do not belong together".to_owned());
        }
        Ok(SecretKey { text: text.trim().to_owned(), public: PublicKey { name, key }, pair })
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The name of the key that a signature says it is by; `None` if it is not written as a signature.
pub fn key_of(signature: &str) -> Option<&str> {
    let (name, bytes) = signature.split_once(':')?;
    let whole = BASE64.decode(bytes).is_ok_and(|bytes| bytes.len() == ed25519_compact::Signature::BYTES);
    (whole && !name.is_empty()).then_some(name)
}

fn split(text: &str) -> Result<(String, Vec<u8>), String> {
    let (name, key) =
        text.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or("a key is written NAME:BASE64")?;
    let key = BASE64.decode(key).map_err(|_| "what follows the colon is not in base 64".to_owned())?;
    Ok((name.to_owned(), key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    // Made by `nix key generate-secret` for this test.
    const SECRET: &str =
        "test-1:utOOCMym6GwNEDJO5IRfQKvy978RIqbJgMPgelFu1JAKidkcIdOIvXbk91SLbIJh+Mg2uRqgeBSRfkIf5tnMWw==\n";
    const PUBLIC: &str = "test-1:ConZHCHTiL125PdUi2yCYfjINrkaoHgUkX5CH+bZzFs=";

    #[test]
    fn the_public_half_is_nixs() {
        let secret: SecretKey = SECRET.parse().expect("valid");
        assert_eq!(secret.public().to_string(), PUBLIC);
        assert_eq!(PUBLIC.parse::<PublicKey>().as_ref(), Ok(secret.public()));
        assert_eq!(secret.expose(), SECRET.trim());
    }

    #[test]
    fn a_mistake_is_told_without_the_secret() {
        let secret = format!("{:?}", SECRET.parse::<SecretKey>().expect("valid"));
        let other = SECRET.replace("utOO", "uuOO");
        let messages = [
            secret,
            SECRET.trim().parse::<PublicKey>().expect_err("secret"),
            PUBLIC.parse::<SecretKey>().map(|_| ()).expect_err("public"),
            other.parse::<SecretKey>().map(|_| ()).expect_err("halves"),
            SECRET.replace(':', "").parse::<SecretKey>().map(|_| ()).expect_err("no name"),
            SECRET.replace("==", "!").parse::<SecretKey>().map(|_| ()).expect_err("no base 64"),
        ];
        expect![[r#"
            SecretKey { public: test-1:ConZHCHTiL125PdUi2yCYfjINrkaoHgUkX5CH+bZzFs=, .. }
            this is a secret key, where a public one belongs
            this is a public key, where a secret one belongs
            its two halves do not belong together
            a key is written NAME:BASE64
            what follows the colon is not in base 64"#]]
        .assert_eq(&messages.join("\n"));
    }
}
