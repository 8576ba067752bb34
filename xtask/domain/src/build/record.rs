//! `release.json`: what a release consists of, to the byte.
//!
//! It holds no path but the store's and no time but the commit's, so the same tag gives the same record, whoever builds
//! it, where and when. It lies in the version directory and so cannot list itself: it lists all that was built,
//! `SHA256SUMS` lists those files and the record, and whoever trusts `SHA256SUMS` has everything. Refuses to read
//! files: [`Record::compare`] takes what lies on disk as a value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use crate::digest::{Digest, FileFacts};
use crate::format::{self, Format, Misread};
use crate::layout::{MANUAL, RECORD, SUMS};
use crate::oid::Oid;
use crate::problem::{Problems, excerpt};
use crate::store_path::StorePath;
use crate::system::{Platform, System};

/// The output that users get.
const OUT: &str = "out";

/// What lies in a directory, by path relative to it.
pub type Files = BTreeMap<String, FileFacts>;

/// The record of a release, or of a manual that was built alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    #[serde(default)]
    pub format: Format,
    /// As the builds' names spell it: with a suffix where this is no official release.
    pub version: String,
    /// The name of the series.
    pub name: Option<String>,
    /// `None` if what was built is not what the tag of its version names.
    pub tag: Option<String>,
    pub commit: Oid,
    /// The commit's tree.
    pub tree: Oid,
    /// The commit's time, in UTC.
    pub committed: String,
    /// The version of this tool.
    pub tool: String,
    pub profile: String,
    pub builds: BTreeMap<System, Build>,
    /// `None` in the record of a manual.
    pub image: Option<ImageRecord>,
    /// In the version directory, but for the record itself and `SHA256SUMS`. `release/manual/` is what is here below
    /// `manual/`; in the record of a manual there is nothing else.
    pub files: Files,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    pub derivation: StorePath,
    pub outputs: BTreeMap<String, StorePath>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Of the index: `sha256:` and the digits.
    pub digest: String,
    pub platforms: Vec<Platform>,
}

impl Record {
    /// Reads the record in `release/`, which this very tool wrote: what it does not know is an error.
    ///
    /// # Errors
    /// What is wrong with the text, without its path.
    pub fn parse(text: &str) -> Result<Record, String> {
        let record = Record::parse_published(text).map_err(|why| why.to_string())?;
        match format::unknown(text, &record) {
            Some(key) => Err(format!("is not a record of a release: it has `{key}`, which this tool does not know")),
            None => Ok(record),
        }
    }

    /// Reads a record that is published: a newer tool may have more to say in it.
    ///
    /// # Errors
    /// As for [`Record::parse`]; or a newer tool says it in another way.
    pub fn parse_published(text: &str) -> Result<Record, Misread> {
        let record: Record = format::parse(text, "a record of a release")?;
        let wrong = |what: String| Err(Misread::Wrong(format!("is not a record of a release: {what}")));
        if let Some(path) = record.files.keys().find(|path| !stays_below(path)) {
            return wrong(format!("it lists `{}`", excerpt(path)));
        }
        // Its users would get no more upgrades, and nothing would say so.
        let without = |(_, build): &(&System, &Build)| !build.outputs.contains_key(OUT);
        if let Some((system, _)) = record.builds.iter().find(without).filter(|_| record.image.is_some()) {
            return wrong(format!("its build for {system} has no output `{OUT}`"));
        }
        Ok(record)
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a record has only string keys") + "\n"
    }

    /// What `manifest.nix` says.
    pub fn manifest(&self) -> Manifest {
        let out = |(system, build): (&System, &Build)| Some((system.clone(), build.outputs.get(OUT)?.to_string()));
        self.builds.iter().filter_map(out).collect()
    }

    /// The text of `drvs.txt`, for the binary cache: the builds, not the tarballs made of them.
    pub fn drvs(&self) -> String {
        self.builds.values().map(|build| format!("{}\n", build.derivation)).collect()
    }

    /// The text of `SHA256SUMS`, given the digest of the record's own text. Pages of the manual are not in it.
    pub fn sums(&self, record: Digest) -> String {
        let files = self.files.iter().filter(|(path, _)| page(path).is_none());
        let mut sums: BTreeMap<&str, Digest> = files.map(|(path, facts)| (path.as_str(), facts.sha256)).collect();
        sums.insert(RECORD, record);
        sums.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect()
    }

    /// The files of `release/manual/`.
    pub fn manual(&self) -> Files {
        self.files.iter().filter_map(|(path, facts)| Some((page(path)?.to_owned(), *facts))).collect()
    }

    /// Every difference between what was built and what `found` says lies in the version directory. The record itself
    /// and `SHA256SUMS` are not looked at; their texts follow from the rest.
    ///
    /// # Errors
    /// What is missing, extra or different, by name.
    pub fn compare(&self, found: &Files) -> Result<(), Problems> {
        compare(&self.files, found, &[RECORD, SUMS])
    }

    /// The same for `release/manual/`.
    ///
    /// # Errors
    /// As for [`Record::compare`].
    pub fn compare_manual(&self, found: &Files) -> Result<(), Problems> {
        compare(&self.manual(), found, &[])
    }
}

/// Whether a path leads to nowhere but below the directory that it is relative to: records come from buckets, too.
fn stays_below(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains('\\') && !path.contains('\0')
}

/// The path within the manual, of a path in the version directory.
fn page(path: &str) -> Option<&str> {
    path.strip_prefix(MANUAL)?.strip_prefix('/')
}

fn compare(recorded: &Files, found: &Files, ignored: &[&str]) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for (path, facts) in recorded {
        match found.get(path) {
            None => problems.add(format!("{path} is missing")),
            // Then the digests say nothing more.
            Some(found) if found.size != facts.size => problems
                .add(format!("{path} has changed: built with {} bytes, and now it has {}", facts.size, found.size)),
            Some(found) if found != facts => problems.add(format!(
                "{path} has changed: built with SHA-256 {}, and now it has {}",
                facts.sha256, found.sha256
            )),
            Some(_) => {}
        }
    }
    for path in found.keys().filter(|path| !recorded.contains_key(*path) && !ignored.contains(&path.as_str())) {
        problems.add(format!("{path} was not built with the rest"));
    }
    problems.into_result()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::MANIFEST;
    use expect_test::expect;

    fn path(hash: char, name: &str) -> StorePath {
        format!("/nix/store/{}-{name}", hash.to_string().repeat(32)).parse().expect(name)
    }

    fn record() -> Record {
        let facts = |byte: u8| FileFacts { size: u64::from(byte), sha256: Digest::new([byte; 32]) };
        let outputs = BTreeMap::from([("out".to_owned(), path('b', "lix-2.93.1"))]);
        let build = Build { derivation: path('a', "lix-2.93.1.drv"), outputs };
        Record {
            format: Format,
            version: "2.93.1".to_owned(),
            name: Some("Bici Bici".to_owned()),
            tag: Some("2.93.1".to_owned()),
            commit: "c".repeat(40).parse().expect("an object"),
            tree: "d".repeat(40).parse().expect("an object"),
            committed: "2025-06-18T20:00:00Z".to_owned(),
            tool: "0.1.0".to_owned(),
            profile: "all".to_owned(),
            image: Some(ImageRecord {
                digest: Digest::new([7; 32]).oci(),
                platforms: System::main().platform().into_iter().collect(),
            }),
            builds: BTreeMap::from([(System::main(), build)]),
            files: [(MANIFEST, 1), ("lix-2.93.1.tar.gz", 2), ("manual/index.html", 3), ("manual/a/b.html", 4)]
                .map(|(path, byte)| (path.to_owned(), facts(byte)))
                .into(),
        }
    }

    #[test]
    fn bytes() {
        expect![[r#"
            {
              "format": 1,
              "version": "2.93.1",
              "name": "Bici Bici",
              "tag": "2.93.1",
              "commit": "cccccccccccccccccccccccccccccccccccccccc",
              "tree": "dddddddddddddddddddddddddddddddddddddddd",
              "committed": "2025-06-18T20:00:00Z",
              "tool": "0.1.0",
              "profile": "all",
              "builds": {
                "x86_64-linux": {
                  "derivation": "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lix-2.93.1.drv",
                  "outputs": {
                    "out": "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lix-2.93.1"
                  }
                }
              },
              "image": {
                "digest": "sha256:0707070707070707070707070707070707070707070707070707070707070707",
                "platforms": [
                  {
                    "architecture": "amd64",
                    "os": "linux"
                  }
                ]
              },
              "files": {
                "lix-2.93.1.tar.gz": {
                  "size": 2,
                  "sha256": "0202020202020202020202020202020202020202020202020202020202020202"
                },
                "manifest.nix": {
                  "size": 1,
                  "sha256": "0101010101010101010101010101010101010101010101010101010101010101"
                },
                "manual/a/b.html": {
                  "size": 4,
                  "sha256": "0404040404040404040404040404040404040404040404040404040404040404"
                },
                "manual/index.html": {
                  "size": 3,
                  "sha256": "0303030303030303030303030303030303030303030303030303030303030303"
                }
              }
            }
        "#]]
        .assert_eq(&record().to_json());
        assert_eq!(Record::parse(&record().to_json()), Ok(record()));
        expect![[r#"
            0202020202020202020202020202020202020202020202020202020202020202  lix-2.93.1.tar.gz
            0101010101010101010101010101010101010101010101010101010101010101  manifest.nix
            0909090909090909090909090909090909090909090909090909090909090909  release.json
            /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lix-2.93.1.drv
        "#]]
        .assert_eq(&(record().sums(Digest::new([9; 32])) + &record().drvs()));
    }

    #[test]
    fn what_it_does_not_know_is_refused_in_release_and_passed_over_where_it_is_published() {
        let json = record().to_json();
        let newer = |from: &str, to: &str| {
            let text = json.replacen(from, to, 1);
            assert_ne!(text, json);
            let show =
                |read: Result<Record, String>| read.map_or_else(|why| why, |read| format!("{}", read == record()));
            format!(
                "release/: {}\npublished: {}\n",
                show(Record::parse(&text)),
                show(Record::parse_published(&text).map_err(|why| why.to_string()))
            )
        };
        let cases = [
            newer("\"commit\"", "\"surprise\": 1,\n  \"commit\""),
            newer("\"derivation\"", "\"log\": {},\n  \"derivation\""),
            newer("\"size\"", "\"sha512\": \"\",\n  \"size\""),
            newer("\"format\": 1,", ""),
            newer("\"format\": 1", "\"format\": 2"),
            newer("\"format\": 1", "\"format\": \"1\""),
        ];
        expect![[r#"
            release/: is not a record of a release: it has `surprise`, which this tool does not know
            published: true
            release/: is not a record of a release: it has `builds.x86_64-linux.log`, which this tool does not know
            published: true
            release/: is not a record of a release: it has `files.lix-2.93.1.tar.gz.sha512`, which this tool does not know
            published: true
            release/: true
            published: true
            release/: was made by a newer tool (format 2): use that tool
            published: was made by a newer tool (format 2): use that tool
            release/: is not a record of a release: invalid type: string "1", expected u64 at line 2 column 15
            published: is not a record of a release: invalid type: string "1", expected u64 at line 2 column 15
        "#]]
        .assert_eq(&cases.concat());
    }

    #[test]
    fn no_file_lies_elsewhere() {
        for path in ["/etc/passwd", "manual//etc/passwd", "../x", "manual/../../x", "manual/./x", "manual/", ""] {
            let mut record = record();
            record.files.insert(path.to_owned(), FileFacts { size: 0, sha256: Digest::new([0; 32]) });
            let error = Record::parse(&record.to_json()).expect_err(path);
            assert_eq!(error, format!("is not a record of a release: it lists `{path}`"));
        }
    }

    #[test]
    fn every_difference_is_named() {
        let mut found = record().files;
        let taken = found.remove("lix-2.93.1.tar.gz").expect("it is there");
        found.insert(MANIFEST.to_owned(), taken);
        found.insert(SUMS.to_owned(), taken);
        found.insert("extra".to_owned(), taken);
        expect![[r#"
            lix-2.93.1.tar.gz is missing
            manifest.nix has changed: built with 1 bytes, and now it has 2
            extra was not built with the rest
        "#]]
        .assert_eq(&format!("{}\n", record().compare(&found).expect_err("differences")));
        assert_eq!(record().compare(&record().files), Ok(()));
        assert_eq!(record().compare_manual(&record().manual()), Ok(()));
        assert!(record().compare_manual(&record().files).is_err());
    }
}
