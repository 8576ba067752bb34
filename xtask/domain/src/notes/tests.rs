//! The exact bytes of entries, pages and the table of contents.

use expect_test::expect;

use super::*;
use crate::product::Product;

fn fragment(name: &str, front_matter: &str, body: &str) -> Fragment {
    let text = format!("---\n{front_matter}\n---\n{body}");
    Fragment::parse(&Product::built_in(), &format!("rl-next/{name}"), text.as_bytes()).expect(name)
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
    let rendered = render(&some_fragments(), None, &Product::built_in().links).expect("no authors asked for");
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
    let rendered = render(&[fragment("a.md", "synopsis: x", "one\n \t \n\ntwo\n")], None, &Product::built_in().links)
        .expect("no authors");
    assert!(rendered.contains("\n  one\n \t \n\n  two\n"), "{rendered:?}");
}

#[test]
fn an_unknown_credit_names_the_nearest() {
    let authors = Authors::parse("jade: {}\npuck: {}\nwinters: {}\n").expect("valid");
    let problems =
        render(&some_fragments(), Some(&authors), &Product::built_in().links).expect_err("winter is missing");
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
        rl-next/b.md:2: synopsis: rl-next/a.md has the same one: merge the two, or change one of them
        rl-next/b.md:3: cls: 2 is already listed in rl-next/a.md: a change belongs to one entry, once"#]]
    .assert_eq(&problems.to_string());
}

fn release(version: &str, name: &str) -> Release {
    Release::new(&Product::built_in().into(), version.parse().expect(version), name).expect(name)
}

#[test]
fn a_page_grows_from_the_top() {
    let first = add_section(
        None,
        &release("2.93.0", "Bici Bici"),
        "2025-05-09".parse().expect("a date"),
        "## Fixes\n\n- a\n\n\n",
    )
    .expect("new");
    let second = add_section(
        Some(&first),
        &release("2.93.1", "Bici Bici"),
        "2025-06-03".parse().expect("a date"),
        "## Fixes\n\n- b\n\n\n",
    )
    .expect("same series");
    let third = add_section(Some(&second), &release("2.93.2", "Bici Bici"), "2025-07-01".parse().expect("a date"), "")
        .expect("same series");
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
    assert_eq!(section_date(&third, &release("2.93.1", "Bici Bici")), Some("2025-06-03"));
    assert_eq!(section_date(&third, &release("2.93.10", "Bici Bici")), None);
    let error = add_section(Some(&third), &release("2.93.3", "Other"), "2025-07-01".parse().expect("a date"), "")
        .expect_err("other name");
    expect![[r#"starts with `# Lix 2.93 "Bici Bici" (2025-05-09)`, not with `# Lix 2.93 "Other"`: correct the page or the release name, whichever is wrong"#]].assert_eq(&error);
}

#[test]
fn a_damaged_page_is_refused_and_one_without_a_final_newline_is_not() {
    let page = "# Lix 2.93 \"Bici Bici\" (2025-05-09)\n\n\n# Lix 2.93.0 (2025-05-09)\n## Fixes\n\n- a";
    let add = |page: &str| {
        add_section(Some(page), &release("2.93.1", "Bici Bici"), "2025-06-03".parse().expect("a date"), "body\n")
    };
    assert_eq!(add(page), add(&format!("{page}\n")));
    let shown: Vec<String> = [
        format!("\u{feff}{page}"),
        page.replace('\n', "\r\n"),
        String::new(),
        "\n".to_owned(),
        format!("\n{page}"),
        page.replace('"', "“"),
        page.replace(" \"Bici Bici\" (2025-05-09)", ""),
        page.replacen("2.93", "2.93-beta.1", 1),
        "<<<<<<< HEAD\n".to_owned() + page,
    ]
    .iter()
    .map(|page| add(page).expect_err(page))
    .collect();
    expect![[r#"
        starts with a byte-order mark: save it as UTF-8 without one
        has CRLF line ends: save it with LF line ends
        is empty: remove it, or start it with `# Lix 2.93 "Bici Bici" (DATE)`
        is empty: remove it, or start it with `# Lix 2.93 "Bici Bici" (DATE)`
        starts with ``, not with `# Lix 2.93 "Bici Bici"`: correct the page or the release name, whichever is wrong
        starts with `# Lix 2.93 “Bici Bici“ (2025-05-09)`, not with `# Lix 2.93 "Bici Bici"`: correct the page or the release name, whichever is wrong
        starts with `# Lix 2.93`, not with `# Lix 2.93 "Bici Bici"`: correct the page or the release name, whichever is wrong
        starts with `# Lix 2.93-beta.1 "Bici Bici" (2025-05-09)`, not with `# Lix 2.93 "Bici Bici"`: correct the page or the release name, whichever is wrong
        starts with `<<<<<<< HEAD`, not with `# Lix 2.93 "Bici Bici"`: correct the page or the release name, whichever is wrong"#]].assert_eq(&shown.join("\n"));
}

#[test]
fn the_summary_gets_one_line() {
    let release = release("2.95.0", "Kakigōri");
    let summary = "- [Notes](n.md)\n    <!-- RELENG-AUTO-INSERTION-MARKER (x) -->\n  - [Lix 2.94 (d)](release-notes/rl-2.94.md)\n";
    let edited = add_to_summary(summary, &release, "2026-03-13".parse().expect("a date")).expect("one marker");
    expect![[r#"
        - [Notes](n.md)
            <!-- RELENG-AUTO-INSERTION-MARKER (x) -->
          - [Lix 2.95 (2026-03-13)](release-notes/rl-2.95.md)
          - [Lix 2.94 (d)](release-notes/rl-2.94.md)
    "#]]
    .assert_eq(&edited);
    assert_eq!(
        add_to_summary(&summary.replace('\n', "\r\n"), &release, "2026-03-13".parse().expect("a date")),
        Err("has CRLF line ends: save it with LF line ends".to_owned())
    );
    for wrong in ["", &format!("{summary}{summary}"), &edited] {
        add_to_summary(wrong, &release, "2026-03-13".parse().expect("a date")).expect_err(wrong);
    }
    let at_the_end =
        add_to_summary("<!-- RELENG-AUTO-INSERTION-MARKER", &release, "2026-03-13".parse().expect("a date"))
            .expect("one marker");
    assert!(at_the_end.contains("MARKER\n- [Lix 2.95"));
}
