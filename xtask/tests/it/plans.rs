//! The policy of publication, on one page for each kind of release: a change of policy is a diff to read here.

use expect_test::{Expect, expect};
use xtask::domain::digest::Digest;
use xtask::domain::environment::Config;
use xtask::domain::judgement::{Changed, Consent, Object, Relation, Review, Seen, Tree, judge};
use xtask::domain::layout::{Docs, Layout};
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

const SYSTEMS: [&str; 2] = ["aarch64-linux", "x86_64-linux"];

/// A world in which 2.95.1 is the newest stable release and nothing of `version` is there yet.
fn seen(act: &Act, version: &str, acts: &[Act]) -> Seen {
    match act {
        Act::VersionDirectory => Seen::Tree(Tree {
            new: vec![object("lix.tar.gz", 30_000_000), object("manifest.nix", 300)],
            ..Tree::default()
        }),
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
    let published: Published =
        ["2.93.3", "2.94.1", "2.95.0", "2.95.1"].map(|v| v.parse().expect(v)).into_iter().collect();
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
              + docs manual/lix/2.96/          add 1 (12 kB): the newest release of 2.96 here

            git
              ~ branch main                    eeeeeeeeeeee -> dddddddddddd
              + tag 2.96.0                     to aaaaaaaaaaaa

            pointers
              ~ releases manifest.nix          2.95.1 -> 2.96.0: the newest stable release here
              ~ docs manual/lix/stable/        add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here

            plan 22625f0843b901ca7f9f454637ebc9e674c789ac202bdfecf4abe2026faa1129

            Lix 2.96.0 to staging (new MAJOR)

            contents
              + releases lix/lix-2.96.0/       add 2 (30.0 MB)
              + docs manual/lix/2.96/          add 1 (12 kB): the newest release of 2.96 here

            git
              ~ branch main                    eeeeeeeeeeee -> dddddddddddd
              + tag 2.96.0                     to aaaaaaaaaaaa

            pointers
              ~ releases manifest.nix          2.95.1 -> 2.96.0: the newest stable release here
              ~ docs manual/lix/stable/        add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here

            plan bcaf884d2eca832917a831743597802ac97eb0e22fff9b9114d60e80934b6fd2

            Lix 2.96.0 to production (new MAJOR)

            contents
              + releases lix/lix-2.96.0/       add 2 (30.0 MB)
              + docs manual/lix/2.96/          add 1 (12 kB): the newest release of 2.96 here

            git
              + review for main                push dddddddddddd
              … tag 2.96.0                     waits: its commit is not submitted

            pointers
              ~ releases manifest.nix          2.95.1 -> 2.96.0: the newest stable release here
              ~ docs manual/lix/stable/        add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here

            plan 3a9aa8daa0cc7bb7ae1aa8d52d2f9492d8d37bbbab340e23b8d0fc9cec01ae40
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
              ~ docs manual/lix/2.95/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.95 here

            git
              ~ branch release-2.95            eeeeeeeeeeee -> dddddddddddd
              + tag 2.95.2                     to aaaaaaaaaaaa

            pointers
              ~ releases manifest.nix          2.95.1 -> 2.95.2: the newest stable release here
              ~ docs manual/lix/stable/        add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here

            plan 36e1d2c2f31587320888db294c61c88e398b08f1c493058da5f22598432c01d0

            Lix 2.95.2 to staging (patch)

            contents
              + releases lix/lix-2.95.2/       add 2 (30.0 MB)
              ~ docs manual/lix/2.95/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.95 here

            git
              ~ branch release-2.95            eeeeeeeeeeee -> dddddddddddd
              + tag 2.95.2                     to aaaaaaaaaaaa

            pointers
              ~ releases manifest.nix          2.95.1 -> 2.95.2: the newest stable release here
              ~ docs manual/lix/stable/        add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here

            plan d4fad214e3b440f93fface2d17bd5c27bc1f492d850b88821908b1b507bc1d2c

            Lix 2.95.2 to production (patch)

            contents
              + releases lix/lix-2.95.2/       add 2 (30.0 MB)
              ~ docs manual/lix/2.95/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.95 here

            git
              + review for release-2.95        push dddddddddddd
              … tag 2.95.2                     waits: its commit is not submitted

            pointers
              ~ releases manifest.nix          2.95.1 -> 2.95.2: the newest stable release here
              ~ docs manual/lix/stable/        add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here

            plan 2cff992f483efee1991aeebcf6a63055fcda16ae1721a587b45163bd17781df4
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
              ~ docs manual/lix/2.93/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.93 here

            git
              ~ branch release-2.93            eeeeeeeeeeee -> dddddddddddd
              + tag 2.93.4                     to aaaaaaaaaaaa

            pointers
              - releases manifest.nix          stays: 2.95.1 is published here and newer
              - docs manual/lix/stable/        stays: 2.95.1 is published here and newer

            plan a251ca7bc5e6400e0fdd6aa850837fe45a1e1e4c45c96200f18a6912b7cc64bd

            Lix 2.93.4 to staging (maintenance)

            contents
              + releases lix/lix-2.93.4/       add 2 (30.0 MB)
              ~ docs manual/lix/2.93/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.93 here

            git
              ~ branch release-2.93            eeeeeeeeeeee -> dddddddddddd
              + tag 2.93.4                     to aaaaaaaaaaaa

            pointers
              - releases manifest.nix          stays: 2.95.1 is published here and newer
              - docs manual/lix/stable/        stays: 2.95.1 is published here and newer

            plan 17ba0b7e2d0f52cde3b5a52114bb6506d283d8eaefd8cdc0504abf31f7f40c00

            Lix 2.93.4 to production (maintenance)

            contents
              + releases lix/lix-2.93.4/       add 2 (30.0 MB)
              ~ docs manual/lix/2.93/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.93 here

            git
              + review for release-2.93        push dddddddddddd
              … tag 2.93.4                     waits: its commit is not submitted

            pointers
              - releases manifest.nix          stays: 2.95.1 is published here and newer
              - docs manual/lix/stable/        stays: 2.95.1 is published here and newer

            plan ea1bb22cc97a074b969919f067f74f56f3ee29fc68bca4f9a69cbfcbb3f3b6fd
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
              ~ docs manual/lix/2.96/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.96 here

            git
              ~ branch main                    eeeeeeeeeeee -> dddddddddddd
              + tag 2.96.0-rc1                 to aaaaaaaaaaaa

            pointers
              - releases manifest.nix          stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable
              - docs manual/lix/stable/        stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable

            plan 5697ed0ad283f897512201891802dbcd8401d10e4deb3e5ea77146476452eadb

            Lix 2.96.0-rc1 to staging (pre-release)

            contents
              + releases lix/lix-2.96.0-rc1/   add 2 (30.0 MB)
              ~ docs manual/lix/2.96/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.96 here

            git
              ~ branch main                    eeeeeeeeeeee -> dddddddddddd
              + tag 2.96.0-rc1                 to aaaaaaaaaaaa

            pointers
              - releases manifest.nix          stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable
              - docs manual/lix/stable/        stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable

            plan 28b1a1287c10ba72ba9462604ebd50d5b97267b30458a2479842c19c04a68274

            Lix 2.96.0-rc1 to production (pre-release)

            contents
              + releases lix/lix-2.96.0-rc1/   add 2 (30.0 MB)
              ~ docs manual/lix/2.96/          add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.96 here

            git
              + review for main                push dddddddddddd
              … tag 2.96.0-rc1                 waits: its commit is not submitted

            pointers
              - releases manifest.nix          stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable
              - docs manual/lix/stable/        stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable

            plan f10993bba8c2249bfbfbb59846ffe2ac5bd92d0e407417358fd086664503d863
        "#]],
    );
}

fn status(act: &Act, seen: &Seen, consent: &Consent) -> String {
    let planned = judge(act, &subject("2.95.2"), seen, &Published::default(), consent);
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
