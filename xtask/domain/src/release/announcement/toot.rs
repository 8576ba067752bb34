//! The toot, within Mastodon's limits.

use super::Announcement;

/// Largest number of characters in a toot.
pub(super) const TOOT: usize = 500;
/// Number of characters that a link counts as, however long it is.
const LINK: usize = 23;

impl Announcement {
    /// Returns the toot, with as many highlights as there is room for.
    pub(super) fn toot(&self) -> String {
        let what = if self.has_notes_page { "Release notes" } else { "Manual" };
        let end = format!("\n{what}: {}\n", self.notes_link());
        let mut start = format!("{} is out!\n\n", self.title());
        if length(&start) + length(&end) > TOOT {
            start = format!("{} is out!\n\n", self.release.title());
        }
        for highlight in &self.highlights {
            let line = format!("• {}\n", plain(&highlight.synopsis));
            if length(&start) + length(&line) + length(&end) <= TOOT {
                start += &line;
            }
        }
        format!("{}{end}", if start.ends_with("\n\n") { start.trim_end().to_owned() + "\n" } else { start })
    }
}

/// Turns Markdown into plain text: without backquotes and emphasis, links as their text.
pub(super) fn plain(markdown: &str) -> String {
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

/// Counts characters as Mastodon does, or a few more: a link is 23.
pub(super) fn length(text: &str) -> usize {
    let word = |word: &str| if word.starts_with("https://") { LINK } else { word.chars().count() };
    text.split_inclusive(char::is_whitespace)
        .map(|part| word(part.trim_end()) + part.chars().count() - part.trim_end().chars().count())
        .sum()
}
