//! How much is read of what others may have put in a bucket, in bytes. What is made of it takes several times as much
//! memory, so nothing is read into memory without one of these limits.

/// Longest record of a release or of its installers: a hundred times that of Lix, which has a line for each page of the
/// manual.
pub const RECORD: u64 = 16 << 20;
/// Longest signature, which may be in an envelope with what is signed: a statement is as long as a record, and the envelope
/// a third longer.
pub const SIGNATURE: u64 = 24 << 20;
/// Longest bill of materials: of a closure of 40,000 paths.
pub const BILL_OF_MATERIALS: u64 = 64 << 20;
/// Longest root manifest, receipt, lock, or list of withdrawn versions.
pub const POINTER: u64 = 1 << 20;
/// Longest narinfo, which names all references of a path.
pub const NARINFO: u64 = 4 << 20;
/// Longest listing of a path's files.
pub const LISTING: u64 = 64 << 20;
/// Largest page of the manual, or installer. These go to the disk, not into memory.
pub const DOWNLOAD: u64 = 256 << 20;
