//! A directory in a bucket, compared by content: the version directory, a manual, the installers of the version and
//! those at the top of the bucket.

use anyhow::Result;
use xtask::domain::amounts::{bytes_for_people, counted};
use xtask::domain::build::record::{Files, Record};
use xtask::domain::digest::{Digest, FileFacts};
use xtask::domain::format::Misread;
use xtask::domain::layout::{Docs, INSTALLER_RECORD, INSTALLER_SIGNATURE, MANUAL_INDEX, RECORD, SUMS, side_file_of};
use xtask::domain::shown::excerpt;
use xtask::domain::version::Version;
use xtask::tools::files;
use xtask::tree::seal::Seal;

use super::report::Findings;
use super::sides::{self, Sides};
use super::{Report, View};
use crate::domain::publication::acts::Act;
use crate::domain::publication::installer::InstallerRecord;
use crate::domain::serving::{IMMUTABLE, MOVING, Served, content_type};
use crate::tools::content::Content;
use crate::tools::http::Headers;
use crate::tools::store::{Comparison, Listed, compare as compare_listed};
use crate::tools::transfer;
use crate::tools::unusable::usable;

impl View<'_> {
    pub(super) async fn check_version_directory(
        &self,
        record: &Record,
        text: &[u8],
        report: &mut Report,
    ) -> Result<()> {
        let (layout, directory) = (self.layout(), self.layout().version_directory());
        let mut expected = record.files.clone();
        expected.extend(Seal::of(record, files::digest_of(text).sha256, &layout).files());
        let Compared { mut findings, mut extra, damaged } =
            compare(&self.sources.releases, &directory, &expected, Some(IMMUTABLE)).await?;
        report.damaged = damaged;
        findings.append(self.sources.releases.shown(&format!("{directory}/{RECORD}"), text, |_| None).await);
        extra.retain(|path| path != RECORD && !layout.signed().contains(path));
        let bytes = expected.values().fold(0, |sum: u64, facts| sum.saturating_add(facts.size));
        let files = format!("{}, {}", counted(expected.len(), "file"), bytes_for_people(bytes));
        report.check(&format!("releases {directory}/"), &files, findings, "everyone who downloads it");
        if !extra.is_empty() {
            report.note(&format!("releases {directory}/"), &extra_objects(&extra));
        }
        self.check_version_manifest(record, &directory, report).await
    }

    pub(super) async fn check_docs(&self, act: &Act, docs: Docs, record: &Record, report: &mut Report) -> Result<()> {
        let directory = self.layout().docs(docs);
        let who = format!("readers of {directory}/");
        let Some(target) = self.belongs_on(act) else { return Ok(()) };
        let title = format!("docs {directory}/");
        if *target == self.version {
            let manual = record.manual();
            let Compared { findings, extra, .. } =
                compare(&self.sources.docs, &directory, &manual, Some(MOVING)).await?;
            report.check(&title, &format!("{} of {target}", counted(manual.len(), "page")), findings, &who);
            // Not always a fault, because a rollback deletes nothing.
            if !extra.is_empty() {
                let what = extra_objects(&extra);
                report.note(&title, &format!("{what}; not part of the manual of {target}: its `upload` deletes it"));
            }
            return Ok(());
        }
        // Another version's manual: it is enough to check its start page.
        let Some(other) = self.record_to_follow(target, &title, report).await? else { return Ok(()) };
        let index: Files = other.manual().into_iter().filter(|(path, _)| path == MANUAL_INDEX).collect();
        let findings = compare(&self.sources.docs, &directory, &index, Some(MOVING)).await?.findings;
        report.check(&title, &format!("is on {target}"), findings, &who);
        Ok(())
    }

    /// Checks a version that was published before records existed: its archives are compared with the digests beside
    /// them.
    pub(super) async fn check_unrecorded(&self, report: &mut Report) -> Result<()> {
        let directory = self.layout().version_directory();
        let title = format!("releases {directory}/");
        let Some(releases) = self.sources.releases.bucket() else {
            let why = format!("has no {RECORD} at its public address: it is not published, or by an older tool");
            report.check(&title, "", vec![why], "everyone who looks for this version");
            return Ok(());
        };
        let listing = releases.list(&format!("{directory}/")).await?;
        if listing.is_empty() {
            report.check(&title, "", vec!["it is not published".to_owned()], "everyone who looks for this version");
            return Ok(());
        }
        // SHA256SUMS is uploaded first and release.json last, so sums without a record mean an unfinished upload.
        if listing.contains_key(&format!("{directory}/{SUMS}")) {
            let why = "its upload was begun, but is not finished: run `upload` again".to_owned();
            report.check(&title, "", vec![why], "everyone who finds it");
            return Ok(());
        }
        if let Some(from) = self.site.environment.signed_from.as_ref().filter(|from| self.version >= **from) {
            let why = format!("has neither release.json nor a signature, and every version since {from} has both");
            report.check(&title, "", vec![why], "everyone who downloads it");
            return Ok(());
        }
        report.unproven = true;
        report.note(&title, "has no release.json and no signature: files with a digest beside them are checked, and nothing proves those");
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
                (_, None) => broken.push(format!("{archive} is missing, but its digest is there")),
            }
        }
        let mut findings = compare(&self.sources.releases, &directory, &expected, None).await?.findings;
        findings.broken.extend(broken);
        report.check(&title, &counted(expected.len(), "archive"), findings, "everyone who downloads it");
        Ok(())
    }

    /// Reads the published record of a version's installers, with its text; `None` if it does not exist.
    pub(super) async fn installer_record(
        &self,
        version: &Version,
    ) -> Result<Option<Result<(InstallerRecord, Vec<u8>), Misread>>> {
        let layout = self.site.layout(version);
        let key = layout.installer_record();
        let Some(text) = self.sources.install.get(&key).await? else { return Ok(None) };
        Ok(Some(match InstallerRecord::parse(&layout, &String::from_utf8_lossy(&text)) {
            Ok(record) if record.version == version.to_string() => Ok((record, text)),
            Ok(record) => Err(Misread::Wrong(format!("the published {key} is for {}", excerpt(&record.version)))),
            Err(why) => Err(why.of(&format!("the published {key}"))),
        }))
    }

    pub(super) async fn check_installers(&self, release: &Record, report: &mut Report) -> Result<()> {
        let layout = self.layout();
        let directory = layout.version_directory();
        let title = format!("install {directory}/");
        let who = "everyone who installs this version";
        let (record, text) = match self.installer_record(&self.version).await? {
            Some(Ok(read)) => read,
            Some(Err(why)) => {
                report.check(&title, "", why, who);
                return Ok(());
            }
            None => {
                report.note(&title, "has no installers yet: `cargo xtask release installer` publishes them");
                return Ok(());
            }
        };
        let Compared { mut findings, mut extra, .. } =
            compare(&self.sources.install, &directory, &record.files, Some(IMMUTABLE)).await?;
        extra.retain(|path| ![INSTALLER_RECORD, INSTALLER_SIGNATURE].contains(&path.as_str()));
        let broken = &mut findings.broken;
        broken.extend(self.installer_proof(&self.version, &record, &text).await?.and_then(Result::err));
        let without = release.builds.keys().filter(|system| !record.systems(&layout).contains(*system));
        broken.extend(without.map(|system| format!("{INSTALLER_RECORD} lists none for {system}")));
        report.check(&title, &counted(record.files.len(), "installer"), findings, who);
        if !extra.is_empty() {
            report.note(&title, &extra_objects(&extra));
        }
        Ok(())
    }

    pub(super) async fn check_installer_pointers(&self, act: &Act, report: &mut Report) -> Result<()> {
        let Some(target) = self.belongs_on(act) else { return Ok(()) };
        let layout = self.layout();
        let title = format!("install {}/{}", layout.installer_pointers(), layout.installer_name("*"));
        let (record, text) = match self.installer_record(target).await? {
            Some(Ok(read)) => read,
            Some(Err(why)) if *target == self.version => {
                report.check(&title, "", why, "everyone who installs");
                return Ok(());
            }
            Some(Err(why)) => {
                report.note(&title, &format!("should lead to {target}, which cannot be checked: {why}"));
                return Ok(());
            }
            None => {
                report.note(&title, &format!("should lead to {target}, which has no installers"));
                return Ok(());
            }
        };
        let unproven = self.installer_proof(target, &record, &text).await?.and_then(Result::err);
        let mut expected = record.files;
        expected.insert(INSTALLER_RECORD.to_owned(), files::digest_of(&text));
        let mut compared = compare(&self.sources.install, layout.installer_pointers(), &expected, Some(MOVING)).await?;
        compared.findings.broken.extend(unproven);
        report.check(&title, &format!("are on {target}"), compared.findings, "everyone who installs");
        // The directories of versions are here, too.
        let extra: Vec<String> =
            compared.extra.into_iter().filter(|path| layout.installer_system(path).is_some()).collect();
        if !extra.is_empty() {
            report.note(&title, &format!("{}; not part of the installers of {target}", extra_objects(&extra)));
        }
        Ok(())
    }
}

/// The comparison of a directory with what it should have.
pub(super) struct Compared {
    pub findings: Findings,
    /// Paths of objects that are not expected.
    pub extra: Vec<String>,
    /// Paths of files that are missing or not what they should be.
    pub damaged: Vec<String>,
}

/// Reads every file as users get it, and reports differences; with `cache_control`, also of its headers.
pub(super) async fn compare(
    sides: &Sides,
    directory: &str,
    expected: &Files,
    cache_control: Option<&'static str>,
) -> Result<Compared> {
    let mut listing = match sides.bucket() {
        Some(bucket) => Some(bucket.list(&format!("{directory}/")).await?),
        // A public address does not say what else is there.
        None => None,
    };
    let checking = expected.iter().map(|(path, expected)| {
        let file = File {
            sides: sides.clone(),
            key: format!("{directory}/{path}"),
            path: path.clone(),
            expected: *expected,
            cache_control,
        };
        let listed = listing.as_mut().map(|listing| listing.remove(&file.key));
        async move {
            let found = match listed {
                Some(Some(listed)) => file.check(&listed).await,
                Some(None) => Ok(Findings::broken(format!("{} is missing", file.path))),
                None => file.check_shown().await,
            };
            let findings = match usable(found) {
                Ok(Ok(findings)) => findings,
                Ok(Err(why)) => Findings::broken(format!("{} cannot be read: {why}", file.path)),
                Err(error) => Findings::unknown(format!("{}: {error:#}", file.path)),
            };
            Ok((file.path, findings))
        }
    });
    let (mut findings, mut damaged) = (Findings::default(), Vec::new());
    for (path, found) in transfer::all(checking).await? {
        if !found.broken.is_empty() {
            damaged.push(path);
        }
        findings.append(found);
    }
    findings.sort();
    // Some tools make such keys for directories; they do not matter to users.
    let extra = listing.unwrap_or_default().into_keys().filter(|key| !key.ends_with('/'));
    let relative = |key: String| key.strip_prefix(&format!("{directory}/")).map(str::to_owned).unwrap_or(key);
    Ok(Compared { findings, extra: extra.map(relative).collect(), damaged })
}

/// Describes extra objects, as in `3 more objects: a, b, …`.
pub(super) fn extra_objects(extra: &[String]) -> String {
    let (named, more) = (extra.iter().take(NAMED).map(|path| excerpt(path)), extra.len() > NAMED);
    let rest = if more { ", …" } else { "" };
    format!("{}: {}{rest}", counted(extra.len(), "more object"), named.collect::<Vec<_>>().join(", "))
}

/// Number of extra objects that a line names.
const NAMED: usize = 5;

/// A file that should be there.
struct File {
    sides: Sides,
    key: String,
    path: String,
    expected: FileFacts,
    cache_control: Option<&'static str>,
}

impl File {
    async fn check(&self, listed: &Listed) -> Result<Findings> {
        let Self { sides, key, path, expected, .. } = self;
        let Some(bucket) = sides.bucket() else { return self.check_shown().await };
        let Some(edge) = sides.edge() else {
            return match bucket.content(key).await? {
                None => Ok(Findings::broken(format!("{path} is missing"))),
                Some(there) if facts(&there) == *expected => Ok(self.headers(None).await?),
                Some(there) => Ok(self.other(&facts(&there))),
            };
        };
        let shown = edge.described(key).await?;
        if let Some((content, headers)) = &shown
            && facts(content) == *expected
        {
            // A cache may still have what the bucket has lost.
            if compare_listed(listed, content) != Comparison::Same && !bucket.holds(key, content).await? {
                let why =
                    format!("{path} in the bucket is not what was released, but a cache still shows it as released");
                return Ok(Findings::broken(why));
            }
            return self.headers(Some(headers)).await;
        }
        // The bucket shows whether the difference will pass.
        match bucket.content(key).await? {
            Some(there) if facts(&there) == *expected => Ok(Findings::stale(match &shown {
                None => format!("{path}: {}", sides::missing()),
                Some((_, headers)) => format!(
                    "{path}: the bucket has it as released; this address still shows different content{}: wait, or \
                     purge",
                    sides::cached(headers)
                ),
            })),
            Some(there) => Ok(self.other(&facts(&there))),
            None => Ok(Findings::broken(format!("{path} is missing"))),
        }
    }

    /// Checks it as it is at its public address, where a cache may decide for itself how long it keeps something.
    async fn check_shown(&self) -> Result<Findings> {
        let Self { sides, key, path, expected, .. } = self;
        let Some(edge) = sides.edge() else { return Ok(Findings::default()) };
        let Some((content, headers)) = edge.described(key).await? else {
            return Ok(Findings::broken(format!("{path} is missing")));
        };
        if facts(&content) != *expected {
            return Ok(self.other(&facts(&content)));
        }
        let Some(cache_control) = self.cache_control else { return Ok(Findings::default()) };
        let served = Served {
            content_type: headers.served().content_type,
            cache_control: Some(cache_control.to_owned()),
            ..Served::default()
        };
        let faults = served.faults(content_type(key), cache_control).into_iter();
        Ok(faults.map(|fault| format!("{path} is served with {fault}")).collect::<Vec<_>>().into())
    }

    fn other(&self, found: &FileFacts) -> Findings {
        let Self { path, expected, .. } = self;
        Findings::broken(format!(
            "{path} is not what was released: {} bytes with SHA-256 {}, expected {} with {}",
            found.size, found.sha256, expected.size, expected.sha256
        ))
    }

    /// Checks the headers. A cache may decide for itself how long it keeps something.
    async fn headers(&self, at_edge: Option<&Headers>) -> Result<Findings> {
        let Some(cache_control) = self.cache_control else { return Ok(Findings::default()) };
        let (path, content_type) = (&self.path, content_type(&self.key));
        let at_edge = at_edge.map(Headers::served);
        if at_edge.as_ref().is_some_and(|served| served.faults(content_type, cache_control).is_empty()) {
            return Ok(Findings::default());
        }
        let Some(bucket) = self.sides.bucket() else { return Ok(Findings::default()) };
        let Some(head) = bucket.head(&self.key).await? else {
            return Ok(Findings::broken(format!("{path} is missing")));
        };
        let faults = head.served.faults(content_type, cache_control);
        if !faults.is_empty() {
            return Ok(Findings::broken(format!("{path} is served with {}: `upload` repairs it", faults.join(", "))));
        }
        let kept = at_edge.filter(|served| served.content_type != head.served.content_type);
        let other = kept.filter(|served| !served.faults(content_type, "").is_empty() && served.content_type.is_some());
        Ok(other.map_or_else(Findings::default, |served| {
            let there = excerpt(served.content_type.as_deref().unwrap_or_default());
            Findings::stale(format!(
                "{path}: the bucket has Content-Type {content_type}; this address still shows {there}: wait, or purge"
            ))
        }))
    }
}

fn facts(content: &Content) -> FileFacts {
    FileFacts { size: content.size, sha256: content.sha256 }
}
