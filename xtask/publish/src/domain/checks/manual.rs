//! The manual: whether every link in it leads somewhere, and whether it tells of the release.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;
use xtask::domain::problem::Problems;
use xtask::domain::shown::excerpt;
use xtask::domain::version::Version;

use super::page::Page;

/// Largest number of broken links that are named for a page.
const NAMED: usize = 3;
/// Where the manual stands while links are resolved: nothing is ever asked there.
const TOP: &str = "http://manual.invalid/top/";

/// A manual that was read.
#[derive(Debug, Default)]
pub struct Manual {
    /// Every file, by its path.
    pub files: BTreeSet<String>,
    /// Every page of HTML, by its path.
    pub pages: BTreeMap<String, Page>,
}

impl Manual {
    /// Returns how many links and anchors are broken, by page.
    pub fn broken_links(&self) -> Problems {
        let mut problems = Problems::default();
        for (path, page) in &self.pages {
            let broken: Vec<&String> =
                page.links.iter().filter(|link| !self.leads_somewhere(path, page, link)).collect();
            if broken.is_empty() {
                continue;
            }
            let named: Vec<String> = broken.iter().take(NAMED).map(|link| format!("`{}`", excerpt(link))).collect();
            let more = if broken.len() > NAMED { ", …" } else { "" };
            let count = broken.len();
            problems.add(format!("{}: {count} broken: {}{more}", excerpt(path), named.join(", ")));
        }
        problems
    }

    /// Whether a link leads to a file of the manual, and there to an anchor if it names one. A link that leaves the manual
    /// is not followed.
    fn leads_somewhere(&self, path: &str, page: &Page, link: &str) -> bool {
        let top = Url::parse(TOP).expect("it is an address");
        let here = |path: &str| {
            let mut here = top.clone();
            if let Ok(mut segments) = here.path_segments_mut() {
                segments.pop_if_empty().extend(path.split('/'));
            }
            here
        };
        let base = match &page.base {
            Some(base) => here(path).join(base),
            None => Ok(here(path)),
        };
        let Ok(to) = base.and_then(|base| base.join(link)) else { return false };
        // Another host, another scheme, or above the manual: a page may say that it stands elsewhere.
        if to.scheme() != top.scheme() || to.host_str() != top.host_str() {
            return true;
        }
        let Some(below) = to.path().strip_prefix(top.path()) else {
            return link.starts_with('/') || page.base.is_some();
        };
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let mut file = decode(below);
        if file.is_empty() || file.ends_with('/') {
            file.push_str("index.html");
        }
        let anchor = to.fragment().map(decode).filter(|anchor| !anchor.is_empty());
        match (self.pages.get(&file), anchor) {
            // Browsers go to the top of any page for this one.
            (Some(page), Some(anchor)) => page.anchors.contains(&anchor) || anchor.eq_ignore_ascii_case("top"),
            _ => self.files.contains(&file),
        }
    }

    /// Checks that the page of the version's series has a section about it, and that the manual's first page names it.
    pub fn tells_of(&self, product: &str, version: &Version, first: &str) -> Problems {
        let mut problems = Problems::default();
        let notes = format!("release-notes/rl-{}.html", version.series());
        let section = format!("{product} {version}");
        let is_section = |heading: &String| {
            heading.strip_prefix(&section).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '(', ':']))
        };
        match self.pages.get(&notes) {
            None => problems.add(format!("{notes} is missing")),
            Some(page) if !page.headings.iter().any(is_section) => {
                problems.add(format!("{notes} has no section `{section}`"));
            }
            Some(_) => {}
        }
        match self.pages.get(first) {
            None => problems.add(format!("{first} is missing")),
            Some(page) if !names(&page.text, &version.to_string()) => {
                problems.add(format!("{first} does not say {version}"));
            }
            Some(_) => {}
        }
        problems
    }
}

/// Whether a text has a version that no digit or dot continues.
fn names(text: &str, version: &str) -> bool {
    let continues = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text.match_indices(version).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let mut after = text[at + version.len()..].chars();
        let is_longer = match after.next() {
            Some('.') => after.next().is_some_and(|c| c.is_ascii_digit()),
            next => next.is_some_and(continues),
        };
        !is_longer && before.is_none_or(|c| c != '.' && !continues(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn manual(pages: &[(&str, &str)], files: &[&str]) -> Manual {
        let pages: BTreeMap<_, _> = pages.iter().map(|(path, html)| ((*path).to_owned(), Page::read(html))).collect();
        let files = files.iter().map(|path| (*path).to_owned()).chain(pages.keys().cloned()).collect();
        Manual { files, pages }
    }

    #[test]
    fn links_lead_somewhere() {
        let link = |to: &str| format!("<a href=\"{to}\">x</a>");
        let page: String = [
            "b.html",
            "./b.html#here",
            "../a/b.html?q=1#here",
            "c%20d.png",
            "../index.html",
            "..",
            "#top",
            "#",
            "",
            "b.html#gone",
            "gone.html",
            "../../up.html",
            "https://example.org/gone",
            "mailto:a@example.org",
            "/root.html",
            "B.html",
            "c d.png",
            "b.html#her%65",
            "//example.org/x",
            "javascript:void(0)",
            "data:,x",
        ]
        .map(link)
        .concat();
        let elsewhere = format!("<base href=\"/\">{}", link("b.html"));
        let shown = manual(
            &[("a/a.html", &page), ("a/b.html", "<p id=here>"), ("404.html", &elsewhere), ("index.html", "")],
            &["a/c d.png"],
        );
        let problems = shown.broken_links();
        expect!["a/a.html: 4 broken: `../../up.html`, `B.html`, `b.html#gone`, …"]
            .assert_eq(&problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn it_tells_of_the_release() {
        let version: Version = "2.93.1".parse().expect("valid");
        let told = |first: &str, notes: &str| {
            let manual = manual(&[("index.html", first), ("release-notes/rl-2.93.html", notes)], &[]);
            let problems = manual.tells_of("Lix", &version, "index.html");
            problems.iter().map(|problem| format!("{problem}\n")).collect::<String>()
        };
        assert_eq!(told("Lix 2.93.1.", "<h1>Lix 2.93.1 (2025-06-23)</h1>"), "");
        let shown = [
            told("Lix 2.93.10", "<h1>Lix 2.93.10 (2025-06-23)</h1>"),
            told("2.93.1.2, 12.93.1, 2.93.1-rc1", "<p>Lix 2.93.1</p>"),
        ];
        expect![[r#"
            release-notes/rl-2.93.html has no section `Lix 2.93.1`
            index.html does not say 2.93.1

            release-notes/rl-2.93.html has no section `Lix 2.93.1`
            index.html does not say 2.93.1
        "#]]
        .assert_eq(&shown.join("\n"));
        assert_eq!(Manual::default().tells_of("Lix", &version, "index.html").len(), 2);
    }
}
