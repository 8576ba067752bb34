//! The judgement of a release's paths in a binary cache.
//!
//! A good path is left alone. A broken one is repaired, which Nix itself would not do: it skips any path that has a
//! narinfo. Looking at the cache and staging the files is done in `acts/cache.rs`.

use std::collections::BTreeSet;

use xtask::domain::amounts::bytes_for_people;
use xtask::domain::build::path_info::PathInfo;

use crate::domain::cache::faults::{INFO, UNSIGNED};
use crate::domain::publication::plan::{Judgement, Status};

/// What was seen of a closure in a binary cache, path by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths {
    /// Paths that the cache does not have.
    pub new: Vec<PathInfo>,
    /// Paths that are broken in the cache, each with the reason.
    pub broken: Vec<(PathInfo, String)>,
    /// Good paths without a signature by this cache's key, each with the other trusted keys that signed it.
    pub unsigned: Vec<(PathInfo, Vec<String>)>,
    /// Good paths whose listing of files is missing or wrong, each with the reason.
    pub unlisted: Vec<(PathInfo, String)>,
    /// Good paths of which an object has wrong headers, each with those.
    pub misserved: Vec<(PathInfo, String)>,
    /// Number of good paths.
    pub same: usize,
    /// Whether the cache has a good `nix-cache-info`.
    pub info: bool,
    /// What is wrong with the headers of a good `nix-cache-info`.
    pub info_fault: Option<String>,
    /// Why nothing can be signed for this cache, if so.
    pub unready: Option<String>,
}

impl Paths {
    /// Splits off the faults of headers, as if all headers were right.
    pub(super) fn with_headers_overlooked(&self) -> (Paths, Vec<String>) {
        let faults = self.misserved.iter().map(|(_, why)| why).chain(&self.info_fault).cloned().collect();
        let same = self.same + self.misserved.len();
        (Paths { misserved: Vec::new(), info_fault: None, same, ..self.clone() }, faults)
    }

    pub(super) fn is_misserved(&self) -> bool {
        !self.misserved.is_empty() || self.info_fault.is_some()
    }
}

/// Judges what publishing would do to the cache.
pub(super) fn judge(seen: &Paths) -> Judgement {
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
        count("repair the headers of", seen.misserved.len()),
        count("same", seen.same),
    ];
    let changing = [seen.new.len(), seen.broken.len(), seen.unsigned.len(), seen.unlisted.len(), seen.misserved.len()];
    let paths = changing.iter().sum::<usize>() + seen.same;
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
    let unsigned = seen.unsigned.iter().map(|(info, by)| {
        if by.is_empty() {
            format!("sign {}: {UNSIGNED}", info.path)
        } else {
            format!("sign {}: so far it is signed by {}", info.path, by.join(", "))
        }
    });
    let unlisted = seen.unlisted.iter().map(|(info, why)| format!("list the files of {}: {why}", info.path));
    let misserved = seen.misserved.iter().map(|(info, why)| format!("repair the headers of {}: {why}", info.path));
    let info = (!seen.info).then(|| format!("write {INFO}"));
    let info = info.or_else(|| seen.info_fault.as_ref().map(|why| format!("repair the headers of {INFO}: {why}")));
    let changes: Vec<String> = new.chain(broken).chain(unsigned).chain(unlisted).chain(misserved).chain(info).collect();

    let status = if changes.is_empty() {
        Status::Same
    } else if seen.new.len() + usize::from(!seen.info) == changes.len() && seen.same == 0 {
        Status::Absent
    } else {
        Status::Different
    };
    Judgement::new(status, summary, changes)
}
