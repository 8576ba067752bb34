//! OCI layouts on disk that are read blob by blob, and published to. Refuses to know which images there should be.
//!
//! skopeo writes layouts, too, but rewrites `index.json` in place: here a blob or a name is there whole, or not at all.

use anyhow::{Context, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::NamedTempFile;
use xtask::domain::build::image::Index;
use xtask::domain::digest::Digest;
use xtask::tools::files;

use super::content::Content;

/// Says that a directory is a layout.
const MARK: (&str, &str) = ("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
/// Where a layout names what it holds.
const INDEX: &str = "index.json";
/// Where it holds it, by digest.
const BLOBS: &str = "blobs/sha256";

/// A layout, there or not yet.
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

    /// What the layout names; nothing, if it is not there yet.
    ///
    /// # Errors
    /// `index.json` cannot be read, or is something else.
    pub fn names(&self) -> Result<Index> {
        let path = self.dir.join(INDEX);
        match files::bytes_if_there(&path)? {
            Some(bytes) => Index::parse(&bytes).map_err(|why| anyhow!("{path} {why}")),
            None => Ok(Index::empty()),
        }
    }

    /// What has a name; `None` if there is no such name.
    ///
    /// # Errors
    /// As for [`OciDirectory::names`].
    pub fn named(&self, name: &str) -> Result<Option<Digest>> {
        let names = self.names()?;
        let digest = |text: &str| Digest::from_oci(text).map_err(|why| anyhow!("{}: {why}", self.dir));
        names.named(name).map(|named| digest(&named.digest)).transpose()
    }

    /// The bytes of a small blob; `None` if it is missing or damaged.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, digest: Digest) -> Result<Option<Vec<u8>>> {
        let path = self.blob(digest);
        Ok(files::bytes_if_there(&path)?.filter(|bytes| files::digest_of(bytes).sha256 == digest))
    }

    /// Whether a blob of this size is there, and what its digest says. One of another size is not read: it may be
    /// endless.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn holds(&self, digest: Digest, size: u64) -> Result<bool> {
        let path = self.blob(digest);
        Ok(files::is_there(&path)
            && files::open_file(&path)?.1 == size
            && Content::of_file(&path).await?.sha256 == digest)
    }

    /// Bytes of all blobs together.
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

    /// Copies every blob of another layout that is not here, or damaged.
    ///
    /// # Errors
    /// There is no room, or something cannot be read.
    pub async fn take_from(&self, other: &OciDirectory) -> Result<()> {
        let (mark, content) = MARK;
        files::write_atomic(&self.dir.join(mark), content)?;
        let dir = self.dir.join(BLOBS);
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {dir}"))?;
        let from = other.dir.join(BLOBS);
        for name in files::list(&from)? {
            let digest = name.as_str().parse().map_err(|why| anyhow!("{from}/{name}: {why}"))?;
            let (mut source, size) = files::open_file(&from.join(&name))?;
            if !self.holds(digest, size).await? {
                let mut copy = || -> std::io::Result<()> {
                    let mut file = NamedTempFile::new_in(&dir)?;
                    std::io::copy(&mut source, &mut file)?;
                    file.persist(dir.join(&name))?;
                    Ok(())
                };
                copy().with_context(|| format!("cannot copy {from}/{name} to {dir}"))?;
            }
        }
        Ok(())
    }

    /// Gives a name to an index that is here, and takes it from whatever had it.
    ///
    /// # Errors
    /// The index is not here, or there is no room.
    pub fn name(&self, name: &str, index: Digest) -> Result<()> {
        let bytes = self.read(index)?.with_context(|| format!("{} has no {index}", self.dir))?;
        let mut names = self.names()?;
        names.name(name, index, bytes.len() as u64);
        files::write_atomic(&self.dir.join(INDEX), &names.to_json())
    }
}
