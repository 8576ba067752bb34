//! The policy of publication, on one page for each kind of release: a change of policy is a diff to read here.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use xtask::domain::build::manifest::{Manifest, render};
use xtask::domain::digest::Digest;
use xtask::domain::environment::image_target::ImageTarget;
use xtask::domain::environment::{Config, Environment};
use xtask::domain::format::Format;
use xtask::domain::layout::Docs;
use xtask::domain::oid::Oid;
use xtask::domain::product::Product;
use xtask::domain::release::Release;
use xtask::domain::release::tagging::{Relation, Tag, TagRecord};
use xtask::domain::store_path::StorePath;
use xtask_publish::domain::cache::faults;
use xtask_publish::domain::cache::path_info::PathInfo;
use xtask_publish::domain::publication::acts::{Act, Subject, Target, acts};
use xtask_publish::domain::publication::image_tag::{ImageTag, Pushed};
use xtask_publish::domain::publication::judgement::{Changed, Object, Review, Seen, Tree, Waivers, judge};
use xtask_publish::domain::publication::live_manifest::Live;
use xtask_publish::domain::publication::plan::{Plan, Status, kind};
use xtask_publish::domain::publication::pointers::{Published, withdrawn_by_rollback};
use xtask_publish::domain::publication::receipt::{self, Gate, Receipt};
use xtask_publish::domain::publication::withdrawn;

mod together;

const RELENG_TOML: &str = include_str!("../../../releng.toml");

fn oid(digit: char) -> Oid {
    digit.to_string().repeat(40).parse().expect("an object")
}

fn subject(version: &str) -> Subject {
    Subject::Official(Box::new(release(version)))
}

fn release(version: &str) -> Release {
    Release::new(&Product::built_in().into(), version.parse().expect(version), "Name").expect("releasable")
}

/// The commits of a version, and what has become of them in Gerrit.
fn in_review(version: &str, review: Review) -> Seen {
    let release = release(version);
    let tag = TagRecord {
        version: release.version().clone(),
        tag_object: oid('a'),
        commit: oid('b'),
        tree: oid('c'),
        branch: "releng/x".to_owned(),
        merge_commit: oid('d'),
    };
    Seen::Review { review, branch: release.release_branch(), tag: Box::new(tag) }
}

fn object(path: &str, size: u64) -> Object {
    Object { path: path.to_owned(), size, sha256: Digest::new([1; 32]) }
}

fn manifest(version: &str, systems: &[&str]) -> Manifest {
    let path = format!("/nix/store/{}-lix-{version}", "0".repeat(32));
    systems.iter().map(|system| (system.parse().expect(system), path.clone())).collect()
}

fn live(manifest: Manifest) -> Option<Live> {
    Some(Live { text: render(&manifest), says: Ok(manifest) })
}

fn path(digit: u8) -> PathInfo {
    let path = format!("/nix/store/{}-lix", digit.to_string().repeat(32));
    let path = StorePath::parse(&path).expect("a store path");
    PathInfo { path, nar_hash: Digest::new([digit; 32]), nar_size: 20_000_000, references: BTreeSet::new() }
}

const SYSTEMS: [&str; 2] = ["aarch64-linux", "x86_64-linux"];

/// Of the release that is published.
fn record() -> Digest {
    Digest::new([2; 32])
}

/// What an environment wants another one to have, which has it.
fn gate(environment: &Environment) -> Gate {
    match &environment.requires {
        None => Gate::Open,
        Some(required) => Gate::Requires {
            environment: required.clone(),
            receipt: Some(Receipt {
                format: Format,
                environment: required.clone(),
                version: String::new(),
                record: record(),
                published: time::macros::datetime!(2026-03-13 20:00 UTC),
                skipped: None,
            }),
        },
    }
}

/// A world in which 2.95.1 is the newest stable release and nothing of `version` is there yet.
fn seen(act: &Act, version: &str, acts: &[Act], environment: &Environment) -> Seen {
    match act {
        Act::VersionDirectory => Seen::Tree(Tree {
            new: vec![object("lix.tar.gz", 30_000_000), object("manifest.nix", 300)],
            ..Tree::default()
        }),
        Act::Cache => {
            Seen::Cache(faults::Seen { new: vec![path(1), path(2)], same: 340, info: true, ..faults::Seen::default() })
        }
        Act::Docs { docs: Docs::Series(_), .. } if version.ends_with(".0") => {
            Seen::Tree(Tree { new: vec![object("index.html", 12_000)], ..Tree::default() })
        }
        Act::Docs { .. } => Seen::Tree(Tree {
            new: vec![object("new.html", 12_000)],
            changed: vec![Changed { ours: object("index.html", 12_345), theirs: "0".repeat(32) }],
            same: 180,
            gone: vec!["old.html".to_owned()],
            ..Tree::default()
        }),
        Act::Branch => Seen::Branch { ours: oid('d'), remote: Some(oid('e')), relation: Relation::Behind },
        Act::Review => in_review(version, Review::Unknown),
        Act::Tag => {
            let ready =
                if acts.contains(&Act::Review) { Err("its commit is not submitted".to_owned()) } else { Ok(()) };
            Seen::Tag { ours: oid('a'), remote: None, ready }
        }
        Act::RootManifest => {
            Seen::Manifest { ours: manifest(version, &SYSTEMS), live: live(manifest("2.95.1", &SYSTEMS)) }
        }
        Act::Images { .. } => Seen::Images(Pushed {
            index: Digest::new([3; 32]),
            bytes: 52_000_000,
            parts: 1,
            missing: vec![format!("the index {}", Digest::new([3; 32]).oci())],
        }),
        Act::ImageTag { tag, .. } => {
            let is_new = *tag == ImageTag::Version || *tag != ImageTag::Latest && version.ends_with(".0");
            Seen::ImageTag { ours: Digest::new([3; 32]), there: (!is_new).then(|| Digest::new([4; 32])) }
        }
        Act::Installers => Seen::Tree(Tree { new: vec![object("installer.json", 300)], ..Tree::default() }),
        Act::InstallerPointers => Seen::InstallerPointers {
            tree: Tree {
                changed: vec![Changed { ours: object("x86_64-linux", 8_000_000), theirs: "0".repeat(32) }],
                ..Tree::default()
            },
            only_there: Vec::new(),
        },
        Act::Receipt => Seen::Receipt(Box::new(receipt::Seen {
            record: record(),
            there: receipt::StoredReceipt::Missing,
            gate: gate(environment),
        })),
        Act::Withdraw { to } => Seen::Withdrawn(withdrawn::Seen {
            there: BTreeSet::new(),
            unclear: None,
            ours: withdrawn_by_rollback(to, &published()),
        }),
    }
}

fn published() -> Published {
    ["2.93.3", "2.94.1", "2.95.0", "2.95.1"].map(|v| v.parse().expect(v)).into_iter().collect()
}

fn plan(version: &str, environment: &str) -> Plan {
    let config = Config::parse(RELENG_TOML).expect("our own file");
    let acts = acts(subject(version).series(), Target::All, config.environment(environment).expect("known"));
    plan_of(&acts.expect("acts"), version, environment, &published())
}

fn plan_of(acts: &[Act], version: &str, name: &str, published: &Published) -> Plan {
    let config = Config::parse(RELENG_TOML).expect("our own file");
    let environment = config.environment(name).expect("known");
    let subject = subject(version);
    let judged =
        |act: &Act| judge(act, &subject, &seen(act, version, acts, environment), published, &Waivers::default());
    Plan {
        product: subject.product().name.clone(),
        environment: name.to_owned(),
        version: version.to_owned(),
        kind: kind(&subject, acts, published),
        record: record(),
        acts: acts.iter().map(judged).collect(),
        purge: None,
    }
}

fn pages(version: &str, expected: Expect) {
    let page = |environment| plan(version, environment).to_text(false);
    expected.assert_eq(&["local", "staging", "production"].map(page).join("\n"));
}

#[test]
fn a_new_major() {
    pages(
        "2.96.0",
        expect![[r#"
            Lix 2.96.0 to local (new MAJOR)

            contents
              + releases lix/lix-2.96.0/          add 2 (30.0 MB)
              ~ cache closures                    add 2, same 340 paths (40.0 MB unpacked)
              + docs manual/lix/2.96/             add 1 (12 kB): the newest release of 2.96 here
              + images release/local/images       push 030303030303 (52.0 MB)

            git
              ~ branch main                       eeeeeeeeeeee -> dddddddddddd
              + tag 2.96.0                        to aaaaaaaaaaaa

            pointers
              ~ releases manifest.nix             2.95.1 -> 2.96.0: the newest stable release here
              ~ docs manual/lix/stable/           add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here
              + image release/local/images:2.96.0 to 030303030303
              + image release/local/images:2.96   to 030303030303: the newest release of 2.96 here
              ~ image release/local/images:latest 040404040404 -> 030303030303: the newest stable release here

            receipt
              + releases receipts/lix-2.96.0.json says that everything is done

            plan 7fd1654d1fa061b9a3255ff75b5f2235b2acb889b817780512c7e783369bc643

            Lix 2.96.0 to staging (new MAJOR)

            contents
              + releases lix/lix-2.96.0/                                    add 2 (30.0 MB)
              ~ cache closures                                              add 2, same 340 paths (40.0 MB unpacked)
              + docs manual/lix/2.96/                                       add 1 (12 kB): the newest release of 2.96 here
              + images git.lix.systems/lix-project/lix-releng-staging       push 030303030303 (52.0 MB)
              + images ghcr.io/lix-project/lix-releng-staging               push 030303030303 (52.0 MB)

            git
              ~ branch main                                                 eeeeeeeeeeee -> dddddddddddd
              + tag 2.96.0                                                  to aaaaaaaaaaaa

            pointers
              ~ releases manifest.nix                                       2.95.1 -> 2.96.0: the newest stable release here
              ~ docs manual/lix/stable/                                     add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here
              + image git.lix.systems/lix-project/lix-releng-staging:2.96.0 to 030303030303
              + image ghcr.io/lix-project/lix-releng-staging:2.96.0         to 030303030303
              + image git.lix.systems/lix-project/lix-releng-staging:2.96   to 030303030303: the newest release of 2.96 here
              + image ghcr.io/lix-project/lix-releng-staging:2.96           to 030303030303: the newest release of 2.96 here
              ~ image git.lix.systems/lix-project/lix-releng-staging:latest 040404040404 -> 030303030303: the newest stable release here
              ~ image ghcr.io/lix-project/lix-releng-staging:latest         040404040404 -> 030303030303: the newest stable release here

            receipt
              + releases receipts/lix-2.96.0.json                           says that everything is done

            plan 0bccb927b6104720728f6d0449995106981f6fdfec62fb578e91941f9a3f094f

            Lix 2.96.0 to production (new MAJOR)

            contents
              + releases lix/lix-2.96.0/                     add 2 (30.0 MB)
              ~ cache closures                               add 2, same 340 paths (40.0 MB unpacked)
              + docs manual/lix/2.96/                        add 1 (12 kB): the newest release of 2.96 here
              + images git.lix.systems/lix-project/lix       push 030303030303 (52.0 MB)
              + images ghcr.io/lix-project/lix               push 030303030303 (52.0 MB)

            git
              + review for main                              push dddddddddddd
              … tag 2.96.0                                   waits: its commit is not submitted

            pointers
              ~ releases manifest.nix                        2.95.1 -> 2.96.0: the newest stable release here
              ~ docs manual/lix/stable/                      add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here
              + image git.lix.systems/lix-project/lix:2.96.0 to 030303030303
              + image ghcr.io/lix-project/lix:2.96.0         to 030303030303
              + image git.lix.systems/lix-project/lix:2.96   to 030303030303: the newest release of 2.96 here
              + image ghcr.io/lix-project/lix:2.96           to 030303030303: the newest release of 2.96 here
              ~ image git.lix.systems/lix-project/lix:latest 040404040404 -> 030303030303: the newest stable release here
              ~ image ghcr.io/lix-project/lix:latest         040404040404 -> 030303030303: the newest stable release here

            receipt
              + releases receipts/lix-2.96.0.json            staging has had it since 2026-03-13

            plan 84c7aa7dc6789368b2f21a93f86fd7454c50e4c8ae5c4374f24437cffcb3169a
        "#]],
    );
}

#[test]
fn a_patch() {
    pages(
        "2.95.2",
        expect![[r#"
            Lix 2.95.2 to local (patch)

            contents
              + releases lix/lix-2.95.2/          add 2 (30.0 MB)
              ~ cache closures                    add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.95/             add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.95 here
              + images release/local/images       push 030303030303 (52.0 MB)

            git
              ~ branch release-2.95               eeeeeeeeeeee -> dddddddddddd
              + tag 2.95.2                        to aaaaaaaaaaaa

            pointers
              ~ releases manifest.nix             2.95.1 -> 2.95.2: the newest stable release here
              ~ docs manual/lix/stable/           add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here
              + image release/local/images:2.95.2 to 030303030303
              ~ image release/local/images:2.95   040404040404 -> 030303030303: the newest release of 2.95 here
              ~ image release/local/images:latest 040404040404 -> 030303030303: the newest stable release here

            receipt
              + releases receipts/lix-2.95.2.json says that everything is done

            plan f1a22eb502ddf43a805616b5ec908852c93641037afde2e18a109b490f09c72d

            Lix 2.95.2 to staging (patch)

            contents
              + releases lix/lix-2.95.2/                                    add 2 (30.0 MB)
              ~ cache closures                                              add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.95/                                       add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.95 here
              + images git.lix.systems/lix-project/lix-releng-staging       push 030303030303 (52.0 MB)
              + images ghcr.io/lix-project/lix-releng-staging               push 030303030303 (52.0 MB)

            git
              ~ branch release-2.95                                         eeeeeeeeeeee -> dddddddddddd
              + tag 2.95.2                                                  to aaaaaaaaaaaa

            pointers
              ~ releases manifest.nix                                       2.95.1 -> 2.95.2: the newest stable release here
              ~ docs manual/lix/stable/                                     add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here
              + image git.lix.systems/lix-project/lix-releng-staging:2.95.2 to 030303030303
              + image ghcr.io/lix-project/lix-releng-staging:2.95.2         to 030303030303
              ~ image git.lix.systems/lix-project/lix-releng-staging:2.95   040404040404 -> 030303030303: the newest release of 2.95 here
              ~ image ghcr.io/lix-project/lix-releng-staging:2.95           040404040404 -> 030303030303: the newest release of 2.95 here
              ~ image git.lix.systems/lix-project/lix-releng-staging:latest 040404040404 -> 030303030303: the newest stable release here
              ~ image ghcr.io/lix-project/lix-releng-staging:latest         040404040404 -> 030303030303: the newest stable release here

            receipt
              + releases receipts/lix-2.95.2.json                           says that everything is done

            plan 181141096472a08fc82ac837abb1ebfde7d08c2db5ec84749391067d24b2ec20

            Lix 2.95.2 to production (patch)

            contents
              + releases lix/lix-2.95.2/                     add 2 (30.0 MB)
              ~ cache closures                               add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.95/                        add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.95 here
              + images git.lix.systems/lix-project/lix       push 030303030303 (52.0 MB)
              + images ghcr.io/lix-project/lix               push 030303030303 (52.0 MB)

            git
              + review for release-2.95                      push dddddddddddd
              … tag 2.95.2                                   waits: its commit is not submitted

            pointers
              ~ releases manifest.nix                        2.95.1 -> 2.95.2: the newest stable release here
              ~ docs manual/lix/stable/                      add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here
              + image git.lix.systems/lix-project/lix:2.95.2 to 030303030303
              + image ghcr.io/lix-project/lix:2.95.2         to 030303030303
              ~ image git.lix.systems/lix-project/lix:2.95   040404040404 -> 030303030303: the newest release of 2.95 here
              ~ image ghcr.io/lix-project/lix:2.95           040404040404 -> 030303030303: the newest release of 2.95 here
              ~ image git.lix.systems/lix-project/lix:latest 040404040404 -> 030303030303: the newest stable release here
              ~ image ghcr.io/lix-project/lix:latest         040404040404 -> 030303030303: the newest stable release here

            receipt
              + releases receipts/lix-2.95.2.json            staging has had it since 2026-03-13

            plan 7189e037c3cd9842b5a5878e710d6c4300bf37e52c1a44dfa87e15583688749f
        "#]],
    );
}

#[test]
fn a_maintenance_release_moves_only_its_own_series() {
    pages(
        "2.93.4",
        expect![[r#"
            Lix 2.93.4 to local (maintenance)

            contents
              + releases lix/lix-2.93.4/          add 2 (30.0 MB)
              ~ cache closures                    add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.93/             add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.93 here
              + images release/local/images       push 030303030303 (52.0 MB)

            git
              ~ branch release-2.93               eeeeeeeeeeee -> dddddddddddd
              + tag 2.93.4                        to aaaaaaaaaaaa

            pointers
              - releases manifest.nix             stays: 2.95.1 is published here and newer
              - docs manual/lix/stable/           stays: 2.95.1 is published here and newer
              + image release/local/images:2.93.4 to 030303030303
              ~ image release/local/images:2.93   040404040404 -> 030303030303: the newest release of 2.93 here
              - image release/local/images:latest stays: 2.95.1 is published here and newer

            receipt
              + releases receipts/lix-2.93.4.json says that everything is done

            plan 58b8f0f22601c29c69c6a41741f0fdcc0c84f9813c90d2dedc81874f833610f8

            Lix 2.93.4 to staging (maintenance)

            contents
              + releases lix/lix-2.93.4/                                    add 2 (30.0 MB)
              ~ cache closures                                              add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.93/                                       add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.93 here
              + images git.lix.systems/lix-project/lix-releng-staging       push 030303030303 (52.0 MB)
              + images ghcr.io/lix-project/lix-releng-staging               push 030303030303 (52.0 MB)

            git
              ~ branch release-2.93                                         eeeeeeeeeeee -> dddddddddddd
              + tag 2.93.4                                                  to aaaaaaaaaaaa

            pointers
              - releases manifest.nix                                       stays: 2.95.1 is published here and newer
              - docs manual/lix/stable/                                     stays: 2.95.1 is published here and newer
              + image git.lix.systems/lix-project/lix-releng-staging:2.93.4 to 030303030303
              + image ghcr.io/lix-project/lix-releng-staging:2.93.4         to 030303030303
              ~ image git.lix.systems/lix-project/lix-releng-staging:2.93   040404040404 -> 030303030303: the newest release of 2.93 here
              ~ image ghcr.io/lix-project/lix-releng-staging:2.93           040404040404 -> 030303030303: the newest release of 2.93 here
              - image git.lix.systems/lix-project/lix-releng-staging:latest stays: 2.95.1 is published here and newer
              - image ghcr.io/lix-project/lix-releng-staging:latest         stays: 2.95.1 is published here and newer

            receipt
              + releases receipts/lix-2.93.4.json                           says that everything is done

            plan 50dc5d0faeecec03490503ab1dd8860aaf215a56a5b5162af83601e8035025cd

            Lix 2.93.4 to production (maintenance)

            contents
              + releases lix/lix-2.93.4/                     add 2 (30.0 MB)
              ~ cache closures                               add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.93/                        add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.93 here
              + images git.lix.systems/lix-project/lix       push 030303030303 (52.0 MB)
              + images ghcr.io/lix-project/lix               push 030303030303 (52.0 MB)

            git
              + review for release-2.93                      push dddddddddddd
              … tag 2.93.4                                   waits: its commit is not submitted

            pointers
              - releases manifest.nix                        stays: 2.95.1 is published here and newer
              - docs manual/lix/stable/                      stays: 2.95.1 is published here and newer
              + image git.lix.systems/lix-project/lix:2.93.4 to 030303030303
              + image ghcr.io/lix-project/lix:2.93.4         to 030303030303
              ~ image git.lix.systems/lix-project/lix:2.93   040404040404 -> 030303030303: the newest release of 2.93 here
              ~ image ghcr.io/lix-project/lix:2.93           040404040404 -> 030303030303: the newest release of 2.93 here
              - image git.lix.systems/lix-project/lix:latest stays: 2.95.1 is published here and newer
              - image ghcr.io/lix-project/lix:latest         stays: 2.95.1 is published here and newer

            receipt
              + releases receipts/lix-2.93.4.json            staging has had it since 2026-03-13

            plan ed9bef0b04ecda9b1e648bb0f5cec8f09370025a7610c79a179b1dacdb9b0dc4
        "#]],
    );
}

#[test]
fn a_pre_release_moves_no_pointer_of_stable_users() {
    pages(
        "2.96.0-rc1",
        expect![[r#"
            Lix 2.96.0-rc1 to local (pre-release)

            contents
              + releases lix/lix-2.96.0-rc1/          add 2 (30.0 MB)
              ~ cache closures                        add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.96/                 add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.96 here
              + images release/local/images           push 030303030303 (52.0 MB)

            git
              ~ branch main                           eeeeeeeeeeee -> dddddddddddd
              + tag 2.96.0-rc1                        to aaaaaaaaaaaa

            pointers
              - releases manifest.nix                 stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable
              - docs manual/lix/stable/               stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable
              + image release/local/images:2.96.0-rc1 to 030303030303
              ~ image release/local/images:2.96       040404040404 -> 030303030303: the newest release of 2.96 here
              - image release/local/images:latest     stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable

            receipt
              + releases receipts/lix-2.96.0-rc1.json says that everything is done

            plan aa444eb6c8254e3bf5a7390136c01b897ccbc51ede71b97953a87ad1a5d011c0

            Lix 2.96.0-rc1 to staging (pre-release)

            contents
              + releases lix/lix-2.96.0-rc1/                                    add 2 (30.0 MB)
              ~ cache closures                                                  add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.96/                                           add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.96 here
              + images git.lix.systems/lix-project/lix-releng-staging           push 030303030303 (52.0 MB)
              + images ghcr.io/lix-project/lix-releng-staging                   push 030303030303 (52.0 MB)

            git
              ~ branch main                                                     eeeeeeeeeeee -> dddddddddddd
              + tag 2.96.0-rc1                                                  to aaaaaaaaaaaa

            pointers
              - releases manifest.nix                                           stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable
              - docs manual/lix/stable/                                         stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable
              + image git.lix.systems/lix-project/lix-releng-staging:2.96.0-rc1 to 030303030303
              + image ghcr.io/lix-project/lix-releng-staging:2.96.0-rc1         to 030303030303
              ~ image git.lix.systems/lix-project/lix-releng-staging:2.96       040404040404 -> 030303030303: the newest release of 2.96 here
              ~ image ghcr.io/lix-project/lix-releng-staging:2.96               040404040404 -> 030303030303: the newest release of 2.96 here
              - image git.lix.systems/lix-project/lix-releng-staging:latest     stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable
              - image ghcr.io/lix-project/lix-releng-staging:latest             stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable

            receipt
              + releases receipts/lix-2.96.0-rc1.json                           says that everything is done

            plan ffee4e6b32c04d4a5fea900b42e4e8cef4d7f83336b75674270916b81fac4703

            Lix 2.96.0-rc1 to production (pre-release)

            contents
              + releases lix/lix-2.96.0-rc1/                     add 2 (30.0 MB)
              ~ cache closures                                   add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.96/                            add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.96 here
              + images git.lix.systems/lix-project/lix           push 030303030303 (52.0 MB)
              + images ghcr.io/lix-project/lix                   push 030303030303 (52.0 MB)

            git
              + review for main                                  push dddddddddddd
              … tag 2.96.0-rc1                                   waits: its commit is not submitted

            pointers
              - releases manifest.nix                            stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable
              - docs manual/lix/stable/                          stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable
              + image git.lix.systems/lix-project/lix:2.96.0-rc1 to 030303030303
              + image ghcr.io/lix-project/lix:2.96.0-rc1         to 030303030303
              ~ image git.lix.systems/lix-project/lix:2.96       040404040404 -> 030303030303: the newest release of 2.96 here
              ~ image ghcr.io/lix-project/lix:2.96               040404040404 -> 030303030303: the newest release of 2.96 here
              - image git.lix.systems/lix-project/lix:latest     stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable
              - image ghcr.io/lix-project/lix:latest             stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable

            receipt
              + releases receipts/lix-2.96.0-rc1.json            staging has had it since 2026-03-13

            plan bc3ada97c74a0aa727e7137b055c48e1c0c3dd376a4c60c6502e94130ba9162a
        "#]],
    );
}

fn status(act: &Act, seen: &Seen, waivers: &Waivers) -> String {
    let planned = judge(act, &subject("2.95.2"), seen, &Published::default(), waivers);
    format!("{:?}: {}", planned.status, planned.summary)
}

#[test]
fn what_is_refused_without_consent() {
    let none = Waivers::default();
    let all = Waivers {
        shrink: true,
        drop_systems: vec!["aarch64-linux".parse().expect("a system")],
        force_push_tag: true,
        unreadable_manifest: false,
    };
    let shrunk = Seen::Tree(Tree { same: 3, gone: (0..7).map(|i| i.to_string()).collect(), ..Tree::default() });
    let empty = Seen::Tree(Tree { gone: vec!["index.html".to_owned()], ..Tree::default() });
    let rewritten = Seen::Tree(Tree {
        changed: vec![Changed { ours: object("lix.tar.gz", 1), theirs: "feed".to_owned() }],
        ..Tree::default()
    });
    let dropped =
        Seen::Manifest { ours: manifest("2.95.2", &["x86_64-linux"]), live: live(manifest("2.95.1", &SYSTEMS)) };
    let unreadable = Seen::Manifest {
        ours: manifest("2.95.2", &SYSTEMS),
        live: Some(Live { text: "<html>".to_owned(), says: Err("has `<` where `{` is expected".to_owned()) }),
    };
    let other_tag = Tag::Annotated { object: oid('f'), commit: oid('b') };
    let moved_tag = Seen::Tag { ours: oid('a'), remote: Some(other_tag), ready: Ok(()) };
    let bare_tag = Seen::Tag { ours: oid('a'), remote: Some(Tag::Lightweight(oid('b'))), ready: Ok(()) };
    let stable = Act::Docs { docs: Docs::Stable, deletes: true };
    let mut shown = Vec::new();
    for (act, seen) in [
        (&stable, &shrunk),
        (&stable, &empty),
        (&Act::VersionDirectory, &rewritten),
        (&Act::RootManifest, &dropped),
        (&Act::RootManifest, &unreadable),
        (&Act::Tag, &moved_tag),
        (&Act::Tag, &bare_tag),
    ] {
        shown.push(status(act, seen, &none));
        shown.push(status(act, seen, &all));
    }
    let rollback = Waivers { unreadable_manifest: true, ..none };
    shown.push(status(&Act::RootManifest, &unreadable, &rollback));
    expect![[r#"
        Refused(["ours has 3 files, and 10 are live: if that is right, add `--allow-shrink`"]): same 3, delete 7
        Different: same 3, delete 7: the newest stable release here
        Refused(["ours is empty, and an empty directory never empties a bucket: build it again"]): delete 1
        Refused(["ours is empty, and an empty directory never empties a bucket: build it again"]): delete 1
        Refused(["lix.tar.gz is published with different content and must never change: published feed, ours 0101010101010101010101010101010101010101010101010101010101010101"]): replace 1 (1 B)
        Refused(["lix.tar.gz is published with different content and must never change: published feed, ours 0101010101010101010101010101010101010101010101010101010101010101"]): replace 1 (1 B)
        Refused(["aarch64-linux disappears, and its users get no more upgrades: if that is right, add `--drop-system aarch64-linux`"]): 2.95.1 -> 2.95.2, without aarch64-linux
        Different: 2.95.1 -> 2.95.2, without aarch64-linux: the newest stable release here
        Refused(["the live manifest.nix has `<` where `{` is expected, so it is unknown which systems would disappear from it: look at it, and replace it with the `manifest.nix` from the version directory that users are on, or roll back"]): something that cannot be read -> 2.95.2
        Refused(["the live manifest.nix has `<` where `{` is expected, so it is unknown which systems would disappear from it: look at it, and replace it with the `manifest.nix` from the version directory that users are on, or roll back"]): something that cannot be read -> 2.95.2
        Refused(["the remote has another tag of this name, ffffffffffff, for the commit bbbbbbbbbbbb: a published tag stays (`--force-push-tag` replaces it anyway)"]): 
        Different: ffffffffffff -> aaaaaaaaaaaa
        Refused(["the remote has a lightweight tag of this name, for bbbbbbbbbbbb, while ours is an annotated one, aaaaaaaaaaaa: a published tag stays (`--force-push-tag` replaces it anyway)"]): 
        Different: bbbbbbbbbbbb -> aaaaaaaaaaaa
        Different: something that cannot be read -> 2.95.2: the newest stable release here"#]].assert_eq(&shown.join("\n"));
}

#[test]
fn a_refusal_names_the_first_files_only() {
    let changed = (0..18).map(|i| Changed { ours: object(&format!("file-{i}"), 1), theirs: "feed".to_owned() });
    let seen = Seen::Tree(Tree { changed: changed.collect(), ..Tree::default() });
    let planned = judge(&Act::VersionDirectory, &subject("2.95.2"), &seen, &published(), &Waivers::default());
    let Status::Refused(reasons) = planned.status else { panic!("it may never change") };
    assert_eq!(reasons.len(), 6);
    assert_eq!(reasons[5], "so are 13 more (`--verbose` lists them)");
    assert_eq!(planned.changes.len(), 18, "the plan's digest stands for all of them");
}

#[test]
fn what_waits_and_what_went_wrong_in_review() {
    let waiting = Seen::Tag { ours: oid('a'), remote: None, ready: Err("its commit is not submitted".to_owned()) };
    let diverged = Seen::Branch { ours: oid('d'), remote: Some(oid('e')), relation: Relation::Diverged };
    let shown: Vec<String> = [
        (Act::Review, in_review("2.95.2", Review::Open)),
        (Act::Review, in_review("2.95.2", Review::Half { pushed: true })),
        (Act::Review, in_review("2.95.2", Review::Half { pushed: false })),
        (Act::Review, in_review("2.95.2", Review::Submitted)),
        (Act::Review, in_review("2.95.2", Review::Rewritten(oid('f')))),
        (Act::Tag, waiting),
        (Act::Branch, diverged),
    ]
    .iter()
    .map(|(act, seen)| status(act, seen, &Waivers::default()))
    .collect();
    expect![[r#"
        Waiting("submit the changes up to dddddddddddd in Gerrit, without rebasing, then run this again"): pushed dddddddddddd
        Waiting("release-2.95 has the release commit bbbbbbbbbbbb, and is marked as an official release until the commit that merges it back, dddddddddddd, is there, too: submit that change in Gerrit, without rebasing, then run this again"): pushed dddddddddddd
        Absent: push dddddddddddd: release-2.95 has only the release commit bbbbbbbbbbbb
        Same: release-2.95 has dddddddddddd
        Refused(["Gerrit rewrote the release commit: release-2.95 has ffffffffffff with the same tree, and the tag is for bbbbbbbbbbbb, which is on no branch. If the tag is not public yet: `git switch release-2.95`, `git pull`, and `cargo xtask release tag --force-tag` there, then build again. Next time, submit by fast-forward"]): 
        Waiting("its commit is not submitted"): to aaaaaaaaaaaa
        Refused(["the remote branch is at eeeeeeeeeeee, which ours does not contain: fetch it, and tag the release on top of it"]): eeeeeeeeeeee -> dddddddddddd"#]].assert_eq(&shown.join("\n"));
}

#[test]
fn images_are_repaired_and_a_version_tag_never_moves() {
    let target = ImageTarget::Directory { path: "images".to_owned() };
    let pushed = |parts, missing: &[&str]| {
        let missing = missing.iter().map(|part| (*part).to_owned()).collect();
        Seen::Images(Pushed { index: Digest::new([3; 32]), bytes: 52_000_000, parts, missing })
    };
    let tagged = |there: Option<u8>| Seen::ImageTag {
        ours: Digest::new([3; 32]),
        there: there.map(|byte| Digest::new([byte; 32])),
    };
    let images = Act::Images { target: target.clone() };
    let tag = |tag| Act::ImageTag { target: target.clone(), tag };
    let shown: Vec<String> = [
        (images.clone(), pushed(1, &["the index sha256:03"])),
        (images.clone(), pushed(5, &["the manifest of linux/arm64, sha256:05"])),
        (images, pushed(5, &[])),
        (tag(ImageTag::Version), tagged(None)),
        (tag(ImageTag::Version), tagged(Some(3))),
        (tag(ImageTag::Version), tagged(Some(4))),
        (tag(ImageTag::Latest), tagged(Some(4))),
    ]
    .iter()
    .map(|(act, seen)| status(act, seen, &Waivers::default()))
    .collect();
    expect![[r#"
        Absent: push 030303030303 (52.0 MB)
        Absent: push 030303030303 again: it is missing the manifest of linux/arm64, sha256:05
        Same: 030303030303
        Absent: to 030303030303
        Same: 030303030303
        Refused(["it is published with other images and must never change: published 0404040404040404040404040404040404040404040404040404040404040404, ours 0303030303030303030303030303030303030303030303030303030303030303"]): 
        Different: 040404040404 -> 030303030303: the newest stable release here"#]].assert_eq(&shown.join("\n"));
}
