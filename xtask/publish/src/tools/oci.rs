//! OCI directories (image layouts), which are read blob by blob, and published to.
//!
//! skopeo can write them, too, but rewrites `index.json` in place. Here every blob and every name is written
//! atomically.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::domain::build::image::{BLOBS, Index, MARK, NAMES};
use xtask::domain::digest::Digest;
use xtask::tools::files;

use super::content::Content;

/// An OCI directory, which may not exist yet.
#[derive(Debug, Clone)]
pub struct OciDirectory {
    dir: Utf8PathBuf,
}

impl OciDirectory {
    pub fn new(dir: Utf8PathBuf) -> OciDirectory {
        OciDirectory { dir }
    }

    pub fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    fn blob(&self, digest: Digest) -> Utf8PathBuf {
        self.dir.join(BLOBS).join(digest.to_string())
    }

    /// Reads the names; a directory that does not exist has none.
    ///
    /// # Errors
    /// `index.json` cannot be read, or has another format.
    pub fn names(&self) -> Result<Index> {
        let path = self.dir.join(NAMES);
        match files::bytes_if_there(&path)? {
            Some(bytes) => Index::parse(&bytes).map_err(|why| anyhow!("{path} {why}")),
            None => Ok(Index::empty()),
        }
    }

    /// Returns the digest that has a name; `None` if the name does not exist.
    ///
    /// # Errors
    /// As for [`OciDirectory::names`].
    pub fn named(&self, name: &str) -> Result<Option<Digest>> {
        Ok(self.names()?.named(name).map(|named| named.digest))
    }

    /// Reads a small blob; `None` if it is missing or damaged.
    ///
    /// # Errors
    /// The blob cannot be read.
    pub fn read(&self, digest: Digest) -> Result<Option<Vec<u8>>> {
        let path = self.blob(digest);
        Ok(files::bytes_if_there(&path)?.filter(|bytes| files::digest_of(bytes).sha256 == digest))
    }

    /// Whether a blob of this size and digest is there. A blob of another size is not read, because it may be huge.
    ///
    /// # Errors
    /// The blob cannot be read.
    pub async fn holds(&self, digest: Digest, size: u64) -> Result<bool> {
        let path = self.blob(digest);
        Ok(files::is_there(&path)
            && files::open_file(&path)?.1 == size
            && Content::of_file(&path).await?.sha256 == digest)
    }

    /// Lists what a directory that was built has other than one name, and the blobs that it leads to. They may be there
    /// or not.
    ///
    /// # Errors
    /// The directory cannot be read, or has something that is neither a file nor a directory.
    pub fn differences(&self, name: &str, index: Digest, blobs: &BTreeSet<Digest>) -> Result<Vec<String>> {
        let size = self.read(index)?.map_or(0, |bytes| bytes.len() as u64);
        let names = (NAMES, Index::layout(name, index, size).to_json());
        let blobs: BTreeSet<Utf8PathBuf> =
            blobs.iter().map(|digest| Utf8Path::new(BLOBS).join(digest.to_string())).collect();
        let mut differences = Vec::new();
        let there = files::list(&self.dir)?;
        for name in [MARK.0, NAMES].into_iter().filter(|name| !there.iter().any(|path| path == name)) {
            differences.push(format!("{} is missing", self.dir.join(name)));
        }
        for path in there {
            let expected = [(MARK.0, MARK.1), (names.0, names.1.as_str())].into_iter().find(|(name, _)| *name == path);
            match expected {
                Some((_, text)) if files::read(&self.dir.join(&path))?.trim_ascii_end() != text.as_bytes() => {
                    differences.push(format!("{} is not as it was built", self.dir.join(path)));
                }
                None if !blobs.contains(&path) => {
                    differences.push(format!("{} was not built", self.dir.join(path)));
                }
                Some(_) | None => {}
            }
        }
        Ok(differences)
    }

    /// Total size of all blobs in bytes.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn bytes(&self) -> Result<u64> {
        let dir = self.dir.join(BLOBS);
        let sizes = files::list(&dir)?.into_iter().map(|path| {
            let path = dir.join(path);
            Ok(path.metadata().with_context(|| format!("cannot look at {path}"))?.len())
        });
        sizes.sum()
    }

    /// Copies every blob from another directory that is missing or damaged in this one.
    ///
    /// # Errors
    /// The disk is full, or a blob cannot be read.
    pub async fn take_from(&self, other: &OciDirectory) -> Result<()> {
        let (mark, content) = MARK;
        files::write_atomic(&self.dir.join(mark), content)?;
        let dir = self.dir.join(BLOBS);
        let from = other.dir.join(BLOBS);
        for name in files::list(&from)? {
            let digest = name.as_str().parse().map_err(|why| anyhow!("{from}/{name}: {why}"))?;
            let (mut source, size) = files::open_file(&from.join(&name))?;
            if !self.holds(digest, size).await? {
                files::copy_atomic(&mut source, &dir.join(&name))
                    .with_context(|| format!("cannot copy {from}/{name}"))?;
            }
        }
        Ok(())
    }

    /// Points a name to an index in this directory, instead of whatever it pointed to.
    ///
    /// # Errors
    /// The index is missing, or the disk is full.
    pub fn name(&self, name: &str, index: Digest) -> Result<()> {
        let bytes = self.read(index)?.with_context(|| format!("{} has no {index}", self.dir))?;
        let mut names = self.names()?;
        names.name(name, index, bytes.len() as u64);
        files::write_atomic(&self.dir.join(NAMES), &names.to_json())
    }
}
