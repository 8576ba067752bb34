//! The keys that users of an environment's cache trust, from what `releng.toml` says of them.

use xtask::domain::environment::CacheKey;

use super::signing::PublicKey;

/// The key of a cache that a manager holds; `None` for one that is made on the spot: its secret half tells.
///
/// # Errors
/// `releng.toml` does not name it, or names something else; the message says how it is found.
pub fn public_key(cache: &CacheKey) -> Result<Option<PublicKey>, String> {
    match cache {
        CacheKey::Made { .. } => Ok(None),
        CacheKey::Held { key_file, public_key, .. } if public_key.is_empty() => Err(format!(
            "releng.toml does not say yet which `public-key` users of this cache trust: \
             put in what `nix key convert-secret-to-public < {key_file}` prints"
        )),
        CacheKey::Held { public_key, .. } => {
            public_key.parse().map(Some).map_err(|why| format!("releng.toml, `public-key`: {why}"))
        }
    }
}

/// The keys that users trust besides.
///
/// # Errors
/// One is not a public key.
pub fn also_trusted(cache: &CacheKey) -> Result<Vec<PublicKey>, String> {
    match cache {
        CacheKey::Made { .. } => Ok(Vec::new()),
        CacheKey::Held { also_trusts, .. } => {
            let keys = also_trusts.iter().map(|key| key.parse());
            keys.collect::<Result<_, _>>().map_err(|why| format!("releng.toml, `also-trusts`: {why}"))
        }
    }
}
