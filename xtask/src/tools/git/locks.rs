//! Lock files that git leaves behind when it is stopped, and the lock by which runs of this tool know of each other.
//!
//! Nothing in git's lock files says whose they are. So one is removed only while [`hold`] keeps our other runs out, and
//! once no git runs in the repository any more.

use std::fs::{self, File};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::tools::files;

/// How long to wait for another run, or for a git that a killed run has left.
const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(50);

/// Locks a directory against our other runs until the value is dropped. No file is left behind: the directory itself is
/// locked, and the lock ends with its process.
///
/// # Errors
/// Another run holds it, and does not end in time.
pub fn hold(dir: &Utf8Path) -> Result<File> {
    let lock = File::open(dir).with_context(|| format!("cannot open {dir}"))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(STEP),
            Err(Errno::WOULDBLOCK) => bail!("another run of this tool is changing {dir}: wait for it to end"),
            result => return result.map(|()| lock).with_context(|| format!("cannot lock {dir}")),
        }
    }
}

/// Finds the lock files that lie directly in these directories and were written no earlier than `since`.
pub fn find(dirs: &[Utf8PathBuf], since: SystemTime) -> Vec<Utf8PathBuf> {
    let entries = dirs.iter().flat_map(|dir| dir.read_dir_utf8().into_iter().flatten().flatten());
    let locks = entries.filter(|entry| entry.file_name().ends_with(".lock"));
    let is_new = |written: SystemTime| written >= since;
    let locks = locks.filter(|lock| lock.metadata().and_then(|facts| facts.modified()).is_ok_and(is_new));
    locks.map(|lock| lock.into_path()).collect()
}

/// Finds every lock file of a bare repository.
pub fn find_all(repository: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut dirs = vec![repository.to_owned(), repository.join("objects"), repository.join("reftable")];
    let mut todo = vec![repository.join("refs")];
    while let Some(dir) = todo.pop() {
        let entries = dir.read_dir_utf8().into_iter().flatten().flatten();
        todo.extend(entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.into_path()));
        dirs.push(dir);
    }
    find(&dirs, SystemTime::UNIX_EPOCH)
}

/// Removes lock files, once no git runs in these directories any more.
///
/// # Errors
/// A git runs there and does not end in time, or a file cannot be removed.
pub fn remove(locks: &[Utf8PathBuf], homes: &[&Utf8Path]) -> Result<()> {
    if locks.is_empty() {
        return Ok(());
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let running = running(homes);
        if running.is_empty() {
            break;
        }
        ensure!(
            Instant::now() < deadline,
            "git is running in {} (process {}): wait for it to end, or kill it, and run the same command again",
            homes.iter().map(|home| home.as_str()).collect::<Vec<_>>().join(", "),
            running.join(", ")
        );
        std::thread::sleep(STEP);
    }
    for lock in locks {
        files::remove_if_there(lock).context("a stopped git has left a lock file")?;
    }
    Ok(())
}

/// Returns the process IDs of every git that runs in these directories; none on a system without `/proc`.
fn running(homes: &[&Utf8Path]) -> Vec<String> {
    let processes = Utf8Path::new("/proc").read_dir_utf8().into_iter().flatten().flatten();
    let is_ours = |process: &Utf8Path| {
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let cwd = process.join("cwd").read_link_utf8();
        name.starts_with("git") && cwd.is_ok_and(|cwd| homes.iter().any(|home| cwd.starts_with(home)))
    };
    let ours = processes.filter(|process| is_ours(process.path()));
    ours.map(|process| process.file_name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_stays_and_so_does_what_is_not_a_lock() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let dir = Utf8Path::from_path(dir.path()).expect("UTF-8");
        fs::create_dir_all(dir.join("refs/heads/a")).expect("directories");
        for name in ["HEAD", "HEAD.lock", "refs/heads/a/b.lock", "refs/heads/a/b"] {
            fs::write(dir.join(name), "").expect("room");
        }
        let mut all = find_all(dir);
        all.sort();
        assert_eq!(all, [dir.join("HEAD.lock"), dir.join("refs/heads/a/b.lock")]);
        let later = SystemTime::now() + Duration::from_secs(3600);
        assert_eq!(find(&[dir.to_owned()], later), Vec::<Utf8PathBuf>::new());
        remove(&all, &[dir]).expect("nothing runs there");
        assert_eq!(find_all(dir), Vec::<Utf8PathBuf>::new());
        assert!(dir.join("refs/heads/a/b").exists());
    }
}
