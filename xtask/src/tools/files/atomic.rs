//! A file replaced as a whole: written beside its place, and renamed there once it is on the disk.
//!
//! The file beside it has a fixed name and is locked while it is written. The lock ends with its process, however that
//! ends; so one that can be locked was left by a run that was killed, and the next one that writes there removes it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// How the name of a file ends that is not at its place yet; it begins with a dot.
const BESIDE: &str = ".new";
/// How long another run may take to write a file.
const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);

/// Whether a file of this name is on its way to its place, or was left on it.
pub fn is_half_written(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(BESIDE)
}

/// Replaces a small file, and makes the directories above it. Afterwards it is on the disk, and others may read it as far
/// as the umask allows.
///
/// # Errors
/// The file cannot be written; what was there is still there then.
pub fn write_atomic(path: &Utf8Path, content: &str) -> Result<()> {
    write_atomic_with_mode(path, content.as_bytes(), 0o666)
}

/// Like [`write_atomic`], with a mode, of which the umask takes its part.
///
/// # Errors
/// As for [`write_atomic`].
pub fn write_atomic_with_mode(path: &Utf8Path, content: &[u8], mode: u32) -> Result<()> {
    write(path, content, mode).with_context(|| format!("cannot write {path}"))
}

fn write(path: &Utf8Path, content: &[u8], mode: u32) -> Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    fs::create_dir_all(dir)?;
    let name = path.file_name().ok_or_else(|| anyhow!("this is not the name of a file"))?;
    let (beside, mut file) = begin(dir.join(format!(".{name}{BESIDE}")), mode)?;
    let written = file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // Our next run tries again.
        let _ = fs::remove_file(&beside);
    }
    written?;
    // So that the new name survives a power cut, too.
    Ok(File::open(dir)?.sync_all()?)
}

/// A new file under a name that nobody else writes to, held by a lock.
fn begin(path: Utf8PathBuf, mode: u32) -> Result<(Utf8PathBuf, File)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let made = File::options().write(true).create_new(true).mode(mode).open(&path);
        let (file, is_new) = match made {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => match File::open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => (file?, false),
            },
            file => (file?, true),
        };
        // On a file system without locks, two runs at once are not told apart.
        let is_held = flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK);
        let is_there = fs::symlink_metadata(&path).is_ok_and(|there| is_same(&file, &there));
        match (is_held, is_there, is_new) {
            (false, true, true) => return Ok((path, file)),
            (false, true, false) => fs::remove_file(&path)?,
            (false, false, _) => {}
            (true, ..) if Instant::now() < deadline => std::thread::sleep(STEP),
            (true, ..) => return Err(anyhow!("another run of this tool writes it, and does not end")),
        }
    }
}

fn is_same(file: &File, there: &fs::Metadata) -> bool {
    file.metadata().is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_a_killed_run_left_is_removed_and_what_is_being_written_is_waited_for() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let dir = Utf8Path::from_path(dir.path()).expect("UTF-8");
        let (path, beside) = (dir.join("file"), dir.join(".file.new"));
        fs::write(&beside, "half of").expect("room");
        fs::set_permissions(&beside, Permissions::from_mode(0o600)).expect("ours");
        write_atomic(&path, "whole").expect("room");
        assert!(!crate::tools::files::is_there(&beside));
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o600, 0o600);

        let (_, held) = begin(beside, 0o666).expect("room");
        let ending = std::thread::spawn(move || {
            std::thread::sleep(STEP * 5);
            drop(held);
        });
        write_atomic(&path, "after it").expect("it ends");
        ending.join().expect("it ends");
        assert_eq!(crate::tools::files::list(dir).expect("readable"), ["file"]);
        assert_eq!(fs::read_to_string(&path).expect("there"), "after it");
    }

    #[test]
    fn of_many_at_once_one_is_there_in_the_end_and_nothing_beside_it() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let dir = Utf8Path::from_path(dir.path()).expect("UTF-8");
        let contents: Vec<String> = (0..16).map(|n| n.to_string().repeat(5000)).collect();
        std::thread::scope(|scope| {
            for content in &contents {
                scope.spawn(|| write_atomic(&dir.join("file"), content).expect("room"));
            }
        });
        assert!(contents.contains(&fs::read_to_string(dir.join("file")).expect("there")));
        assert_eq!(crate::tools::files::list(dir).expect("readable"), ["file"]);
    }
}
