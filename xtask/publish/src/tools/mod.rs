//! How S3 servers, registries and public addresses are spoken to, and how throw-away ones are started. No release
//! policy.

pub mod anonymous;
pub mod bench;
pub mod child;
pub mod content;
pub mod embedded;
pub mod encoding;
pub mod garage;
pub mod http;
pub mod images;
pub mod keys;
pub mod listing;
pub mod lock;
pub mod nix_cache;
pub mod oci;
pub mod progress;
pub mod registry;
pub mod root_manifest;
pub mod scratch;
pub mod secret_file;
pub mod server;
pub mod shutdown;
pub mod signing_key;
pub mod skopeo;
pub mod source;
pub mod store;
pub mod test_servers;
pub mod transfer;
pub mod unusable;
pub mod whole_clone;
pub mod wire;
