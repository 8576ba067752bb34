//! The flag that marks an official release, in either of the two places where trees have kept it.
//!
//! Until 2.90 it was the text `officialRelease = false;` in `flake.nix`; since then it is `official_release` in
//! `version.json`. Finds the flag, and returns the text with the flag set and every other byte unchanged.

use super::version_file::{self, VersionFile};
use crate::problem::Problem;

/// The file that has the flag in older trees.
pub const FLAKE: &str = "flake.nix";

const OFF: &str = "officialRelease = false;";
const ON: &str = "officialRelease = true;";

/// Where the flag is, and the file that holds it with the flag set.
#[derive(Debug, PartialEq, Eq)]
pub struct Flag {
    pub path: &'static str,
    /// Whether it is set already.
    pub set: bool,
    /// The complete text with the flag set.
    pub text_with_flag: String,
}

/// Finds the flag in `version.json` or, if that has none, in `flake.nix`.
///
/// # Errors
/// It is in neither, or in several places of `flake.nix`: the problem lists the lines.
pub fn find(version_file: &VersionFile, flake: Option<&str>) -> Result<Flag, Problem> {
    if let Some(set) = version_file.official {
        let text_with_flag = version_file.with_official(true).text().to_owned();
        return Ok(Flag { path: version_file::PATH, set, text_with_flag });
    }
    let flake = flake.unwrap_or_default();
    let lines_with = |flag: &str| -> Vec<String> {
        let numbered = flake.lines().zip(1..).filter(|(line, _)| line.contains(flag));
        numbered.flat_map(|(line, n)| vec![format!("{FLAKE}:{n}"); line.matches(flag).count()]).collect()
    };
    let (off, on) = (lines_with(OFF), lines_with(ON));
    match (off.len(), on.len()) {
        (1, 0) => Ok(Flag { path: FLAKE, set: false, text_with_flag: flake.replacen(OFF, ON, 1) }),
        (0, 1) => Ok(Flag { path: FLAKE, set: true, text_with_flag: flake.to_owned() }),
        (0, 0) => Err(Problem::new(format!(
            "there is no flag that marks a release: expected `official_release` in {} or `{OFF}` in {FLAKE}",
            version_file::PATH
        ))),
        _ => Err(Problem::new(format!(
            "expected `{OFF}` exactly once in {FLAKE}, found the flag at {}",
            [off, on].concat().join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn version_file(flag: &str) -> VersionFile {
        VersionFile::parse(&format!("{{\n  \"x\": \"ō\",\n  \"version\": \"2.93.1\"{flag}\n}}")).expect("valid")
    }

    #[test]
    fn version_json_goes_before_the_flake() {
        let flag = find(&version_file(",\n  \"official_release\" :  false"), Some(OFF)).expect("one flag");
        assert_eq!((flag.path, flag.set), ("version.json", false));
        assert_eq!(
            flag.text_with_flag,
            "{\n  \"x\": \"ō\",\n  \"version\": \"2.93.1\",\n  \"official_release\" :  true\n}"
        );
        assert!(find(&version_file(", \"official_release\": true"), None).expect("one flag").set);
    }

    #[test]
    fn the_flake_holds_it_once() {
        let flag = find(&version_file(""), Some("a\n  officialRelease = false; # é\nb")).expect("one flag");
        assert_eq!(flag.text_with_flag, "a\n  officialRelease = true; # é\nb");
        assert!(find(&version_file(""), Some("officialRelease = true;")).expect("one flag").set);
        let twice = "officialRelease = false;\n\n# officialRelease = false; officialRelease = true;\n";
        let messages =
            [None, Some(twice)].map(|flake| find(&version_file(""), flake).expect_err("none or many").to_string());
        expect![[r#"
            there is no flag that marks a release: expected `official_release` in version.json or `officialRelease = false;` in flake.nix
            expected `officialRelease = false;` exactly once in flake.nix, found the flag at flake.nix:1, flake.nix:3, flake.nix:3"#]].assert_eq(&messages.join("\n"));
    }
}
