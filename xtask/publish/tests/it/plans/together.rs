//! The policy for what is published with a release or after it: trains, installers, and the gate of receipts.

use expect_test::expect;
use xtask_publish::domain::publication::acts::INSTALLER_ACTS;
use xtask_publish::domain::publication::plan::Plans;

use super::*;

#[test]
fn a_train_moves_each_pointer_once() {
    let versions = ["2.95.2", "2.94.2", "2.93.4"];
    let arriving = versions.map(|version| version.parse().expect(version)).into();
    let published = Published { arriving, ..published() };
    let config = Config::parse(RELENG_TOML).expect("our own file");
    let environment = config.environment("production").expect("known");
    let plan = |version: &str| {
        let acts = acts(subject(version).series(), Extent::All, environment).expect("acts");
        plan_of(&acts, version, "production", &published)
    };
    let each = versions.map(plan);
    let plans = Plans(each.iter().collect());
    expect![[r#"
        Lix 2.95.2 (patch), 2.94.2 (maintenance), 2.93.4 (maintenance) to production

        contents
          + 2.95.2  releases lix/lix-2.95.2/                     add 2 (30.0 MB)
          + 2.95.2  releases lix/lix-2.95.2/SHA256SUMS.sig       sign 050505050505
          ~ 2.95.2  cache closures                               add 2, same 340 paths (40.0 MB unpacked)
          ~ 2.95.2  docs manual/lix/2.95/                        add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.95 here
          + 2.95.2  images git.lix.systems/lix-project/lix       push 030303030303 (52.0 MB)
          + 2.95.2  images ghcr.io/lix-project/lix               push 030303030303 (52.0 MB)
          + 2.94.2  releases lix/lix-2.94.2/                     add 2 (30.0 MB)
          + 2.94.2  releases lix/lix-2.94.2/SHA256SUMS.sig       sign 050505050505
          ~ 2.94.2  cache closures                               add 2, same 340 paths (40.0 MB unpacked)
          ~ 2.94.2  docs manual/lix/2.94/                        add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.94 here
          + 2.94.2  images git.lix.systems/lix-project/lix       push 030303030303 (52.0 MB)
          + 2.94.2  images ghcr.io/lix-project/lix               push 030303030303 (52.0 MB)
          + 2.93.4  releases lix/lix-2.93.4/                     add 2 (30.0 MB)
          + 2.93.4  releases lix/lix-2.93.4/SHA256SUMS.sig       sign 050505050505
          ~ 2.93.4  cache closures                               add 2, same 340 paths (40.0 MB unpacked)
          ~ 2.93.4  docs manual/lix/2.93/                        add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.93 here
          + 2.93.4  images git.lix.systems/lix-project/lix       push 030303030303 (52.0 MB)
          + 2.93.4  images ghcr.io/lix-project/lix               push 030303030303 (52.0 MB)

        git
          + 2.95.2  review for release-2.95                      push dddddddddddd
          … 2.95.2  tag 2.95.2                                   waits: its commit is not submitted
          + 2.94.2  review for release-2.94                      push dddddddddddd
          … 2.94.2  tag 2.94.2                                   waits: its commit is not submitted
          + 2.93.4  review for release-2.93                      push dddddddddddd
          … 2.93.4  tag 2.93.4                                   waits: its commit is not submitted

        pointers
          ~ 2.95.2  releases manifest.nix                        2.95.1 -> 2.95.2: the newest stable release here
          ~ 2.95.2  docs manual/lix/stable/                      add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here
          + 2.95.2  image git.lix.systems/lix-project/lix:2.95.2 to 030303030303
          + 2.95.2  image ghcr.io/lix-project/lix:2.95.2         to 030303030303
          ~ 2.95.2  image git.lix.systems/lix-project/lix:2.95   040404040404 -> 030303030303: the newest release of 2.95 here
          ~ 2.95.2  image ghcr.io/lix-project/lix:2.95           040404040404 -> 030303030303: the newest release of 2.95 here
          ~ 2.95.2  image git.lix.systems/lix-project/lix:latest 040404040404 -> 030303030303: the newest stable release here
          ~ 2.95.2  image ghcr.io/lix-project/lix:latest         040404040404 -> 030303030303: the newest stable release here
          - 2.94.2  releases manifest.nix                        stays: 2.95.2 is newer, and is published with it
          - 2.94.2  docs manual/lix/stable/                      stays: 2.95.2 is newer, and is published with it
          + 2.94.2  image git.lix.systems/lix-project/lix:2.94.2 to 030303030303
          + 2.94.2  image ghcr.io/lix-project/lix:2.94.2         to 030303030303
          ~ 2.94.2  image git.lix.systems/lix-project/lix:2.94   040404040404 -> 030303030303: the newest release of 2.94 here
          ~ 2.94.2  image ghcr.io/lix-project/lix:2.94           040404040404 -> 030303030303: the newest release of 2.94 here
          - 2.94.2  image git.lix.systems/lix-project/lix:latest stays: 2.95.2 is newer, and is published with it
          - 2.94.2  image ghcr.io/lix-project/lix:latest         stays: 2.95.2 is newer, and is published with it
          - 2.93.4  releases manifest.nix                        stays: 2.95.2 is newer, and is published with it
          - 2.93.4  docs manual/lix/stable/                      stays: 2.95.2 is newer, and is published with it
          + 2.93.4  image git.lix.systems/lix-project/lix:2.93.4 to 030303030303
          + 2.93.4  image ghcr.io/lix-project/lix:2.93.4         to 030303030303
          ~ 2.93.4  image git.lix.systems/lix-project/lix:2.93   040404040404 -> 030303030303: the newest release of 2.93 here
          ~ 2.93.4  image ghcr.io/lix-project/lix:2.93           040404040404 -> 030303030303: the newest release of 2.93 here
          - 2.93.4  image git.lix.systems/lix-project/lix:latest stays: 2.95.2 is newer, and is published with it
          - 2.93.4  image ghcr.io/lix-project/lix:latest         stays: 2.95.2 is newer, and is published with it

        receipt
          + 2.95.2  releases receipts/lix-2.95.2.json            staging has had it since 2026-03-13
          + 2.94.2  releases receipts/lix-2.94.2.json            staging has had it since 2026-03-13
          + 2.93.4  releases receipts/lix-2.93.4.json            staging has had it since 2026-03-13

        plan DIGEST
    "#]].assert_eq(&without_digest(&plans.to_text(false)));

    let alone = Plans(vec![&each[0]]);
    assert_eq!(alone.digest(), each[0].digest(), "a train of one is an upload");
    assert_eq!(alone.to_text(true), each[0].to_text(true));
    let other_way = Plans(each.iter().rev().collect());
    assert_ne!(other_way.digest(), plans.digest());
}

#[test]
fn installers_follow_the_newest_stable_release() {
    let pages = ["2.96.0", "2.95.2", "2.93.4", "2.96.0-rc1"]
        .map(|version| without_digest(&plan_of(&INSTALLER_ACTS, version, "production", &published()).to_text(false)));
    expect![[r#"
        Lix 2.96.0 to production (new MAJOR)

        contents
          + install lix/lix-2.96.0/                   add 1 (300 B)
          + install lix/lix-2.96.0/installer.json.sig sign 050505050505

        pointers
          ~ install lix/lix-installer-*               replace 1 (8.0 MB): the newest stable release here

        plan DIGEST

        Lix 2.95.2 to production (patch)

        contents
          + install lix/lix-2.95.2/                   add 1 (300 B)
          + install lix/lix-2.95.2/installer.json.sig sign 050505050505

        pointers
          ~ install lix/lix-installer-*               replace 1 (8.0 MB): the newest stable release here

        plan DIGEST

        Lix 2.93.4 to production (maintenance)

        contents
          + install lix/lix-2.93.4/                   add 1 (300 B)
          + install lix/lix-2.93.4/installer.json.sig sign 050505050505

        pointers
          - install lix/lix-installer-*               stays: 2.95.1 is newer, and is published here

        plan DIGEST

        Lix 2.96.0-rc1 to production (pre-release)

        contents
          + install lix/lix-2.96.0-rc1/                   add 1 (300 B)
          + install lix/lix-2.96.0-rc1/installer.json.sig sign 050505050505

        pointers
          - install lix/lix-installer-*                   stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable

        plan DIGEST
    "#]]
    .assert_eq(&pages.join("\n"));
}

#[test]
fn a_system_without_a_new_installer_needs_a_word() {
    let darwin = "x86_64-darwin".parse().expect("a system");
    let seen = Seen::InstallerPointers {
        tree: Tree {
            same: 1,
            changed: vec![Changed { ours: object("x86_64-linux", 9), theirs: "feed".to_owned() }],
            ..Tree::default()
        },
        only_there: vec![darwin],
    };
    let waivers = Waivers { drop_systems: vec!["x86_64-darwin".parse().expect("a system")], ..Waivers::default() };
    let shown = [Waivers::default(), waivers].map(|waivers| status(&Act::InstallerPointers, &seen, &waivers));
    expect![[r#"
        Refused(["x86_64-darwin has an installer, but gets no new one: if that is right, add `--drop-system x86_64-darwin`; the old one stays"]): 
        Different: replace 1, same 1 (9 B): the newest stable release here"#]].assert_eq(&shown.join("\n"));
    let nothing = Seen::Nothing { why: "2.95.1 has no installers here".to_owned() };
    expect![[r#"Stays("2.95.1 has no installers here"): "#]].assert_eq(&status(
        &Act::InstallerPointers,
        &nothing,
        &Waivers::default(),
    ));
}
