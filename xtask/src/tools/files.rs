//! Files and directories, with the size and SHA-256 of all that is read or written. Refuses to know what they mean.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::domain::digest::{Digest, FileFacts};

/// Passes bytes on and remembers what they were.
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

/// Of bytes in memory.
pub fn facts(bytes: &[u8]) -> FileFacts {
    FileFacts { size: bytes.len() as u64, sha256: Digest::new(Sha256::digest(bytes).into()) }
}

/// A new file, with the directories above it.
fn create(path: &Utf8Path) -> Result<File> {
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
    Ok(Hashing::new(BufWriter::with_capacity(BUFFER, create(path)?)))
}

/// Bytes that are read or written at a time.
const BUFFER: usize = 1 << 15;

fn cannot_write(path: &Utf8Path) -> String {
    format!("cannot write {path}")
}

/// # Errors
/// The file exists, or there is no room for it.
pub fn write(path: &Utf8Path, content: impl AsRef<[u8]>) -> Result<FileFacts> {
    create(path)?.write_all(content.as_ref()).with_context(|| cannot_write(path))?;
    Ok(facts(content.as_ref()))
}

/// Writes a small file beside its place and renames it there; makes the directories above it.
///
/// # Errors
/// The place cannot be written to; what was there is still there then.
pub fn replace(path: &Utf8Path, content: &str) -> Result<()> {
    let write = || -> io::Result<()> {
        let dir = path.parent().unwrap_or(Utf8Path::new("."));
        fs::create_dir_all(dir)?;
        let mut file = NamedTempFile::new_in(dir)?;
        file.write_all(content.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| cannot_write(path))
}

/// Copies one file's content to each of some places; the mode becomes what is usual there, whatever it was.
///
/// # Errors
/// As for [`write`], or the source cannot be read.
pub fn copy(from: &Utf8Path, to: &[&Utf8Path]) -> Result<FileFacts> {
    let cannot_read = || format!("cannot read {from}");
    let mut source = File::open(from).with_context(cannot_read)?;
    let mut copies = to.iter().map(|to| Ok((to, create(to)?))).collect::<Result<Vec<_>>>()?;
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

/// Decompresses.
///
/// # Errors
/// As for [`write`], or the file is not gzip.
pub fn gunzip(from: &Utf8Path, to: &Utf8Path) -> Result<FileFacts> {
    let source = File::open(from).with_context(|| format!("cannot read {from}"))?;
    let mut out = create_hashing(to)?;
    io::copy(&mut MultiGzDecoder::new(source), &mut out)
        .and_then(|_| out.finish())
        .with_context(|| format!("cannot decompress {from} to {to}"))
}

/// Compresses: the bytes depend on nothing but the source.
///
/// # Errors
/// As for [`write`], or the source fails.
pub fn gzip(source: &mut impl Read, to: &Utf8Path) -> Result<FileFacts> {
    let mut gzip = GzBuilder::new().mtime(0).write(create_hashing(to)?, Compression::best());
    io::copy(source, &mut gzip).and_then(|_| gzip.finish()).and_then(Hashing::finish).with_context(|| cannot_write(to))
}

/// The files below `dir`, relative to it, sorted.
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
            match () {
                () if kind.is_dir() => todo.push(path),
                () if kind.is_file() => files.push(path),
                () => bail!("{} is neither a file nor a directory: it cannot be published", entry.path()),
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The names in `dir` and, for each, the target of the symlink that it is.
///
/// # Errors
/// The directory cannot be read, or holds something else.
pub fn links(dir: &Utf8Path) -> Result<Vec<(String, Utf8PathBuf)>> {
    let entries = dir.read_dir_utf8().with_context(|| format!("cannot read {dir}"))?;
    entries
        .map(|entry| {
            let entry = entry.with_context(|| format!("cannot read {dir}"))?;
            let target = entry.path().read_link_utf8().with_context(|| format!("{} is no link", entry.path()))?;
            Ok((entry.file_name().to_owned(), target))
        })
        .collect()
}

/// The first bytes of a file: `length`, or all there are.
///
/// # Errors
/// It cannot be read.
pub fn start(path: &Utf8Path, length: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    let read = File::open(path).and_then(|file| file.take(length as u64).read_to_end(&mut bytes));
    read.with_context(|| format!("cannot read {path}"))?;
    Ok(bytes)
}

/// The text of a file, or `None` if it is not there.
///
/// # Errors
/// It cannot be read.
pub fn read_if_there(path: &Utf8Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => text.map(Some).with_context(|| format!("cannot read {path}")),
    }
}

/// The file system on which `path` lies, and the free space there, in bytes, for whoever is not root.
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
mod tests {
    use super::*;

    #[test]
    fn compressed_bytes_depend_on_the_content_alone() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let dir = Utf8Path::from_path(dir.path()).expect("UTF-8");
        let content = b"the same text ".repeat(1000);
        let one = gzip(&mut &content[..], &dir.join("one/x.gz")).expect("room");
        let two = gzip(&mut &content[..], &dir.join("two.gz")).expect("room");
        assert_eq!(one, two);
        assert_eq!(facts(&fs::read(dir.join("two.gz")).expect("there")), two);
        assert_eq!(gunzip(&dir.join("two.gz"), &dir.join("three")).expect("gzip"), facts(&content));
        assert_eq!(list(dir).expect("readable"), ["one/x.gz", "three", "two.gz"]);
        assert!(write(&dir.join("three"), "x").is_err(), "nothing is overwritten");
    }
}
