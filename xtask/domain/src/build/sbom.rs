//! `lix-VERSION-SYSTEM.cdx.json`: a bill of materials of what users of one system download, in CycloneDX 1.6.
//!
//! Every store path of the closure, with its name and version as Nix splits them, the SHA-256 and size of its NAR, the
//! licenses and home pages that its derivation states, and what it refers to. The same release gives the same bytes: its
//! number is made of its content, its only time is the commit's, and it has nothing of the machine or its Nix.

mod document;

use std::collections::{BTreeMap, BTreeSet};

use self::document::{
    ALGORITHM, COMMIT, Component, DERIVATION, Dependency, Document, FORMAT, Hash, License as Stated, Licensed,
    Metadata, NAR_SIZE, Property, Reference, SYSTEM, Tools, VERSION, WEBSITE, named,
};
use super::OUT;
use super::description::{Description, Descriptions, License};
use super::path_info::Closures;
use super::record::{Build, Record};
use crate::digest::{Digest, FileFacts};
use crate::shown::{excerpt, one_line};
use crate::store_path::StorePath;
use crate::system::System;

/// A bill of materials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sbom {
    /// The output that users get.
    pub root: StorePath,
    /// It and everything that it refers to.
    pub parts: BTreeMap<StorePath, Part>,
}

/// A store path in a bill of materials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    /// Empty if the name has none.
    pub version: String,
    pub nar: FileFacts,
    pub description: Description,
    /// What it refers to, except itself.
    pub references: BTreeSet<StorePath>,
}

impl Sbom {
    /// Lists the closure of one output.
    pub fn new(root: &StorePath, closures: &Closures, descriptions: &Descriptions) -> Sbom {
        let part = |path: &StorePath, nar: FileFacts, references: &BTreeSet<StorePath>| {
            let (name, version) = path.name_and_version();
            Part {
                name: name.to_owned(),
                version: version.to_owned(),
                nar,
                description: descriptions.get(path).cloned().unwrap_or_default(),
                references: references.iter().filter(|to| *to != path).cloned().collect(),
            }
        };
        let closure = closures.of(root);
        let parts = closure.iter().map(|info| (info.path.clone(), part(&info.path, info.nar(), &info.references)));
        Sbom { root: root.clone(), parts: parts.collect() }
    }

    /// Returns the text that is published. `digest` computes a SHA-256.
    pub fn to_json(&self, record: &Record, system: &System, digest: impl Fn(&[u8]) -> Digest) -> String {
        let mut document = self.document(record, system);
        document.serial_number = Some(serial_number(&digest(document.to_json().as_bytes())));
        document.to_json()
    }

    fn document(&self, record: &Record, system: &System) -> Document {
        let (mut root, mut components) = (None, Vec::with_capacity(self.parts.len()));
        for (path, part) in &self.parts {
            let component = part.component(path);
            if *path == self.root { root = Some(component) } else { components.push(component) }
        }
        let derivation = record.builds.get(system).map(|build| build.derivation.to_string());
        let facts =
            [(COMMIT, Some(record.commit.to_string())), (DERIVATION, derivation), (SYSTEM, Some(system.to_string()))];
        let facts =
            facts.into_iter().filter_map(|(name, value)| Some(Property { name: name.to_owned(), value: value? }));
        let depends = |(path, part): (&StorePath, &Part)| Dependency {
            of: path.to_string(),
            depends_on: part.references.iter().map(StorePath::to_string).collect(),
        };
        Document {
            bom_format: FORMAT.to_owned(),
            spec_version: VERSION.to_owned(),
            serial_number: None,
            version: 1,
            metadata: Metadata {
                timestamp: Some(record.committed.clone()),
                // Without its version: another one that writes the same is as good.
                tools: Some(Tools { components: vec![Component::plain("xtask", "")] }),
                component: root,
                properties: facts.collect(),
            },
            components,
            dependencies: self.parts.iter().map(depends).collect(),
        }
    }

    /// Reads a published bill of materials, also a newer tool's, as far as this tool knows it.
    ///
    /// # Errors
    /// What is wrong with the text, in words that follow its name.
    pub fn parse(text: &str) -> Result<Sbom, String> {
        let document = Document::parse(text)?;
        let wrong = |what: String| format!("is not a bill of materials of a release: {what}");
        let root = document.metadata.component.ok_or_else(|| wrong("it is of nothing".to_owned()))?;
        let (mut parts, root_path) = (BTreeMap::new(), path(&root.bom_ref).map_err(wrong)?);
        for component in [root].into_iter().chain(document.components) {
            let path = path(&component.bom_ref).map_err(wrong)?;
            let part = Part::of(component).map_err(|why| wrong(format!("{path} {why}")))?;
            if parts.insert(path.clone(), part).is_some() {
                return Err(wrong(format!("it has {path} twice")));
            }
        }
        for Dependency { of, depends_on } in document.dependencies {
            let of = path(&of).map_err(wrong)?;
            let to: BTreeSet<StorePath> =
                depends_on.iter().map(|to| path(to)).collect::<Result<_, _>>().map_err(wrong)?;
            if let Some(missing) = to.iter().chain([&of]).find(|path| !parts.contains_key(*path)) {
                return Err(wrong(format!("{missing} is not in it, and something depends on it")));
            }
            parts.entry(of).and_modify(|part| part.references = to);
        }
        Ok(Sbom { root: root_path, parts })
    }

    /// Returns what contradicts the record of the same release.
    pub fn fault(&self, build: &Build) -> Option<String> {
        if build.outputs.get(OUT) != Some(&self.root) {
            return Some(format!("it is of {}", self.root));
        }
        if let Some(other) = build.closure.keys().find(|path| !self.parts.contains_key(*path)) {
            return Some(format!("{other} is missing"));
        }
        let expected = |path: &StorePath| build.closure.get(path).copied();
        if let Some((path, _)) = self.parts.iter().find(|(path, part)| expected(path) != Some(part.nar.size)) {
            return Some(match expected(path) {
                Some(_) => format!("the size of {path} is another"),
                None => format!("{path} is not in the closure"),
            });
        }
        let nar = build.nars.get(OUT).filter(|nar| **nar != self.parts[&self.root].nar);
        nar.map(|_| format!("the hash of {} is another", self.root))
    }
}

impl Part {
    fn component(&self, path: &StorePath) -> Component {
        let stated = |license: &License| match license {
            License::Id(id) => Licensed::declared(Some(id), None),
            License::Name(name) => Licensed::declared(None, Some(name)),
        };
        let website = |url: &String| Reference { kind: WEBSITE.to_owned(), url: url.clone() };
        Component {
            bom_ref: path.to_string(),
            hashes: vec![Hash { algorithm: ALGORITHM.to_owned(), content: self.nar.sha256.to_string() }],
            licenses: self.description.licenses.iter().map(stated).collect(),
            references: self.description.homepages.iter().map(website).collect(),
            properties: vec![Property { name: NAR_SIZE.to_owned(), value: self.nar.size.to_string() }],
            ..Component::plain(&self.name, &self.version)
        }
    }

    fn of(component: Component) -> Result<Part, String> {
        let hash = component.hashes.iter().find(|hash| hash.algorithm == ALGORITHM).ok_or("has no SHA-256")?;
        let size = named(&component.properties, NAR_SIZE).ok_or_else(|| format!("has no {NAR_SIZE}"))?;
        let nar = FileFacts {
            size: size.parse().map_err(|_| format!("has the {NAR_SIZE} `{}`", excerpt(size)))?,
            sha256: hash.content.parse()?,
        };
        let licenses = component.licenses.into_iter().filter_map(|licensed| licensed.license);
        // Others may have written it.
        let shown = |text: String| one_line(&text);
        let license =
            |stated: Stated| stated.id.map(shown).map(License::Id).or(stated.name.map(shown).map(License::Name));
        let pages = component.references.into_iter().filter(|reference| reference.kind == WEBSITE);
        Ok(Part {
            name: one_line(&component.name),
            version: one_line(&component.version),
            nar,
            description: Description {
                licenses: licenses.filter_map(license).collect(),
                homepages: pages.map(|reference| one_line(&reference.url)).collect(),
            },
            references: BTreeSet::new(),
        })
    }
}

fn path(reference: &str) -> Result<StorePath, String> {
    StorePath::parse(reference)
}

/// Makes a UUID (version 8, of one's own making) from a digest.
fn serial_number(digest: &Digest) -> String {
    let mut bytes = *digest.bytes();
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = Digest::new(bytes).to_string();
    let part = |from: usize, to: usize| &digits[from..to];
    format!("urn:uuid:{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

#[cfg(test)]
mod tests;
