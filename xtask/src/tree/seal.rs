//! What follows from a record: the statement of provenance, and the sums that list everything.
//!
//! `build` writes these files beside the others of the version directory, and every command that publishes or checks a
//! release compares with them, in `release/` and where it is published.

use crate::domain::build::provenance;
use crate::domain::build::record::{Files, Record};
use crate::domain::digest::Digest;
use crate::domain::layout::{self, Layout};
use crate::tools::files;

/// The texts that follow from a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// The statement, which is not signed. An older tool made none.
    pub statement: Option<Statement>,
    /// Text of `SHA256SUMS`.
    pub sums: String,
}

/// The statement of provenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its name in the version directory.
    pub name: String,
    pub text: String,
}

impl Seal {
    /// Seals a record, given the digest of its own text.
    pub fn of(record: &Record, digest: Digest, layout: &Layout) -> Seal {
        let statement = provenance::statement(record, digest);
        let statement = statement.map(|text| Statement { name: layout.statement(), text });
        let stated = statement.as_ref().map(|statement| (statement.name.as_str(), statement.digest()));
        let sums = record.sums([(layout::RECORD, digest)].into_iter().chain(stated));
        Seal { statement, sums }
    }

    /// The texts by their names in the version directory.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let statement = self.statement.iter().map(|statement| (statement.name.as_str(), statement.text.as_str()));
        statement.chain([(layout::SUMS, self.sums.as_str())])
    }

    /// The same as files.
    pub fn files(&self) -> Files {
        self.texts().map(|(name, text)| (name.to_owned(), files::digest_of(text.as_bytes()))).collect()
    }
}

impl Statement {
    pub fn digest(&self) -> Digest {
        files::digest_of(self.text.as_bytes()).sha256
    }
}
