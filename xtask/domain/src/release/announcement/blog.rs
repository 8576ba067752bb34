//! The blog post: TOML front matter and Markdown, in the shape of the posts that the website has.

use super::{Announcement, quoted};
use crate::amounts::enumerate;
use crate::notes::highlights::Highlight;
use crate::product::fill;
use crate::release::Kind;

impl Announcement {
    pub(super) fn blog(&self) -> String {
        let announcement = &self.product().announcement;
        let (title, author) = (quoted(&format!("Announcing {}", self.title())), quoted(&announcement.author));
        let mut text =
            format!("+++\ntitle = {title}\nauthor = {author}\ndate = {}\n+++\n\n", quoted(&self.date.to_string()));
        text += &self.opening();
        if self.release.kind() == Kind::NewMajor {
            text += "\n<!-- What the name stands for, and a picture of it. -->\n";
            text += &format!("\n{}\n", announcement.about);
            text += &format!("\n## Upgrading from CppNix or previous {} versions\n\n", self.product().name);
            text += &format!("{}\n", fill(&announcement.upgrading, &self.product().links.install));
        }
        text += "\n## Changes\n";
        text += &self.changes();
        if !self.credits.is_empty() {
            let credits = enumerate(&self.credits);
            text += &format!("\n## Credits\n\nMany thanks to {credits} for their work on this release.\n");
        }
        text
    }

    fn opening(&self) -> String {
        let (release, name, title) = (&self.release, &self.product().name, self.title());
        match release.kind() {
            Kind::NewMajor => {
                format!("We at the {name} team are proud to announce {title}, a new major release.\n")
            }
            Kind::Patch => {
                let why = if self.is_for_security() { ", which fixes a security problem" } else { "" };
                format!(
                    "{title} is out, a maintenance release of {name} {} “{}”{why}.\n",
                    release.series(),
                    release.name()
                )
            }
            Kind::PreRelease => format!("{title} is out, for everyone to try before {}.\n", release.version().base()),
        }
    }

    fn changes(&self) -> String {
        let mut text = String::new();
        // Entries without a body make one list.
        let mut in_list = false;
        for Highlight { synopsis, body } in &self.highlights {
            let is_entry = body.is_empty();
            text += if is_entry && in_list { "" } else { "\n" };
            text += &if is_entry { format!("- {synopsis}\n") } else { format!("### {synopsis}\n\n{body}\n") };
            in_list = is_entry;
        }
        let link = self.notes_link();
        text += &if self.has_notes_page {
            format!("\nAll changes are in the [release notes]({link}).\n")
        } else {
            format!("\nIts manual is [here]({link}).\n")
        };
        text
    }
}
