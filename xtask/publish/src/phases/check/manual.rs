//! The checks of the manual, and of what the store has of the release.

use anyhow::{Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::domain::amounts::counted;
use xtask::domain::build::record::Files;
use xtask::domain::build::{DEBUG, DOC};
use xtask::domain::digest::FileFacts;
use xtask::domain::layout::{MANUAL, MANUAL_IN_DOC, MANUAL_INDEX};
use xtask::domain::problem::{Problem, Problems};
use xtask::domain::system::System;
use xtask::tools::files;

use super::{Candidate, outcome};
use crate::domain::checks::manual::Manual;
use crate::domain::checks::page::Page;
use crate::domain::checks::report::Outcome;

/// Follows every link of the manual, and looks for what it says of the release.
pub fn manual(candidate: &Candidate) -> Result<Outcome> {
    let dir = candidate.dir().join(MANUAL);
    let mut manual = Manual::default();
    for path in files::list(&dir)? {
        if path.extension() == Some("html") {
            let html = files::read(&dir.join(&path))?;
            manual.pages.insert(path.to_string(), Page::read(&String::from_utf8_lossy(&html)));
        }
        manual.files.insert(path.into_string());
    }
    let mut problems = manual.broken_links();
    // A nightly has no section.
    if let Some(version) = &candidate.record.tag {
        problems.extend(manual.tells_of(&candidate.product.name, version, MANUAL_INDEX));
    }
    let links: usize = manual.pages.values().map(|page| page.links.len()).sum();
    Ok(outcome(problems, format!("{}, {}", counted(manual.pages.len(), "page"), counted(links, "link"))))
}

/// Compares the store with the record: the manual in the output `doc`, and debug information that is not empty; and the
/// bills of materials with the closures.
pub fn outputs(candidate: &Candidate) -> Result<Outcome> {
    let (mut problems, mut told) = (Problems::default(), Vec::new());
    for (system, build) in &candidate.record.builds {
        let sbom = candidate.layout().sbom(system);
        match candidate.sbom(system) {
            Ok(Some(listed)) => {
                problems
                    .extend(listed.fault(build).map(|why| Problem::new(format!("{sbom} is not of this build: {why}"))));
                told.push(sbom);
            }
            // An older tool recorded no hash of a NAR, either.
            Ok(None) if build.nars.is_empty() => {}
            Ok(None) => problems.add(format!("{sbom} is missing")),
            Err(why) => problems.add(format!("{why:#}")),
        }
        for (name, path) in &build.outputs {
            let (path, attr) = (Utf8PathBuf::from(path.to_string()), format!("{system}.{name}"));
            if !files::is_there(&path) {
                problems.add(format!("{attr}: {path} is not in the store of this machine: build again"));
                continue;
            }
            if name == DEBUG {
                if size(&path)? == 0 {
                    problems.add(format!("{attr}: {path} is empty"));
                }
                told.push(attr);
            } else if name == DOC && *system == System::main() {
                problems.extend(differences(&candidate.record.manual(), &path)?);
                told.push(attr);
            }
        }
    }
    Ok(outcome(problems, format!("{}: as recorded", told.join(", "))))
}

/// Compares the manual in an output with the one that is published.
fn differences(recorded: &Files, doc: &Utf8Path) -> Result<Problems> {
    let dir = doc.join(MANUAL_IN_DOC);
    if !files::is_there(&dir) {
        return Ok(Problems::from_iter([Problem::new(format!("{dir} is missing"))]));
    }
    let mut problems = Problems::default();
    let there = files::list(&dir)?;
    for (path, facts) in recorded {
        let in_doc = dir.join(path);
        if !there.iter().any(|there| there == path) {
            problems.add(format!("{in_doc} is missing"));
        } else if facts_of(&in_doc)? != *facts {
            problems.add(format!("{in_doc} differs from the manual of the release"));
        }
    }
    Ok(problems)
}

fn facts_of(path: &Utf8Path) -> Result<FileFacts> {
    Ok(files::digest_of(&files::read(path)?))
}

/// Total size of all files in bytes.
fn size(path: &Utf8Path) -> Result<u64> {
    if path.is_file() {
        return Ok(path.metadata()?.len());
    }
    let sizes = files::list(path)?.into_iter().map(|file| {
        let file = path.join(file);
        Ok(file.symlink_metadata().map_err(|error| anyhow!("cannot look at {file}: {error}"))?.len())
    });
    sizes.sum()
}
