//! The tool in a tree: how the tree is laid out, which of its lines change, and what is left to do by hand.
//!
//! The tool is a workspace below `xtask/` that the tree's own workspace excludes. Nothing here changes what the tree
//! builds.
//!
//! * [`toml_text`]: adds a line to a TOML file, and changes no other byte
//! * [`flake`]: what the text of a `flake.nix` shows without evaluating it

pub mod flake;
pub mod toml_text;

use std::fmt;

use toml::{Table, Value};

use self::flake::has_output;
use super::notes;
use super::problem::{Problem, Problems};
use super::product::Product;
use super::release::official;
use super::release::version_file::{self, VersionFile};
use super::shown::excerpt;
use super::version::Version;

/// Directory of the tool in a tree.
pub const TOOL: &str = "xtask";
/// The guide, beside the tool.
pub const GUIDE: &str = "releng.md";
/// Description of the environments: the tool brings one, and the tree may have its own.
pub const CONFIG: &str = "xtask/releng.toml";
/// A file of the tool that distinguishes it from other directories called `xtask`.
pub const MARK: &str = "xtask/publish/Cargo.toml";

pub const MANIFEST: &str = "Cargo.toml";
pub const IGNORED: &str = ".gitignore";
/// Files in which cargo looks for aliases; the first is an older name, and takes precedence.
pub const CARGO_CONFIGS: [&str; 2] = [".cargo/config", ".cargo/config.toml"];

/// The command that `cargo xtask` stands for.
const ALIAS: &str = "run --quiet --locked --manifest-path xtask/Cargo.toml --package xtask --";

/// Lines of `.gitignore` for what the tool compiles, what it builds, and keys.
const LINES: [&str; 6] = ["/xtask/target", "/release", "/release.new", "/release.old", "*.key", "*.age"];

/// The output that a flake needs; `release-jobs.nix` says more.
const OUTPUT: &str = "release-jobs";
const OUTPUT_LINE: &str = "release-jobs = import ./xtask/release-jobs.nix { inherit (self) hydraJobs; \
                           pkgs = nixpkgsFor.x86_64-linux.native; };";

/// Texts of the tree's files that adoption reads; `None` for a missing file.
#[derive(Debug, Default)]
pub struct Host {
    pub version_file: Option<String>,
    pub flake: Option<String>,
    pub manifest: Option<String>,
    /// Which of [`CARGO_CONFIGS`] cargo reads.
    pub cargo_config_path: &'static str,
    pub cargo_config: Option<String>,
    pub ignored: Option<String>,
    pub summary: Option<String>,
}

/// How a tree is laid out.
#[derive(Debug)]
struct Shape {
    product: String,
    version: Version,
    /// The file with the flag of official releases.
    flag: Option<&'static str>,
    workspace: Workspace,
    has_output: bool,
}

#[derive(Debug)]
enum Workspace {
    NoManifest,
    PackageAlone,
    Members(Vec<String>),
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.product, self.version)?;
        match &self.workspace {
            Workspace::NoManifest => f.write_str("no Cargo workspace"),
            Workspace::PackageAlone => f.write_str("a Cargo package without a workspace"),
            Workspace::Members(members) => {
                write!(
                    f,
                    "a Cargo workspace of {}",
                    members.iter().map(|member| excerpt(member)).collect::<Vec<_>>().join(", ")
                )
            }
        }?;
        if let Some(flag) = self.flag {
            write!(f, "; the flag of official releases in {flag}")?;
        }
        if self.has_output {
            write!(f, "; `{OUTPUT}` in {}", official::FLAKE)?;
        }
        Ok(())
    }
}

/// A file of the tree that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub path: &'static str,
    /// Present text; `None` if the file is new.
    pub before: Option<String>,
    pub after: String,
}

/// What has to be done to a tree, besides copying the tool's files.
#[derive(Debug)]
pub struct Adoption {
    /// How the tree is laid out, in one line.
    pub shape: String,
    pub edits: Vec<Edit>,
    /// Remarks for the manager.
    pub remarks: Vec<String>,
    /// What is left to do by hand.
    pub left: Vec<String>,
}

/// Decides which lines of the tree change.
///
/// # Errors
/// This is not a tree to release, or a file cannot be parsed.
pub fn decide(product: &Product, host: &Host) -> Result<Adoption, Problems> {
    let version = match &host.version_file {
        Some(text) => VersionFile::parse(text).map_err(|why| format!("{} {why}", version_file::PATH)),
        None => Err(format!("{} is missing: is this a {} tree?", version_file::PATH, product.name)),
    };
    let read = |path: &str, text: &Option<String>| {
        toml_text::parse(text.as_deref().unwrap_or_default()).map_err(|fault| format!("{path} {fault}"))
    };
    let mut problems = Problems::default();
    let version = problems.collect(version.map_err(Problem::new));
    let manifest = problems.collect(read(MANIFEST, &host.manifest).map_err(Problem::new));
    let config = problems.collect(read(host.cargo_config_path, &host.cargo_config).map_err(Problem::new));
    let (Some(version), Some(manifest), Some(config)) = (version, manifest, config) else { return Err(problems) };

    let mut adoption = Adoption { shape: String::new(), edits: Vec::new(), remarks: Vec::new(), left: Vec::new() };
    let workspace = adoption.exclude(host, &manifest);
    adoption.ignore(host);
    adoption.alias(host, &config);
    let has_output = host.flake.as_deref().is_some_and(|flake| has_output(flake, OUTPUT));
    match &host.flake {
        None => adoption.left.push(format!("{} is missing: `build` needs its `{OUTPUT}`", official::FLAKE)),
        Some(_) if has_output => {}
        Some(_) => adoption.left.push(format!(
            "{} has no output `{OUTPUT}`: add this line, with the `pkgs` of that flake\n{OUTPUT_LINE}",
            official::FLAKE
        )),
    }
    let marks = host.summary.as_deref().unwrap_or_default().matches(notes::SUMMARY_MARKER).count();
    if marks != 1 {
        let (path, marker) = (notes::SUMMARY, notes::SUMMARY_MARKER);
        adoption.left.push(format!(
            "{path} has {marks} lines with `{marker} -->`, where new pages of notes go: it needs exactly one"
        ));
    }
    let flag = official::find(&version, host.flake.as_deref());
    let flag = flag.map_err(|problem| adoption.left.push(problem.to_string())).ok().map(|flag| flag.path);
    adoption.shape =
        Shape { product: product.name.clone(), version: version.version, flag, workspace, has_output }.to_string();
    Ok(adoption)
}

impl Adoption {
    fn edit(&mut self, path: &'static str, before: &Option<String>, after: String) {
        self.edits.push(Edit { path, before: before.clone(), after });
    }

    /// Makes the tree's workspace exclude the tool.
    fn exclude(&mut self, host: &Host, manifest: &Table) -> Workspace {
        let Some(text) = &host.manifest else { return Workspace::NoManifest };
        let Some(workspace) = manifest.get("workspace") else { return Workspace::PackageAlone };
        let listed = |key: &str| -> Vec<String> {
            let list = workspace.get(key).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let members = listed("members");
        for member in &members {
            let first = member.trim_start_matches("./").split('/').next().unwrap_or_default();
            let member = excerpt(member);
            if first == TOOL {
                self.left.push(format!(
                    "{MANIFEST} has `{member}` among the members of its workspace, but the tool is a workspace itself: \
                     remove `{member}`"
                ));
            } else if is_matched(TOOL, first) {
                self.remarks
                    .push(format!("`{member}`, a member in {MANIFEST}, also matches {TOOL}/: `exclude` prevents that"));
            }
        }
        let excluded = |path: &String| path.trim_start_matches("./").trim_end_matches('/') == TOOL;
        if !listed("exclude").iter().any(excluded) {
            match toml_text::with_item(text, "workspace", "exclude", TOOL, "members") {
                Ok(after) => self.edit(MANIFEST, &host.manifest, after),
                Err(fault) => {
                    self.left.push(format!("{MANIFEST} {fault}: add `exclude = [\"{TOOL}\"]` to its `[workspace]`"))
                }
            }
        }
        Workspace::Members(members)
    }

    /// Adds the alias with which `cargo xtask` runs the tool.
    fn alias(&mut self, host: &Host, config: &Table) {
        let path = host.cargo_config_path;
        let alias = config.get("alias").and_then(|aliases| aliases.get(TOOL));
        let words = match alias {
            Some(Value::String(words)) => Some(words.clone()),
            Some(Value::Array(words)) => {
                words.iter().map(Value::as_str).collect::<Option<Vec<_>>>().map(|words| words.join(" "))
            }
            _ => None,
        };
        let words = words.map(|words| words.split_whitespace().collect::<Vec<_>>().join(" "));
        match (alias, words) {
            (Some(_), Some(words)) if words == ALIAS => {}
            (Some(_), words) => {
                let says = words.map_or(String::new(), |words| format!(", `{}`", excerpt(&words)));
                self.left.push(format!("{path} has another alias `{TOOL}`{says}: change it to\n{TOOL} = \"{ALIAS}\""));
            }
            (None, _) => {
                match toml_text::with_entry(host.cargo_config.as_deref().unwrap_or_default(), "alias", TOOL, ALIAS) {
                    Ok(after) => self.edit(path, &host.cargo_config, after),
                    Err(fault) => {
                        self.left.push(format!("{path} {fault}: add this alias\n{TOOL} = \"{ALIAS}\""));
                    }
                }
            }
        }
    }

    /// Makes git ignore what the tool makes, and keys.
    fn ignore(&mut self, host: &Host) {
        let text = host.ignored.as_deref().unwrap_or_default();
        let missing: Vec<&str> =
            LINES.into_iter().filter(|line| !text.lines().any(|there| covers(there, line))).collect();
        if missing.is_empty() {
            return;
        }
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { newline };
        let gap = if text.is_empty() { "" } else { newline };
        let mut after = format!("{text}{end}{gap}# The release tool: what it compiles and builds, and keys{newline}");
        for line in missing {
            after += line;
            after += newline;
        }
        self.edit(IGNORED, &host.ignored, after);
    }
}

/// Whether cargo's pattern for a directory may match a name.
fn is_matched(name: &str, pattern: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => name.is_empty(),
        // A set of characters: taken for a match.
        Some('[') => true,
        Some('*') => {
            let tails = name.char_indices().map(|(at, _)| &name[at..]).chain([""]);
            tails.into_iter().any(|tail| is_matched(tail, rest.as_str()))
        }
        Some(c) => name.strip_prefix(|n| c == '?' || n == c).is_some_and(|name| is_matched(name, rest.as_str())),
    }
}

/// Whether a line of `.gitignore` covers another one.
fn covers(there: &str, wanted: &str) -> bool {
    let there = there.trim_end().trim_end_matches('/');
    let name = wanted.rsplit('/').next().unwrap_or(wanted);
    [wanted, wanted.trim_start_matches('/'), name].contains(&there) || there.strip_prefix("**/") == Some(name)
}

/// Whether a manifest at [`MARK`] is this tool's.
pub fn is_this_tool(manifest: &str) -> bool {
    let package = toml_text::parse(manifest).ok().and_then(|manifest| manifest.get("package")?.get("name").cloned());
    package.is_some_and(|name| name.as_str() == Some("xtask-publish"))
}

/// Whether a guide is this tool's, of whatever version.
pub fn is_this_guide(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.trim_end() == "# Making a Lix release")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_would_take_the_tool_in() {
        for pattern in ["*", "x*", "*k", "xt?sk", "**", "[xy]task", "xtask"] {
            assert!(is_matched(TOOL, pattern), "{pattern}");
        }
        for pattern in ["lix", "x", "xtask2", "*x", "l*", "", "xtas"] {
            assert!(!is_matched(TOOL, pattern), "{pattern}");
        }
    }

    #[test]
    fn lines_that_ignore_as_much() {
        for line in ["/release", "/release/", "release", "release/ ", "**/release", "/release\r"] {
            assert!(covers(line, "/release"), "{line}");
        }
        for line in ["/release.new", "#/release", "!/release", "/target/", "/*/release"] {
            assert!(!covers(line, "/release"), "{line}");
        }
        assert!(covers("target/", "/xtask/target") && covers("*.key", "*.key") && !covers("/target/", "/xtask/target"));
    }
}
