//! Private directories for what lies on disk only while we need it. Those of a run that was killed are found and
//! removed by the next run that makes one.
//!
//! A directory is held by a lock that the system gives back when its process ends, however it ends. So a directory that
//! can be locked belongs to nobody any more.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};

use anyhow::{Context, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::progress;

/// What its name begins with.
const PREFIX: &str = "lix-releng-";
/// How often another name is tried: another process may be tidying up just now.
const ATTEMPTS: u32 = 100;

/// A directory with mode 0700. It and all in it are removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: Utf8PathBuf,
    /// Locked while this lives.
    _lock: File,
}

impl Scratch {
    /// In the directory for temporary files.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> Result<Scratch> {
        Scratch::new_in(&temporary()?)
    }

    /// In the runtime directory, which is in memory and ours alone, or else in the one for temporary files.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn in_memory() -> Result<Scratch> {
        let places = [runtime(), Some(temporary()?)];
        // What was left may lie in either: a session over ssh has no runtime directory, another one has.
        places.iter().flatten().for_each(|place| tidy(place));
        let place = places.into_iter().flatten().next().context("there is no directory for temporary files")?;
        Scratch::new_in(&place)
    }

    fn new_in(place: &Utf8Path) -> Result<Scratch> {
        tidy(place);
        let making = || format!("cannot make a private directory in {place}");
        for attempt in 0..ATTEMPTS {
            let path = place.join(format!("{PREFIX}{}-{attempt}-{:08x}", std::process::id(), fresh()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                made => made.with_context(making)?,
            }
            let Ok(lock) = File::open(&path) else { continue };
            // Between the two steps, another process may have taken it for one that was left.
            let taken = flock(&lock, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK);
            // A file system without locks is one where nothing is tidied up, either.
            if !taken && is_there(&path, &lock) {
                return Ok(Scratch { path, _lock: lock });
            }
        }
        bail!("{}: every name was taken from us", making())
    }

    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Our next run tries again.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Whether a path still names what was opened.
fn is_there(path: &Utf8Path, opened: &File) -> bool {
    let (there, opened) = (std::fs::symlink_metadata(path), opened.metadata());
    matches!((there, opened), (Ok(there), Ok(opened)) if (there.dev(), there.ino()) == (opened.dev(), opened.ino()))
}

/// Removes what runs that are dead left in a directory. What cannot be removed is somebody else's, or is said.
fn tidy(place: &Utf8Path) {
    let Ok(entries) = place.read_dir_utf8() else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().starts_with(PREFIX)) {
        let path = entry.path();
        let ours = std::fs::symlink_metadata(path)
            .is_ok_and(|there| there.is_dir() && there.uid() == rustix::process::getuid().as_raw());
        let Some(lock) = ours.then(|| File::open(path).ok()).flatten() else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        match std::fs::remove_dir_all(path) {
            Ok(()) => progress::say(format_args!("  removed {path}, which a run left that was killed")),
            Err(error) => {
                xtask::tools::term::warn(format_args!(
                    "cannot remove {path}, which a run left that was killed: {error}"
                ));
            }
        }
    }
}

fn runtime() -> Option<Utf8PathBuf> {
    let named = std::env::var("XDG_RUNTIME_DIR").ok().filter(|named| !named.is_empty());
    named.map(Utf8PathBuf::from).filter(|path| path.is_dir())
}

fn temporary() -> Result<Utf8PathBuf> {
    let path = std::env::temp_dir();
    Utf8PathBuf::from_path_buf(path).map_err(|path| anyhow!("{} is not UTF-8", path.display()))
}

/// A number that is another one each time.
fn fresh() -> u32 {
    use std::hash::BuildHasher;
    std::collections::hash_map::RandomState::new().hash_one(std::process::id()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_a_dead_run_left_is_removed_and_what_lives_stays() {
        let place = tempfile::tempdir().expect("a directory");
        let place = Utf8Path::from_path(place.path()).expect("UTF-8");
        let left = place.join(format!("{PREFIX}1-0-0"));
        std::fs::create_dir(&left).expect("made");
        std::fs::write(left.join("key"), "secret").expect("written");
        let elsewhere = place.join("elsewhere");
        std::fs::create_dir(&elsewhere).expect("made");
        std::os::unix::fs::symlink(&elsewhere, place.join(format!("{PREFIX}link"))).expect("linked");

        let first = Scratch::new_in(place).expect("made");
        assert!(!left.exists() && elsewhere.exists());
        assert_eq!(first.path().metadata().expect("there").permissions().mode() & 0o777, 0o700);
        let second = Scratch::new_in(place).expect("made");
        assert!(first.path().exists() && second.path() != first.path());
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists() && second.path().exists());
    }
}
