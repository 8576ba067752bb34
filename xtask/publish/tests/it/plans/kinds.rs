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
