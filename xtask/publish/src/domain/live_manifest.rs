//! The live root `manifest.nix` of an environment.
//!
//! Reads a plain set of strings in any layout, because other tools and people write this file, too. Any other
//! expression that evaluates to such a set is left to Nix, in `tools`.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;
use xtask::domain::build::manifest::Manifest;
use xtask::domain::product::Product;
use xtask::domain::shown::excerpt;
use xtask::domain::store_path::StorePath;
use xtask::domain::system::System;
use xtask::domain::version::Version;

/// The root manifest of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    pub text: String,
    /// Its contents, or why they cannot be read.
    pub says: Result<Manifest, String>,
}

impl Live {
    /// The version that it leads to: see [`leads_to`].
    pub fn leads_to(&self, product: &Product) -> Option<Version> {
        leads_to(product, self.says.as_ref().ok()?)
    }

    /// What it leads to, for messages.
    pub fn shown(&self, product: &Product) -> String {
        self.says.as_ref().map_or_else(|_| UNREADABLE.to_owned(), |manifest| shown(product, manifest))
    }
}

const UNREADABLE: &str = "something that cannot be read";

/// Reads a set of plain strings, with comments and line breaks anywhere, and names quoted or not.
///
/// # Errors
/// Says why this reader cannot read the text; Nix may still be able to.
pub fn parse(text: &str) -> Result<Manifest, String> {
    // Editors on Windows begin a file with a byte order mark, which Nix rejects; the systems can be read regardless.
    let mut reader = Reader(text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable());
    let mut manifest = Manifest::new();
    reader.blanks()?;
    if reader.0.next_if_eq(&'r').is_some() {
        // In a set of plain strings, `rec` changes nothing.
        reader.expect("ec")?;
        reader.blanks()?;
    }
    reader.expect("{")?;
    loop {
        reader.blanks()?;
        if reader.0.next_if_eq(&'}').is_some() {
            break;
        }
        let name = reader.name()?;
        reader.blanks()?;
        reader.expect("=")?;
        reader.blanks()?;
        let value = reader.string()?;
        reader.blanks()?;
        reader.expect(";")?;
        add(&mut manifest, &name, value)?;
    }
    reader.blanks()?;
    match reader.0.peek() {
        None => Ok(manifest),
        Some(c) => Err(format!("has `{}` after its set", c.escape_debug())),
    }
}

/// Reads a manifest that Nix has evaluated to JSON.
///
/// # Errors
/// The JSON is not a set of strings by system.
pub fn of_json(json: &str) -> Result<Manifest, String> {
    let values: BTreeMap<String, Value> =
        serde_json::from_str(json).map_err(|_| "does not evaluate to a set".to_owned())?;
    let mut manifest = Manifest::new();
    for (name, value) in values {
        let Value::String(value) = value else {
            return Err(format!("gives `{}` something other than a string", excerpt(&name)));
        };
        add(&mut manifest, &name, value)?;
    }
    Ok(manifest)
}

fn add(manifest: &mut Manifest, name: &str, value: String) -> Result<(), String> {
    let system: System = name.parse().map_err(|why| format!("has an attribute that is not a system: {why}"))?;
    match manifest.insert(system.clone(), value) {
        None => Ok(()),
        Some(_) => Err(format!("has {system} twice")),
    }
}

/// A parser for the part of the Nix language that manifests use.
struct Reader<'a>(Peekable<Chars<'a>>);

impl Reader<'_> {
    /// Skips blanks and comments.
    fn blanks(&mut self) -> Result<(), String> {
        while let Some(c) = self.0.next_if(|c| " \t\r\n#/".contains(*c)) {
            match c {
                '#' => while self.0.next_if(|c| !"\r\n".contains(*c)).is_some() {},
                '/' => {
                    self.expect("*")?;
                    let mut last = ' ';
                    loop {
                        match self.0.next().ok_or("has a comment that does not end")? {
                            '/' if last == '*' => break,
                            c => last = c,
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn expect(&mut self, text: &str) -> Result<(), String> {
        for expected in text.chars() {
            match self.0.next() {
                Some(c) if c == expected => {}
                Some(c) => return Err(format!("has `{}` where `{expected}` is expected", c.escape_debug())),
                None => return Err(format!("ends where `{expected}` is expected")),
            }
        }
        Ok(())
    }

    fn name(&mut self) -> Result<String, String> {
        if self.0.peek() == Some(&'"') {
            return self.string();
        }
        let mut name = String::new();
        while let Some(c) = self.0.next_if(|c| c.is_ascii_alphanumeric() || "_'-".contains(*c)) {
            name.push(c);
        }
        match self.0.peek() {
            Some(c) if name.is_empty() => Err(format!("has `{}` where a system is expected", c.escape_debug())),
            _ => Ok(name),
        }
    }

    /// Reads a string in double quotes, without interpolation.
    fn string(&mut self) -> Result<String, String> {
        self.expect("\"")?;
        let mut text = String::new();
        loop {
            let c = self.0.next().ok_or("has a string that does not end")?;
            match c {
                '"' => return Ok(text),
                '$' if self.0.peek() == Some(&'{') => return Err("has a string with an interpolation".to_owned()),
                '$' if self.0.peek() == Some(&'$') => text.extend([c].into_iter().chain(self.0.next())),
                '\\' => text.push(match self.0.next().ok_or("has a string that does not end")? {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    c => c,
                }),
                // Nix reads every line end as `\n`.
                '\r' => {
                    let _ = self.0.next_if_eq(&'\n');
                    text.push('\n');
                }
                c => text.push(c),
            }
        }
    }
}

/// Returns the version that a manifest leads users of every system to; `None` if there is no such version.
pub fn leads_to(product: &Product, manifest: &Manifest) -> Option<Version> {
    let version =
        |path: &String| without_product(product, StorePath::parse(path).ok()?.name())?.parse::<Version>().ok();
    let mut versions = manifest.values().map(version);
    let first = versions.next()??;
    versions.all(|other| other.as_ref() == Some(&first)).then_some(first)
}

/// Returns the part of a store path's name that is after the product's.
fn without_product<'a>(product: &Product, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(&product.prefix)?.strip_prefix('-')
}

/// Returns what a manifest leads to, for messages: its version or, without a single one, what its store paths name.
pub fn shown(product: &Product, manifest: &Manifest) -> String {
    if let Some(version) = leads_to(product, manifest) {
        return version.to_string();
    }
    let version = |path: &String| match StorePath::parse(path) {
        Ok(path) => without_product(product, path.name()).unwrap_or(path.name()).to_owned(),
        Err(_) => format!("`{}`", excerpt(path)),
    };
    let versions: BTreeSet<String> = manifest.values().map(version).collect();
    match versions.len() {
        0 => "a manifest without systems".to_owned(),
        1..=VERSIONS => versions.into_iter().collect::<Vec<_>>().join(" and "),
        n => format!("{n} different versions"),
    }
}

/// Number of versions that a message names, if a manifest leads to several.
const VERSIONS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use xtask::domain::build::manifest::render;

    fn path(version: &str) -> String {
        format!("/nix/store/{}-lix-{version}", "a".repeat(32))
    }

    #[test]
    fn a_manifest_that_was_rendered_can_be_read() {
        let manifest: Manifest = ["x86_64-linux", "aarch64-darwin"]
            .iter()
            .map(|system| (system.parse().expect(system), path("2.93.1")))
            .collect();
        let text = render(&manifest);
        expect![[r#"
            {
              aarch64-darwin = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lix-2.93.1";
              x86_64-linux = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lix-2.93.1";
            }
        "#]]
        .assert_eq(&text);
        assert_eq!(parse(&text), Ok(manifest));
        assert_eq!(parse("{\n}\n"), Ok(Manifest::new()));
    }

    /// One manifest as other tools and people write it. The integration tests compare with what Nix reads.
    #[test]
    fn manifests_by_others_can_be_read() {
        let (linux, old) = (path("2.95.3"), path("2.3.16"));
        let expected: Manifest = [("x86_64-linux", &linux), ("i686-linux", &old)]
            .map(|(system, path)| (system.parse().expect(system), path.clone()))
            .into();
        let plain = format!("{{\n  x86_64-linux = \"{linux}\";\n  i686-linux = \"{old}\";\n}}\n");
        for text in [
            format!("# This file was generated by releng/create_release.xsh in Lix\n{plain}"),
            format!("# {{ }} \" ;\r/* \" \n ** / */\n\n{plain}\n# the end"),
            plain.trim_end().to_owned(),
            plain.replace('\n', "\r\n"),
            format!("\u{feff}{plain}"),
            plain.replace('\n', " ").replace("  ", ""),
            format!("rec{}", plain.replace("i686-linux", "\"i686-linux\"")),
            plain.replace(" = ", "/**/=#\n").replace(';', "/* */ ; # x"),
            plain.replace("2.95", "\\2\\.95"),
        ] {
            assert_eq!(parse(&text), Ok(expected.clone()), "{text}");
        }
        assert_eq!(shown(&Product::built_in(), &expected), "2.3.16 and 2.95.3");
        assert_eq!(leads_to(&Product::built_in(), &expected), None);
    }

    #[test]
    fn anything_else_is_an_error() {
        let shown: Vec<String> = [
            "",
            "<html>no such page</html>",
            "{ } { }",
            "{\n  x86_64-linux = 1;\n}\n",
            "{\n  linux = \"/nix/store/a\";\n}\n",
            "{\n  x86_64-linux = \"${1}\";\n}\n",
            "{\n  x86_64-linux.x = \"1\";\n}\n",
            "{\n  x86_64-linux = \"/a\";\n  \"x86_64-linux\" = \"/b\";\n}\n",
            "let a = 1; in { }",
            "{ inherit x86_64-linux; }",
            "{ x86_64-linux = \"/nix/store",
            "{ x86_64-linux = \"/a\"; /* ",
            "{ x86_64-linux = \"/a\"; / }",
            "{ x86_64-linux = \"/a\" }",
            "{ \u{1b}[2J = \"\"; }",
        ]
        .iter()
        .map(|text| parse(text).expect_err(text))
        .collect();
        expect![[r#"
            ends where `{` is expected
            has `<` where `{` is expected
            has `{` after its set
            has `1` where `"` is expected
            has an attribute that is not a system: `linux` is not a system: expected one such as x86_64-linux
            has a string with an interpolation
            has `.` where `=` is expected
            has x86_64-linux twice
            has `l` where `{` is expected
            has `x` where `=` is expected
            has a string that does not end
            has a comment that does not end
            has ` ` where `*` is expected
            has `}` where `;` is expected
            has `\u{1b}` where a system is expected"#]]
        .assert_eq(&shown.join("\n"));
        assert!(of_json(r#"{"x86_64-linux": 1}"#).is_err() && of_json("[]").is_err() && of_json("").is_err());
    }

    #[test]
    fn a_version_is_shown_without_the_product() {
        let version = |text: &str| shown(&Product::built_in(), &parse(text).expect(text));
        let of = |path: &str| version(&format!("{{ x86_64-linux = \"{path}\"; }}"));
        assert_eq!(of(&path("2.90.0-rc1")), "2.90.0-rc1");
        assert_eq!(of(&path("2.90.0").replace("lix-", "nix-")), "nix-2.90.0");
        assert_eq!(of("/opt/lix\u{1b}"), "`/opt/lix\\u{1b}`");
        assert_eq!(version("{}"), "a manifest without systems");
    }

    #[test]
    fn a_manifest_leads_to_one_version_of_the_product() {
        let version =
            |says: Result<Manifest, String>| Live { text: String::new(), says }.leads_to(&Product::built_in());
        let of = |path: &str| version(parse(&format!("{{ x86_64-linux = \"{path}\"; aarch64-linux = \"{path}\"; }}")));
        assert_eq!(of(&path("2.90.0-rc1")), Some("2.90.0-rc1".parse().expect("a version")));
        assert_eq!(of(&path("2.90.0").replace("lix-", "nix-")), None);
        assert_eq!(of(&path("unstable")), None);
        assert_eq!(of("/opt/lix-2.90.0"), None);
        assert_eq!(version(parse("{}")), None);
        assert_eq!(version(Err("is empty".to_owned())), None);
    }
}
