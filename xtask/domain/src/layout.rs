//! Where everything of a release lies: below `release/`, in the version directory, and in the buckets.
//!
//! Owns every artifact name and every key; nowhere else is one spelled out. Refuses to know which files exist.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::product::Product;
use super::system::System;
use super::version::Series;

/// The directory of a release, below the top of the tree.
pub const RELEASE: &str = "release";
/// Where the next one is gathered, beside it.
pub const RELEASE_NEW: &str = "release.new";
/// Where the last one stands for a moment, on file systems that cannot exchange two directories.
pub const RELEASE_OLD: &str = "release.old";

/// In `release/`: what goes to the releases bucket, by key.
pub const ARTIFACTS: &str = "artifacts";
/// In `release/`: the manual, as it goes to the docs bucket.
pub const MANUAL: &str = "manual";
/// In `release/`: an OCI layout with one index, named by the version.
pub const IMAGES: &str = "images";
/// In `release/`: what goes to the binary cache, while it is on its way there.
pub const CACHE_STAGE: &str = "cache";
/// In `release/`: one link for each output in the store.
pub const GC_ROOTS: &str = "gcroots";
/// In `release/`: the derivations whose outputs go to the binary cache.
pub const DRVS: &str = "drvs.txt";
/// In `release/` and in the version directory: what the release consists of.
pub const RECORD: &str = "release.json";
/// In `release/`: the record of a manual that was built alone, later than the rest.
pub const MANUAL_RECORD: &str = "manual.json";

/// At the root of the releases bucket: the versions that a rollback withdrew.
pub const WITHDRAWN: &str = "withdrawn.json";
/// In the releases bucket: what receipts' keys start with.
pub const RECEIPTS: &str = "receipts/";
/// Beside the receipts: a copy of [`WITHDRAWN`], which tells a list that is empty from one that was lost.
pub const WITHDRAWN_COPY: &str = "receipts/withdrawn.json";

/// In `release/`: what was done in an environment when, for people.
pub fn journal(environment: &str) -> String {
    format!("journal-{environment}.jsonl")
}

/// In `release/`: what was published to an environment, for people.
pub fn local_receipt(environment: &str) -> String {
    format!("receipt-{environment}.json")
}

/// In `release/`: addresses that caches in front of an environment's buckets have yet to forget.
pub fn purge_list(environment: &str) -> String {
    format!("purge-{environment}.txt")
}

/// All that `build` makes in `release/`, and replaces together. Other phases keep other things there.
pub const BUILT: [&str; 7] = [ARTIFACTS, MANUAL, IMAGES, GC_ROOTS, DRVS, RECORD, MANUAL_RECORD];

/// The store path of each system: in the version directory, and, as a pointer, at the root of the bucket.
pub const MANIFEST: &str = "manifest.nix";
/// In the version directory: for `sha256sum -c`.
pub const SUMS: &str = "SHA256SUMS";
/// In the version directory of the install bucket, and at its top: what the installers there are, to the byte.
pub const INSTALLER_RECORD: &str = "installer.json";
/// The page that every manual has.
pub const MANUAL_INDEX: &str = "index.html";
/// Where a `doc` output holds the manual.
pub const MANUAL_IN_DOC: &str = "share/doc/nix/manual";

/// The names of one release's artifacts, and of what leads users to it.
#[derive(Debug, Clone)]
pub struct Layout {
    /// `lix`
    prefix: String,
    /// `lix-2.93.1`
    name: String,
}

impl Layout {
    /// `version` as the builds spell it: with a suffix where the tree is no official release.
    pub fn new(product: &Product, version: impl Display) -> Layout {
        let prefix = product.prefix.clone();
        Layout { name: format!("{prefix}-{version}"), prefix }
    }

    /// The key of the version directory, without a slash at the end; below `artifacts/`, its path.
    pub fn version_directory(&self) -> String {
        format!("{}/{}", self.prefix, self.name)
    }

    /// What paths in the source archive start with.
    pub fn source_prefix(&self) -> String {
        format!("{}/", self.name)
    }

    pub fn source(&self) -> String {
        format!("{}.tar.gz", self.name)
    }

    pub fn binary(&self, system: &System) -> String {
        format!("{}-{system}.tar.xz", self.name)
    }

    pub fn image(&self, system: &System) -> String {
        format!("{}-docker-image-{system}.tar.gz", self.name)
    }

    pub fn manual_archive(&self) -> String {
        format!("{}-manual.tar.gz", self.name)
    }

    /// The archives that the tarballs job makes: all but the source.
    pub fn built_archives<'a>(&self, systems: impl IntoIterator<Item = &'a System>) -> BTreeSet<String> {
        let mut names = BTreeSet::from([self.manual_archive()]);
        for system in systems {
            names.insert(self.binary(system));
            names.extend(system.platform().map(|_| self.image(system)));
        }
        names
    }

    /// The system that an archive of this release is of, or the file beside one.
    pub fn archive_system(&self, name: &str) -> Option<System> {
        let rest = side_file_of(name).unwrap_or(name).strip_prefix(&self.name)?.strip_prefix('-')?;
        let image = rest.strip_prefix("docker-image-").and_then(|rest| rest.strip_suffix(".tar.gz"));
        image.or_else(|| rest.strip_suffix(".tar.xz"))?.parse().ok()
    }

    /// The key of what was published as this release's installers. They lie beside it, in the install bucket.
    pub fn installer_record(&self) -> String {
        format!("{}/{INSTALLER_RECORD}", self.version_directory())
    }

    /// The key of this release's receipt, in the releases bucket: outside of the directory that never changes.
    pub fn receipt(&self) -> String {
        format!("{RECEIPTS}{}.json", self.name)
    }

    /// The directory of the installers that follow the newest release, without a slash at the end. They are called as in
    /// the version directory, and their record lies beside them.
    pub fn installer_pointers(&self) -> &str {
        &self.prefix
    }

    /// What an installer is called.
    pub fn installer_name(&self, system: impl Display) -> String {
        format!("{}-installer-{system}", self.prefix)
    }

    /// The system of what is called like an installer.
    pub fn installer_system(&self, name: &str) -> Option<System> {
        name.strip_prefix(&self.prefix)?.strip_prefix("-installer-")?.parse().ok()
    }

    /// The key of a manual's directory in the docs bucket, without a slash at the end.
    pub fn docs(&self, docs: Docs) -> String {
        let name = match docs {
            Docs::Series(series) => series.to_string(),
            Docs::Stable => "stable".to_owned(),
            Docs::Nightly => "nightly".to_owned(),
        };
        format!("manual/{}/{name}", self.prefix)
    }
}

/// The file beside an archive that holds its SHA-256 and a newline.
pub fn side_file(archive: &str) -> String {
    format!("{archive}.sha256")
}

/// The archive beside which a side file lies.
pub fn side_file_of(path: &str) -> Option<&str> {
    path.strip_suffix(".sha256")
}

/// A manual in the docs bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Docs {
    /// The newest of a series.
    Series(Series),
    /// The newest stable one.
    Stable,
    /// That of a tree that is no official release.
    Nightly,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;
    use expect_test::expect;

    #[test]
    fn names_and_keys() {
        let systems: Vec<System> =
            ["x86_64-linux", "aarch64-darwin"].iter().map(|system| system.parse().expect(system)).collect();
        let layout = Layout::new(&Product::built_in(), "2.93.1");
        let series = "2.93.1".parse::<Version>().expect("valid").series();
        let mut names = vec![layout.version_directory(), layout.source_prefix(), layout.source()];
        names.extend(layout.built_archives(&systems));
        names.extend([side_file(&layout.source()), layout.receipt(), layout.installer_record()]);
        names.push(format!("{}/{}", layout.installer_pointers(), layout.installer_name(&systems[1])));
        assert_eq!(layout.installer_system(&layout.installer_name(&systems[1])).as_ref(), Some(&systems[1]));
        assert_eq!(layout.installer_system("lix-installer-x86_64-linux.sha256"), None);
        names.extend([Docs::Series(series), Docs::Stable, Docs::Nightly].map(|docs| layout.docs(docs)));
        expect![[r#"
            lix/lix-2.93.1
            lix-2.93.1/
            lix-2.93.1.tar.gz
            lix-2.93.1-aarch64-darwin.tar.xz
            lix-2.93.1-docker-image-x86_64-linux.tar.gz
            lix-2.93.1-manual.tar.gz
            lix-2.93.1-x86_64-linux.tar.xz
            lix-2.93.1.tar.gz.sha256
            receipts/lix-2.93.1.json
            lix/lix-2.93.1/installer.json
            lix/lix-installer-aarch64-darwin
            manual/lix/2.93
            manual/lix/stable
            manual/lix/nightly"#]]
        .assert_eq(&names.join("\n"));
    }
}
