//! The directory `release/`, opened and checked to be exactly what its record and the tag say.
//!
//! Every byte is read once, and uploads are compared with what was read here. Nothing is changed.
//!
//! Sealed, that is covered by `release.json`, are the version directory and its manifest in `artifacts/`, `manual/`
//! (alone: by `manual.json`) and `images/`. `tag.json` is not, and git decides whether it is right. Neither are
//! `drvs.txt`, the journal and the receipts, which are for people, and `gcroots/`, `cache/` and the list of addresses to
//! purge, which are for later runs of this tool: no decision about what is published rests on any of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::domain::build::manifest;
use xtask::domain::build::record::{Files, Record};
use xtask::domain::digest::{Digest, FileFacts};
use xtask::domain::extent::Extent;
use xtask::domain::layout::{self, Layout};
use xtask::domain::problem::Problems;
use xtask::domain::product::Product;
use xtask::domain::release::Release;
use xtask::domain::release::tagging::TagRecord;
use xtask::domain::version::Version;
use xtask::tools::files;
use xtask::tools::git::Git;
use xtask::tree::seal::Seal;
use xtask::tree::tag_record;

use crate::domain::publication::acts::Subject;
use crate::tools::content::Content;
use crate::tools::images::{Found, Images};
use crate::tools::oci;
use crate::tools::transfer;

/// A built release, ready to be published.
pub struct Built {
    pub record: Record,
    /// Digest of the record's own bytes.
    pub record_digest: Digest,
    pub subject: Subject,
    /// The tag to push; `None` for a tree that is not an official release, and for a release that is already published.
    pub tag: Option<TagRecord>,
    /// Files of the version directory, by path there.
    pub files: LocalFiles,
    /// Files of the manual, by path there.
    pub manual: LocalFiles,
    /// Installers with their record, by name; empty if there are none.
    pub installers: LocalFiles,
    /// The images; `None` if only the manual is published.
    pub built_images: Option<BuiltImages>,
}

/// Files that were read, by path in the directory that is published.
pub type LocalFiles = BTreeMap<String, LocalFile>;

/// A file, and its content when it was read.
#[derive(Debug, Clone)]
pub struct LocalFile {
    pub path: Utf8PathBuf,
    pub content: Content,
}

impl Built {
    /// Makes a release that is already published from its record, without any files.
    pub fn published(record: Record, record_digest: Digest, subject: Subject) -> Built {
        Built {
            built_images: BuiltImages::published(&record),
            record,
            record_digest,
            subject,
            tag: None,
            files: LocalFiles::new(),
            manual: LocalFiles::new(),
            installers: LocalFiles::new(),
        }
    }

    /// Opens what was built, as far as it is published; `check_git` insists on the commit that it was built from.
    ///
    /// # Errors
    /// Nothing was built, or the release differs from its record or its tag; every difference is listed.
    pub async fn open(git: &Git, product: &Arc<Product>, target: Extent, check_git: bool) -> Result<Built> {
        let dir = git.root().join(layout::RELEASE);
        if dir.exists() {
            files::require_directory(&dir)?;
        }
        let alone = dir.join(layout::MANUAL_RECORD);
        let manual_alone = target == Extent::Manual && alone.exists();
        let record_path = if manual_alone { alone } else { dir.join(layout::RECORD) };
        ensure!(!record_path.is_symlink(), "{record_path} is a link, not the file that was built: build it again");
        let text = files::read_if_there(&record_path)?
            .with_context(|| format!("{record_path} does not exist: has `cargo xtask release build` finished?"))?;
        let record = Record::parse(&text).map_err(|why| anyhow!("{record_path} {why}"))?;

        let mut problems = if check_git { off_the_record(git, &record)? } else { Problems::default() };
        let layout = Layout::new(product, &record.version);
        let manual = read(&dir.join(layout::MANUAL), &record.manual(), &mut problems).await?;
        problems.collect(record.compare_manual(&facts(&manual)));
        let (mut published, mut images) = (LocalFiles::new(), None);
        let record_facts = files::digest_of(text.as_bytes());
        if target == Extent::All {
            let (artifacts, images_dir) = (dir.join(layout::ARTIFACTS), dir.join(layout::IMAGES));
            files::require_directory(&artifacts)?;
            files::require_directory(&images_dir)?;
            published = read(&artifacts.join(layout.version_directory()), &record.files, &mut problems).await?;
            let found = facts(&published);
            let mut others = Seal::of(&record, record_facts.sha256, &layout).files();
            others.insert(layout::RECORD.to_owned(), record_facts);
            problems.collect(record.compare(&found, &others));
            for (name, expected) in &others {
                if found.get(name) != Some(expected) {
                    problems.add(format!("{name} in the version directory does not match {record_path}"));
                }
            }
            for path in files::list(&artifacts)? {
                if path != layout::MANIFEST && !path.starts_with(layout.version_directory()) {
                    problems.add(format!("{} was not built", artifacts.join(path)));
                }
            }
            let path = artifacts.join(layout::MANIFEST);
            if files::read_text(&path)? != manifest::render(&record.manifest()) {
                problems.add(format!("{path} does not match {record_path}"));
            }
            images = BuiltImages::open(oci::OciDirectory::new(images_dir), &record, &mut problems).await?;
        }
        problems.into_result().with_context(|| format!("{dir} cannot be published as it is"))?;

        let (subject, tag) = subject(git, product, &record)?;
        let record_digest = record_facts.sha256;
        let installers = LocalFiles::new();
        Ok(Built { record, record_digest, subject, tag, files: published, manual, installers, built_images: images })
    }

    /// Names of the release's artifacts.
    pub fn layout(&self) -> Layout {
        self.subject.layout()
    }

    /// The images.
    ///
    /// # Errors
    /// Only the manual is published.
    pub fn images(&self) -> Result<&BuiltImages> {
        self.built_images.as_ref().context("only the manual is published, without images")
    }
}

/// Lists how the tree differs from what was built.
fn off_the_record(git: &Git, record: &Record) -> Result<Problems> {
    let mut problems = Problems::default();
    let head = git.head()?;
    if head.commit != record.commit {
        let at = record.tag.as_ref().map_or_else(|| record.commit.to_string(), Version::to_string);
        problems.add(format!(
            "HEAD is at {}, but release/ was built from {at}: `git switch --detach {at}`",
            head.commit.short()
        ));
    }
    problems.extend(Problems::uncommitted(&git.dirty_files()?));
    Ok(problems)
}

/// Returns the subject of the record, and the tag of an official release, as git has them.
fn subject(git: &Git, product: &Arc<Product>, record: &Record) -> Result<(Subject, Option<TagRecord>)> {
    let Some(version) = record.tag.clone() else {
        return Ok((Subject::Nightly { product: Arc::clone(product), version: record.version.clone() }, None));
    };
    let release = Release::new(product, version, record.name.as_deref().unwrap_or_default())?;
    let tag = tag_record::load(git, release.version())?;
    if (&tag.commit, &tag.tree) != (&record.commit, &record.tree) {
        return Err(anyhow!(
            "release/ was built from commit {}, but the tag {} is at {}: build it again",
            record.commit,
            release.tag(),
            tag.commit
        ));
    }
    Ok((Subject::Official(Box::new(release)), Some(tag)))
}

/// Reads a directory that was built. A file whose size differs from `built` may be huge, so it is not hashed: the
/// comparison afterwards reports it.
async fn read(dir: &Utf8Path, built: &Files, problems: &mut Problems) -> Result<LocalFiles> {
    files::require_directory(dir)?;
    for path in files::empty_directories(dir)? {
        problems.add(format!("{} is an empty directory, and was not built", dir.join(path)));
    }
    let reading = files::list(dir)?.into_iter().map(|relative| {
        let path = dir.join(&relative);
        // The record and what follows from it are not in the record, and are small.
        let expected = built.get(relative.as_str()).map(|facts| facts.size);
        async move {
            let (_, size) = files::open_file(&path)?;
            let content = if expected.map_or(size <= files::SMALL, |expected| expected == size) {
                Content::of_file(&path).await?
            } else {
                Content { size, ..Content::of_bytes(b"") }
            };
            Ok((relative.into_string(), LocalFile { path, content }))
        }
    });
    Ok(transfer::all(reading).await?.into_iter().collect())
}

fn facts(local: &LocalFiles) -> Files {
    let facts = |content: &Content| FileFacts { size: content.size, sha256: content.sha256 };
    local.iter().map(|(path, file)| (path.clone(), facts(&file.content))).collect()
}

/// The images that were built: a complete OCI directory with one index.
pub struct BuiltImages {
    pub layout: oci::OciDirectory,
    /// Name of the index in the OCI directory.
    pub name: String,
    pub index: Digest,
    /// Total size of all blobs in bytes.
    pub bytes: u64,
}

impl BuiltImages {
    /// Makes images that are already published from their record, without any blobs.
    pub fn published(record: &Record) -> Option<BuiltImages> {
        let layout = oci::OciDirectory::new(Default::default());
        let index = record.image.as_ref()?.digest;
        Some(BuiltImages { layout, name: record.version.clone(), index, bytes: 0 })
    }

    /// Opens an OCI directory, and reads every blob.
    ///
    /// # Errors
    /// The directory cannot be read. Everything that differs from the record is a problem.
    pub async fn open(
        layout: oci::OciDirectory,
        record: &Record,
        problems: &mut Problems,
    ) -> Result<Option<BuiltImages>> {
        let dir = layout.dir().to_owned();
        let Some(image) = &record.image else {
            problems.add("the record has no images: build with `--target all`");
            return Ok(None);
        };
        let index = image.digest;
        if layout.named(&record.version)? != Some(index) {
            problems.add(format!("index.json in {dir} does not name {} {}", index.oci(), record.version));
        }
        let Found { platforms, missing, blobs, .. } = Images::Directory(layout.clone()).find(index).await?;
        if missing.is_empty() && platforms != image.platforms {
            problems.add(format!("{dir} has images for platforms other than the record's"));
        }
        if missing.is_empty() {
            for difference in layout.differences(&record.version, index, &blobs)? {
                problems.add(difference);
            }
        }
        for part in missing {
            problems.add(format!("{part} is missing or damaged in {dir}"));
        }
        let bytes = layout.bytes()?;
        Ok(Some(BuiltImages { layout, name: record.version.clone(), index, bytes }))
    }
}
