//! The judgements: what is refused, what waits, and what is repaired.

use expect_test::expect;
use xtask::domain::digest::Digest;
use xtask::domain::environment::image_target::ImageTarget;
use xtask::domain::layout::Docs;
use xtask::domain::release::tagging::{Relation, Tag};
use xtask_publish::domain::live_manifest::Live;
use xtask_publish::domain::publication::acts::Act;
use xtask_publish::domain::publication::image_tag::{ImageTag, Pushed};
use xtask_publish::domain::publication::judgement::{Changed, Review, Seen, Tree, Waivers, judge};
use xtask_publish::domain::publication::plan::Status;

use super::{SYSTEMS, in_review, live, manifest, object, oid, published, status, subject};

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
        Refused(["ours is empty, and publishing it would delete every file there: build it again"]): delete 1
        Refused(["ours is empty, and publishing it would delete every file there: build it again"]): delete 1
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
    assert_eq!(reasons[5], "the same is true of 13 more (`--verbose` lists them)");
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
