//! The bytes of a statement, and that nothing of it depends on anything but the record.

use super::*;
use crate::build::record::tests::record;
use expect_test::expect;

fn of(record: &Record) -> String {
    statement(record, Digest::new([9; 32])).expect("it has materials")
}

#[test]
fn bytes() {
    expect![[r#"
        {
          "_type": "https://in-toto.io/Statement/v1",
          "subject": [
            {
              "name": "lix-2.93.1.tar.gz",
              "digest": {
                "sha256": "0202020202020202020202020202020202020202020202020202020202020202"
              }
            },
            {
              "name": "manifest.nix",
              "digest": {
                "sha256": "0101010101010101010101010101010101010101010101010101010101010101"
              }
            },
            {
              "name": "manual/a/b.html",
              "digest": {
                "sha256": "0404040404040404040404040404040404040404040404040404040404040404"
              }
            },
            {
              "name": "manual/index.html",
              "digest": {
                "sha256": "0303030303030303030303030303030303030303030303030303030303030303"
              }
            },
            {
              "name": "release.json",
              "digest": {
                "sha256": "0909090909090909090909090909090909090909090909090909090909090909"
              }
            },
            {
              "name": "container image",
              "digest": {
                "sha256": "0707070707070707070707070707070707070707070707070707070707070707"
              },
              "mediaType": "application/vnd.oci.image.index.v1+json"
            },
            {
              "name": "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lix-2.93.1",
              "digest": {
                "narSha256": "0505050505050505050505050505050505050505050505050505050505050505"
              }
            }
          ],
          "predicateType": "https://slsa.dev/provenance/v1",
          "predicate": {
            "buildDefinition": {
              "buildType": "tag:lix.systems,2026:release/build/v1",
              "externalParameters": {
                "version": "2.93.1",
                "tag": "2.93.1",
                "profile": "all"
              },
              "internalParameters": {
                "builds": {
                  "x86_64-linux": {
                    "derivation": "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lix-2.93.1.drv",
                    "outputs": {
                      "out": "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lix-2.93.1"
                    }
                  }
                }
              },
              "resolvedDependencies": [
                {
                  "name": "source",
                  "uri": "git+https://git.lix.systems/lix-project/lix@cccccccccccccccccccccccccccccccccccccccc",
                  "digest": {
                    "gitCommit": "cccccccccccccccccccccccccccccccccccccccc",
                    "gitTree": "dddddddddddddddddddddddddddddddddddddddd"
                  },
                  "annotations": {
                    "committed": "2025-06-18T20:00:00Z"
                  }
                },
                {
                  "name": "tag",
                  "uri": "git+https://git.lix.systems/lix-project/lix@refs/tags/2.93.1",
                  "digest": {
                    "gitTag": "ffffffffffffffffffffffffffffffffffffffff"
                  }
                },
                {
                  "name": "flake.lock/directory",
                  "digest": {
                    "narSha256": "0909090909090909090909090909090909090909090909090909090909090909"
                  }
                },
                {
                  "name": "flake.lock/nixpkgs",
                  "uri": "github:NixOS/nixpkgs",
                  "digest": {
                    "gitCommit": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
                    "narSha256": "0808080808080808080808080808080808080808080808080808080808080808"
                  }
                }
              ]
            },
            "runDetails": {
              "builder": {
                "id": "tag:lix.systems,2026:release/manager",
                "version": {
                  "cargo xtask release": "0.1.0"
                }
              }
            }
          }
        }
    "#]]
    .assert_eq(&of(&record()));
}

#[test]
fn what_was_not_released_says_so() {
    let materials = record().materials.map(|materials| Materials { tag: None, modified: true, ..materials });
    let version = "2.93.1-pre20250618-ccccccc".to_owned();
    let text = of(&Record { tag: None, version, materials, image: None, ..record() });
    assert!(text.contains("\"modified\": true") && !text.contains("gitTag") && !text.contains("\"tag\""), "{text}");
    assert!(!text.contains("image"), "{text}");
}

#[test]
fn an_older_record_has_no_statement() {
    assert_eq!(statement(&Record { materials: None, ..record() }, Digest::new([9; 32])), None);
}
