//! Git's settings here, identities and hooks.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};

use super::Git;
use crate::tools::process;

impl Git {
    /// Returns the wanted settings that apply here, in git's order: the last of several values counts.
    ///
    /// # Errors
    /// A value that `wanted` asks for is not UTF-8.
    pub fn settings(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, String)>> {
        let list = process::read_bytes(self.cmd(["config", "--list", "-z"]))?;
        let mut settings = Vec::new();
        for entry in list.split(|byte| *byte == 0) {
            let key = String::from_utf8_lossy(entry.split(|byte| *byte == b'\n').next().unwrap_or_default());
            if wanted(&key) {
                let text = std::str::from_utf8(entry).with_context(|| format!("git's setting {key} is not UTF-8"))?;
                // A key without a value is true.
                let (_, value) = text.split_once('\n').unwrap_or((text, "true"));
                settings.push((key.into_owned(), value.to_owned()));
            }
        }
        Ok(settings)
    }

    /// Returns a setting; empty if it is not set.
    pub fn setting(&self, key: &str) -> Result<String> {
        self.read(["config", "--default=", "--get", key])
    }

    /// Returns a boolean setting; false if it is not set.
    pub fn config_bool(&self, key: &str) -> Result<bool> {
        Ok(self.read(["config", "--type=bool", "--default=false", "--get", key])? == "true")
    }

    /// Checks that an author and a committer are configured.
    ///
    /// # Errors
    /// One is missing; git's guess from login and host name does not count.
    pub fn require_identity(&self) -> Result<()> {
        for who in ["GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"] {
            self.read(["-c", "user.useConfigOnly=true", "var", who])
                .context("git does not know who you are: set `git config user.name` and `git config user.email`")?;
        }
        Ok(())
    }

    /// Returns the committer, `NAME <ADDRESS>`.
    pub fn identity(&self) -> Result<String> {
        let identity = self.read(["var", "GIT_COMMITTER_IDENT"])?;
        Ok(identity.split_inclusive('>').next().unwrap_or_default().to_owned())
    }

    /// Whether git runs a hook of this name; it ignores one that is not executable.
    pub fn has_hook(&self, name: &str) -> Result<bool> {
        let path = self.read(["rev-parse", "--path-format=absolute", "--git-path", &format!("hooks/{name}")])?;
        match std::fs::metadata(&path) {
            Ok(file) => Ok(file.is_file() && file.permissions().mode() & 0o111 != 0),
            // `core.hooksPath` may be a file, such as `/dev/null`.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot look at the hook {path}")),
        }
    }
}
