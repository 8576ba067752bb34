//! How long a file may be: what is longer than some screens has parts that can be read by themselves.

use super::{at, visit};

/// The sources and tests of all packages.
const PACKAGES: [&str; 7] =
    ["src", "tests/it", "tests/support/src", "domain/src", "publish/src", "publish/tests/it", "publish/benches"];

/// In lines.
const LONGEST: usize = 400;

/// How a line of a longer file's header begins that gives the reason.
const REASON: &str = "//! Longer than 400 lines: ";

#[test]
fn no_file_is_long_without_a_reason() {
    let (mut seen, mut long) = (0, Vec::new());
    for package in PACKAGES {
        let before = seen;
        visit(&at(package), &mut |path, text| {
            seen += 1;
            let mut header = text.lines().take_while(|line| line.starts_with("//!"));
            let (lines, has_reason) = (text.lines().count(), header.any(|line| line.starts_with(REASON)));
            let path = path.strip_prefix(at("")).expect("in the workspace").display();
            match lines > LONGEST {
                true if !has_reason => long.push(format!("{path}: {lines}")),
                false if has_reason => panic!("{path}: {lines} lines need no reason"),
                _ => {}
            }
        });
        assert!(seen > before, "{package} was not found");
    }
    assert!(long.is_empty(), "cut these by subject, or say `{REASON}` and why in their headers:\n{}", long.join("\n"));
}
