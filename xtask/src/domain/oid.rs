//! Names of git objects.
//!
//! A type of its own so that a commit is not taken for a branch or a digest. Refuses to know what it names.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The hexadecimal name of an object, as git writes it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Oid(String);

impl Oid {
    /// An object name that git wrote.
    pub fn new(name: impl Into<String>) -> Oid {
        Oid(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first characters, for people.
    pub fn short(&self) -> &str {
        &self.0[..self.0.len().min(12)]
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
