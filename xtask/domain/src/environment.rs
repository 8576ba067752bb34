//! Where a release is published: `releng.toml`, as values.
//!
//! Environments differ by data alone; whoever wants to ask "is this production?" adds a field here. No secret is held
//! here, only where one is found.
//!
//! * [`image_target`]: where container images go
//! * [`remote_url`]: the address of a git remote, safe to show; [`refusal`]: a push that a remote refused

pub mod image_target;
pub mod refusal;
pub mod remote_url;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use self::image_target::ImageTargets;
use super::problem::excerpt;
use super::product::Product;
use super::profile::Profile;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// What is released; our own file's where another file has none.
    pub product: Option<Product>,
    pub environments: BTreeMap<String, Environment>,
}

/// One place to publish to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Environment {
    /// Of the confirmation.
    pub colour: Colour,
    /// The build profiles that may be released here.
    pub profiles: Vec<Profile>,
    /// Whether the confirmation may be left out.
    pub noconfirm: bool,
    /// The environment that must have taken the very same release before, if there is one.
    pub requires: Option<String>,
    pub storage: Storage,
    pub buckets: Buckets,
    /// Where users download, if that is somewhere else than the storage.
    pub public: Option<Buckets>,
    /// A program with its arguments that makes the caches in front of `public` forget: after pointers moved, it gets the
    /// addresses that changed on stdin, a line each. Empty where nothing has to be told.
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

/// Where access keys come from. They are not here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Credentials {
    /// A program that prints `{"name": …, "id": …, "secret_key": …}`.
    #[serde(rename_all = "kebab-case")]
    Command {
        /// With `{access}` and `{buckets}` among its arguments.
        program: Vec<String>,
        renew_after_minutes: u64,
    },
    /// Where the AWS tools find theirs: environment, profile files, instance metadata.
    Aws {},
}

/// The key that signs the binary cache.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum CacheKey {
    /// Made where it is missing, and good for nothing else.
    #[serde(rename_all = "kebab-case")]
    Made {
        /// Relative to the tree that is released.
        key_file: String,
        /// What signatures name.
        name: String,
    },
    /// A manager has it.
    #[serde(rename_all = "kebab-case")]
    Held {
        /// Its name, without `.age`.
        key_file: String,
        /// What users trust; empty until somebody has filled it in.
        public_key: String,
        /// What users trust besides, while a new key takes the place of an old one: paths that these have signed count
        /// as signed.
        #[serde(default)]
        also_trusts: Vec<String>,
    },
}

impl CacheKey {
    /// Nix knows keys by their names: two of one name shadow each other.
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

/// The name of a public key, whose form alone is looked at here: what publishes reads the key itself.
///
/// # Errors
/// What is wrong. The key is not quoted: it may be a secret one.
fn key_name(key: &str) -> Result<&str, String> {
    let (name, digits) =
        key.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or("a key has the form NAME:BASE64")?;
    match digits.len() {
        _ if !digits.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b)) => {
            Err("the part after the colon is not base 64".to_owned())
        }
        PUBLIC_KEY_DIGITS => Ok(name),
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

/// Where branch and tag go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum GitTarget {
    /// A bare repository that is made where it is missing; relative to the tree that is released.
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
    /// Changes go through review; the remote is the one with this URL, whatever user name stands in it.
    #[serde(rename_all = "kebab-case")]
    Gerrit {
        url: String,
        /// The ref to push to so that a series' branch comes into being there, with `{branch}` in it.
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

    /// The ref to push a commit to so that a new branch starts there.
    pub fn new_branch(&self, branch: &str) -> String {
        self.branch_off().replace(BRANCH, branch)
    }

    /// The ref to push commits to so that they get onto a branch: by review where there is one.
    pub fn onto_branch(&self, branch: &str) -> String {
        match self {
            GitTarget::Directory { .. } | GitTarget::Plain { .. } => format!("refs/heads/{branch}"),
            GitTarget::Gerrit { .. } => format!("refs/for/{branch}"),
        }
    }
}

/// Names of environments become names of files and words of commands.
fn check_name(name: &str) -> Result<(), String> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if plain && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err(format!("environment `{}`: a name has only letters, digits, `-` and `_`", excerpt(name)))
    }
}

impl Config {
    /// # Errors
    /// What is wrong, with its line; without the file's path.
    pub fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        for (name, environment) in &config.environments {
            check_name(name)?;
            environment.check().map_err(|why| format!("environment `{name}`: {why}"))?;
            config.check_requires(name, environment)?;
        }
        Ok(config)
    }

    /// Whether what it requires is there, and does not in the end wait for it.
    fn check_requires(&self, name: &str, environment: &Environment) -> Result<(), String> {
        let mut waits_for = environment.requires.as_deref();
        for _ in 0..self.environments.len() {
            let Some(required) = waits_for else { return Ok(()) };
            let Some(other) = self.environments.get(required) else {
                return Err(format!("environment `{name}`: `requires` names no environment: {required}"));
            };
            waits_for = other.requires.as_deref();
        }
        match waits_for {
            None => Ok(()),
            Some(_) => Err(format!("environment `{name}`: `requires` leads back to where it began")),
        }
    }

    /// How many environments have to have a release before this one.
    pub fn before(&self, name: &str) -> usize {
        let required = self.environments.get(name).and_then(|environment| environment.requires.as_deref());
        required.map_or(0, |required| 1 + self.before(required))
    }

    /// Whether an environment is a step on the way of each release: another waits for it, or it waits for another.
    pub fn is_stage(&self, name: &str) -> bool {
        let requires = |environment: &Environment| environment.requires.is_some();
        let others = || self.environments.values().filter_map(|environment| environment.requires.as_deref());
        self.environments.get(name).is_some_and(requires) || others().any(|required| required == name)
    }

    /// # Errors
    /// There is no such environment; the message lists those that are.
    pub fn environment(&self, name: &str) -> Result<&Environment, String> {
        self.environments.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.environments.keys().map(String::as_str).collect();
            format!("there is no environment `{}`: known are {}", name.escape_debug(), names.join(", "))
        })
    }
}

impl Environment {
    fn check(&self) -> Result<(), String> {
        if let Storage::S3 { credentials: Credentials::Command { program, renew_after_minutes }, .. } = &self.storage {
            if *renew_after_minutes == 0 {
                return Err("`renew-after-minutes` is 0: say after how many minutes a new key is made".to_owned());
            }
            for placeholder in [ACCESS, BUCKETS] {
                if !program.iter().any(|argument| argument == placeholder) {
                    return Err(format!("`program` has no argument `{placeholder}`"));
                }
            }
        }
        if self.profiles.is_empty() {
            return Err("`profiles` is empty, so nothing may be released there".to_owned());
        }
        for buckets in [Some(&self.buckets), self.public.as_ref()].into_iter().flatten() {
            let Buckets { cache, docs, install, releases } = buckets;
            let names = BTreeSet::from([cache, docs, install, releases]);
            if names.len() < 4 || names.iter().any(|name| name.is_empty()) {
                return Err("two buckets have one name or address, or one has none".to_owned());
            }
        }
        match self.purge.first() {
            Some(program) if program.is_empty() => return Err("`purge` names no program".to_owned()),
            Some(_) if self.public.is_none() => {
                return Err("`purge` gets addresses, and there are none: `public` is missing".to_owned());
            }
            Some(_) | None => {}
        }
        let branch_off = self.git.branch_off();
        if !branch_off.starts_with("refs/") || !branch_off.contains(BRANCH) {
            return Err(format!("`branch-off` is not a ref with `{BRANCH}` in it: {branch_off}"));
        }
        self.cache.check()
    }
}

const BRANCH: &str = "{branch}";
const ACCESS: &str = "{access}";
const BUCKETS: &str = "{buckets}";

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    ReadWrite,
}

/// The program with its placeholders filled in.
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

/// Whether a remote's URL is `wanted`, whichever user name stands in either.
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
