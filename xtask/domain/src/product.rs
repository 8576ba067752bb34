//! What is released: its name, what its artifacts are called, and where its changes and its people are found.
//!
//! The data come from the table `product` of `releng.toml`: our own file's, unless the manager's has one, too. The
//! product is chosen when the program starts, and travels with the release.

use serde::Deserialize;

use crate::release::tag_rules::TagRules;

/// The product, as `releng.toml` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Product {
    /// Name in headings and announcements.
    pub name: String,
    /// Prefix of the names of artifacts, derivations and keys.
    pub prefix: String,
    pub links: Links,
    pub announcement: Announcement,
    /// What a tag must be; nothing particular if it is left out.
    #[serde(default)]
    pub tags: TagRules,
}

/// Constant parts of posts about a release.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Announcement {
    /// Author on the website.
    pub author: String,
    /// A paragraph on what the product is, in Markdown.
    pub about: String,
    /// A paragraph on how to upgrade, in Markdown; `{}` becomes the address of the install page.
    pub upgrading: String,
}

/// Addresses; `{}` in them is replaced by a number or a name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Links {
    /// Addresses of an issue and of a pull request of ours.
    pub issue: String,
    pub pull: String,
    /// Addresses of an issue and of a pull request of the project that this one comes from.
    pub nix_issue: String,
    pub nix_pull: String,
    /// Address of a change in Gerrit.
    pub change: String,
    /// Addresses of a person's profiles.
    pub forgejo: String,
    pub github: String,
    /// Addresses at which users read the docs bucket and the releases bucket, without a slash at the end.
    pub docs: String,
    pub releases: String,
    /// Address of the page that says how to install the product.
    pub install: String,
    /// Address of the repository, for people.
    pub source: String,
}

const BUILT_IN: &str = include_str!("../../releng.toml");

/// `releng.toml`, as far as it is read here.
#[derive(Deserialize)]
struct WithProduct {
    product: Product,
}

impl Product {
    /// Returns the product that our own `releng.toml` describes.
    ///
    /// # Panics
    /// Never: it describes one, and a test reads it.
    pub fn built_in() -> Product {
        toml::from_str::<WithProduct>(BUILT_IN).expect("our own releng.toml describes a product").product
    }
}

/// Fills in the number or name in an address.
pub fn fill(link: &str, value: impl std::fmt::Display) -> String {
    link.replace("{}", &value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_lix() {
        let product = Product::built_in();
        assert_eq!((product.name.as_str(), product.prefix.as_str()), ("Lix", "lix"));
        assert_eq!(fill(&product.links.change, 12), "https://gerrit.lix.systems/c/lix/+/12");
    }
}
