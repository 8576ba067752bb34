//! The binary cache of a release: what is missing there, what is broken there, and what that means.
//!
//! A path that is there and good stays as it is. One that is there and broken is repaired, which no Nix would do by
//! itself: it skips whatever has a narinfo. Refuses to look and to stage.

use super::digest::Digest;
use super::judgement::Judgement;
use super::narinfo::{NarInfo, PathInfo, to_base32};
use super::plan::{Status, bytes_for_people};
use super::signing::PublicKey;

/// What every client reads first. Nix asks for many paths at once only where it says so.
pub const INFO: &str = "nix-cache-info";
/// Its text, where there is none yet.
pub const INFO_TEXT: &str = "StoreDir: /nix/store\nWantMassQuery: 1\n";

/// Whether the key was there or is only being made, the fault is the same.
const UNSIGNED: &str = "its narinfo is not signed by the key of this cache";

/// Whether a `nix-cache-info` says what it must; what else it says is not ours to change.
pub fn is_good_info(text: &str) -> bool {
    INFO_TEXT.lines().all(|line| text.lines().any(|other| other.trim() == line))
}

/// What was seen of a closure in a binary cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Not there.
    pub new: Vec<PathInfo>,
    /// There, and why it is no good.
    pub broken: Vec<(PathInfo, String)>,
    /// There and good.
    pub same: usize,
    /// Whether `nix-cache-info` is there and good.
    pub info: bool,
    /// Why nothing can be signed for this cache.
    pub unready: Option<String>,
}

/// What is wrong with the narinfo of a path of ours; `None` if nothing is. Without a key, nothing is signed yet.
pub fn fault(ours: &PathInfo, theirs: &NarInfo, key: Option<&PublicKey>) -> Option<String> {
    let info = &theirs.info;
    match key {
        _ if info.path != ours.path => Some(format!("its narinfo is of {}", info.path)),
        _ if (info.nar_hash, info.nar_size) != (ours.nar_hash, ours.nar_size) => {
            Some(format!("its narinfo has another NAR hash: there {}, here {}", info.nar_hash, ours.nar_hash))
        }
        _ if info.references != ours.references => Some("its narinfo has other references".to_owned()),
        Some(key) => unsigned(theirs, key),
        None => Some(UNSIGNED.to_owned()),
    }
}

/// What is wrong with the signatures of a narinfo.
pub fn unsigned(narinfo: &NarInfo, key: &PublicKey) -> Option<String> {
    (!narinfo.is_signed_by(key)).then(|| UNSIGNED.to_owned())
}

/// What is wrong with a NAR, given the size of the object, if there is one.
pub fn nar_fault(narinfo: &NarInfo, size: Option<u64>) -> Option<String> {
    match (size, narinfo.file_size) {
        (None, _) => Some(format!("its NAR is gone, {}", narinfo.url)),
        (Some(size), Some(expected)) if size != expected => {
            Some(format!("its NAR has {size} bytes instead of {expected}, {}", narinfo.url))
        }
        (Some(_), _) => None,
    }
}

/// What the name of a NAR starts with, whose bytes as they are stored have this digest.
pub fn nar_name(digest: &Digest) -> String {
    to_base32(digest.bytes())
}

/// What publishing would do.
pub(super) fn judge(seen: &Seen) -> Judgement {
    if let Some(why) = &seen.unready {
        return (Status::Refused(vec![why.clone()]), String::new(), Vec::new());
    }
    let paths = |verb: &str, n: usize| (n > 0).then(|| format!("{verb} {n}"));
    let bytes: u64 = seen.new.iter().chain(seen.broken.iter().map(|(info, _)| info)).map(|info| info.nar_size).sum();
    let parts = [paths("add", seen.new.len()), paths("repair", seen.broken.len()), paths("same", seen.same)];
    let mut summary = format!("{} paths", parts.into_iter().flatten().collect::<Vec<_>>().join(", "));
    if bytes > 0 {
        summary += &format!(" ({} unpacked)", bytes_for_people(bytes));
    }
    let describe = |info: &PathInfo| format!("{} {} {}", info.path, info.nar_size, info.nar_hash);
    let new = seen.new.iter().map(|info| format!("add {}", describe(info)));
    let broken = seen.broken.iter().map(|(info, why)| format!("repair {}: {why}", describe(info)));
    let info = (!seen.info).then(|| format!("write {INFO}"));
    let changes = new.chain(broken).chain(info).collect();

    let status = match seen {
        Seen { new, broken, info: true, .. } if new.is_empty() && broken.is_empty() => Status::Same,
        Seen { broken, same: 0, .. } if broken.is_empty() => Status::Absent,
        _ => Status::Different,
    };
    (status, summary, changes)
}
