//! Drafts of what is said about a release, and of what other places have to know: texts, made from the record and the
//! release notes.
//!
//! Owns their words and their limits. Refuses to choose what is mentioned ([`super::highlights`]), and to know where
//! drafts lie and what people have made of them; nothing here is ever posted.

use jiff::civil::Date;

use super::digest::Digest;
use super::highlights::Highlight;
use super::layout::{Docs, Layout};
use super::notes::enumerate;
use super::product::product;
use super::release::{Kind, Release};

/// Characters that a toot may have.
const TOOT: usize = 500;
/// What a link counts there, however long it is.
const LINK: usize = 23;

/// What is known about a release that is to be announced.
#[derive(Debug)]
pub struct Announcement {
    pub release: Release,
    /// That of the release notes.
    pub date: Date,
    /// Of the blog post.
    pub author: String,
    pub highlights: Vec<Highlight>,
    /// As the release notes show them, linked.
    pub credits: Vec<String>,
    /// Of the source archive.
    pub source: Digest,
    /// Of what is in it, as a NAR; `None` where there was no Nix to tell.
    pub unpacked: Option<Digest>,
}

/// A draft and the file that it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub file: &'static str,
    pub text: String,
}

impl Announcement {
    /// All drafts.
    pub fn drafts(&self) -> Vec<Draft> {
        vec![
            Draft { file: "blog.md", text: self.blog() },
            Draft { file: "toot.txt", text: self.toot() },
            Draft { file: "website.toml", text: self.website() },
            Draft { file: "nixpkgs.toml", text: self.nixpkgs() },
            Draft { file: "checklist.md", text: self.checklist() },
        ]
    }

    /// Where the changes are told; a pre-release has no page of notes yet.
    fn notes_link(&self) -> String {
        let docs = &product().links.docs;
        let series = self.release.series();
        match self.release.kind() {
            Kind::NewMajor | Kind::Patch => {
                format!("{docs}/{}/release-notes/rl-{series}.html", Docs::Stable.directory())
            }
            Kind::PreRelease => format!("{docs}/{}/", Docs::Series(series).directory()),
        }
    }

    fn source_link(&self) -> String {
        let layout = Layout::new(&self.release.tag());
        format!("{}/{}/{}", product().links.releases, layout.version_directory(), layout.source())
    }

    /// `Lix 2.94 "Name"` for a new MAJOR, and else the version alone: the name is the whole series'.
    fn title(&self) -> String {
        match self.release.kind() {
            Kind::NewMajor => format!("{} {} \"{}\"", product().name, self.release.series(), self.release.name()),
            Kind::Patch | Kind::PreRelease => format!("{} {}", product().name, self.release.version()),
        }
    }

    fn blog(&self) -> String {
        let (release, notes) = (&self.release, self.notes_link());
        let title = quoted(&format!("{} released", self.title()));
        let what = match release.kind() {
            Kind::NewMajor => "a new major release".to_owned(),
            Kind::Patch => {
                format!("a maintenance release of {} {} \"{}\"", product().name, release.series(), release.name())
            }
            Kind::PreRelease => format!("for everyone to try before {}", release.version().base()),
        };
        let mut text =
            format!("+++\ntitle = {title}\nauthor = {}\ndate = {}\n+++\n\n", quoted(&self.author), self.date);
        text += &format!("{} is out, {what}.\n", self.title());
        if !self.highlights.is_empty() {
            text += "\n## Highlights\n\n";
        }
        for (i, Highlight { synopsis, body }) in self.highlights.iter().enumerate() {
            text += &match body.as_str() {
                "" => format!("- {synopsis}\n"),
                body => format!("{}### {synopsis}\n\n{body}\n", if i == 0 { "" } else { "\n" }),
            };
        }
        text += &match release.kind() {
            Kind::NewMajor | Kind::Patch => format!("\nAll changes are in the [release notes]({notes}).\n"),
            Kind::PreRelease => format!("\nIts manual is [here]({notes}).\n"),
        };
        text += &format!(
            "\n## Getting it\n\n[The install page]({}) says how to install {}, and how to upgrade.\n",
            product().links.install,
            product().name
        );
        if !self.credits.is_empty() {
            text += &format!(
                "\n## Credits\n\nMany thanks to {} for their work on this release.\n",
                enumerate(&self.credits)
            );
        }
        text
    }

    /// Holds as many highlights as there is room for.
    fn toot(&self) -> String {
        let what = if self.release.kind() == Kind::PreRelease { "Manual" } else { "Release notes" };
        let end = format!("\n{what}: {}\n", self.notes_link());
        let mut start = format!("{} is out!\n\n", self.title());
        if toot_length(&start) + toot_length(&end) > TOOT {
            start = format!("{} {} is out!\n\n", product().name, self.release.version());
        }
        for highlight in &self.highlights {
            let line = format!("• {}\n", plain(&highlight.synopsis));
            if toot_length(&start) + toot_length(&line) + toot_length(&end) <= TOOT {
                start += &line;
            }
        }
        format!("{}{end}", if start.ends_with("\n\n") { start.trim_end().to_owned() + "\n" } else { start })
    }

    fn website(&self) -> String {
        let version = self.release.version();
        format!(
            "# For the install page, {}.\nversion = {}\nversion-without-suffix = {}\nname = {}\n\
             date = {}\nnotes = {}\n",
            product().links.install,
            quoted(&version.to_string()),
            quoted(&version.base().to_string()),
            quoted(self.release.name()),
            self.date,
            quoted(&self.notes_link())
        )
    }

    fn nixpkgs(&self) -> String {
        let version = quoted(&self.release.version().to_string());
        let source = &product().links.source;
        let unpacked = match &self.unpacked {
            Some(digest) => format!(
                "# Of what is in it, for fetchers that unpack, such as fetchFromGitea.\nunpacked-hash = {}\n",
                quoted(&digest.sri())
            ),
            None => {
                format!("# A fetcher that unpacks has another hash: nix-prefetch-url --unpack {}\n", self.source_link())
            }
        };
        format!(
            "# For nixpkgs, pkgs/tools/package-management/lix.\nversion = {version}\n\
             # Of {source}.\ntag = {}\n\n\
             [source]\nurl = {}\n# Of the archive, for fetchurl.\nhash = {}\n{unpacked}",
            quoted(&self.release.tag()),
            quoted(&self.source_link()),
            quoted(&self.source.sri())
        )
    }

    fn checklist(&self) -> String {
        let (release, version) = (&self.release, self.release.version());
        let mut items = Vec::new();
        match release.kind() {
            Kind::NewMajor => items.push("Website: the install page names the new version (website.toml)".to_owned()),
            Kind::Patch => items.push(format!(
                "Website: if {version} is the newest stable release, the install page names it (website.toml)"
            )),
            Kind::PreRelease => {}
        }
        items
            .push("Website: a pull request with the blog post (blog.md), merged once the release is public".to_owned());
        items.push("Toot (toot.txt), once the blog post is online".to_owned());
        if release.kind() != Kind::PreRelease {
            items.push(format!(
                "Installer repository: the default version becomes {version}, and the installers are built for each system; \
                 `cargo xtask release installer` publishes them"
            ));
            items.push(format!("NixOS module: pinned to {version}, and tagged"));
            items.push("nixpkgs: a pull request (nixpkgs.toml), with backports to the stable branches".to_owned());
        }
        let items: String = items.iter().map(|item| format!("- [ ] {item}\n")).collect();
        format!("# After {} {version}\n\nWhat no tool does:\n\n{items}", product().name)
    }
}

/// TOML's basic strings escape what JSON's do.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Markdown as one would say it: without back-quotes and emphasis, links by their text.
fn plain(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, link)) = rest.split_once('[') {
        let parts = link.split_once("](").and_then(|(name, more)| Some((name, more.split_once(')')?.1)));
        let (shown, after) = parts.unwrap_or(("[", link));
        text += before;
        text += shown;
        rest = after;
    }
    (text + rest).replace(['`', '*'], "")
}

/// As Mastodon counts, or a little more: a link is 23 characters.
fn toot_length(text: &str) -> usize {
    let word = |word: &str| if word.starts_with("https://") { LINK } else { word.chars().count() };
    text.split_inclusive(char::is_whitespace)
        .map(|part| word(part.trim_end()) + part.chars().count() - part.trim_end().chars().count())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use jiff::civil::date;
    use proptest::prelude::*;

    fn announcement(version: &str, name: &str, highlights: Vec<Highlight>) -> Announcement {
        Announcement {
            release: Release::new(version.parse().expect(version), name).expect(name),
            date: date(2026, 3, 13),
            author: "Release \"M\" Manager".to_owned(),
            highlights,
            credits: ["[jade](x)", "puck"].map(str::to_owned).into(),
            source: Digest::new([0; 32]),
            unpacked: (version == "2.94.0").then(|| Digest::new([1; 32])),
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
            title = "Lix 2.94 \"Açaí \"na\" tigela\" released"
            author = "Release \"M\" Manager"
            date = 2026-03-13
            +++

            Lix 2.94 "Açaí "na" tigela" is out, a new major release.

            ## Highlights

            ### The `first` [one](https://x)

            Because.

            ### The *second*

            Too.

            All changes are in the [release notes](https://docs.lix.systems/manual/lix/stable/release-notes/rl-2.94.html).

            ## Getting it

            [The install page](https://lix.systems/install/) says how to install Lix, and how to upgrade.

            ## Credits

            Many thanks to [jade](x) and puck for their work on this release.
            ==> toot.txt
            Lix 2.94 "Açaí "na" tigela" is out!

            • The first one
            • The second

            Release notes: https://docs.lix.systems/manual/lix/stable/release-notes/rl-2.94.html
            ==> website.toml
            # For the install page, https://lix.systems/install/.
            version = "2.94.0"
            version-without-suffix = "2.94.0"
            name = "Açaí \"na\" tigela"
            date = 2026-03-13
            notes = "https://docs.lix.systems/manual/lix/stable/release-notes/rl-2.94.html"
            ==> nixpkgs.toml
            # For nixpkgs, pkgs/tools/package-management/lix.
            version = "2.94.0"
            # Of https://git.lix.systems/lix-project/lix.
            tag = "2.94.0"

            [source]
            url = "https://releases.lix.systems/lix/lix-2.94.0/lix-2.94.0.tar.gz"
            # Of the archive, for fetchurl.
            hash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
            # Of what is in it, for fetchers that unpack, such as fetchFromGitea.
            unpacked-hash = "sha256-AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
            ==> checklist.md
            # After Lix 2.94.0

            What no tool does:

            - [ ] Website: the install page names the new version (website.toml)
            - [ ] Website: a pull request with the blog post (blog.md), merged once the release is public
            - [ ] Toot (toot.txt), once the blog post is online
            - [ ] Installer repository: the default version becomes 2.94.0, and the installers are built for each system; `cargo xtask release installer` publishes them
            - [ ] NixOS module: pinned to 2.94.0, and tagged
            - [ ] nixpkgs: a pull request (nixpkgs.toml), with backports to the stable branches
        "#]].assert_eq(&shown);
        let patch =
            announcement("2.93.4", "Bici Bici", vec![Highlight { synopsis: "A fix".into(), body: String::new() }]);
        expect![[r#"
            +++
            title = "Lix 2.93.4 released"
            author = "Release \"M\" Manager"
            date = 2026-03-13
            +++

            Lix 2.93.4 is out, a maintenance release of Lix 2.93 "Bici Bici".

            ## Highlights

            - A fix

            All changes are in the [release notes](https://docs.lix.systems/manual/lix/stable/release-notes/rl-2.93.html).

            ## Getting it

            [The install page](https://lix.systems/install/) says how to install Lix, and how to upgrade.

            ## Credits

            Many thanks to [jade](x) and puck for their work on this release.
        "#]].assert_eq(&patch.blog());
        let early = announcement("2.90.0-rc1", "N", Vec::new());
        expect![[r#"
            +++
            title = "Lix 2.90.0-rc1 released"
            author = "Release \"M\" Manager"
            date = 2026-03-13
            +++

            Lix 2.90.0-rc1 is out, for everyone to try before 2.90.0.

            Its manual is [here](https://docs.lix.systems/manual/lix/2.90/).

            ## Getting it

            [The install page](https://lix.systems/install/) says how to install Lix, and how to upgrade.

            ## Credits

            Many thanks to [jade](x) and puck for their work on this release.
            Lix 2.90.0-rc1 is out!

            Manual: https://docs.lix.systems/manual/lix/2.90/
            # For the install page, https://lix.systems/install/.
            version = "2.90.0-rc1"
            version-without-suffix = "2.90.0"
            name = "N"
            date = 2026-03-13
            notes = "https://docs.lix.systems/manual/lix/2.90/"
            # After Lix 2.90.0-rc1

            What no tool does:

            - [ ] Website: a pull request with the blog post (blog.md), merged once the release is public
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
            prop_assert!(toot_length(toot.trim_end()) <= TOOT, "{toot}");
            prop_assert!(toot.contains("rl-2.94.html"));
        }

        #[test]
        fn no_markdown_panics(text in "\\PC*") {
            let _ = plain(&text);
        }
    }
}
