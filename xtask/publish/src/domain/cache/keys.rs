//! The keys that users of an environment's cache trust, as `releng.toml` names them.

use xtask::domain::environment::CacheKey;

use super::signing::PublicKey;

/// Returns the public key that `releng.toml` names; `None` if the tool makes the key, whose secret file then names it.
///
/// # Errors
/// `releng.toml` has no public key, or an invalid one; the message says how to get it.
pub fn public_key(cache: &CacheKey) -> Result<Option<PublicKey>, String> {
    match cache {
        CacheKey::Made { .. } => Ok(None),
        CacheKey::Held { key_file, public_key, .. } if public_key.is_empty() => Err(format!(
            "`public-key` is missing in releng.toml, so it is unknown which key users of this cache trust: \
             add what `nix key convert-secret-to-public < {key_file}` prints"
        )),
        CacheKey::Held { public_key, .. } => {
            public_key.parse().map(Some).map_err(|why| format!("releng.toml, `public-key`: {why}"))
        }
    }
}

/// Returns the other keys that users of a cache trust.
///
/// # Errors
/// One of them is not a public key.
pub fn also_trusted(cache: &CacheKey) -> Result<Vec<PublicKey>, String> {
    match cache {
        CacheKey::Made { .. } => Ok(Vec::new()),
        CacheKey::Held { also_trusts, .. } => {
            let keys = also_trusts.iter().map(|key| key.parse());
            keys.collect::<Result<_, _>>().map_err(|why| format!("releng.toml, `also-trusts`: {why}"))
        }
    }
}

/// Returns all keys that `releng.toml` names for a cache; none if it names none.
///
/// # Errors
/// One of them is not a public key.
pub fn known(cache: &CacheKey) -> Result<Vec<PublicKey>, String> {
    let own = match cache {
        CacheKey::Held { public_key, .. } if public_key.is_empty() => None,
        cache => public_key(cache)?,
    };
    Ok(own.into_iter().chain(also_trusted(cache)?).collect())
}
