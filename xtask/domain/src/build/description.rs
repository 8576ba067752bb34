//! What derivations say about themselves: their licenses and home pages, as an evaluation gives them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::shown::{excerpt, reason};
use crate::store_path::StorePath;

/// The identifiers of SPDX that the schema of a bill of materials allows (version 3.28.0 of the list), in order.
const SPDX: &str = include_str!("sbom/spdx.txt");
/// Longest address of a home page in bytes.
const LONGEST_ADDRESS: usize = 2000;

/// A license.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum License {
    /// An identifier of SPDX.
    Id(String),
    /// Any other name, fit to be shown.
    Name(String),
}

impl fmt::Display for License {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (License::Id(name) | License::Name(name)) = self;
        f.write_str(name)
    }
}

/// What a derivation says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    pub licenses: Vec<License>,
    /// Addresses, `http` or `https`.
    pub homepages: Vec<String>,
}

/// What is said about outputs, by their paths.
pub type Descriptions = BTreeMap<StorePath, Description>;

#[derive(Deserialize)]
struct Row {
    outputs: Vec<StorePath>,
    licenses: Vec<RawLicense>,
    homepages: Vec<String>,
}

#[derive(Deserialize)]
struct RawLicense {
    id: Option<String>,
    name: Option<String>,
}

impl RawLicense {
    fn known(self) -> Option<License> {
        match (self.id, self.name) {
            (Some(id), _) if is_spdx(&id) => Some(License::Id(id)),
            (None, Some(name)) if is_spdx(&name) => Some(License::Id(name)),
            (id, name) => name.or(id).filter(|name| !name.is_empty()).map(|name| License::Name(excerpt(&name))),
        }
    }
}

/// Reads the rows of an evaluation.
///
/// # Errors
/// What is unexpected.
pub fn parse(json: &str) -> Result<Descriptions, String> {
    let rows: Vec<Row> = serde_json::from_str(json).map_err(reason)?;
    let mut descriptions = Descriptions::new();
    for Row { outputs, licenses, homepages } in rows {
        let mut licenses: Vec<License> = licenses.into_iter().filter_map(RawLicense::known).collect();
        licenses.sort();
        licenses.dedup();
        let mut homepages: Vec<String> = homepages.into_iter().filter(|page| is_address(page)).collect();
        homepages.sort();
        homepages.dedup();
        for output in outputs {
            // Of two derivations with one output, the one that the evaluation reached first counts.
            let description = || Description { licenses: licenses.clone(), homepages: homepages.clone() };
            descriptions.entry(output).or_insert_with(description);
        }
    }
    Ok(descriptions)
}

fn is_spdx(id: &str) -> bool {
    SPDX.split_ascii_whitespace().any(|known| known == id)
}

/// Whether a text is an address that every reader of a bill of materials accepts.
fn is_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest.filter(|_| text.len() <= LONGEST_ADDRESS) else { return false };
    let (place, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let host = place.split(['/', '?']).next().unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let escaped = |part: &str| {
        let mut escapes = part.split('%').skip(1);
        escapes.all(|after| after.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)))
    };
    let allowed = |part: &str| part.bytes().all(|b| plain(b) || b"%:/?@!$&'()*+,;=".contains(&b)) && escaped(part);
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let is_host = !name.is_empty() && name.bytes().all(plain) && port.bytes().all(|b| b.is_ascii_digit());
    is_host && allowed(place) && allowed(fragment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn what_is_said_is_sorted_into_what_is_known() {
        let path = |name: &str| format!("/nix/store/{}-{name}", "a".repeat(32));
        let json = format!(
            r#"[{{"outputs": ["{}", "{}"], "homepages": ["https://b.example/", "javascript:alert(1)", "http://a.example"],
                 "licenses": [{{"id": "MIT", "name": "MIT License"}}, {{"id": "Odd-1", "name": "Odd"}},
                              {{"id": null, "name": "GPL-2.0-only"}}, {{"id": null, "name": "un\u001bfree"}},
                              {{"id": null, "name": null}}, {{"id": "Odd-2", "name": null}}, {{"id": "MIT", "name": null}}]}},
                {{"outputs": ["{}"], "homepages": [], "licenses": []}}]"#,
            path("x"),
            path("x-dev"),
            path("x")
        );
        let descriptions = parse(&json).expect("valid");
        assert_eq!(descriptions[&path("x").parse().expect("x")], descriptions[&path("x-dev").parse().expect("x-dev")]);
        expect![[r#"
            {
                /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-x: Description {
                    licenses: [
                        Id(
                            "GPL-2.0-only",
                        ),
                        Id(
                            "MIT",
                        ),
                        Name(
                            "Odd",
                        ),
                        Name(
                            "Odd-2",
                        ),
                        Name(
                            "un\\u{1b}free",
                        ),
                    ],
                    homepages: [
                        "http://a.example",
                        "https://b.example/",
                    ],
                },
        "#]]
        .assert_eq(format!("{descriptions:#?}").split_inclusive("},\n").next().unwrap_or_default());
        expect!["missing field `outputs` at line 1 column 3"].assert_eq(&parse("[{}]").expect_err("no outputs"));
        let elsewhere = r#"[{"outputs": ["/x"], "licenses": [], "homepages": []}]"#;
        expect!["`/x` is not in /nix/store at line 1 column 19"]
            .assert_eq(&parse(elsewhere).expect_err("another store"));
    }

    #[test]
    fn only_addresses_that_everyone_accepts_are_home_pages() {
        for good in ["https://lix.systems", "http://a.example:80/b?c=d%20#e", "https://x/~y/"] {
            assert!(is_address(good), "{good}");
        }
        let long = format!("https://x/{}", "y".repeat(LONGEST_ADDRESS));
        for bad in [
            "",
            "https://",
            "https:///x",
            "ftp://x",
            "https://a b",
            "https://x/%2",
            "https://x/%zz",
            "https://é",
            "https://x#a#b",
            "https://x/\n",
            "https://u@x",
            "https://x:y",
            "https://[::1]/",
            &long,
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
