//! Signatures as OpenSSH makes and checks them (`ssh-keygen -Y`), by ed25519 keys: users need nothing else to check a
//! download.
//!
//! What is signed starts with `SSHSIG` and names what it is for, so that no signature of a store path (whose text starts
//! with `1;`) is one of a file, and none is taken for one of another kind of file. OpenSSH's `PROTOCOL.sshsig` describes
//! the format.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256, Sha512};

use crate::domain::cache::signing::{PublicKey, SecretKey};

const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;
/// The kind of key, as OpenSSH calls it.
pub const KIND: &str = "ssh-ed25519";
const ALGORITHM: &[u8] = KIND.as_bytes();
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
/// Length of a line of base 64, as `ssh-keygen` writes it.
const LINE: usize = 70;

/// Signs a message for `namespace`: the same key and message always give the same text.
pub fn sign(key: &SecretKey, namespace: &str, message: &[u8]) -> String {
    let hash = Hash::Sha512;
    let signature = key.sign_bytes(&signed(namespace, hash, message));
    let blob = [
        MAGIC.to_vec(),
        VERSION.to_be_bytes().to_vec(),
        string(&public_blob(key.public())),
        string(namespace.as_bytes()),
        string(b""),
        string(hash.name()),
        string(&[string(ALGORITHM), string(&signature)].concat()),
    ];
    armoured(&blob.concat())
}

/// Writes a signature as `ssh-keygen` does.
fn armoured(blob: &[u8]) -> String {
    let digits = BASE64.encode(blob);
    let mut text = format!("{BEGIN}\n");
    for line in digits.as_bytes().chunks(LINE) {
        text.extend(line.iter().map(|digit| char::from(*digit)));
        text.push('\n');
    }
    text + END + "\n"
}

/// Checks a signature of a message for `namespace`, and returns which of the keys made it.
///
/// # Errors
/// Says what is wrong, as a clause about "it".
pub fn check<'a>(
    text: &[u8],
    namespace: &str,
    message: &[u8],
    keys: impl IntoIterator<Item = &'a PublicKey>,
) -> Result<&'a PublicKey, String> {
    let Parsed { key, namespace: theirs, hash, signature } =
        parse(text).ok_or("is not an OpenSSH signature by an ed25519 key")?;
    let Some(key) = keys.into_iter().find(|known| public_blob(known) == key) else {
        return Err("is by a key that is not known".to_owned());
    };
    if theirs != namespace.as_bytes() {
        return Err(format!("by {} is not for `{namespace}`", key.name()));
    }
    if !key.verifies_bytes(&signed(namespace, hash, message), &signature) {
        return Err(format!("by {} is not of this content", key.name()));
    }
    Ok(key)
}

/// A public key as OpenSSH writes it: `ssh-ed25519 BASE64`.
pub fn public_line(key: &PublicKey) -> String {
    format!("{KIND} {}", BASE64.encode(public_blob(key)))
}

/// Returns the ed25519 key in OpenSSH's encoding of a public key.
pub fn key_in(blob: &[u8]) -> Option<[u8; 32]> {
    let mut rest = blob;
    let _algorithm = take(&mut rest).filter(|algorithm| *algorithm == ALGORITHM)?;
    let key = take(&mut rest)?.try_into().ok()?;
    rest.is_empty().then_some(key)
}

/// The algorithm that a message is hashed with before it is signed.
#[derive(Clone, Copy)]
enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn name(self) -> &'static [u8] {
        match self {
            Hash::Sha256 => b"sha256",
            Hash::Sha512 => b"sha512",
        }
    }

    fn of(self, message: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha256 => Sha256::digest(message).to_vec(),
            Hash::Sha512 => Sha512::digest(message).to_vec(),
        }
    }
}

/// A signature, taken apart.
struct Parsed {
    /// Public key in OpenSSH's encoding.
    key: Vec<u8>,
    namespace: Vec<u8>,
    hash: Hash,
    /// The ed25519 signature.
    signature: Vec<u8>,
}

fn parse(text: &[u8]) -> Option<Parsed> {
    let text = std::str::from_utf8(text).ok()?.replace("\r\n", "\n");
    let digits: String = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?.split_ascii_whitespace().collect();
    // Other spellings, which OpenSSH refuses, are none.
    let blob = BASE64.decode(digits).ok().filter(|blob| armoured(blob) == text)?;
    let mut rest = blob.strip_prefix(MAGIC)?.strip_prefix(&VERSION.to_be_bytes())?;
    let (key, namespace) = (take(&mut rest)?.to_vec(), take(&mut rest)?.to_vec());
    let _reserved = take(&mut rest).filter(|reserved| reserved.is_empty())?;
    let name = take(&mut rest)?;
    let hash = [Hash::Sha256, Hash::Sha512].into_iter().find(|hash| hash.name() == name)?;
    let mut signature = take(&mut rest).filter(|_| rest.is_empty())?;
    let _algorithm = take(&mut signature).filter(|algorithm| *algorithm == ALGORITHM)?;
    let bytes = take(&mut signature)?.to_vec();
    signature.is_empty().then_some(Parsed { key, namespace, hash, signature: bytes })
}

/// What the key signs.
fn signed(namespace: &str, hash: Hash, message: &[u8]) -> Vec<u8> {
    let parts = [string(namespace.as_bytes()), string(b""), string(hash.name()), string(&hash.of(message))];
    [MAGIC, &parts.concat()].concat()
}

fn public_blob(key: &PublicKey) -> Vec<u8> {
    [string(ALGORITHM), string(key.bytes())].concat()
}

/// A string in SSH's encoding: its length in four bytes, and its bytes.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("names and digests are short");
    [&length.to_be_bytes(), bytes].concat()
}

/// Takes a string off the start.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (taken, after) = after.split_at_checked(u32::from_be_bytes(*length).try_into().ok()?)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    // Made by `nix key generate-secret` for this test.
    const SECRET: &str =
        "test-1:utOOCMym6GwNEDJO5IRfQKvy978RIqbJgMPgelFu1JAKidkcIdOIvXbk91SLbIJh+Mg2uRqgeBSRfkIf5tnMWw==";
    const MESSAGE: &[u8] = b"0000  release.json\n";

    fn secret() -> SecretKey {
        SECRET.parse().expect("a key")
    }

    fn why(text: &[u8], namespace: &str, message: &[u8], keys: &[PublicKey]) -> String {
        match check(text, namespace, message, keys) {
            Ok(key) => format!("by {}", key.name()),
            Err(why) => why,
        }
    }

    #[test]
    fn what_is_signed_is_proven_and_nothing_else() {
        let text = sign(&secret(), "lix-release", MESSAGE);
        assert_eq!(text, sign(&secret(), "lix-release", MESSAGE), "the same text each time");
        let own = [secret().public().clone()];
        let other: PublicKey = format!("other:{}", BASE64.encode([1; 32])).parse().expect("a key");
        let both = [other.clone(), own[0].clone()];
        let crlf = text.replace('\n', "\r\n");
        let cases = [
            why(text.as_bytes(), "lix-release", MESSAGE, &own),
            why(crlf.as_bytes(), "lix-release", MESSAGE, &both),
            why(text.as_bytes(), "lix-release", b"0000  release.jsom\n", &own),
            why(text.as_bytes(), "lix-receipt", MESSAGE, &own),
            why(text.as_bytes(), "lix-release", MESSAGE, &[other]),
            why(text.as_bytes(), "lix-release", MESSAGE, &[]),
            why(b"", "lix-release", MESSAGE, &own),
            why(b"\xff", "lix-release", MESSAGE, &own),
            why(format!("{BEGIN}\n{END}\n").as_bytes(), "lix-release", MESSAGE, &own),
        ];
        expect![[r#"
            by test-1
            by test-1
            by test-1 is not of this content
            by test-1 is not for `lix-receipt`
            is by a key that is not known
            is by a key that is not known
            is not an OpenSSH signature by an ed25519 key
            is not an OpenSSH signature by an ed25519 key
            is not an OpenSSH signature by an ed25519 key"#]]
        .assert_eq(&cases.join("\n"));
        expect![[r#"
            -----BEGIN SSH SIGNATURE-----
            U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgConZHCHTiL125PdUi2yCYfjINr
            kaoHgUkX5CH+bZzFsAAAALbGl4LXJlbGVhc2UAAAAAAAAABnNoYTUxMgAAAFMAAAALc3No
            LWVkMjU1MTkAAABAt9g4IGUJbK0lqUJ/mv5oxjgF+IvscAxh7gCd0WmnkpV/DWp0PyidgZ
            0N9Pcn796qL+mwtAZIBZTZVLqIKfc5DA==
            -----END SSH SIGNATURE-----
            ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAqJ2Rwh04i9duT3VItsgmH4yDa5GqB4FJF+Qh/m2cxb"#]]
        .assert_eq(&(text + &public_line(secret().public())));
    }

    #[test]
    fn no_other_bytes_are_a_signature() {
        let text = sign(&secret(), "lix-release", MESSAGE);
        let keys = [secret().public().clone()];
        let digits: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        let blob = BASE64.decode(digits).expect("base 64");
        assert!(check(armoured(&blob).as_bytes(), "lix-release", MESSAGE, &keys).is_ok());
        for at in 0..blob.len() {
            let mut other = blob.clone();
            other[at] ^= 1;
            assert!(check(armoured(&other).as_bytes(), "lix-release", MESSAGE, &keys).is_err(), "bit 0 of byte {at}");
            assert!(check(armoured(&blob[..at]).as_bytes(), "lix-release", MESSAGE, &keys).is_err(), "{at} bytes");
        }
        for other in [
            text.replacen('\n', "", 1),
            text.replacen("\nU1N", "\nU1N\n", 1),
            format!("{text}\n"),
            text.trim().to_owned(),
        ] {
            assert!(check(other.as_bytes(), "lix-release", MESSAGE, &keys).is_err(), "{other}");
        }
        let longer = [&blob[..], &[0]].concat();
        assert!(check(armoured(&longer).as_bytes(), "lix-release", MESSAGE, &keys).is_err());
    }
}
