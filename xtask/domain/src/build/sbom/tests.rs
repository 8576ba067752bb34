//! The bytes of a bill of materials, what is read back, and what is refused.

use super::*;
use crate::build::path_info::PathInfo;
use crate::format::Format;
use crate::profile::{BuiltProfile, Profile};
use expect_test::expect;

fn path(hash: char, name: &str) -> StorePath {
    format!("/nix/store/{}-{name}", hash.to_string().repeat(32)).parse().expect(name)
}

fn info(path: &StorePath, number: u8, references: &[&StorePath]) -> PathInfo {
    PathInfo {
        path: path.clone(),
        nar_hash: Digest::new([number; 32]),
        nar_size: u64::from(number),
        references: references.iter().map(|path| (*path).clone()).collect(),
    }
}

/// Two paths that refer to each other and themselves, and a third that nothing is known about.
fn closures() -> Closures {
    let [lix, gc, odd] = [path('b', "lix-2.93.1"), path('a', "boehm-gc-8.2.8-dev"), path('c', "-1")];
    Closures::new([info(&lix, 1, &[&lix, &gc]), info(&gc, 2, &[&lix, &odd]), info(&odd, 3, &[])]).expect("complete")
}

fn sbom() -> Sbom {
    let lix = Description {
        licenses: vec![License::Id("LGPL-2.1-or-later".to_owned()), License::Name("as is".to_owned())],
        homepages: vec!["https://lix.systems".to_owned()],
    };
    Sbom::new(&path('b', "lix-2.93.1"), &closures(), &[(path('b', "lix-2.93.1"), lix)].into())
}

fn build() -> Build {
    let [lix, derivation] = [path('b', "lix-2.93.1"), path('d', "lix-2.93.1.drv")];
    let closure = closures().of(&lix).iter().map(|info| (info.path.clone(), info.nar_size)).collect();
    let nar = FileFacts { size: 1, sha256: Digest::new([1; 32]) };
    let of = |value| [(OUT.to_owned(), value)];
    Build { derivation, outputs: of(lix).into(), closure, nars: [(OUT.to_owned(), nar)].into() }
}

fn record() -> Record {
    Record {
        format: Format,
        version: "2.93.1".to_owned(),
        name: None,
        tag: None,
        commit: "c".repeat(40).parse().expect("an object"),
        tree: "d".repeat(40).parse().expect("an object"),
        committed: "2025-06-18T20:00:00Z".to_owned(),
        tool: "0.1.0".to_owned(),
        profile: BuiltProfile::Known(Profile::All),
        materials: None,
        image: None,
        builds: [(System::main(), build())].into(),
        keys: Default::default(),
        files: [].into(),
    }
}

fn json() -> String {
    sbom().to_json(&record(), &System::main(), |text| Digest::new([text.len().to_le_bytes()[0]; 32]))
}

#[test]
fn bytes() {
    expect![[r#"
        {
          "bomFormat": "CycloneDX",
          "specVersion": "1.6",
          "serialNumber": "urn:uuid:35353535-3535-8535-b535-353535353535",
          "version": 1,
          "metadata": {
            "timestamp": "2025-06-18T20:00:00Z",
            "tools": {
              "components": [
                {
                  "type": "application",
                  "name": "xtask"
                }
              ]
            },
            "component": {
              "type": "application",
              "bom-ref": "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lix-2.93.1",
              "name": "lix",
              "version": "2.93.1",
              "hashes": [
                {
                  "alg": "SHA-256",
                  "content": "0101010101010101010101010101010101010101010101010101010101010101"
                }
              ],
              "licenses": [
                {
                  "license": {
                    "id": "LGPL-2.1-or-later",
                    "acknowledgement": "declared"
                  }
                },
                {
                  "license": {
                    "name": "as is",
                    "acknowledgement": "declared"
                  }
                }
              ],
              "externalReferences": [
                {
                  "type": "website",
                  "url": "https://lix.systems"
                }
              ],
              "properties": [
                {
                  "name": "nix:narSize",
                  "value": "1"
                }
              ]
            },
            "properties": [
              {
                "name": "git:commit",
                "value": "cccccccccccccccccccccccccccccccccccccccc"
              },
              {
                "name": "nix:derivation",
                "value": "/nix/store/dddddddddddddddddddddddddddddddd-lix-2.93.1.drv"
              },
              {
                "name": "nix:system",
                "value": "x86_64-linux"
              }
            ]
          },
          "components": [
            {
              "type": "application",
              "bom-ref": "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-boehm-gc-8.2.8-dev",
              "name": "boehm-gc",
              "version": "8.2.8-dev",
              "hashes": [
                {
                  "alg": "SHA-256",
                  "content": "0202020202020202020202020202020202020202020202020202020202020202"
                }
              ],
              "properties": [
                {
                  "name": "nix:narSize",
                  "value": "2"
                }
              ]
            },
            {
              "type": "application",
              "bom-ref": "/nix/store/cccccccccccccccccccccccccccccccc--1",
              "name": "-1",
              "hashes": [
                {
                  "alg": "SHA-256",
                  "content": "0303030303030303030303030303030303030303030303030303030303030303"
                }
              ],
              "properties": [
                {
                  "name": "nix:narSize",
                  "value": "3"
                }
              ]
            }
          ],
          "dependencies": [
            {
              "ref": "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-boehm-gc-8.2.8-dev",
              "dependsOn": [
                "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lix-2.93.1",
                "/nix/store/cccccccccccccccccccccccccccccccc--1"
              ]
            },
            {
              "ref": "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lix-2.93.1",
              "dependsOn": [
                "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-boehm-gc-8.2.8-dev"
              ]
            },
            {
              "ref": "/nix/store/cccccccccccccccccccccccccccccccc--1"
            }
          ]
        }
    "#]]
    .assert_eq(&json());
}

#[test]
fn what_is_written_is_read_back() {
    assert_eq!(Sbom::parse(&json()), Ok(sbom()));
    assert_eq!(sbom().fault(&build()), None);
}

#[test]
fn what_contradicts_the_record_is_named() {
    let (lix, gc) = (path('b', "lix-2.93.1"), path('a', "boehm-gc-8.2.8-dev"));
    let fault = |change: &dyn Fn(&mut Sbom)| {
        let mut sbom = sbom();
        change(&mut sbom);
        sbom.fault(&build()).expect("a fault") + "\n"
    };
    let faults = [
        fault(&|sbom| sbom.root = gc.clone()),
        fault(&|sbom| drop(sbom.parts.remove(&gc))),
        fault(&|sbom| drop(sbom.parts.insert(path('f', "x"), sbom.parts[&gc].clone()))),
        fault(&|sbom| sbom.parts.get_mut(&gc).expect("it is there").nar.size = 9),
        fault(&|sbom| sbom.parts.get_mut(&lix).expect("it is there").nar.sha256 = Digest::new([9; 32])),
    ];
    expect![[r#"
        it is of /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-boehm-gc-8.2.8-dev
        /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-boehm-gc-8.2.8-dev is missing
        /nix/store/ffffffffffffffffffffffffffffffff-x is not in the closure
        the size of /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-boehm-gc-8.2.8-dev is another
        the hash of /nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lix-2.93.1 is another
    "#]]
    .assert_eq(&faults.concat());
}

#[test]
fn what_is_no_bill_of_materials_is_refused() {
    let changed = |from: &str, to: &str| {
        let text = json().replacen(from, to, 1);
        assert_ne!(text, json(), "{from}");
        Sbom::parse(&text).map_or_else(|why| why, |sbom| format!("read: {}", sbom == self::sbom())) + "\n"
    };
    let cases = [
        changed("{", ""),
        changed("CycloneDX", "SP\\u001bDX"),
        changed("\"1.6\"", "\"1.7\""),
        changed("\"bom-ref\": \"/nix/store", "\"bom-ref\": \"/gnu/store"),
        changed("\"name\": \"boehm-gc\"", "\"group\": \"x\", \"name\": \"boehm-gc\""),
        changed("\"license\": {", "\"expression\": \"A OR B\", \"licence\": {"),
        changed("nix:narSize", "size"),
        changed("\"value\": \"1\"", "\"value\": \"-1\""),
        changed("SHA-256", "MD5"),
        changed(&"01".repeat(32), "01"),
        changed("cccccccc-", "bbbbbbbb-"),
        changed("\"ref\": \"/nix/store/a", "\"ref\": \"/nix/store/d"),
    ];
    expect![[r#"
        is not a bill of materials: invalid type: string "bomFormat", expected struct Document at line 2 column 13
        is a bill of materials of another format, `SP\u{1b}DX`
        read: true
        is not a bill of materials of a release: `/gnu/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lix-2.93.1` is not in /nix/store
        read: true
        read: false
        is not a bill of materials of a release: /nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lix-2.93.1 has no nix:narSize
        is not a bill of materials of a release: /nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lix-2.93.1 has the nix:narSize `-1`
        is not a bill of materials of a release: /nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lix-2.93.1 has no SHA-256
        is not a bill of materials of a release: /nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lix-2.93.1 `01` is not a SHA-256 digest: it has 64 digits of 0-9a-f
        is not a bill of materials of a release: /nix/store/cccccccccccccccccccccccccccccccc--1 is not in it, and something depends on it
        is not a bill of materials of a release: /nix/store/daaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-boehm-gc-8.2.8-dev is not in it, and something depends on it
    "#]].assert_eq(&cases.concat());
}

/// A chain of 20,000 paths with the longest names.
#[test]
fn a_closure_may_be_deep_and_wide() {
    let paths: Vec<StorePath> =
        (0..20_000).map(|n| path('a', &format!("{n:0>200}"))).enumerate().map(|(n, long)| numbered(&long, n)).collect();
    let info = |(n, of): (usize, &StorePath)| match paths.get(n + 1) {
        Some(next) => info(of, 1, &[next]),
        None => info(of, 1, &[]),
    };
    let closures = Closures::new(paths.iter().enumerate().map(info)).expect("complete");
    let sbom = Sbom::new(&paths[0], &closures, &Descriptions::new());
    assert_eq!(sbom.parts.len(), paths.len());
    let text = sbom.to_json(&record(), &System::main(), |_| Digest::new([1; 32]));
    // The publishing half reads at most 64 MiB of one.
    assert!(text.len() < 48 << 20, "{}", text.len());
}

/// The same path with a number in its hash.
fn numbered(path: &StorePath, number: usize) -> StorePath {
    StorePath::of_base_name(&format!("{number:0>32}-{}", path.name())).expect("a store path")
}
