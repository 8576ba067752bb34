//! Installers: small programs, built elsewhere, one for each system of a release. Their record, and the check of a
//! directory of installers, given as a value.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use xtask::domain::build::record::Files;
use xtask::domain::format::{self, Format, Misread};
use xtask::domain::layout::{INSTALLER_RECORD, Layout};
use xtask::domain::problem::Problems;
use xtask::domain::shown::excerpt;
use xtask::domain::system::System;

use crate::domain::cache::signing::PublicKey;
use crate::domain::sshsig;

/// The record of a release's published installers. It lies beside them and is written last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallerRecord {
    #[serde(default)]
    pub format: Format,
    pub version: String,
    /// The installers, by file name.
    pub files: Files,
}

impl InstallerRecord {
    /// Reads a published record; fields that a newer tool added are ignored.
    ///
    /// # Errors
    /// Says what is wrong with the text; the caller adds the key.
    pub fn parse(layout: &Layout, text: &str) -> Result<InstallerRecord, Misread> {
        let record: InstallerRecord = format::parse(text, "a record of installers")?;
        match record.files.keys().find(|name| layout.installer_system(name).is_none()) {
            Some(name) => {
                let name = excerpt(name);
                Err(Misread::Wrong(format!("is not a record of installers: it lists `{name}`")))
            }
            None => Ok(record),
        }
    }

    /// Whether one of the keys has signed this record, whose text is `text`. Returns the key.
    ///
    /// # Errors
    /// Says why the installers are not proven.
    pub fn proof<'a>(
        &self,
        layout: &Layout,
        text: &[u8],
        signature: Option<&[u8]>,
        keys: &'a [PublicKey],
    ) -> Result<&'a PublicKey, String> {
        let signature = signature
            .ok_or_else(|| format!("{INSTALLER_RECORD} is not signed: `installer` with the same files signs it"))?;
        sshsig::check(signature, &layout.installer_namespace(), text, keys)
            .map_err(|why| format!("the signature of {INSTALLER_RECORD} {why}"))
    }

    /// The systems that have an installer.
    pub fn systems(&self, layout: &Layout) -> BTreeSet<System> {
        self.files.keys().filter_map(|name| layout.installer_system(name)).collect()
    }

    /// # Panics
    /// Never: a record has only string keys.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a record has only string keys") + "\n"
    }
}

/// Returns the installers in a directory, given its file names, the system that each file runs on, and the systems of
/// the release. Files with other names are ignored.
///
/// # Errors
/// Every system without an installer, every installer for another system, and every installer that is not what its name
/// says.
pub fn check(
    layout: &Layout,
    found: &BTreeMap<String, Result<System, String>>,
    systems: &BTreeSet<&System>,
) -> Result<BTreeMap<System, String>, Problems> {
    let mut problems = Problems::default();
    let mut installers = BTreeMap::new();
    for (name, runs_on) in found {
        let Some(system) = layout.installer_system(name) else { continue };
        match runs_on {
            _ if !systems.contains(&system) => {
                problems.add(format!("{name}: this release has no build for {system}"));
            }
            Err(why) => problems.add(format!("{name} {why}")),
            Ok(runs_on) if *runs_on != system => {
                problems.add(format!("{name} is an executable for {runs_on}"));
            }
            Ok(_) => {}
        }
        installers.insert(system, name.clone());
    }
    for system in systems.iter().filter(|system| !installers.contains_key(*system)) {
        problems.add(format!("{} is missing: the release has a build for it", layout.installer_name(system)));
    }
    problems.into_result().map(|()| installers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use xtask::domain::product::Product;

    fn layout() -> Layout {
        Layout::new(&Product::built_in(), "2.93.1")
    }

    fn system(text: &str) -> System {
        text.parse().expect(text)
    }

    #[test]
    fn installers_are_compared_with_their_names_and_the_release() {
        let systems = ["aarch64-darwin", "aarch64-linux", "x86_64-linux"].map(system);
        let systems: BTreeSet<&System> = systems.iter().collect();
        let found = [
            ("lix-installer-aarch64-linux", Ok(system("x86_64-linux"))),
            ("lix-installer-x86_64-linux", Err("is empty".to_owned())),
            ("lix-installer-x86_64-darwin", Ok(system("x86_64-darwin"))),
            ("lix-installer-x86_64-linux.sha256", Err("is not an executable".to_owned())),
            ("README", Err("is not an executable".to_owned())),
        ];
        let found = found.map(|(name, runs_on)| (name.to_owned(), runs_on)).into();
        expect![[r#"
            lix-installer-aarch64-linux is an executable for x86_64-linux
            lix-installer-x86_64-darwin: this release has no build for x86_64-darwin
            lix-installer-x86_64-linux is empty
            lix-installer-aarch64-darwin is missing: the release has a build for it"#]]
        .assert_eq(&check(&layout(), &found, &systems).expect_err("everything is wrong").to_string());

        let found = systems.iter().map(|system| (layout().installer_name(system), Ok((*system).clone()))).collect();
        assert_eq!(check(&layout(), &found, &systems).expect("everything is right").len(), 3);
        assert_eq!(check(&layout(), &BTreeMap::new(), &systems).expect_err("nothing is there").len(), 3);
    }

    #[test]
    fn the_record_reads_what_it_writes() {
        let record = InstallerRecord { format: Format, version: "2.93.1".to_owned(), files: Files::new() };
        assert_eq!(InstallerRecord::parse(&layout(), &record.to_json()), Ok(record));
        let facts = r#"{ "size": 1, "sha256": "0000000000000000000000000000000000000000000000000000000000000000" }"#;
        let error = InstallerRecord::parse(
            &layout(),
            &format!(r#"{{ "version": "2.93.1", "files": {{ "/etc/x": {facts} }} }}"#),
        );
        assert_eq!(
            error.expect_err("a file elsewhere").to_string(),
            "is not a record of installers: it lists `/etc/x`"
        );
        let later = r#"{ "format": 1, "version": "2.93.1", "files": {}, "signed": true }"#;
        assert_eq!(InstallerRecord::parse(&layout(), later).expect("more than we know").version, "2.93.1");
        let error = InstallerRecord::parse(&layout(), &later.replace("1,", "2,")).expect_err("a newer format");
        assert_eq!(error.to_string(), "was made by a newer tool (format 2): use that tool");
        let error = InstallerRecord::parse(&layout(), "{}").expect_err("nothing in it");
        assert!(error.to_string().starts_with("is not a record of installers: missing field"), "{error}");
    }
}
