//! What building a release again gave, compared with what was published.
//!
//! The published record decides what is compared: an older tool recorded less and made fewer files, which is not a
//! difference. Who built it, with which copy of the tool, and in which profile is not compared.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use xtask::domain::build::record::{Build, Files, Record};
use xtask::domain::digest::Digest;
use xtask::domain::layout::{Layout, MANIFEST, MANUAL, side_file, side_file_of};
use xtask::domain::oid::Oid;
use xtask::domain::profile::{BuiltProfile, Profile};
use xtask::domain::shown::excerpt;
use xtask::domain::system::System;

/// Fields of the record that are compared otherwise, or not at all.
const APART: [&str; 6] = ["builds", "files", "format", "image", "profile", "tool"];
/// Fields of a build that are compared otherwise.
const OF_BUILD_APART: [&str; 2] = ["derivation", "outputs"];
/// Fields of a build whose keys are data: one that is missing is not an older tool's.
const OF_DATA: [&str; 2] = ["closure", "nars"];

/// What can be built here of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Possible {
    pub profile: Profile,
    /// The systems of the release that are left out, because nothing here builds them.
    pub without: BTreeSet<System>,
}

/// Returns the profile that a release was built in.
///
/// # Errors
/// This tool does not know it.
pub fn profile(record: &Record) -> Result<Profile, String> {
    match &record.profile {
        BuiltProfile::Known(profile) => Ok(*profile),
        BuiltProfile::Unknown(name) => {
            Err(format!("it has the profile `{}`, which this tool does not know: use a newer one", excerpt(name)))
        }
    }
}

/// Decides what to build again; `is_able` says whether something here builds a system.
///
/// # Errors
/// Nothing of it can be built here, and why.
pub fn possible(record: &Record, is_able: impl Fn(&System) -> bool) -> Result<Possible, String> {
    let profile = profile(record)?;
    let unable: BTreeSet<&System> = record.builds.keys().filter(|system| !is_able(system)).collect();
    if unable.is_empty() {
        return Ok(Possible { profile, without: BTreeSet::new() });
    }
    let main = System::main();
    if !is_able(&main) || profile != Profile::All {
        return Err(format!("nothing here builds for {}: `doctor` shows all builders", shown(unable)));
    }
    // The smaller profile has only this one.
    let without = record.builds.keys().filter(|system| **system != main).cloned().collect();
    Ok(Possible { profile: Profile::X86_64LinuxOnly, without })
}

/// How a file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differs {
    Content,
    /// It was published, and is not built.
    NotBuilt,
    /// It is built, and was not published.
    NotPublished,
}

/// What is the same, what differs, and what is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// How the builds differ, by system; nothing for those that are the same.
    pub builds: BTreeMap<System, Vec<String>>,
    /// The systems that were not built.
    pub without: BTreeSet<System>,
    /// How the rest of the record differs.
    pub record: Vec<String>,
    /// The files that differ. Digests beside archives that differ are not among them.
    pub files: BTreeMap<String, Differs>,
    /// Files that are the same, with their sizes and digests.
    pub same: Files,
    /// What was published and is about systems that were not built, or about all.
    pub unproven: Vec<String>,
    /// What was published, and this copy of the tool does not make.
    pub unknown: Vec<String>,
    /// What this copy of the tool makes or records, and the one that published did not.
    pub newer: Vec<String>,
}

/// Compares a published record, whose text is `text`, with that of the build. `older_indexes` are digests that the index of
/// the images has without what only newer copies of this tool add to it.
pub fn compare(record: &Record, text: &Value, again: &Record, older_indexes: &[Digest], layout: &Layout) -> Comparison {
    let rebuilt: Value = serde_json::to_value(again).unwrap_or_default();
    let mut comparison = Comparison::default();
    comparison.compare_builds(record, text, again, &rebuilt);
    for (name, value) in text.as_object().into_iter().flatten().filter(|(name, _)| !APART.contains(&name.as_str())) {
        match rebuilt.get(name) {
            None if !value.is_null() => comparison.unknown.push(format!("`{}` in the record", excerpt(name))),
            there => {
                let (there, mut newer) = (there.unwrap_or(&Value::Null), Vec::new());
                differences(name, value, there, &mut comparison.record, &mut newer);
                comparison.newer.extend(newer.iter().map(|place| format!("`{place}` in the record")));
            }
        }
    }
    let is_newer =
        |name: &String, value: &Value| !APART.contains(&name.as_str()) && !value.is_null() && text.get(name).is_none();
    let newer = rebuilt.as_object().into_iter().flatten().filter(|(name, value)| is_newer(name, value));
    comparison.newer.extend(newer.map(|(name, _)| format!("`{}` in the record", excerpt(name))));
    let index = |record: &Record| record.image.as_ref().map(|image| image.digest);
    match (index(record), index(again)) {
        (Some(_), _) if !comparison.without.is_empty() => {
            comparison.unproven.push("the index of the container images".to_owned());
        }
        (published, built) if published == built => {}
        (Some(published), Some(_)) if record.materials.is_none() && older_indexes.contains(&published) => {
            comparison.newer.push("annotations of the index of the container images".to_owned());
        }
        (published, built) => {
            let digest = |digest: Option<Digest>| digest.map_or_else(|| "none".to_owned(), |digest| digest.oci());
            let (published, built) = (digest(published), digest(built));
            comparison
                .record
                .push(format!("the index of the container images: {published} was published, {built} is built"));
        }
    }
    comparison.compare_files(record, again, layout);
    comparison
}

impl Comparison {
    fn compare_builds(&mut self, record: &Record, text: &Value, again: &Record, rebuilt: &Value) {
        for (system, build) in &record.builds {
            let Some(built) = again.builds.get(system) else {
                self.without.insert(system.clone());
                continue;
            };
            let at = |value: &Value| value["builds"][system.to_string()].clone();
            let mut newer = Vec::new();
            let found = build_differences(build, &at(text), built, &at(rebuilt), &mut self.unknown, &mut newer);
            self.newer.extend(newer.iter().map(|place| format!("`{place}` of {system} in the record")));
            self.builds.insert(system.clone(), found);
        }
        for system in again.builds.keys().filter(|system| !record.builds.contains_key(*system)) {
            self.record.push(format!("{system} is built, and was not published"));
        }
    }

    fn compare_files(&mut self, record: &Record, again: &Record, layout: &Layout) {
        let is_left_out = |path: &str| self.without.iter().any(|system| path.contains(&format!("-{system}")));
        let of_every_tool = every_tool_makes(layout, record.builds.keys().chain(again.builds.keys()));
        let is_essential = |path: &str| of_every_tool.contains(path) || path.starts_with(&format!("{MANUAL}/"));
        // Every tool that records materials makes these.
        let bills: BTreeSet<String> = record.builds.keys().map(|system| layout.sbom(system)).collect();
        let is_owed = |path: &str| record.materials.is_some() && bills.contains(path);
        let mut differ = BTreeMap::new();
        for (path, facts) in &record.files {
            match again.files.get(path) {
                _ if is_left_out(path) => self.unproven.push(path.clone()),
                Some(built) if built == facts => drop(self.same.insert(path.clone(), *facts)),
                _ if !self.without.is_empty() && path == MANIFEST => self.unproven.push(path.clone()),
                Some(_) => drop(differ.insert(path.clone(), Differs::Content)),
                None if is_essential(path) => drop(differ.insert(path.clone(), Differs::NotBuilt)),
                None => self.unknown.push(path.clone()),
            }
        }
        for path in again.files.keys().filter(|path| !record.files.contains_key(*path)) {
            if is_essential(path) || is_owed(path) {
                differ.insert(path.clone(), Differs::NotPublished);
            } else {
                self.newer.push(path.clone());
            }
        }
        let follows = |path: &str| side_file_of(path).is_some_and(|archive| differ.contains_key(archive));
        self.files = differ.iter().filter(|(path, _)| !follows(path)).map(|(path, how)| (path.clone(), *how)).collect();
    }
}

/// The files that every copy of this tool has made.
fn every_tool_makes<'a>(layout: &Layout, systems: impl Iterator<Item = &'a System>) -> BTreeSet<String> {
    let archives: Vec<String> = layout.built_archives(systems).into_iter().chain([layout.source()]).collect();
    let sides = archives.iter().map(|archive| side_file(archive)).collect::<Vec<_>>();
    archives.into_iter().chain(sides).chain([MANIFEST.to_owned()]).collect()
}

/// Says how a build differs: in what goes in, or only in what comes out.
fn build_differences(
    published: &Build,
    text: &Value,
    built: &Build,
    rebuilt: &Value,
    unknown: &mut Vec<String>,
    newer: &mut Vec<String>,
) -> Vec<String> {
    if published.derivation != built.derivation {
        // Everything else follows from it.
        return vec![format!(
            "the inputs differ: the derivation {} was published, and the tag gives {} here",
            published.derivation, built.derivation
        )];
    }
    let mut found = Vec::new();
    let names: BTreeSet<&String> = published.outputs.keys().chain(built.outputs.keys()).collect();
    for name in names {
        let path = |build: &Build| build.outputs.get(name).map_or_else(|| "none".to_owned(), ToString::to_string);
        let (there, here) = (path(published), path(built));
        if there != here {
            found.push(format!(
                "the derivation is the same, but not its output `{}`: {there} was published, {here} is built",
                excerpt(name)
            ));
        }
    }
    for (name, value) in
        text.as_object().into_iter().flatten().filter(|(name, _)| !OF_BUILD_APART.contains(&name.as_str()))
    {
        let mut inner = Vec::new();
        match rebuilt.get(name) {
            Some(there) => {
                let mut more = Vec::new();
                differences(name, value, there, &mut inner, &mut more);
                if OF_DATA.contains(&name.as_str()) {
                    inner.extend(more.into_iter().map(|place| format!("{place} was not published")));
                } else {
                    newer.append(&mut more);
                }
            }
            None => unknown.push(format!("`{}` of a build in the record", excerpt(name))),
        }
        found.extend(inner.into_iter().map(|why| format!("the derivation is the same, but not what it gives: {why}")));
    }
    let only_built = rebuilt.as_object().into_iter().flatten().map(|(name, _)| name);
    newer.extend(only_built.filter(|name| text.get(name.as_str()).is_none()).map(|name| excerpt(name)));
    found
}

/// Lists where two JSON values differ, and the keys that only the second one has, which may be newer.
pub fn differences(place: &str, published: &Value, built: &Value, found: &mut Vec<String>, newer: &mut Vec<String>) {
    match (published, built) {
        _ if published == built => {}
        (Value::Object(published), Value::Object(built)) => {
            for (key, value) in published {
                let place = format!("{place}.{key}");
                differences(&place, value, built.get(key).unwrap_or(&Value::Null), found, newer);
            }
            let more = built.keys().filter(|key| !published.contains_key(*key));
            newer.extend(more.map(|key| excerpt(format!("{place}.{key}").trim_start_matches('.'))));
        }
        (Value::Array(published), Value::Array(built)) if published.len() == built.len() => {
            for (at, (published, built)) in published.iter().zip(built).enumerate() {
                differences(&format!("{place}[{at}]"), published, built, found, newer);
            }
        }
        _ => {
            let value = |value: &Value| excerpt(&value.to_string());
            found.push(format!(
                "{}: published as {}, built as {}",
                excerpt(place.trim_start_matches('.')),
                value(published),
                value(built)
            ));
        }
    }
}

/// Says what is wrong with the tag of a release, which is at a commit with a tree.
pub fn tag_fault(record: &Record, commit: Option<&Oid>, tree: Option<&Oid>) -> Option<String> {
    let (tag, released) = (&record.version, record.commit.short());
    match (commit, tree) {
        (None, _) => Some(format!("the tag {tag} is not an annotated one, and {released} was released")),
        (Some(commit), _) if *commit != record.commit => Some(format!(
            "the tag {tag} is for {}, but {released} was released: nothing is built. If yours is older, fetch it again",
            commit.short()
        )),
        (_, tree) if tree != Some(&record.tree) => {
            Some(format!("the tag {tag} is for {released}, but its tree is not the one that was released"))
        }
        _ => None,
    }
}

/// What the bucket has of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InBucket {
    AsRecorded,
    Other,
    Missing,
}

/// Says how a file that was published relates to its record and to what the tag builds; `None` if all three are the same.
/// `is_built`: whether the tag builds what the record says.
pub fn fault(there: InBucket, is_signed: bool, is_built: bool) -> Option<String> {
    let said = if is_signed { "signed" } else { "recorded" };
    Some(match (there, is_built) {
        (InBucket::AsRecorded, true) => return None,
        (InBucket::AsRecorded, false) => format!("it is what was {said}, and the tag builds something else"),
        (InBucket::Other, true) => format!("it is not what was {said}, and the tag builds what was {said}"),
        (InBucket::Other, false) => format!("it is not what was {said}, and the tag builds neither"),
        (InBucket::Missing, true) => format!("it is missing, and the tag builds what was {said}"),
        (InBucket::Missing, false) => format!("it is missing, and the tag does not build what was {said}"),
    })
}

fn shown<'a>(systems: impl IntoIterator<Item = &'a System>) -> String {
    systems.into_iter().map(System::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
