//! Which files in a directory of fragments are fragments, by their names, and remarks about the others.

/// Whether a file of this name is a fragment.
pub fn counts(name: &str) -> bool {
    name.ends_with(".md") && !name.starts_with('.')
}

/// Returns why a file that is not a fragment may be there by mistake; `None` if it is unlikely to be a note.
///
/// Files that start with a dot are not notes (`.gitkeep`, an editor's `.a.md.swp`), except a note that was hidden, and
/// Emacs' mark that a note has unsaved changes.
pub fn remark(name: &str) -> Option<String> {
    if let Some(edited) = name.strip_prefix(".#") {
        return Some(format!("shows that an editor has unsaved changes to {edited}: save them, or remove this mark"));
    }
    let hidden = name.starts_with('.');
    let plain = name.trim_start_matches('.');
    if hidden && !plain.ends_with(".md") {
        return None;
    }
    if plain.ends_with('~') || (plain.starts_with('#') && plain.ends_with('#')) {
        return Some("is an editor's copy and is not read: remove it".to_owned());
    }
    let leftovers = [".orig", ".rej", ".bak", ".swp", ".tmp"];
    if leftovers.iter().any(|ending| plain.ends_with(ending)) {
        return Some("is left over from other work and is not read: remove it".to_owned());
    }
    Some(format!("is not read: if it is a fragment, rename it to {}", proper(plain)))
}

/// Whether a file in a subdirectory may be meant as a note.
pub fn looks_like_a_note(name: &str) -> bool {
    let lower = name.to_lowercase();
    counts(name) || (!name.starts_with('.') && ENDINGS.iter().any(|ending| lower.ends_with(ending)))
}

/// Endings that people and programs give to Markdown files.
const ENDINGS: [&str; 8] = [".md.txt", ".markdown", ".mkdn", ".mdwn", ".mdx", ".mkd", ".txt", ".md"];

/// Returns the name that a fragment would have.
fn proper(name: &str) -> String {
    let name = name.trim();
    let lower = name.to_lowercase();
    let ending = ENDINGS.iter().find(|ending| lower.ends_with(**ending) && lower.len() > ending.len());
    let stem = ending.and_then(|ending| name.get(..name.len() - ending.len()));
    format!("{}.md", stem.unwrap_or(name).trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn every_name_is_a_fragment_or_explained_or_ignored() {
        let mut shown = String::new();
        for name in [
            "a.md",
            "X.MD",
            "y.markdown",
            "w.mdx",
            "z.md.txt",
            "a.md~",
            ".#a.md",
            "#a.md#",
            ".a.md.swp",
            ".gitkeep",
            ".DS_Store",
            ".hidden.md",
            "README",
            "note.rst",
            "a.md.orig",
            ".md",
            "md",
            "b.",
            "ſ.MD",
            "İ.MD",
            "a.md ",
        ] {
            let said =
                if counts(name) { "a fragment".to_owned() } else { remark(name).unwrap_or_else(|| "-".to_owned()) };
            shown += &format!("{name}: {said}\n");
        }
        expect![[r#"
            a.md: a fragment
            X.MD: is not read: if it is a fragment, rename it to X.md
            y.markdown: is not read: if it is a fragment, rename it to y.md
            w.mdx: is not read: if it is a fragment, rename it to w.md
            z.md.txt: is not read: if it is a fragment, rename it to z.md
            a.md~: is an editor's copy and is not read: remove it
            .#a.md: shows that an editor has unsaved changes to a.md: save them, or remove this mark
            #a.md#: is an editor's copy and is not read: remove it
            .a.md.swp: -
            .gitkeep: -
            .DS_Store: -
            .hidden.md: is not read: if it is a fragment, rename it to hidden.md
            README: is not read: if it is a fragment, rename it to README.md
            note.rst: is not read: if it is a fragment, rename it to note.rst.md
            a.md.orig: is left over from other work and is not read: remove it
            .md: -
            md: is not read: if it is a fragment, rename it to md.md
            b.: is not read: if it is a fragment, rename it to b.md
            ſ.MD: is not read: if it is a fragment, rename it to ſ.md
            İ.MD: is not read: if it is a fragment, rename it to İ.md
            a.md : is not read: if it is a fragment, rename it to a.md
        "#]]
        .assert_eq(&shown);
    }
}
