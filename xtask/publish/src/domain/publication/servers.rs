//! The servers that acts go to, what one act needs of another, and what may be left out of an upload with `--without`.

use std::collections::BTreeSet;
use std::fmt;

use xtask::domain::environment::image_target::ImageTarget;
use xtask::domain::environment::{Environment, GitTarget};

use super::acts::{Act, Push, Wave};
use super::bucket::Bucket;

/// A server that can be down while the others are not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// The S3 server. It has the lock, so nothing happens without it.
    Buckets,
    /// The git remote.
    Git,
    /// A registry, by its host, or a directory for images.
    Images(String),
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Backend::Buckets => "the S3 server",
            Backend::Git => "the git remote",
            Backend::Images(host) => host,
        })
    }
}

impl Act {
    /// The server that the act goes to.
    pub fn backend(&self) -> Backend {
        match self.image_target() {
            Some(ImageTarget::Registry { repository }) => {
                Backend::Images(repository.split('/').next().unwrap_or(repository).to_owned())
            }
            Some(ImageTarget::Directory { path }) => Backend::Images(path.clone()),
            None if self.push().is_some() => Backend::Git,
            None => Backend::Buckets,
        }
    }

    /// The target that the act sends images to, if it does.
    pub fn image_target(&self) -> Option<&ImageTarget> {
        match self {
            Act::Images { target } | Act::ImageTag { target, .. } => Some(target),
            Act::VersionDirectory
            | Act::Signature
            | Act::Cache
            | Act::Docs { .. }
            | Act::Branch
            | Act::Review
            | Act::Tag
            | Act::RootManifest
            | Act::Installers
            | Act::InstallerSignature
            | Act::InstallerPointers
            | Act::Receipt
            | Act::Withdraw { .. } => None,
        }
    }

    /// Whether this act must not be done before `other` is: pointers lead to contents, the tag is on the branch, and the
    /// receipt says that everything is done. Images matter only to the tags in the same target.
    pub fn needs(&self, other: &Act) -> bool {
        if self.wave() == Wave::Git && other.wave() == Wave::Git {
            return self.push() == Some(Push::Tag) && other.push() != Some(Push::Tag);
        }
        let is_later = other.wave() < self.wave();
        match other.image_target() {
            Some(target) => is_later && (*self == Act::Receipt || self.image_target() == Some(target)),
            None => is_later,
        }
    }
}

/// Finds the targets with these names, which an upload to an environment leaves out.
///
/// # Errors
/// A target does not exist, or others depend on it.
pub fn left_out(
    names: &[String],
    acts: &[Act],
    name: &str,
    environment: &Environment,
) -> Result<Vec<ImageTarget>, String> {
    let mut targets: Vec<&ImageTarget> = Vec::new();
    for target in acts.iter().filter_map(Act::image_target) {
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    let mut found: Vec<ImageTarget> = Vec::new();
    for wanted in names {
        if let Some(why) = indispensable(wanted, environment) {
            return Err(format!("`--without {wanted}` is not possible: {why}"));
        }
        let Some(target) = targets.iter().find(|target| target.to_string() == *wanted) else {
            let known: Vec<String> = targets.iter().map(ToString::to_string).collect();
            let known = match known.as_slice() {
                [] => "nothing of it can be left out".to_owned(),
                known => format!("what can be left out is {}", known.join(" and ")),
            };
            return Err(format!("this upload to {name} does not go to `{wanted}`: {known}"));
        };
        if !found.contains(target) {
            found.push((*target).clone());
        }
    }
    Ok(found)
}

/// Why a target cannot be left out; `None` if nothing depends on it, or it does not exist.
fn indispensable(name: &str, environment: &Environment) -> Option<&'static str> {
    let bucket = |bucket: Bucket, role: &str| name == role || name == bucket.among(&environment.buckets);
    let git = match &environment.git {
        GitTarget::Directory { path, .. } => path,
        GitTarget::Plain { url, .. } | GitTarget::Gerrit { url, .. } => url,
    };
    if name == "git" || name == git {
        Some("pointers move only once the branch and the tag are there, because users must be able to get the source")
    } else if bucket(Bucket::Releases, "releases") {
        Some("the release itself, the manifest that users follow and the receipt are in that bucket")
    } else if bucket(Bucket::Cache, "cache") {
        Some("the manifest that users follow leads to store paths that only that bucket has")
    } else if bucket(Bucket::Docs, "docs") {
        Some("the lock of the environment is in that bucket, and the release leads to its manual")
    } else {
        None
    }
}

/// A target that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub target: ImageTarget,
    /// What the target answered.
    pub why: String,
}

/// Names of all targets.
pub fn names<'a>(targets: impl IntoIterator<Item = &'a str>) -> String {
    targets.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use xtask::domain::environment::Config;
    use xtask::domain::extent::Extent;
    use xtask::domain::version::Version;

    use crate::domain::publication::acts::acts;

    fn environment() -> Environment {
        let text = include_str!("../../../../releng.toml");
        Config::parse(text).expect("valid").environment("production").expect("it exists").clone()
    }

    fn of(environment: &Environment) -> Vec<Act> {
        let version: Version = "2.93.1".parse().expect("a version");
        acts(Some(version.series()), Extent::All, environment).expect("official")
    }

    #[test]
    fn what_each_act_needs() {
        let environment = environment();
        let acts = of(&environment);
        let short = |act: &Act| match act.image_target() {
            Some(target) => format!("{:?}@{}", act.wave(), target.to_string().split('.').next().unwrap_or_default()),
            None => format!("{act:?}").split(' ').next().unwrap_or_default().to_owned(),
        };
        let line = |act: &Act| {
            let needs: Vec<String> = acts.iter().filter(|other| act.needs(other)).map(short).collect();
            format!("{}: {}\n", short(act), needs.join(" "))
        };
        let mut lines: Vec<String> = acts.iter().map(line).collect();
        lines.dedup();
        expect![[r#"
            VersionDirectory: 
            Signature: 
            Cache: 
            Docs: 
            Contents@git: 
            Contents@ghcr: 
            Review: VersionDirectory Signature Cache Docs
            Tag: VersionDirectory Signature Cache Docs Review
            RootManifest: VersionDirectory Signature Cache Docs Review Tag
            Docs: VersionDirectory Signature Cache Docs Review Tag
            Pointers@git: VersionDirectory Signature Cache Docs Contents@git Review Tag
            Pointers@ghcr: VersionDirectory Signature Cache Docs Contents@ghcr Review Tag
            Pointers@git: VersionDirectory Signature Cache Docs Contents@git Review Tag
            Pointers@ghcr: VersionDirectory Signature Cache Docs Contents@ghcr Review Tag
            Pointers@git: VersionDirectory Signature Cache Docs Contents@git Review Tag
            Pointers@ghcr: VersionDirectory Signature Cache Docs Contents@ghcr Review Tag
            Receipt: VersionDirectory Signature Cache Docs Contents@git Contents@ghcr Review Tag RootManifest Docs Pointers@git Pointers@ghcr Pointers@git Pointers@ghcr Pointers@git Pointers@ghcr
        "#]].assert_eq(&lines.concat());
    }

    #[test]
    fn only_what_nothing_depends_on_is_left_out() {
        let environment = environment();
        let acts = of(&environment);
        let targets = &environment.images.targets;
        let one = targets.first().expect("production has images").to_string();
        let find = |names: &[&str], acts: &[Act]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            left_out(&names, acts, "production", &environment)
        };
        assert_eq!(find(&[&one, &one], &acts), Ok(vec![targets[0].clone()]));
        assert_eq!(find(&[], &acts), Ok(Vec::new()));
        let why = |names: &[&str], acts: &[Act]| find(names, acts).expect_err("refused") + "\n";
        let refused = [
            why(&["ghcr"], &acts),
            why(&[&one, "git"], &acts),
            why(&["docs"], &acts),
            why(&["cache"], &acts),
            why(&[&environment.buckets.releases], &acts),
            why(&[&one], &[]),
        ];
        expect![[r#"
            this upload to production does not go to `ghcr`: what can be left out is git.lix.systems/lix-project/lix and ghcr.io/lix-project/lix
            `--without git` is not possible: pointers move only once the branch and the tag are there, because users must be able to get the source
            `--without docs` is not possible: the lock of the environment is in that bucket, and the release leads to its manual
            `--without cache` is not possible: the manifest that users follow leads to store paths that only that bucket has
            `--without releases.lix.systems` is not possible: the release itself, the manifest that users follow and the receipt are in that bucket
            this upload to production does not go to `git.lix.systems/lix-project/lix`: nothing of it can be left out
        "#]].assert_eq(&refused.concat());
    }
}
