//! What a binary cache says of a store path, and what it proves: narinfos, and the same facts from the local store.
//!
//! Owns Nix's spellings: store paths, base 32, SRI hashes, and the fingerprint that signatures are of. Refuses to
//! download and to read stores.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::Value;

use super::digest::Digest;
use super::signing::PublicKey;

/// The only store whose paths are published: another one's never match a user's.
pub const STORE: &str = "/nix/store";
/// Nix's digits: no e, o, t, u.
const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
/// Of a SHA-256 in base 32.
const DIGEST_DIGITS: usize = 52;
/// What makes a store path unique.
const HASH_DIGITS: usize = 32;

/// A store path, by its name in the store.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath(String);

impl StorePath {
    /// Of `HASH-NAME`, as references are written.
    ///
    /// # Errors
    /// It is none.
    pub fn of_base_name(name: &str) -> Result<StorePath, String> {
        let is_digit = |byte: &u8| DIGITS.contains(byte);
        let hash = name.split_once('-').filter(|(hash, rest)| {
            hash.len() == HASH_DIGITS && hash.as_bytes().iter().all(is_digit) && !rest.is_empty() && !rest.contains('/')
        });
        match hash {
            Some(_) => Ok(StorePath(name.to_owned())),
            None => Err(format!("`{}` is not a store path", name.escape_debug())),
        }
    }

    /// Of `/nix/store/HASH-NAME`.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(path: &str) -> Result<StorePath, String> {
        let name = path.strip_prefix(STORE).and_then(|name| name.strip_prefix('/'));
        StorePath::of_base_name(name.ok_or_else(|| format!("`{}` is not in {STORE}", path.escape_debug()))?)
    }

    pub fn hash(&self) -> &str {
        &self.0[..HASH_DIGITS]
    }

    /// What follows the hash.
    pub fn name(&self) -> &str {
        &self.0[HASH_DIGITS + 1..]
    }

    /// The key of its narinfo in a binary cache.
    pub fn narinfo(&self) -> String {
        format!("{}.narinfo", self.hash())
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{STORE}/{}", self.0)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a signature is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    pub path: StorePath,
    pub nar_hash: Digest,
    /// Bytes.
    pub nar_size: u64,
    pub references: BTreeSet<StorePath>,
}

impl PathInfo {
    /// The text that is signed.
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

/// A narinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarInfo {
    pub info: PathInfo,
    /// The key of its NAR.
    pub url: String,
    /// Of the NAR as it is stored.
    pub file_hash: Option<Digest>,
    /// Of the same, in bytes.
    pub file_size: Option<u64>,
    /// In Nix's spelling.
    pub signatures: Vec<String>,
}

impl NarInfo {
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<NarInfo, String> {
        let mut fields = BTreeMap::new();
        let mut signatures = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (name, value) =
                line.split_once(':').ok_or_else(|| format!("it has a line `{}`", line.escape_debug()))?;
            match (name, value.trim()) {
                ("Sig", signature) => signatures.push(signature.to_owned()),
                (name, value) => {
                    if fields.insert(name, value).is_some() {
                        return Err(format!("it has two lines {}", name.escape_debug()));
                    }
                }
            }
        }
        let field = |name: &str| fields.get(name).copied().ok_or_else(|| format!("it has no {name}"));
        let number = |name: &str, text: &str| {
            text.parse::<u64>().map_err(|_| format!("its {name} is no number: {}", text.escape_debug()))
        };
        let references = field("References")?.split_whitespace().map(StorePath::of_base_name);
        Ok(NarInfo {
            info: PathInfo {
                path: StorePath::parse(field("StorePath")?)?,
                nar_hash: parse_hash(field("NarHash")?)?,
                nar_size: number("NarSize", field("NarSize")?)?,
                references: references.collect::<Result<_, _>>()?,
            },
            url: field("URL")?.to_owned(),
            file_hash: fields.get("FileHash").map(|hash| parse_hash(hash)).transpose()?,
            file_size: fields.get("FileSize").map(|size| number("FileSize", size)).transpose()?,
            signatures,
        })
    }

    /// Whether one of its signatures is by `key`, over what it says itself.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let fingerprint = self.info.fingerprint();
        self.signatures.iter().any(|signature| key.verifies(&fingerprint, signature))
    }
}

/// What `nix path-info --json` gives: a list until Nix 2.18 and in Lix, then an object by path, which later got a
/// version and names without the store.
///
/// # Errors
/// What is odd about it.
pub fn parse_path_infos(json: &str) -> Result<Vec<PathInfo>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry {
        path: Option<String>,
        nar_hash: Option<Value>,
        nar_size: Option<u64>,
        #[serde(default)]
        references: Vec<String>,
    }
    let info = |name: Option<&str>, value: Value| {
        let entry: Entry = serde_json::from_value(value).map_err(|error| error.to_string())?;
        let path = entry.path.as_deref().or(name).ok_or("it names no path")?;
        let path = parse_either(path)?;
        let hash = entry.nar_hash.ok_or_else(|| format!("{path} is not in the store"))?;
        let hash = hash.as_str().ok_or_else(|| format!("the hash of {path} is no text"))?;
        Ok(PathInfo {
            nar_hash: parse_hash(hash)?,
            nar_size: entry.nar_size.ok_or_else(|| format!("{path} has no size"))?,
            references: entry.references.iter().map(|path| parse_either(path)).collect::<Result<_, _>>()?,
            path,
        })
    };
    match serde_json::from_str(json).map_err(|error| error.to_string())? {
        Value::Array(list) => list.into_iter().map(|value| info(None, value)).collect(),
        Value::Object(mut object) => {
            if let Some(Value::Object(inner)) = object.remove("info") {
                object = inner;
            }
            object.into_iter().map(|(path, value)| info(Some(&path), value)).collect()
        }
        _ => Err("it is neither a list nor an object".to_owned()),
    }
}

fn parse_either(path: &str) -> Result<StorePath, String> {
    if path.starts_with('/') { StorePath::parse(path) } else { StorePath::of_base_name(path) }
}

/// A SHA-256 as Nix has ever spelled it: SRI, or after `sha256:` in base 32 or 16.
fn parse_hash(text: &str) -> Result<Digest, String> {
    let odd = || format!("`{}` is not a SHA-256 hash", text.escape_debug());
    if let Some(sri) = text.strip_prefix("sha256-") {
        return BASE64.decode(sri).ok().and_then(|b| b.try_into().ok()).map(Digest::new).ok_or_else(odd);
    }
    let digits = text.strip_prefix("sha256:").ok_or_else(odd)?;
    match digits.len() {
        DIGEST_DIGITS => from_base32(digits).map(Digest::new).ok_or_else(odd),
        _ => digits.parse().map_err(|_| odd()),
    }
}

/// Nix's base 32: the last digit holds the first bits.
pub fn to_base32(bytes: &[u8; 32]) -> String {
    let digit = |n: usize| {
        let (byte, shift) = (n * 5 / 8, n * 5 % 8);
        let next = bytes.get(byte + 1).copied().unwrap_or(0);
        let bits = (u16::from(bytes[byte]) | u16::from(next) << 8) >> shift;
        char::from(DIGITS[usize::from(bits & 31)])
    };
    (0..DIGEST_DIGITS).rev().map(digit).collect()
}

/// What [`to_base32`] gave; `None` for anything else.
pub fn from_base32(text: &str) -> Option<[u8; 32]> {
    if text.len() != DIGEST_DIGITS {
        return None;
    }
    let mut bytes = [0; 32];
    for (n, digit) in text.bytes().rev().enumerate() {
        let value = u16::try_from(DIGITS.iter().position(|known| *known == digit)?).ok()?;
        let (byte, shift) = (n * 5 / 8, n * 5 % 8);
        let [low, high] = (value << shift).to_le_bytes();
        bytes[byte] |= low;
        match bytes.get_mut(byte + 1) {
            Some(next) => *next |= high,
            None if high != 0 => return None,
            None => {}
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // All of it by Nix 2.8: `nix copy --to 'file://…?secret-key=…'` and `nix path-info --json`.
    const NARINFO: &str = "\
StorePath: /nix/store/s1ph2ym3d4b06r86sv46dg4hz7cr0kzw-top
URL: nar/0na2zvwlnhqc3px6lh3mipxf44lkhf81pw3p27x2523z6vdmzk1r.nar.zst
Compression: zstd
FileHash: sha256:0na2zvwlnhqc3px6lh3mipxf44lkhf81pw3p27x2523z6vdmzk1r
FileSize: 163
NarHash: sha256:0k7zd7hgp5vs1m3bnrf8873pb97j9gp4phgl6y80bb4fd3jk6dqy
NarSize: 216
References: dqh9lqb3abv90ziv5mf2hxrbvf2ibihw-dep yl93ha4ya9xb5nprhnhwqhh8aw1vjp4s-d.nix
Deriver: 0wmwaigdg3ikbck5d3avr4k4f0f66y9f-top.drv
Sig: test-1:eyHQCMtqksYMRaiznlTs7TaShdP4j/qckzAJnoepUocS+5py2Cemfw3uIxJlmQ08ERynNrwkRQWHdvzwCNGRCA==
";
    const PATH_INFO: &str = r#"{"path":"/nix/store/s1ph2ym3d4b06r86sv46dg4hz7cr0kzw-top","narHash":"sha256-Hjcz5WiOrAWQN/TBS+5L8qR1x0HIZbtGDXqX++Bp/0w=","narSize":216,"references":["/nix/store/dqh9lqb3abv90ziv5mf2hxrbvf2ibihw-dep","/nix/store/yl93ha4ya9xb5nprhnhwqhh8aw1vjp4s-d.nix"],"deriver":"/nix/store/0wmwaigdg3ikbck5d3avr4k4f0f66y9f-top.drv","registrationTime":1795344823,"ultimate":true}"#;
    const KEY: &str = "test-1:ConZHCHTiL125PdUi2yCYfjINrkaoHgUkX5CH+bZzFs=";

    #[test]
    fn what_nix_signed_is_signed() {
        let key: PublicKey = KEY.parse().expect("valid");
        let narinfo = NarInfo::parse(NARINFO).expect("valid");
        assert!(narinfo.is_signed_by(&key));
        assert_eq!(
            narinfo.info.fingerprint(),
            "1;/nix/store/s1ph2ym3d4b06r86sv46dg4hz7cr0kzw-top;\
             sha256:0k7zd7hgp5vs1m3bnrf8873pb97j9gp4phgl6y80bb4fd3jk6dqy;216;\
             /nix/store/dqh9lqb3abv90ziv5mf2hxrbvf2ibihw-dep,/nix/store/yl93ha4ya9xb5nprhnhwqhh8aw1vjp4s-d.nix"
        );
        for (from, to) in [
            ("NarSize: 216", "NarSize: 217"),
            ("0k7zd7hg", "1k7zd7hg"),
            (" yl93ha4ya9xb5nprhnhwqhh8aw1vjp4s-d.nix", ""),
            ("-top", "-tap"),
            ("Sig: test-1", "Sig: test-2"),
            ("Sig: test-1:eyHQ", "Sig: test-1:eyHR"),
            ("Sig: test-1:eyHQ", "Sig: eyHQ"),
        ] {
            let narinfo = NarInfo::parse(&NARINFO.replacen(from, to, 1));
            assert!(!narinfo.expect("still a narinfo").is_signed_by(&key), "{to}");
        }
    }

    #[test]
    fn every_nix_tells_the_same_of_a_path() {
        let narinfo = NarInfo::parse(NARINFO).expect("valid");
        let base32 = "sha256:0k7zd7hgp5vs1m3bnrf8873pb97j9gp4phgl6y80bb4fd3jk6dqy";
        let older = PATH_INFO.replace("sha256-Hjcz5WiOrAWQN/TBS+5L8qR1x0HIZbtGDXqX++Bp/0w=", base32);
        let newer = PATH_INFO.replacen(r#""path":"/nix/store/s1ph2ym3d4b06r86sv46dg4hz7cr0kzw-top","#, "", 1);
        let newest = newer.replace("/nix/store/", "");
        for json in [
            format!("[{PATH_INFO}]"),
            format!("[{older}]"),
            format!(r#"{{"/nix/store/s1ph2ym3d4b06r86sv46dg4hz7cr0kzw-top":{newer}}}"#),
            format!(
                r#"{{"version":2,"storeDir":"/nix/store","info":{{"s1ph2ym3d4b06r86sv46dg4hz7cr0kzw-top":{newest}}}}}"#
            ),
        ] {
            assert_eq!(parse_path_infos(&json).as_deref(), Ok([narinfo.info.clone()].as_slice()), "{json}");
        }
    }

    #[test]
    fn what_is_no_narinfo() {
        let wrong = |from: &str, to: &str| NarInfo::parse(&NARINFO.replacen(from, to, 1)).expect_err(to);
        let messages = [
            wrong("URL: ", "Url: "),
            wrong("NarSize: 216", "NarSize: many"),
            wrong("/nix/store/s1", "/gnu/store/s1"),
            wrong("References: dqh9", "References: eqh9"),
            wrong("NarHash: sha256:0", "NarHash: md5:0"),
            NarInfo::parse("<html>").expect_err("no narinfo"),
            NarInfo::parse(&NARINFO.repeat(2)).expect_err("twice"),
        ];
        expect_test::expect![[r#"
            it has no URL
            its NarSize is no number: many
            `/gnu/store/s1ph2ym3d4b06r86sv46dg4hz7cr0kzw-top` is not in /nix/store
            `eqh9lqb3abv90ziv5mf2hxrbvf2ibihw-dep` is not a store path
            `md5:0k7zd7hgp5vs1m3bnrf8873pb97j9gp4phgl6y80bb4fd3jk6dqy` is not a SHA-256 hash
            it has a line `<html>`
            it has two lines StorePath"#]]
        .assert_eq(&messages.join("\n"));
    }

    proptest! {
        #[test]
        fn base_32_survives(bytes: [u8; 32]) {
            let text = to_base32(&bytes);
            prop_assert_eq!(from_base32(&text), Some(bytes));
            prop_assert_eq!(from_base32(&text[1..]), None);
            prop_assert_eq!(from_base32(&(text + "0")), None);
        }
    }
}
