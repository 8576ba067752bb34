//! What can be wrong with a path in a binary cache, and who has signed it. What publishing does about it is judged in
//! [`crate::domain::publication::judgement`].

use xtask::domain::digest::Digest;
use xtask::domain::shown::excerpt;
use xtask::domain::store_path::to_base32;

use crate::domain::cache::narinfo::NarInfo;
use crate::domain::cache::path_info::PathInfo;
use crate::domain::cache::signing::{PublicKey, key_of};
use crate::domain::serving::Served;

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

/// The first part of a NAR's file name, given the digest of its compressed bytes.
pub fn nar_name(digest: &Digest) -> String {
    to_base32(digest.bytes())
}
