//! Drafts that announce a release, and facts for other repositories: texts, made from the record and the release notes.
//!
//! Owns their wording and their limits. [`crate::notes::highlights`] chooses what is mentioned; the phase knows where
//! drafts are and which of them were edited. Nothing here is ever posted.

use super::{Kind, Release};
use crate::date::Date;
use crate::digest::Digest;
use crate::layout::Docs;
use crate::notes::highlights::Highlight;
use crate::notes::notes_page;
use crate::product::Product;
use crate::version::Version;

mod blog;
mod elsewhere;
mod toot;

#[cfg(test)]
mod tests;

/// What is known about a release that is to be announced.
#[derive(Debug)]
pub struct Announcement {
    pub release: Release,
    /// The date of the release notes.
    pub date: Date,
    pub highlights: Vec<Highlight>,
    /// People to thank, as the release notes show them, as links.
    pub credits: Vec<String>,
    /// Digest of the source archive.
    pub source: Digest,
    /// Digest of the unpacked source archive, as a NAR; `None` if Nix could not tell.
    pub unpacked: Option<Digest>,
    /// Newest stable version that is tagged, if it is newer than this one: the install page, the installers and the
    /// NixOS module stay on it.
    pub newer: Option<Version>,
    /// Whether the manual of the series has a page with the release notes.
    pub has_notes_page: bool,
}

/// A draft and the file that it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub file: &'static str,
    pub text: String,
}

impl Announcement {
    fn product(&self) -> &Product {
        self.release.product()
    }

    /// Returns all drafts.
    pub fn drafts(&self) -> Vec<Draft> {
        vec![
            Draft { file: "blog.md", text: self.blog() },
            Draft { file: "toot.txt", text: self.toot() },
            Draft { file: "website.toml", text: self.website() },
            Draft { file: "nixpkgs.toml", text: self.nixpkgs() },
            Draft { file: "checklist.md", text: self.checklist() },
        ]
    }

    /// Returns the address of the notes in the manual of the series, which has them from the day of the release on;
    /// docs `stable` has the notes of a maintenance release only with the next release of the newest series. Without a
    /// page of notes, as for a pre-release, returns the address of the start page.
    fn notes_link(&self) -> String {
        let series = self.release.series();
        let manual = format!("{}/{}", self.product().links.docs, self.release.layout().docs(Docs::Series(series)));
        if self.has_notes_page { format!("{manual}/{}", notes_page(series)) } else { format!("{manual}/") }
    }

    fn source_link(&self) -> String {
        let layout = self.release.layout();
        format!("{}/{}/{}", self.product().links.releases, layout.version_directory(), layout.source())
    }

    /// Returns the title: `Lix 2.94 “Name”` for a new MAJOR, otherwise only the version, since the name is the series'.
    fn title(&self) -> String {
        match self.release.kind() {
            Kind::NewMajor => format!("{} {} “{}”", self.product().name, self.release.series(), self.release.name()),
            Kind::Patch | Kind::PreRelease => self.release.title(),
        }
    }

    /// Whether the release notes mention a vulnerability.
    fn is_for_security(&self) -> bool {
        self.highlights.iter().any(Highlight::is_about_security)
    }
}

/// Quotes a text for TOML, whose basic strings have JSON's escapes.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
