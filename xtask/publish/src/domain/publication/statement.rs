//! Statements that the tool leaves in a bucket and later relies on: JSON objects that contain their own signature.
//!
//! Anyone who can write to the bucket can replace one by another, but not make one. What is signed is the object without
//! that member, as one line with sorted keys, so that no formatting matters, and members that a newer tool adds are
//! signed, too.

use serde::Serialize;
use serde_json::Value;

use crate::domain::cache::signing::{PublicKey, SecretKey};
use crate::domain::sshsig;

/// Namespaces: what a statement is about.
pub const RECEIPT: &str = "release-receipt";
pub const WITHDRAWN: &str = "release-withdrawn";

const SIGNATURE: &str = "signature";

/// Signs a statement, and returns its text.
///
/// # Panics
/// It is not an object with string keys.
pub fn signed(statement: &impl Serialize, namespace: &str, key: &SecretKey) -> String {
    let mut value = serde_json::to_value(statement).expect("statements have string keys");
    let signature = sshsig::sign(key, namespace, &canonical(&value));
    value.as_object_mut().expect("an object").insert(SIGNATURE.to_owned(), signature.into());
    serde_json::to_string_pretty(&value).expect("statements have string keys") + "\n"
}

/// Checks that one of the keys has signed a statement.
///
/// # Errors
/// Says what is wrong, as a clause about "it".
pub fn check(text: &[u8], namespace: &str, keys: &[PublicKey]) -> Result<(), String> {
    let mut value: Value = serde_json::from_slice(text).map_err(|_| "is not signed".to_owned())?;
    let signature = value.as_object_mut().and_then(|object| object.remove(SIGNATURE));
    let signature = signature.as_ref().and_then(Value::as_str).ok_or("is not signed")?;
    let checked = sshsig::check(signature.as_bytes(), namespace, &canonical(&value), keys);
    checked.map(|_| ()).map_err(|why| format!("is not proven: its signature {why}"))
}

/// Maps are sorted as long as no crate turns on `preserve_order`, which a test would notice.
fn canonical(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    const SECRET: &str =
        "test-1:utOOCMym6GwNEDJO5IRfQKvy978RIqbJgMPgelFu1JAKidkcIdOIvXbk91SLbIJh+Mg2uRqgeBSRfkIf5tnMWw==";

    #[test]
    fn what_a_statement_says_is_proven_however_it_is_written() {
        let key: SecretKey = SECRET.parse().expect("a key");
        let keys = [key.public().clone()];
        let text = signed(
            &json!({ "version": "2.93.1", "environment": "local", "missing": [{"b": 1, "a": 2}] }),
            RECEIPT,
            &key,
        );
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(json!({"b": 1, "a": 2}).to_string(), r#"{"a":2,"b":1}"#, "maps are sorted");
        let with = |member: &str, to: Value| {
            let mut value = value.clone();
            value[member] = to;
            value.to_string()
        };
        let say = |text: &str, namespace: &str| match check(text.as_bytes(), namespace, &keys) {
            Ok(()) => "proven".to_owned(),
            Err(why) => why,
        };
        let cases = [
            say(&text, RECEIPT),
            say(&value.to_string(), RECEIPT),
            say(&with("version", json!("2.93.2")), RECEIPT),
            say(&with("missing", json!([])), RECEIPT),
            say(&with("skipped", json!(null)), RECEIPT),
            say(&with(SIGNATURE, json!("")), RECEIPT),
            say(&with(SIGNATURE, json!(1)), RECEIPT),
            say(&text, WITHDRAWN),
            say("[]", RECEIPT),
            say("", RECEIPT),
            say("{}", RECEIPT),
            check(text.as_bytes(), RECEIPT, &[]).expect_err("no key"),
        ];
        expect![[r#"
            proven
            proven
            is not proven: its signature by test-1 is not of this content
            is not proven: its signature by test-1 is not of this content
            is not proven: its signature by test-1 is not of this content
            is not proven: its signature is not an OpenSSH signature by an ed25519 key
            is not signed
            is not proven: its signature by test-1 is not for `release-withdrawn`
            is not signed
            is not signed
            is not signed
            is not proven: its signature is by a key that is not known"#]]
        .assert_eq(&cases.join("\n"));
    }
}
