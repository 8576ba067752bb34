//! Which changes of a release to mention, and whom it thanks: chosen from its section of the release notes, and from
//! the fragments that the section was made from, because only they show what is significant.

use super::category::Category;
use super::fragment::Fragment;

/// Number of highlights if nothing is marked as significant.
const FEW: usize = 5;

/// A change that is worth mentioning, in Markdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Highlight {
    pub synopsis: String,
    /// Text; empty if the synopsis is all there is to say.
    pub body: String,
}

impl Highlight {
    /// Whether it mentions a vulnerability.
    pub fn is_about_security(&self) -> bool {
        mentions_security(&self.synopsis) || mentions_security(&self.body)
    }
}

/// Words that show that a text mentions a vulnerability, in lower case.
const SECURITY: [&str; 4] = ["cve-", "ghsa-", "vulnerab", "security"];

fn mentions_security(text: &str) -> bool {
    let text = text.to_lowercase();
    SECURITY.iter().any(|word| text.contains(word))
}

/// Chooses what to mention: fixes of vulnerabilities first, then every significant change in the order of the page or,
/// if nothing is significant, the first of each category.
pub fn highlights(fragments: &[Fragment], section: &str) -> Vec<Highlight> {
    let is_about_security =
        |fragment: &Fragment| mentions_security(&fragment.synopsis.value) || mentions_security(&fragment.body);
    let mut chosen: Vec<&Fragment> =
        fragments.iter().filter(|fragment| fragment.significant || is_about_security(fragment)).collect();
    chosen.sort_by_key(|fragment| (!is_about_security(fragment), fragment.category, fragment.file_name()));
    let highlight =
        |fragment: &Fragment| Highlight { synopsis: fragment.synopsis.value.clone(), body: fragment.body.clone() };
    let mut highlights: Vec<Highlight> = chosen.iter().map(|fragment| highlight(fragment)).collect();
    if !fragments.iter().any(|fragment| fragment.significant) {
        let told: Vec<String> = highlights.iter().map(|highlight| highlight.synopsis.clone()).collect();
        let first = first_entries(section).into_iter().filter(|synopsis| !told.contains(synopsis)).take(FEW);
        highlights.extend(first.map(|synopsis| Highlight { synopsis, body: String::new() }));
    }
    highlights
}

/// Returns the first entry of each category of a section, without the links at its end.
fn first_entries(section: &str) -> Vec<String> {
    let mut entries = Vec::new();
    let mut wanted = false;
    for line in section.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            wanted = Category::ALL.iter().any(|category| category.name() == heading.trim_end());
        } else if let Some(entry) = line.strip_prefix("- ").filter(|_| wanted) {
            entries.push(without_references(entry).to_owned());
            wanted = false;
        }
    }
    entries
}

/// Removes the links at the end of an entry: `Synopsis [lix#1](…) [cl/2](…)`.
fn without_references(entry: &str) -> &str {
    match entry.trim_end().rsplit_once(" [") {
        Some((before, link)) if link.ends_with(')') && link.contains("](") && !link.contains(' ') => {
            without_references(before)
        }
        _ => entry.trim_end(),
    }
}

/// Returns whom a section thanks, each once, in the order of the page.
pub fn credits(section: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for line in section.lines() {
        let thanked = line.trim().strip_prefix("Many thanks to ").and_then(|rest| rest.strip_suffix(" for this."));
        let all = thanked.unwrap_or_default().replace(", and ", ", ").replace(" and ", ", ");
        for name in all.split(", ").filter(|name| !name.is_empty()) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::Product;
    use proptest::prelude::*;

    const SECTION: &str = "\
# Lix 2.93.1 (2025-06-18)
## Fixes

- A `fix` [lix#5](https://x/5) [cl/7](https://y/7)

  - no entry

  Many thanks to [jade](x), puck, and [wiggles and more](z) for this.

- Another [link](x) inside

  Many thanks to [jade](x) and nobody for this.


## Unknown

- x
## Miscellany

- [Linked](x)
";

    #[test]
    fn from_the_section_alone() {
        let synopses: Vec<String> = highlights(&[], SECTION).into_iter().map(|highlight| highlight.synopsis).collect();
        assert_eq!(synopses, ["A `fix`", "[Linked](x)"]);
        assert_eq!(credits(SECTION)[..2], ["[jade](x)", "puck"]);
        assert_eq!(credits(SECTION).last().map(String::as_str), Some("nobody"));
    }

    #[test]
    fn significant_changes_go_before_all_else() {
        let fragment = |name: &str, more: &str| {
            let text = format!("---\nsynopsis: About {name}\n{more}\n---\nBody of {name}.\n");
            Fragment::parse(&Product::built_in(), name, text.as_bytes()).expect(name)
        };
        let fragments = [
            fragment("a.md", "significance: significant"),
            fragment("b.md", "category: Fixes\nsignificance: significant"),
            fragment("c.md", "category: Breaking Changes"),
        ];
        let highlights = highlights(&fragments, SECTION);
        assert_eq!(highlights.len(), 2);
        assert_eq!(highlights[0], Highlight { synopsis: "About b.md".into(), body: "Body of b.md.".into() });
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (credits(&text), first_entries(&text));
        }
    }
}
