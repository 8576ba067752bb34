//! The SSH signature of a tag object: git and `ssh-keygen` judge it by a list of signers, whatever the user has configured.

use anyhow::{Result, anyhow, ensure};
use camino::Utf8Path;
use xshell::Cmd;

use super::Git;
use crate::domain::oid::Oid;
use crate::tools::process;

/// A tag object, and the repository that has it.
#[derive(Clone, Copy)]
pub struct TagObject<'a> {
    pub git: &'a Git,
    /// The directory of the repository, if it is not `git`'s own.
    pub dir: Option<&'a Utf8Path>,
    pub tag: &'a Oid,
}

/// A tag without a good signature by an allowed signer; a clause about the tag.
#[derive(Debug)]
pub struct Unsigned(pub String);

impl std::fmt::Display for Unsigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unsigned {}

impl<'a> TagObject<'a> {
    fn cmd(&self, args: &[&str]) -> Cmd<'a> {
        let dir: Vec<&str> = self.dir.iter().flat_map(|dir| ["--git-dir", dir.as_str()]).collect();
        self.git.cmd(dir).args(args)
    }

    /// Returns the text of the object.
    ///
    /// # Errors
    /// The repository does not have it.
    pub fn text(&self) -> Result<String> {
        let bytes = process::read_bytes(self.cmd(&["cat-file", "tag", self.tag.as_str()]))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Checks that someone in `list`, an absolute path, has signed it. Returns the signer, as the list names them.
    ///
    /// # Errors
    /// [`Unsigned`]; or git or `ssh-keygen` cannot be run.
    pub fn signer(&self, list: &Utf8Path) -> Result<String> {
        let setting = format!("gpg.ssh.allowedSignersFile={list}");
        // Not the program that the user signs with.
        let judge = ["-c", &setting, "-c", "gpg.ssh.program=ssh-keygen", "verify-tag", "--raw", self.tag.as_str()];
        let output = process::capture(self.cmd(&judge))?;
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        let signer = says.lines().find_map(|line| {
            let (signer, _) = line.strip_prefix("Good \"git\" signature for ")?.rsplit_once(" with ")?;
            Some(signer.to_owned())
        });
        match signer.filter(|_| output.status.success()) {
            Some(signer) => Ok(signer),
            None => {
                let can_judge = !says.contains("cannot run") && !says.contains("unsupported");
                ensure!(can_judge, "cannot check the signature of a tag: {says}");
                Err(anyhow!(Unsigned(refusal(&says, list))))
            }
        }
    }
}

/// Puts what git and `ssh-keygen` say of a signature that is not good into one clause.
fn refusal(says: &str, list: &Utf8Path) -> String {
    let lines = || says.lines().map(str::trim).filter(|line| !line.is_empty());
    let key = lines().find_map(|line| line.strip_prefix("Good \"git\" signature with "));
    let common = ["Good ", "No principal matched", "Could not verify"];
    let why: Vec<&str> = lines().filter(|line| !common.iter().any(|start| line.starts_with(start))).collect();
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join("; ")) };
    match key {
        Some(key) => format!("is signed with the {key}, which is not that of a signer in {list}{why}"),
        None => format!("has a signature that is not good{why}"),
    }
}
