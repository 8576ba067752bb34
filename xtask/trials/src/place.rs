//! Everything that a run leaves: trees, refs, the environment, and litter.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde_json::Value;

use crate::scenario::{git, output};
use crate::world::sha256;

/// Contents of a place, by name. Values are only compared.
pub type Print = BTreeMap<String, String>;

/// What undisturbed runs leave.
#[derive(Debug)]
pub struct Expected {
    /// What two runs leave alike.
    print: Print,
    /// Names of what they do not.
    varying: BTreeSet<String>,
}

/// How a place differs from what is expected.
#[derive(Debug, Default)]
pub struct Differences {
    pub litter: Vec<String>,
    /// Everything else.
    pub differs: Vec<String>,
}

impl Expected {
    /// What two undisturbed runs have in common.
    pub fn of(mut print: Print, second: &Print) -> Expected {
        let differs = |name: &&String| print.get(*name) != second.get(*name);
        let varying: BTreeSet<String> = print.keys().chain(second.keys()).filter(differs).cloned().collect();
        print.retain(|name, _| !varying.contains(name));
        Expected { print, varying }
    }

    /// What is missing from a place, or is something else there.
    pub fn lost(&self, left: &Print) -> Vec<String> {
        let lost = self.print.iter().filter(|(name, value)| left.get(*name) != Some(value));
        lost.map(|(name, _)| name.clone()).collect()
    }

    /// Compares a place with it.
    pub fn differences(&self, left: &Print) -> Differences {
        let names: BTreeSet<&String> = self.print.keys().chain(left.keys()).collect();
        let is_other = |name: &&String| self.print.get(*name) != left.get(*name);
        let all = names.into_iter().filter(|name| is_other(name) && !self.varying.contains(*name)).cloned();
        let (litter, differs) = all.partition(|name| is_litter(name));
        Differences { litter, differs }
    }
}

/// Keys of a receipt that differ between runs: times, what was left to do, and the signature of these.
const OF_ONE_RUN: [&str; 6] = ["published", "signature", "started", "sent", "acts", "plan"];

/// Fingerprints a place.
///
/// # Errors
/// Something cannot be read.
pub fn print(place: &Utf8Path) -> Result<Print> {
    let mut print = Print::new();
    let mut todo = vec![place.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in dir.read_dir_utf8().with_context(|| format!("cannot read {dir}"))?.flatten() {
            let path = entry.into_path();
            let name = path.strip_prefix(place)?.to_string();
            let facts = fs::symlink_metadata(&path).with_context(|| format!("cannot look at {path}"))?;
            if dir == place.join("tmp") {
                print.insert(name, String::new());
            } else if facts.is_symlink() {
                print.insert(name, path.read_link_utf8()?.as_str().replace(place.as_str(), ""));
            } else if facts.is_dir() {
                if path.file_name() == Some(".git") || name == "env/git" {
                    repository(place, &path, &name, &mut print)?;
                } else {
                    todo.push(path);
                }
            } else if let Some(value) = content(&name, &fs::read(&path).with_context(|| format!("cannot read {path}"))?)
            {
                print.insert(name, format!("{value} {:o}", facts.permissions().mode() & 0o777));
            }
        }
    }
    Ok(print)
}

/// Returns what is compared of a file; `None` for one that differs between runs.
pub fn content(name: &str, content: &[u8]) -> Option<String> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let is_receipt = name.contains("/receipts/") || file.starts_with("receipt-");
    if file.starts_with("journal-") || name == "releng.toml" || name.starts_with("home/") {
        return None;
    }
    // The embedded server's record of when an object arrived.
    if name.starts_with("env/s3/.bucket-") {
        return None;
    }
    if is_receipt && let Ok(Value::Object(mut receipt)) = serde_json::from_slice(content) {
        OF_ONE_RUN.iter().for_each(|key| drop(receipt.remove(*key)));
        return Some(Value::Object(receipt).to_string());
    }
    Some(sha256(content))
}

/// Notes refs, HEAD, index and work tree, whether all objects are there, and lock files.
fn repository(place: &Utf8Path, dir: &Utf8Path, name: &str, print: &mut Print) -> Result<()> {
    let is_bare = dir.file_name() != Some(".git");
    let tree = if is_bare { dir } else { dir.parent().unwrap_or(dir) };
    let mut note = |what: &str, arguments: &[&str]| -> Result<()> {
        let said = output(git(tree, place).args(arguments))?;
        let text = [said.stdout, said.stderr].concat();
        print.insert(format!("{name} {what}"), String::from_utf8_lossy(&text).replace(place.as_str(), ""));
        Ok(())
    };
    note("refs", &["for-each-ref", "--format=%(refname) %(objectname)"])?;
    note("objects", &["fsck", "--connectivity-only", "--no-dangling"])?;
    if !is_bare {
        note("status", &["status", "--porcelain", "--untracked-files=all"])?;
        note("index", &["ls-files", "--stage"])?;
    }
    print.insert(
        format!("{name} HEAD"),
        fs::read_to_string(dir.join("HEAD")).with_context(|| format!("cannot read {dir}/HEAD"))?,
    );
    let mut todo = vec![dir.to_owned()];
    while let Some(here) = todo.pop() {
        for entry in here.read_dir_utf8().with_context(|| format!("cannot read {here}"))?.flatten() {
            let path = entry.into_path();
            let file = path.file_name().unwrap_or_default();
            if path.is_dir() {
                todo.push(path);
            } else if file.ends_with(".lock") || file.starts_with("release-") && here == dir {
                print.insert(format!("litter {}", path.strip_prefix(place)?), String::new());
            }
        }
    }
    Ok(())
}

/// Whether something belongs to one run alone, and should be gone.
pub fn is_litter(name: &str) -> bool {
    name.starts_with("litter ")
        || name.starts_with("tmp/")
        || name.rsplit('/').next().is_some_and(|file| file.starts_with('.'))
}
