//! Listings of a store path's files, `HASH.ls` beside the narinfo in a binary cache: which files the NAR has, and
//! where.
//!
//! Nix writes a listing when it packs a NAR. A missing listing is written here, from the store, without packing again.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Makes the listing of the files at `path`.
///
/// # Errors
/// A file cannot be read, or has a name that is not UTF-8.
pub fn of(path: &Utf8Path) -> Result<Value> {
    let mut place = 0;
    strings(&mut place, &["nix-archive-1"]);
    Ok(json!({ "version": 1, "root": node(path, &mut place)? }))
}

/// Returns what is wrong with a cache's listing; `None` if it says the same as `ours`.
pub fn fault(ours: &Value, theirs: &[u8]) -> Option<&'static str> {
    if let Some(why) = looks_wrong(theirs) {
        return Some(why);
    }
    let Ok(theirs) = serde_json::from_slice::<Value>(theirs) else { return Some(NOT_ONE) };
    let root = |listing: &Value| {
        let mut root = listing.get("root").cloned();
        root.iter_mut().for_each(reduce);
        root
    };
    (root(ours) != root(&theirs)).then_some("its listing has different files")
}

/// Returns what is wrong with a listing, as far as it shows without the files.
pub fn looks_wrong(text: &[u8]) -> Option<&'static str> {
    let listing: Result<Look, _> = serde_json::from_slice(text);
    let is_one = listing.is_ok_and(|listing| listing.version == 1 && !listing.root.kind.is_empty());
    (!is_one).then_some(NOT_ONE)
}

/// The start of a listing, which is looked at without keeping the rest.
#[derive(Deserialize)]
struct Look {
    version: u64,
    root: Root,
}

#[derive(Deserialize)]
struct Root {
    #[serde(rename = "type")]
    kind: String,
}

const NOT_ONE: &str = "its listing cannot be read";

/// Removes the fields that not every version of Nix writes.
fn reduce(node: &mut Value) {
    let Some(node) = node.as_object_mut() else { return };
    node.remove("narOffset");
    if node.get("executable") == Some(&Value::Bool(false)) {
        node.remove("executable");
    }
    if let Some(Value::Object(entries)) = node.get_mut("entries") {
        entries.values_mut().for_each(reduce);
    }
}

/// Makes the listing of one file or directory, which starts at `place` in the NAR, and moves `place` to its end.
fn node(path: &Utf8Path, place: &mut u64) -> Result<Value> {
    let cannot = || format!("cannot read {path}");
    let facts = fs::symlink_metadata(path).with_context(cannot)?;
    let value = if facts.is_symlink() {
        let target = path.read_link_utf8().with_context(cannot)?;
        strings(place, &["(", "type", "symlink", "target", target.as_str(), ")"]);
        json!({ "type": "symlink", "target": target.as_str() })
    } else if facts.is_dir() {
        strings(place, &["(", "type", "directory"]);
        let mut names = Vec::new();
        for entry in path.read_dir_utf8().with_context(cannot)? {
            names.push(entry.with_context(cannot)?.file_name().to_owned());
        }
        names.sort();
        let mut entries = Map::new();
        for name in names {
            strings(place, &["entry", "(", "name", name.as_str(), "node"]);
            entries.insert(name.clone(), node(&path.join(&name), place)?);
            strings(place, &[")"]);
        }
        strings(place, &[")"]);
        json!({ "type": "directory", "entries": entries })
    } else {
        strings(place, &["(", "type", "regular"]);
        let executable = facts.permissions().mode() & 0o100 != 0;
        if executable {
            strings(place, &["executable", ""]);
        }
        strings(place, &["contents"]);
        let mut value = json!({ "type": "regular", "size": facts.len(), "narOffset": *place + LENGTH });
        if executable {
            value["executable"] = Value::Bool(true);
        }
        bytes(place, facts.len());
        strings(place, &[")"]);
        value
    };
    Ok(value)
}

/// Size of a length field in a NAR in bytes, to which everything in it is padded.
const LENGTH: u64 = 8;

fn strings(place: &mut u64, texts: &[&str]) {
    texts.iter().for_each(|text| bytes(place, text.len() as u64));
}

fn bytes(place: &mut u64, length: u64) {
    *place += LENGTH + length.next_multiple_of(LENGTH);
}
