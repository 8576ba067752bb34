//! The checks of archives: the source, binary tarballs, and container images. They are read as streams, so that their size
//! does not matter.

use std::io::Read;

use anyhow::{Context, Result};
use camino::Utf8Path;
use xtask::domain::amounts::counted;
use xtask::domain::build::OUT;
use xtask::domain::build::record::Build;
use xtask::domain::problem::Problems;
use xtask::domain::system::{Platform, System};
use xtask::tools::git::Git;
use xtask::tools::source::Source;

use super::{Candidate, named, outcome};
use crate::domain::checks::docker::{Archive, Layer};
use crate::domain::checks::entry::Kind;
use crate::domain::checks::report::Outcome;
use crate::domain::checks::tarball::{Expected, Tarball};
use crate::domain::publication::executable;
use crate::tools::archive::{self, Hashing};

/// Length of the pieces that contents are read in, in bytes.
const PIECE: u64 = 256 << 10;
/// Longest registration, manifest, or configuration of an image that is read, in bytes.
const SMALL: u64 = 16 << 20;

/// Compares the source archive with the tree of the commit, as git has it here.
pub fn source(candidate: &Candidate) -> Result<Outcome> {
    let git = Git::open(&candidate.tree)?;
    let source = Source::open(&git, &candidate.record.commit, None)?;
    let (layout, commit) = (candidate.layout(), candidate.record.commit.short());
    let checked = source.check(&layout.source_prefix(), &candidate.version_dir().join(layout.source()));
    Ok(match checked {
        Ok(()) => Outcome::Passed { told: format!("{} is the tree of {commit}", layout.source()) },
        Err(why) => Outcome::Failed { problems: vec![format!("{}: {why:#}", layout.source())] },
    })
}

/// Opens each binary tarball.
pub fn tarballs(candidate: &Candidate) -> Result<Outcome> {
    let mut problems = Problems::default();
    for (system, build) in &candidate.record.builds {
        let name = candidate.layout().binary(system);
        let found = tarball(candidate, system, build, &candidate.version_dir().join(&name));
        problems.extend(named(&name, found));
    }
    let systems = counted(candidate.record.builds.len(), "system");
    Ok(outcome(problems, format!("{systems}, each with its store paths, registration and installer")))
}

fn tarball(candidate: &Candidate, system: &System, build: &Build, path: &Utf8Path) -> Result<Problems> {
    let output = build.outputs.get(OUT).context("the record has no output for it")?;
    let name = candidate.layout().binary(system);
    let directory = name.strip_suffix(".tar.xz").unwrap_or(&name);
    let expected = Expected { directory, system, output, closure: &build.closure };
    let mut tarball = Tarball::new(expected);
    let mut traces = candidate.traces();
    let mut piece = Vec::new();
    archive::read(archive::open(path)?, |entry, content| {
        let mut next = |piece: &mut Vec<u8>, most: u64| content.take(most).read_to_end(piece);
        piece.clear();
        next(&mut piece, PIECE)?;
        if tarball.entry(entry, &piece) {
            next(&mut piece, SMALL)?;
            tarball.registration(std::mem::take(&mut piece));
            return Ok(());
        }
        let is_prose = entry.is_documentation() && !executable::is_binary(&piece);
        traces.restart();
        while !piece.is_empty() {
            if let Some(trace) = traces.find(&piece, is_prose) {
                tarball.found(entry, &trace);
                break;
            }
            piece.clear();
            next(&mut piece, PIECE)?;
        }
        Ok(())
    })?;
    Ok(tarball.finish())
}

/// Opens each container image.
pub fn images(candidate: &Candidate) -> Result<Outcome> {
    let (mut problems, mut count) = (Problems::default(), 0);
    for (system, platform) in candidate.record.builds.keys().filter_map(|system| Some((system, system.platform()?))) {
        let name = candidate.layout().image(system);
        let found = image(&platform, &candidate.version_dir().join(&name));
        problems.extend(named(&name, found));
        count += 1;
    }
    Ok(outcome(problems, format!("{}, complete and for their platforms", counted(count, "image"))))
}

fn image(platform: &Platform, path: &Utf8Path) -> Result<Problems> {
    let mut image = Archive::default();
    archive::read(archive::open(path)?, |entry, content| {
        let name = entry.parts().map_err(anyhow::Error::msg)?.join("/");
        if name.ends_with(".json") {
            let mut text = Vec::new();
            content.take(SMALL).read_to_end(&mut text)?;
            image.text(name, text);
        } else if matches!(entry.kind, Kind::File { .. }) {
            image.layer(name, layer(content)?);
        }
        Ok(())
    })?;
    Ok(image.problems(platform))
}

/// Reads a layer to its end, also if it is damaged: its digest tells what is wrong.
fn layer(content: &mut dyn Read) -> Result<Layer> {
    let mut hashing = Hashing::new(content);
    let mut entries = Vec::new();
    let read = archive::read(&mut hashing, |entry, _| {
        entries.push(entry.clone());
        Ok(())
    });
    let digest = hashing.finish().context("it is cut off")?;
    Ok(Layer { digest, entries: read.map(|()| entries).map_err(|why| format!("{why:#}")) })
}
