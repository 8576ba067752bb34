//! What `check` does beyond opening what was built: the table `checks` of `releng.toml`.

use serde::Deserialize;

use crate::shown::excerpt;

/// Stands for the version, in what a command should say.
const VERSION: &str = "{version}";
/// Stands for the profile, in attributes of jobs.
const PROFILE: &str = "{profile}";

/// The table `checks`; without it, only what was built is opened.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CheckSettings {
    /// Attributes of the flake with derivations that must build, at any depth. `{profile}` becomes the profile.
    pub jobs: Vec<String>,
    /// Arguments for Nix with which the jobs are built once more, such as `--override-input nixpkgs URL`.
    pub variants: Vec<Vec<String>>,
    /// The largest growth since the release before, in per cent.
    pub growth_percent: u32,
    /// The environment whose published releases are compared with; `None` if there is nothing to compare with.
    pub compare_with: Option<String>,
    /// Beginnings of home directories that what was built may contain.
    pub allowed_paths: Vec<String>,
    /// Commands that what was built must carry out.
    pub smoke: Vec<SmokeCommand>,
    /// Address that lists the open issues that block a release, as Forgejo, Gitea and GitHub list issues.
    pub blockers: Option<String>,
    /// What must be ready to announce the release.
    pub post: Option<Post>,
}

impl Default for CheckSettings {
    fn default() -> CheckSettings {
        CheckSettings {
            jobs: Vec::new(),
            variants: Vec::new(),
            growth_percent: 10,
            compare_with: None,
            allowed_paths: Vec::new(),
            smoke: Vec::new(),
            blockers: None,
            post: None,
        }
    }
}

/// A command that what was built must carry out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SmokeCommand {
    /// The program, which is looked for in `bin/` of what was built, and its arguments.
    pub run: Vec<String>,
    /// What it reads from stdin.
    #[serde(default)]
    pub input: String,
    /// What its output must contain; `{version}` becomes the version.
    pub says: String,
}

impl SmokeCommand {
    /// Returns what the output must contain for a version.
    pub fn expected(&self, version: &str) -> String {
        self.says.replace(VERSION, version)
    }

    /// Whether an output contains it, and no longer number: `2.93.1` is not in `2.93.10`.
    pub fn is_answered(&self, output: &str, version: &str) -> bool {
        let expected = self.expected(version);
        let ends = |at: usize| !output[at + expected.len()..].starts_with(|next: char| next.is_ascii_digit());
        output.match_indices(&expected).any(|(at, _)| ends(at))
    }
}

/// What must be ready to announce a release.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Post {
    /// The drafts that `announce` writes.
    Drafts,
    /// An address that must answer; `{version}` becomes the version.
    Address(String),
}

impl Post {
    /// Returns the address for a version; `None` if drafts are enough.
    pub fn address(&self, version: &str) -> Option<String> {
        match self {
            Post::Drafts => None,
            Post::Address(address) => Some(address.replace(VERSION, version)),
        }
    }
}

impl CheckSettings {
    /// Returns the attribute paths of the jobs for a profile.
    pub fn job_paths(&self, profile: &str) -> Vec<Vec<String>> {
        let parts = |attribute: &String| attribute.replace(PROFILE, profile).split('.').map(str::to_owned).collect();
        self.jobs.iter().map(parts).collect()
    }

    /// Checks what the form alone does not ensure.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(job) = self.jobs.iter().find(|job| job.split('.').any(str::is_empty)) {
            return Err(format!("`jobs`: `{}` is not the path of an attribute", excerpt(job)));
        }
        for SmokeCommand { run, .. } in &self.smoke {
            match run.first() {
                Some(program) if !program.is_empty() && !program.contains('/') => {}
                _ => return Err("`smoke`: `run` must begin with the name of a program".to_owned()),
            }
        }
        let post = self.post.as_ref().and_then(|post| post.address(""));
        for (field, address) in [("blockers", &self.blockers), ("post", &post)] {
            if let Some(address) = address
                && !["http://", "https://"].iter().any(|scheme| address.starts_with(scheme))
            {
                return Err(format!("`{field}`: `{}` is not an address", excerpt(address)));
            }
        }
        Ok(())
    }
}
