//! A client for one bucket of an S3 server: listing, comparing, reading and changing objects. Which objects there
//! should be, and in which order they change, is decided in `acts`.
//!
//! Written for the servers behind Lix's buckets, which differ from Amazon's in ways that matter:
//! * path-style addresses, and none of the SDK's newer default checksums (Garage rejects them): `Content-MD5` protects
//!   every upload instead;
//! * Garage accepts conditional writes and ignores them, so nothing here depends on them;
//! * some servers list no ETags, or ETags that are not an MD5: then our SHA-256 in the object's metadata decides or, if
//!   it is missing, the bytes do;
//! * objects may be stored encoded (`Content-Encoding`): their content is what a client gets after decoding.

mod bucket;
mod client;
mod download;
mod listing;
mod put;

pub use self::bucket::{Comparison, Head, Listed, Listing, Progress, Properties, Store, compare};
pub use self::client::{Credentials, Endpoint};
pub use self::download::{Object, Stored, decoded};
