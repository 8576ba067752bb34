//! How S3 servers and registries are spoken to, and how throw-away ones are started. No release policy.

pub mod content;
pub mod embedded;
pub mod garage;
pub mod registry;
mod server;
pub mod store;
pub mod transfer;
