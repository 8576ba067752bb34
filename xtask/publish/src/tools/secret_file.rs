//! Owns secrets that another program can only read from a file: 0600, in the runtime directory, and gone afterwards,
//! however that comes. Refuses to know what the secret is.

use std::io::Write;
use std::sync::{Mutex, MutexGuard};

use anyhow::{Context, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::{TempDir, TempPath};
use tokio::signal::unix::{SignalKind, signal};

/// The files that are there now.
static PRESENT: Mutex<Vec<Utf8PathBuf>> = Mutex::new(Vec::new());

/// A secret in a file, removed when this is dropped.
pub struct SecretFile {
    path: Utf8PathBuf,
    _file: TempPath,
    /// Where there is no runtime directory.
    _private: Option<TempDir>,
}

impl SecretFile {
    /// # Errors
    /// There is no place for it.
    pub fn new(secret: &str) -> Result<SecretFile> {
        let mut present = present();
        let (directory, private) = place()?;
        let writing = || format!("cannot write a secret to a file in {directory}");
        // Readable by nobody else from the start.
        let mut file = tempfile::Builder::new().prefix("lix-releng-").tempfile_in(&directory).with_context(writing)?;
        let path = utf8(file.path())?;
        present.push(path.clone());
        file.write_all(secret.as_bytes()).with_context(writing)?;
        Ok(SecretFile { path, _file: file.into_temp_path(), _private: private })
    }

    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        // The fields that own the file remove it after this.
        present().retain(|path| *path != self.path);
    }
}

/// Removes what is there when somebody ends this process early.
///
/// # Errors
/// Signals cannot be listened to.
pub fn remove_on_signals() -> Result<()> {
    for kind in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signals = signal(kind).context("cannot listen to signals")?;
        tokio::spawn(async move {
            signals.recv().await;
            // Held to the end, so that no file is made any more.
            let present = present();
            for path in present.iter() {
                // Whoever presses Ctrl-C can do nothing about a file that cannot be removed.
                let _ = std::fs::remove_file(path);
            }
            // As a shell tells it.
            std::process::exit(128 + kind.as_raw_value());
        });
    }
    Ok(())
}

fn present() -> MutexGuard<'static, Vec<Utf8PathBuf>> {
    PRESENT.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The runtime directory, which is in memory and ours alone; else a new directory that is ours alone.
fn place() -> Result<(Utf8PathBuf, Option<TempDir>)> {
    if let Some(runtime) = std::env::var_os("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty()) {
        let runtime = utf8(runtime.as_ref())?;
        if runtime.is_dir() {
            return Ok((runtime, None));
        }
    }
    let private = tempfile::tempdir().context("cannot make a temporary directory")?;
    Ok((utf8(private.path())?, Some(private)))
}

fn utf8(path: &std::path::Path) -> Result<Utf8PathBuf> {
    Utf8PathBuf::from_path_buf(path.to_owned()).map_err(|path| anyhow!("{} is not UTF-8", path.display()))
}
