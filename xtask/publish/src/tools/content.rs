//! The identity of some bytes: their size, their SHA-256, and the ETag that an S3 server gives them.
//!
//! Everything is computed in one pass, because the MD5s are needed twice: before an upload, to compare with a listing,
//! and during it, as `Content-MD5`. If a file changes in between, the server rejects it, so a mixture of old and new is
//! never published.

use std::fs::File;
use std::io::{Read, Seek, Write};

use anyhow::{Context, Result, ensure};
use camino::Utf8Path;
use md5::Md5;
use sha2::{Digest as _, Sha256};
use xtask::domain::digest::Digest;
use xtask::tools::files;

use super::encoding::Encodings;

/// Content up to this size, in bytes, travels in one request.
pub const SINGLE_LIMIT: u64 = 32 << 20;
/// Size in bytes of each part of larger content, except the last.
pub const PART_SIZE: u64 = 16 << 20;

/// The facts about some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Size in bytes.
    pub size: u64,
    pub sha256: Digest,
    /// The MD5 of each request that uploads this content: one up to [`SINGLE_LIMIT`], above it one for each
    /// [`PART_SIZE`] bytes.
    pub(crate) md5s: Vec<[u8; 16]>,
}

impl Content {
    /// Reads a file once, in a thread that may block, and returns the facts about it.
    pub async fn of_file(path: &Utf8Path) -> Result<Self> {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || Self::read(&path)).await?
    }

    /// Returns the facts about bytes in memory.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(bytes.len() as u64);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The ETag, without quotes, that an S3 server gives to this content when this crate uploads it.
    ///
    /// One request: the MD5. Several: the MD5 of the parts' MD5s, a dash, the number of parts.
    pub fn etag(&self) -> String {
        match self.md5s.as_slice() {
            [single] => hex::encode(single),
            parts => format!("{}-{}", hex::encode(Md5::digest(parts.concat())), parts.len()),
        }
    }

    fn read(path: &Utf8Path) -> Result<Self> {
        let reading = || format!("cannot read {path} to compute its digests");
        let (mut file, size) = files::open_file(path)?;
        let mut hasher = Hasher::new(size);
        let mut buffer = vec![0; size.clamp(1, 256 << 10) as usize];
        loop {
            match file.read(&mut buffer).with_context(reading)? {
                0 => break,
                n => hasher.update(&buffer[..n]),
            }
        }
        let content = hasher.finish();
        ensure!(
            content.size == size,
            "{path} changed from {size} to {} bytes while it was being read: let whatever writes it finish, then try again",
            content.size
        );
        Ok(content)
    }
}

/// A body that is downloaded: hashed as it arrives, and written to a file if one is named. An encoded body is spooled
/// first, and decoded when it is complete.
pub struct Download {
    hasher: Hasher,
    encodings: Encodings,
    /// The file that receives the body as it arrives: the one that was named, or the spool of an encoded body.
    file: Option<File>,
    /// The file that receives the decoded body.
    decoded: Option<File>,
    /// Name of these files for messages.
    place: String,
}

impl Download {
    /// Starts a download; `size` is that of the body in bytes, as far as it is known.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn begin(size: u64, encodings: Encodings, path: Option<&Utf8Path>) -> Result<Download> {
        let create = |path: &Utf8Path| File::create(path).with_context(|| format!("cannot write {path}"));
        let named = path.map(create).transpose()?;
        let hasher = Hasher::new(size);
        let mut place = path.map_or_else(|| "the download".to_owned(), Utf8Path::to_string);
        Ok(if encodings.is_identity() {
            Download { hasher, encodings, file: named, decoded: None, place }
        } else {
            let spool = tempfile::tempfile().context("cannot make a temporary file")?;
            place = format!("{place} (decoded from a file in {})", std::env::temp_dir().display());
            Download { hasher, encodings, file: Some(spool), decoded: named, place }
        })
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn take(&mut self, bytes: &[u8]) -> Result<()> {
        if self.encodings.is_identity() {
            self.hasher.update(bytes);
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes).with_context(|| format!("cannot write {}", self.place)),
            None => Ok(()),
        }
    }

    /// Decodes the body if necessary, and returns the facts about it.
    ///
    /// # Errors
    /// The body is damaged, or has more than `limit` bytes when decoded.
    pub async fn finish(self, limit: u64) -> Result<Content> {
        let Download { mut hasher, encodings, file, mut decoded, place } = self;
        let Some(mut file) = file.filter(|_| !encodings.is_identity()) else { return Ok(hasher.finish()) };
        let decoding = move || {
            file.rewind().context("cannot read the download")?;
            encodings.decode(file, limit, |bytes| {
                hasher.update(bytes);
                match &mut decoded {
                    Some(file) => file.write_all(bytes).with_context(|| format!("cannot write {place}")),
                    None => Ok(()),
                }
            })?;
            Ok(hasher.finish())
        };
        tokio::task::spawn_blocking(decoding).await?
    }
}

/// Computes a [`Content`] from bytes as they arrive.
pub struct Hasher {
    size: u64,
    sha256: Sha256,
    part: Md5,
    part_size: u64,
    part_left: u64,
    md5s: Vec<[u8; 16]>,
}

impl Hasher {
    /// Starts with nothing; `expected_size` in bytes decides between one MD5 and an MD5 for each part.
    pub fn new(expected_size: u64) -> Self {
        let part_size = if expected_size <= SINGLE_LIMIT { u64::MAX } else { PART_SIZE };
        Self { size: 0, sha256: Sha256::new(), part: Md5::new(), part_size, part_left: part_size, md5s: Vec::new() }
    }

    /// Takes the next bytes, of any length.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.sha256.update(bytes);
        while !bytes.is_empty() {
            if self.part_left == 0 {
                self.end_part();
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.part_left.try_into().unwrap_or(usize::MAX)));
            self.part.update(now);
            self.part_left -= now.len() as u64;
            bytes = later;
        }
    }

    /// Returns the facts about all bytes taken.
    pub fn finish(mut self) -> Content {
        self.end_part();
        Content { size: self.size, sha256: Digest::new(self.sha256.finalize().into()), md5s: self.md5s }
    }

    fn end_part(&mut self) {
        self.md5s.push(std::mem::take(&mut self.part).finalize().into());
        self.part_left = self.part_size;
    }
}
