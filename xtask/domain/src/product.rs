//! What is released: its name, what its artifacts are called, and where its changes and its people are found.
//!
//! Data, from the table `product` of `releng.toml`: our own file's, unless the manager's has one too. It is chosen
//! when the program starts, and travels with the release.

use serde::Deserialize;

/// The product, as `releng.toml` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Product {
    /// In headings and announcements.
    pub name: String,
    /// What artifacts, derivations and keys start with.
    pub prefix: String,
    pub links: Links,
    pub announcement: Announcement,
}

/// What posts about a release always say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Announcement {
    /// Whom the website names as author.
    pub author: String,
    /// A paragraph on what the product is, in Markdown.
    pub about: String,
    /// A paragraph on how to upgrade, in Markdown; `{}` becomes the address of the install page.
    pub upgrading: String,
}

/// Addresses: those that lead to one thing of many have `{}` where its number or name belongs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Links {
    /// An issue and a pull request of ours.
    pub issue: String,
    pub pull: String,
    /// The same of the project that this one comes from.
    pub nix_issue: String,
    pub nix_pull: String,
    /// A change in Gerrit.
    pub change: String,
    /// A person's profiles.
    pub forgejo: String,
    pub github: String,
    /// Where users read the docs bucket and the releases bucket, without a slash at the end.
    pub docs: String,
    pub releases: String,
    /// The page that says how to install it.
    pub install: String,
    /// The repository, for people.
    pub source: String,
}

const BUILT_IN: &str = include_str!("../../releng.toml");

/// `releng.toml`, as far as it is read here.
#[derive(Deserialize)]
struct WithProduct {
    product: Product,
}

impl Product {
    /// The one that our own `releng.toml` describes.
    ///
    /// # Panics
    /// Never: it describes one, and a test reads it.
    pub fn built_in() -> Product {
        toml::from_str::<WithProduct>(BUILT_IN).expect("our own releng.toml describes a product").product
    }
}

/// An address with its number or name filled in.
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
