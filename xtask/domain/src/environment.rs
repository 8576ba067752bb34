//! Where a release is published: `releng.toml`, as values.
//!
//! Environments differ by data alone: instead of asking "is this production?", add a field here. Secrets are not stored
//! here, only where to find them.
//!
//! * [`checking`]: what `check` does
//! * [`image_target`]: where container images go
//! * [`named_keys`]: the public keys in another tree's file
//! * [`remote_url`]: the address of a git remote, safe to show; [`refusal`]: a push that a remote refused

pub mod checking;
pub mod image_target;
pub mod named_keys;
pub mod refusal;
pub mod remote_url;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use self::checking::CheckSettings;
use self::image_target::ImageTargets;
use super::digest::Digest;
use super::product::Product;
use super::profile::Profile;
use super::shown::{excerpt, lines};
use super::version::Version;

/// The contents of `releng.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// What is released; `None` if the file does not say so.
    pub product: Option<Product>,
    /// What proves a release before users get it.
    #[serde(default)]
    pub checks: CheckSettings,
    pub environments: BTreeMap<String, Environment>,
}

/// One place to publish to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Environment {
    /// Colour of the confirmation.
    pub colour: Colour,
    /// The build profiles that may be released here.
    pub profiles: Vec<Profile>,
    /// Whether the confirmation may be left out.
    pub noconfirm: bool,
    /// The environment that must have received the same release before, if there is one.
    pub requires: Option<String>,
    /// Whether a release must have passed all checks before it is published here.
    #[serde(default)]
    pub requires_checks: bool,
    /// The first version that was published here with a record and a signature; older ones need neither.
    pub signed_from: Option<Version>,
    pub storage: Storage,
    pub buckets: Buckets,
    /// Addresses that users download from, if they differ from those of the storage.
    pub public: Option<Buckets>,
    /// Program that purges the caches in front of `public`, with its arguments: after pointers have moved, it gets the
    /// addresses that changed on stdin, one per line. Empty if there is nothing to purge.
    #[serde(default)]
    pub purge: Vec<String>,
    pub cache: CacheKey,
    pub git: GitTarget,
    pub images: ImageTargets,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    Blue,
    Green,
    Red,
}

/// Where the buckets are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Storage {
    /// In a directory, served by this tool; relative to the tree that is released.
    Embedded {
        directory: String,
    },
    S3 {
        endpoint: String,
        region: String,
        credentials: Credentials,
    },
}

/// Where access keys come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Credentials {
    /// A program that prints `{"name": …, "id": …, "secret_key": …}`.
    #[serde(rename_all = "kebab-case")]
    Command {
        /// The program and its arguments, `{access}` and `{buckets}` among them.
        program: Vec<String>,
        renew_after_minutes: u64,
    },
    /// From where the AWS tools find theirs: environment, profile files, instance metadata.
    Aws {},
}

/// The key that signs the binary cache.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum CacheKey {
    /// A key for this environment alone, which is made if it is missing.
    #[serde(rename_all = "kebab-case")]
    Made {
        /// Path of the key file, relative to the tree that is released.
        key_file: String,
        /// Name of the key in signatures.
        name: String,
    },
    /// A key that the manager has.
    #[serde(rename_all = "kebab-case")]
    Held {
        /// Name of the key file, without `.age`.
        key_file: String,
        /// Public key that users trust; empty until it is filled in.
        public_key: String,
        /// Public keys that users trust as well, while a new key replaces an old one: paths that these have signed
        /// count as signed.
        #[serde(default)]
        also_trusts: Vec<String>,
    },
}

impl CacheKey {
    /// Checks that no two keys have the same name: Nix finds keys by name, so that one would hide the other.
    fn check(&self) -> Result<(), String> {
        let CacheKey::Held { public_key, also_trusts, .. } = self else { return Ok(()) };
        let mut names = BTreeSet::new();
        let own = Some(("public-key", public_key)).filter(|(_, key)| !key.is_empty());
        for (field, key) in own.into_iter().chain(also_trusts.iter().map(|key| ("also-trusts", key))) {
            let name = key_name(key).map_err(|why| format!("`{field}`: {why}"))?;
            if !names.insert(name) {
                return Err(format!("two keys of the cache are called `{name}`: Nix needs another name for a new key"));
            }
        }
        Ok(())
    }
}

/// Returns the name of a public key. Only its form is checked here: `xtask-publish` reads the key itself.
///
/// # Errors
/// What is wrong, without quoting the key: it may be a secret one.
fn key_name(key: &str) -> Result<&str, String> {
    let (name, digits) =
        key.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or("a key has the form NAME:BASE64")?;
    match digits.len() {
        _ if !digits.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b)) => {
            Err("the part after the colon is not base 64".to_owned())
        }
        // 32 bytes, as a digest has.
        PUBLIC_KEY_DIGITS if Digest::of_sri(&format!("sha256-{digits}")).is_some() => Ok(name),
        PUBLIC_KEY_DIGITS => Err("the part after the colon is not a public key".to_owned()),
        SECRET_KEY_DIGITS => Err("this is a secret key; expected a public one".to_owned()),
        n => Err(format!("a public key has {PUBLIC_KEY_DIGITS} digits after the colon, not {n}")),
    }
}

/// Lengths of Nix's keys in base 64.
const PUBLIC_KEY_DIGITS: usize = 44;
const SECRET_KEY_DIGITS: usize = 88;

/// A name, or an address, for each bucket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buckets {
    pub cache: String,
    pub docs: String,
    pub install: String,
    pub releases: String,
}

/// Where branches and tags are pushed to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum GitTarget {
    /// A bare repository that is made if it is missing; relative to the tree that is released.
    #[serde(rename_all = "kebab-case")]
    Directory {
        path: String,
        /// As for `Gerrit`.
        branch_off: String,
    },
    #[serde(rename_all = "kebab-case")]
    Plain {
        url: String,
        /// As for `Gerrit`.
        branch_off: String,
    },
    /// Changes go through review; the remote is the one with this URL, with any user name.
    #[serde(rename_all = "kebab-case")]
    Gerrit {
        url: String,
        /// Ref to push to in order to create a series' branch there, with `{branch}` in it.
        branch_off: String,
    },
}

impl GitTarget {
    fn branch_off(&self) -> &str {
        match self {
            GitTarget::Directory { branch_off, .. }
            | GitTarget::Plain { branch_off, .. }
            | GitTarget::Gerrit { branch_off, .. } => branch_off,
        }
    }

    /// Returns the ref to push a commit to in order to create a branch at it.
    pub fn new_branch(&self, branch: &str) -> String {
        self.branch_off().replace(BRANCH, branch)
    }

    /// Returns the ref to push commits to so that they reach a branch: through review, if there is one.
    pub fn onto_branch(&self, branch: &str) -> String {
        match self {
            GitTarget::Directory { .. } | GitTarget::Plain { .. } => format!("refs/heads/{branch}"),
            GitTarget::Gerrit { .. } => format!("refs/for/{branch}"),
        }
    }
}

/// Checks the name of an environment, which becomes part of file names and commands.
fn check_name(name: &str) -> Result<(), String> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if plain && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err(format!("environment `{}`: a name has only letters, digits, `-` and `_`", excerpt(name)))
    }
}

impl Config {
    /// Parses a `releng.toml`.
    ///
    /// # Errors
    /// What is wrong, with its line; without the file's path.
    pub fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| lines(&error.to_string()))?;
        for (name, environment) in &config.environments {
            check_name(name)?;
            environment.check().map_err(|why| format!("environment `{name}`: {why}"))?;
            config.check_requires(name, environment)?;
        }
        config.checks.check().map_err(|why| format!("checks: {why}"))?;
        if let Some(name) = config.checks.compare_with.as_ref().filter(|name| !config.environments.contains_key(*name))
        {
            return Err(format!("checks: `compare-with` names an unknown environment: {}", excerpt(name)));
        }
        Ok(config)
    }

    /// Checks that the environments it requires exist, and do not in turn require it.
    fn check_requires(&self, name: &str, environment: &Environment) -> Result<(), String> {
        let mut waits_for = environment.requires.as_deref();
        for _ in 0..self.environments.len() {
            let Some(required) = waits_for else { return Ok(()) };
            let Some(other) = self.environments.get(required) else {
                return Err(format!("environment `{name}`: `requires` names an unknown environment: {required}"));
            };
            waits_for = other.requires.as_deref();
        }
        match waits_for {
            None => Ok(()),
            Some(_) => Err(format!("environment `{name}`: `requires` leads back to itself")),
        }
    }

    /// Returns the number of environments that must have a release before this one.
    pub fn before(&self, name: &str) -> usize {
        let required = self.environments.get(name).and_then(|environment| environment.requires.as_deref());
        required.map_or(0, |required| 1 + self.before(required))
    }

    /// Whether an environment is a stage of each release: it requires another one, or another one requires it.
    pub fn is_stage(&self, name: &str) -> bool {
        let requires = |environment: &Environment| environment.requires.is_some();
        let others = || self.environments.values().filter_map(|environment| environment.requires.as_deref());
        self.environments.get(name).is_some_and(requires) || others().any(|required| required == name)
    }

    /// Returns an environment by its name.
    ///
    /// # Errors
    /// There is no such environment; the message lists those that exist.
    pub fn environment(&self, name: &str) -> Result<&Environment, String> {
        self.environments.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.environments.keys().map(String::as_str).collect();
            format!("there is no environment `{}`: known environments are {}", excerpt(name), names.join(", "))
        })
    }
}

impl Environment {
    fn check(&self) -> Result<(), String> {
        if let Storage::S3 { credentials: Credentials::Command { program, renew_after_minutes }, .. } = &self.storage {
            if *renew_after_minutes == 0 {
                return Err(
                    "`renew-after-minutes` is 0: set the number of minutes after which a new key is made".to_owned()
                );
            }
            for placeholder in [ACCESS, BUCKETS] {
                if !program.iter().any(|argument| argument == placeholder) {
                    return Err(format!("`program` has no argument `{placeholder}`"));
                }
            }
        }
        if self.profiles.is_empty() {
            return Err("`profiles` is empty, so nothing could be released there".to_owned());
        }
        for buckets in [Some(&self.buckets), self.public.as_ref()].into_iter().flatten() {
            let Buckets { cache, docs, install, releases } = buckets;
            let names = BTreeSet::from([cache, docs, install, releases]);
            if names.len() < 4 || names.iter().any(|name| name.is_empty()) {
                return Err(
                    "two buckets have the same name or address, or the name or address of one is empty".to_owned()
                );
            }
        }
        match self.purge.first() {
            Some(program) if program.is_empty() => return Err("`purge` names no program".to_owned()),
            Some(_) if self.public.is_none() => {
                return Err("`purge` gets addresses, but `public` is missing".to_owned());
            }
            Some(_) | None => {}
        }
        let branch_off = self.git.branch_off();
        if !branch_off.starts_with("refs/") || !branch_off.contains(BRANCH) {
            return Err(format!("`branch-off` is not a ref with `{BRANCH}` in it: {}", excerpt(branch_off)));
        }
        self.cache.check()
    }
}

const BRANCH: &str = "{branch}";
const ACCESS: &str = "{access}";
const BUCKETS: &str = "{buckets}";

/// What an access key permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    ReadWrite,
}

/// Returns the program with its placeholders filled in.
pub fn credentials_command(program: &[String], access: Access, buckets: &[String]) -> Vec<String> {
    let permissions: &[&str] = match access {
        Access::Read => &["--read"],
        Access::ReadWrite => &["--read", "--write"],
    };
    program
        .iter()
        .flat_map(|argument| match argument.as_str() {
            ACCESS => permissions.iter().map(|&permission| permission.to_owned()).collect(),
            BUCKETS => buckets.to_vec(),
            _ => vec![argument.clone()],
        })
        .collect()
}

/// Whether a remote's URL is `wanted`, apart from user names.
pub fn same_but_for_user(url: &str, wanted: &str) -> bool {
    let without_user = |url: &str| -> Option<(String, String)> {
        let (scheme, rest) = url.split_once("://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.rsplit('@').next().unwrap_or(authority);
        let path = path.trim_end_matches('/').trim_end_matches(".git");
        Some((format!("{scheme}://{host}"), path.to_owned()))
    };
    let (a, b) = (without_user(url), without_user(wanted));
    a.is_some() && a == b
}

#[cfg(test)]
mod tests;
