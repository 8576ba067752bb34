//! Files in buckets: a version's directory and the manual, each by its content.

use anyhow::Result;
use xtask::domain::digest::{Digest, FileFacts};
use xtask::domain::layout::{Docs, Layout, MANUAL_INDEX, SUMS, side_file_of};
use xtask::domain::plan::{bytes_for_people, counted};
use xtask::domain::publication::Act;
use xtask::domain::record::{Files, Record};
use xtask::tools::files;

use super::{Report, View};
use crate::tools::source::Source;
use crate::tools::store::Store;
use crate::tools::transfer;

impl View<'_> {
    pub(super) async fn check_version_directory(
        &self,
        record: &Record,
        text: &[u8],
        report: &mut Report,
    ) -> Result<()> {
        let directory = Layout::new(&record.version).version_directory();
        let mut expected = record.files.clone();
        let sums = record.sums(files::facts(text).sha256);
        expected.insert(SUMS.to_owned(), files::facts(sums.as_bytes()));
        let broken = compare(&self.sources.releases, &directory, &expected).await?;
        let bytes = expected.values().map(|facts| facts.size).sum();
        let files = format!("{}, {}", counted(expected.len(), "file"), bytes_for_people(bytes));
        report.check(&format!("releases {directory}/"), &files, broken, "whoever downloads it");
        self.check_version_manifest(record, &directory, report).await
    }

    pub(super) async fn check_docs(&self, act: &Act, docs: Docs, record: &Record, report: &mut Report) -> Result<()> {
        let directory = docs.directory();
        let who = format!("readers of {directory}/");
        let Some(target) = self.belongs_on(act) else { return Ok(()) };
        let title = format!("docs {directory}/");
        if *target == self.version {
            let manual = record.manual();
            let broken = compare(&self.sources.docs, &directory, &manual).await?;
            report.check(&title, &format!("{} of {target}", counted(manual.len(), "page")), broken, &who);
            return Ok(());
        }
        // Not ours: it is enough that its start page is the right version's.
        let Some(other) = self.record_to_follow(target, &title, report).await? else { return Ok(()) };
        let index: Files = other.manual().into_iter().filter(|(path, _)| path == MANUAL_INDEX).collect();
        let broken = compare(&self.sources.docs, &directory, &index).await?;
        report.check(&title, &format!("is on {target}"), broken, &who);
        Ok(())
    }

    /// A version that was published before there were records: its archives are held against the digests beside them.
    pub(super) async fn check_unrecorded(&self, releases: &Store, report: &mut Report) -> Result<()> {
        let directory = Layout::new(&self.version.to_string()).version_directory();
        let title = format!("releases {directory}/");
        let listing = releases.list(&format!("{directory}/")).await?;
        if listing.is_empty() {
            report.check(&title, "", vec!["it is not published".to_owned()], "everyone who looks for this version");
            return Ok(());
        }
        // They came with the records, and go first: what has them and no record is not all there.
        if listing.contains_key(&format!("{directory}/{SUMS}")) {
            let why = "its publication was begun and not finished: run `upload` again".to_owned();
            report.check(&title, "", vec![why], "whoever finds it");
            return Ok(());
        }
        report.note(&title, "has no release.json: only what has a digest beside it is checked");
        let mut expected = Files::new();
        let mut broken = Vec::new();
        for key in listing.keys() {
            let Some(archive) = side_file_of(key) else { continue };
            let side = self.sources.releases.get(key).await?.unwrap_or_default();
            let size = listing.get(archive).map(|listed| listed.size);
            match (String::from_utf8_lossy(&side).trim().parse::<Digest>(), size) {
                (Ok(sha256), Some(size)) => {
                    let path = archive.strip_prefix(&format!("{directory}/")).unwrap_or(archive);
                    expected.insert(path.to_owned(), FileFacts { size, sha256 });
                }
                (Err(why), _) => broken.push(format!("{key}: {why}")),
                (_, None) => broken.push(format!("{archive} is missing, and its digest is there")),
            }
        }
        broken.extend(compare(&self.sources.releases, &directory, &expected).await?);
        report.check(&title, &format!("{} archives", expected.len()), broken, "whoever downloads it");
        Ok(())
    }
}

/// Downloads every file and says what is not as expected.
pub(super) async fn compare(source: &Source, directory: &str, expected: &Files) -> Result<Vec<String>> {
    let checking = expected.iter().map(|(path, expected)| {
        let (source, key, path, expected) = (source.clone(), format!("{directory}/{path}"), path.clone(), *expected);
        async move {
            Ok(match source.facts(&key).await? {
                None => Some(format!("{path} is missing")),
                Some(found) if found == expected => None,
                Some(found) => Some(format!(
                    "{path} is not what was released: {} bytes with SHA-256 {}, expected {} with {}",
                    found.size, found.sha256, expected.size, expected.sha256
                )),
            })
        }
    });
    let mut broken: Vec<String> = transfer::all(checking).await?.into_iter().flatten().collect();
    broken.sort();
    Ok(broken)
}
