//! One page for each kind of release, in each environment.

use expect_test::expect;

use super::pages;

#[test]
fn a_new_major() {
    pages(
        "2.96.0",
        expect![[r#"
            Lix 2.96.0 to local (new MAJOR)

            contents
              + releases lix/lix-2.96.0/               add 2 (30.0 MB)
              + releases lix/lix-2.96.0/SHA256SUMS.sig sign 050505050505
              ~ cache closures                         add 2, same 340 paths (40.0 MB unpacked)
              + docs manual/lix/2.96/                  add 1 (12 kB): the newest release of 2.96 here
              + images release/local/images            push 030303030303 (52.0 MB)

            git
              ~ branch main                            eeeeeeeeeeee -> dddddddddddd
              + tag 2.96.0                             to aaaaaaaaaaaa

            pointers
              ~ releases manifest.nix                  2.95.1 -> 2.96.0: the newest stable release here
              ~ docs manual/lix/stable/                add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here
              + image release/local/images:2.96.0      to 030303030303
              + image release/local/images:2.96        to 030303030303: the newest release of 2.96 here
              ~ image release/local/images:latest      040404040404 -> 030303030303: the newest stable release here

            receipt
              + releases receipts/lix-2.96.0.json      says that everything is done

            plan DIGEST

            Lix 2.96.0 to staging (new MAJOR)

            contents
              + releases lix/lix-2.96.0/                                    add 2 (30.0 MB)
              + releases lix/lix-2.96.0/SHA256SUMS.sig                      sign 050505050505
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

            plan DIGEST

            Lix 2.96.0 to production (new MAJOR)

            contents
              + releases lix/lix-2.96.0/                     add 2 (30.0 MB)
              + releases lix/lix-2.96.0/SHA256SUMS.sig       sign 050505050505
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

            plan DIGEST
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
              + releases lix/lix-2.95.2/               add 2 (30.0 MB)
              + releases lix/lix-2.95.2/SHA256SUMS.sig sign 050505050505
              ~ cache closures                         add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.95/                  add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.95 here
              + images release/local/images            push 030303030303 (52.0 MB)

            git
              ~ branch release-2.95                    eeeeeeeeeeee -> dddddddddddd
              + tag 2.95.2                             to aaaaaaaaaaaa

            pointers
              ~ releases manifest.nix                  2.95.1 -> 2.95.2: the newest stable release here
              ~ docs manual/lix/stable/                add 1, replace 1, same 180, delete 1 (24 kB): the newest stable release here
              + image release/local/images:2.95.2      to 030303030303
              ~ image release/local/images:2.95        040404040404 -> 030303030303: the newest release of 2.95 here
              ~ image release/local/images:latest      040404040404 -> 030303030303: the newest stable release here

            receipt
              + releases receipts/lix-2.95.2.json      says that everything is done

            plan DIGEST

            Lix 2.95.2 to staging (patch)

            contents
              + releases lix/lix-2.95.2/                                    add 2 (30.0 MB)
              + releases lix/lix-2.95.2/SHA256SUMS.sig                      sign 050505050505
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

            plan DIGEST

            Lix 2.95.2 to production (patch)

            contents
              + releases lix/lix-2.95.2/                     add 2 (30.0 MB)
              + releases lix/lix-2.95.2/SHA256SUMS.sig       sign 050505050505
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

            plan DIGEST
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
              + releases lix/lix-2.93.4/               add 2 (30.0 MB)
              + releases lix/lix-2.93.4/SHA256SUMS.sig sign 050505050505
              ~ cache closures                         add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.93/                  add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.93 here
              + images release/local/images            push 030303030303 (52.0 MB)

            git
              ~ branch release-2.93                    eeeeeeeeeeee -> dddddddddddd
              + tag 2.93.4                             to aaaaaaaaaaaa

            pointers
              - releases manifest.nix                  stays: 2.95.1 is newer, and is published here
              - docs manual/lix/stable/                stays: 2.95.1 is newer, and is published here
              + image release/local/images:2.93.4      to 030303030303
              ~ image release/local/images:2.93        040404040404 -> 030303030303: the newest release of 2.93 here
              - image release/local/images:latest      stays: 2.95.1 is newer, and is published here

            receipt
              + releases receipts/lix-2.93.4.json      says that everything is done

            plan DIGEST

            Lix 2.93.4 to staging (maintenance)

            contents
              + releases lix/lix-2.93.4/                                    add 2 (30.0 MB)
              + releases lix/lix-2.93.4/SHA256SUMS.sig                      sign 050505050505
              ~ cache closures                                              add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.93/                                       add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.93 here
              + images git.lix.systems/lix-project/lix-releng-staging       push 030303030303 (52.0 MB)
              + images ghcr.io/lix-project/lix-releng-staging               push 030303030303 (52.0 MB)

            git
              ~ branch release-2.93                                         eeeeeeeeeeee -> dddddddddddd
              + tag 2.93.4                                                  to aaaaaaaaaaaa

            pointers
              - releases manifest.nix                                       stays: 2.95.1 is newer, and is published here
              - docs manual/lix/stable/                                     stays: 2.95.1 is newer, and is published here
              + image git.lix.systems/lix-project/lix-releng-staging:2.93.4 to 030303030303
              + image ghcr.io/lix-project/lix-releng-staging:2.93.4         to 030303030303
              ~ image git.lix.systems/lix-project/lix-releng-staging:2.93   040404040404 -> 030303030303: the newest release of 2.93 here
              ~ image ghcr.io/lix-project/lix-releng-staging:2.93           040404040404 -> 030303030303: the newest release of 2.93 here
              - image git.lix.systems/lix-project/lix-releng-staging:latest stays: 2.95.1 is newer, and is published here
              - image ghcr.io/lix-project/lix-releng-staging:latest         stays: 2.95.1 is newer, and is published here

            receipt
              + releases receipts/lix-2.93.4.json                           says that everything is done

            plan DIGEST

            Lix 2.93.4 to production (maintenance)

            contents
              + releases lix/lix-2.93.4/                     add 2 (30.0 MB)
              + releases lix/lix-2.93.4/SHA256SUMS.sig       sign 050505050505
              ~ cache closures                               add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.93/                        add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.93 here
              + images git.lix.systems/lix-project/lix       push 030303030303 (52.0 MB)
              + images ghcr.io/lix-project/lix               push 030303030303 (52.0 MB)

            git
              + review for release-2.93                      push dddddddddddd
              … tag 2.93.4                                   waits: its commit is not submitted

            pointers
              - releases manifest.nix                        stays: 2.95.1 is newer, and is published here
              - docs manual/lix/stable/                      stays: 2.95.1 is newer, and is published here
              + image git.lix.systems/lix-project/lix:2.93.4 to 030303030303
              + image ghcr.io/lix-project/lix:2.93.4         to 030303030303
              ~ image git.lix.systems/lix-project/lix:2.93   040404040404 -> 030303030303: the newest release of 2.93 here
              ~ image ghcr.io/lix-project/lix:2.93           040404040404 -> 030303030303: the newest release of 2.93 here
              - image git.lix.systems/lix-project/lix:latest stays: 2.95.1 is newer, and is published here
              - image ghcr.io/lix-project/lix:latest         stays: 2.95.1 is newer, and is published here

            receipt
              + releases receipts/lix-2.93.4.json            staging has had it since 2026-03-13

            plan DIGEST
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
              + releases lix/lix-2.96.0-rc1/               add 2 (30.0 MB)
              + releases lix/lix-2.96.0-rc1/SHA256SUMS.sig sign 050505050505
              ~ cache closures                             add 2, same 340 paths (40.0 MB unpacked)
              ~ docs manual/lix/2.96/                      add 1, replace 1, same 180, delete 1 (24 kB): the newest release of 2.96 here
              + images release/local/images                push 030303030303 (52.0 MB)

            git
              ~ branch main                                eeeeeeeeeeee -> dddddddddddd
              + tag 2.96.0-rc1                             to aaaaaaaaaaaa

            pointers
              - releases manifest.nix                      stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable
              - docs manual/lix/stable/                    stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable
              + image release/local/images:2.96.0-rc1      to 030303030303
              ~ image release/local/images:2.96            040404040404 -> 030303030303: the newest release of 2.96 here
              - image release/local/images:latest          stays: 2.96.0-rc1 is a pre-release, and 2.95.1 is stable

            receipt
              + releases receipts/lix-2.96.0-rc1.json      says that everything is done

            plan DIGEST

            Lix 2.96.0-rc1 to staging (pre-release)

            contents
              + releases lix/lix-2.96.0-rc1/                                    add 2 (30.0 MB)
              + releases lix/lix-2.96.0-rc1/SHA256SUMS.sig                      sign 050505050505
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

            plan DIGEST

            Lix 2.96.0-rc1 to production (pre-release)

            contents
              + releases lix/lix-2.96.0-rc1/                     add 2 (30.0 MB)
              + releases lix/lix-2.96.0-rc1/SHA256SUMS.sig       sign 050505050505
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

            plan DIGEST
        "#]],
    );
}
