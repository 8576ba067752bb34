//! Where every part of a release is: below `release/`, in the version directory, and in the buckets.
//!
//! Owns every artifact name and every key; nowhere else is one spelled out.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::product::Product;
use super::system::System;
use super::version::Series;

/// The directory of a release, below the top of the tree.
pub const RELEASE: &str = "release";
/// Directory in which the next release is gathered, beside it.
pub const RELEASE_NEW: &str = "release.new";
/// Directory that has the last release for a moment, on file systems that cannot exchange two directories.
pub const RELEASE_OLD: &str = "release.old";

/// In `release/`: what goes to the releases bucket, by key.
pub const ARTIFACTS: &str = "artifacts";
/// In `release/`: the manual, as it goes to the docs bucket.
pub const MANUAL: &str = "manual";
/// In `release/`: an OCI layout with one index, named by the version.
pub const IMAGES: &str = "images";
/// In `release/`: what goes to the binary cache, until it is uploaded.
pub const CACHE_STAGE: &str = "cache";
/// In `release/`: one link for each output in the store.
pub const GC_ROOTS: &str = "gcroots";
/// In `release/`: the derivations whose outputs go to the binary cache.
pub const DRVS: &str = "drvs.txt";
/// In `release/` and in the version directory: what the release consists of.
pub const RECORD: &str = "release.json";
/// In `release/`: the record of a manual that was built alone, later than the rest.
pub const MANUAL_RECORD: &str = "manual.json";

/// In `release/`: the outcomes of the checks of what was built.
pub const CHECKS: &str = "checks.json";

/// In `release/`: which tag is being released.
pub const TAG_RECORD: &str = "tag.json";

/// At the root of the docs bucket: the lock that keeps two managers from publishing at the same time.
pub const LOCK: &str = "release.lock";
/// At the root of each bucket, for a moment: what shows that it can be written.
pub const PROBE: &str = "release.probe";
/// At the root of the releases bucket: the versions that a rollback withdrew.
pub const WITHDRAWN: &str = "withdrawn.json";
/// In the releases bucket: prefix of the keys of receipts.
pub const RECEIPTS: &str = "receipts/";
/// Beside the receipts: a copy of [`WITHDRAWN`], to distinguish an empty list from a lost one.
pub const WITHDRAWN_COPY: &str = "receipts/withdrawn.json";

/// In `release/`: what was done in an environment, and when, for people.
pub fn journal(environment: &str) -> String {
    format!("journal-{environment}.jsonl")
}

/// In `release/`: what was published to an environment, for people.
pub fn local_receipt(environment: &str) -> String {
    format!("receipt-{environment}.json")
}

/// In `release/`: addresses that are yet to be purged from the caches in front of an environment's buckets.
pub fn purge_list(environment: &str) -> String {
    format!("purge-{environment}.txt")
}

/// Everything that `build` makes in `release/`, and replaces together. Other phases keep other files there.
pub const BUILT: [&str; 7] = [ARTIFACTS, MANUAL, IMAGES, GC_ROOTS, DRVS, RECORD, MANUAL_RECORD];

/// The store path of each system: in the version directory, and, as a pointer, at the root of the bucket.
pub const MANIFEST: &str = "manifest.nix";
/// In the version directory: for `sha256sum -c`.
pub const SUMS: &str = "SHA256SUMS";
/// Beside [`SUMS`]: its OpenSSH signature by the key of the environment.
pub const SUMS_SIGNATURE: &str = "SHA256SUMS.sig";
/// Beside [`SUMS`]: how anyone checks that signature.
pub const VERIFY: &str = "VERIFY.md";
/// In the version directory of the install bucket, and at its top: the digests of the installers there.
pub const INSTALLER_RECORD: &str = "installer.json";
/// Beside [`INSTALLER_RECORD`] in the version directory: its OpenSSH signature.
pub const INSTALLER_SIGNATURE: &str = "installer.json.sig";
/// The page that every manual has.
pub const MANUAL_INDEX: &str = "index.html";
/// Path of the manual in a `doc` output.
pub const MANUAL_IN_DOC: &str = "share/doc/nix/manual";

/// The names of one release's artifacts, and of the pointers to it.
#[derive(Debug, Clone)]
pub struct Layout {
    /// What artifacts, derivations and keys start with, such as `lix`.
    prefix: String,
    /// Name of the release, such as `lix-2.93.1`.
    name: String,
}

impl Layout {
    /// `version` is as the builds spell it: with a suffix if the tree is not an official release.
    pub fn new(product: &Product, version: impl Display) -> Layout {
        let prefix = product.prefix.clone();
        Layout { name: format!("{prefix}-{version}"), prefix }
    }

    /// Returns what the keys of all version directories start with; the version follows.
    pub fn version_prefix(product: &Product) -> String {
        format!("{0}/{0}-", product.prefix)
    }

    /// Returns the key of the version directory, without a slash at the end; also its path below `artifacts/`.
    pub fn version_directory(&self) -> String {
        format!("{}/{}", self.prefix, self.name)
    }

    /// Returns the prefix of the paths in the source archive.
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

    /// Returns the name of a system's bill of materials.
    pub fn sbom(&self, system: &System) -> String {
        format!("{}-{system}.cdx.json", self.name)
    }

    pub fn manual_archive(&self) -> String {
        format!("{}-manual.tar.gz", self.name)
    }

    /// Returns the archives that the tarballs job makes: all except the source.
    pub fn built_archives<'a>(&self, systems: impl IntoIterator<Item = &'a System>) -> BTreeSet<String> {
        let mut names = BTreeSet::from([self.manual_archive()]);
        for system in systems {
            names.insert(self.binary(system));
            names.extend(system.platform().map(|_| self.image(system)));
        }
        names
    }

    /// Returns the system of an archive of this release, or of the file beside one.
    pub fn archive_system(&self, name: &str) -> Option<System> {
        let rest = side_file_of(name).unwrap_or(name).strip_prefix(&self.name)?.strip_prefix('-')?;
        let image = rest.strip_prefix("docker-image-").and_then(|rest| rest.strip_suffix(".tar.gz"));
        image.or_else(|| rest.strip_suffix(".tar.xz"))?.parse().ok()
    }

    /// Returns the key of the record of this release's installers, which are beside it in the install bucket.
    pub fn installer_record(&self) -> String {
        format!("{}/{INSTALLER_RECORD}", self.version_directory())
    }

    /// Returns the key of the signature of that record.
    pub fn installer_signature(&self) -> String {
        format!("{}/{INSTALLER_SIGNATURE}", self.version_directory())
    }

    /// Returns the namespace of the signature of the record of its installers.
    pub fn installer_namespace(&self) -> String {
        format!("{}-installers", self.prefix)
    }

    /// Returns the namespace of the signatures of a release's sums, for `ssh-keygen -Y verify -n`.
    pub fn namespace(&self) -> String {
        format!("{}-release", self.prefix)
    }

    /// Returns the name of the statement of provenance in the version directory, which is not signed.
    pub fn statement(&self) -> String {
        format!("{}.intoto.json", self.name)
    }

    /// Returns the name of the same statement, signed.
    pub fn envelope(&self) -> String {
        format!("{}.intoto.jsonl", self.name)
    }

    /// Returns the names of the files that publishing adds to the version directory: they depend on the key.
    pub fn signed(&self) -> [String; 3] {
        [SUMS_SIGNATURE.to_owned(), self.envelope(), VERIFY.to_owned()]
    }

    /// Returns the key of this release's receipt, in the releases bucket: outside the directory that never changes.
    pub fn receipt(&self) -> String {
        format!("{RECEIPTS}{}.json", self.name)
    }

    /// Returns the directory of the installers that follow the newest release, without a slash at the end. They have
    /// the same names as in the version directory, and their record is beside them.
    pub fn installer_pointers(&self) -> &str {
        &self.prefix
    }

    /// Returns the name of an installer.
    pub fn installer_name(&self, system: impl Display) -> String {
        format!("{}-installer-{system}", self.prefix)
    }

    /// Returns the system of a file that is named like an installer.
    pub fn installer_system(&self, name: &str) -> Option<System> {
        name.strip_prefix(&self.prefix)?.strip_prefix("-installer-")?.parse().ok()
    }

    /// Returns the key of a manual's directory in the docs bucket, without a slash at the end.
    pub fn docs(&self, docs: Docs) -> String {
        let name = match docs {
            Docs::Series(series) => series.to_string(),
            Docs::Stable => "stable".to_owned(),
            Docs::Nightly => "nightly".to_owned(),
        };
        format!("manual/{}/{name}", self.prefix)
    }
}

/// Returns the name of the file beside an archive that has its SHA-256 and a newline.
pub fn side_file(archive: &str) -> String {
    format!("{archive}.sha256")
}

/// Returns the archive that a side file belongs to.
pub fn side_file_of(path: &str) -> Option<&str> {
    path.strip_suffix(".sha256")
}

/// A manual in the docs bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Docs {
    /// The newest manual of a series.
    Series(Series),
    /// The newest stable manual.
    Stable,
    /// The manual of a tree that is not an official release.
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
        assert!(layout.version_directory().starts_with(&Layout::version_prefix(&Product::built_in())));
        let mut names = vec![layout.version_directory(), layout.source_prefix(), layout.source()];
        names.extend(layout.built_archives(&systems));
        names.extend([side_file(&layout.source()), layout.statement()]);
        names.extend(layout.signed().into_iter().chain([layout.receipt(), layout.installer_record()]));
        names.push(layout.sbom(&systems[0]));
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
            lix-2.93.1.intoto.json
            SHA256SUMS.sig
            lix-2.93.1.intoto.jsonl
            VERIFY.md
            receipts/lix-2.93.1.json
            lix/lix-2.93.1/installer.json
            lix-2.93.1-x86_64-linux.cdx.json
            lix/lix-installer-aarch64-darwin
            manual/lix/2.93
            manual/lix/stable
            manual/lix/nightly"#]]
        .assert_eq(&names.join("\n"));
    }
}
