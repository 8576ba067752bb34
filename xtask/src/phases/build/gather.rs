//! From store paths to the release: gathers files, checks them against each other, joins the images, writes the record.
//!
//! Writes only below one directory, which is new and empty.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::plan::Plan;
use crate::domain::build::OUT;
use crate::domain::build::description::Descriptions;
use crate::domain::build::image::Index;
use crate::domain::build::jobs::{Derivation, Jobs, ManualJob};
use crate::domain::build::manifest;
use crate::domain::build::record::{Build, Closure, Files, ImageRecord, Record};
use crate::domain::build::sbom::Sbom;
use crate::domain::format::Format;
use crate::domain::layout::{self, Layout};
use crate::domain::problem::{Problem, Problems};
use crate::domain::profile::BuiltProfile;
use crate::domain::store_path::StorePath;
use crate::domain::system::{Platform, System};
use crate::tools::skopeo::NewOciDirectory;
use crate::tools::{closure, files};
use crate::tree::seal::Seal;

/// A release that is being gathered.
pub struct Gathering<'a> {
    plan: &'a Plan,
    jobs: &'a Jobs,
    descriptions: &'a Descriptions,
    layout: Layout,
    /// Directory to write to.
    dir: Utf8PathBuf,
    /// Record of what has been gathered so far.
    record: Record,
}

impl<'a> Gathering<'a> {
    /// Starts a release in `dir`, which is empty.
    pub fn new(plan: &'a Plan, jobs: &'a Jobs, descriptions: &'a Descriptions, dir: Utf8PathBuf) -> Gathering<'a> {
        let record = new_record(plan, &jobs.version, &jobs.builds);
        Gathering { plan, jobs, descriptions, layout: Layout::new(&plan.product, &jobs.version), dir, record }
    }

    fn version_dir(&self) -> Utf8PathBuf {
        self.dir.join(layout::ARTIFACTS).join(self.layout.version_directory())
    }

    /// Gathers everything except the images.
    pub fn gather(&mut self) -> Result<()> {
        let tarballs = Utf8PathBuf::from(self.jobs.tarballs.outputs[OUT].to_string());
        self.copy(&tarballs, &self.dir.join(layout::MANUAL))?;
        self.add_closures()?;
        self.add_source()?;
        let manifest = manifest::render(&self.record.manifest());
        self.add(layout::MANIFEST, &manifest)?;
        files::create(&self.dir.join(layout::ARTIFACTS).join(layout::MANIFEST), &manifest)?;
        files::create(&self.dir.join(layout::DRVS), self.record.drvs())?;
        Ok(())
    }

    /// Copies what the tarballs job made, if it is exactly what a release consists of.
    fn copy(&mut self, from: &Utf8Path, manual: &Utf8Path) -> Result<()> {
        let found = files::list(from)?;
        let archives = self.layout.built_archives(self.jobs.builds.keys());
        expected(&found, &archives, &self.layout)
            .with_context(|| format!("{from} does not have exactly the files of a release"))?;
        let to = self.version_dir();
        for path in found {
            let mut places = vec![to.join(&path)];
            places.extend(path.strip_prefix(layout::MANUAL).ok().map(|page| manual.join(page)));
            let places: Vec<&Utf8Path> = places.iter().map(|place| place.as_path()).collect();
            self.record.files.insert(path.to_string(), files::copy(&from.join(&path), &places)?);
        }
        self.check_side_files(&archives).with_context(|| format!("{from} contradicts itself"))
    }

    fn check_side_files(&self, archives: &BTreeSet<String>) -> Result<()> {
        let mut problems = Problems::default();
        for archive in archives {
            let side = self.version_dir().join(layout::side_file(archive));
            let says = files::read(&side)?;
            let is = self.record.files[archive].sha256;
            if says != format!("{is}\n").as_bytes() {
                let says = String::from_utf8_lossy(&says);
                let side = layout::side_file(archive);
                problems.add(format!("{side} says {}, but {archive} has SHA-256 {is}", says.trim()));
            }
        }
        Ok(problems.into_result()?)
    }

    /// Records what the builds refer to, and lists it for each system.
    fn add_closures(&mut self) -> Result<()> {
        let closures = closure::of(self.record.builds.values().flat_map(|build| build.outputs.values()))?;
        for build in self.record.builds.values_mut() {
            let known = |path| closures.get(path).with_context(|| format!("Nix says nothing about {path}"));
            build.closure = closures.of(&build.outputs[OUT]).iter().map(|i| (i.path.clone(), i.nar_size)).collect();
            let nar = |(name, path): (&String, _)| Ok((name.clone(), known(path)?.nar()));
            build.nars = build.outputs.iter().map(nar).collect::<Result<_>>()?;
        }
        for (system, build) in self.record.builds.clone() {
            let sbom = Sbom::new(&build.outputs[OUT], &closures, self.descriptions);
            let text = sbom.to_json(&self.record, &system, |bytes| files::digest_of(bytes).sha256);
            self.add(&self.layout.sbom(&system), &text)?;
        }
        Ok(())
    }

    fn add_source(&mut self) -> Result<()> {
        let name = self.layout.source();
        let path = self.version_dir().join(&name);
        let facts = self.plan.source.archive(&self.layout.source_prefix(), &path);
        let facts = facts.context("cannot archive the source")?;
        self.record.files.insert(name.clone(), facts);
        self.add(&layout::side_file(&name), &format!("{}\n", facts.sha256))
    }

    /// Writes a file into the version directory.
    fn add(&mut self, name: &str, content: &str) -> Result<()> {
        let facts = files::create(&self.version_dir().join(name), content)?;
        self.record.files.insert(name.to_owned(), facts);
        Ok(())
    }

    fn image_systems(&self) -> impl Iterator<Item = (&'a System, Platform)> + use<'a> {
        self.jobs.builds.keys().filter_map(|system| Some((system, system.platform()?)))
    }

    /// Names the platforms of the images, for messages.
    pub fn platforms(&self) -> String {
        self.image_systems().map(|(_, platform)| platform.to_string()).collect::<Vec<_>>().join(", ")
    }

    /// Joins the container images into one multi-platform image.
    pub fn images(&self) -> Result<ImageRecord> {
        let oci = NewOciDirectory::new(self.dir.join(layout::IMAGES))?;
        let scratch = self.dir.join(".image.tar");
        let convert = |(system, _)| oci.add(&self.version_dir().join(self.layout.image(system)), system, &scratch);
        let images = self.image_systems().map(convert).collect::<Result<Vec<_>>>()?;
        let commit = Some(&self.plan.commit).filter(|_| !self.plan.materials.modified);
        let index = Index::join(&images, &self.jobs.version, commit)
            .context("the container images cannot be joined into one")?;
        let digest = oci.seal(&self.jobs.version, &index)?;
        let platforms = index.manifests.iter().filter_map(|manifest| manifest.platform.clone()).collect();
        Ok(ImageRecord { digest, platforms })
    }

    /// Copies the links that protect this release, and no other, from the garbage collector, so that they stay with the
    /// directory.
    pub fn keep_roots(&self, roots: &Utf8Path) -> Result<()> {
        let to = self.dir.join(layout::GC_ROOTS);
        fs::create_dir(&to).with_context(|| format!("cannot create {to}"))?;
        let jobs = || self.jobs.builds.values().chain([&self.jobs.tarballs]);
        let kept: BTreeSet<String> =
            jobs().flat_map(|job| job.outputs.values().chain([&job.path])).map(StorePath::to_string).collect();
        for (name, target) in files::links(roots)? {
            if kept.contains(target.as_str()) {
                let link = to.join(name);
                std::os::unix::fs::symlink(target, &link).with_context(|| format!("cannot create {link}"))?;
            }
        }
        Ok(())
    }

    /// Writes the record and what follows from it. Returns a summary for the manager.
    pub fn seal(&self, image: ImageRecord) -> Result<String> {
        let materials = Some(self.plan.materials.clone());
        let record = Record { image: Some(image), materials, ..self.record.clone() };
        let text = record.to_json();
        let facts = files::create(&self.version_dir().join(layout::RECORD), &text)?;
        let seal = Seal::of(&record, facts.sha256, &self.layout);
        for (name, text) in seal.texts() {
            files::create(&self.version_dir().join(name), text)?;
        }
        files::create(&self.dir.join(layout::RECORD), &text)?;
        let pages = record.manual().len();
        let bytes: u64 = record.files.values().map(|facts| facts.size).sum();
        let files = record.files.len() - pages + 1 + seal.texts().count();
        Ok(format!("{files} files and {pages} of the manual, {:.1} MB", bytes as f64 / 1e6))
    }
}

/// Gathers the manual and its record. Returns the number of files in the manual.
pub fn manual_alone(plan: &Plan, job: &ManualJob, dir: &Utf8Path) -> Result<usize> {
    let from = Utf8PathBuf::from(job.doc().to_string()).join(layout::MANUAL_IN_DOC);
    let found = files::list(&from)?;
    ensure!(found.iter().any(|path| path == layout::MANUAL_INDEX), "{from} has no {}", layout::MANUAL_INDEX);
    let builds = BTreeMap::from([(System::main(), job.build.clone())]);
    let mut record = new_record(plan, &job.version, &builds);
    for page in &found {
        let path = Utf8Path::new(layout::MANUAL).join(page);
        let facts = files::copy(&from.join(page), &[&dir.join(&path)])?;
        record.files.insert(path.into_string(), facts);
    }
    files::create(&dir.join(layout::MANUAL_RECORD), record.to_json())?;
    Ok(found.len())
}

fn new_record(plan: &Plan, version: &str, builds: &BTreeMap<System, Derivation>) -> Record {
    let build = |job: &Derivation| Build {
        derivation: job.path.clone(),
        outputs: job.outputs.clone(),
        closure: Closure::new(),
        nars: BTreeMap::new(),
    };
    Record {
        format: Format,
        version: version.to_owned(),
        name: plan.name.clone(),
        tag: plan.tag.clone(),
        commit: plan.commit.clone(),
        tree: plan.tree.clone(),
        committed: plan.committed.clone(),
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        profile: BuiltProfile::Known(plan.profile),
        builds: builds.iter().map(|(system, job)| (system.clone(), build(job))).collect(),
        materials: None,
        keys: plan.keys.clone(),
        image: None,
        files: Files::new(),
    }
}

/// Checks that the tarballs job made `archives`, a side file for each, and a manual, and nothing else.
fn expected(found: &[Utf8PathBuf], archives: &BTreeSet<String>, layout: &Layout) -> Result<(), Problems> {
    let sides = archives.iter().map(|archive| layout::side_file(archive));
    let index = format!("{}/{}", layout::MANUAL, layout::MANUAL_INDEX);
    let names: BTreeSet<String> = archives.iter().cloned().chain(sides).chain([index]).collect();
    let found: BTreeSet<&str> = found.iter().map(|path| path.as_str()).collect();
    let missing = names.iter().filter(|name| !found.contains(name.as_str())).map(|name| format!("{name} is missing"));
    let in_manual = |name: &str| Utf8Path::new(name).starts_with(layout::MANUAL);
    let extra = found.iter().filter(|name| !names.contains(**name) && !in_manual(name));
    let extra = extra.map(|name| match layout.archive_system(name) {
        // An evaluator can lose a job without an error.
        Some(system) => format!("{name} is for a system that was not evaluated: there is no `build.{system}`"),
        None => format!("{name} is not part of a release"),
    });
    missing.chain(extra).map(Problem::new).collect::<Problems>().into_result()
}
