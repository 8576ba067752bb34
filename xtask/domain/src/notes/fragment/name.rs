//! Which files of a directory of fragments are fragments, by their names, and what is said of the others.

/// Whether a file of this name is a fragment.
pub fn counts(name: &str) -> bool {
    name.ends_with(".md") && !name.starts_with('.')
}

/// Why a file that is not a fragment may be there by mistake; `None` if nobody would take it for a note.
///
/// Files that start with a dot are nobody's notes (`.gitkeep`, an editor's `.a.md.swp`), but for a note that was hidden,
/// and for Emacs' mark that changes to a note are not saved yet.
pub fn remark(name: &str) -> Option<String> {
    if let Some(edited) = name.strip_prefix(".#") {
        return Some(format!(
            "marks that an editor has changes to {edited} that are not saved: save it, or remove the mark"
        ));
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
    Some(format!("is not read: is it a fragment? Call it {}", proper(plain)))
}

/// Whether a file in a subdirectory may be meant as a note.
pub fn looks_like_a_note(name: &str) -> bool {
    let lower = name.to_lowercase();
    counts(name) || (!name.starts_with('.') && ENDINGS.iter().any(|ending| lower.ends_with(ending)))
}

/// What people and programs call files of Markdown.
const ENDINGS: [&str; 8] = [".md.txt", ".markdown", ".mkdn", ".mdwn", ".mdx", ".mkd", ".txt", ".md"];

/// The name that a fragment would have.
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
    fn every_name_is_a_fragment_or_explained_or_nobodys_note() {
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
            X.MD: is not read: is it a fragment? Call it X.md
            y.markdown: is not read: is it a fragment? Call it y.md
            w.mdx: is not read: is it a fragment? Call it w.md
            z.md.txt: is not read: is it a fragment? Call it z.md
            a.md~: is an editor's copy and is not read: remove it
            .#a.md: marks that an editor has changes to a.md that are not saved: save it, or remove the mark
            #a.md#: is an editor's copy and is not read: remove it
            .a.md.swp: -
            .gitkeep: -
            .DS_Store: -
            .hidden.md: is not read: is it a fragment? Call it hidden.md
            README: is not read: is it a fragment? Call it README.md
            note.rst: is not read: is it a fragment? Call it note.rst.md
            a.md.orig: is left over from other work and is not read: remove it
            .md: -
            md: is not read: is it a fragment? Call it md.md
            b.: is not read: is it a fragment? Call it b.md
            ſ.MD: is not read: is it a fragment? Call it ſ.md
            İ.MD: is not read: is it a fragment? Call it İ.md
            a.md : is not read: is it a fragment? Call it a.md
        "#]]
        .assert_eq(&shown);
    }
}
