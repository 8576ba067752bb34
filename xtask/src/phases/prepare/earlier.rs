//! Fragments that a release would announce again because an earlier release has announced them: usually a maintenance
//! release, to whose branch they were backported.

use anyhow::Result;

use crate::domain::amounts::enumerate;
use crate::domain::notes;
use crate::domain::notes::forward::{self, Match, Matches};
use crate::domain::oid::Oid;
use crate::domain::product::Product;
use crate::domain::version::Version;
use crate::tools::git::Git;
use crate::tree::released::{self, Past};

/// What is known of earlier releases' fragments.
#[derive(Debug, Default)]
pub struct Earlier {
    matches: Matches,
    /// Releases that are tagged here, but whose history is cut off.
    cut_off: Vec<Version>,
    /// Releases that have sections on the pages of this tree, but are not tagged here.
    untagged: Vec<Version>,
}

impl Earlier {
    /// Compares the fragments of HEAD with those of every release before `target`; for a patch release, only with those
    /// of its series, because other series are right to announce the same fixes.
    ///
    /// # Errors
    /// git fails.
    pub fn look(git: &Git, product: &Product, head: &Oid, target: &Version) -> Result<Earlier> {
        let here = released::texts(git, head)?;
        if here.is_empty() || target.is_pre_release() {
            return Ok(Earlier::default());
        }
        let is_earlier =
            |version: &Version| version < target && (target.patch() == 0 || version.series() == target.series());
        let Past { taken, unknown } = released::past(git, product, is_earlier)?;
        let tagged = released::releases(git)?;
        let mut untagged = sections(git, product, head)?;
        untagged.retain(|version| is_earlier(version) && !tagged.contains(version));
        Ok(Earlier { matches: forward::matches(product, &here, &taken), cut_off: unknown, untagged })
    }

    /// Returns what would be announced again, and what the manager has to look at.
    pub fn remarks(&self) -> (Vec<String>, Vec<String>) {
        let again = |found: &Match| format!("{}: {} announced this already", found.path, found.releases());
        let alike = |found: &Match| {
            let (path, releases) = (&found.path, found.releases());
            format!(
                "{path}: {releases} announced a note with this name or synopsis but another text; is it the same news?"
            )
        };
        let mut doubts: Vec<String> = self.matches.ambiguous.iter().map(alike).collect();
        if !self.cut_off.is_empty() {
            doubts.push(released::cannot_compare(&self.cut_off));
        }
        if !self.untagged.is_empty() {
            let versions = enumerate(&self.untagged);
            doubts.push(format!(
                "cannot tell whether {versions} announced a fragment of this tree already, because the tag is missing: \
                 `git fetch --tags`"
            ));
        }
        (self.matches.released.iter().map(again).collect(), doubts)
    }
}

/// Returns the releases that have sections on the pages of a commit, except pre-releases.
fn sections(git: &Git, product: &Product, commit: &Oid) -> Result<Vec<Version>> {
    let mut pages = git.list(commit, notes::PAGES)?;
    pages.retain(|page| page.is_file() && page.path.ends_with(".md"));
    let texts = git.contents(pages.iter().map(|page| &page.oid))?;
    let texts = texts.iter().map(|text| String::from_utf8_lossy(text));
    let mut versions: Vec<Version> =
        texts.flat_map(|page| forward::versions(product, &page).collect::<Vec<_>>()).collect();
    versions.retain(|version| !version.is_pre_release());
    versions.sort();
    versions.dedup();
    Ok(versions)
}
