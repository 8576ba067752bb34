//! Private temporary directories. Directories that a killed run left are removed by the next run that makes one.
//!
//! Each directory is held with a file lock, which the system releases when the process ends for any reason. So a
//! directory that can be locked was left.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};

use anyhow::{Context, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{files, term};

/// Start of each directory's name.
const PREFIX: &str = "lix-releng-";
/// Number of names to try, because another process may be tidying up.
const ATTEMPTS: u32 = 100;

/// A directory with mode 0700, which is removed with its contents when this is dropped.
#[derive(Debug)]
pub struct ScratchDir {
    path: Utf8PathBuf,
    /// Handle of the directory, locked while this exists.
    _lock: File,
}

impl ScratchDir {
    /// Makes a directory in the system's directory for temporary files.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn new() -> Result<ScratchDir> {
        ScratchDir::new_in(&temporary()?)
    }

    fn new_in(place: &Utf8Path) -> Result<ScratchDir> {
        tidy(place);
        let making = || format!("cannot make a private directory in {place}");
        for attempt in 0..ATTEMPTS {
            let path = place.join(format!("{PREFIX}{}-{attempt}-{:08x}", std::process::id(), fresh()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                made => made.with_context(making)?,
            }
            let Ok(lock) = File::open(&path) else { continue };
            // Before it was locked, another process may have taken it for one that was left.
            let taken = flock(&lock, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK);
            // On a file system without locks, nothing is tidied up either.
            if !taken && files::is_still_at(&lock, &path) {
                return Ok(ScratchDir { path, _lock: lock });
            }
        }
        bail!("{}: another process removed every directory that was made", making())
    }

    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // Our next run tries again.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Removes the directories that killed runs left among the system's temporary files.
pub fn tidy_up() {
    if let Ok(place) = temporary() {
        tidy(&place);
    }
}

/// Removes the directories that killed runs left in `place`. Other users' directories are skipped; failures are shown.
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
            Ok(()) => term::detail(format_args!("removed {path}, which a killed run had left")),
            // Another run was faster.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                term::warn(format_args!("cannot remove {path}, which a killed run left: {error}"));
            }
        }
    }
}

fn temporary() -> Result<Utf8PathBuf> {
    let path = std::env::temp_dir();
    Utf8PathBuf::from_path_buf(path).map_err(|path| anyhow!("{} is not UTF-8", path.display()))
}

/// Returns a random number.
fn fresh() -> u32 {
    use std::hash::BuildHasher;
    std::collections::hash_map::RandomState::new().hash_one(std::process::id()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_directories_of_dead_runs_are_removed() {
        let place = tempfile::tempdir().expect("a directory");
        let place = Utf8Path::from_path(place.path()).expect("UTF-8");
        let left = place.join(format!("{PREFIX}1-0-0"));
        std::fs::create_dir(&left).expect("made");
        std::fs::write(left.join("key"), "secret").expect("written");
        let elsewhere = place.join("elsewhere");
        std::fs::create_dir(&elsewhere).expect("made");
        std::os::unix::fs::symlink(&elsewhere, place.join(format!("{PREFIX}link"))).expect("linked");

        let first = ScratchDir::new_in(place).expect("made");
        assert!(!left.exists() && elsewhere.exists());
        assert_eq!(first.path().metadata().expect("there").permissions().mode() & 0o777, 0o700);
        let second = ScratchDir::new_in(place).expect("made");
        assert!(first.path().exists() && second.path() != first.path());
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists() && second.path().exists());
    }
}
