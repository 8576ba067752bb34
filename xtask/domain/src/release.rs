//! A release and every name that it implies: tag, branches, commit messages.
//!
//! Owns the texts that end up in git history. [`super::layout`] owns where artifacts go.
//!
//! * [`version_file`]: `version.json`; [`official`]: the flag of official releases, there or in `flake.nix`
//! * [`tagging`]: the shape of a tagged release in git's history; [`intent`]: what is about to move in a work tree
//! * [`tag_rules`]: which tags must be signed
//! * [`announcement`]: drafts that announce a release

pub mod announcement;
pub mod check;
pub mod intent;
pub mod official;
pub mod tag_rules;
pub mod tagging;
pub mod version_file;

use std::fmt;
use std::sync::Arc;

use super::layout::Layout;
use super::problem::Problem;
use super::product::Product;
use super::shown::excerpt;
use super::version::{Series, Version};

/// The placeholder in `version.json` for a series that has no name yet.
pub const UNNAMED: &str = "TBD";

/// The branch of the next new MAJOR.
pub const MAIN: &str = "main";

/// A version that may be released, with the name of its series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    product: Arc<Product>,
    version: Version,
    name: String,
}

/// What a release is to its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `X.Y.0`: starts the series, gets a page of release notes and, afterwards, a branch.
    NewMajor,
    /// `X.Y.Z`: follows on the series' branch and adds a section to its page.
    Patch,
    /// `X.Y.0-rc1`: a public rehearsal. Has no release notes and moves nothing that users of stable releases follow.
    PreRelease,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::NewMajor => "new MAJOR",
            Kind::Patch => "patch",
            Kind::PreRelease => "pre-release",
        })
    }
}

/// Why a version and a name do not make a release.
#[derive(Debug, PartialEq, Eq)]
pub enum NotReleasable {
    /// `2.96.0-dev` names a tree between releases.
    Dev(Version),
    /// The series has no name yet.
    Unnamed(Version),
    /// The name cannot be used in a tag message or a heading.
    BadName(String),
}

impl fmt::Display for NotReleasable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotReleasable::Dev(version) => write!(
                f,
                "{version} names a tree between releases and is never released: \
                 run `cargo xtask release prepare {}` (with `--name` for a new MAJOR) first",
                version.base()
            ),
            NotReleasable::Unnamed(version) => write!(
                f,
                "the release name is still `{UNNAMED}`: \
                 give the series its name with `cargo xtask release prepare {version} --name NAME`"
            ),
            NotReleasable::BadName(name) => write!(
                f,
                "`{}` cannot be a release name: headings and commit messages contain it, \
                 so it must be one line and not empty",
                excerpt(name)
            ),
        }
    }
}

impl std::error::Error for NotReleasable {}

impl From<NotReleasable> for Problem {
    fn from(why: NotReleasable) -> Problem {
        Problem::new(why.to_string())
    }
}

/// Says that a version does not follow the last tag of its series; `None` if it does, or is that tag.
pub fn not_newer(version: &Version, tags: &[Version]) -> Option<String> {
    let series = version.series();
    let last = tags.iter().filter(|tag| tag.series() == series).max().filter(|last| *last > version)?;
    Some(format!("{version} is not newer than {last}, the last tag of {series}"))
}

impl Release {
    /// Checks that a version and a name make a release.
    ///
    /// # Errors
    /// `-dev` versions, the name `TBD`, and names that would break headings.
    pub fn new(product: &Arc<Product>, version: Version, name: &str) -> Result<Release, NotReleasable> {
        if version.is_dev() {
            return Err(NotReleasable::Dev(version));
        }
        if name == UNNAMED {
            return Err(NotReleasable::Unnamed(version));
        }
        if name.trim() != name || name.is_empty() || name.chars().any(char::is_control) {
            return Err(NotReleasable::BadName(name.to_owned()));
        }
        Ok(Release { product: Arc::clone(product), version, name: name.to_owned() })
    }

    pub fn product(&self) -> &Product {
        &self.product
    }

    pub fn version(&self) -> &Version {
        &self.version
    }

    /// `Lix 2.93.1`
    pub fn title(&self) -> String {
        format!("{} {}", self.product.name, self.version)
    }

    /// What its artifacts are called.
    pub fn layout(&self) -> Layout {
        Layout::new(&self.product, &self.version)
    }

    /// Returns the name of the series, such as `Bici Bici`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn series(&self) -> Series {
        self.version.series()
    }

    pub fn kind(&self) -> Kind {
        if self.version.is_pre_release() {
            Kind::PreRelease
        } else if self.version.patch() == 0 {
            Kind::NewMajor
        } else {
            Kind::Patch
        }
    }

    /// Returns the tag: the version itself, without a `v`.
    pub fn tag(&self) -> String {
        self.version.to_string()
    }

    /// Returns the branch that users' history follows: `main` for `X.Y.0` and its pre-releases, `release-X.Y` after that.
    pub fn release_branch(&self) -> String {
        if self.version.patch() == 0 { MAIN.to_owned() } else { series_branch(self.series()) }
    }

    /// Returns the subject of the commit that turns fragments into release notes.
    pub fn notes_message(&self) -> String {
        format!("release: release notes for {}\n", self.version)
    }

    /// Returns the message of the release commit and of the tag.
    pub fn release_message(&self) -> String {
        format!("release: {} \"{}\"\n\n{TRAILER}\n", self.version, self.name)
    }

    /// Returns the message of the merge commit that brings the tag, without its tree, back to the branch.
    pub fn merge_message(&self) -> String {
        format!("release: merge release {} back to mainline\n\n{MERGE_EXPLANATION}\n\n{TRAILER}\n", self.version)
    }
}

/// Returns the branch of a series after its first release.
pub fn series_branch(series: Series) -> String {
    format!("release-{series}")
}

/// Returns the version of a tree that is on the way to a series' first release.
pub fn on_the_way_to(series: Series) -> Version {
    format!("{series}.0-dev").parse().expect("a series and a suffix make a version")
}

/// Returns the message of the commit that brings sections of maintenance releases to `main`.
pub fn forward_message(versions: &[Version]) -> String {
    let versions: Vec<String> = versions.iter().map(Version::to_string).collect();
    format!(
        "release: bring forward the release notes of {}\n\n{FORWARD_EXPLANATION}\n\n{TRAILER}\n",
        versions.join(", ")
    )
}

/// Returns the message of the commit that sets `version.json`; a commit that only names the series says so.
pub fn version_message(old: &Version, new: &Version, name: &str) -> String {
    if old == new { format!("version: {new} is \"{name}\"\n") } else { format!("version: {old} -> {new}\n") }
}

const TRAILER: &str = "Release made with cargo xtask release.";

const MERGE_EXPLANATION: &str = "\
This merge commit brings the release into the history of its branch and keeps
the branch's tree: the flag that marks an official release stays off here.";

const FORWARD_EXPLANATION: &str = "\
Their sections are copied from the release branches, so that the newest manual
has them, and the fragments that they were made from leave rl-next, so that no
change is announced twice.";

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn release(version: &str, name: &str) -> Result<Release, NotReleasable> {
        Release::new(&Arc::new(Product::built_in()), version.parse().expect(version), name)
    }

    #[test]
    fn names() {
        let shown: Vec<String> =
            [("2.95.0", "Kakigōri"), ("2.93.1", "Bici Bici"), ("2.90.0-rc1", "Dragon's Breath"), ("2.90-beta.1", "x")]
                .iter()
                .map(|(version, name)| {
                    let release = release(version, name).expect(version);
                    format!(
                        "{:<11} tag {}, branch {}\n{}{}",
                        release.kind(),
                        release.tag(),
                        release.release_branch(),
                        release.notes_message(),
                        release.release_message().lines().next().unwrap_or_default()
                    )
                })
                .collect();
        expect![[r#"
            new MAJOR   tag 2.95.0, branch main
            release: release notes for 2.95.0
            release: 2.95.0 "Kakigōri"
            patch       tag 2.93.1, branch release-2.93
            release: release notes for 2.93.1
            release: 2.93.1 "Bici Bici"
            pre-release tag 2.90.0-rc1, branch main
            release: release notes for 2.90.0-rc1
            release: 2.90.0-rc1 "Dragon's Breath"
            pre-release tag 2.90-beta.1, branch main
            release: release notes for 2.90-beta.1
            release: 2.90-beta.1 "x""#]]
        .assert_eq(&shown.join("\n"));
    }

    #[test]
    fn what_is_not_releasable_says_what_to_do() {
        let messages: Vec<String> =
            [("2.96.0-dev", "Name"), ("2.96.0", "TBD"), ("2.96.0", ""), ("2.96.0", "two\nlines")]
                .iter()
                .map(|(version, name)| release(version, name).expect_err(name).to_string())
                .collect();
        expect![[r#"
            2.96.0-dev names a tree between releases and is never released: run `cargo xtask release prepare 2.96.0` (with `--name` for a new MAJOR) first
            the release name is still `TBD`: give the series its name with `cargo xtask release prepare 2.96.0 --name NAME`
            `` cannot be a release name: headings and commit messages contain it, so it must be one line and not empty
            `two\nlines` cannot be a release name: headings and commit messages contain it, so it must be one line and not empty"#]]
        .assert_eq(&messages.join("\n"));
    }
}
