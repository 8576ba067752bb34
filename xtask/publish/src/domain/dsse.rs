//! Statements in signed envelopes, as programs that others wrote read them: DSSE, by ed25519 keys.
//!
//! What is signed starts with `DSSEv1`, so that no signature of a store path (`1;`) or of a file (`SSHSIG`) is one of a
//! statement.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use xtask::domain::build::provenance::MEDIA_TYPE;

use crate::domain::cache::signing::{PublicKey, SecretKey};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
struct Signature {
    /// Name of the key.
    keyid: String,
    sig: String,
}

/// Signs a statement, and returns the envelope as a line: the same key and statement always give the same text.
pub fn sign(key: &SecretKey, statement: &[u8]) -> String {
    envelope(key.public().name(), statement, &key.sign_bytes(&signed(statement)))
}

/// Checks that an envelope is a statement, signed by one of the keys, and nothing else. The name by which it calls a key
/// proves nothing, but others look for the key by it, so it must be that of `own`, if the key is among those. Returns the
/// key.
///
/// # Errors
/// Says what is wrong, as a clause about "it".
pub fn check<'a>(
    text: &[u8],
    statement: &[u8],
    keys: impl IntoIterator<Item = &'a PublicKey>,
    own: &[PublicKey],
) -> Result<&'a PublicKey, String> {
    let odd = "is not a signed statement";
    let Envelope { signatures, .. } = serde_json::from_slice(text).map_err(|_| odd)?;
    let [Signature { keyid, sig }] = signatures.as_slice() else { return Err(odd.to_owned()) };
    let signature = BASE64.decode(sig).map_err(|_| odd)?;
    let signed = signed(statement);
    let Some(key) = keys.into_iter().find(|key| key.verifies_bytes(&signed, &signature)) else {
        return Err("is not this statement, signed by a key that is known".to_owned());
    };
    let mut names = own.iter().filter(|own| own.bytes() == key.bytes()).map(PublicKey::name).peekable();
    if names.peek().is_some() && !names.any(|name| name == keyid) {
        return Err(format!("does not name its key, {}", key.name()));
    }
    // Another spelling of the same might be read as something else elsewhere.
    if envelope(keyid, statement, &signature).as_bytes() != text {
        return Err(format!("by {} is not written as it was signed", key.name()));
    }
    Ok(key)
}

fn envelope(keyid: &str, statement: &[u8], signature: &[u8]) -> String {
    let envelope = Envelope {
        payload: BASE64.encode(statement),
        payload_type: MEDIA_TYPE.to_owned(),
        signatures: vec![Signature { keyid: keyid.to_owned(), sig: BASE64.encode(signature) }],
    };
    serde_json::to_string(&envelope).expect("an envelope has only string keys") + "\n"
}

/// What the key signs.
fn signed(statement: &[u8]) -> Vec<u8> {
    let heading = format!("DSSEv1 {} {MEDIA_TYPE} {} ", MEDIA_TYPE.len(), statement.len());
    [heading.as_bytes(), statement].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    // Made by `nix key generate-secret` for this test.
    const SECRET: &str =
        "test-1:utOOCMym6GwNEDJO5IRfQKvy978RIqbJgMPgelFu1JAKidkcIdOIvXbk91SLbIJh+Mg2uRqgeBSRfkIf5tnMWw==";
    const STATEMENT: &[u8] = b"{\"_type\": 1}\n";

    fn secret() -> SecretKey {
        SECRET.parse().expect("a key")
    }

    #[test]
    fn what_is_signed_is_proven_and_nothing_else() {
        let text = sign(&secret(), STATEMENT);
        assert_eq!(text, sign(&secret(), STATEMENT), "the same text each time");
        let own = secret().public().clone();
        let other = |name: &str| format!("{name}:{}", BASE64.encode([1; 32])).parse::<PublicKey>().expect("a key");
        let why = |text: &str, statement: &[u8], keys: &[PublicKey]| match check(text.as_bytes(), statement, keys, keys)
        {
            Ok(key) => format!("by {}", key.name()),
            Err(why) => why,
        };
        let keys = [other("other"), own.clone()];
        let again = text.replacen("[{", "[{\"keyid\":\"x\",\"sig\":\"\"},{", 1);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let cases = [
            why(&text, STATEMENT, &keys),
            why(&text, b"{}", &keys),
            why(&text, STATEMENT, &[other("other")]),
            why(&text, STATEMENT, &[other("test-1")]),
            why(&text, STATEMENT, &[]),
            why(&text.replace("in-toto", "ours"), STATEMENT, &keys),
            why(&format!("{text}{text}"), STATEMENT, &keys),
            why(&format!("{text}\n"), STATEMENT, &keys),
            why(&serde_json::to_string_pretty(&value).expect("JSON"), STATEMENT, &keys),
            why(&again, STATEMENT, &keys),
            why(&text.replace("test-1", "other"), STATEMENT, &keys),
            why("", STATEMENT, &keys),
            why("[]", STATEMENT, &keys),
        ];
        expect![[r#"
            by test-1
            is not this statement, signed by a key that is known
            is not this statement, signed by a key that is known
            is not this statement, signed by a key that is known
            is not this statement, signed by a key that is known
            by test-1 is not written as it was signed
            is not a signed statement
            by test-1 is not written as it was signed
            by test-1 is not written as it was signed
            is not a signed statement
            does not name its key, test-1
            is not a signed statement
            is not a signed statement"#]]
        .assert_eq(&cases.join("\n"));
        // Someone who knows the key by another name.
        let elsewhere = [other("x"), format!("mine:{}", BASE64.encode(own.bytes())).parse().expect("a key")];
        let by = check(text.as_bytes(), STATEMENT, &elsewhere, &[]);
        assert_eq!(by.map(PublicKey::name), Ok("mine"));
        expect![[r#"
            {"payload":"eyJfdHlwZSI6IDF9Cg==","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"test-1","sig":"8jIVg4An/eOICLUoTQv5IfrCOkH4eJiY/1jwuNAsNmo+p+iWMMAh8qv1m234X1/TcCtUuwUASSE6+Kv7xDsCAw=="}]}
        "#]].assert_eq(&text);
    }

    #[test]
    fn no_other_bytes_are_a_signed_statement() {
        let text = sign(&secret(), STATEMENT);
        let keys = [secret().public().clone()];
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] ^= 1;
            assert!(check(&other, STATEMENT, &keys, &keys).is_err(), "bit 0 of byte {at}");
            assert!(check(&text.as_bytes()[..at], STATEMENT, &keys, &keys).is_err(), "{at} bytes");
        }
    }
}
