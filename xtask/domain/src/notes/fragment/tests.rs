//! What is read, and what is refused with which words.

use expect_test::{Expect, expect};

use super::*;

fn parse(text: &str) -> Result<Fragment, Vec<Fault>> {
    Fragment::parse(&Product::built_in(), "x.md", text.as_bytes()).map_err(|invalid| invalid.faults)
}

fn faults(front_matter: &str, expected: Expect) {
    let faults = parse(&format!("---\n{front_matter}\n---\nbody\n")).expect_err(front_matter);
    let shown: Vec<String> = faults.iter().map(|f| format!("{}: {}", f.line, f.what)).collect();
    expected.assert_eq(&shown.join("\n"));
}

#[test]
fn every_key_and_both_spellings_of_lists() {
    let text = "\u{feff}---\r\nsynopsis: 'It''s `x`: done'\r\ncls: 12\nissues: [fj#1, gh#2, lix#3, nix#4, 5]\nprs: gh#9\ncategory: \"Breaking Changes\"\nsignificance: significant\ncredits:\n  - 9p4\n  - horrors\n---  \n\n  body\r\n\n---\nmore  \n\n";
    let fragment = parse(text).expect("valid");
    assert_eq!(fragment.synopsis.value, "It's `x`: done");
    assert_eq!(fragment.cls, [Placed { line: 3, value: 12 }]);
    let issues: Vec<String> = fragment.issues.iter().map(Reference::to_string).collect();
    assert_eq!(issues, ["lix#1", "nix#2", "lix#3", "nix#4", "lix#5"]);
    assert_eq!(fragment.category, Category::BreakingChanges);
    assert!(fragment.significant);
    assert_eq!(fragment.credits[1], Placed { line: 10, value: "horrors".into() });
    assert_eq!(fragment.body, "body\n\n---\nmore");
}

#[test]
fn what_the_author_sees_is_what_is_read_or_an_error() {
    faults(
        "synopsis: yes\ncls: [0123, +5, 1.5, true, \"x\", ５]\nissues: #561\nprs: [~, fj#, gh#+1, xx#1, 0x10]\ncredits: [12, 2026-01-01]",
        expect![[r#"
            2: synopsis: `yes` is a boolean to YAML, not text: put it in quotes
            3: cls: `0123` is not a Gerrit change number: did you mean `123`?
            3: cls: `+5` is not a Gerrit change number: did you mean `5`?
            3: cls: `1.5` is not a Gerrit change number: write its decimal digits, as in 1234
            3: cls: `true` is not a Gerrit change number: write its decimal digits, as in 1234
            3: cls: `x` is not a Gerrit change number: write its decimal digits, as in 1234
            3: cls: `５` is not a Gerrit change number: did you mean `5`?
            4: issues: `#561` is a YAML comment, so there is no value: did you mean `fj#561` (fj# is Lix, gh# is CppNix)?
            5: prs: there is no value: fill it in or remove the line
            5: prs: `fj#` is not a reference: write fj#N or N (Lix), gh#N (CppNix), with decimal digits for N
            5: prs: `gh#+1` is not a reference: did you mean `gh#1`?
            5: prs: `xx#1` is not a reference: only issues, pull requests and changes of Lix and of NixOS/nix are listed here; link others in the text
            5: prs: `0x10` is not a reference: write fj#N or N (Lix), gh#N (CppNix), with decimal digits for N
            6: credits: `12` is a number to YAML, not text: put it in quotes
            6: credits: `2026-01-01` is a date to YAML, not text: put it in quotes"#]],
    );
    faults(
        "synopsis:\ncls: {a: 1}\ncategory: feature\nsignificance: very\nsynopsys: x",
        expect![[r#"
        2: synopsis: there is no value: fill it in or remove the line
        3: cls: expected a change number or a list of them, as in [1234, 5678]
        4: category: unknown category `feature`: did you mean `Features`?
        5: significance: unknown significance `very`: only `significant` is known
        6: unknown key `synopsys`: did you mean `synopsis`?"#]],
    );
    faults(
        "synopsis: |\n  two\n  lines\ncategory: Fixtures of a kitchen\nissues:\n  - #561\n",
        expect![[r#"
            3: synopsis: a synopsis is one line
            5: category: unknown category `Fixtures of a kitchen`: did you mean `Fixes`?
            7: issues: `#561` is a YAML comment, so there is no value: did you mean `fj#561` (fj# is Lix, gh# is CppNix)?"#]],
    );
    faults("cls: 1", expect!["1: there is no `synopsis`: add `synopsis: one line of Markdown`"]);
    faults("just text", expect!["2: the front matter is not a mapping: expected lines such as `synopsis: …`"]);
    faults("synopsis: a\nsynopsis: b", expect!["3: the key `synopsis` is already set on line 2: keep one of them"]);
    faults(
        "issues: [fj#1, #561]\nsynopsis: x",
        expect!["2: a `#` here starts a comment, so this list has no end: write fj#N or gh#N, or use quotes"],
    );
}

#[test]
fn what_is_no_fragment() {
    let shown: Vec<String> = [
        "",
        "\n\n",
        "{\"synopsis\": 1}\n",
        "+++\n",
        "hello\n",
        "\n---\nsynopsis: x\n",
        "---\nsynopsis: x\n---\na\n<<<<<<< HEAD\nb\n=======\n",
    ]
    .iter()
    .flat_map(|text| parse(text).expect_err(text))
    .map(|f| format!("{}: {}", f.line, f.what))
    .collect();
    expect![[r#"
        1: the file is empty: a fragment starts with a line `---`, YAML, and another line `---`
        1: the file is empty: a fragment starts with a line `---`, YAML, and another line `---`
        1: JSON front matter is not supported: a fragment starts with a line `---`, YAML, and another line `---`
        1: TOML front matter is not supported: a fragment starts with a line `---`, YAML, and another line `---`
        1: there is no front matter: a fragment starts with a line `---`, YAML, and another line `---`
        2: the front matter has no end: a fragment starts with a line `---`, YAML, and another line `---`
        5: this is the marker of a merge conflict: resolve it"#]]
    .assert_eq(&shown.join("\n"));
    let fault = Fragment::parse(&Product::built_in(), "x.md", b"---\nsynopsis: x\n---\n\xff").expect_err("invalid");
    assert_eq!(fault.faults[0].line, 4);
}
