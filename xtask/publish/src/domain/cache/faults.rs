//! The binary cache of a release: what is missing there, what is broken there, and what that means.
//!
//! A path that is there and good stays as it is. One that is there and broken is repaired, which no Nix would do by
//! itself: it skips whatever has a narinfo. Refuses to look and to stage.

use std::collections::BTreeSet;

use xtask::domain::amounts::bytes_for_people;
use xtask::domain::digest::Digest;
use xtask::domain::problem::excerpt;
use xtask::domain::store_path::to_base32;

use crate::domain::cache::narinfo::NarInfo;
use crate::domain::cache::path_info::PathInfo;
use crate::domain::cache::signing::{PublicKey, key_of};
use crate::domain::publication::plan::{Judgement, Status};
use crate::domain::publication::serving::Served;

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
    /// There and right, but for a signature of this cache's key; and the trusted keys that have signed it.
    pub unsigned: Vec<(PathInfo, Vec<String>)>,
    /// There and right, but for the listing of its files; and what is wrong with that.
    pub unlisted: Vec<(PathInfo, String)>,
    /// There and good.
    pub same: usize,
    /// Whether `nix-cache-info` is there and good.
    pub info: bool,
    /// Why nothing can be signed for this cache.
    pub unready: Option<String>,
}

/// What is wrong with the narinfo of a path of ours, whoever signed it; `None` if nothing is.
pub fn fault(ours: &PathInfo, theirs: &NarInfo) -> Option<String> {
    let info = &theirs.info;
    match () {
        () if info.path != ours.path => Some(format!("its narinfo is of {}", info.path)),
        () if (info.nar_hash, info.nar_size) != (ours.nar_hash, ours.nar_size) => {
            Some(format!("its narinfo has another NAR hash: there {}, here {}", info.nar_hash, ours.nar_hash))
        }
        () if info.references != ours.references => Some("its narinfo has other references".to_owned()),
        () => theirs.signature_fault().or_else(|| theirs.nar_name_fault()),
    }
}

/// Whose signatures a cache needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// What signs; `None` while it is not made yet.
    pub own: Option<PublicKey>,
    /// What users trust besides, while a new key takes the place of an old one.
    pub also: Vec<PublicKey>,
}

/// Who of those that matter has signed a narinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    ByOwn,
    /// The names of other trusted keys; none if users would refuse it.
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

    /// What is wrong with the signatures of a narinfo, to somebody who trusts any of these keys.
    pub fn fault(&self, narinfo: &NarInfo) -> Option<String> {
        match self.signed(narinfo) {
            Signed::Otherwise(by) if by.is_empty() => Some(unsigned(narinfo)),
            Signed::ByOwn | Signed::Otherwise(_) => None,
        }
    }

    /// As Nix wants them.
    pub fn trusted(&self) -> String {
        self.own.iter().chain(&self.also).map(PublicKey::to_string).collect::<Vec<_>>().join(" ")
    }
}

/// What is to be said of a narinfo that no key of this cache has signed.
fn unsigned(narinfo: &NarInfo) -> String {
    let mut others: Vec<&str> = narinfo.signatures.iter().filter_map(|signature| key_of(signature)).collect();
    others.dedup();
    others.truncate(NAMED);
    match others.is_empty() {
        true => UNSIGNED.to_owned(),
        false => format!("{UNSIGNED} (it names {})", excerpt(&others.join(", "))),
    }
}

/// Keys of others that a message names.
const NAMED: usize = 3;

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

/// What is wrong with how a NAR is served. Nix takes every layer of compression off what has a `Content-Encoding`, its
/// own among them, and then finds the NAR not compressed as its narinfo says.
pub fn encoding_fault(narinfo: &NarInfo, served: &Served) -> Option<String> {
    let encoding = served.content_encoding.as_deref().filter(|_| served.is_encoded())?;
    Some(format!(
        "its NAR is served with Content-Encoding {}, which Nix does not read, {}",
        excerpt(encoding),
        narinfo.url
    ))
}

/// What the name of a NAR starts with, whose bytes as they are stored have this digest.
pub fn nar_name(digest: &Digest) -> String {
    to_base32(digest.bytes())
}

/// What publishing would do.
pub fn judge(seen: &Seen) -> Judgement {
    if let Some(why) = &seen.unready {
        return Judgement::refused(vec![why.clone()]);
    }
    let count = |verb: &str, n: usize| (n > 0).then(|| format!("{verb} {n}"));
    let bytes: u64 = seen.new.iter().chain(seen.broken.iter().map(|(info, _)| info)).map(|info| info.nar_size).sum();
    let parts = [
        count("add", seen.new.len()),
        count("repair", seen.broken.len()),
        count("sign", seen.unsigned.len()),
        count("list the files of", seen.unlisted.len()),
        count("same", seen.same),
    ];
    let paths = seen.new.len() + seen.broken.len() + seen.unsigned.len() + seen.unlisted.len() + seen.same;
    let noun = if paths == 1 { "path" } else { "paths" };
    let mut summary = format!("{} {noun}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "));
    if bytes > 0 {
        summary += &format!(" ({} unpacked)", bytes_for_people(bytes));
    }
    let by: BTreeSet<&str> = seen.unsigned.iter().flat_map(|(_, by)| by).map(String::as_str).collect();
    if !by.is_empty() {
        summary += &format!("; so far signed by {}", by.into_iter().collect::<Vec<_>>().join(", "));
    }
    let describe = |info: &PathInfo| format!("{} {} {}", info.path, info.nar_size, info.nar_hash);
    let new = seen.new.iter().map(|info| format!("add {}", describe(info)));
    let broken = seen.broken.iter().map(|(info, why)| format!("repair {}: {why}", describe(info)));
    let unsigned = seen.unsigned.iter().map(|(info, by)| match by.is_empty() {
        true => format!("sign {}: {UNSIGNED}", info.path),
        false => format!("sign {}: so far it is signed by {}", info.path, by.join(", ")),
    });
    let unlisted = seen.unlisted.iter().map(|(info, why)| format!("list the files of {}: {why}", info.path));
    let info = (!seen.info).then(|| format!("write {INFO}"));
    let changes: Vec<String> = new.chain(broken).chain(unsigned).chain(unlisted).chain(info).collect();

    let status = match () {
        () if changes.is_empty() => Status::Same,
        () if seen.new.len() + usize::from(!seen.info) == changes.len() && seen.same == 0 => Status::Absent,
        () => Status::Different,
    };
    Judgement::new(status, summary, changes)
}
