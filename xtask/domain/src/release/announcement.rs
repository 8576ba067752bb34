//! Drafts of what is said about a release, and of what other places have to know: texts, made from the record and the
//! release notes.
//!
//! Owns their words and their limits. What is mentioned is chosen in [`crate::notes::highlights`]; where drafts lie and which of
//! them people have edited, the phase knows. Nothing here is ever posted.

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
    /// People, as the release notes show them, linked.
    pub credits: Vec<String>,
    /// Digest of the source archive.
    pub source: Digest,
    /// Digest of what is in the source archive, as a NAR; `None` if there was no Nix to tell.
    pub unpacked: Option<Digest>,
    /// The newest stable version that is tagged, if that is not this one: then users of the install page, of the
    /// installers and of the NixOS module stay on it.
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

    /// All drafts.
    pub fn drafts(&self) -> Vec<Draft> {
        vec![
            Draft { file: "blog.md", text: self.blog() },
            Draft { file: "toot.txt", text: self.toot() },
            Draft { file: "website.toml", text: self.website() },
            Draft { file: "nixpkgs.toml", text: self.nixpkgs() },
            Draft { file: "checklist.md", text: self.checklist() },
        ]
    }

    /// The manual of the series, which has this release's notes from the day of the release on. Docs `stable` has notes
    /// of a maintenance release only with the next release of the newest series. Without a page of notes, as for a
    /// pre-release, its start page.
    fn notes_link(&self) -> String {
        let series = self.release.series();
        let manual = format!("{}/{}", self.product().links.docs, self.release.layout().docs(Docs::Series(series)));
        if self.has_notes_page { format!("{manual}/{}", notes_page(series)) } else { format!("{manual}/") }
    }

    fn source_link(&self) -> String {
        let layout = self.release.layout();
        format!("{}/{}/{}", self.product().links.releases, layout.version_directory(), layout.source())
    }

    /// `Lix 2.94 “Name”` for a new MAJOR, and else the version alone: the name is that of the series.
    fn title(&self) -> String {
        match self.release.kind() {
            Kind::NewMajor => format!("{} {} “{}”", self.product().name, self.release.series(), self.release.name()),
            Kind::Patch | Kind::PreRelease => self.release.title(),
        }
    }

    /// Whether the release notes speak of a vulnerability.
    fn is_for_security(&self) -> bool {
        self.highlights.iter().any(Highlight::is_about_security)
    }
}

/// TOML's basic strings escape what JSON's do.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
