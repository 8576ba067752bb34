//! Archives, read entry by entry without unpacking them: tar, and tar compressed with gzip or xz.

use std::io::{self, BufReader, Read};

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use sha2::{Digest as _, Sha256};
use tar::{Archive, EntryType};
use xtask::domain::digest::Digest;
use xtask::tools::files;

use crate::domain::checks::entry::{Described, Entry, Kind};

/// Most memory for decoding xz, in KiB: its dictionary alone has 64 MiB at the highest level.
const XZ_MEMORY: u32 = 128 << 10;

/// Opens an archive, and decompresses it as its name says.
///
/// # Errors
/// It is not a regular file, or cannot be read.
pub fn open(path: &Utf8Path) -> Result<Box<dyn Read>> {
    let file = BufReader::with_capacity(1 << 20, files::open_file(path)?.0);
    Ok(match path.extension() {
        Some("gz") => Box::new(MultiGzDecoder::new(file)),
        Some("xz") => Box::new(XzReader::new_mem_limit(file, true, XZ_MEMORY)),
        _ => Box::new(file),
    })
}

/// Passes each entry with its content to `each`, in the archive's order. What `each` does not read is skipped.
///
/// # Errors
/// The archive is damaged or cut off, or `each` fails.
pub fn read(archive: impl Read, mut each: impl FnMut(&Entry, &mut dyn Read) -> Result<()>) -> Result<()> {
    let mut archive = Archive::new(archive);
    for entry in archive.entries().context("it is not a tar archive")? {
        let mut content = entry.context("it is damaged")?;
        let link = || content.link_name_bytes().unwrap_or_default().into_owned();
        let kind = match content.header().entry_type() {
            EntryType::XGlobalHeader => continue,
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink(link()),
            EntryType::Link => Kind::HardLink(link()),
            kind if kind.is_file() => {
                let mode = content.header().mode().context("it is damaged: a mode cannot be read")?;
                Kind::File { is_executable: mode & 0o111 != 0 }
            }
            _ => Kind::Special,
        };
        let entry = Entry { path: content.path_bytes().into_owned(), kind };
        each(&entry, &mut content).with_context(|| format!("cannot read {}", entry.shown()))?;
    }
    let mut behind = Vec::new();
    archive.into_inner().take(1 << 20).read_to_end(&mut behind).context("it is damaged")?;
    ensure!(behind.iter().all(|byte| *byte == 0), "there is data after its end");
    Ok(())
}

/// Most entries that are kept: many times those of a release.
const ENTRIES: usize = 1_000_000;

/// Returns every entry of an archive, with the digest of its content.
///
/// # Errors
/// As for [`open`] and [`read`]; or the archive has very many entries.
pub fn entries(path: &Utf8Path) -> Result<Vec<Described>> {
    let mut entries = Vec::new();
    read(open(path)?, |entry, content| {
        ensure!(entries.len() < ENTRIES, "it is one of more than {ENTRIES} entries");
        entries.push((entry.clone(), Hashing::new(content).finish()?));
        Ok(())
    })?;
    Ok(entries)
}

/// A reader that computes the digest of what is read.
pub struct Hashing<'a> {
    inner: &'a mut dyn Read,
    sha256: Sha256,
}

impl Hashing<'_> {
    pub fn new(inner: &mut dyn Read) -> Hashing<'_> {
        Hashing { inner, sha256: Sha256::new() }
    }

    /// Reads what is left, and returns the digest of everything.
    ///
    /// # Errors
    /// It cannot be read to its end.
    pub fn finish(mut self) -> io::Result<Digest> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(Digest::new(self.sha256.finalize().into()))
    }
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.sha256.update(&buffer[..length]);
        Ok(length)
    }
}
