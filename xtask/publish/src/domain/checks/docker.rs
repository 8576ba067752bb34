//! A container image as a docker-archive (`docker save`): its manifest, its configuration, and its layers, in any order.

use std::collections::BTreeMap;

use serde::Deserialize;
use xtask::domain::digest::{Digest, oci};
use xtask::domain::problem::Problems;
use xtask::domain::shown::excerpt;
use xtask::domain::system::Platform;

use super::entry::{Entry, Kind};

/// Name of the archive's manifest.
pub const MANIFEST: &str = "manifest.json";
/// Most links that a path may lead through.
const MOST_LINKS: usize = 40;

/// What `manifest.json` says of an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    config: String,
    layers: Vec<String>,
}

/// The parts of a configuration that are checked.
#[derive(Debug, Deserialize)]
struct Configuration {
    #[serde(flatten)]
    platform: Platform,
    #[serde(default)]
    config: Process,
    rootfs: RootFs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Process {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    diff_ids: Vec<Oci>,
}

#[derive(Debug, Deserialize)]
struct Oci(#[serde(with = "oci")] Digest);

/// Returns the names of the layers that a manifest lists, the lowest first.
///
/// # Errors
/// It is not the manifest of a docker-archive.
pub fn layers(manifest: &[u8]) -> Result<Vec<String>, String> {
    let manifests: Vec<Manifest> =
        serde_json::from_slice(manifest).map_err(|error| format!("{MANIFEST} cannot be read: {error}"))?;
    Ok(manifests.into_iter().flat_map(|manifest| manifest.layers).collect())
}

/// A file system, by paths from its root without a slash at the beginning.
type Tree = BTreeMap<String, Kind>;

/// An archive whose entries were looked at.
#[derive(Debug, Default)]
pub struct Archive {
    /// Small files, by name: the manifest and the configuration are among them.
    texts: BTreeMap<String, Vec<u8>>,
    layers: BTreeMap<String, Layer>,
}

/// A layer that was read.
#[derive(Debug)]
pub struct Layer {
    /// Digest of the uncompressed layer.
    pub digest: Digest,
    /// What it adds, or why it cannot be read.
    pub entries: Result<Vec<Entry>, String>,
}

impl Archive {
    /// Takes a file that is small enough to be the manifest or the configuration.
    pub fn text(&mut self, name: String, content: Vec<u8>) {
        self.texts.insert(name, content);
    }

    pub fn layer(&mut self, name: String, layer: Layer) {
        self.layers.insert(name, layer);
    }

    /// Returns what is wrong with an image that should be for a platform.
    pub fn problems(&self, platform: &Platform) -> Problems {
        let mut problems = Problems::default();
        if let Err(why) = self.check(platform, &mut problems) {
            problems.add(why);
        }
        problems
    }

    fn check(&self, platform: &Platform, problems: &mut Problems) -> Result<(), String> {
        let manifests: Vec<Manifest> = self.json(MANIFEST)?;
        let [Manifest { config: name, layers }] = &manifests[..] else {
            return Err(format!("{MANIFEST} names {} images, not one", manifests.len()));
        };
        let Configuration { platform: is, config: process, rootfs } = self.json(name)?;
        if is.architecture != platform.architecture || is.os != platform.os {
            problems.add(format!("it says that it is for {is}, not for {platform}"));
        }
        let ids = rootfs.diff_ids;
        if ids.len() != layers.len() {
            return Err(format!("{MANIFEST} has {} layers, and the configuration {}", layers.len(), ids.len()));
        }
        let mut tree = Tree::new();
        for (name, Oci(expected)) in layers.iter().zip(&ids) {
            let Some(layer) = self.layers.get(name) else {
                problems.add(format!("the layer `{}` is missing", excerpt(name)));
                continue;
            };
            if layer.digest != *expected {
                let (name, is) = (excerpt(name), layer.digest.short());
                problems.add(format!("the layer `{name}` has the digest {is}, not {}", expected.short()));
            }
            match &layer.entries {
                Ok(entries) => add(entries, &mut tree, problems),
                Err(why) => problems.add(format!("the layer `{}` cannot be read: {why}", excerpt(name))),
            }
        }
        if problems.is_empty() {
            check_process(&process, &tree)?;
        }
        Ok(())
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<T, String> {
        let shown = excerpt(name);
        let text = self.texts.get(name).ok_or_else(|| format!("it has no `{shown}`"))?;
        serde_json::from_slice(text)
            .map_err(|error| format!("`{shown}` cannot be read: {}", excerpt(&error.to_string())))
    }
}

/// Adds the entries of a layer to those of the layers below it.
fn add(entries: &[Entry], tree: &mut Tree, problems: &mut Problems) {
    for entry in entries {
        match (entry.parts(), &entry.kind) {
            (Err(why), _) => problems.add(format!("in a layer, {why}")),
            (Ok(_), Kind::Special) => problems.add(format!("in a layer, {} is a device or a FIFO", entry.shown())),
            (Ok(parts), kind) => drop(tree.insert(parts.join("/"), kind.clone())),
        }
    }
}

/// Checks that the program that the image starts exists in it.
fn check_process(process: &Process, tree: &Tree) -> Result<(), String> {
    let words = [&process.entrypoint, &process.cmd].into_iter().flatten().flatten();
    let Some(program) = words.into_iter().next() else { return Err("it starts no program".to_owned()) };
    let shown = excerpt(program);
    let candidates: Vec<String> = if program.contains('/') {
        vec![program.clone()]
    } else {
        let path = process.env.iter().flatten().find_map(|variable| variable.strip_prefix("PATH="));
        path.unwrap_or("/usr/bin:/bin").split(':').map(|dir| format!("{dir}/{program}")).collect()
    };
    match candidates.iter().find_map(|path| resolve(path, tree)) {
        Some(Kind::File { is_executable: true } | Kind::HardLink(_)) => Ok(()),
        Some(_) => Err(format!("it starts `{shown}`, which is not executable")),
        None => Err(format!("it starts `{shown}`, which it does not have")),
    }
}

/// Returns what is at a path, through all links.
fn resolve<'a>(path: &str, tree: &'a Tree) -> Option<&'a Kind> {
    let (mut todo, mut at, mut links) = (parts_reversed(path), Vec::<String>::new(), 0);
    while let Some(part) = todo.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        at.push(part);
        if let Some(Kind::Symlink(target)) = tree.get(&at.join("/")) {
            links += 1;
            if links > MOST_LINKS {
                return None;
            }
            let target = String::from_utf8_lossy(target);
            at.pop();
            if target.starts_with('/') {
                at.clear();
            }
            todo.extend(parts_reversed(&target));
        }
    }
    tree.get(&at.join("/"))
}

fn parts_reversed(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use xtask::domain::system::System;

    /// The problems of an image with one layer, which is right but for the replaced words of its configuration.
    fn problems(from: &str, to: &str, entries: Result<Vec<Entry>, String>) -> String {
        let mut archive = Archive::default();
        let digest = Digest::new([7; 32]);
        let config = format!(
            r#"{{"architecture": "amd64", "os": "linux", "config": {{"Cmd": ["/bin/nix"], "Env": ["PATH=/x:/bin"]}},
            "rootfs": {{"diff_ids": ["{}"]}}}}"#,
            digest.oci()
        );
        let manifest = r#"[{"Config": "c.json", "Layers": ["layer.tar"], "RepoTags": null}]"#;
        archive.text("c.json".to_owned(), config.replace(from, to).into());
        archive.text(MANIFEST.to_owned(), manifest.replace(from, to).into());
        archive.layer("layer.tar".to_owned(), Layer { digest, entries });
        let platform = System::main().platform().expect("has one");
        archive.problems(&platform).iter().map(|problem| format!("{problem}\n")).collect()
    }

    fn layer(more: &[(&str, Kind)]) -> Result<Vec<Entry>, String> {
        let own = [
            ("bin", Kind::Symlink(b"nix/store/a/bin".to_vec())),
            ("./nix/store/a/bin/nix", Kind::Symlink(b"../lib/nix".to_vec())),
            ("nix/store/a/lib/nix", Kind::File { is_executable: true }),
        ];
        let entry = |(path, kind): &(&str, Kind)| Entry { path: (*path).into(), kind: kind.clone() };
        Ok(own.iter().chain(more).map(entry).collect())
    }

    #[test]
    fn each_problem_is_named() {
        assert_eq!(problems("", "", layer(&[])), "");
        assert_eq!(problems("/bin/nix", "nix", layer(&[])), "", "found by PATH");
        let shown = [
            problems("amd64", "arm64", layer(&[])),
            problems("0707070707070707070707070707070707070707070707070707070707070707", &"0".repeat(64), layer(&[])),
            problems("layer.tar", "other.tar", layer(&[])),
            problems("c.json", "d.json", layer(&[])),
            problems("\"layer.tar\"", "", layer(&[])),
            problems("/bin/nix", "/bin/sh", layer(&[])),
            problems("[\"/bin/nix\"]", "null", layer(&[])),
            problems("/bin/nix", "/loop", layer(&[("loop", Kind::Symlink(b"loop".to_vec()))])),
            problems("/bin/nix", "/text", layer(&[("text", Kind::File { is_executable: false })])),
            problems("", "", layer(&[("../x", Kind::Directory), ("dev/sda", Kind::Special)])),
            problems("", "", Err("it is damaged".to_owned())),
        ];
        expect![[r#"
            it says that it is for linux/arm64, not for linux/amd64

            the layer `layer.tar` has the digest 070707070707, not 000000000000

            the layer `other.tar` is missing

            it has no `d.json`

            manifest.json has 0 layers, and the configuration 1

            it starts `/bin/sh`, which it does not have

            it starts no program

            it starts `/loop`, which it does not have

            it starts `/text`, which is not executable

            in a layer, `../x` leaves the directory that the archive is unpacked in
            in a layer, `dev/sda` is a device or a FIFO

            the layer `layer.tar` cannot be read: it is damaged
        "#]]
        .assert_eq(&shown.join("\n"));
    }
}
