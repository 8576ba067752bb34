//! `manifest.nix`: the store path of each system, which `nix upgrade-nix` reads.
//!
//! Owns the one form in which it is written, and reads exactly that form: what else Nix would accept was not made here.

use std::collections::BTreeMap;

use super::system::System;

/// The store path of each system's `out`.
pub type Manifest = BTreeMap<System, String>;

pub fn render(manifest: &Manifest) -> String {
    let lines = manifest.iter().map(|(system, path)| format!("  {system} = \"{path}\";\n"));
    format!("{{\n{}}}\n", lines.collect::<String>())
}

/// # Errors
/// The first line that is not of the form that [`render`] writes.
pub fn parse(text: &str) -> Result<Manifest, String> {
    let mut manifest = Manifest::new();
    let body = text.strip_prefix("{\n").and_then(|rest| rest.strip_suffix("}\n"));
    let body = body.ok_or("is not a manifest: expected lines `SYSTEM = \"STORE PATH\";` between braces")?;
    for line in body.lines() {
        let entry = line.strip_prefix("  ").and_then(|line| line.strip_suffix("\";")?.split_once(" = \""));
        let (system, path) = entry.ok_or_else(|| format!("has a line that is no entry of a manifest: {line}"))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "/+-._?=".contains(c);
        if !path.starts_with('/') || !path.chars().all(plain) {
            return Err(format!("gives {system} something that is not a store path: {path}"));
        }
        if manifest.insert(system.parse()?, path.to_owned()).is_some() {
            return Err(format!("has {system} twice"));
        }
    }
    Ok(manifest)
}

/// The version that a manifest leads to, for people: what follows the name in its store paths.
pub fn version_of(text: &str) -> String {
    let version = |manifest: Manifest| {
        let path = manifest.into_values().next()?;
        Some(path.rsplit('/').next()?.splitn(3, '-').nth(2)?.to_owned())
    };
    parse(text).ok().and_then(version).unwrap_or_else(|| "something that is no manifest of ours".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn what_is_written_is_read() {
        let manifest: Manifest = ["x86_64-linux", "aarch64-darwin"]
            .iter()
            .map(|system| (system.parse().expect(system), format!("/nix/store/{}-lix-2.93.1", "a".repeat(32))))
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

    #[test]
    fn nothing_else_is_read() {
        let shown: Vec<String> = [
            "",
            "{ }",
            "{\n  x86_64-linux = 1;\n}\n",
            "{\n  linux = \"/nix/store/a\";\n}\n",
            "{\n  x86_64-linux = \"${1}\";\n}\n",
            "{\n  x86_64-linux = \"/a\";\n  x86_64-linux = \"/b\";\n}\n",
        ]
        .iter()
        .map(|text| parse(text).expect_err(text))
        .collect();
        expect![[r#"
            is not a manifest: expected lines `SYSTEM = "STORE PATH";` between braces
            is not a manifest: expected lines `SYSTEM = "STORE PATH";` between braces
            has a line that is no entry of a manifest:   x86_64-linux = 1;
            `linux` is not a system: expected one such as x86_64-linux
            gives x86_64-linux something that is not a store path: ${1}
            has x86_64-linux twice"#]]
        .assert_eq(&shown.join("\n"));
    }
}
