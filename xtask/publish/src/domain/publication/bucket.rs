//! The buckets of an environment, by their purpose.

use xtask::domain::environment::Buckets;

/// A bucket, by its purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    Docs,
    Releases,
    Cache,
    Install,
}

impl Bucket {
    pub const ALL: [Bucket; 4] = [Bucket::Docs, Bucket::Releases, Bucket::Cache, Bucket::Install];

    /// Picks this bucket's name or address.
    pub fn among(self, buckets: &Buckets) -> &str {
        match self {
            Bucket::Docs => &buckets.docs,
            Bucket::Releases => &buckets.releases,
            Bucket::Cache => &buckets.cache,
            Bucket::Install => &buckets.install,
        }
    }
}
