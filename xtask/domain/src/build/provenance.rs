//! The statement of a release's provenance: what it was made of, how, and what came of it, as an in-toto Statement v1 with
//! SLSA's provenance v1, which programs that others wrote can read.
//!
//! It follows from the record and its digest alone, so everyone who builds the tag again gets the same bytes. Published
//! releases have these bytes: what changes here must depend on something new in the record.

use std::collections::BTreeMap;

use serde::Serialize;

use super::flake_lock::{self, Input};
use super::record::{Build, Materials, Record};
use crate::digest::Digest;
use crate::layout::RECORD;
use crate::store_path::StorePath;
use crate::system::System;

/// Media type of the statement.
pub const MEDIA_TYPE: &str = "application/vnd.in-toto+json";

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// How the parameters are to be read: `releng.md` says it. A name, not an address: it stays when documents move.
const BUILD_TYPE: &str = "tag:lix.systems,2026:release/build/v1";
/// Who answers for what the statement says: a release manager, who has the signing key, and whatever builds for them.
const BUILDER: &str = "tag:lix.systems,2026:release/manager";
/// Name of this tool in the list of the builder's versions.
const TOOL: &str = "cargo xtask release";
/// Name of the image index among the subjects, and its media type.
const IMAGE: (&str, &str) = ("container image", "application/vnd.oci.image.index.v1+json");
/// The algorithms of digests, as in-toto's list names them. The last two are not in the list: the last is that of
/// a NAR, which Nix compares and no program finds by hashing a file.
const SHA256: &str = "sha256";
const GIT_COMMIT: &str = "gitCommit";
const GIT_TREE: &str = "gitTree";
const GIT_TAG: &str = "gitTag";
const HG: &str = "hgChangeset";
const NAR: &str = "narSha256";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: Vec<Resource>,
    predicate_type: &'static str,
    predicate: Predicate<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate<'a> {
    build_definition: Definition<'a>,
    run_details: Run<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Definition<'a> {
    build_type: &'static str,
    external_parameters: Asked<'a>,
    internal_parameters: Built<'a>,
    resolved_dependencies: Vec<Resource>,
}

/// What the manager asked for.
#[derive(Serialize)]
struct Asked<'a> {
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    profile: String,
}

/// What Nix made of it.
#[derive(Serialize)]
struct Built<'a> {
    builds: BTreeMap<&'a System, Outputs<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    modified: bool,
}

#[derive(Serialize)]
struct Outputs<'a> {
    derivation: &'a StorePath,
    outputs: &'a BTreeMap<String, StorePath>,
}

impl Outputs<'_> {
    fn of(build: &Build) -> Outputs<'_> {
        Outputs { derivation: &build.derivation, outputs: &build.outputs }
    }
}

#[derive(Serialize)]
struct Run<'a> {
    builder: Builder<'a>,
}

#[derive(Serialize)]
struct Builder<'a> {
    id: &'static str,
    version: BTreeMap<&'static str, &'a str>,
}

/// What in-toto calls a resource descriptor.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    digest: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<&'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

impl Resource {
    fn new<'d>(name: &str, digest: impl IntoIterator<Item = (&'static str, &'d dyn ToString)>) -> Resource {
        let digest = digest.into_iter().map(|(algorithm, digest)| (algorithm, digest.to_string())).collect();
        Resource { name: name.to_owned(), uri: None, digest, media_type: None, annotations: BTreeMap::new() }
    }
}

/// Returns the text of the statement, given the digest of the record's own text; `None` if an older tool made the record,
/// which says too little.
///
/// # Panics
/// Never: the statement has only string keys.
pub fn statement(record: &Record, digest: Digest) -> Option<String> {
    let materials = record.materials.as_ref()?;
    let statement = Statement {
        kind: STATEMENT,
        subject: subjects(record, digest),
        predicate_type: PREDICATE,
        predicate: Predicate {
            build_definition: Definition {
                build_type: BUILD_TYPE,
                external_parameters: Asked {
                    version: &record.version,
                    tag: record.tag.as_ref().map(ToString::to_string),
                    profile: record.profile.to_string(),
                },
                internal_parameters: Built {
                    builds: record.builds.iter().map(|(system, build)| (system, Outputs::of(build))).collect(),
                    modified: materials.modified,
                },
                resolved_dependencies: dependencies(record, materials),
            },
            run_details: Run {
                builder: Builder { id: BUILDER, version: BTreeMap::from([(TOOL, record.tool.as_str())]) },
            },
        },
    };
    Some(serde_json::to_string_pretty(&statement).expect("a statement has only string keys") + "\n")
}

/// The record and every file that it lists, the image index, and the outputs of the builds.
fn subjects(record: &Record, digest: Digest) -> Vec<Resource> {
    let mut files: BTreeMap<&str, Digest> =
        record.files.iter().map(|(path, facts)| (path.as_str(), facts.sha256)).collect();
    files.insert(RECORD, digest);
    let mut subjects: Vec<Resource> =
        files.iter().map(|(path, digest)| Resource::new(path, [(SHA256, digest as &dyn ToString)])).collect();
    if let Some(image) = &record.image {
        let (name, media_type) = IMAGE;
        let index = Resource::new(name, [(SHA256, &image.digest as &dyn ToString)]);
        subjects.push(Resource { media_type: Some(media_type), ..index });
    }
    // Two builds may have an output in common.
    let outputs = record
        .builds
        .values()
        .flat_map(|build| build.outputs.iter().filter_map(|(name, path)| Some((path, build.nars.get(name)?.sha256))));
    let outputs: BTreeMap<&StorePath, Digest> = outputs.collect();
    subjects.extend(outputs.iter().map(|(path, nar)| Resource::new(&path.to_string(), [(NAR, nar as &dyn ToString)])));
    subjects
}

/// The commit, the tag, and the inputs of the flake.
fn dependencies(record: &Record, materials: &Materials) -> Vec<Resource> {
    let repository = format!("git+{}", materials.repository);
    let (commit, tree) = (&record.commit, &record.tree);
    let source = Resource::new("source", [(GIT_COMMIT, commit as &dyn ToString), (GIT_TREE, tree)]);
    let mut dependencies = vec![Resource {
        uri: Some(format!("{repository}@{commit}")),
        annotations: BTreeMap::from([("committed", record.committed.clone())]),
        ..source
    }];
    if let (Some(tag), Some(object)) = (&record.tag, &materials.tag) {
        let uri = Some(format!("{repository}@refs/tags/{tag}"));
        dependencies.push(Resource { uri, ..Resource::new("tag", [(GIT_TAG, object as &dyn ToString)]) });
    }
    dependencies.extend(materials.inputs.iter().map(|(name, input)| locked(name, input)));
    dependencies
}

fn locked(name: &str, Input { from, rev, nar }: &Input) -> Resource {
    let kind = if from.as_ref().is_some_and(|from| from.starts_with("hg+")) { HG } else { GIT_COMMIT };
    let digests =
        [rev.as_ref().map(|rev| (kind, rev as &dyn ToString)), nar.as_ref().map(|nar| (NAR, nar as &dyn ToString))];
    Resource {
        uri: from.clone(),
        ..Resource::new(&format!("{}/{name}", flake_lock::PATH), digests.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests;
