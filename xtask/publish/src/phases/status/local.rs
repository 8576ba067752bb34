//! The record in `release/`, as it is, without any checks.

use xtask::domain::build::record::Record;
use xtask::domain::digest::Digest;
use xtask::domain::layout;
use xtask::tools::files;
use xtask::tools::git::Git;

/// The record in `release/`.
pub struct LocalRecord {
    pub record: Record,
    /// Digest of the record's text.
    pub digest: Digest,
}

impl LocalRecord {
    /// Reads the record, if there is one.
    ///
    /// # Errors
    /// The record cannot be read; the message says why.
    pub fn read(git: &Git) -> Result<Option<LocalRecord>, String> {
        let path = git.root().join(layout::RELEASE).join(layout::RECORD);
        let Some(text) = files::read_if_there(&path).map_err(|error| format!("{error:#}"))? else { return Ok(None) };
        let record = Record::parse(&text).map_err(|why| format!("release/{} {why}", layout::RECORD))?;
        Ok(Some(LocalRecord { record, digest: files::digest_of(text.as_bytes()).sha256 }))
    }
}
