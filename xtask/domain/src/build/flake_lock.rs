//! `flake.lock`: the inputs that a flake is locked to, with their hashes. Nix has evaluated the flake by then, so it is
//! known to be sound for Nix; this reader gives up on what it does not understand instead of leaving it out.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::environment::remote_url;
use crate::nix_hash::parse_hash;
use crate::oid::Oid;
use crate::shown::{excerpt, is_hidden, reason};

/// Path of the file in a tree.
pub const PATH: &str = "flake.lock";
/// Longest file in bytes: Lix's has 5 kB.
pub const LONGEST: usize = 1 << 20;
/// Formats that are known. The first two also occur in old releases: Nix still reads them.
const VERSIONS: std::ops::RangeInclusive<u64> = 5..=7;
/// Most inputs, with those of inputs, and longest name or address in bytes.
const MOST: usize = 1000;
const LONGEST_TEXT: usize = 1000;

/// The inputs of a flake and of its inputs, by their names in `flake.lock`.
pub type Inputs = BTreeMap<String, Input>;

/// What an input is locked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Where it is from, as Nix writes it in a flake reference, without its revision; `None` if that is a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<Oid>,
    /// Digest of its NAR; `None` for a directory of the tree itself.
    #[serde(rename = "narHash", default, skip_serializing_if = "Option::is_none", with = "sri")]
    pub nar: Option<Digest>,
}

/// A digest as Nix writes it.
mod sri {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::digest::Digest;
    use crate::nix_hash::parse_hash;

    pub fn serialize<S: Serializer>(digest: &Option<Digest>, serializer: S) -> Result<S::Ok, S::Error> {
        match digest {
            Some(digest) => serializer.serialize_str(&digest.sri()),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Digest>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| parse_hash(&text).map_err(D::Error::custom)).transpose()
    }
}

#[derive(Deserialize)]
struct Lock {
    root: String,
    nodes: BTreeMap<String, Node>,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    inputs: BTreeMap<String, Edge>,
    locked: Option<Locked>,
    /// Of format 5.
    info: Option<Info>,
}

/// What an input of a node is.
#[derive(Deserialize)]
#[serde(untagged)]
enum Edge {
    Node(String),
    /// The input that another one has at this path, which is a node that something else names.
    Follows(#[expect(dead_code, reason = "the node is named elsewhere, too")] Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    nar_hash: Option<String>,
}

/// The attributes of a locked reference that matter here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Locked {
    #[serde(rename = "type")]
    kind: String,
    owner: Option<String>,
    repo: Option<String>,
    host: Option<String>,
    url: Option<String>,
    path: Option<String>,
    rev: Option<String>,
    nar_hash: Option<String>,
}

/// Reads the inputs that a lock file names, directly or as inputs of inputs.
///
/// # Errors
/// What is wrong with it, without its path.
pub fn inputs(text: &str) -> Result<Inputs, String> {
    #[derive(Deserialize)]
    struct Numbered {
        version: u64,
    }
    let wrong = |why: String| format!("is not a lock file that this tool can read: {why}");
    if text.len() > LONGEST {
        return Err(wrong(format!("it has more than {LONGEST} bytes")));
    }
    let Numbered { version } = serde_json::from_str(text).map_err(|error| wrong(reason(error)))?;
    if !VERSIONS.contains(&version) {
        let (first, last) = (VERSIONS.start(), VERSIONS.end());
        return Err(wrong(format!("its version is {version}, and {first} to {last} are known")));
    }
    let lock: Lock = serde_json::from_str(text).map_err(|error| wrong(reason(error)))?;
    lock.inputs().map_err(wrong)
}

impl Lock {
    fn inputs(&self) -> Result<Inputs, String> {
        let (mut found, mut seen) = (Inputs::new(), BTreeSet::from([self.root.as_str()]));
        let mut next = vec![self.root.as_str()];
        while let Some(name) = next.pop() {
            let node = self.nodes.get(name).ok_or_else(|| format!("it has no node `{}`", excerpt(name)))?;
            if name != self.root {
                let input = node.input().map_err(|why| format!("its node `{}` {why}", excerpt(name)))?;
                found.insert(name.to_owned(), input);
            }
            for edge in node.inputs.values() {
                match edge {
                    Edge::Node(name) if seen.insert(name) => next.push(name),
                    Edge::Node(_) | Edge::Follows(_) => {}
                }
            }
            if seen.len() > MOST {
                return Err(format!("it has more than {MOST} nodes"));
            }
            if name.len() > LONGEST_TEXT || name.chars().any(is_hidden) {
                let name = excerpt(name);
                return Err(format!(
                    "the name of its node `{name}` is too long, or has characters that cannot be shown"
                ));
            }
        }
        Ok(found)
    }
}

impl Node {
    fn input(&self) -> Result<Input, String> {
        let locked = self.locked.as_ref().ok_or("is not locked")?;
        let hash = locked.nar_hash.as_ref().or_else(|| self.info.as_ref()?.nar_hash.as_ref());
        let input = Input {
            from: locked.from()?,
            rev: locked.rev.as_ref().map(|rev| rev.parse()).transpose().map_err(|why: String| format!("has: {why}"))?,
            nar: hash.map(|hash| parse_hash(hash)).transpose().map_err(|why| format!("has: {why}"))?,
        };
        // A directory of the tree itself is covered by the tree's commit.
        if input.nar.is_none() && input.rev.is_none() && locked.kind != "path" {
            return Err("has neither a revision nor a hash".to_owned());
        }
        Ok(input)
    }
}

impl Locked {
    /// Returns where it is from: nothing that only one machine knows, and no credentials.
    fn from(&self) -> Result<Option<String>, String> {
        let part = |part: &Option<String>, what: &str| part.clone().ok_or_else(|| format!("has no `{what}`"));
        let from = match self.kind.as_str() {
            kind @ ("github" | "gitlab" | "sourcehut") => {
                let host = self.host.as_ref().map(|host| format!("?host={host}")).unwrap_or_default();
                Some(format!("{kind}:{}/{}{host}", part(&self.owner, "owner")?, part(&self.repo, "repo")?))
            }
            kind @ ("git" | "hg") => remote(&part(&self.url, "url")?).map(|url| format!("{kind}+{url}")),
            "tarball" | "file" => remote(&part(&self.url, "url")?),
            "path" => part(&self.path, "path").map(|path| (!path.starts_with('/')).then(|| format!("path:{path}")))?,
            kind => return Err(format!("is of type `{}`, which this tool does not know", excerpt(kind))),
        };
        match from {
            Some(from) if from.len() > LONGEST_TEXT || !from.bytes().all(is_of_url) => {
                Err(format!("is from `{}`, which is not an address", excerpt(&from)))
            }
            from => Ok(from),
        }
    }
}

/// Returns the address without credentials, unless it leads to this machine.
fn remote(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once("://")?;
    (!scheme.eq_ignore_ascii_case("file")).then(|| remote_url::shown(url))
}

fn is_of_url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const HASH: &str = "sha256-K8pGvFito5dp9T0+clr60q+bJPGEskK75aAJ39w7HBM=";
    const REV: &str = "62463162b3ce92919f19ada41a70a0d943a08da8";

    /// A lock file whose only input has these attributes.
    fn lock(version: u32, locked: &str) -> String {
        format!(
            r#"{{"nodes": {{"x": {{"locked": {{{locked}}}, "original": {{}}}}, "root": {{"inputs": {{"x": "x"}}}}}},
                "root": "root", "version": {version}}}"#
        )
    }

    fn github(more: &str) -> String {
        format!(r#""type": "github", "owner": "NixOS", "repo": "nixpkgs", "rev": "{REV}"{more}"#)
    }

    fn shown(text: &str) -> String {
        match inputs(text) {
            Ok(inputs) => serde_json::to_string(&inputs).expect("JSON"),
            Err(why) => why,
        }
    }

    #[test]
    fn every_kind_of_input_and_format() {
        let hash = format!(r#", "narHash": "{HASH}""#);
        let fetched = |kind: &str, url: &str| lock(7, &format!(r#""type": "{kind}", "url": "{url}", "rev": "{REV}""#));
        let old =
            lock(5, &github("")).replace(r#""original""#, &format!(r#""info": {{"narHash": "{HASH}"}}, "original""#));
        let path = |path: &str| lock(7, &format!(r#""type": "path", "path": "{path}"{hash}"#));
        let cases = [
            lock(7, &github(&hash)),
            lock(6, &github(&hash)),
            old,
            lock(7, &github(r#", "host": "ghe.example", "lastModified": 1, "dir": "x""#)),
            fetched("git", "https://me:hunter2@git.example/lix.git"),
            fetched("git", "ssh://git@git.example/lix.git"),
            fetched("hg", "https://hg.example/x"),
            fetched("git", "file:///home/me/lix"),
            fetched("tarball", "https://example.org/x.tar.gz?token=hunter2"),
            fetched("file", "https://example.org/x"),
            path("./sub"),
            path("/home/me/nixpkgs"),
            r#"{"nodes": {"root": {}}, "root": "root", "version": 7}"#.to_owned(),
        ];
        expect![[r#"
            {"x":{"from":"github:NixOS/nixpkgs","rev":"62463162b3ce92919f19ada41a70a0d943a08da8","narHash":"sha256-K8pGvFito5dp9T0+clr60q+bJPGEskK75aAJ39w7HBM="}}
            {"x":{"from":"github:NixOS/nixpkgs","rev":"62463162b3ce92919f19ada41a70a0d943a08da8","narHash":"sha256-K8pGvFito5dp9T0+clr60q+bJPGEskK75aAJ39w7HBM="}}
            {"x":{"from":"github:NixOS/nixpkgs","rev":"62463162b3ce92919f19ada41a70a0d943a08da8","narHash":"sha256-K8pGvFito5dp9T0+clr60q+bJPGEskK75aAJ39w7HBM="}}
            {"x":{"from":"github:NixOS/nixpkgs?host=ghe.example","rev":"62463162b3ce92919f19ada41a70a0d943a08da8"}}
            {"x":{"from":"git+https://git.example/lix.git","rev":"62463162b3ce92919f19ada41a70a0d943a08da8"}}
            {"x":{"from":"git+ssh://git@git.example/lix.git","rev":"62463162b3ce92919f19ada41a70a0d943a08da8"}}
            {"x":{"from":"hg+https://hg.example/x","rev":"62463162b3ce92919f19ada41a70a0d943a08da8"}}
            {"x":{"rev":"62463162b3ce92919f19ada41a70a0d943a08da8"}}
            {"x":{"from":"https://example.org/x.tar.gz","rev":"62463162b3ce92919f19ada41a70a0d943a08da8"}}
            {"x":{"from":"https://example.org/x","rev":"62463162b3ce92919f19ada41a70a0d943a08da8"}}
            {"x":{"from":"path:./sub","narHash":"sha256-K8pGvFito5dp9T0+clr60q+bJPGEskK75aAJ39w7HBM="}}
            {"x":{"narHash":"sha256-K8pGvFito5dp9T0+clr60q+bJPGEskK75aAJ39w7HBM="}}
            {}"#]].assert_eq(&cases.map(|text| shown(&text)).join("\n"));
        for text in cases_again() {
            let read = inputs(&text).expect("valid");
            let json = serde_json::to_string(&read).expect("JSON");
            assert_eq!(serde_json::from_str::<Inputs>(&json).expect("the same"), read);
        }
    }

    fn cases_again() -> [String; 2] {
        [lock(7, &github("")), lock(7, &github(&format!(r#", "narHash": "{HASH}""#)))]
    }

    #[test]
    fn inputs_of_inputs_and_what_follows_others() {
        let node =
            |inputs: &str| format!(r#"{{"inputs": {{{inputs}}}, "locked": {{{}}}, "flake": false}}"#, github(""));
        let text = format!(
            r#"{{"nodes": {{"a": {}, "b": {}, "c": {}, "stale": {{}}, "top": {{"inputs": {{"a": "a", "b": "b"}}}}}}, "root": "top", "version": 7}}"#,
            node(r#""c": "c", "nixpkgs": ["b"]"#),
            node(r#""a": ["a"], "back": "a", "top": []"#),
            // A circle.
            node(r#""a": "a""#),
        );
        let names: Vec<String> = inputs(&text).expect("valid").into_keys().collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let good = lock(7, &github(""));
        let many: String = (0..2000).map(|i| format!(r#""{i}": "{i}","#)).collect();
        let cases = [
            String::new(),
            "[]".to_owned(),
            good[..good.len() / 2].to_owned(),
            lock(4, &github("")),
            lock(8, &github("")),
            good.replace("\"x\": \"x\"", "\"x\": \"y\""),
            good.replace("\"root\": \"root\"", "\"root\": \"\\u001b[31m\""),
            good.replace("\"x\": \"x\"", "\"x\": 1"),
            good.replace("\"locked\"", "\"unlocked\""),
            good.replace("github", "svn"),
            good.replace("NixOS", "a b"),
            good.replace("NixOS", "\\u202e"),
            good.replace("\"owner\"", "\"user\""),
            good.replace(REV, "main"),
            lock(7, &github(r#", "narHash": "sha512-x""#)),
            lock(7, r#""type": "tarball", "url": "https://example.org/x""#),
            good.replace("\"x\": \"x\"", &format!("{many}\"x\": \"x\"")),
            good.replace("\"x\":", "\"\\u202e\":").replace(": \"x\"", ": \"\\u202e\""),
            format!("{good}{}", " ".repeat(LONGEST)),
            format!(r#"{{"version": 7, "root": {}"#, "[".repeat(100_000)),
        ];
        expect![[r#"
            is not a lock file that this tool can read: EOF while parsing a value at line 1 column 0
            is not a lock file that this tool can read: invalid length 0, expected struct Numbered with 1 element at line 1 column 2
            is not a lock file that this tool can read: EOF while parsing a string at line 1 column 115
            is not a lock file that this tool can read: its version is 4, and 5 to 7 are known
            is not a lock file that this tool can read: its version is 8, and 5 to 7 are known
            is not a lock file that this tool can read: it has no node `y`
            is not a lock file that this tool can read: it has no node `\u{1b}[31m`
            is not a lock file that this tool can read: data did not match any variant of untagged enum Edge at line 1 column 179
            is not a lock file that this tool can read: its node `x` is not locked
            is not a lock file that this tool can read: its node `x` is of type `svn`, which this tool does not know
            is not a lock file that this tool can read: its node `x` is from `github:a b/nixpkgs`, which is not an address
            is not a lock file that this tool can read: its node `x` is from `github:\u{202e}/nixpkgs`, which is not an address
            is not a lock file that this tool can read: its node `x` has no `owner`
            is not a lock file that this tool can read: its node `x` has: `main` is not the name of a git object: 40 or 64 hexadecimal digits in lower case
            is not a lock file that this tool can read: its node `x` has: `sha512-x` is not a SHA-256 hash
            is not a lock file that this tool can read: its node `x` has neither a revision nor a hash
            is not a lock file that this tool can read: it has more than 1000 nodes
            is not a lock file that this tool can read: the name of its node `\u{202e}` is too long, or has characters that cannot be shown
            is not a lock file that this tool can read: it has more than 1048576 bytes
            is not a lock file that this tool can read: EOF while parsing a list at line 1 column 100023"#]].assert_eq(&cases.map(|text| shown(&text)).join("\n"));
    }
}
