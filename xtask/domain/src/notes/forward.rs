//! Notes that were released already: where the sections of maintenance releases go on the pages of `main`, and which
//! fragments of a tree were released.
//!
//! Sections are copied byte for byte as they were released; what a page has already stays as it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::fragment::Fragment;
use crate::amounts::enumerate;
use crate::product::Product;
use crate::version::Version;

/// A page, split where its sections start, without losing a byte.
struct NotesPage<'a> {
    /// Everything above the first section.
    title: &'a str,
    /// Sections, each from its heading to the next.
    sections: Vec<(Version, &'a str)>,
}

impl<'a> NotesPage<'a> {
    fn cut(product: &Product, text: &'a str) -> NotesPage<'a> {
        let mut starts = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            starts.extend(heading(product, line).map(|version| (version, at)));
            at += line.len();
        }
        let ends: Vec<usize> = starts.iter().map(|(_, start)| *start).skip(1).chain([text.len()]).collect();
        let title = &text[..starts.first().map_or(text.len(), |(_, start)| *start)];
        let sections = starts.into_iter().zip(ends).map(|((version, start), end)| (version, &text[start..end]));
        NotesPage { title, sections: sections.collect() }
    }
}

/// Returns the version, if a line is the heading of its section: `# Lix 2.93.1 (2025-06-18)`.
fn heading(product: &Product, line: &str) -> Option<Version> {
    line.strip_prefix("# ")?.strip_prefix(&product.name)?.strip_prefix(' ')?.split_once(" (")?.0.parse().ok()
}

/// Returns the section of a version, from its heading to the next.
pub fn section<'a>(product: &Product, page: &'a str, version: &Version) -> Option<&'a str> {
    NotesPage::cut(product, page).sections.into_iter().find(|(of, _)| of == version).map(|(_, text)| text)
}

/// Returns the versions that have sections on a page.
pub fn versions(product: &Product, page: &str) -> impl Iterator<Item = Version> {
    NotesPage::cut(product, page).sections.into_iter().map(|(version, _)| version)
}

/// Adds the sections that the page does not have yet, so that all sections are newest first.
pub fn add_sections(product: &Product, page: &str, released: &BTreeMap<Version, String>) -> String {
    let NotesPage { title, mut sections } = NotesPage::cut(product, page);
    let first_so_far = sections.first().map(|(version, _)| version.clone());
    for (version, text) in released {
        if sections.iter().all(|(there, _)| there != version) {
            let place = sections.iter().position(|(there, _)| there < version).unwrap_or(sections.len());
            sections.insert(place, (version.clone(), text));
        }
    }
    // `prepare` puts a section right below the title: blank lines between the title and the previous section are then
    // above that section, and came with the new one.
    let stays = sections.first().map(|(version, _)| version) == first_so_far.as_ref();
    let mut out = if stays { title.to_owned() } else { format!("{}\n", title.trim_end()) };
    for (i, (_, text)) in sections.iter().enumerate() {
        out += text;
        // A section at the end of its page has no blank line below it.
        if i + 1 < sections.len() && !text.ends_with("\n\n") {
            out += "\n\n";
        }
    }
    format!("{}\n", out.trim_end())
}

/// A fragment that became part of a release, as it was just before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasedFragment {
    pub version: Version,
    pub path: String,
    pub text: String,
}

/// The fragments of a tree that were released, or may have been; all others are news.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// Fragments that were released word for word.
    pub released: Vec<Match>,
    /// Fragments with the name or synopsis of a released one, but another text: the manager has to look.
    pub ambiguous: Vec<Match>,
}

/// A fragment, and the releases that it is compared with, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    pub path: String,
    pub versions: Vec<Version>,
}

impl Match {
    /// Lists the releases: `2.93.4, 2.94.2, and 2.95.2`.
    pub fn releases(&self) -> String {
        enumerate(&self.versions)
    }
}

/// Compares the fragments of a tree, paths and texts, with those that were released. Names alone decide nothing: a
/// backport may have another name, and an unrelated note the same.
pub fn matches(product: &Product, here: &[(String, String)], taken: &[ReleasedFragment]) -> Matches {
    let mut same_news: HashMap<News, BTreeSet<&Version>> = HashMap::new();
    let mut alike: HashMap<String, BTreeSet<&Version>> = HashMap::new();
    for ReleasedFragment { version, path, text } in taken {
        let news = News::of(product, path, text);
        for name in news.names(path) {
            alike.entry(name).or_default().insert(version);
        }
        same_news.entry(news).or_default().insert(version);
    }
    let mut matches = Matches::default();
    for (path, text) in here {
        let news = News::of(product, path, text);
        let found = |versions: BTreeSet<&Version>| Match {
            path: path.clone(),
            versions: versions.into_iter().cloned().collect(),
        };
        if let Some(versions) = same_news.get(&news) {
            matches.released.push(found(versions.clone()));
            continue;
        }
        let versions: BTreeSet<&Version> =
            news.names(path).iter().filter_map(|name| alike.get(name)).flatten().copied().collect();
        if !versions.is_empty() {
            matches.ambiguous.push(found(versions));
        }
    }
    matches
}

/// What a fragment tells its readers, apart from whitespace. The changes in `cls` are not part of it: a backport is
/// another change with the same news.
#[derive(Debug, PartialEq, Eq, Hash)]
struct News {
    /// Synopsis; empty if the text is not a valid fragment.
    synopsis: String,
    body: String,
}

impl News {
    fn of(product: &Product, path: &str, text: &str) -> News {
        match Fragment::parse(product, path, text.as_bytes()) {
            Ok(fragment) => News { synopsis: words(&fragment.synopsis.value), body: words(&fragment.body) },
            Err(_) => News { synopsis: String::new(), body: words(text) },
        }
    }

    /// Returns what else it can be recognised by.
    fn names(&self, path: &str) -> Vec<String> {
        let heading = (!self.synopsis.is_empty()).then(|| format!("synopsis {}", self.synopsis));
        heading.into_iter().chain([format!("path {path}")]).collect()
    }
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notes;
    use crate::release::Release;
    use expect_test::expect;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().expect(text)
    }

    /// The pages that a series has after each of its releases.
    fn pages(bodies: &[String]) -> Vec<String> {
        let mut pages: Vec<String> = Vec::new();
        for (patch, body) in bodies.iter().enumerate() {
            let release = Release::new(&Product::built_in().into(), version(&format!("2.93.{patch}")), "Bici Bici")
                .expect("a release");
            let day = format!("2025-05-{:02}", 9 + patch).parse().expect("a date");
            pages.push(notes::add_section(pages.last().map(String::as_str), &release, day, body).expect("same series"));
        }
        pages
    }

    fn sections(page: &str, versions: &[&str]) -> BTreeMap<Version, String> {
        let one = |text: &&str| {
            (version(text), section(&Product::built_in(), page, &version(text)).expect("a section").to_owned())
        };
        versions.iter().map(one).collect()
    }

    #[test]
    fn sections_go_where_their_version_belongs() {
        let main =
            "# Lix 2.93 \"N\" (d)\n\nmore\n\n# Lix 2.93.2 (d)\ntwo\n\n# Lix 2.93.0 (d)\nzero, with a typo fixed\n";
        let released = "# Lix 2.93 \"N\" (d)\n# Lix 2.93.3 (d)\nthree\n\n# Lix 2.93.2 (d)\nx\n# Lix 2.93.1 (d)\none\n";
        let released = sections(released, &["2.93.1", "2.93.2", "2.93.3"]);
        expect![[r#"
            # Lix 2.93 "N" (d)

            more
            # Lix 2.93.3 (d)
            three

            # Lix 2.93.2 (d)
            two

            # Lix 2.93.1 (d)
            one


            # Lix 2.93.0 (d)
            zero, with a typo fixed
        "#]]
        .assert_eq(&add_sections(&Product::built_in(), main, &released));
        assert_eq!(
            section(&Product::built_in(), "# Lix 2.93 \"N\" (d)\n# Release 2.18 (d)\n", &version("2.93.0")),
            None
        );
    }

    #[test]
    fn names_decide_nothing() {
        let taken = |version: &str, path: &str, text: &str| ReleasedFragment {
            version: version.parse().expect(version),
            path: path.into(),
            text: text.into(),
        };
        let note =
            |synopsis: &str, cls: &str, body: &str| format!("---\nsynopsis: {synopsis}\ncls: {cls}\n---\n{body}\n");
        let released = [
            taken("2.94.2", "a.md", &note("A", "[12, 13]", "one\ntwo")),
            taken("2.93.4", "a.md", &note("'A'", "11", "one\ntwo  \n\n")),
            taken("2.93.4", "b.md", &note("B", "1", "three")),
            taken("2.93.4", "c.md", "not a fragment\n"),
        ];
        let here = [
            ("a.md", note("\"A\"", "10", "one\r\n\r\ntwo")),
            ("other-name.md", note("B", "2", "three")),
            ("b.md", note("Another", "3", "three")),
            ("heading.md", note("B", "4", "four")),
            ("c.md", "not a  fragment\r\n\r\n".to_owned()),
            ("d.md", note("D", "1", "three")),
        ];
        let matches = matches(&Product::built_in(), &here.map(|(path, text)| (path.to_owned(), text)), &released);
        let shown = |matches: &[Match]| {
            matches.iter().map(|found| format!("{}: {}", found.path, found.releases())).collect::<Vec<_>>()
        };
        assert_eq!(shown(&matches.released), ["a.md: 2.93.4 and 2.94.2", "other-name.md: 2.93.4", "c.md: 2.93.4"]);
        assert_eq!(shown(&matches.ambiguous), ["b.md: 2.93.4", "heading.md: 2.93.4"]);
    }

    /// The bodies of a few releases' sections, as they are rendered.
    fn bodies() -> impl Strategy<Value = Vec<String>> {
        let body = "(## F\n\n(- [a-z]{1,4}\n\n(  x\n)?){0,3}\n\n)?";
        prop::collection::vec(body, 2..6)
    }

    proptest! {
        /// Whatever `main` has of a series, it gets the bytes that the release branch has.
        #[test]
        fn main_catches_up_to_the_byte(bodies in bodies(), known in 0usize..5) {
            let pages = pages(&bodies);
            let known = known.min(pages.len() - 1);
            let last = pages.last().expect("at least two");
            let product = Product::built_in();
            let all = NotesPage::cut(&product, last).sections.into_iter().map(|(version, text)| (version, text.to_owned())).collect();
            let caught_up = add_sections(&product, &pages[known], &all);
            prop_assert_eq!(&caught_up, last);
            prop_assert_eq!(&add_sections(&product, &caught_up, &all), last);
        }
    }
}
