//! Secrets for programs that read them from a file: mode 0600, in a private directory, in memory if possible, and
//! removed afterwards, also after an error or a signal.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use xtask::tools::scratch_dir::ScratchDir;

/// The directories that exist now, and whether the process is about to end.
static PRESENT: Mutex<Present> = Mutex::new(Present { directories: Vec::new(), ended: false });

struct Present {
    directories: Vec<Utf8PathBuf>,
    ended: bool,
}

/// A secret in a file, which is removed when this is dropped. Only `kill -9` leaves it, until our next run.
#[derive(Debug)]
pub struct SecretFile {
    path: Utf8PathBuf,
    directory: ScratchDir,
}

impl SecretFile {
    /// Writes a secret to a new file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn new(secret: &str) -> Result<SecretFile> {
        // Held until the directory is listed, so that a signal that arrives meanwhile removes it.
        let mut present = present();
        ensure!(!present.ended, "no secret is written, because this run is being stopped");
        let directory = ScratchDir::in_memory()?;
        present.directories.push(directory.path().to_owned());
        let path = directory.path().join("key");
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(secret.as_bytes()))
            .with_context(|| format!("cannot write a secret to {path}"))?;
        Ok(SecretFile { path, directory })
    }

    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        // The directory is removed after this.
        present().directories.retain(|path| *path != self.directory.path());
    }
}

/// Removes all secrets before the process exits. No file is made after this.
pub fn remove_all() {
    let mut present = present();
    present.ended = true;
    for path in present.directories.drain(..) {
        // Our next run tries again.
        let _ = std::fs::remove_dir_all(path);
    }
}

fn present() -> MutexGuard<'static, Present> {
    PRESENT.lock().unwrap_or_else(PoisonError::into_inner)
}
