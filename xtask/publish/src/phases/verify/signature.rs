//! The signature of a release's sums: what everything else is compared with is proven by it, or by nothing. The signed
//! statement of its provenance says the same to other programs. And the signature of the record of its installers.

use anyhow::Result;
use xtask::domain::build::record::{Files, Record};
use xtask::domain::layout::{INSTALLER_SIGNATURE, SUMS, SUMS_SIGNATURE, VERIFY};
use xtask::domain::version::Version;
use xtask::tools::files;
use xtask::tree::seal::Seal;

use super::report::Findings;
use super::tree::{Compared, compare};
use super::{Report, View};
use crate::domain::dsse;
use crate::domain::limits;
use crate::domain::publication::installer::InstallerRecord;
use crate::domain::publication::signature::{page, proof};
use crate::domain::serving::MOVING;

impl View<'_> {
    /// Checks that a known key has signed the sums, and that these list the record, whose text is `text`. Whatever is
    /// checked later is compared with that record.
    pub(super) async fn check_signature(&self, record: &Record, text: &[u8], report: &mut Report) -> Result<()> {
        let (layout, releases) = (self.layout(), &self.sources.releases);
        let directory = layout.version_directory();
        let title = format!("releases {directory}/{SUMS_SIGNATURE}");
        // Until the opposite is shown, also if the bucket cannot be read.
        report.unproven = true;
        let keys = match &self.keys {
            Ok(keys) if !keys.is_empty() => keys,
            Ok(_) => {
                report.note(&title, "the key of this environment is not here, so it is unknown who signed: `--key`");
                return Ok(());
            }
            Err(why) => {
                report.note(&title, &format!("it is unknown who signed, because {why}"));
                return Ok(());
            }
        };
        let sums = releases.get(&format!("{directory}/{SUMS}")).await?;
        let signature = releases.get(&format!("{directory}/{SUMS_SIGNATURE}")).await?;
        let digest = files::digest_of(text).sha256;
        let key = match proof(&layout.namespace(), sums.as_deref(), signature.as_deref(), digest, keys) {
            Ok(key) => key,
            Err(why) => {
                let why = format!("{why}: nothing here proves that this is what was released");
                report.check(&title, "", Findings::broken(why), "everyone who downloads it");
                return Ok(());
            }
        };
        report.unproven = false;
        let address = self.site.environment.public.as_ref().map(|public| public.releases.as_str());
        // The page names the key as users of the cache do; a list of signers may call it otherwise.
        let own = self.site.trusted().unwrap_or_default();
        let known = own.iter().find(|own| own.bytes() == key.bytes());
        let page = known.map(|key| (VERIFY.to_owned(), page(record, &layout, key, address).into_bytes()));
        let mut texts: Vec<(String, Vec<u8>)> = vec![(SUMS_SIGNATURE.to_owned(), signature.unwrap_or_default())];
        texts.extend(page);
        let mut broken = Vec::new();
        if let Some(statement) = Seal::of(record, digest, &layout).statement {
            let name = layout.envelope();
            match releases.source().get_at_most(&format!("{directory}/{name}"), limits::SIGNATURE).await? {
                None => broken.push(format!("{name} is missing: `upload` signs {}", statement.name)),
                Some(there) => match dsse::check(&there, statement.text.as_bytes(), keys, &own) {
                    Err(why) => broken.push(format!("{name} {why}: `upload` signs {} again", statement.name)),
                    Ok(_) => texts.push((name, there)),
                },
            }
        }
        let expected: Files = texts.into_iter().map(|(name, text)| (name, files::digest_of(&text))).collect();
        let Compared { mut findings, .. } = compare(releases, &directory, &expected, Some(MOVING)).await?;
        findings.broken.extend(broken);
        report.check(&title, &format!("by {}", key.name()), findings, "everyone who checks a download");
        Ok(())
    }

    /// Says why the record of another version, whose text is `text`, is not proven; `None` if it is, or if no key is known.
    pub(super) async fn unproven(&self, version: &Version, text: &[u8]) -> Result<Option<String>> {
        let (layout, releases) = (self.site.layout(version), &self.sources.releases);
        if self.known_keys().is_empty() {
            return Ok(None);
        }
        let sums = releases.get(&format!("{}/{SUMS}", layout.version_directory())).await?;
        let signature = releases.get(&format!("{}/{SUMS_SIGNATURE}", layout.version_directory())).await?;
        let digest = files::digest_of(text).sha256;
        Ok(proof(&layout.namespace(), sums.as_deref(), signature.as_deref(), digest, self.known_keys()).err())
    }

    /// Which key has signed the record of a version's installers, whose text is `text`, or why they are not proven; `None`
    /// if no key is known, which was said of the release.
    pub(super) async fn installer_proof(
        &self,
        version: &Version,
        record: &InstallerRecord,
        text: &[u8],
    ) -> Result<Option<Result<String, String>>> {
        if self.known_keys().is_empty() {
            return Ok(None);
        }
        let layout = self.site.layout(version);
        let signature = self.sources.install.get(&layout.installer_signature()).await?;
        let proof = record.proof(&layout, text, signature.as_deref(), self.known_keys());
        Ok(Some(proof.map(|key| key.name().to_owned())))
    }

    /// Checks how the signature of the installers is served. What it does not prove is said of them.
    pub(super) async fn check_installer_signature(&self, report: &mut Report) -> Result<()> {
        let (layout, install) = (self.layout(), &self.sources.install);
        let Some(Ok((record, text))) = self.installer_record(&self.version).await? else { return Ok(()) };
        let Some(Ok(key)) = self.installer_proof(&self.version, &record, &text).await? else { return Ok(()) };
        let title = format!("install {}", layout.installer_signature());
        let signature = install.get(&layout.installer_signature()).await?.unwrap_or_default();
        let expected = Files::from([(INSTALLER_SIGNATURE.to_owned(), files::digest_of(&signature))]);
        let Compared { findings, .. } = compare(install, &layout.version_directory(), &expected, Some(MOVING)).await?;
        report.check(&title, &format!("by {key}"), findings, "everyone who checks an installer");
        Ok(())
    }
}
