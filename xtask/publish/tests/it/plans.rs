//! The policy of publication, on one page for each kind of release, so that a change of policy is a diff to read.

use std::collections::BTreeSet;
use std::sync::Arc;

use expect_test::{Expect, expect};
use xtask::domain::build::manifest::{Manifest, render};
use xtask::domain::build::path_info::PathInfo;
use xtask::domain::digest::Digest;
use xtask::domain::environment::{Config, Environment};
use xtask::domain::extent::Extent;
use xtask::domain::format::Format;
use xtask::domain::layout::Docs;
use xtask::domain::oid::Oid;
use xtask::domain::product::Product;
use xtask::domain::release::Release;
use xtask::domain::release::tagging::{Relation, TagRecord};
use xtask::domain::store_path::StorePath;
use xtask_publish::domain::checks::proof::Proof;
use xtask_publish::domain::live_manifest::Live;
use xtask_publish::domain::publication::acts::{Act, Subject, acts};
use xtask_publish::domain::publication::image_tag::{ImageTag, Pushed};
use xtask_publish::domain::publication::judgement::{Changed, Object, Paths, Review, Seen, Tree, Waivers, judge};
use xtask_publish::domain::publication::plan::{Plan, PlanKind};
use xtask_publish::domain::publication::pointers::{Published, withdrawn_by_rollback};
use xtask_publish::domain::publication::receipt::{self, Gate, Receipt};
use xtask_publish::domain::publication::signature::{self, Page, Signed};
use xtask_publish::domain::publication::withdrawn;

mod judged;
mod kinds;
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

/// The commits of a version, and their state in Gerrit.
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

/// Digest of the published release.
fn record() -> Digest {
    Digest::new([2; 32])
}

/// A requirement of another environment that is met.
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
                checked: None,
                missing: Vec::new(),
            }),
        },
    }
}

/// An environment in which 2.95.1 is the newest stable release and nothing of `version` is published.
fn seen(act: &Act, version: &str, acts: &[Act], environment: &Environment) -> Seen {
    match act {
        Act::VersionDirectory => Seen::Tree(Tree {
            new: vec![object("lix.tar.gz", 30_000_000), object("manifest.nix", 300)],
            ..Tree::default()
        }),
        Act::Signature => unsigned(&["SHA256SUMS", "lix-VERSION.intoto.json"], Some(Page::Missing)),
        Act::InstallerSignature => unsigned(&["installer.json"], None),
        Act::Cache => {
            let paths = Paths { new: vec![path(1), path(2)], same: 340, info: true, ..Paths::default() };
            Seen::Cache(Arc::new(paths))
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
            proof: Proof::default(),
            left_out: Vec::new(),
        })),
        Act::Withdraw { to } => Seen::Withdrawn(withdrawn::Seen {
            there: BTreeSet::new(),
            unclear: None,
            ours: withdrawn_by_rollback(to, &published()),
        }),
    }
}

fn unsigned(names: &[&str], page: Option<Page>) -> Seen {
    let signed = names.iter().zip(5..).map(|(name, byte)| Signed {
        name: (*name).to_owned(),
        digest: Digest::new([byte; 32]),
        object: format!("{name}.signature"),
        by: None,
    });
    Seen::Signature(signature::Seen { signed: signed.collect(), page, unready: None })
}

fn published() -> Published {
    ["2.93.3", "2.94.1", "2.95.0", "2.95.1"].map(|v| v.parse().expect(v)).into_iter().collect()
}

fn plan(version: &str, environment: &str) -> Plan {
    let config = Config::parse(RELENG_TOML).expect("our own file");
    let acts = acts(subject(version).series(), Extent::All, config.environment(environment).expect("known"));
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
        kind: PlanKind::of(&subject, acts, published),
        record: record(),
        acts: acts.iter().map(judged).collect(),
        purge: None,
    }
}

fn pages(version: &str, expected: Expect) {
    let page = |environment| without_digest(&plan(version, environment).to_text(false));
    expected.assert_eq(&["local", "staging", "production"].map(page).join("\n"));
}

/// A page without the plan's digest, which is its last line: any word that changes in a plan changes it.
fn without_digest(page: &str) -> String {
    let (text, digest) = page.rsplit_once("\nplan ").expect("the digest comes last");
    assert!(digest.trim_end().parse::<Digest>().is_ok(), "{digest}");
    format!("{text}\nplan DIGEST\n")
}

/// What one manager was shown, another one agrees to with `--plan`, on another machine.
#[test]
fn the_same_plan_has_the_same_digest() {
    let shown = plan("2.96.0", "local");
    expect!["1bbdd2209796fa2ac7eed0e85f3bd5c27688109b66c0ee7792faf0ea9a569ca0"].assert_eq(&shown.digest().to_string());
    assert_eq!(plan("2.96.0", "local").digest(), shown.digest());
    for verbose in [false, true] {
        assert!(shown.to_text(verbose).ends_with(&format!("\nplan {}\n", shown.digest())));
    }
    assert_ne!(plan("2.96.0", "staging").digest(), shown.digest());
    let mut other = plan("2.96.0", "local");
    other.acts[0].summary.push('!');
    assert_ne!(other.digest(), shown.digest());
}

fn status(act: &Act, seen: &Seen, waivers: &Waivers) -> String {
    let planned = judge(act, &subject("2.95.2"), seen, &Published::default(), waivers);
    format!("{:?}: {}", planned.status, planned.summary)
}
