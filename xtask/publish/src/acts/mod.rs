//! Each kind of act, complete: how it is looked at, and how it is applied.
//!
//! If one of the two forgets an act, it does not compile: [`look`] has an arm for every act, and [`Prospect::apply`]
//! one for every prospect.

use anyhow::Result;
use xtask::domain::environment::Buckets;

use self::delivery::Delivery;
use crate::domain::publication::acts::{Act, Push};
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::judgement::Seen;
use crate::site::Stores;
use crate::tools::address;
use crate::tools::store::Progress;

pub mod cache;
pub mod delivery;
pub mod git;
pub mod images;
pub mod object;
pub mod signature;
pub mod tree;

/// What was seen of an act's target, with everything that is needed to apply the act.
pub enum Prospect<'a> {
    Tree(tree::Prospect),
    Object(object::Prospect),
    Signature(Box<signature::Prospect>),
    Cache(Box<cache::Prospect<'a>>),
    Push(git::Prospect<'a>),
    Images(images::Prospect<'a>),
    ImageTag(images::TagProspect<'a>),
    /// The release has nothing for this pointer, so it stays.
    Stays(Seen),
}

/// Looks at an act's target, and compares it with ours by content. Writes nothing.
///
/// # Errors
/// The server or the remote cannot be asked.
pub async fn look<'a>(delivery: &'a Delivery<'_>, act: &Act) -> Result<Prospect<'a>> {
    Ok(match act {
        Act::VersionDirectory => Prospect::Tree(tree::version_directory(delivery).await?),
        Act::Signature => Prospect::Signature(Box::new(signature::look(delivery).await?)),
        Act::Docs { docs, deletes } => Prospect::Tree(tree::docs(delivery, *docs, *deletes).await?),
        Act::Installers => Prospect::Tree(tree::installers(delivery).await?),
        Act::InstallerSignature => Prospect::Signature(Box::new(signature::of_installers(delivery).await?)),
        Act::InstallerPointers if delivery.built.installers.is_empty() => {
            Prospect::Stays(Seen::Nothing { why: format!("{} has no installers here", delivery.built.record.version) })
        }
        Act::InstallerPointers => Prospect::Tree(tree::installer_pointers_of(delivery).await?),
        Act::Cache => Prospect::Cache(Box::new(Box::pin(cache::look(delivery)).await?)),
        Act::RootManifest => Prospect::Object(object::root_manifest(delivery).await?),
        Act::Receipt => Prospect::Object(object::receipt(delivery).await?),
        Act::Withdraw { to } => Prospect::Object(object::withdraw(delivery, to).await?),
        Act::Branch => Prospect::Push(look_at_git(delivery, Push::Branch)?),
        Act::Review => Prospect::Push(look_at_git(delivery, Push::Review)?),
        Act::Tag => Prospect::Push(look_at_git(delivery, Push::Tag)?),
        Act::Images { target } => Prospect::Images(images::look(delivery, target).await?),
        Act::ImageTag { target, tag } => Prospect::ImageTag(images::look_at_tag(delivery, target, *tag).await?),
    })
}

fn look_at_git<'a>(delivery: &'a Delivery<'_>, push: Push) -> Result<git::Prospect<'a>> {
    git::look(delivery.git_side()?, push, delivery.acts.contains(&Act::Review), delivery.waivers.force_push_tag)
}

impl Prospect<'_> {
    /// What was seen, for the judgement.
    pub fn seen(&self) -> &Seen {
        match self {
            Prospect::Tree(tree) => &tree.seen,
            Prospect::Object(object) => &object.seen,
            Prospect::Signature(signature) => &signature.seen,
            Prospect::Cache(cache) => &cache.seen,
            Prospect::Push(push) => &push.seen,
            Prospect::Images(images) => &images.seen,
            Prospect::ImageTag(tag) => &tag.seen,
            Prospect::Stays(seen) => seen,
        }
    }

    /// Applies the act that was just looked at.
    ///
    /// # Errors
    /// The server or the remote refuses; running the same command again continues from there.
    pub async fn apply(&self, stores: &Stores, progress: &Progress) -> Result<()> {
        match self {
            Prospect::Tree(tree) => tree.apply(stores, progress).await,
            Prospect::Object(object) => object.apply(stores).await,
            Prospect::Signature(signature) => signature.apply(stores).await,
            Prospect::Cache(cache) => Box::pin(cache::apply(cache, stores, progress)).await,
            Prospect::Push(push) => push.apply(),
            Prospect::Images(images) => images.apply().await,
            Prospect::ImageTag(tag) => tag.apply().await,
            Prospect::Stays(_) => Ok(()),
        }
    }

    /// The public addresses whose content changes.
    pub fn addresses(&self, public: &Buckets) -> Vec<String> {
        let (bucket, keys) = match self {
            Prospect::Tree(tree) => (tree.bucket, tree.keys()),
            Prospect::Object(object) => (Bucket::Releases, object.keys()),
            Prospect::Signature(signature) => (signature.bucket, signature.keys()),
            Prospect::Cache(cache) => (Bucket::Cache, cache.keys()),
            Prospect::Push(_) | Prospect::Images(_) | Prospect::ImageTag(_) | Prospect::Stays(_) => {
                return Vec::new();
            }
        };
        keys.iter().map(|key| address::of(bucket.among(public), key)).collect()
    }
}
