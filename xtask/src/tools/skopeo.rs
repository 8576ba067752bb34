//! Container images, through skopeo and in OCI directories.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::de::DeserializeOwned;
use xshell::Shell;

use super::{files, process};
use crate::domain::build::image::{BLOBS, Config, Descriptor, Image, Index, MARK, NAMES, OciManifest};
use crate::domain::digest::{Digest, FileFacts};
use crate::domain::system::System;

/// An OCI directory (an image layout on disk) that is being made.
pub struct NewOciDirectory {
    sh: Shell,
    dir: Utf8PathBuf,
}

/// Checks that skopeo is installed and runs.
///
/// # Errors
/// It is not, or does not; the message says what to do.
pub fn check() -> Result<()> {
    let cmd = process::shell_in(Utf8Path::new("."))?;
    process::read(cmd.cmd("skopeo").arg("--version")).map(drop)
}

impl NewOciDirectory {
    /// Starts one in `dir`.
    ///
    /// # Errors
    /// The current directory is gone.
    pub fn new(dir: Utf8PathBuf) -> Result<NewOciDirectory> {
        Ok(NewOciDirectory { sh: process::shell_in(Utf8Path::new("."))?, dir })
    }

    /// Adds the image in `archive`, a gzipped docker-archive. `scratch` is a temporary file beside the directory.
    ///
    /// # Errors
    /// The file is not such an archive, or skopeo fails.
    pub fn add(&self, archive: &Utf8Path, system: &System, scratch: &Utf8Path) -> Result<Image> {
        // skopeo reads gzipped archives, too, but old versions fail on some of them.
        files::gunzip(archive, scratch)?;
        // skopeo takes a `:` in a path for its end, so it runs in the files' directory and gets relative names.
        let beside = scratch.parent().context("the scratch file has no directory")?;
        let (archive_name, layout) = (scratch.strip_prefix(beside)?, self.dir.strip_prefix(beside)?);
        let (from, to) = (format!("docker-archive:{archive_name}"), format!("oci:{layout}:{system}"));
        self.sh.change_dir(beside);
        let cmd = self.sh.cmd("skopeo").args(["--insecure-policy", "copy", "--quiet", &from, &to]);
        let shown = cmd.to_string();
        let copied = process::capture_long(cmd).and_then(|output| process::check(&shown, &output));
        copied.with_context(|| format!("cannot convert {archive}"))?;
        std::fs::remove_file(scratch).with_context(|| format!("cannot remove {scratch}"))?;

        let index: Index = self.read(&self.dir.join(NAMES))?;
        let name = system.to_string();
        let descriptor = index.manifests.into_iter().find(|manifest| manifest.ref_name() == Some(&name));
        let descriptor = descriptor.with_context(|| format!("skopeo did not put an image {name} into {}", self.dir))?;
        let manifest: OciManifest = self.blob(&descriptor)?;
        let config: Config = self.blob(&manifest.config)?;
        Ok(Image { system: system.clone(), descriptor, config })
    }

    /// Adds an index and makes it, under `name`, the only image that the directory names.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn seal(&self, name: &str, index: &Index) -> Result<Digest> {
        let text = index.to_json();
        let FileFacts { size, sha256 } = files::digest_of(text.as_bytes());
        let blob = self.dir.join(BLOBS).join(sha256.to_string());
        files::create(&blob, &text)?;
        for (file, text) in [(NAMES, Index::layout(name, sha256, size).to_json()), (MARK.0, MARK.1.to_owned())] {
            let path = self.dir.join(file);
            std::fs::write(&path, text).with_context(|| format!("cannot write {path}"))?;
        }
        Ok(sha256)
    }

    fn blob<T: DeserializeOwned>(&self, descriptor: &Descriptor) -> Result<T> {
        self.read(&self.dir.join(BLOBS).join(descriptor.digest.to_string()))
    }

    fn read<T: DeserializeOwned>(&self, path: &Utf8Path) -> Result<T> {
        let bytes = files::read(path)?;
        serde_json::from_slice(&bytes).with_context(|| format!("{path} is not a valid OCI file"))
    }
}
