//! Facts for other repositories (the website, nixpkgs), and a checklist of what is left to do by hand.

use super::{Announcement, quoted};
use crate::release::Kind;

/// Directory of the package in nixpkgs.
const PACKAGE: &str = "pkgs/tools/package-management/lix";

impl Announcement {
    pub(super) fn website(&self) -> String {
        let version = self.release.version();
        let lines = [
            ("version", quoted(&version.to_string())),
            ("version-without-suffix", quoted(&version.base().to_string())),
            ("name", quoted(self.release.name())),
            ("date", quoted(&self.date.to_string())),
            ("notes", quoted(&self.notes_link())),
        ];
        let lines = lines.map(|(key, value)| format!("{key} = {value}\n")).concat();
        let install = &self.product().links.install;
        format!(
            "# For the install page, {install}: in the website's repository,\n#     python3 update_version.py {version}\n{lines}"
        )
    }

    pub(super) fn nixpkgs(&self) -> String {
        let (series, source) = (self.release.series(), &self.product().links.source);
        let file = format!("{PACKAGE}/{series}.nix");
        let place = match self.release.kind() {
            Kind::Patch => format!("# For nixpkgs, {file}."),
            Kind::NewMajor | Kind::PreRelease => format!(
                "# For nixpkgs, in {PACKAGE}/:\n# add {series}.nix, copied from the previous series' file, to default.nix,\n\
                 # and point `latest` there at it. `stable` follows once the release has proven itself."
            ),
        };
        let unpacked = match &self.unpacked {
            Some(digest) => format!(
                "# Digest of its content, for fetchers that unpack it, such as fetchFromGitea (src.hash).\nunpacked-hash = {}\n",
                quoted(&digest.sri())
            ),
            None => {
                format!(
                    "# A fetcher that unpacks it needs another hash: nix-prefetch-url --unpack {}\n",
                    self.source_link()
                )
            }
        };
        format!(
            "{place}\nversion = {}\n# The tag, in {source}.\ntag = {}\n\n\
             [source]\nurl = {}\n# Digest of the archive, for fetchurl.\nhash = {}\n{unpacked}\n\
             # cargoDeps.hash is not known here: set it to lib.fakeHash and build; Nix prints the right one.\n",
            quoted(&self.release.version().to_string()),
            quoted(&self.release.tag()),
            quoted(&self.source_link()),
            quoted(&self.source.sri())
        )
    }

    pub(super) fn checklist(&self) -> String {
        let (release, version) = (&self.release, self.release.version());
        let mut items = Vec::new();
        let post = format!("content/blog/{}-lix-{}-release.md", self.date, self.post());
        let merged = format!("a pull request with blog.md as {post}, merged once the release is public");
        items.push(match release.kind() {
            Kind::Patch if self.is_for_security() => {
                format!("Website: {merged}: this release fixes a security problem")
            }
            Kind::Patch => {
                format!("Website: usually no post, because the notes mention no security fix; if there is one after all, {merged}")
            }
            Kind::NewMajor | Kind::PreRelease => format!("Website: {merged}"),
        });
        items.push("Toot (toot.txt), once the blog post is online".to_owned());
        if let (Some(newer), true) = (&self.newer, release.kind() != Kind::PreRelease) {
            items.push(format!(
                "Install page, installer repository and NixOS module: nothing to do; they stay on {newer}, the newest stable tag"
            ));
        } else if release.kind() != Kind::PreRelease {
            items.push(format!("Website: `python3 update_version.py {version}` for the install page (website.toml)"));
            items.push(format!(
                "Installer repository: set the default version to {version}, and build the installers for each system; \
                 `cargo xtask release installer` publishes them"
            ));
            items.push(format!("NixOS module: pin it to {version}, and tag it"));
        }
        if release.kind() != Kind::PreRelease {
            items.push("nixpkgs: a pull request (nixpkgs.toml), with backports to the stable branches".to_owned());
        }
        let items: String = items.iter().map(|item| format!("- [ ] {item}\n")).collect();
        format!("# After {}\n\nLeft to do by hand:\n\n{items}", release.title())
    }

    /// Returns the name of the release in the post's file name.
    fn post(&self) -> String {
        match self.release.kind() {
            Kind::NewMajor => self.release.series().to_string(),
            Kind::Patch | Kind::PreRelease => self.release.version().to_string(),
        }
    }
}
