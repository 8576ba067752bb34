//! From fragments to release notes: the rendering of entries, and the edits of a series' page and of `SUMMARY.md`.
//!
//! Owns the exact bytes, which are those that Lix's releases have had since 2.90. Refuses to read or write files: texts
//! go in, texts come out.

use jiff::civil::Date;

use super::authors::Authors;
use super::fragment::{Category, Fragment, Placed};
use super::problem::{Problem, Problems};
use super::product::{fill, product};
use super::reference::{Reference, Tracker};
use super::release::Release;
use super::version::{Series, Version};

/// Where the fragments of unreleased changes lie in the tree.
pub const FRAGMENTS: &str = "doc/manual/rl-next";
/// Where the pages of release notes lie.
pub const PAGES: &str = "doc/manual/src/release-notes";
/// Who may be credited.
pub const AUTHORS: &str = "doc/manual/change-authors.yml";
/// The manual's table of contents.
pub const SUMMARY: &str = "doc/manual/src/SUMMARY.md";

/// The line of `SUMMARY.md` below which the page of a new MAJOR is listed.
pub const SUMMARY_MARKER: &str = "<!-- RELENG-AUTO-INSERTION-MARKER";

/// Renders fragments, by category, significant ones first, then by file name.
///
/// Without `authors`, credits are shown by their keys, unlinked.
///
/// # Errors
/// Every credit that `authors` does not have.
pub fn render(fragments: &[Fragment], authors: Option<&Authors>) -> Result<String, Problems> {
    let mut entries: Vec<&Fragment> = fragments.iter().collect();
    entries.sort_by_key(|entry| (entry.category, !entry.significant, entry.file_name()));
    let mut problems = Problems::default();
    let mut out = String::new();
    for category in entries.chunk_by(|a, b| a.category == b.category) {
        out += &heading(category[0].category);
        for entry in category {
            render_entry(&mut out, entry, authors, &mut problems);
        }
        out += "\n";
    }
    problems.into_result().map(|()| out)
}

fn heading(category: Category) -> String {
    format!("## {}\n\n", category.name())
}

fn render_entry(out: &mut String, entry: &Fragment, authors: Option<&Authors>, problems: &mut Problems) {
    let links = &product().links;
    let issues = entry.issues.iter().map(|issue| link(issue, &links.issue, &links.nix_issue));
    let prs = entry.prs.iter().map(|pr| link(pr, &links.pull, &links.nix_pull));
    let cls = entry.cls.iter().map(|cl| format!("[cl/{}]({})", cl.value, fill(&links.change, cl.value)));
    let headline: Vec<String> =
        std::iter::once(entry.synopsis.value.clone()).chain(issues).chain(prs).chain(cls).collect();
    *out += &format!("- {}\n\n", headline.join(" "));

    for line in entry.body.split('\n') {
        if !line.trim().is_empty() {
            *out += "  ";
        }
        *out += line;
        *out += "\n";
    }

    let mut names = Vec::new();
    for credit in &entry.credits {
        match authors.map_or_else(|| Ok(credit.value.clone()), |authors| credited(&entry.path, credit, authors)) {
            Ok(name) => names.push(name),
            Err(problem) => problems.push(problem),
        }
    }
    if !names.is_empty() {
        *out += &format!("\n  Many thanks to {} for this.\n", enumerate(&names));
    }
    *out += "\n";
}

/// Who is credited, linked.
fn credited(path: &str, credit: &Placed<String>, authors: &Authors) -> Result<String, Problem> {
    authors.link(&credit.value).ok_or_else(|| {
        let remedy = authors
            .guess(&credit.value)
            .map_or_else(|| "add it there".to_owned(), |keys| format!("did you mean `{keys}`?"));
        let what = format!("credits: `{}` is not in the author list: {remedy}", credit.value.escape_debug());
        Problem::at(path, credit.line, what)
    })
}

/// The credits of files that are not valid fragments: the ones that `authors` does not have.
pub fn unknown_credits(credits: &[(String, Placed<String>)], authors: &Authors) -> Problems {
    credits.iter().filter_map(|(path, credit)| credited(path, credit, authors).err()).collect()
}

/// A reference, linked to where its tracker has it.
fn link(reference: &Reference, lix: &str, nix: &str) -> String {
    let link = match reference.tracker {
        Tracker::Lix => lix,
        Tracker::Nix => nix,
    };
    format!("[{reference}]({})", fill(link, reference.number))
}

/// `a`, `a and b`, `a, b, and c`.
pub fn enumerate(names: &[String]) -> String {
    match names {
        [rest @ .., last] if rest.len() > 1 => format!("{}, and {last}", rest.join(", ")),
        names => names.join(" and "),
    }
}

/// What `--check` asks beyond rendering: that no two fragments tell the same story.
pub fn duplicates(fragments: &[Fragment]) -> Problems {
    let mut problems = Problems::default();
    let mut synopses = std::collections::HashMap::new();
    let mut changes = std::collections::HashMap::new();
    for fragment in fragments {
        let synopsis = &fragment.synopsis;
        if let Some(first) = synopses.insert(synopsis.value.as_str(), fragment.path.as_str()) {
            let what = format!("synopsis: {first} has the same one: merge the two, or tell them apart");
            problems.push(Problem::at(&fragment.path, synopsis.line, what));
        }
        for cl in &fragment.cls {
            if let Some(first) = changes.insert(cl.value, fragment.path.as_str()) {
                let place = if first == fragment.path { "this fragment" } else { first };
                let what =
                    format!("cls: {} is already listed in {place}: a change belongs to one entry, once", cl.value);
                problems.push(Problem::at(&fragment.path, cl.line, what));
            }
        }
    }
    problems
}

/// The page of a series, `rl-2.93.md`, with the section of `release` put on top.
///
/// `page` is what is there, `None` for a new MAJOR; `body` is what [`render`] gave.
///
/// # Errors
/// The page belongs to another series or carries another name.
pub fn add_section(page: Option<&str>, release: &Release, date: Date, body: &str) -> Result<String, String> {
    let title = page_title(release);
    let section = format!("{}\n{body}", section_heading(release.version(), date));
    let text = match page {
        None => format!("{title} ({date})\n\n\n{section}"),
        Some(page) if page.starts_with(&title) => {
            let (first, rest) = page.split_once('\n').unwrap_or((page, ""));
            format!("{first}\n{section}\n\n{rest}")
        }
        Some(page) => {
            return Err(format!(
                "starts with `{}`, not with `{title}`: correct the page or the release name, whichever is wrong",
                page.lines().next().unwrap_or_default()
            ));
        }
    };
    Ok(format!("{}\n", text.trim_end()))
}

/// `# Lix 2.93 "Bici Bici"`, without the date that follows it.
fn page_title(release: &Release) -> String {
    format!("# {} {} \"{}\"", product().name, release.series(), release.name())
}

fn section_heading(version: &Version, date: Date) -> String {
    format!("# {} {version} ({date})", product().name)
}

/// The date of a version's section on its page, as written there; `None` if the page has no such section.
pub fn section_date<'a>(page: &'a str, version: &Version) -> Option<&'a str> {
    let heading = format!("# {} {version} (", product().name);
    page.lines().find_map(|line| line.strip_prefix(&heading)).map(|rest| rest.trim_end().trim_end_matches(')'))
}

/// The page of a series in the tree, `…/rl-2.93.md`.
pub fn page_path(series: Series) -> String {
    format!("{PAGES}/{}", page_name(series))
}

/// The same page in the manual, relative to its start page.
pub fn notes_page(series: Series) -> String {
    format!("release-notes/rl-{series}.html")
}

fn page_name(series: Series) -> String {
    format!("rl-{series}.md")
}

/// `SUMMARY.md` with the page of a new MAJOR listed below the marker.
///
/// # Errors
/// There is not exactly one marker, or the page is listed already.
pub fn add_to_summary(summary: &str, series: Series, date: Date) -> Result<String, String> {
    let page = page_name(series);
    if summary.contains(&format!("(release-notes/{page})")) {
        return Err(format!("already lists {page}, which does not exist: remove that line"));
    }
    let markers: Vec<usize> = summary.match_indices(SUMMARY_MARKER).map(|(at, _)| at).collect();
    let [marker] = markers[..] else {
        return Err(format!("must hold `{SUMMARY_MARKER}` on exactly one line, and holds it {} times", markers.len()));
    };
    let line_start = summary[..marker].rfind('\n').map_or(0, |at| at + 1);
    let line_end = summary[marker..].find('\n').map_or(summary.len(), |at| marker + at + 1);
    let before = &summary[..line_end];
    let line_break = if before.ends_with('\n') { "" } else { "\n" };
    let indent = " ".repeat((marker - line_start).saturating_sub(2));
    Ok(format!(
        "{before}{line_break}{indent}- [{} {series} ({date})](release-notes/{page})\n{}",
        product().name,
        &summary[line_end..]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use jiff::civil::date;

    fn fragment(name: &str, front_matter: &str, body: &str) -> Fragment {
        let text = format!("---\n{front_matter}\n---\n{body}");
        Fragment::parse(&format!("rl-next/{name}"), text.as_bytes()).expect(name)
    }

    fn some_fragments() -> Vec<Fragment> {
        vec![
            fragment(
                "a.md",
                "synopsis: A fix\ncategory: Fixes\ncls: [7, 8]\nprs: [gh#3, 4]\nissues: fj#5\ncredits: [jade]",
                "one\n\n\n  code\n",
            ),
            fragment("a_b.md", "synopsis: Last by name\ncategory: Fixes\ncredits: [jade, puck]", "x"),
            fragment("a-b.md", "synopsis: First by name\ncategory: Fixes\ncredits: [jade, puck, winter]", "x"),
            fragment("z.md", "synopsis: But this is significant\ncategory: Fixes\nsignificance: significant", "x"),
            fragment("m.md", "synopsis: No category", ""),
            fragment("b.md", "synopsis: Breaks\ncategory: Breaking Changes", "x"),
        ]
    }

    #[test]
    fn rendering() {
        let rendered = render(&some_fragments(), None).expect("no authors asked for");
        expect![[r#"
            ## Breaking Changes

            - Breaks

              x


            ## Fixes

            - But this is significant

              x

            - First by name

              x

              Many thanks to jade, puck, and winter for this.

            - A fix [lix#5](https://git.lix.systems/lix-project/lix/issues/5) [nix#3](https://github.com/NixOS/nix/pull/3) [lix#4](https://git.lix.systems/lix-project/lix/pulls/4) [cl/7](https://gerrit.lix.systems/c/lix/+/7) [cl/8](https://gerrit.lix.systems/c/lix/+/8)

              one


                code

              Many thanks to jade for this.

            - Last by name

              x

              Many thanks to jade and puck for this.


            ## Miscellany

            - No category




        "#]].assert_eq(&rendered);
    }

    #[test]
    fn blank_lines_of_a_body_stay_as_they_are() {
        let rendered = render(&[fragment("a.md", "synopsis: x", "one\n \t \n\ntwo\n")], None).expect("no authors");
        assert!(rendered.contains("\n  one\n \t \n\n  two\n"), "{rendered:?}");
    }

    #[test]
    fn an_unknown_credit_names_the_nearest() {
        let authors = Authors::parse("jade: {}\npuck: {}\nwinters: {}\n").expect("valid");
        let problems = render(&some_fragments(), Some(&authors)).expect_err("winter is missing");
        expect!["rl-next/a-b.md:4: credits: `winter` is not in the author list: did you mean `winters`?"]
            .assert_eq(&problems.to_string());
    }

    #[test]
    fn the_same_story_twice() {
        let problems = duplicates(&[
            fragment("a.md", "synopsis: Same\ncls: [1, 2, 1]", "x"),
            fragment("b.md", "synopsis: Same\ncls: 2", "x"),
        ]);
        expect![[r#"
            rl-next/a.md:3: cls: 1 is already listed in this fragment: a change belongs to one entry, once
            rl-next/b.md:2: synopsis: rl-next/a.md has the same one: merge the two, or tell them apart
            rl-next/b.md:3: cls: 2 is already listed in rl-next/a.md: a change belongs to one entry, once"#]]
        .assert_eq(&problems.to_string());
    }

    fn release(version: &str, name: &str) -> Release {
        Release::new(version.parse().expect(version), name).expect(name)
    }

    #[test]
    fn a_page_grows_from_the_top() {
        let first =
            add_section(None, &release("2.93.0", "Bici Bici"), date(2025, 5, 9), "## Fixes\n\n- a\n\n\n").expect("new");
        let second =
            add_section(Some(&first), &release("2.93.1", "Bici Bici"), date(2025, 6, 3), "## Fixes\n\n- b\n\n\n")
                .expect("same series");
        let third =
            add_section(Some(&second), &release("2.93.2", "Bici Bici"), date(2025, 7, 1), "").expect("same series");
        expect![[r##"
            # Lix 2.93 "Bici Bici" (2025-05-09)
            # Lix 2.93.2 (2025-07-01)


            # Lix 2.93.1 (2025-06-03)
            ## Fixes

            - b






            # Lix 2.93.0 (2025-05-09)
            ## Fixes

            - a
        "##]]
        .assert_eq(&third);
        let version = |text: &str| text.parse().expect(text);
        assert_eq!(section_date(&third, &version("2.93.1")), Some("2025-06-03"));
        assert_eq!(section_date(&third, &version("2.93.10")), None);
        let error =
            add_section(Some(&third), &release("2.93.3", "Other"), date(2025, 7, 1), "").expect_err("other name");
        expect![[r#"starts with `# Lix 2.93 "Bici Bici" (2025-05-09)`, not with `# Lix 2.93 "Other"`: correct the page or the release name, whichever is wrong"#]].assert_eq(&error);
    }

    #[test]
    fn the_summary_gets_one_line() {
        let series = "2.95.0".parse::<Version>().expect("valid").series();
        let summary = "- [Notes](n.md)\n    <!-- RELENG-AUTO-INSERTION-MARKER (x) -->\n  - [Lix 2.94 (d)](release-notes/rl-2.94.md)\n";
        let edited = add_to_summary(summary, series, date(2026, 3, 13)).expect("one marker");
        expect![[r#"
            - [Notes](n.md)
                <!-- RELENG-AUTO-INSERTION-MARKER (x) -->
              - [Lix 2.95 (2026-03-13)](release-notes/rl-2.95.md)
              - [Lix 2.94 (d)](release-notes/rl-2.94.md)
        "#]]
        .assert_eq(&edited);
        for wrong in ["", &format!("{summary}{summary}"), &edited] {
            add_to_summary(wrong, series, date(2026, 3, 13)).expect_err(wrong);
        }
        let at_the_end =
            add_to_summary("<!-- RELENG-AUTO-INSERTION-MARKER", series, date(2026, 3, 13)).expect("one marker");
        assert!(at_the_end.contains("MARKER\n- [Lix 2.95"));
    }
}
