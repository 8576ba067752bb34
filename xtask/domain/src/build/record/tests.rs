//! The bytes of a record, what is refused in one, and how two differ.

use super::*;
use crate::build::flake_lock::Input;
use crate::environment::named_keys::NamedKeys;
use crate::layout::{MANIFEST, RECORD, SUMS};
use crate::profile::Profile;
use expect_test::expect;

fn path(hash: char, name: &str) -> StorePath {
    format!("/nix/store/{}-{name}", hash.to_string().repeat(32)).parse().expect(name)
}

pub fn record() -> Record {
    let facts = |byte: u8| FileFacts { size: u64::from(byte), sha256: Digest::new([byte; 32]) };
    let outputs = BTreeMap::from([("out".to_owned(), path('b', "lix-2.93.1"))]);
    let closure = Closure::from([(path('b', "lix-2.93.1"), 5), (path('f', "library"), 6)]);
    let nars = BTreeMap::from([("out".to_owned(), facts(5))]);
    let build = Build { derivation: path('a', "lix-2.93.1.drv"), outputs, closure, nars };
    Record {
        format: Format,
        version: "2.93.1".to_owned(),
        name: Some("Bici Bici".to_owned()),
        tag: Some("2.93.1".parse().expect("a version")),
        commit: "c".repeat(40).parse().expect("an object"),
        tree: "d".repeat(40).parse().expect("an object"),
        committed: "2025-06-18T20:00:00Z".to_owned(),
        tool: "0.1.0".to_owned(),
        profile: BuiltProfile::Known(Profile::All),
        materials: Some(materials()),
        keys: NamedKeys::from([("production".to_owned(), vec![format!("cache.example.org-1:{}=", "A".repeat(43))])]),
        image: Some(ImageRecord {
            digest: Digest::new([7; 32]),
            platforms: System::main().platform().into_iter().collect(),
        }),
        builds: BTreeMap::from([(System::main(), build)]),
        files: [(MANIFEST, 1), ("lix-2.93.1.tar.gz", 2), ("manual/index.html", 3), ("manual/a/b.html", 4)]
            .map(|(path, byte)| (path.to_owned(), facts(byte)))
            .into(),
    }
}

fn materials() -> Materials {
    let input = Input {
        from: Some("github:NixOS/nixpkgs".to_owned()),
        rev: "e".repeat(40).parse().ok(),
        nar: Some(Digest::new([8; 32])),
    };
    let directory = Input { from: None, rev: None, nar: Some(Digest::new([9; 32])) };
    Materials {
        repository: "https://git.lix.systems/lix-project/lix".to_owned(),
        tag: "f".repeat(40).parse().ok(),
        modified: false,
        inputs: Inputs::from([("nixpkgs".to_owned(), input), ("directory".to_owned(), directory)]),
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
              },
              "closure": {
                "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lix-2.93.1": 5,
                "/nix/store/ffffffffffffffffffffffffffffffff-library": 6
              },
              "nars": {
                "out": {
                  "size": 5,
                  "sha256": "0505050505050505050505050505050505050505050505050505050505050505"
                }
              }
            }
          },
          "materials": {
            "repository": "https://git.lix.systems/lix-project/lix",
            "tag": "ffffffffffffffffffffffffffffffffffffffff",
            "inputs": {
              "directory": {
                "narHash": "sha256-CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk="
              },
              "nixpkgs": {
                "from": "github:NixOS/nixpkgs",
                "rev": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
                "narHash": "sha256-CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg="
              }
            }
          },
          "keys": {
            "production": [
              "cache.example.org-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
            ]
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
    .assert_eq(&(record().sums([(RECORD, Digest::new([9; 32]))]) + &record().drvs()));
}

#[test]
fn unknown_keys_are_refused_in_release_and_ignored_where_they_are_published() {
    let json = record().to_json();
    let newer = |from: &str, to: &str| {
        let text = json.replacen(from, to, 1);
        assert_ne!(text, json);
        let show = |read: Result<Record, String>| read.map_or_else(|why| why, |read| format!("{}", read == record()));
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
        release/: is not a record of a release: it has `builds.x86_64-linux.nars.out.sha512`, which this tool does not know
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
fn an_older_record_has_no_materials_and_a_newer_ones_are_read() {
    let older = Record { materials: None, ..record() };
    assert!(!older.to_json().contains("materials"));
    assert_eq!(Record::parse(&older.to_json()), Ok(older));
    let modified = Materials { tag: None, modified: true, inputs: Inputs::new(), ..materials() };
    let newer = Record { materials: Some(modified), ..record() };
    assert_eq!(Record::parse(&newer.to_json()), Ok(newer.clone()));
    let text = newer.to_json().replacen("\"modified\"", "\"builder\": {}, \"modified\"", 1);
    assert_eq!(Record::parse_published(&text), Ok(newer));
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
fn the_tag_is_of_the_version() {
    let read = |version: &str, tag: Option<&str>| {
        let tag = tag.map(|tag| tag.parse().expect("a version"));
        let record = Record { version: version.to_owned(), tag, ..record() };
        Record::parse_published(&record.to_json()).map(|_| ()).map_err(|why| why.to_string())
    };
    let wrong = |what: &str| Err(format!("is not a record of a release: it is of {what}, and of the tag 2.93.1"));
    assert_eq!(read("2.93.2", Some("2.93.1")), wrong("2.93.2"));
    assert_eq!(read("2.93.1-pre1", Some("2.93.1")), wrong("2.93.1-pre1"));
    assert_eq!(read("2.93.1", Some("2.93.1")), Ok(()));
    assert_eq!(read("2.93.1-pre1", None), Ok(()));
}

#[test]
fn every_difference_is_named() {
    let mut found = record().files;
    let taken = found.remove("lix-2.93.1.tar.gz").expect("it is there");
    found.insert(MANIFEST.to_owned(), taken);
    let others = Files::from([(SUMS.to_owned(), taken)]);
    found.extend(others.clone());
    found.insert("extra".to_owned(), taken);
    expect![[r#"
        lix-2.93.1.tar.gz is missing
        manifest.nix has changed: built with 1 bytes, and now it has 2
        extra was not built with the rest
    "#]]
    .assert_eq(&format!("{}\n", record().compare(&found, &others).expect_err("differences")));
    assert_eq!(
        (record().compare(&record().files, &others), record().compare_manual(&record().manual())),
        (Ok(()), Ok(()))
    );
    assert!(record().compare_manual(&record().files).is_err());
}
