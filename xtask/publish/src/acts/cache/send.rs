//! Sends what was staged for the binary cache, in an order in which a reader finds everything that a narinfo names.

use anyhow::{Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::tools::{files, term};

use crate::domain::cache::faults::{self, INFO, cache_control, header_fault};
use crate::domain::serving::content_type;
use crate::tools::content::Content;
use crate::tools::store::{Progress, Properties, Store};
use crate::tools::transfer::{self, Difference, Item, Surveyed};

/// What a staged file is. The order is that in which they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Named by its content, and never changed.
    Nar,
    Listing,
    Narinfo,
    /// `nix-cache-info`.
    Info,
}

impl Part {
    const IN_ORDER: [Part; 4] = [Part::Nar, Part::Listing, Part::Narinfo, Part::Info];

    /// Returns what a file is, by its path in a cache; `None` if we send no such file.
    fn of(path: &Utf8Path) -> Option<Part> {
        match path.extension() {
            _ if path.starts_with("nar") => Some(Part::Nar),
            Some("ls") => Some(Part::Listing),
            Some("narinfo") => Some(Part::Narinfo),
            None if path == INFO => Some(Part::Info),
            _ => None,
        }
    }
}

/// Sends what was staged: NARs, then listings, then narinfos, then, unless the cache has it, `nix-cache-info`.
pub(super) async fn send(store: &Store, directory: &Utf8Path, has_info: bool, progress: &Progress) -> Result<()> {
    let (mut parts, mut others) = (Vec::new(), Vec::new());
    for path in files::list(directory)? {
        match Part::of(&path) {
            Some(part) => parts.push((part, path)),
            None => others.push(path.into_string()),
        }
    }
    if !others.is_empty() {
        term::warn(format_args!(
            "Nix staged files that are not sent, because no client asks for them: {}",
            others.join(", ")
        ));
    }
    for part in Part::IN_ORDER.into_iter().filter(|part| *part != Part::Info || !has_info) {
        let surveying = parts.iter().filter(|(other, _)| *other == part).map(|(_, key)| {
            let (store, key, path) = (store.clone(), key.to_string(), directory.join(key));
            async move { survey(&store, part, key, path).await }
        });
        transfer::send(store, &transfer::all(surveying).await?, progress).await?;
    }
    Ok(())
}

/// Whether a NAR exists, and is served without an encoding and with the right headers.
async fn is_sent(store: &Store, key: &str, content: &Content) -> Result<bool> {
    match store.head(key).await? {
        Some(head) if !head.served.is_encoded() && header_fault(key, &head.served).is_none() => {
            store.is(key, &head, content).await
        }
        Some(_) | None => Ok(false),
    }
}

async fn survey(store: &Store, part: Part, key: String, path: Utf8PathBuf) -> Result<Surveyed> {
    let content = Content::of_file(&path).await?;
    let is_nar = part == Part::Nar;
    // Perhaps only the narinfo was broken.
    let difference =
        if is_nar && is_sent(store, &key, &content).await? { Difference::Same } else { Difference::Absent };
    if is_nar {
        let name = faults::nar_name(&content.sha256);
        ensure!(key.contains(&name), "{path} does not match its name: has something changed it?");
    }
    let properties = Properties { content_type: content_type(&key).into(), cache_control: cache_control(&key).into() };
    Ok(Surveyed { item: Item { key, path, content, properties }, difference, faults: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_of_a_cache_is_one_part_of_it() {
        let parts = [
            ("nar/0000.nar.zst", Some(Part::Nar)),
            ("0000.ls", Some(Part::Listing)),
            ("0000.narinfo", Some(Part::Narinfo)),
            (INFO, Some(Part::Info)),
            ("narrow.txt", None),
            ("realisations/sha256:00!out.doi", None),
            ("log/x.drv", None),
            ("x", None),
        ];
        for (path, part) in parts {
            assert_eq!(Part::of(Utf8Path::new(path)), part, "{path}");
        }
    }
}
