//! A release's paths in the binary cache: looking at them, staging what is missing, and sending it.
//!
//! Nix compresses and signs into a directory, and our store sends that. Good paths in the bucket are not staged again:
//! their narinfos are put into the directory first, and Nix skips any path that has one.

mod send;

use std::io::ErrorKind;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;
use xtask::domain::amounts::counted;
use xtask::domain::build::path_info::PathInfo;
use xtask::domain::build::record::{Record, Roots};
use xtask::domain::layout::{CACHE_STAGE, RELEASE};
use xtask::domain::problem::{Problem, Problems};
use xtask::domain::store_path::StorePath;
use xtask::tools::scratch_dir::ScratchDir;
use xtask::tools::{files, process, term};

use self::send::send;
use super::delivery::Delivery;
use crate::domain::cache::faults::{
    INFO, INFO_TEXT, Keys, Signed, encoding_fault, fault, header_fault, is_good_info, nar_fault,
};
use crate::domain::cache::narinfo::{self, NarInfo};
use crate::domain::cache::signing::{PublicKey, SecretKey};
use crate::domain::limits;
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::judgement::{Paths, Seen};
use crate::site::Stores;
use crate::tools::listing;
use crate::tools::nix_cache;
use crate::tools::progress;
use crate::tools::store::{Progress, Store};
use crate::tools::transfer;
use crate::tools::unusable::usable;

/// What was seen of the cache, and what is needed to apply the act.
pub struct Prospect<'a> {
    /// Tree in whose `release/` paths are staged.
    tree: &'a Utf8Path,
    record: &'a Record,
    /// What is in `seen`.
    paths: Arc<Paths>,
    pub(super) seen: Seen,
    narinfos: Narinfos,
}

/// What the bucket has, as far as staging needs it.
#[derive(Default)]
struct Narinfos {
    /// Narinfos that stay.
    kept: Vec<(StorePath, Vec<u8>)>,
    /// Narinfos that get another signature.
    unsigned: Vec<(String, NarInfo)>,
    /// Narinfos that get right headers.
    resent: Vec<(StorePath, String)>,
    /// Good paths whose NARs get right headers.
    restaged: Vec<PathInfo>,
    /// Readable narinfos that are replaced; their signatures may be valid.
    replaced: Vec<NarInfo>,
    /// Text of `nix-cache-info`.
    info: String,
    /// Listings to write.
    listings: Vec<(StorePath, Value)>,
}

/// Compares the bucket with the closures in the local store, path by path: with one request for a missing path and
/// three for one that is there, whatever else the bucket has.
///
/// # Errors
/// The closures are not in the local store, or the bucket cannot be read.
pub async fn look<'a>(delivery: &'a Delivery<'_>) -> Result<Prospect<'a>> {
    let keys = match delivery.site.cache_keys() {
        Ok(keys) => Arc::new(keys),
        Err(why) => {
            let paths = Paths { unready: Some(why), ..Paths::default() };
            return Ok(Prospect::new(delivery, paths, Narinfos::default()));
        }
    };
    let sh = process::shell_in(delivery.git.root())?;
    let closure = nix_cache::closure(&sh, &delivery.built.record.cached()).await?;
    let store = delivery.read.of(Bucket::Cache);
    let looking = closure.into_iter().map(|info| {
        let (store, keys) = (store.clone(), Arc::clone(&keys));
        async move { look_at_path(&store, &info, &keys).await.map(|found| (info, found)) }
    });
    let mut found = transfer::all(looking).await?;
    // The order of the answers varies; that of a plan must not.
    found.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    let info = usable(store.read(INFO, limits::NARINFO).await)?.ok().flatten();
    let info = info.map(|object| (String::from_utf8_lossy(&object.bytes).into_owned(), object.served));
    let info = info.filter(|(text, _)| is_good_info(text));
    let info_fault = info.as_ref().and_then(|(_, served)| header_fault(INFO, served));
    let mut paths = Paths { info: info.is_some(), info_fault, ..Paths::default() };
    let info = info.map_or_else(|| INFO_TEXT.to_owned(), |(text, _)| text);
    let mut narinfos = Narinfos { info, ..Narinfos::default() };
    for (info, found) in found {
        narinfos.add(&mut paths, info, found);
    }
    Ok(Prospect::new(delivery, paths, narinfos))
}

/// What a cache has of a path.
enum Found {
    Nothing,
    /// Why the path is broken, with its narinfo if that could be read.
    Broken(String, Option<NarInfo>),
    Right {
        text: Vec<u8>,
        narinfo: NarInfo,
        signed: Signed,
        /// What is wrong with the path's listing, if anything is, and the right listing.
        listing: Option<(String, Value)>,
        misserved: Misserved,
    },
}

/// What is wrong with the headers of a path's objects.
#[derive(Default)]
struct Misserved {
    narinfo: Option<String>,
    nar: Option<String>,
    /// With the right listing.
    listing: Option<(String, Value)>,
}

impl Misserved {
    fn described(&self) -> Option<String> {
        let listing = self.listing.as_ref().map(|(why, _)| why);
        let all: Vec<&str> = self.narinfo.iter().chain(&self.nar).chain(listing).map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl<'a> Prospect<'a> {
    fn new(delivery: &'a Delivery<'_>, paths: Paths, narinfos: Narinfos) -> Prospect<'a> {
        let (tree, record, paths) = (delivery.git.root(), &delivery.built.record, Arc::new(paths));
        Prospect { tree, record, seen: Seen::Cache(Arc::clone(&paths)), paths, narinfos }
    }

    /// The keys that clients read and that change.
    pub(super) fn keys(&self) -> Vec<String> {
        let Paths { new, broken, unsigned, misserved, .. } = &*self.paths;
        let changed = broken.iter().chain(misserved).map(|(info, _)| info);
        new.iter().chain(changed).chain(unsigned.iter().map(|(info, _)| info)).map(|info| info.path.narinfo()).collect()
    }
}

impl Narinfos {
    fn add(&mut self, paths: &mut Paths, info: PathInfo, found: Found) {
        match found {
            Found::Nothing => paths.new.push(info),
            Found::Broken(why, narinfo) => {
                paths.broken.push((info, why));
                self.replaced.extend(narinfo);
            }
            Found::Right { text, narinfo, signed, listing, misserved } => {
                let path = info.path.clone();
                let headers = misserved.described();
                paths.same += usize::from(signed == Signed::ByOwn && listing.is_none() && headers.is_none());
                paths.misserved.extend(headers.map(|why| (info.clone(), why)));
                paths.unlisted.extend(listing.as_ref().map(|(why, _)| (info.clone(), why.clone())));
                // With a NAR, Nix also stages its listing.
                let right = listing.or(misserved.listing).filter(|_| misserved.nar.is_none());
                self.listings.extend(right.map(|(_, right)| (path.clone(), right)));
                let text_for_us = || String::from_utf8_lossy(&text).into_owned();
                if let Signed::Otherwise(by) = &signed {
                    paths.unsigned.push((info.clone(), by.clone()));
                }
                match signed {
                    _ if misserved.nar.is_some() => {
                        self.restaged.push(info);
                        self.replaced.push(narinfo);
                    }
                    Signed::Otherwise(_) => self.unsigned.push((text_for_us(), narinfo)),
                    Signed::ByOwn if misserved.narinfo.is_some() => self.resent.push((path, text_for_us())),
                    Signed::ByOwn => self.kept.push((path, text)),
                }
            }
        }
    }
}

async fn look_at_path(store: &Store, ours: &PathInfo, keys: &Keys) -> Result<Found> {
    let key = ours.path.narinfo();
    let (text, served) = match usable(store.read(&key, limits::NARINFO).await)? {
        Ok(Some(object)) => (object.bytes, object.served),
        Ok(None) => return Ok(Found::Nothing),
        Err(why) => return Ok(Found::Broken(format!("its narinfo cannot be read: {why}"), None)),
    };
    let narinfo = match NarInfo::parse(&String::from_utf8_lossy(&text)) {
        Ok(narinfo) => narinfo,
        Err(why) => return Ok(Found::Broken(format!("its narinfo is invalid: {why}"), None)),
    };
    if let Some(why) = fault(ours, &narinfo) {
        return Ok(Found::Broken(why, Some(narinfo)));
    }
    let (size, nar) = store.head(&narinfo.url).await?.map(|head| (head.size, head.served)).unzip();
    let nar = nar.unwrap_or_default();
    if let Some(why) = encoding_fault(&narinfo, &nar).or_else(|| nar_fault(&narinfo, size)) {
        return Ok(Found::Broken(why, Some(narinfo)));
    }
    let (listing, misserved_listing) = look_at_listing(store, &ours.path).await?;
    let misserved = Misserved {
        narinfo: header_fault(&key, &served),
        nar: header_fault(&narinfo.url, &nar),
        listing: misserved_listing,
    };
    Ok(Found::Right { text, signed: keys.signed(&narinfo), narinfo, listing, misserved })
}

/// A fault of a listing, and the right one.
type Unlisted = Option<(String, Value)>;

/// Returns what is wrong with a path's listing, or else with its headers.
async fn look_at_listing(store: &Store, path: &StorePath) -> Result<(Unlisted, Unlisted)> {
    let place = Utf8PathBuf::from(path.to_string());
    let ours = tokio::task::spawn_blocking(move || listing::of(&place)).await??;
    // Other spellings of the same are a little longer. Many listings are compared at the same time.
    let limit = (4 * ours.to_string().len() as u64 + (64 << 10)).min(limits::LISTING);
    let there = usable(store.read(&path.listing(), limit).await)?;
    let why = match &there {
        Err(why) => Some(format!("its listing cannot be read: {why}")),
        Ok(None) => Some("its listing is missing".to_owned()),
        Ok(Some(there)) => listing::fault(&ours, &there.bytes).map(str::to_owned),
    };
    if let Some(why) = why {
        return Ok((Some((why, ours)), None));
    }
    let served = there.ok().flatten().map(|there| there.served).unwrap_or_default();
    Ok((None, header_fault(&path.listing(), &served).map(|why| (why, ours))))
}

/// Stages missing and broken paths, and sends them.
///
/// # Errors
/// Nix cannot stage them, does not sign them or stages something wrong, or the server refuses.
pub async fn apply(looked: &Prospect<'_>, stores: &Stores, progress: &Progress) -> Result<()> {
    let key = stores.signing_key().context("paths have to be signed, but there is no signing key")?;
    let signed = |(text, narinfo): &(String, NarInfo)| (narinfo.info.path.clone(), narinfo::signed(text, narinfo, key));
    let Prospect { tree, record, paths, narinfos, .. } = looked;
    let stage = Stage {
        directory: tree.join(RELEASE).join(CACHE_STAGE),
        roots: record.cached(),
        ours: paths
            .new
            .iter()
            .chain(paths.broken.iter().map(|(info, _)| info))
            .chain(&narinfos.restaged)
            .cloned()
            .collect(),
        kept: narinfos.kept.clone(),
        resent: narinfos.unsigned.iter().map(signed).chain(narinfos.resent.iter().cloned()).collect(),
        info: narinfos.info.clone(),
        replaced: narinfos.replaced.clone(),
        listings: narinfos.listings.clone(),
        key: key.public().clone(),
    };
    let directory = stage.directory.clone();
    if !stage.ours.is_empty() {
        // For large closures this takes minutes, and nothing is sent meanwhile.
        progress::say(format_args!(
            "  Nix compresses and signs {} in {RELEASE}/{CACHE_STAGE}/",
            counted(stage.ours.len(), "path")
        ));
    }
    stage.make(key).await?;
    send(stores.of(Bucket::Cache), &directory, paths.info && paths.info_fault.is_none(), progress).await?;
    std::fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {directory}"))
}

/// Removes what an earlier run staged in a tree and did not send: it may be signed by another key, or unsigned. If that
/// fails, it is only a warning, because a publication that stages nothing does not need it.
pub fn forget_staged(tree: &Utf8Path) {
    match clear(&tree.join(RELEASE).join(CACHE_STAGE)) {
        Ok(true) => term::detail(format_args!("removed {RELEASE}/{CACHE_STAGE}/, which an earlier run left")),
        Ok(false) => {}
        Err(error) => term::warn(format_args!("{error:#}; an earlier run left it, and it is not needed")),
    }
}

/// Removes a file or directory, and returns whether it existed.
fn clear(path: &Utf8Path) -> Result<bool> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(facts) if facts.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => Err(error),
    };
    removed.with_context(|| format!("cannot remove {path}"))?;
    Ok(true)
}

/// The directory to stage in, and its contents.
struct Stage {
    directory: Utf8PathBuf,
    roots: Roots,
    /// Paths that Nix has to stage.
    ours: Vec<PathInfo>,
    /// Narinfos that the bucket has and keeps.
    kept: Vec<(StorePath, Vec<u8>)>,
    /// Narinfos with their new signature, or for right headers.
    resent: Vec<(StorePath, String)>,
    /// Text of `nix-cache-info`.
    info: String,
    /// Narinfos in the bucket that are replaced.
    replaced: Vec<NarInfo>,
    listings: Vec<(StorePath, Value)>,
    key: PublicKey,
}

impl Stage {
    /// Stages everything in a new directory: what an earlier run left may be signed by another key, or unsigned.
    async fn make(self, secret_key: &SecretKey) -> Result<()> {
        let directory = &self.directory;
        let making = || format!("cannot make {directory}");
        clear(directory)?;
        std::fs::create_dir_all(directory).with_context(making)?;
        let resent = self.resent.iter().map(|(path, narinfo)| (path, narinfo.as_bytes()));
        for (path, narinfo) in self.kept.iter().map(|(path, narinfo)| (path, narinfo.as_slice())).chain(resent) {
            files::create(&directory.join(path.narinfo()), narinfo)?;
        }
        files::create(&directory.join(INFO), &self.info)?;
        let sh = process::shell_in(directory)?;
        // Older versions of Nix take a store's URL literally, newer ones decode it: a plain path means the same to
        // both.
        let plain = ScratchDir::new()?;
        let link = plain.path().join("stage");
        std::os::unix::fs::symlink(directory, &link).context("cannot make a temporary link")?;
        let store = format!("file://{link}");
        if !self.ours.is_empty() {
            nix_cache::stage(&sh, &store, secret_key, &self.roots).await?;
        }
        self.check()?;
        self.keep_signatures()?;
        // The NARs of kept paths are not here.
        let contents = self.kept.is_empty() && self.resent.is_empty();
        let objection = nix_cache::verify_all(&sh, &store, &self.key.to_string(), contents).await?;
        ensure!(objection.is_none(), "Nix does not accept what it staged: {}", objection.unwrap_or_default());
        for (path, _) in &self.kept {
            let path = directory.join(path.narinfo());
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {path}"))?;
        }
        for (path, listing) in &self.listings {
            files::create(&directory.join(path.listing()), listing.to_string())?;
        }
        Ok(())
    }

    /// Keeps the signatures by other keys on replaced narinfos.
    fn keep_signatures(&self) -> Result<()> {
        for old in &self.replaced {
            let path = self.directory.join(old.info.path.narinfo());
            // The broken narinfo may name another path, which is not staged.
            let Some(text) = files::read_if_there(&path)? else { continue };
            let new = NarInfo::parse(&text).map_err(|why| anyhow!("Nix staged {path}, but {why}"))?;
            files::write_atomic(&path, &narinfo::keeping_signatures(&text, &new, old))?;
        }
        Ok(())
    }

    /// Checks what Nix staged: without a key, for instance, it silently does not sign.
    fn check(&self) -> Result<()> {
        let wrong = |info: &PathInfo| -> Option<String> {
            let path = self.directory.join(info.path.narinfo());
            let Ok(text) = files::read_text(&path) else { return Some("it has no narinfo".to_owned()) };
            match NarInfo::parse(&text) {
                Err(why) => Some(format!("its narinfo is invalid: {why}")),
                Ok(narinfo) => {
                    let size = std::fs::metadata(self.directory.join(&narinfo.url)).ok().map(|nar| nar.len());
                    fault(info, &narinfo)
                        .or_else(|| nar_fault(&narinfo, size))
                        .or_else(|| (!narinfo.is_signed_by(&self.key)).then(|| "Nix did not sign it".to_owned()))
                }
            }
        };
        let problem = |info: &PathInfo| wrong(info).map(|why| Problem::new(format!("{}: {why}", info.path)));
        let problems: Problems = self.ours.iter().filter_map(problem).collect();
        problems.into_result().with_context(|| format!("what Nix staged in {} is wrong", self.directory))
    }
}
