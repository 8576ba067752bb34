//! Pages of releases in different states, and the next command on each.

use expect_test::{Expect, expect};

use super::*;

/// A release that is tagged, but not built.
fn tagged() -> Standing {
    let environment = |name: &str, profiles: &[&str]| EnvironmentStanding {
        name: name.to_owned(),
        is_stage: name != "local",
        profiles: profiles.iter().map(|profile| profile.parse().expect(profile)).collect(),
        live: Ok(absent()),
    };
    let both = ["all", "x86_64-linux-only"];
    Standing {
        product: "Lix".to_owned(),
        version: "2.93.1".to_owned(),
        name: "Bici Bici".to_owned(),
        head: "detached at 0123456789ab".to_owned(),
        on: On::Tag,
        notes: Line::done("in rl-2.93.md, dated 2025-06-23"),
        tag: Line::done("2.93.1 at 0123456789ab, merged back to main"),
        build: Line::open("nothing is built"),
        check: None,
        profile: None,
        environments: vec![
            environment("local", &both),
            environment("staging", &both),
            environment("production", &both[..1]),
        ],
        finish: Line::open("switch back to main"),
        announce: Line::open("no drafts yet"),
    }
}

fn built(profile: &str) -> Standing {
    let build = Line::done(format!("in release/, for {profile}, from 0123456789ab"));
    Standing { build, profile: Some(profile.to_owned().into()), ..tagged() }
}

fn pointers(leads: [Leads; 3]) -> Vec<Pointer> {
    let what = ["`nix upgrade-nix`", "docs 2.93", "docs stable"];
    what.into_iter()
        .zip(leads)
        .map(|(what, leads)| Pointer { what: what.to_owned(), leads, rolls_back: !what.contains('2') })
        .collect()
}

fn absent() -> Live {
    Live {
        directory: Directory::Absent,
        missing: Vec::new(),
        finished: false,
        withdrawn: false,
        pointers: pointers([Leads::To("2.93.0".to_owned()), Leads::Elsewhere, Leads::Elsewhere]),
        review: None,
        installers: false,
        begun: Vec::new(),
        lock: None,
        unread: Vec::new(),
    }
}

fn published() -> Live {
    Live {
        directory: Directory::Recorded { same_as_release: true, files: 9, broken: Vec::new() },
        finished: true,
        pointers: pointers([Leads::Here, Leads::Here, Leads::Here]),
        ..absent()
    }
}

/// Sets what was seen in staging and production.
fn with(standing: Standing, [staging, production]: [Live; 2]) -> Standing {
    let mut standing = standing;
    standing.environments[1].live = Ok(staging);
    standing.environments[2].live = Ok(production);
    standing
}

fn next(standing: &Standing) -> String {
    let line = |next: &Command| match &next.remark {
        Some(remark) => format!("{}  # {remark}", next.command),
        None => next.command.clone(),
    };
    let next = standing.page().next;
    if next.is_empty() { "nothing".to_owned() } else { next.iter().map(line).collect::<Vec<_>>().join("\n") }
}

#[test]
fn the_way_of_a_release() {
    let on = |on, standing: Standing| Standing { on, ..standing };
    let finished = |standing: Standing| Standing { finish: Line::done("nothing"), ..standing };
    let all = || with(built("all"), [published(), published()]);
    let reviewed = |review| Live { review: Some(review), ..published() };
    let installed = || Live { installers: true, ..published() };
    let unfinished = || Live { finished: false, ..published() };
    let other = || Live { directory: Directory::Other { record: "f".repeat(64) }, ..absent() };
    let elsewhere = || On::Elsewhere("main".to_owned());
    let locally = |live: Live| {
        let mut standing = with(built("all"), [published(), absent()]);
        standing.environments[0].live = Ok(live);
        standing
    };
    let newer = || vec![Unread { why: "its receipt was made by a newer tool".to_owned(), is_damaged: false }];
    let mut unseen = built("all");
    unseen.environments[1].live = Err("no network".to_owned());
    let cases = [
        ("no notes", Standing { notes: Line::open(""), tag: Line::open(""), ..tagged() }),
        ("no tag", Standing { tag: Line::open(""), ..tagged() }),
        ("not built", tagged()),
        ("not built, on the branch", on(On::Branch, tagged())),
        ("built", built("all")),
        ("built, elsewhere", on(elsewhere(), built("all"))),
        ("staging cannot be reached", unseen),
        ("staging was interrupted", with(built("all"), [unfinished(), absent()])),
        (
            "staging is damaged",
            with(
                built("all"),
                [
                    Live {
                        directory: Directory::Recorded {
                            same_as_release: true,
                            files: 9,
                            broken: vec!["lix-2.93.1.tar.gz".to_owned()],
                        },
                        ..published()
                    },
                    absent(),
                ],
            ),
        ),
        ("a rehearsal was interrupted", locally(unfinished())),
        ("a rehearsal was only begun", locally(Live { directory: Directory::Begun, ..absent() })),
        ("a rehearsal is done", locally(published())),
        (
            "staging is a newer tool's",
            with(built("all"), [Live { unread: newer(), finished: false, ..published() }, absent()]),
        ),
        ("staging is done", with(built("all"), [published(), absent()])),
        ("staging has another build", with(built("all"), [other(), absent()])),
        ("built for a trial", with(built("x86_64-linux-only"), [published(), absent()])),
        ("waits for a review", with(built("all"), [published(), Live { finished: false, ..reviewed(Reviewed::Open) }])),
        (
            "the review is submitted",
            with(built("all"), [published(), Live { finished: false, ..reviewed(Reviewed::Submitted) }]),
        ),
        ("production is done", all()),
        ("with installers", with(built("all"), [published(), installed()])),
        ("on another branch", on(elsewhere(), all())),
        ("finished", finished(all())),
        ("finished, with installers", finished(with(built("all"), [published(), installed()]))),
        ("built elsewhere", Standing { build: Line::open(""), profile: None, ..finished(all()) }),
        (
            "announced",
            Standing { announce: Line::done(""), ..finished(with(built("all"), [published(), installed()])) },
        ),
    ];
    let shown: Vec<String> = cases
        .iter()
        .map(|(case, standing)| format!("{case}:\n    {}", next(standing).replace('\n', "\n    ")))
        .collect();
    expect![[r#"
        no notes:
            cargo xtask release prepare
        no tag:
            cargo xtask release tag
        not built:
            cargo xtask release build
        not built, on the branch:
            git switch --detach 2.93.1
        built:
            cargo xtask release upload --env staging
        built, elsewhere:
            git switch --detach 2.93.1
        staging cannot be reached:
            cargo xtask release doctor --env staging  # it could not be checked
        staging was interrupted:
            cargo xtask release upload --env staging
        staging is damaged:
            cargo xtask release verify --env staging  # some files there have changed since they were published
        a rehearsal was interrupted:
            cargo xtask release verify --env staging  # unless you have done so
            cargo xtask release upload --env local
        a rehearsal was only begun:
            cargo xtask release verify --env staging  # unless you have done so
            cargo xtask release upload --env local
        a rehearsal is done:
            cargo xtask release verify --env staging  # unless you have done so
            cargo xtask release upload --env production
        staging is a newer tool's:
            cargo xtask release verify --env staging  # not everything there is readable
        staging is done:
            cargo xtask release verify --env staging  # unless you have done so
            cargo xtask release upload --env production
        staging has another build:
            cargo xtask release plan --env staging  # another build is there
        built for a trial:
            cargo xtask release verify --env staging  # unless you have done so
            cargo xtask release build --profile all
        waits for a review:
            cargo xtask release verify --env staging  # unless you have done so
            cargo xtask release upload --env production  # once the changes are submitted in Gerrit
        the review is submitted:
            cargo xtask release verify --env staging  # unless you have done so
            cargo xtask release upload --env production
        production is done:
            cargo xtask release verify --env production  # unless you have done so
            cargo xtask release installer --env production --from DIR  # once they are built
            cargo xtask release finish --env production --push
        with installers:
            cargo xtask release verify --env production  # unless you have done so
            cargo xtask release finish --env production --push
        on another branch:
            cargo xtask release verify --env production  # unless you have done so
            cargo xtask release installer --env production --from DIR  # once they are built
            git switch main
        finished:
            cargo xtask release installer --env production --from DIR  # once they are built
            cargo xtask release announce
        finished, with installers:
            cargo xtask release announce
        built elsewhere:
            cargo xtask release installer --env production --from DIR  # once they are built
            cargo xtask release announce
        announced:
            nothing"#]]
    .assert_eq(&shown.join("\n"));
}

fn check(standing: &Standing, expected: Expect) {
    let text = standing.page().to_text();
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(text.lines().count() <= 25, "{text}");
    expected.assert_eq(&text);
}

#[test]
fn pages() {
    let mut waiting = with(built("all"), [published(), absent()]);
    waiting.environments[2].live =
        Ok(Live { finished: false, pointers: absent().pointers, review: Some(Reviewed::Open), ..published() });
    check(
        &waiting,
        expect![[r#"
            Lix 2.93.1 "Bici Bici", detached at 0123456789ab

              notes        ✓ in rl-2.93.md, dated 2025-06-23
              tag          ✓ 2.93.1 at 0123456789ab, merged back to main
              build        ✓ in release/, for all, from 0123456789ab
              local        · not published
                           · `nix upgrade-nix` leads to 2.93.0; docs 2.93 and docs stable are another version's
              staging      ✓ published as built; 9 files complete by name and size
                           ✓ `nix upgrade-nix`, docs 2.93 and docs stable lead to it
                           · no installers yet
              production   · published as built, unfinished: upload again; 9 files complete by name and size
                           · `nix upgrade-nix` leads to 2.93.0; docs 2.93 and docs stable are another version's
                           … review: waiting to be submitted
                           · no installers yet
              finish       · switch back to main
              announce     · no drafts yet

            next: cargo xtask release verify --env staging     # unless you have done so
                  cargo xtask release upload --env production  # once the changes are submitted in Gerrit
        "#]],
    );

    let directory = Directory::Recorded {
        same_as_release: false,
        files: 9,
        broken: ["a", "b", "c", "d"].map(|name| format!("lix-2.93.1-{name}.tar.xz")).into(),
    };
    let mut odd = with(
        tagged(),
        [
            Live { directory, installers: true, ..published() },
            Live { directory: Directory::Other { record: "f".repeat(64) }, ..absent() },
        ],
    );
    odd.environments[0].live =
        Ok(Live { pointers: pointers([Leads::Nowhere, Leads::Nowhere, Leads::Nowhere]), ..absent() });
    odd.environments.push(EnvironmentStanding {
        name: "far".to_owned(),
        live: Err(
            "io: connection refused, and then so many more words that nobody reads them on one line\nmore".to_owned()
        ),
        ..odd.environments[1].clone()
    });
    check(
        &odd,
        expect![[r#"
            Lix 2.93.1 "Bici Bici", detached at 0123456789ab

              notes        ✓ in rl-2.93.md, dated 2025-06-23
              tag          ✓ 2.93.1 at 0123456789ab, merged back to main
              build        · nothing is built
              local        · not published
              staging      ✗ published; 4 of 9 files incomplete: lix-2.93.1-a.tar.xz, …
                           ✓ `nix upgrade-nix`, docs 2.93 and docs stable lead to it
                           ✓ installers published
              production   ✗ published with different content from release/ (record ffffffffffff)
                           · `nix upgrade-nix` leads to 2.93.0; docs 2.93 and docs stable are another version's
                           · no installers yet
              far          ? could not be checked: io: connection refused, and then so many more words that nob…
              finish       · switch back to main
              announce     · no drafts yet

            next: cargo xtask release build
        "#]],
    );

    let unread = |why: &str, is_damaged| Unread { why: why.to_owned(), is_damaged };
    let newer = Live {
        directory: Directory::Unread(unread("release.json was made by a newer tool (format 2): use that tool", false)),
        begun: vec!["2.93.2".to_owned(), "2.94.0".to_owned()],
        lock: Some(Lock { owner: "Jade (process 7 on host)".to_owned(), until: "12:06 UTC".to_owned(), counts: true }),
        ..absent()
    };
    let damaged = Live {
        unread: vec![unread("withdrawn.json is not a list of versions: null", true)],
        begun: vec!["2.93.2".to_owned()],
        lock: Some(Lock { counts: false, ..newer.lock.clone().expect("a lock") }),
        ..published()
    };
    check(
        &with(built("all"), [newer, damaged]),
        expect![[r#"
        Lix 2.93.1 "Bici Bici", detached at 0123456789ab

          notes        ✓ in rl-2.93.md, dated 2025-06-23
          tag          ✓ 2.93.1 at 0123456789ab, merged back to main
          build        ✓ in release/, for all, from 0123456789ab
          local        · not published
                       · `nix upgrade-nix` leads to 2.93.0; docs 2.93 and docs stable are another version's
          staging      ? release.json was made by a newer tool (format 2): use that tool
                       · `nix upgrade-nix` leads to 2.93.0; docs 2.93 and docs stable are another version's
                       · no installers yet
                       · the uploads of 2.93.2 and 2.94.0 were begun here and are not finished
                       … Jade (process 7 on host) is publishing here; the lock expires at 12:06 UTC
          production   ✓ published as built; 9 files complete by name and size
                       ✓ `nix upgrade-nix`, docs 2.93 and docs stable lead to it
                       ✗ withdrawn.json is not a list of versions: null
                       · no installers yet
                       · the upload of 2.93.2 was begun here and is not finished
                       · Jade (process 7 on host) left a lock here; the next upload removes it
          finish       · switch back to main
          announce     · no drafts yet

        next: cargo xtask release verify --env staging  # not everything there is readable
    "#]],
    );

    let withdrawn = Live { withdrawn: true, review: Some(Reviewed::Unknown("no route".to_owned())), ..published() };
    let rewritten =
        Live { review: Some(Reviewed::Rewritten("a".repeat(40).parse().expect("an object"))), ..published() };
    check(
        &with(built("all"), [withdrawn, rewritten]),
        expect![[r#"
            Lix 2.93.1 "Bici Bici", detached at 0123456789ab

              notes        ✓ in rl-2.93.md, dated 2025-06-23
              tag          ✓ 2.93.1 at 0123456789ab, merged back to main
              build        ✓ in release/, for all, from 0123456789ab
              local        · not published
                           · `nix upgrade-nix` leads to 2.93.0; docs 2.93 and docs stable are another version's
              staging      ✓ published as built, and withdrawn by a rollback; 9 files complete by name and size
                           ✓ `nix upgrade-nix`, docs 2.93 and docs stable lead to it
                           ✗ a rollback withdrew it but did not move all pointers: run `rollback` again
                           ? review: unknown, no route
                           · no installers yet
              production   ✓ published as built; 9 files complete by name and size
                           ✓ `nix upgrade-nix`, docs 2.93 and docs stable lead to it
                           ✗ review: Gerrit rewrote the commit as aaaaaaaaaaaa; `upload` says what to do
                           · no installers yet
              finish       · switch back to main
              announce     · no drafts yet

            next: cargo xtask release rollback --env staging --to VERSION  # it stopped halfway
        "#]],
    );
}
