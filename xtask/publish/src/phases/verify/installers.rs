//! The installers: those of the version, and those that everyone gets who installs.

use anyhow::Result;
use xtask::domain::amounts::counted;
use xtask::domain::build::record::Record;
use xtask::domain::format::Misread;
use xtask::domain::layout::INSTALLER_RECORD;
use xtask::domain::version::Version;
use xtask::tools::files;

use super::tree::{Compared, compare, extra_objects};
use super::{Report, View};
use crate::domain::publication::acts::Act;
use crate::domain::publication::installer::InstallerRecord;
use crate::domain::publication::serving::{IMMUTABLE, MOVING};

impl View<'_> {
    /// The published record of a version's installers, and its text; `None` if it has none.
    async fn installer_record(&self, version: &Version) -> Result<Option<Result<(InstallerRecord, Vec<u8>), Misread>>> {
        let layout = self.site.layout(version);
        let key = layout.installer_record();
        let Some(text) = self.sources.install.get(&key).await? else { return Ok(None) };
        let record = InstallerRecord::parse(&layout, &String::from_utf8_lossy(&text));
        Ok(Some(record.map(|record| (record, text)).map_err(|why| why.of(&format!("the published {key}")))))
    }

    pub(super) async fn check_installers(&self, release: &Record, report: &mut Report) -> Result<()> {
        let layout = self.layout();
        let directory = layout.version_directory();
        let title = format!("install {directory}/");
        let who = "everyone who installs this version";
        let record = match self.installer_record(&self.version).await? {
            Some(Ok((record, _))) => record,
            Some(Err(why)) => {
                report.check(&title, "", why, who);
                return Ok(());
            }
            None => {
                report.note(&title, "has no installers yet: `cargo xtask release installer` publishes them");
                return Ok(());
            }
        };
        let Compared { mut findings, mut extra } =
            compare(&self.sources.install, &directory, &record.files, Some(IMMUTABLE)).await?;
        extra.retain(|path| path != INSTALLER_RECORD);
        let broken = &mut findings.broken;
        if record.version != release.version {
            broken.push(format!("{INSTALLER_RECORD} is of {}", record.version));
        }
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
                report.note(&title, &format!("belong on {target}, which cannot be told: {why}"));
                return Ok(());
            }
            None => {
                report.note(&title, &format!("belong on {target}, which has no installers"));
                return Ok(());
            }
        };
        let mut expected = record.files;
        expected.insert(INSTALLER_RECORD.to_owned(), files::digest_of(&text));
        let compared = compare(&self.sources.install, layout.installer_pointers(), &expected, Some(MOVING)).await?;
        report.check(&title, &format!("are on {target}"), compared.findings, "everyone who installs");
        Ok(())
    }
}
