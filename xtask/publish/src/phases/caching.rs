//! The binary cache of a release: looking at it, staging what is missing, sending that.
//!
//! Nix compresses and signs, into a directory; our store sends. Nothing is staged for paths that the bucket has and
//! that are good: their narinfos are put into the stage first, and Nix skips what has one.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::domain::cache::{self, INFO, INFO_TEXT, Seen, fault, is_good_info, nar_fault};
use xtask::domain::layout::{CACHE_STAGE, RELEASE};
use xtask::domain::narinfo::{NarInfo, PathInfo, StorePath};
use xtask::domain::problem::{Problem, Problems};
use xtask::domain::record::Record;
use xtask::domain::serving::{IMMUTABLE, MOVING, content_type};
use xtask::domain::signing::PublicKey;
use xtask::tools::{files, process, term};

use super::destination::{Bucket, Stores};
use super::session::Session;
use crate::tools::content::Content;
use crate::tools::nix_cache::{self, Roots};
use crate::tools::secret_file::SecretFile;
use crate::tools::store::{Progress, Properties, Store};
use crate::tools::transfer::{self, Item, Standing, Surveyed};

/// No narinfo is nearly this long.
pub const NARINFO_LIMIT: u64 = 4 << 20;

/// What was seen, and the narinfos that stay.
pub struct LookedCache {
    pub seen: Seen,
    kept: Vec<(StorePath, Vec<u8>)>,
}

/// What is published, of a release.
pub fn roots(record: &Record) -> Roots {
    Roots {
        outputs: record.builds.values().flat_map(|build| build.outputs.values().cloned()).collect(),
        derivations: record.builds.values().map(|build| build.derivation.clone()).collect(),
    }
}

/// Compares the bucket with the closures in the local store, path by path: a request for each that is missing, two for
/// each that is there, however much else the bucket holds. Listings are not looked at: they are sent before narinfos.
///
/// # Errors
/// The closures are not in the local store, or the bucket cannot be read.
pub async fn look(session: &Session<'_>) -> Result<LookedCache> {
    let key = match session.world.cache_key() {
        Ok(key) => Arc::new(key),
        Err(why) => return Ok(LookedCache { seen: Seen { unready: Some(why), ..Seen::default() }, kept: Vec::new() }),
    };
    let sh = process::shell_in(session.git.root())?;
    let closure = nix_cache::closure(&sh, &roots(&session.sealed.record))
        .context("what was built is not all in the Nix store any more: build it again")?;
    let store = session.read.of(Bucket::Cache);
    let looking = closure.into_iter().map(|info| {
        let (store, key) = (store.clone(), Arc::clone(&key));
        async move { look_at_path(&store, &info, key.as_ref().as_ref()).await.map(|found| (info, found)) }
    });
    let found = transfer::all(looking).await?;
    let info = store.get(INFO, NARINFO_LIMIT).await?;
    let info = info.is_some_and(|text| is_good_info(&String::from_utf8_lossy(&text)));
    let (mut seen, mut kept) = (Seen { info, ..Seen::default() }, Vec::new());
    for (info, found) in found {
        match found {
            Found::Nothing => seen.new.push(info),
            Found::Broken(why) => seen.broken.push((info, why)),
            Found::Good(narinfo) => kept.push((info.path, narinfo)),
        }
    }
    // They were found in the order of the answers; a plan has one order.
    seen.new.sort_by(|a, b| a.path.cmp(&b.path));
    seen.broken.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    seen.same = kept.len();
    Ok(LookedCache { seen, kept })
}

enum Found {
    Nothing,
    Broken(String),
    Good(Vec<u8>),
}

async fn look_at_path(store: &Store, ours: &PathInfo, key: Option<&PublicKey>) -> Result<Found> {
    let Some(text) = store.get(&ours.path.narinfo(), NARINFO_LIMIT).await? else { return Ok(Found::Nothing) };
    let narinfo = match NarInfo::parse(&String::from_utf8_lossy(&text)) {
        Ok(narinfo) => narinfo,
        Err(why) => return Ok(Found::Broken(format!("its narinfo is none: {why}"))),
    };
    if let Some(why) = fault(ours, &narinfo, key) {
        return Ok(Found::Broken(why));
    }
    let size = store.head(&narinfo.url).await?.map(|head| head.size);
    Ok(nar_fault(&narinfo, size).map_or(Found::Good(text), Found::Broken))
}

/// Stages what is missing or broken, and sends it.
///
/// # Errors
/// Nix cannot stage, what it staged is not signed or not right, or the server refuses.
pub async fn publish(session: &Session<'_>, looked: &LookedCache, stores: &Stores, progress: &Progress) -> Result<()> {
    let key = stores.signing_key().context("there is no signing key, though there is something to sign")?;
    let stage = Stage {
        directory: session.git.root().join(RELEASE).join(CACHE_STAGE),
        roots: roots(&session.sealed.record),
        ours: looked.seen.new.iter().chain(looked.seen.broken.iter().map(|(info, _)| info)).cloned().collect(),
        kept: looked.kept.clone(),
        key: key.public().clone(),
    };
    let directory = stage.directory.clone();
    // Large closures take minutes, in which nothing is sent.
    term::say(format_args!("  Nix compresses and signs {} paths in {RELEASE}/{CACHE_STAGE}/", stage.ours.len()));
    let secret = SecretFile::new(key.expose())?;
    tokio::task::spawn_blocking(move || stage.make(secret)).await??;
    send(stores.of(Bucket::Cache), &directory, looked.seen.info, progress).await?;
    std::fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {directory}"))
}

/// What is staged, and where.
struct Stage {
    directory: Utf8PathBuf,
    roots: Roots,
    /// What must be in it.
    ours: Vec<PathInfo>,
    /// What the bucket has.
    kept: Vec<(StorePath, Vec<u8>)>,
    key: PublicKey,
}

impl Stage {
    /// Makes it anew: what an earlier run left may be signed by another key, or not at all.
    fn make(self, secret: SecretFile) -> Result<()> {
        let directory = &self.directory;
        let making = || format!("cannot make {directory}");
        if directory.exists() {
            std::fs::remove_dir_all(directory).with_context(making)?;
        }
        std::fs::create_dir_all(directory).with_context(making)?;
        for (path, narinfo) in &self.kept {
            files::write(&directory.join(path.narinfo()), narinfo)?;
        }
        files::write(&directory.join(INFO), INFO_TEXT)?;
        let sh = process::shell_in(directory)?;
        // Older Nix takes the address of a store as it stands, newer Nix decodes it: a plain one is the same to both.
        let plain = tempfile::tempdir().context("cannot make a temporary directory")?;
        let link = plain.path().join("stage");
        std::os::unix::fs::symlink(directory, &link).context("cannot make a temporary link")?;
        let store = format!("file://{}", link.display());
        nix_cache::stage(&sh, &store, &secret, &self.roots)?;
        drop(secret);
        self.check()?;
        // The NARs of kept paths are not here.
        let contents = self.kept.is_empty();
        let objection = nix_cache::verify_all(&sh, &store, &self.key, contents)?;
        ensure!(objection.is_none(), "Nix does not accept what it staged: {}", objection.unwrap_or_default());
        for (path, _) in &self.kept {
            let path = directory.join(path.narinfo());
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {path}"))?;
        }
        Ok(())
    }

    /// Nix stages without signing where it finds no key, and says nothing.
    fn check(&self) -> Result<()> {
        let wrong = |info: &PathInfo| -> Option<String> {
            let path = self.directory.join(info.path.narinfo());
            let Ok(text) = std::fs::read_to_string(&path) else { return Some("it has no narinfo".to_owned()) };
            match NarInfo::parse(&text) {
                Err(why) => Some(format!("its narinfo is none: {why}")),
                Ok(narinfo) => {
                    let size = std::fs::metadata(self.directory.join(&narinfo.url)).ok().map(|nar| nar.len());
                    fault(info, &narinfo, Some(&self.key)).or_else(|| nar_fault(&narinfo, size))
                }
            }
        };
        let problem = |info: &PathInfo| wrong(info).map(|why| Problem::new(format!("{}: {why}", info.path)));
        let problems: Problems = self.ours.iter().filter_map(problem).collect();
        problems.into_result().with_context(|| format!("Nix did not stage in {} what it should", self.directory))
    }
}

/// Sends what was staged: NARs, then their listings, then what leads to them.
async fn send(store: &Store, directory: &Utf8Path, has_info: bool, progress: &Progress) -> Result<()> {
    let mut waves: [Vec<String>; 4] = Default::default();
    for path in files::list(directory)? {
        let wave = match path.extension() {
            _ if path.starts_with("nar") => 0,
            Some("ls") => 1,
            Some("narinfo") => 2,
            None if path == INFO && !has_info => 3,
            _ => continue,
        };
        waves[wave].push(path.into_string());
    }
    for paths in waves {
        let surveying = paths.into_iter().map(|key| {
            let (store, path) = (store.clone(), directory.join(&key));
            async move { survey(&store, key, path).await }
        });
        transfer::send(store, &transfer::all(surveying).await?, progress).await?;
    }
    Ok(())
}

async fn survey(store: &Store, key: String, path: Utf8PathBuf) -> Result<Surveyed> {
    let content = Content::of_file(&path).await?;
    // NARs are named by their content, and what they belong to may be all that was broken.
    let is_nar = key.starts_with("nar/");
    let standing = if is_nar && store.holds(&key, &content).await? { Standing::Same } else { Standing::Absent };
    if is_nar {
        let name = cache::nar_name(&content.sha256);
        ensure!(key.contains(&name), "{path} is not what its name says: has something changed it?");
    }
    let cache_control = if is_nar { IMMUTABLE } else { MOVING };
    let properties = Properties { content_type: content_type(&key).into(), cache_control: cache_control.into() };
    Ok(Surveyed { item: Item { key, path, content, properties }, standing })
}
