//! The drafts, as pages to read.

use expect_test::expect;
use proptest::prelude::*;

use super::toot::{TOOT, length, plain};
use super::*;

fn announcement(version: &str, name: &str, highlights: Vec<Highlight>) -> Announcement {
    Announcement {
        release: Release::new(&Product::built_in().into(), version.parse().expect(version), name).expect(name),
        date: "2026-03-13".parse().expect("a date"),
        highlights,
        credits: ["[jade](x)", "puck"].map(str::to_owned).into(),
        source: Digest::new([0; 32]),
        unpacked: (version == "2.94.0").then(|| Digest::new([1; 32])),
        has_notes_page: !version.contains("rc"),
        newer: (version == "2.93.4").then(|| "2.95.1".parse().expect("a version")),
    }
}

#[test]
fn texts() {
    let highlights = vec![
        Highlight { synopsis: "The `first` [one](https://x)".to_owned(), body: "Because.".to_owned() },
        Highlight { synopsis: "The *second*".to_owned(), body: "Too.".to_owned() },
    ];
    let drafts = announcement("2.94.0", "Açaí \"na\" tigela", highlights).drafts();
    let shown: String = drafts.iter().map(|Draft { file, text }| format!("==> {file}\n{text}")).collect();
    expect![[r#"
        ==> blog.md
        +++
        title = "Announcing Lix 2.94 “Açaí \"na\" tigela”"
        author = "Lix Team"
        date = "2026-03-13"
        +++

        We at the Lix team are proud to announce Lix 2.94 “Açaí "na" tigela”, a new major release.

        <!-- What the name stands for, and a picture of it. -->

        Lix is an implementation of the Nix package manager and language, developed by a community that values correctness,
        usability and growth.

        ## Upgrading from CppNix or previous Lix versions

        [The install page](https://lix.systems/install/) says how to install Lix, and how to upgrade from CppNix or from an older Lix.

        **Warning:** we do not recommend upgrading with `nix upgrade-nix`.

        ## Changes

        ### The `first` [one](https://x)

        Because.

        ### The *second*

        Too.

        All changes are in the [release notes](https://docs.lix.systems/manual/lix/2.94/release-notes/rl-2.94.html).

        ## Credits

        Many thanks to [jade](x) and puck for their work on this release.
        ==> toot.txt
        Lix 2.94 “Açaí "na" tigela” is out!

        • The first one
        • The second

        Release notes: https://docs.lix.systems/manual/lix/2.94/release-notes/rl-2.94.html
        ==> website.toml
        # For the install page, https://lix.systems/install/: in the website's repository,
        #     python3 update_version.py 2.94.0
        version = "2.94.0"
        version-without-suffix = "2.94.0"
        name = "Açaí \"na\" tigela"
        date = "2026-03-13"
        notes = "https://docs.lix.systems/manual/lix/2.94/release-notes/rl-2.94.html"
        ==> nixpkgs.toml
        # For nixpkgs, in pkgs/tools/package-management/lix/:
        # add 2.94.nix, copied from the previous series' file, to default.nix,
        # and point `latest` there at it. `stable` follows once the release has proven itself.
        version = "2.94.0"
        # The tag, in https://git.lix.systems/lix-project/lix.
        tag = "2.94.0"

        [source]
        url = "https://releases.lix.systems/lix/lix-2.94.0/lix-2.94.0.tar.gz"
        # Digest of the archive, for fetchurl.
        hash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
        # Digest of its content, for fetchers that unpack it, such as fetchFromGitea (src.hash).
        unpacked-hash = "sha256-AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="

        # cargoDeps.hash is not known here: set it to lib.fakeHash and build; Nix prints the right one.
        ==> checklist.md
        # After Lix 2.94.0

        Left to do by hand:

        - [ ] Website: a pull request with blog.md as content/blog/2026-03-13-lix-2.94-release.md, merged once the release is public
        - [ ] Toot (toot.txt), once the blog post is online
        - [ ] Website: `python3 update_version.py 2.94.0` for the install page (website.toml)
        - [ ] Installer repository: set the default version to 2.94.0, and build the installers for each system; `cargo xtask release installer` publishes them
        - [ ] NixOS module: pin it to 2.94.0, and tag it
        - [ ] nixpkgs: a pull request (nixpkgs.toml), with backports to the stable branches
    "#]].assert_eq(&shown);
    let patch = announcement("2.93.4", "Bici Bici", vec![Highlight { synopsis: "A fix".into(), body: String::new() }]);
    expect![[r#"
        +++
        title = "Announcing Lix 2.93.4"
        author = "Lix Team"
        date = "2026-03-13"
        +++

        Lix 2.93.4 is out, a maintenance release of Lix 2.93 “Bici Bici”.

        ## Changes

        - A fix

        All changes are in the [release notes](https://docs.lix.systems/manual/lix/2.93/release-notes/rl-2.93.html).

        ## Credits

        Many thanks to [jade](x) and puck for their work on this release.
        # For nixpkgs, pkgs/tools/package-management/lix/2.93.nix.
        version = "2.93.4"
        # The tag, in https://git.lix.systems/lix-project/lix.
        tag = "2.93.4"

        [source]
        url = "https://releases.lix.systems/lix/lix-2.93.4/lix-2.93.4.tar.gz"
        # Digest of the archive, for fetchurl.
        hash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
        # A fetcher that unpacks it needs another hash: nix-prefetch-url --unpack https://releases.lix.systems/lix/lix-2.93.4/lix-2.93.4.tar.gz

        # cargoDeps.hash is not known here: set it to lib.fakeHash and build; Nix prints the right one.
        # After Lix 2.93.4

        Left to do by hand:

        - [ ] Website: usually no post, because the notes mention no security fix; if there is one after all, a pull request with blog.md as content/blog/2026-03-13-lix-2.93.4-release.md, merged once the release is public
        - [ ] Toot (toot.txt), once the blog post is online
        - [ ] Install page, installer repository and NixOS module: nothing to do; they stay on 2.95.1, the newest stable tag
        - [ ] nixpkgs: a pull request (nixpkgs.toml), with backports to the stable branches
    "#]]
    .assert_eq(&(patch.blog() + &patch.nixpkgs() + &patch.checklist()));
    let early = announcement("2.90.0-rc1", "N", Vec::new());
    expect![[r#"
        +++
        title = "Announcing Lix 2.90.0-rc1"
        author = "Lix Team"
        date = "2026-03-13"
        +++

        Lix 2.90.0-rc1 is out, for everyone to try before 2.90.0.

        ## Changes

        Its manual is [here](https://docs.lix.systems/manual/lix/2.90/).

        ## Credits

        Many thanks to [jade](x) and puck for their work on this release.
        Lix 2.90.0-rc1 is out!

        Manual: https://docs.lix.systems/manual/lix/2.90/
        # For the install page, https://lix.systems/install/: in the website's repository,
        #     python3 update_version.py 2.90.0-rc1
        version = "2.90.0-rc1"
        version-without-suffix = "2.90.0"
        name = "N"
        date = "2026-03-13"
        notes = "https://docs.lix.systems/manual/lix/2.90/"
        # After Lix 2.90.0-rc1

        Left to do by hand:

        - [ ] Website: a pull request with blog.md as content/blog/2026-03-13-lix-2.90.0-rc1-release.md, merged once the release is public
        - [ ] Toot (toot.txt), once the blog post is online
    "#]]
    .assert_eq(&(early.blog() + &early.toot() + &early.website() + &early.checklist()));
}

proptest! {
    #[test]
    fn a_toot_is_never_too_long(
        name in "[a-zA-Z é🍧]{1,600}",
        synopses in prop::collection::vec("\\PC{0,300}", 0..8),
    ) {
        let highlights = synopses.into_iter().map(|synopsis| Highlight { synopsis, body: String::new() }).collect();
        let name = format!("x{}x", name);
        let toot = announcement("2.94.0", &name, highlights).toot();
        prop_assert!(length(toot.trim_end()) <= TOOT, "{toot}");
        prop_assert!(toot.contains("rl-2.94.html"));
    }

    #[test]
    fn no_markdown_panics(text in "\\PC*") {
        let _ = plain(&text);
    }
}
