//! What the text of a `flake.nix` shows without evaluating it, which would fetch its inputs.

/// Whether an output of this name is defined: the name occurs as an attribute, not in a comment, a string or a path.
pub fn has_output(flake: &str, name: &str) -> bool {
    code(flake)
        .split(is_separator)
        .any(|word| word == name || word.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// Whether a character cannot occur in an attribute path or a path.
fn is_separator(c: char) -> bool {
    !(c.is_alphanumeric() || "_-'./~".contains(c))
}

/// Returns the text without its comments and strings, interpolations included: no output is defined there.
fn code(flake: &str) -> String {
    let (mut code, mut rest) = (String::new(), flake);
    while let Some(c) = rest.chars().next() {
        let end = if c == '#' {
            Some("\n")
        } else if rest.starts_with("/*") {
            Some("*/")
        } else if c == '"' {
            Some("\"")
        } else if rest.starts_with("''") && !code.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            Some("''")
        } else {
            None
        };
        let Some(end) = end else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        rest = behind(&rest[end.len().min(rest.len())..], end);
        code.push('\n');
    }
    code
}

/// Returns the text after the end of a string or comment.
fn behind<'a>(mut text: &'a str, end: &str) -> &'a str {
    loop {
        let Some(c) = text.chars().next() else { return "" };
        // `\"` in a string; `'''`, `''$` and `''\` in an indented one.
        let escape = match end {
            "\"" if c == '\\' => text.chars().nth(1).map(|next| 1 + next.len_utf8()),
            "''" if ["'''", "''$", "''\\"].iter().any(|escape| text.starts_with(escape)) => Some(3),
            _ => None,
        };
        match escape {
            Some(length) => text = &text[length..],
            None if text.starts_with(end) => return &text[end.len()..],
            None => text = &text[c.len_utf8()..],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_told_from_what_only_has_its_name() {
        let has = |flake: &str| has_output(flake, "release-jobs");
        for flake in [
            "{ release-jobs = 1; }",
            "{ outputs = x: { a = ''\n  '${b}' ''${c} '' ; release-jobs.all = 1; }; }",
            "{ inherit (x) release-jobs; }",
            "{ a = \"\\\" # \"; release-jobs = import ./r.nix; } # it's",
            "let x' = 1; y'' = 2; in { release-jobs = 1; }",
        ] {
            assert!(has(flake), "{flake}");
        }
        for flake in [
            "",
            "{ jobs = import ./releng/release-jobs.nix; }",
            "# release-jobs = 1;\n{ /* release-jobs = 1; */ }",
            "{ a = \"release-jobs = 1;\"; b = ''\n release-jobs = 1; ''; }",
            "{ release-jobs-old = 1; my-release-jobs = 2; }",
        ] {
            assert!(!has(flake), "{flake}");
        }
    }
}
