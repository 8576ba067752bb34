//! The policy of publication, on one page for each kind of release: a change of policy is a diff to read here.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use xtask::domain::cache;
use xtask::domain::digest::Digest;
use xtask::domain::environment::Config;
use xtask::domain::judgement::{Changed, Consent, Object, Relation, Review, Seen, Tree, judge};
use xtask::domain::layout::{Docs, Layout};
use xtask::domain::narinfo::{PathInfo, StorePath};
use xtask::domain::oid::Oid;
use xtask::domain::plan::{Plan, kind};
use xtask::domain::pointers::Published;
use xtask::domain::publication::{Act, Official, Subject, Target, acts};
use xtask::domain::release::Release;
use xtask::domain::tagging::TagRecord;

const RELENG_TOML: &str = include_str!("../../releng.toml");

fn oid(digit: char) -> Oid {
    Oid::new(digit.to_string().repeat(40))
}

fn subject(version: &str) -> Subject {
    let release = Release::new(version.parse().expect(version), "Name").expect("releasable");
    let tag = TagRecord {
        version: release.version().clone(),
        tag_object: oid('a'),
        commit: oid('b'),
        tree: oid('c'),
        branch: "releng/x".to_owned(),
        merge_commit: oid('d'),
    };
    Subject::Official(Box::new(Official { layout: Layout::new(version), release, tag }))
}

fn object(path: &str, size: u64) -> Object {
    Object { path: path.to_owned(), size, sha256: Digest::new([1; 32]) }
}

fn manifest(version: &str, systems: &[&str]) -> String {
    let line = |system: &&str| format!("  {system} = \"/nix/store/{}-lix-{version}\";\n", "0".repeat(32));
    format!("{{\n{}}}\n", systems.iter().map(line).collect::<String>())
}

fn path(digit: u8) -> PathInfo {
    let path = format!("/nix/store/{}-lix", digit.to_string().repeat(32));
    let path = StorePath::parse(&path).expect("a store path");
    PathInfo { path, nar_hash: Digest::new([digit; 32]), nar_size: 20_000_000, references: BTreeSet::new() }
}

const SYSTEMS: [&str; 2] = ["aarch64-linux", "x86_64-linux"];

/// A world in which 2.95.1 is the newest stable release and nothing of `version` is there yet.
fn seen(act: &Act, version: &str, acts: &[Act]) -> Seen {
    match act {
        Act::VersionDirectory => Seen::Tree(Tree {
            new: vec![object("lix.tar.gz", 30_000_000), object("manifest.nix", 300)],
            ..Tree::default()
        }),
        Act::Cache => {
            Seen::Cache(cache::Seen { new: vec![path(1), path(2)], same: 340, info: true, ..cache::Seen::default() })
        }
        Act::Docs(Docs::Series(_)) if version.ends_with(".0") => {
            Seen::Tree(Tree { new: vec![object("index.html", 12_000)], ..Tree::default() })
        }
        Act::Docs(_) => Seen::Tree(Tree {
            new: vec![object("new.html", 12_000)],
            changed: vec![Changed { ours: object("index.html", 12_345), theirs: "0".repeat(32) }],
            same: 180,
            gone: vec!["old.html".to_owned()],
        }),
        Act::Branch => Seen::Branch { ours: oid('d'), remote: Some(oid('e')), relation: Relation::Behind },
        Act::Review => Seen::Review(Review::Unknown),
        Act::Tag => {
            let ready =
                if acts.contains(&Act::Review) { Err("its commit is not submitted".to_owned()) } else { Ok(()) };
            Seen::Tag { ours: oid('a'), remote: None, ready }
        }
        Act::RootManifest => {
            Seen::Manifest { ours: manifest(version, &SYSTEMS), live: Some(manifest("2.95.1", &SYSTEMS)) }
        }
    }
}

fn plan(version: &str, environment: &str) -> Plan {
    let published: Published = ["2.93.3", "2.94.1", "2.95.0", "2.95.1"].map(|v| v.parse().expect(v)).into();
    let config = Config::parse(RELENG_TOML).expect("our own file");
    let subject = subject(version);
    let acts = acts(subject.scope(), Target::All, config.environment(environment).expect("known")).expect("acts");
    Plan {
        environment: environment.to_owned(),
        version: version.to_owned(),
        kind: kind(&subject, &published),
        record: Digest::new([2; 32]),
        acts: acts
            .iter()
            .map(|act| judge(act, &subject, &seen(act, version, &acts), &published, &Consent::default()))
            .collect(),
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
              + releases lix/lix-2.96.0/       add 2 (30.0 MB)
              ~ cache closures                 add 2, same 340 paths (40.0 MB unpacked)
              + docs manual/lix/2.96/          add 1 (12 kB): the newest release of 2.96 here

            git
              ~ branch main                    eeeeeeeeeeee -> dddddddddddd
              + tag 2.96.0                     to aaaaaaaaaaaa

            pointers
              ~ releases manifest.nix          2.95.1 -> 2.96.0: the newest stable release here
              ~ docs manual/lix/stable/        add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here

            plan fa060239df96c2871b1ebf695b66c8688fe90d2c2979638d3e795901af88cfd8

            Lix 2.96.0 to staging (new MAJOR)

            contents
              + releases lix/lix-2.96.0/       add 2 (30.0 MB)
              ~ cache closures                 add 2, same 340 paths (40.0 MB unpacked)
              + docs manual/lix/2.96/          add 1 (12 kB): the newest release of 2.96 here

            git
              ~ branch main                    eeeeeeeeeeee -> dddddddddddd
              + tag 2.96.0                     to aaaaaaaaaaaa

            pointers
              ~ releases manifest.nix          2.95.1 -> 2.96.0: the newest stable release here
              ~ docs manual/lix/stable/        add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here

            plan 5c5a43d643cd44897f59b845b9582ae8e3c743cdc796e9e2165a694dc60136ce

            Lix 2.96.0 to production (new MAJOR)

            contents
              + releases lix/lix-2.96.0/       add 2 (30.0 MB)
              ~ cache closures                 add 2, same 340 paths (40.0 MB unpacked)
              + docs manual/lix/2.96/          add 1 (12 kB): the newest release of 2.96 here

            git
              + review for main                push dddddddddddd
              … tag 2.96.0                     waits: its commit is not submitted

            pointers
              ~ releases manifest.nix          2.95.1 -> 2.96.0: the newest stable release here
              ~ docs manual/lix/stable/        add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here

            plan 4b9e454dbb161fb50f41e2b81c4216afd94f561cf9fbd64e26542222a1c596e8
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
              + releases lix/lix-2.95.2/       add 2 (30.0 MB)
              ~ cache closures                 add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.95/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.95 here

            git
              ~ branch release-2.95            eeeeeeeeeeee -> dddddddddddd
              + tag 2.95.2                     to aaaaaaaaaaaa

            pointers
              ~ releases manifest.nix          2.95.1 -> 2.95.2: the newest stable release here
              ~ docs manual/lix/stable/        add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here

            plan 9de6314d4f05dd56ca17dd0308b6146614e9ed14d47edbe9bf7112ace1ae2de4

            Lix 2.95.2 to staging (patch)

            contents
              + releases lix/lix-2.95.2/       add 2 (30.0 MB)
              ~ cache closures                 add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.95/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.95 here

            git
              ~ branch release-2.95            eeeeeeeeeeee -> dddddddddddd
              + tag 2.95.2                     to aaaaaaaaaaaa

            pointers
              ~ releases manifest.nix          2.95.1 -> 2.95.2: the newest stable release here
              ~ docs manual/lix/stable/        add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here

            plan f8f396ea78f6a6b9ca0fa4c8f32d42e211f4bf6affd2e4a2335a1e9401481c42

            Lix 2.95.2 to production (patch)

            contents
              + releases lix/lix-2.95.2/       add 2 (30.0 MB)
              ~ cache closures                 add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.95/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.95 here

            git
              + review for release-2.95        push dddddddddddd
              … tag 2.95.2                     waits: its commit is not submitted

            pointers
              ~ releases manifest.nix          2.95.1 -> 2.95.2: the newest stable release here
              ~ docs manual/lix/stable/        add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here

            plan 05f90b2920369fd27a9a4e1dc4387609e6bcb2c41c4d9f6e69863684d6b6fc01
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
              + releases lix/lix-2.93.4/       add 2 (30.0 MB)
              ~ cache closures                 add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.93/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.93 here

            git
              ~ branch release-2.93            eeeeeeeeeeee -> dddddddddddd
              + tag 2.93.4                     to aaaaaaaaaaaa

            pointers
              - releases manifest.nix          stays: 2.95.1 is published here and newer
              - docs manual/lix/stable/        stays: 2.95.1 is published here and newer

            plan bc4a1eb7da8964db7ea36448aee7500715b9814b27ddd0d45974ba8323416407

            Lix 2.93.4 to staging (maintenance)

            contents
              + releases lix/lix-2.93.4/       add 2 (30.0 MB)
              ~ cache closures                 add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.93/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.93 here

            git
              ~ branch release-2.93            eeeeeeeeeeee -> dddddddddddd
              + tag 2.93.4                     to aaaaaaaaaaaa

            pointers
              - releases manifest.nix          stays: 2.95.1 is published here and newer
              - docs manual/lix/stable/        stays: 2.95.1 is published here and newer

            plan feedfc6d7ced6fc875cb55d72568e8cc07f1753ff383758a9bea305aae81cf7a

            Lix 2.93.4 to production (maintenance)

            contents
              + releases lix/lix-2.93.4/       add 2 (30.0 MB)
              ~ cache closures                 add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.93/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.93 here

            git
              + review for release-2.93        push dddddddddddd
              … tag 2.93.4                     waits: its commit is not submitted

            pointers
              - releases manifest.nix          stays: 2.95.1 is published here and newer
              - docs manual/lix/stable/        stays: 2.95.1 is published here and newer

            plan c9f009bda0c8c67281561a1de129cb29b068e56005f5cf641729336510703c55
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
              + releases lix/lix-2.96.0-rc1/   add 2 (30.0 MB)
              ~ cache closures                 add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.96/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.96 here

            git
              ~ branch main                    eeeeeeeeeeee -> dddddddddddd
              + tag 2.96.0-rc1                 to aaaaaaaaaaaa

            pointers
              - releases manifest.nix          stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable
              - docs manual/lix/stable/        stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable

            plan 731579a0962475b6768a2859e0eb95178638933f23023bb137bb6b0e519b7095

            Lix 2.96.0-rc1 to staging (pre-release)

            contents
              + releases lix/lix-2.96.0-rc1/   add 2 (30.0 MB)
              ~ cache closures                 add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.96/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.96 here

            git
              ~ branch main                    eeeeeeeeeeee -> dddddddddddd
              + tag 2.96.0-rc1                 to aaaaaaaaaaaa

            pointers
              - releases manifest.nix          stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable
              - docs manual/lix/stable/        stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable

            plan 27a20ad3deac012723daac038591b5cdfd56fc84461bc44f4898c0d8de404179

            Lix 2.96.0-rc1 to production (pre-release)

            contents
              + releases lix/lix-2.96.0-rc1/   add 2 (30.0 MB)
              ~ cache closures                 add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.96/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.96 here

            git
              + review for main                push dddddddddddd
              … tag 2.96.0-rc1                 waits: its commit is not submitted

            pointers
              - releases manifest.nix          stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable
              - docs manual/lix/stable/        stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable

            plan bfe7721f8f78b9b7aa8843704663228948b894c0755c33c7b7f8bd3f8beb99fc
        "#]],
    );
}

fn status(act: &Act, seen: &Seen, consent: &Consent) -> String {
    let planned = judge(act, &subject("2.95.2"), seen, &Published::new(), consent);
    format!("{:?}: {}", planned.status, planned.summary)
}

#[test]
fn what_is_refused_without_consent() {
    let none = Consent::default();
    let all =
        Consent { shrink: true, drop_systems: vec!["aarch64-linux".parse().expect("a system")], force_push_tag: true };
    let shrunk = Seen::Tree(Tree { same: 3, gone: (0..7).map(|i| i.to_string()).collect(), ..Tree::default() });
    let empty = Seen::Tree(Tree { gone: vec!["index.html".to_owned()], ..Tree::default() });
    let rewritten = Seen::Tree(Tree {
        changed: vec![Changed { ours: object("lix.tar.gz", 1), theirs: "feed".to_owned() }],
        ..Tree::default()
    });
    let dropped =
        Seen::Manifest { ours: manifest("2.95.2", &["x86_64-linux"]), live: Some(manifest("2.95.1", &SYSTEMS)) };
    let moved_tag = Seen::Tag { ours: oid('a'), remote: Some(oid('f')), ready: Ok(()) };
    let stable = Act::Docs(Docs::Stable);
    let mut shown = Vec::new();
    for (act, seen) in [
        (&stable, &shrunk),
        (&stable, &empty),
        (&Act::VersionDirectory, &rewritten),
        (&Act::RootManifest, &dropped),
        (&Act::Tag, &moved_tag),
    ] {
        shown.push(status(act, seen, &none));
        shown.push(status(act, seen, &all));
    }
    expect![[r#"
        Refused(["ours has 3 files and 10 are live: if that is right, say `--allow-shrink`"]): same 3, delete 7: the newest stable release here
        Different: same 3, delete 7: the newest stable release here
        Refused(["ours is empty: an empty directory never empties a bucket, build it again"]): delete 1: the newest stable release here
        Refused(["ours is empty: an empty directory never empties a bucket, build it again"]): delete 1: the newest stable release here
        Refused(["lix.tar.gz is published with another content and may never change: published feed, ours 0101010101010101010101010101010101010101010101010101010101010101"]): replace 1 (1 B)
        Refused(["lix.tar.gz is published with another content and may never change: published feed, ours 0101010101010101010101010101010101010101010101010101010101010101"]): replace 1 (1 B)
        Refused(["aarch64-linux vanishes, and its users get no more upgrades: if that is right, say `--drop-system aarch64-linux`"]): 2.95.1 -> 2.95.2, without aarch64-linux: the newest stable release here
        Different: 2.95.1 -> 2.95.2, without aarch64-linux: the newest stable release here
        Refused(["the remote has another tag of this name, ffffffffffff: a published tag stays (`--force-push-tag` replaces it all the same)"]): 
        Different: ffffffffffff -> aaaaaaaaaaaa"#]].assert_eq(&shown.join("\n"));
}

#[test]
fn what_waits_and_what_went_wrong_in_review() {
    let waiting = Seen::Tag { ours: oid('a'), remote: None, ready: Err("its commit is not submitted".to_owned()) };
    let diverged = Seen::Branch { ours: oid('d'), remote: Some(oid('e')), relation: Relation::Diverged };
    let shown: Vec<String> = [
        (Act::Review, Seen::Review(Review::Open)),
        (Act::Review, Seen::Review(Review::Submitted)),
        (Act::Review, Seen::Review(Review::Rewritten(oid('f')))),
        (Act::Tag, waiting),
        (Act::Branch, diverged),
    ]
    .iter()
    .map(|(act, seen)| status(act, seen, &Consent::default()))
    .collect();
    expect![[r#"
        Waiting("submit the changes up to dddddddddddd in Gerrit, without rebasing, then run this again"): pushed dddddddddddd
        Same: release-2.95 has bbbbbbbbbbbb
        Refused(["Gerrit rewrote the release commit: release-2.95 has ffffffffffff with the same tree, and the tag names bbbbbbbbbbbb, which is on no branch. If the tag is not public yet: `git switch release-2.95`, `git pull`, and `cargo xtask release tag --force-tag` there, then build again. Submit by fast-forward next time"]): 
        Waiting("its commit is not submitted"): to aaaaaaaaaaaa
        Refused(["the remote branch is at eeeeeeeeeeee, which ours does not contain: fetch it, and tag the release on top of it"]): eeeeeeeeeeee -> dddddddddddd"#]].assert_eq(&shown.join("\n"));
}
