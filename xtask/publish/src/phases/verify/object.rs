//! Small objects: manifests, as `nix upgrade-nix` reads them (the version's own and the root manifest, which all users
//! follow), and the environment's receipt, which proves that the publication of exactly this record is complete.

use anyhow::Result;
use xtask::domain::build::record::Record;
use xtask::domain::format::Misread;
use xtask::domain::layout::MANIFEST;
use xtask::domain::version::Version;
use xtask::tools::{files, term};

use super::report::Findings;
use super::{Report, View};
use crate::domain::live_manifest::{self, Live};
use crate::domain::publication::acts::Act;
use crate::domain::publication::receipt::StoredReceipt;
use crate::tools::root_manifest;

impl View<'_> {
    pub(super) async fn check_version_manifest(
        &self,
        record: &Record,
        directory: &str,
        report: &mut Report,
    ) -> Result<()> {
        let key = format!("{directory}/{MANIFEST}");
        let manifest = self.sources.releases.get(&key).await?.unwrap_or_default();
        let read = root_manifest::read(&manifest).await?;
        let broken = match read.says.map_err(|why| format!("it {why}")) {
            Ok(manifest) if manifest == record.manifest() => Vec::new(),
            Ok(_) => vec!["it has different store paths from the record".to_owned()],
            Err(why) => vec![why],
        };
        report.check(
            &format!("releases {key}"),
            "names what was built",
            broken,
            "everyone who upgrades to this version",
        );
        Ok(())
    }

    pub(super) async fn check_root_manifest(&self, act: &Act, record: &Record, report: &mut Report) -> Result<()> {
        let Some(target) = self.belongs_on(act) else { return Ok(()) };
        let bytes = self.sources.releases.get(MANIFEST).await?;
        let live = match &bytes {
            Some(bytes) => Some(root_manifest::read(bytes).await?),
            None => None,
        };
        let half = self.half_a_rollback(live.as_ref(), target);
        let title = format!("releases {MANIFEST}");
        let who = "everyone who runs `nix upgrade-nix`";
        let expected = if *target == self.version {
            Some(record.manifest())
        } else {
            // Without a readable record, the names of the store paths are checked.
            let read = self.record(target).await?;
            let unproven = match &read {
                Some(Ok((_, text))) => self.unproven(target, text).await?,
                Some(Err(Misread::Wrong(why))) if !self.known_keys().is_empty() => Some(why.clone()),
                Some(Err(_)) | None => None,
            };
            if let Some(why) = unproven {
                let why = format!("it should lead to {target}, which is not proven: {why}");
                report.check(&title, "", Findings::broken(why), who);
                return Ok(());
            }
            read.and_then(Result::ok).map(|(record, _)| record.manifest())
        };
        let broken = match live.map(|live| live.says) {
            None => vec![format!("it is missing, and should lead to {target}")],
            Some(Err(why)) => vec![format!("it {why}")],
            Some(Ok(live)) => match expected {
                Some(expected) if expected != live => {
                    vec![format!("it does not lead to {target}, the newest stable release here")]
                }
                Some(_) => Vec::new(),
                None if live_manifest::leads_to(&self.site.product, &live).as_ref() == Some(target) => Vec::new(),
                None => vec![format!("it does not lead to {target}, the newest stable release here")],
            },
        };
        let mut findings = Findings::from(broken);
        if let (true, Some(bytes)) = (findings.is_empty(), bytes) {
            findings = self.sources.releases.shown(MANIFEST, &bytes, |bytes| self.shown(bytes)).await;
        }
        findings.broken.extend(half);
        report.check(&title, &format!("is on {target}"), findings, who);
        Ok(())
    }

    /// Says what to do if a rollback stopped before this pointer moved.
    fn half_a_rollback(&self, live: Option<&Live>, target: &Version) -> Option<String> {
        let there = live?.leads_to(&self.site.product)?;
        let rollback = || term::next(&format!("rollback --env {} --to {target}", self.site.name));
        self.published.withdrawn.contains(&there).then(|| {
            format!("it leads to {there}, which a rollback withdrew without finishing: run it again, {}", rollback())
        })
    }

    /// Describes what a plain manifest leads to.
    fn shown(&self, bytes: &[u8]) -> Option<String> {
        let says = live_manifest::parse(&String::from_utf8_lossy(bytes));
        says.ok().map(|manifest| live_manifest::shown(&self.site.product, &manifest))
    }

    pub(super) async fn check_receipt(&self, text: &[u8], report: &mut Report) -> Result<()> {
        let version = self.version.to_string();
        let key = self.layout().receipt();
        let record = files::digest_of(text).sha256;
        let there = self.sources.releases.get(&key).await?;
        let mut findings = Findings::default();
        match StoredReceipt::parse(there.as_deref(), &self.site.name, &version, self.known_keys()) {
            StoredReceipt::Missing => {
                findings.broken.push("it is missing: the upload did not finish, run it again".to_owned())
            }
            StoredReceipt::Unreadable(why) => findings.broken.push(format!("it {why}: run the upload again")),
            StoredReceipt::Newer(why) => findings = Findings::unknown(format!("it {why}")),
            StoredReceipt::Is(receipt) if receipt.record != record => {
                findings.broken.push("it is for another build".to_owned())
            }
            StoredReceipt::Is(_) => {}
        }
        let good = format!("is for release.json {}", record.short());
        if let (true, Some(there)) = (findings.is_empty(), &there) {
            findings = self.sources.releases.shown(&key, there, |_| None).await;
        }
        report.check(&format!("releases {key}"), &good, findings, "environments that require this one");
        Ok(())
    }
}
