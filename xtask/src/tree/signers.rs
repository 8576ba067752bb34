//! Who may sign the tags of a product: a list that lies beside `releng.toml`.

use std::fs::File;

use anyhow::{Context, Result, anyhow, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::domain::product::Product;
use crate::domain::release::tag_rules::{TagRules, check_object};
use crate::domain::version::Version;
use crate::tools::git::Git;
use crate::tools::git::tag_object::{TagObject, Unsigned};

/// Who may sign the tags of a product.
#[derive(Debug, Clone)]
pub struct Signers {
    rules: TagRules,
    /// Path of the list.
    list: Utf8PathBuf,
}

impl Signers {
    /// `config` is the path of `releng.toml`.
    pub fn new(product: &Product, config: &Utf8Path) -> Signers {
        let list = config.parent().unwrap_or(config).join(&product.tags.allowed_signers);
        Signers { rules: product.tags.clone(), list }
    }

    /// Whether the tag of a version must be signed.
    pub fn requires_signature(&self, version: &Version) -> bool {
        self.rules.requires_signature(version)
    }

    /// Checks that one of them has signed the tag of a version. Returns the signer, as the list names them.
    ///
    /// # Errors
    /// [`Unsigned`]; or the list cannot be read, or git cannot be run.
    pub fn check(&self, object: TagObject<'_>, version: &Version) -> Result<String> {
        let list = self.list()?;
        check_object(&object.text()?, &version.to_string()).map_err(|why| anyhow!(Unsigned(why)))?;
        object.signer(&list)
    }

    /// Checks that git here can sign a tag for one of these; `None` if none has to be signed.
    ///
    /// # Errors
    /// The list cannot be read, or git is not configured to sign with an SSH key.
    pub fn ready(&self, git: &Git) -> Option<Result<String>> {
        self.rules.require_signed_tag.then(|| {
            self.list()?;
            let setting = |key: &str| git.setting(key);
            ensure!(
                setting("gpg.format")? == "ssh" && !setting("user.signingKey")?.is_empty(),
                "releng.toml requires signed tags: set git's `gpg.format = ssh` and `user.signingKey`"
            );
            Ok(format!("by an SSH key; {} says whose", self.list))
        })
    }

    /// Returns the path of the list for git, after checking that it can be read.
    fn list(&self) -> Result<Utf8PathBuf> {
        let list = std::path::absolute(&self.list).ok().and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
        let list = list.with_context(|| format!("{} is not a path that git can be given", self.list))?;
        File::open(&list).with_context(|| {
            format!(
                "releng.toml requires signed tags, but the list of those who may sign cannot be read (a line for each: \
                 `NAME namespaces=\"git\" ssh-ed25519 AAAA…`): {list}"
            )
        })?;
        Ok(list)
    }
}
