//! Narinfos: what a binary cache says about a store path, and the signatures that prove it.
//!
//! Nix decides: a text is a narinfo if every version of Nix accepts it, and broken if none does, down to blanks and
//! line ends. Downloading is left to `tools`.

use xtask::domain::build::path_info::PathInfo;
use xtask::domain::digest::Digest;
use xtask::domain::nix_hash::parse_hash;
use xtask::domain::shown::excerpt;
use xtask::domain::store_path::{StorePath, to_base32};

use crate::domain::cache::signing::{PublicKey, SecretKey, is_signature, key_of};

/// A narinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarInfo {
    pub info: PathInfo,
    /// Key of the NAR in the bucket.
    pub url: String,
    /// Compression of the NAR.
    compression: String,
    /// SHA-256 of the compressed NAR; `None` if the narinfo has no `FileHash`, or one of another kind.
    pub file_hash: Option<Digest>,
    /// Size of the compressed NAR in bytes.
    pub file_size: Option<u64>,
    /// Signatures as Nix writes them, `NAME:BASE64`.
    pub signatures: Vec<String>,
}

/// Compressions for which Nix adds an extension to the NAR's name.
const EXTENSIONS: [(&str, &str); 6] =
    [("zstd", ".zst"), ("xz", ".xz"), ("bzip2", ".bz2"), ("br", ".br"), ("lzip", ".lzip"), ("lz4", ".lz4")];
/// Other compressions that Nix can unpack.
const OTHERS: [&str; 2] = ["none", "gzip"];
/// The compression that Nix assumes if a narinfo does not name one.
const DEFAULT: &str = "bzip2";
/// Longest key that S3 allows, in bytes.
const LONGEST_URL: usize = 1024;

impl NarInfo {
    /// # Errors
    /// Says what is wrong with the narinfo.
    pub fn parse(text: &str) -> Result<NarInfo, String> {
        let (mut path, mut url, mut compression) = (None, "", "");
        let (mut nar_hash, mut nar_size, mut file_hash, mut file_size) = (None, 0, None, None);
        let (mut references, mut content_address) = (Vec::new(), false);
        let mut signatures = Vec::new();
        for line in Lines(text) {
            let (name, value) = line?;
            match name {
                "StorePath" => path = Some(StorePath::parse(value)?),
                "URL" => url = value,
                "Compression" => compression = value,
                "FileHash" => file_hash = parse_any_hash(value)?,
                "FileSize" => file_size = Some(number(name, value)?),
                "NarHash" => nar_hash = Some(parse_hash(value)?),
                "NarSize" => nar_size = number(name, value)?,
                "References" if references.is_empty() => {
                    let names = value.split(' ').filter(|name| !name.is_empty()).map(StorePath::of_base_name);
                    references = names.collect::<Result<_, _>>()?;
                }
                "References" => return Err("it has two References lines".to_owned()),
                "Deriver" if value != "unknown-deriver" => drop(StorePath::of_base_name(value)?),
                "Sig" => signatures.push(value.to_owned()),
                "CA" if content_address => return Err("it has two CA lines".to_owned()),
                "CA" => content_address = is_content_address(value)?,
                _ => {}
            }
        }
        let missing = |name: &str| format!("it has no {name}");
        if url.is_empty() {
            return Err(missing("URL"));
        }
        if nar_size == 0 {
            return Err(missing("NarSize"));
        }
        Ok(NarInfo {
            info: PathInfo {
                path: path.ok_or_else(|| missing("StorePath"))?,
                nar_hash: nar_hash.ok_or_else(|| missing("NarHash"))?,
                nar_size,
                references: references.into_iter().collect(),
            },
            url: url.to_owned(),
            compression: if compression.is_empty() { DEFAULT } else { compression }.to_owned(),
            file_hash,
            file_size,
            signatures,
        })
    }

    /// Whether one of its signatures is by `key` and matches the narinfo's own fields.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let fingerprint = self.info.fingerprint();
        self.signatures.iter().any(|signature| key.verifies(&fingerprint, signature))
    }

    /// Describes the first malformed signature, whichever key it claims to be by: older versions of Nix ignore it, and
    /// since 2.34 Nix rejects the narinfo that contains it.
    pub fn signature_fault(&self) -> Option<String> {
        let odd = self.signatures.iter().find(|signature| !is_signature(signature))?;
        Some(format!("newer versions of Nix refuse its signature `{}`", excerpt(odd)))
    }

    /// Returns what is wrong with the NAR's URL and compression, as far as the name shows.
    pub fn nar_name_fault(&self) -> Option<String> {
        let url = &self.url;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"+-._=/".contains(&b);
        let odd = |part: &str| matches!(part, "" | "." | "..");
        if !url.bytes().all(plain) || url.split('/').any(odd) || url.len() > LONGEST_URL {
            return Some(format!("its URL is not the name of an object here: `{}`", excerpt(url)));
        }
        let packed = self.compression.as_str();
        if !EXTENSIONS.iter().any(|(name, _)| *name == packed) && !OTHERS.contains(&packed) {
            return Some(format!("its Compression is unknown to Nix: `{}`", excerpt(packed)));
        }
        let (stem, named) = match url.split_once(".nar") {
            Some((stem, extension)) => (stem, EXTENSIONS.iter().find(|(_, known)| *known == extension)),
            None => return None,
        };
        if let Some((named, _)) = named.filter(|(named, _)| *named != packed) {
            return Some(format!("its Compression is {packed}, but its NAR is {url}, which means {named}"));
        }
        // Nix names a NAR by the digest of the compressed file; other tools by that of the NAR itself.
        let digest = parse_hash(&format!("sha256:{}", stem.rsplit('/').next().unwrap_or(stem))).ok();
        let file_hash = digest.zip(self.file_hash).filter(|(digest, _)| *digest != self.info.nar_hash);
        file_hash
            .filter(|(digest, file_hash)| digest != file_hash)
            .map(|(_, file_hash)| format!("its FileHash is {}, but its NAR is {url}", to_base32(file_hash.bytes())))
    }
}

/// Returns the text of a narinfo with a signature by `key`. Everything else stays, including other keys' signatures; an
/// older signature under that key's name is removed, because it is not valid.
pub fn signed(text: &str, narinfo: &NarInfo, key: &SecretKey) -> String {
    let name = key.public().name();
    with_signatures(text, |other| other.split(':').next() != Some(name), &[key.sign(&narinfo.info.fingerprint())])
}

/// Returns the text of a new narinfo, plus the signatures by other keys from an older narinfo of exactly the same path.
pub fn keeping_signatures(new: &str, new_info: &NarInfo, old: &NarInfo) -> String {
    if old.info != new_info.info {
        return new.to_owned();
    }
    let has = |key: &str| new_info.signatures.iter().any(|signature| key_of(signature) == Some(key));
    let kept = old.signatures.iter().filter(|signature| key_of(signature).is_some_and(|key| !has(key)));
    with_signatures(new, |_| true, &kept.cloned().collect::<Vec<_>>())
}

fn with_signatures(text: &str, stays: impl Fn(&str) -> bool, more: &[String]) -> String {
    // Other lines stay as they are, even one that ends in a carriage return.
    let is_kept = |line: &&str| line.trim_end_matches('\n').strip_prefix("Sig: ").is_none_or(&stays);
    let kept = text.split_inclusive('\n').filter(is_kept).map(str::to_owned);
    kept.chain(more.iter().map(|signature| format!("Sig: {signature}\n"))).collect()
}

/// The fields of a narinfo, as Nix splits it: a name is everything up to the next colon, even across an empty line; the
/// value starts one character after that colon and ends at a line feed.
struct Lines<'a>(&'a str);

impl<'a> Iterator for Lines<'a> {
    type Item = Result<(&'a str, &'a str), String>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0;
        if text.is_empty() {
            return None;
        }
        let Some((name, rest)) = text.split_once(':') else {
            return Some(Err(format!("it has a line `{}`", excerpt(text.trim()))));
        };
        let mut after_blank = rest.chars();
        after_blank.next();
        match after_blank.as_str().split_once('\n') {
            None => Some(Err(format!("it ends in the middle of the line {}", excerpt(name.trim())))),
            Some((value, _)) if name == "StorePath" && value.ends_with('\r') => {
                Some(Err("it has Windows line ends, which Nix does not accept".to_owned()))
            }
            Some((value, after)) => {
                self.0 = after;
                Some(Ok((name, value)))
            }
        }
    }
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("its {name} is not a number: {}", excerpt(text)))
}

/// Reads a hash of any kind; returns only a SHA-256.
fn parse_any_hash(text: &str) -> Result<Option<Digest>, String> {
    let others = ["md5", "sha1", "sha512", "blake3"];
    match text.split_once([':', '-']) {
        Some((kind, digits)) if others.contains(&kind) && digits.len() > 20 => Ok(None),
        _ => parse_hash(text).map(Some),
    }
}

/// Whether a path is content-addressed; a narinfo may say so about a path that was only downloaded.
fn is_content_address(text: &str) -> Result<bool, String> {
    let hash = match text.split_once(':') {
        None if text.is_empty() => return Ok(false),
        Some(("text", hash)) => Some(hash),
        Some(("fixed", rest)) => Some(rest.strip_prefix("r:").or_else(|| rest.strip_prefix("git:")).unwrap_or(rest)),
        _ => None,
    };
    let hash = hash.ok_or_else(|| format!("its CA is invalid: `{}`", excerpt(text)))?;
    parse_any_hash(hash).map(|_| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Written by Nix 2.8, with `nix copy --to 'file://…?secret-key=…'`.
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
    fn what_is_not_a_narinfo() {
        let wrong = |from: &str, to: &str| match NarInfo::parse(&NARINFO.replacen(from, to, 1)) {
            Ok(narinfo) => narinfo.nar_name_fault().unwrap_or_else(|| format!("{to} is fine")),
            Err(why) => why,
        };
        let messages = [
            wrong("URL: ", "Url: "),
            wrong("NarSize: 216", "NarSize: many"),
            wrong("NarSize: 216", "NarSize: 0"),
            wrong("/nix/store/s1", "/gnu/store/s1"),
            wrong("References: dqh9", "References: eqh9"),
            wrong("NarHash: sha256:0", "NarHash: md5:0"),
            wrong("\n", "\r\n"),
            wrong("GRCA==\n", "GRCA=="),
            wrong("\nURL", "\n\nURL"),
            wrong("URL: ", "URL:"),
            wrong("Deriver: ", "Deriver: x"),
            wrong("Sig: ", "CA: fixed:r:md5:0\nSig: "),
            wrong("nar/0na2", "../nar/0na2"),
            wrong("nar/0na2", "https://example.org/nar/0na2"),
            wrong("nar/0na2", "nar/\u{1b}[2J0na2"),
            wrong("nar/0na2", "nar/\0"),
            wrong("nar/0na2", "file:///nar/0na2"),
            wrong("nar/0na2", "/nar/0na2"),
            wrong("nar/0na2", "nar/?0na2"),
            wrong("URL: nar/", &format!("URL: {}", "nar/".repeat(300))),
            wrong("Compression: zstd", "Compression: none"),
            wrong("Compression: zstd", "Compression: rar"),
            wrong("Compression: zstd\n", ""),
            wrong("FileHash: sha256:0na2", "FileHash: sha256:1na2"),
            NarInfo::parse("<html>\u{1b}[2J").expect_err("not a narinfo"),
            NarInfo::parse(&NARINFO.repeat(2)).expect_err("twice"),
            NarInfo::parse("").expect_err("empty"),
        ];
        expect_test::expect![[r#"
            it has no URL
            its NarSize is not a number: many
            it has no NarSize
            `/gnu/store/s1ph2ym3d4b06r86sv46dg4hz7cr0kzw-top` is not in /nix/store
            `eqh9lqb3abv90ziv5mf2hxrbvf2ibihw-dep` is not a store path
            `md5:0k7zd7hgp5vs1m3bnrf8873pb97j9gp4phgl6y80bb4fd3jk6dqy` is not a SHA-256 hash
            it has Windows line ends, which Nix does not accept
            it ends in the middle of the line Sig
            it has no URL
            URL: is fine
            `x0wmwaigdg3ikbck5d3avr4k4f0f66y9f-top.drv` is not a store path
            `md5:0` is not a SHA-256 hash
            its URL is not the name of an object here: `../nar/0na2zvwlnhqc3px6lh3mipxf44lkhf81pw3p27x2523z6vdmzk1r.nar.zst`
            its URL is not the name of an object here: `https://example.org/nar/0na2zvwlnhqc3px6lh3mipxf44lkhf81pw3p27x2523z6vdmzk1r.nar.zst`
            its URL is not the name of an object here: `nar/\u{1b}[2J0na2zvwlnhqc3px6lh3mipxf44lkhf81pw3p27x2523z6vdmzk1r.nar.zst`
            its URL is not the name of an object here: `nar/\0zvwlnhqc3px6lh3mipxf44lkhf81pw3p27x2523z6vdmzk1r.nar.zst`
            its URL is not the name of an object here: `file:///nar/0na2zvwlnhqc3px6lh3mipxf44lkhf81pw3p27x2523z6vdmzk1r.nar.zst`
            its URL is not the name of an object here: `/nar/0na2zvwlnhqc3px6lh3mipxf44lkhf81pw3p27x2523z6vdmzk1r.nar.zst`
            its URL is not the name of an object here: `nar/?0na2zvwlnhqc3px6lh3mipxf44lkhf81pw3p27x2523z6vdmzk1r.nar.zst`
            its URL is not the name of an object here: `nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/…`
            its Compression is none, but its NAR is nar/0na2zvwlnhqc3px6lh3mipxf44lkhf81pw3p27x2523z6vdmzk1r.nar.zst, which means zstd
            its Compression is unknown to Nix: `rar`
            its Compression is bzip2, but its NAR is nar/0na2zvwlnhqc3px6lh3mipxf44lkhf81pw3p27x2523z6vdmzk1r.nar.zst, which means zstd
            its FileHash is 1na2zvwlnhqc3px6lh3mipxf44lkhf81pw3p27x2523z6vdmzk1r, but its NAR is nar/0na2zvwlnhqc3px6lh3mipxf44lkhf81pw3p27x2523z6vdmzk1r.nar.zst
            it has a line `<html>\u{1b}[2J`
            it has two References lines
            it has no URL"#]].assert_eq(&messages.join("\n"));
    }

    #[test]
    fn what_nix_overlooks_is_overlooked() {
        let expected = NarInfo::parse(NARINFO).expect("valid");
        let same = |from: &str, to: &str| NarInfo::parse(&NARINFO.replacen(from, to, 1)).expect(to);
        let with = |line: &str| same("Deriver: ", &format!("{line}\nDeriver: "));
        for line in [
            "Unknown: x",
            "X: ",
            "System: x86_64-linux",
            "CA: ",
            "CA: text:sha256:0k7zd7hgp5vs1m3bnrf8873pb97j9gp4phgl6y80bb4fd3jk6dqy",
        ] {
            assert_eq!(with(line), expected, "{line}");
        }
        assert_eq!(same("0wmwaigdg3ikbck5d3avr4k4f0f66y9f-top.drv", "unknown-deriver"), expected);
        for (signature, is_read) in [
            ("o:QQ", true),
            ("o:QUI=", true),
            ("o:Q", false),
            ("o:", false),
            (":QUI=", false),
            ("QUI=", false),
            ("o:#A", false),
        ] {
            let other = with(&format!("Sig: {signature}"));
            assert_eq!((other.signatures.len(), other.signature_fault().is_none()), (2, is_read), "{signature}");
        }
        let other = same(
            "FileHash: sha256:0na2zvwlnhqc3px6lh3mipxf44lkhf81pw3p27x2523z6vdmzk1r",
            &format!("FileHash: sha512:{}", "0".repeat(103)),
        );
        assert_eq!((other.file_hash, other.nar_name_fault()), (None, None));
        for (url, packed) in [("nar/x.nar", "gzip"), ("nar/x.nar.br", "br"), ("x", "none"), ("nar/x.nar", "zstd")] {
            let text = NARINFO.replace("Compression: zstd", &format!("Compression: {packed}"));
            let text = text.replace(&expected.url, url);
            assert_eq!(NarInfo::parse(&text).expect(url).nar_name_fault(), None, "{url}");
        }
    }

    #[test]
    fn signatures_are_added_and_kept() {
        let secret = "test-2:utOOCMym6GwNEDJO5IRfQKvy978RIqbJgMPgelFu1JAKidkcIdOIvXbk91SLbIJh+Mg2uRqgeBSRfkIf5tnMWw==";
        let secret: SecretKey = secret.parse().expect("valid");
        let (old, text) = (NarInfo::parse(NARINFO).expect("valid"), NARINFO.replace("Sig:", "Sig: test-2:bad\nSig:"));
        let signed = signed(&text, &old, &secret);
        let new = NarInfo::parse(&signed).expect("valid");
        assert!(new.is_signed_by(&KEY.parse().expect("valid")) && new.is_signed_by(secret.public()));
        assert_eq!(new.signatures.len(), 2, "what was bad is gone: {signed}");
        let unsigned = NARINFO.lines().filter(|line| !line.starts_with("Sig")).map(|line| format!("{line}\n"));
        let unsigned: String = unsigned.collect();
        let bare = NarInfo::parse(&unsigned).expect("valid");
        assert_eq!(keeping_signatures(&unsigned, &bare, &old), NARINFO);
        let other = NarInfo { info: PathInfo { nar_size: 1, ..bare.info.clone() }, ..bare };
        assert_eq!(keeping_signatures(&unsigned, &other, &old), unsigned, "another path's are of no use");
    }
}
