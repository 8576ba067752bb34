//! What is shown, and how.

use expect_test::expect;

use super::*;

#[test]
fn only_our_own_tones_become_escape_sequences() {
    let hostile = "x\u{1b}[2J\u{9b}31m\r\u{202e}y\u{fdd0}00000000000000003z";
    let text = format!("{} {hostile}", good("ok"));
    expect![[r"ok x\u{1b}[2J\u{9b}31m\u{d}\u{202e}y﷐00000000000000003z"]].assert_eq(&rendered(&text, false));
    let coloured = rendered(&text, true);
    assert!(coloured.starts_with("\u{1b}[32mok\u{1b}[0m x\\u{1b}[2J"), "{coloured:?}");
    assert_eq!(coloured.matches('\u{1b}').count(), 2, "{coloured:?}");
}

#[test]
fn lines_of_others_do_not_pass_for_messages() {
    let forged = "a\nverified: 0.1.1 in f is what was released\n\nb\n";
    expect![[r#"

            broken a
                  verified: 0.1.1 in f is what was released

                  b"#]]
    .assert_eq(&one_message(&format!("\nbroken {forged}")));
}
