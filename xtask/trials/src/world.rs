//! What users see of an environment: every pointer must lead to something complete. Spelled out a second time, and shares
//! no code with the tool: a mistake there is not made here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::scenario::{git, output, said};

/// Contents by path or key.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Looks at the environment in a place; what is wrong, in words.
///
/// # Errors
/// It cannot be read.
pub fn faults(place: &Utf8Path) -> Result<Vec<String>> {
    let env = place.join("env");
    let bucket = |name: &str| files(&env.join("s3").join(format!("local-{name}")));
    let view = View {
        cache: bucket("cache")?,
        docs: bucket("docs")?,
        install: bucket("install")?,
        releases: bucket("releases")?,
        images: files(&env.join("images"))?,
    };
    view.faults(place)
}

/// The files below a directory, by their paths; none if it is missing.
///
/// # Errors
/// One cannot be read.
pub fn files(dir: &Utf8Path) -> Result<Files> {
    let (mut files, mut todo) = (Files::new(), vec![dir.to_owned()]);
    while let Some(here) = todo.pop().filter(|here| here.exists()) {
        for entry in here.read_dir_utf8()?.flatten() {
            let path = entry.into_path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let name = path.strip_prefix(dir)?.to_string();
                files.insert(name, fs::read(&path).with_context(|| format!("cannot read {path}"))?);
            }
        }
    }
    Ok(files)
}

/// What users can download.
pub struct View {
    pub cache: Files,
    pub docs: Files,
    pub install: Files,
    pub releases: Files,
    /// An OCI layout.
    pub images: Files,
}

impl View {
    /// Looks at it, and at the git repository of a place.
    ///
    /// # Errors
    /// git does not run.
    pub fn faults(&self, place: &Utf8Path) -> Result<Vec<String>> {
        let mut faults = Vec::new();
        let records = self.records(&mut faults);
        self.check_manifest(&records, &mut faults);
        self.check_narinfos(&mut faults);
        self.check_docs(&records, &mut faults);
        self.check_installers(&mut faults);
        self.check_images(&records, &mut faults);
        let tags = check_git(place, &place.join("env/git"), &mut faults)?;
        self.check_receipts(&tags, &mut faults);
        Ok(faults)
    }

    /// Unless the root manifest leads to the newest version that has a receipt and was not withdrawn: what it leads to.
    pub fn not_the_newest(&self) -> Option<String> {
        let text =
            |key: &str| String::from_utf8_lossy(self.releases.get(key).map_or(&[][..], Vec::as_slice)).into_owned();
        let (withdrawn, manifest) = (text("withdrawn.json"), text("manifest.nix"));
        let paths = manifest.split('"').filter(|word| word.starts_with("/nix/store/"));
        let served: BTreeSet<&str> = paths.filter_map(|path| path.rsplit('-').next()).collect();
        let finished = self.releases.keys().filter_map(|key| key.strip_prefix("receipts/lix-")?.strip_suffix(".json"));
        let offered = finished.filter(|version| !withdrawn.contains(&format!("\"{version}\"")));
        let numbers = |version: &str| version.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>();
        let newest: BTreeSet<&str> = offered.max_by_key(|version| numbers(version)).into_iter().collect();
        (served != newest).then(|| format!("manifest.nix leads to {served:?}, and {newest:?} is the newest"))
    }

    /// The records of published versions; a version with a record has all its files.
    fn records(&self, faults: &mut Vec<String>) -> BTreeMap<String, Value> {
        let mut records = BTreeMap::new();
        for (key, text) in &self.releases {
            let Some(version) = key.strip_prefix("lix/lix-").and_then(|rest| rest.strip_suffix("/release.json")) else {
                continue;
            };
            let Ok(record) = serde_json::from_slice::<Value>(text) else {
                faults.push(format!("{key} is not JSON"));
                continue;
            };
            for (name, facts) in record["files"].as_object().into_iter().flatten() {
                match self.releases.get(&format!("lix/lix-{version}/{name}")) {
                    None => faults.push(format!("{version} is recorded, and {name} is missing")),
                    Some(content) if facts["sha256"] != sha256(content) => {
                        faults.push(format!("{name} of {version} is not as recorded"));
                    }
                    Some(_) => {}
                }
            }
            let sums = self.releases.get(&format!("lix/lix-{version}/SHA256SUMS"));
            if sums.is_none() {
                faults.push(format!("{version} is recorded, and has no SHA256SUMS"));
            }
            for line in sums.map(|sums| String::from_utf8_lossy(sums)).unwrap_or_default().lines() {
                let (digest, name) = line.split_once("  ").unwrap_or_default();
                let there = self.releases.get(&format!("lix/lix-{version}/{name}"));
                if there.is_none_or(|content| digest != sha256(content)) {
                    faults.push(format!("SHA256SUMS of {version} does not match {name}"));
                }
            }
            records.insert(version.to_owned(), record);
        }
        records
    }

    fn check_manifest(&self, records: &BTreeMap<String, Value>, faults: &mut Vec<String>) {
        let Some(manifest) = self.releases.get("manifest.nix") else { return };
        let text = String::from_utf8_lossy(manifest);
        let paths: Vec<&str> = text.split('"').filter(|word| word.starts_with("/nix/store/")).collect();
        if paths.is_empty() {
            faults.push("manifest.nix names no store path".to_owned());
        }
        let mut todo: Vec<String> = Vec::new();
        for path in paths {
            let version = path.rsplit('-').next().unwrap_or_default();
            if !records.contains_key(version) {
                faults.push(format!("manifest.nix leads to {path}, and {version} has no record"));
            }
            todo.push(path.trim_start_matches("/nix/store/").to_owned());
        }
        let mut seen = BTreeSet::new();
        while let Some(path) = todo.pop().filter(|path| path.len() > 32) {
            if seen.insert(path.clone()) {
                match self.cache.get(&format!("{}.narinfo", &path[..32])) {
                    None => faults.push(format!("manifest.nix needs {path}, and the cache does not have it")),
                    Some(info) => todo.extend(field(info, "References").split_whitespace().map(str::to_owned)),
                }
            }
        }
    }

    /// A narinfo that is there leads to its NAR.
    fn check_narinfos(&self, faults: &mut Vec<String>) {
        for (key, info) in self.cache.iter().filter(|(key, _)| key.ends_with(".narinfo")) {
            match self.cache.get(&field(info, "URL")) {
                None => faults.push(format!("{key} leads to no NAR")),
                Some(nar) if field(info, "FileSize") != nar.len().to_string() => {
                    faults.push(format!("the NAR of {key} has another size"));
                }
                Some(nar) if field(info, "FileHash") != format!("sha256:{}", nix32(&Sha256::digest(nar))) => {
                    faults.push(format!("the NAR of {key} has other bytes"));
                }
                Some(_) if field(info, "Sig").is_empty() => faults.push(format!("{key} is not signed")),
                Some(_) => {}
            }
        }
    }

    /// A manual has the pages of the version that its start page is of, and the start page leads nowhere else.
    fn check_docs(&self, records: &BTreeMap<String, Value>, faults: &mut Vec<String>) {
        let mut manuals: BTreeMap<&str, BTreeMap<&str, &[u8]>> = BTreeMap::new();
        for (key, page) in &self.docs {
            if let Some((manual, name)) = key.strip_prefix("manual/lix/").and_then(|rest| rest.split_once('/')) {
                manuals.entry(manual).or_default().insert(name, page);
            }
        }
        for (manual, pages) in manuals {
            let Some(start) = pages.get("index.html").map(|page| String::from_utf8_lossy(page)) else { continue };
            let version =
                start.split("<footer>Lix ").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default();
            match records.get(version) {
                Some(record) => {
                    let names = record["files"].as_object().into_iter().flatten().map(|(name, _)| name);
                    for page in names.filter_map(|name| name.strip_prefix("manual/")) {
                        if !pages.contains_key(page) {
                            faults.push(format!("the manual {manual} is that of {version}, and {page} is missing"));
                        }
                    }
                }
                None if manual == "stable" => {
                    faults.push(format!("the manual stable is that of {version}, which has no record"));
                }
                None => {}
            }
            for link in start.split("href=\"").skip(1).filter_map(|rest| rest.split(['"', '#']).next()) {
                if !link.is_empty() && !link.contains("://") && !pages.contains_key(link.trim_start_matches("./")) {
                    faults.push(format!("the start page of the manual {manual} leads to {link}, which is missing"));
                }
            }
        }
    }

    fn check_installers(&self, faults: &mut Vec<String>) {
        for (key, text) in self.install.iter().filter(|(key, _)| key.ends_with("/installer.json")) {
            let record: Value = serde_json::from_slice(text).unwrap_or_default();
            let dir = key.trim_end_matches("installer.json");
            for (name, facts) in record["files"].as_object().into_iter().flatten() {
                let there = self.install.get(&format!("{dir}{name}"));
                if there.is_none_or(|content| facts["sha256"] != sha256(content)) {
                    faults.push(format!("{key} names {name}, which is missing or other"));
                }
            }
        }
    }

    /// A tag leads to an index, that to manifests, and those to layers.
    fn check_images(&self, records: &BTreeMap<String, Value>, faults: &mut Vec<String>) {
        let Some(index) = self.images.get("index.json") else { return };
        let index: Value = serde_json::from_slice(index).unwrap_or_default();
        for entry in index["manifests"].as_array().into_iter().flatten() {
            let name = entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap_or_default();
            let is_version = name.split('.').filter(|part| part.parse::<u32>().is_ok()).count() == 3;
            if is_version && !records.contains_key(name) {
                faults.push(format!("the image {name} is there, and the version has no record"));
            }
            let image = self.blob(&entry["digest"], name, faults);
            for manifest in image["manifests"].as_array().into_iter().flatten() {
                let manifest = self.blob(&manifest["digest"], name, faults);
                self.blob(&manifest["config"]["digest"], name, faults);
                for layer in manifest["layers"].as_array().into_iter().flatten() {
                    self.blob(&layer["digest"], name, faults);
                }
            }
        }
    }

    /// A blob, as JSON if it is; nothing for another one.
    fn blob(&self, digest: &Value, name: &str, faults: &mut Vec<String>) -> Value {
        let digest = digest.as_str().unwrap_or_default().trim_start_matches("sha256:");
        match self.images.get(&format!("blobs/sha256/{digest}")) {
            Some(content) if sha256(content) == digest => serde_json::from_slice(content).unwrap_or_default(),
            _ => {
                faults.push(format!("the image {name} needs the blob {digest}, which is missing or damaged"));
                Value::Null
            }
        }
    }

    /// A receipt says that everything was done.
    fn check_receipts(&self, tags: &BTreeSet<String>, faults: &mut Vec<String>) {
        for (key, text) in &self.releases {
            let Some(version) = key.strip_prefix("receipts/lix-").and_then(|rest| rest.strip_suffix(".json")) else {
                continue;
            };
            let receipt: Value = serde_json::from_slice(text).unwrap_or_default();
            let record = self.releases.get(&format!("lix/lix-{version}/release.json"));
            if record.is_none_or(|record| receipt["record"] != sha256(record)) {
                faults.push(format!("the receipt of {version} is of another record"));
            }
            if !tags.contains(version) {
                faults.push(format!("the receipt of {version} is there, and its tag is not"));
            }
            let there = |name: &str| self.releases.get(&format!("lix/lix-{version}/{name}"));
            let signed = [("SHA256SUMS", "SHA256SUMS.sig"), ("SHA256SUMS", "VERIFY.md")];
            let stated = [format!("lix-{version}.intoto.json"), format!("lix-{version}.intoto.jsonl")];
            for (what, by) in signed.into_iter().chain([(stated[0].as_str(), stated[1].as_str())]) {
                if there(what).is_some() && there(by).is_none() {
                    faults.push(format!("the receipt of {version} is there, and {by} is not"));
                }
            }
        }
    }
}

/// The tags of the repository; each of them is on a branch.
fn check_git(place: &Utf8Path, repository: &Utf8Path, faults: &mut Vec<String>) -> Result<BTreeSet<String>> {
    let mut tags = BTreeSet::new();
    if !repository.exists() {
        return Ok(tags);
    }
    let checked = output(git(repository, place).args(["fsck", "--connectivity-only", "--no-dangling"]))?;
    if !checked.status.success() {
        faults.push(format!("git fsck: {}", said(&checked)));
    }
    let listed = output(git(repository, place).args(["for-each-ref", "--format=%(refname:lstrip=2)", "refs/tags"]))?;
    for tag in String::from_utf8_lossy(&listed.stdout).lines() {
        let contains = format!("--contains=refs/tags/{tag}");
        let branches = output(git(repository, place).args(["for-each-ref", &contains, "refs/heads"]))?;
        if branches.stdout.is_empty() {
            faults.push(format!("the tag {tag} is on no branch"));
        }
        tags.insert(tag.to_owned());
    }
    Ok(tags)
}

fn field(info: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(info);
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap_or_default().to_owned()
}

pub fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Nix's base 32: five bits a digit, from the end.
fn nix32(hash: &[u8]) -> String {
    const DIGITS: &[u8] = b"0123456789abcdfghijklmnpqrsvwxyz";
    let digit = |position: usize| {
        let (byte, shift) = (position * 5 / 8, position * 5 % 8);
        let pair = u16::from(hash[byte]) | u16::from(hash.get(byte + 1).copied().unwrap_or_default()) << 8;
        DIGITS[usize::from(pair >> shift & 31)] as char
    };
    (0..(hash.len() * 8).div_ceil(5)).rev().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_should_get_the_newest_version_that_is_finished_and_not_withdrawn() {
        let says = |served: &str, withdrawn: &str| {
            let mut releases = Files::new();
            for version in ["0.9.0", "0.10.0", "0.10.1"] {
                releases.insert(format!("receipts/lix-{version}.json"), Vec::new());
            }
            let manifest =
                format!("{{ x86_64-linux = \"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-lix-{served}\"; }}");
            releases.insert("manifest.nix".to_owned(), manifest.into_bytes());
            releases.insert("withdrawn.json".to_owned(), format!("[\"{withdrawn}\"]").into_bytes());
            let [cache, docs, install, images] = [(); 4].map(|()| Files::new());
            View { cache, docs, install, releases, images }.not_the_newest().unwrap_or_default()
        };
        assert_eq!(says("0.10.1", ""), "");
        assert_eq!(says("0.9.0", ""), r#"manifest.nix leads to {"0.9.0"}, and {"0.10.1"} is the newest"#);
        assert_eq!(says("0.10.1", "0.10.1"), r#"manifest.nix leads to {"0.10.1"}, and {"0.10.0"} is the newest"#);
        assert_eq!(says("0.10.0", "0.10.1"), "");
    }

    #[test]
    fn base_32_is_that_of_nix() {
        // `nix-hash --type sha256 --to-base32` of the digest of nothing.
        assert_eq!(nix32(&Sha256::digest(b"")), "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73");
    }
}
