//! The environment's receipt: whether the publication of this very record ran to its end.

use anyhow::Result;
use xtask::tools::files;

use super::report::Findings;
use super::{Report, View};
use crate::domain::publication::receipt::StoredReceipt;

impl View<'_> {
    pub(super) async fn check_receipt(&self, text: &[u8], report: &mut Report) -> Result<()> {
        let version = self.version.to_string();
        let key = self.layout().receipt();
        let record = files::digest_of(text).sha256;
        let there = self.sources.releases.get(&key).await?;
        let mut findings = Findings::default();
        match StoredReceipt::parse(there.as_deref(), &self.site.name, &version) {
            StoredReceipt::Missing => {
                findings.broken.push("it is missing: the upload was not finished, run it again".to_owned())
            }
            StoredReceipt::Unreadable(why) => findings.broken.push(format!("it {why}: run the upload again")),
            StoredReceipt::Newer(why) => findings = Findings::unknown(format!("it {why}")),
            StoredReceipt::Is(receipt) if receipt.record != record => {
                findings.broken.push("it is of another build".to_owned())
            }
            StoredReceipt::Is(_) => {}
        }
        let good = format!("is of release.json {}", record.short());
        if let (true, Some(there)) = (findings.is_empty(), &there) {
            findings = self.sources.releases.shown(&key, there, |_| None).await;
        }
        report.check(&format!("releases {key}"), &good, findings, "environments that wait for this one");
        Ok(())
    }
}
