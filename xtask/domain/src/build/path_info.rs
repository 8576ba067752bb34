//! What Nix knows about a store path, which is what a signature covers; and closures. Asking Nix is left to `tools`.
//!
//! Who built a path is left out: the database says whose output it was when it came to this machine, which another
//! machine may know otherwise or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::digest::{Digest, FileFacts};
use crate::nix_hash::parse_hash;
use crate::shown::excerpt;
use crate::store_path::{STORE, StorePath, to_base32};
use serde::Deserialize;
use serde_json::Value;

/// The facts about a store path that a signature covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    pub path: StorePath,
    pub nar_hash: Digest,
    /// Size of the NAR in bytes.
    pub nar_size: u64,
    pub references: BTreeSet<StorePath>,
}

impl PathInfo {
    /// Returns size and SHA-256 of the NAR.
    pub fn nar(&self) -> FileFacts {
        FileFacts { size: self.nar_size, sha256: self.nar_hash }
    }

    /// Returns the text that is signed.
    pub fn fingerprint(&self) -> String {
        let references: Vec<String> = self.references.iter().map(StorePath::to_string).collect();
        format!(
            "1;{};sha256:{};{};{}",
            self.path,
            to_base32(self.nar_hash.bytes()),
            self.nar_size,
            references.join(",")
        )
    }
}

/// What Nix knows about some store paths and everything that they refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closures(BTreeMap<StorePath, PathInfo>);

impl Closures {
    /// # Errors
    /// Something is referred to that is not among them.
    pub fn new(infos: impl IntoIterator<Item = PathInfo>) -> Result<Closures, String> {
        let infos: BTreeMap<_, _> = infos.into_iter().map(|info| (info.path.clone(), info)).collect();
        for info in infos.values() {
            if let Some(missing) = info.references.iter().find(|path| !infos.contains_key(path)) {
                return Err(format!("{} refers to {missing}, of which nothing is known", info.path));
            }
        }
        Ok(Closures(infos))
    }

    /// Returns what is known about a path.
    pub fn get(&self, path: &StorePath) -> Option<&PathInfo> {
        self.0.get(path)
    }

    /// Returns the path and everything that it refers to, sorted; nothing if the path is not among them.
    pub fn of(&self, path: &StorePath) -> Vec<&PathInfo> {
        let (mut seen, mut next) = (BTreeMap::new(), vec![path]);
        while let Some(path) = next.pop() {
            if let Some(info) = self.0.get(path)
                && seen.insert(path, info).is_none()
            {
                next.extend(&info.references);
            }
        }
        seen.into_values().collect()
    }
}

/// Why the output of `nix path-info --json` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// A path, as it is shown, that is not in the store.
    NotThere(String),
    /// Something unexpected: what it is.
    Odd(String),
}

impl From<String> for Unread {
    fn from(what: String) -> Unread {
        Unread::Odd(what)
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unread::NotThere(path) => write!(f, "{path} is not in the store"),
            Unread::Odd(what) => f.write_str(what),
        }
    }
}

/// Asks `nix path-info --json` for the format that every version of Nix has.
pub const FORMAT: [&str; 2] = ["--json-format", "1"];

/// Whether a message is that of a Nix that does not know [`FORMAT`], because it has only that one.
pub fn has_one_format(message: &str) -> bool {
    message.contains("json-format") && message.contains("unrecogni")
}

/// Reads the output of `nix path-info --json`: a list until Nix 2.18 and in Lix; later an object by path; in format 2,
/// the default of some versions since 2.33, with a version, names without the store directory, and hashes as objects.
///
/// # Errors
/// A path is not in the store, or the output is unexpected.
pub fn parse_path_infos(json: &str) -> Result<Vec<PathInfo>, Unread> {
    match serde_json::from_str(json).map_err(|error| error.to_string())? {
        Value::Array(list) => list.into_iter().map(|value| path_info(None, value)).collect(),
        Value::Object(mut object) => {
            if let Some(Value::Object(inner)) = object.remove("info") {
                match object.get("storeDir").and_then(Value::as_str) {
                    None | Some(STORE) => object = inner,
                    Some(other) => return Err(format!("it is about another store, `{}`", excerpt(other)).into()),
                }
            }
            object.into_iter().map(|(path, value)| path_info(Some(&path), value)).collect()
        }
        _ => Err("it is neither a list nor an object".to_owned().into()),
    }
}

/// A hash, as text or as an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum Hash {
    Text(String),
    Parts { algorithm: String, format: String, hash: String },
}

impl Hash {
    fn digest(&self) -> Result<Digest, String> {
        match self {
            Hash::Text(text) => parse_hash(text),
            Hash::Parts { algorithm, format, hash } => match format.as_str() {
                "base16" | "base32" | "nix32" | "base64" => parse_hash(&format!("{algorithm}:{hash}")),
                "sri" => parse_hash(hash),
                other => Err(format!("it has a hash in the unknown format `{}`", excerpt(other))),
            },
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    path: Option<String>,
    nar_hash: Option<Hash>,
    nar_size: Option<u64>,
    references: Vec<String>,
}

fn path_info(name: Option<&str>, value: Value) -> Result<PathInfo, Unread> {
    let shown = || name.map_or_else(|| "a path".to_owned(), |name| format!("`{}`", excerpt(name)));
    // Newer versions of Nix write `null`, and older ones `"valid": false`.
    if value.is_null() || value.get("valid") == Some(&Value::Bool(false)) {
        let path = value.get("path").and_then(Value::as_str).map_or_else(shown, |path| format!("`{}`", excerpt(path)));
        return Err(Unread::NotThere(path));
    }
    let entry: Entry = serde_json::from_value(value).map_err(|error| format!("{}: {error}", shown()))?;
    let path = parse_either(entry.path.as_deref().or(name).ok_or_else(|| "it names no path".to_owned())?)?;
    let hash = entry.nar_hash.ok_or_else(|| format!("{path} has no hash"))?;
    Ok(PathInfo {
        nar_hash: hash.digest()?,
        nar_size: entry.nar_size.ok_or_else(|| format!("{path} has no size"))?,
        references: entry.references.iter().map(|path| parse_either(path)).collect::<Result<_, _>>()?,
        path,
    })
}

fn parse_either(path: &str) -> Result<StorePath, String> {
    if path.starts_with('/') { StorePath::parse(path) } else { StorePath::of_base_name(path) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    // Written by Nix 2.8.
    const PATH_INFO: &str = r#"{"path":"/nix/store/s1ph2ym3d4b06r86sv46dg4hz7cr0kzw-top","narHash":"sha256-Hjcz5WiOrAWQN/TBS+5L8qR1x0HIZbtGDXqX++Bp/0w=","narSize":216,"references":["/nix/store/dqh9lqb3abv90ziv5mf2hxrbvf2ibihw-dep","/nix/store/yl93ha4ya9xb5nprhnhwqhh8aw1vjp4s-d.nix"],"deriver":"/nix/store/0wmwaigdg3ikbck5d3avr4k4f0f66y9f-top.drv","registrationTime":1795344823,"ultimate":true}"#;
    #[test]
    fn every_nix_says_the_same_about_a_path() {
        let sri = "sha256-Hjcz5WiOrAWQN/TBS+5L8qR1x0HIZbtGDXqX++Bp/0w=";
        let expected = parse_path_infos(&format!("[{PATH_INFO}]")).expect("valid");
        assert_eq!(expected[0].nar_hash.sri(), sri);
        let base32 = "sha256:0k7zd7hgp5vs1m3bnrf8873pb97j9gp4phgl6y80bb4fd3jk6dqy";
        let older = PATH_INFO.replace(sri, base32);
        let newer = PATH_INFO.replacen(r#""path":"/nix/store/s1ph2ym3d4b06r86sv46dg4hz7cr0kzw-top","#, "", 1);
        let newest = newer.replace("/nix/store/", "");
        let parts = |format: &str, hash: &str| {
            let hash = format!(r#"{{"algorithm":"sha256","format":"{format}","hash":"{hash}"}}"#);
            newest.replace(&format!("\"{sri}\""), &hash)
        };
        let second = |info: &str| {
            format!(
                r#"{{"version":2,"storeDir":"/nix/store","info":{{"s1ph2ym3d4b06r86sv46dg4hz7cr0kzw-top":{info}}}}}"#
            )
        };
        for json in [
            format!("[{older}]"),
            format!(r#"{{"/nix/store/s1ph2ym3d4b06r86sv46dg4hz7cr0kzw-top":{newer}}}"#),
            second(&newest),
            second(&parts("base64", &sri[7..])),
            second(&parts("base16", &expected[0].nar_hash.to_string())),
            second(&parts("nix32", &base32[7..])),
        ] {
            assert_eq!(parse_path_infos(&json), Ok(expected.clone()), "{json}");
        }
    }

    #[test]
    fn unexpected_output_is_reported() {
        let shown: Vec<String> = [
            "",
            "1",
            r#"[{"path": "/nix/store/x", "valid": false}]"#,
            r#"{"/nix/store/s1ph2ym3d4b06r86sv46dg4hz7cr0kzw-top": null}"#,
            r#"{"storeDir": "/other", "info": {}}"#,
            r#"[{"narHash": "x", "narSize": 1}]"#,
            &format!("[{}]", PATH_INFO.replace("sha256-", "sha512-")),
            &format!("[{}]", PATH_INFO.replace("-top", "-t#p")),
            &format!("[{}]", PATH_INFO.replace("216", "-1")),
        ]
        .iter()
        .map(|json| parse_path_infos(json).expect_err(json).to_string())
        .collect();
        expect![[r#"
            EOF while parsing a value at line 1 column 0
            it is neither a list nor an object
            `/nix/store/x` is not in the store
            `/nix/store/s1ph2ym3d4b06r86sv46dg4hz7cr0kzw-top` is not in the store
            it is about another store, `/other`
            a path: missing field `references`
            `sha512-Hjcz5WiOrAWQN/TBS+5L8qR1x0HIZbtGDXqX++Bp/0w=` is not a SHA-256 hash
            `s1ph2ym3d4b06r86sv46dg4hz7cr0kzw-t#p` is not a store path
            a path: invalid value: integer `-1`, expected u64"#]]
        .assert_eq(&shown.join("\n"));
    }
    #[test]
    fn a_closure_is_complete() {
        let path = |name: &str| StorePath::of_base_name(&format!("{}-{name}", "a".repeat(32))).expect(name);
        let info = |name: &str, references: &[&str]| PathInfo {
            path: path(name),
            nar_hash: Digest::new([1; 32]),
            nar_size: 1,
            references: references.iter().map(|name| path(name)).collect(),
        };
        let some = [info("a", &["a", "b"]), info("b", &["c"]), info("c", &["b"]), info("d", &["a"])];
        let closures = Closures::new(some.clone()).expect("complete");
        let names = |name: &str| closures.of(&path(name)).iter().map(|info| info.path.name()).collect::<String>();
        assert_eq!(["a", "b", "c", "d", "e"].map(names), ["abc", "bc", "bc", "abcd", ""]);
        let error = Closures::new(some[..2].to_vec()).expect_err("c is missing");
        assert!(
            error.ends_with("-b refers to /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-c, of which nothing is known")
        );
    }
}
