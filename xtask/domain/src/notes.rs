//! From fragments to release notes: the rendering of entries, and the edits of a series' page and of `SUMMARY.md`.
//!
//! Owns the exact bytes, which are those that Lix's releases have had since 2.90. Texts go in, texts come out.
//!
//! * [`fragment`]: one change, as its author describes it; [`yaml`]: the subset of YAML in its front matter
//! * [`reference`]: issues, pull requests and changes that it names; [`authors`]: who is credited, and how
//! * [`category`]: what kind of change it is
//! * [`highlights`]: which changes of a release to mention
//! * [`forward`]: notes that were released already, on their way to the pages of `main`

pub mod authors;
pub mod category;
pub mod forward;
pub mod fragment;
pub mod highlights;
pub mod reference;
pub mod yaml;

use self::authors::Authors;
use self::category::Category;
use self::fragment::Fragment;
use self::reference::{Reference, Tracker};
use self::yaml::Placed;
use super::amounts::enumerate;
use super::date::Date;
use super::problem::{Problem, Problems};
use super::product::{Links, fill};
use super::release::Release;
use super::shown::excerpt;
use super::version::Series;

/// Directory of the fragments of unreleased changes, in the tree.
pub const FRAGMENTS: &str = "doc/manual/rl-next";
/// Directory of the pages of release notes.
pub const PAGES: &str = "doc/manual/src/release-notes";
/// The list of authors, who may be credited.
pub const AUTHORS: &str = "doc/manual/change-authors.yml";
/// The manual's table of contents.
pub const SUMMARY: &str = "doc/manual/src/SUMMARY.md";

/// The line of `SUMMARY.md` below which the page of a new MAJOR is listed.
pub const SUMMARY_MARKER: &str = "<!-- RELENG-AUTO-INSERTION-MARKER";

/// Renders fragments, by category, significant ones first, then by file name.
///
/// Without `authors`, credits are shown as keys, without links.
///
/// # Errors
/// Every credit that `authors` does not have.
pub fn render(fragments: &[Fragment], authors: Option<&Authors>, links: &Links) -> Result<String, Problems> {
    let mut entries: Vec<&Fragment> = fragments.iter().collect();
    entries.sort_by_key(|entry| (entry.category, !entry.significant, entry.file_name()));
    let mut problems = Problems::default();
    let mut out = String::new();
    for category in entries.chunk_by(|a, b| a.category == b.category) {
        out += &heading(category[0].category);
        for entry in category {
            render_entry(&mut out, entry, authors, links, &mut problems);
        }
        out += "\n";
    }
    problems.into_result().map(|()| out)
}

fn heading(category: Category) -> String {
    format!("## {}\n\n", category.name())
}

fn render_entry(out: &mut String, entry: &Fragment, authors: Option<&Authors>, links: &Links, problems: &mut Problems) {
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
        match authors {
            Some(authors) => match authors.link(&credit.value, links) {
                Some(name) => names.push(name),
                None => problems.push(unknown(&entry.path, credit, authors)),
            },
            None => names.push(credit.value.clone()),
        }
    }
    if !names.is_empty() {
        *out += &format!("\n  Many thanks to {} for this.\n", enumerate(&names));
    }
    *out += "\n";
}

/// That a credit is not in the author list.
fn unknown(path: &str, credit: &Placed<String>, authors: &Authors) -> Problem {
    let remedy = authors
        .guess(&credit.value)
        .map_or_else(|| "add it there".to_owned(), |keys| format!("did you mean `{keys}`?"));
    let what = format!("credits: `{}` is not in the author list: {remedy}", excerpt(&credit.value));
    Problem::at(path, credit.line, what)
}

/// Reports credits of invalid fragments that `authors` does not have.
pub fn unknown_credits(credits: &[(String, Placed<String>)], authors: &Authors) -> Problems {
    let strangers = credits.iter().filter(|(_, credit)| !authors.has(&credit.value));
    strangers.map(|(path, credit)| unknown(path, credit, authors)).collect()
}

/// Formats a reference as a link to its tracker.
fn link(reference: &Reference, lix: &str, nix: &str) -> String {
    let link = match reference.tracker {
        Tracker::Lix => lix,
        Tracker::Nix => nix,
    };
    format!("[{reference}]({})", fill(link, reference.number))
}

/// Reports fragments that describe the same change, which `--check` refuses in addition to what rendering does.
pub fn duplicates(fragments: &[Fragment]) -> Problems {
    let mut problems = Problems::default();
    let mut synopses = std::collections::HashMap::new();
    let mut changes = std::collections::HashMap::new();
    for fragment in fragments {
        let synopsis = &fragment.synopsis;
        if let Some(first) = synopses.insert(synopsis.value.as_str(), fragment.path.as_str()) {
            let what = format!("synopsis: {first} has the same one: merge the two, or change one of them");
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

/// Adds the section of `release` at the top of its series' page, `rl-2.93.md`.
///
/// `page` is the present text, `None` for a new MAJOR; `body` is the result of [`render`].
///
/// # Errors
/// The page belongs to another series or carries another name, or is not plain text as git keeps it.
pub fn add_section(page: Option<&str>, release: &Release, date: Date, body: &str) -> Result<String, String> {
    let title = page_title(release);
    if let Some(why) = page.and_then(unusual) {
        return Err(why.to_owned());
    }
    let section = format!("{}\n{body}", section_heading(release, date));
    let text = match page {
        None => format!("{title} ({date})\n\n\n{section}"),
        Some(page) if page.starts_with(&title) => {
            let (first, rest) = page.split_once('\n').unwrap_or((page, ""));
            format!("{first}\n{section}\n\n{rest}")
        }
        Some(page) if page.trim().is_empty() => {
            return Err(format!("is empty: remove it, or start it with `{title} (DATE)`"));
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

/// Returns why lines that are inserted into a text would differ from the others.
fn unusual(text: &str) -> Option<&'static str> {
    if text.starts_with('\u{feff}') {
        return Some("starts with a byte-order mark: save it as UTF-8 without one");
    }
    text.contains('\r').then_some("has CRLF line ends: save it with LF line ends")
}

/// `# Lix 2.93 "Bici Bici"`, without the date that follows it.
fn page_title(release: &Release) -> String {
    format!("# {} {} \"{}\"", release.product().name, release.series(), release.name())
}

fn section_heading(release: &Release, date: Date) -> String {
    format!("# {} ({date})", release.title())
}

/// Returns the date of a release's section, as its page has it; `None` if the page has no such section.
pub fn section_date<'a>(page: &'a str, release: &Release) -> Option<&'a str> {
    let heading = format!("# {} (", release.title());
    page.lines().find_map(|line| line.strip_prefix(&heading)).map(|rest| rest.trim_end().trim_end_matches(')'))
}

/// Returns the path of a series' page in the tree, `…/rl-2.93.md`.
pub fn page_path(series: Series) -> String {
    format!("{PAGES}/{}", page_name(series))
}

/// Returns the path of the same page in the built manual, relative to the manual's start page.
pub fn notes_page(series: Series) -> String {
    format!("release-notes/rl-{series}.html")
}

fn page_name(series: Series) -> String {
    format!("rl-{series}.md")
}

/// Lists the page of a new MAJOR in `SUMMARY.md`, below the marker.
///
/// # Errors
/// There is not exactly one marker, the page is listed already, or the file is not plain text as git keeps it.
pub fn add_to_summary(summary: &str, release: &Release, date: Date) -> Result<String, String> {
    if let Some(why) = unusual(summary) {
        return Err(why.to_owned());
    }
    let (series, page) = (release.series(), page_name(release.series()));
    if summary.contains(&format!("(release-notes/{page})")) {
        return Err(format!("already lists {page}, which does not exist: remove that line"));
    }
    let markers: Vec<usize> = summary.match_indices(SUMMARY_MARKER).map(|(at, _)| at).collect();
    let [marker] = markers[..] else {
        return Err(format!("must have `{SUMMARY_MARKER}` on exactly one line, but has it {} times", markers.len()));
    };
    let line_start = summary[..marker].rfind('\n').map_or(0, |at| at + 1);
    let line_end = summary[marker..].find('\n').map_or(summary.len(), |at| marker + at + 1);
    let before = &summary[..line_end];
    let line_break = if before.ends_with('\n') { "" } else { "\n" };
    let indent = " ".repeat((marker - line_start).saturating_sub(2));
    Ok(format!(
        "{before}{line_break}{indent}- [{} {series} ({date})](release-notes/{page})\n{}",
        release.product().name,
        &summary[line_end..]
    ))
}

#[cfg(test)]
mod tests;
