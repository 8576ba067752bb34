//! The public keys that a tree names for its environments, whatever else its `releng.toml` says: an older or a newer
//! copy of this tool may have written it for.

use std::collections::BTreeMap;

use super::key_name;
use crate::shown::is_hidden;

/// Where a tree that has this tool keeps its environments.
pub const PATH: &str = "xtask/releng.toml";

/// Public keys in Nix's spelling, the one that signs first, by the name of their environment.
pub type NamedKeys = BTreeMap<String, Vec<String>>;

/// Returns the keys that a `releng.toml` names. What cannot be read as a key is left out, and so are environments
/// without one: this is a record of what users were told, and nothing relies on it.
pub fn named_keys(text: &str) -> NamedKeys {
    let Ok(file) = text.parse::<toml::Table>() else { return NamedKeys::new() };
    let environments = file.get("environments").and_then(toml::Value::as_table).into_iter().flatten();
    let keys = environments.filter_map(|(name, environment)| {
        let held = environment.get("cache")?.get("held")?;
        let others = held.get("also-trusts").and_then(toml::Value::as_array).into_iter().flatten();
        let all = held.get("public-key").into_iter().chain(others).filter_map(toml::Value::as_str);
        let keys: Vec<String> = all.filter(|key| is_plain(key)).map(str::to_owned).collect();
        (!keys.is_empty() && !name.contains(is_hidden)).then(|| (name.clone(), keys))
    });
    keys.collect()
}

fn is_plain(key: &str) -> bool {
    key_name(key).is_ok_and(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_and_nothing_else() {
        let ours = named_keys(include_str!("../../../releng.toml"));
        assert_eq!(ours.keys().collect::<Vec<_>>(), ["production"], "the others have none yet");
        let key = |name: &str| format!("{name}:{}=", "A".repeat(43));
        let held = |keys: &str| named_keys(&format!("[environments.staging.cache.held]\n{keys}"));
        let [a, b] = [key("a-1"), key("b-1")];
        let both = held(&format!("public-key = \"{a}\"\nalso-trusts = [\"{b}\"]\nfuture = 1"));
        assert_eq!(both, NamedKeys::from([("staging".to_owned(), vec![a, b])]));
        let secret = format!("public-key = \"a:{}==\"", "A".repeat(86));
        for nothing in [
            secret.as_str(),
            "public-key = 1",
            "public-key = \"\"",
            "also-trusts = \"x\"",
            "public-key = \"a\u{202e}:x\"",
        ] {
            assert!(held(nothing).is_empty(), "{nothing}");
        }
        assert!(named_keys("").is_empty() && named_keys("= [").is_empty() && named_keys("environments = 1").is_empty());
    }
}
