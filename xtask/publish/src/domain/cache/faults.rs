//! What can be wrong with a path in a binary cache, and who has signed it. What publishing does about it is judged in
//! [`crate::domain::publication::judgement`].

use xtask::domain::build::path_info::PathInfo;
use xtask::domain::digest::Digest;
use xtask::domain::shown::excerpt;
use xtask::domain::store_path::to_base32;

use crate::domain::cache::narinfo::NarInfo;
use crate::domain::cache::signing::{PublicKey, key_of};
use crate::domain::serving::{IMMUTABLE, MOVING, Served, content_type};

/// Key of the file that every client reads first. `WantMassQuery` in it makes Nix query paths in bulk.
pub const INFO: &str = "nix-cache-info";
/// Text of `nix-cache-info` in a new cache.
pub const INFO_TEXT: &str = "StoreDir: /nix/store\nWantMassQuery: 1\n";

/// One message, whether the signature is missing or our key has not been made yet.
pub const UNSIGNED: &str = "its narinfo is not signed by the key of this cache";

/// Whether a `nix-cache-info` has our lines; other lines are left alone.
pub fn is_good_info(text: &str) -> bool {
    INFO_TEXT.lines().all(|line| text.lines().any(|other| other.trim() == line))
}

/// Returns what is wrong with the narinfo of one of our paths, apart from who signed it; `None` if nothing is.
pub fn fault(ours: &PathInfo, theirs: &NarInfo) -> Option<String> {
    let info = &theirs.info;
    if info.path != ours.path {
        Some(format!("its narinfo is for {}", info.path))
    } else if (info.nar_hash, info.nar_size) != (ours.nar_hash, ours.nar_size) {
        Some(format!("its narinfo has the NAR hash {}, and ours is {}", info.nar_hash, ours.nar_hash))
    } else if info.references != ours.references {
        Some("its narinfo has different references".to_owned())
    } else {
        theirs.signature_fault().or_else(|| theirs.nar_name_fault())
    }
}

/// The keys whose signatures a cache needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The key that signs here; `None` until it is made.
    pub own: Option<PublicKey>,
    /// Other keys that users trust, while a new key replaces an old one.
    pub also: Vec<PublicKey>,
}

/// Which of a cache's keys have signed a narinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    ByOwn,
    /// By the other trusted keys of these names; if there are none, Nix rejects the path.
    Otherwise(Vec<String>),
}

impl Keys {
    pub fn signed(&self, narinfo: &NarInfo) -> Signed {
        if self.own.as_ref().is_some_and(|key| narinfo.is_signed_by(key)) {
            return Signed::ByOwn;
        }
        let others = self.also.iter().filter(|key| narinfo.is_signed_by(key));
        Signed::Otherwise(others.map(|key| key.name().to_owned()).collect())
    }

    /// Returns what is wrong with a narinfo's signatures for a client that trusts all of these keys.
    pub fn fault(&self, narinfo: &NarInfo) -> Option<String> {
        match self.signed(narinfo) {
            Signed::Otherwise(by) if by.is_empty() => Some(unsigned(narinfo)),
            Signed::ByOwn | Signed::Otherwise(_) => None,
        }
    }

    /// The keys, the one that signs here first.
    pub fn all(&self) -> Vec<PublicKey> {
        self.own.iter().chain(&self.also).cloned().collect()
    }

    /// The keys as `trusted-public-keys` lists them.
    pub fn trusted(&self) -> String {
        self.own.iter().chain(&self.also).map(PublicKey::to_string).collect::<Vec<_>>().join(" ")
    }
}

/// The fault of a narinfo that none of this cache's keys has signed.
fn unsigned(narinfo: &NarInfo) -> String {
    let mut others: Vec<&str> = narinfo.signatures.iter().filter_map(|signature| key_of(signature)).collect();
    others.dedup();
    others.truncate(NAMED);
    if others.is_empty() {
        UNSIGNED.to_owned()
    } else {
        format!("{UNSIGNED} (its signatures are by {})", excerpt(&others.join(", ")))
    }
}

/// Number of foreign keys that a message names.
const NAMED: usize = 3;

/// Returns what is wrong with a NAR, given the size of its object, if it exists.
pub fn nar_fault(narinfo: &NarInfo, size: Option<u64>) -> Option<String> {
    match (size, narinfo.file_size) {
        (None, _) => Some(format!("its NAR is missing: {}", narinfo.url)),
        (Some(size), Some(expected)) if size != expected => {
            Some(format!("its NAR has {size} bytes instead of {expected}: {}", narinfo.url))
        }
        (Some(_), _) => None,
    }
}

/// Returns what is wrong with how a NAR is served. If an object has a `Content-Encoding`, Nix removes every layer of
/// compression, including the NAR's own, and then the NAR is not compressed in the way its narinfo says.
pub fn encoding_fault(narinfo: &NarInfo, served: &Served) -> Option<String> {
    let encoding = served.content_encoding.as_deref().filter(|_| served.is_encoded())?;
    Some(format!(
        "its NAR is served with Content-Encoding {}, which Nix cannot read: {}",
        excerpt(encoding),
        narinfo.url
    ))
}

/// Returns the `Cache-Control` that we give an object of a cache: a NAR is named by its content.
pub fn cache_control(key: &str) -> &'static str {
    if key.starts_with("nar/") { IMMUTABLE } else { MOVING }
}

/// Returns what is wrong with the headers of an object in a cache. Nix reads it all the same, but whatever stands between
/// it and the cache goes by them: a narinfo that never expires there hides its repair.
///
/// A header that is missing is left alone, because `nix copy` sets fewer, and so is an encoding that Nix undoes.
pub fn header_fault(key: &str, served: &Served) -> Option<String> {
    let (ours, keeps) = (content_type(key), cache_control(key));
    let is_given = |header: &&String| !UNSPECIFIC.contains(&header.trim().to_ascii_lowercase().as_str());
    let or = |header: &Option<String>, ours: &str| {
        Some(header.clone().filter(|header| is_given(&header)).unwrap_or(ours.to_owned()))
    };
    let given = Served {
        content_type: or(&served.content_type, ours),
        cache_control: or(&served.cache_control, keeps),
        content_encoding: None,
        content_disposition: served.content_disposition.clone(),
    };
    let faults: Vec<String> = given.faults(ours, keeps).iter().map(|fault| excerpt(fault)).collect();
    (!faults.is_empty()).then(|| format!("{key} is served with {}", faults.join(", ")))
}

/// What servers say if no header was given.
const UNSPECIFIC: [&str; 3] = ["", "binary/octet-stream", "application/octet-stream"];

/// The first part of a NAR's file name, given the digest of its compressed bytes.
pub fn nar_name(digest: &Digest) -> String {
    to_base32(digest.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_are_given_and_wrong_count() {
        let served = |content_type: Option<&str>, cache_control: Option<&str>| Served {
            content_type: content_type.map(str::to_owned),
            cache_control: cache_control.map(str::to_owned),
            ..Served::default()
        };
        let fault = |key: &str, served: &Served| header_fault(key, served).unwrap_or_default();
        // As `nix copy` and plain uploads leave them.
        for other in [served(None, None), served(Some("binary/octet-stream"), Some(""))] {
            assert_eq!(fault("x.narinfo", &other), "");
        }
        let encoded = Served { content_encoding: Some("gzip".to_owned()), ..served(None, Some(MOVING)) };
        assert_eq!(fault("x.narinfo", &encoded), "", "Nix undoes it");
        assert_eq!(fault("nar/x.nar.zst", &served(Some("application/x-nix-nar"), Some(IMMUTABLE))), "");
        assert_eq!(
            fault("x.narinfo", &served(Some("text/html"), Some(IMMUTABLE))),
            "x.narinfo is served with Content-Type text/html instead of text/x-nix-narinfo, Cache-Control public, \
             max-age=31536000, immutable instead of public, max-age=60"
        );
        assert_eq!(
            fault("nar/x.nar.zst", &served(None, Some("no-store"))),
            "nar/x.nar.zst is served with Cache-Control no-store instead of public, max-age=31536000, immutable"
        );
        let attached = Served { content_disposition: Some("attachment".to_owned()), ..served(None, None) };
        assert_eq!(fault(INFO, &attached), "nix-cache-info is served with Content-Disposition attachment");
    }
}
