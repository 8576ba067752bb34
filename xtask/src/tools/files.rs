//! Files and directories; what copies or writes a file also returns its size and SHA-256.

mod atomic;
mod durable;

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt, PermissionsExt};

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};

pub use self::atomic::{copy_atomic, is_half_written, is_still_at, write_atomic, write_atomic_with_mode};
pub use self::durable::{make_dirs, sync, sync_below};
use self::durable::{make_missing, parent};
use crate::domain::digest::{Digest, FileFacts};

/// A writer that passes bytes on and computes their size and digest.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Hashing<W> {
        Hashing { inner, hash: Sha256::new(), size: 0 }
    }

    fn finish(mut self) -> io::Result<FileFacts> {
        self.inner.flush()?;
        Ok(FileFacts { size: self.size, sha256: Digest::new(self.hash.finalize().into()) })
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Returns the size and digest of bytes in memory.
pub fn digest_of(bytes: &[u8]) -> FileFacts {
    FileFacts { size: bytes.len() as u64, sha256: Digest::new(Sha256::digest(bytes).into()) }
}

/// Creates a new file, and the directories above it.
fn create_new(path: &Utf8Path) -> Result<File> {
    let file = match File::create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let dir = path.parent().unwrap_or(path);
            fs::create_dir_all(dir).with_context(|| format!("cannot create {dir}"))?;
            File::create_new(path)
        }
        result => result,
    };
    file.with_context(|| cannot_write(path))
}

fn create_hashing(path: &Utf8Path) -> Result<Hashing<BufWriter<File>>> {
    Ok(Hashing::new(BufWriter::with_capacity(BUFFER, create_new(path)?)))
}

/// Number of bytes that are read or written at a time.
const BUFFER: usize = 1 << 15;

fn cannot_write(path: &Utf8Path) -> String {
    format!("cannot write {path}")
}

/// Creates a file with this content, and the directories above it.
///
/// # Errors
/// The file exists, or cannot be written.
pub fn create(path: &Utf8Path, content: impl AsRef<[u8]>) -> Result<FileFacts> {
    create_new(path)?.write_all(content.as_ref()).with_context(|| cannot_write(path))?;
    Ok(digest_of(content.as_ref()))
}

/// `O_NONBLOCK`, as the standard library takes it.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

/// Opens a regular file, and returns its size in bytes, too. Does not wait for the writer of a pipe, or for a device.
///
/// # Errors
/// The file cannot be read, or is not a regular file.
pub fn open_file(path: &Utf8Path) -> Result<(File, u64)> {
    let reading = || format!("cannot read {path}");
    let file = File::options().read(true).custom_flags(NONBLOCK).open(path).with_context(reading)?;
    let facts = file.metadata().with_context(reading)?;
    ensure!(facts.is_file(), "{path} is not a regular file, but {}", kind(facts.file_type()));
    Ok((file, facts.len()))
}

fn kind(kind: fs::FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_symlink() {
        "a link"
    } else {
        "a device"
    }
}

/// Largest size in bytes of a file that is read into memory, far above that of any archive that is.
pub const SMALL: u64 = 64 << 20;
/// Largest size in bytes of a text that is read, far above that of any record: what is made of it takes several times
/// as much memory.
const TEXT: u64 = 16 << 20;

/// Reads a small file.
///
/// # Errors
/// The file cannot be read, is not a regular file, or is far too large.
pub fn read(path: &Utf8Path) -> Result<Vec<u8>> {
    read_at_most(path, SMALL)
}

fn read_at_most(path: &Utf8Path, most: u64) -> Result<Vec<u8>> {
    let (file, size) = open_file(path)?;
    ensure!(size <= most, "{path} has {size} bytes, which is far too large for this file");
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).with_context(|| format!("cannot read {path}"))?;
    Ok(bytes)
}

/// Reads a small text file.
///
/// # Errors
/// As for [`read`], or the file is not UTF-8.
pub fn read_text(path: &Utf8Path) -> Result<String> {
    String::from_utf8(read_at_most(path, TEXT)?).with_context(|| format!("{path} is not text"))
}

/// Reads a small text file; `None` if it does not exist.
///
/// # Errors
/// As for [`read_text`].
pub fn read_if_there(path: &Utf8Path) -> Result<Option<String>> {
    Ok(if is_there(path) { Some(read_text(path)?) } else { None })
}

/// Reads a small file; `None` if it does not exist.
///
/// # Errors
/// As for [`read`].
pub fn bytes_if_there(path: &Utf8Path) -> Result<Option<Vec<u8>>> {
    Ok(if is_there(path) { Some(read(path)?) } else { None })
}

/// Removes a file, unless it is gone already.
///
/// # Errors
/// The file cannot be removed.
pub fn remove_if_there(path: &Utf8Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {path}"))
        }
        _ => Ok(()),
    }
}

/// Whether anything has this name, even a dangling link. What cannot be examined counts as there.
pub fn is_there(path: &Utf8Path) -> bool {
    !matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Appends a line to a file, on disk; creates the file and the directory above it if they are missing. Of a line that a
/// power cut took the end of, nothing stays.
///
/// # Errors
/// The file cannot be written, or is not a regular file.
pub fn append_line(path: &Utf8Path, line: &str) -> Result<()> {
    let write = || -> io::Result<fs::Metadata> {
        make_missing(parent(path))?;
        let is_new = !is_there(path);
        let mut file = File::options().read(true).create(true).append(true).custom_flags(NONBLOCK).open(path)?;
        let facts = file.metadata()?;
        if facts.is_file() {
            let mut last = [b'\n'];
            if facts.len() > 0 {
                file.read_exact_at(&mut last, facts.len() - 1)?;
            }
            if last != [b'\n'] {
                let mut text = Vec::new();
                file.read_to_end(&mut text)?;
                let complete = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                file.set_len(complete as u64)?;
            }
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_all()?;
            if is_new {
                File::open(parent(path))?.sync_all()?;
            }
        }
        Ok(facts)
    };
    let facts = write().with_context(|| cannot_write(path))?;
    ensure!(facts.is_file(), "{path} is not a regular file, but {}", kind(facts.file_type()));
    Ok(())
}

/// Checks that `dir` is a directory, not a link to one: what is elsewhere was not built here.
///
/// # Errors
/// It is something else.
pub fn require_directory(dir: &Utf8Path) -> Result<()> {
    let facts = fs::symlink_metadata(dir).with_context(|| format!("cannot look at {dir}"))?;
    ensure!(
        facts.is_dir(),
        "{dir} is {}, not the directory that was built: build it again",
        if facts.is_file() { "a file" } else { kind(facts.file_type()) }
    );
    Ok(())
}

/// Copies a file's content to several paths, each with the default mode.
///
/// # Errors
/// As for [`create`], or the source cannot be read.
pub fn copy(from: &Utf8Path, to: &[&Utf8Path]) -> Result<FileFacts> {
    let cannot_read = || format!("cannot read {from}");
    let (mut source, _) = open_file(from)?;
    let mut copies = to.iter().map(|to| Ok((to, create_new(to)?))).collect::<Result<Vec<_>>>()?;
    let mut hashing = Hashing::new(io::sink());
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = source.read(&mut buffer).with_context(cannot_read)?;
        if read == 0 {
            return hashing.finish().with_context(cannot_read);
        }
        hashing.write_all(&buffer[..read]).with_context(cannot_read)?;
        for (path, copy) in &mut copies {
            copy.write_all(&buffer[..read]).with_context(|| cannot_write(path))?;
        }
    }
}

/// Decompresses a gzip file.
///
/// # Errors
/// As for [`create`], or the file is not gzip.
pub fn gunzip(from: &Utf8Path, to: &Utf8Path) -> Result<FileFacts> {
    let (source, _) = open_file(from)?;
    let mut out = create_hashing(to)?;
    io::copy(&mut MultiGzDecoder::new(source), &mut out)
        .and_then(|_| out.finish())
        .with_context(|| format!("cannot decompress {from} to {to}"))
}

/// Compresses a stream with gzip; the result depends on nothing but the content.
///
/// # Errors
/// As for [`create`], or the source fails.
pub fn gzip(source: &mut impl Read, to: &Utf8Path) -> Result<FileFacts> {
    let mut gzip = GzBuilder::new().mtime(0).write(create_hashing(to)?, Compression::best());
    io::copy(source, &mut gzip).and_then(|_| gzip.finish()).and_then(Hashing::finish).with_context(|| cannot_write(to))
}

/// Lists the files below `dir`, relative to it, sorted.
///
/// # Errors
/// The directory cannot be read, or something in it is neither a file nor a directory.
pub fn list(dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let mut files = Vec::new();
    let mut todo = vec![Utf8PathBuf::new()];
    while let Some(sub) = todo.pop() {
        let here = dir.join(&sub);
        for entry in here.read_dir_utf8().with_context(|| format!("cannot read {here}"))? {
            let entry = entry.with_context(|| format!("cannot read {here}"))?;
            let (path, kind) = (sub.join(entry.file_name()), entry.file_type()?);
            if kind.is_dir() {
                todo.push(path)
            } else if kind.is_file() {
                files.push(path)
            } else {
                bail!("{} is neither a file nor a directory: it cannot be published", entry.path())
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Lists the empty directories below `dir`, relative to it, sorted. Neither a bucket nor our archives have any.
///
/// # Errors
/// A directory cannot be read.
pub fn empty_directories(dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let (mut empty, mut todo) = (Vec::new(), vec![Utf8PathBuf::new()]);
    while let Some(sub) = todo.pop() {
        let here = dir.join(&sub);
        let mut entries = 0;
        for entry in here.read_dir_utf8().with_context(|| format!("cannot read {here}"))? {
            let entry = entry.with_context(|| format!("cannot read {here}"))?;
            entries += 1;
            if entry.file_type().with_context(|| format!("cannot look at {}", entry.path()))?.is_dir() {
                todo.push(sub.join(entry.file_name()));
            }
        }
        if entries == 0 {
            empty.push(sub);
        }
    }
    empty.sort();
    Ok(empty)
}

/// Lists the symlinks in `dir`, names and targets.
///
/// # Errors
/// The directory cannot be read, or holds something else.
pub fn links(dir: &Utf8Path) -> Result<Vec<(String, Utf8PathBuf)>> {
    let entries = dir.read_dir_utf8().with_context(|| format!("cannot read {dir}"))?;
    entries
        .map(|entry| {
            let entry = entry.with_context(|| format!("cannot read {dir}"))?;
            let target = entry.path().read_link_utf8().with_context(|| format!("{} is not a link", entry.path()))?;
            Ok((entry.file_name().to_owned(), target))
        })
        .collect()
}

/// Reads the first `length` bytes of a file, or all of a shorter one.
///
/// # Errors
/// The file cannot be read.
pub fn read_prefix(path: &Utf8Path, length: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    let (file, _) = open_file(path)?;
    file.take(length as u64).read_to_end(&mut bytes).with_context(|| format!("cannot read {path}"))?;
    Ok(bytes)
}

/// Returns the file system of `path`, and the free space there in bytes for users other than root.
///
/// # Errors
/// `path` does not exist.
pub fn free_space(path: &Utf8Path) -> Result<(u64, u64)> {
    let stat = rustix::fs::statvfs(path.as_std_path()).with_context(|| format!("cannot look at {path}"))?;
    Ok((stat.f_fsid, stat.f_bavail * stat.f_frsize))
}

/// Whether `PATH` has a program of this name.
pub fn on_path(program: &str) -> bool {
    let dirs = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&dirs).any(|dir| {
        dir.join(program).metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    })
}

#[cfg(test)]
mod tests;
