//! What people paste, and what they are told.

use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::notes::reference::Reference;

#[test]
fn what_people_paste() {
    let mut shown = String::new();
    for (list, value) in [
        (List::Cls, "1505, 1506"),
        (List::Cls, "1902 11326"),
        (List::Prs, "9687 6995"),
        (List::Issues, "fj#1 gh#2"),
        (List::Issues, "fj#1; lix#2 and nix#3"),
        (List::Issues, "https://git.lix.systems/lix-project/lix/issues/1269"),
        (List::Issues, "git.lix.systems/Lix-Project/lix/issues/1269/"),
        (List::Issues, "https://git.lix.systems/lix-project/lix/issues/1269#issuecomment-77"),
        (List::Issues, "<https://github.com/NixOS/nix/issues/14120>, [x](https://github.com/nixos/nix/issues/3)"),
        (List::Prs, "https://github.com/NixOS/nix/pull/14120/files"),
        (List::Prs, "https://git.lix.systems/lix-project/lix/pulls/7"),
        (List::Cls, "https://gerrit.lix.systems/c/lix/+/1234"),
        (List::Cls, "https://gerrit.lix.systems/c/lix/+/1234/5/src/libstore/2.cc?x=3#9"),
        (List::Cls, "https://gerrit.lix.systems/1234"),
        (List::Cls, "https://gerrit.lix.systems/#/c/1234/"),
        (List::Cls, "cl/1234"),
        (List::Cls, "CL 1234, CL 1235"),
        (List::Cls, "#1234"),
        (List::Cls, "0123"),
        (List::Cls, "５"),
        (List::Cls, "I0123456789012345678901234567890123456789"),
        (List::Issues, "#1234"),
        (List::Issues, "#1, #2"),
        (List::Issues, "FJ#12"),
        (List::Issues, "gh 12"),
        (List::Issues, "gh-12"),
        (List::Issues, "NixOS/nix#1234"),
        (List::Issues, "lix-project/lix#12"),
        (List::Issues, "nixpkgs#12"),
        (List::Issues, "https://github.com/NixOS/nixpkgs/issues/12"),
        (List::Issues, "https://gerrit.lix.systems/c/lix/+/1234"),
        (List::Issues, "https://github.com/NixOS/nix/pull/9 https://gerrit.lix.systems/c/lix/+/1234 5"),
        (List::Prs, "https://github.com/NixOS/nix/issues/9"),
        (List::Prs, "PR 12"),
        (List::Prs, "!12"),
        (List::Cls, "fj#12"),
        (List::Issues, "xx"),
        (List::Issues, "0x10"),
        (List::Cls, "1.5"),
        (List::Issues, "fj#"),
    ] {
        let suggestion = suggestion(&Product::built_in(), list, value, false).unwrap_or_else(|| "-".to_owned());
        shown += &format!("{}: {value}\n    {suggestion}\n", list.key());
    }
    expect![[r#"
        cls: 1505, 1506
            did you mean `[1505, 1506]`?
        cls: 1902 11326
            did you mean `[1902, 11326]`?
        prs: 9687 6995
            did you mean `[9687, 6995]`?
        issues: fj#1 gh#2
            did you mean `[fj#1, gh#2]`?
        issues: fj#1; lix#2 and nix#3
            did you mean `[fj#1, fj#2, gh#3]`?
        issues: https://git.lix.systems/lix-project/lix/issues/1269
            did you mean `fj#1269`?
        issues: git.lix.systems/Lix-Project/lix/issues/1269/
            did you mean `fj#1269`?
        issues: https://git.lix.systems/lix-project/lix/issues/1269#issuecomment-77
            did you mean `fj#1269`?
        issues: <https://github.com/NixOS/nix/issues/14120>, [x](https://github.com/nixos/nix/issues/3)
            did you mean `[gh#14120, gh#3]`?
        prs: https://github.com/NixOS/nix/pull/14120/files
            did you mean `gh#14120`?
        prs: https://git.lix.systems/lix-project/lix/pulls/7
            did you mean `fj#7`?
        cls: https://gerrit.lix.systems/c/lix/+/1234
            did you mean `1234`?
        cls: https://gerrit.lix.systems/c/lix/+/1234/5/src/libstore/2.cc?x=3#9
            did you mean `1234`?
        cls: https://gerrit.lix.systems/1234
            did you mean `1234`?
        cls: https://gerrit.lix.systems/#/c/1234/
            did you mean `1234`?
        cls: cl/1234
            did you mean `1234`?
        cls: CL 1234, CL 1235
            did you mean `[1234, 1235]`?
        cls: #1234
            did you mean `1234`?
        cls: 0123
            did you mean `123`?
        cls: ５
            did you mean `5`?
        cls: I0123456789012345678901234567890123456789
            this is a Change-Id; write the number in the change's address, as in `cls: 1234`
        issues: #1234
            did you mean `fj#1234` (fj# is Lix, gh# is CppNix)?
        issues: #1, #2
            did you mean `[fj#1, fj#2]` (fj# is Lix, gh# is CppNix)?
        issues: FJ#12
            did you mean `fj#12`?
        issues: gh 12
            did you mean `gh#12`?
        issues: gh-12
            did you mean `gh#12`?
        issues: NixOS/nix#1234
            did you mean `gh#1234`?
        issues: lix-project/lix#12
            did you mean `fj#12`?
        issues: nixpkgs#12
            only issues, pull requests and changes of Lix and of NixOS/nix are listed here; link others in the text
        issues: https://github.com/NixOS/nixpkgs/issues/12
            only issues, pull requests and changes of Lix and of NixOS/nix are listed here; link others in the text
        issues: https://gerrit.lix.systems/c/lix/+/1234
            did you mean `cls: 1234`?
        issues: https://github.com/NixOS/nix/pull/9 https://gerrit.lix.systems/c/lix/+/1234 5
            did you mean `issues: 5` and `prs: gh#9` and `cls: 1234`?
        prs: https://github.com/NixOS/nix/issues/9
            did you mean `issues: gh#9`?
        prs: PR 12
            did you mean `fj#12`?
        prs: !12
            did you mean `fj#12` (fj# is Lix, gh# is CppNix)?
        cls: fj#12
            did you mean `issues: fj#12`?
        issues: xx
            -
        issues: 0x10
            -
        cls: 1.5
            -
        issues: fj#
            -
    "#]]
    .assert_eq(&shown);
    assert_eq!(suggestion(&Product::built_in(), List::Cls, "1 2", true).as_deref(), Some("did you mean `1, 2`?"));
}

proptest! {
    /// What is suggested for one reference is one.
    #[test]
    fn a_suggestion_is_valid(number in 1u64..1_000_000, form in 0usize..6) {
        let value = match form {
            0 => format!("https://git.lix.systems/lix-project/lix/issues/{number}"),
            1 => format!("https://github.com/NixOS/nix/issues/{number}#x"),
            2 => format!("NixOS/nix#{number}"),
            3 => format!("#{number}"),
            4 => format!("GH {number}"),
            _ => format!("00{number}"),
        };
        let suggestion = suggestion(&Product::built_in(), List::Issues, &value, false).expect("a suggestion");
        let written = suggestion.split('`').nth(1).expect("in quotes");
        let read = Reference::parse(written);
        prop_assert_eq!(read.map(|reference| reference.number), Some(number), "{}", suggestion);
    }

    #[test]
    fn no_text_panics(value in "\\PC{0,40}", list in 0usize..3) {
        let _ = suggestion(&Product::built_in(), List::ALL[list], &value, false);
    }

    #[test]
    fn nearly_references_do_not_panic(value in "(https?://)?[a-z./#+0-9 ,\\[\\]()!-]{0,40}") {
        let _ = suggestion(&Product::built_in(), List::Issues, &value, true);
    }
}
