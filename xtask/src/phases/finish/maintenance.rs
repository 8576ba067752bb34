//! What maintenance releases have left undone on `main`: sections that are missing from its pages, and fragments that
//! it still takes for unreleased. Looks, and plans one commit.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::domain::notes;
use crate::domain::notes::forward::{self, Matches};
use crate::domain::oid::Oid;
use crate::domain::product::Product;
use crate::domain::release;
use crate::domain::version::{Series, Version};
use crate::tools::git::Git;
use crate::tools::scratch_repo::Edit;
use crate::tree::commits::Commit;
use crate::tree::released;

/// Everything that `main` could take over.
#[derive(Debug, Default)]
pub struct Left {
    /// Pages of `main`, each with the sections that are missing from it.
    pages: BTreeMap<Series, (String, BTreeMap<Version, String>)>,
    matches: Matches,
    /// Releases whose fragments cannot be read in this clone.
    unknown: Vec<Version>,
}

impl Left {
    /// Compares `main`, as it is at `tip`, with every maintenance release that is tagged here.
    ///
    /// # Errors
    /// git fails, or a page or fragment that is not UTF-8.
    pub fn look(git: &Git, product: &Product, tip: &Oid) -> Result<Left> {
        let mut left = Left::default();
        let maintenance = |version: &Version| version.patch() > 0;
        let mut versions = released::releases(git)?;
        versions.retain(maintenance);
        for releases in versions.chunk_by(|a, b| a.series() == b.series()) {
            let series = releases[0].series();
            let path = notes::page_path(series);
            // Without a page, `main` does not have X.Y.0 yet, which brings the page.
            let Some(page) = git.file(tip, &path)? else { continue };
            let mut sections = BTreeMap::new();
            for version in releases {
                let Some(commit) = git.resolve(&format!("refs/tags/{version}^{{commit}}"))? else { continue };
                let released = git.file(&commit, &path)?.unwrap_or_default();
                let Some(section) = forward::section(product, &released, version) else { continue };
                if forward::section(product, &page, version).is_none() {
                    sections.insert(version.clone(), section.to_owned());
                }
            }
            if !sections.is_empty() {
                left.pages.insert(series, (page, sections));
            }
        }
        let here = released::texts(git, tip)?;
        if !here.is_empty() {
            let past = released::past(git, product, maintenance)?;
            left.matches = forward::matches(product, &here, &past.taken);
            left.unknown = past.unknown;
        }
        Ok(left)
    }

    /// Returns the commit for `main`; `None` if it has everything.
    pub fn commit(&self, product: &Product) -> Option<Commit> {
        let mut edits = Vec::new();
        let mut versions: Vec<Version> =
            self.matches.released.iter().flat_map(|found| found.versions.clone()).collect();
        for (series, (page, sections)) in &self.pages {
            let content = Some(forward::add_sections(product, page, sections));
            edits.push(Edit { path: notes::page_path(*series), content });
            versions.extend(sections.keys().cloned());
        }
        edits.extend(self.matches.released.iter().map(|found| Edit { path: found.path.clone(), content: None }));
        versions.sort();
        versions.dedup();
        (!edits.is_empty()).then(|| Commit { message: release::forward_message(&versions), edits })
    }

    /// Returns what the manager has to look at.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let ambiguous = self.matches.ambiguous.iter().map(|found| {
            let (path, releases) = (&found.path, found.releases());
            format!("{path} stays: {releases} released a note with this name or synopsis but another text; is it the same news?")
        });
        ambiguous.chain((!self.unknown.is_empty()).then(|| released::cannot_compare(&self.unknown)))
    }
}
