//! A file that is replaced in one step: written under a temporary name, and renamed once it is on disk.
//!
//! The temporary name is fixed, and the file is locked while it is written. The lock ends with its process, however
//! that ends; so a file that can be locked was left by a killed run, and the next run that writes there removes it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::durable::{make_missing, parent};

/// Ending of the temporary name, which begins with a dot.
const BESIDE: &str = ".new";
/// How long another run may take to write a file.
const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);

/// Whether this is the temporary name of a file that is being written, or was left behind.
pub fn is_half_written(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(BESIDE)
}

/// Replaces a small file, on disk, and creates the directories above it. Others may read it if the umask allows.
///
/// # Errors
/// The file cannot be written; the old one stays then.
pub fn write_atomic(path: &Utf8Path, content: &str) -> Result<()> {
    write_atomic_with_mode(path, content.as_bytes(), 0o666)
}

/// Like [`write_atomic`], with this mode less the umask.
///
/// # Errors
/// As for [`write_atomic`].
pub fn write_atomic_with_mode(path: &Utf8Path, content: &[u8], mode: u32) -> Result<()> {
    write(path, |file| file.write_all(content), mode).with_context(|| format!("cannot write {path}"))
}

/// Like [`write_atomic`], with what can be read from an opened file.
///
/// # Errors
/// As for [`write_atomic`], or the source cannot be read.
pub fn copy_atomic(source: &mut File, path: &Utf8Path) -> Result<()> {
    write(path, |file| io::copy(source, file).map(drop), 0o666).with_context(|| format!("cannot write {path}"))
}

fn write(path: &Utf8Path, fill: impl FnOnce(&mut File) -> io::Result<()>, mode: u32) -> Result<()> {
    let dir = parent(path);
    make_missing(dir)?;
    let name = path.file_name().ok_or_else(|| anyhow!("this is not the name of a file"))?;
    let (beside, mut file) = begin(dir.join(format!(".{name}{BESIDE}")), mode)?;
    let written = fill(&mut file).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // Our next run tries again.
        let _ = fs::remove_file(&beside);
    }
    written?;
    // So that the new name survives a power cut, too.
    Ok(File::open(dir)?.sync_all()?)
}

/// Creates and locks a new file under a name that no other run writes to.
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
        // On a file system without locks, two simultaneous runs cannot be distinguished.
        let is_held = flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK);
        match (is_held, is_still_at(&file, &path), is_new) {
            (false, true, true) => return Ok((path, file)),
            (false, true, false) => fs::remove_file(&path)?,
            (false, false, _) => {}
            (true, ..) if Instant::now() < deadline => std::thread::sleep(STEP),
            (true, ..) => {
                return Err(anyhow!(
                    "another run of this tool is still writing it: wait for it to end, and run the same command again"
                ));
            }
        }
    }
}

/// Whether `path` still names the opened file or directory.
pub fn is_still_at(opened: &File, path: &Utf8Path) -> bool {
    let (there, opened) = (fs::symlink_metadata(path), opened.metadata());
    matches!((there, opened), (Ok(there), Ok(opened)) if (there.dev(), there.ino()) == (opened.dev(), opened.ino()))
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
