//! What a flake offers to build, and whether a release can be made of it.
//!
//! Owns the rows of an evaluation, in the format of `nix-eval-jobs`, and decides what each row is: by its attribute,
//! never by its derivation's name or system.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{DOC, OUT};
use crate::problem::{Problem, Problems};
use crate::product::Product;
use crate::shown::{excerpt, reason};
use crate::store_path::{StorePath, is_name};
use crate::system::System;

/// One job: its attribute in the profile, and what it evaluates to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Attribute path relative to `release-jobs.PROFILE`; empty if that itself did not evaluate.
    pub attr_path: Vec<String>,
    /// The derivation, or Nix's message.
    pub result: Result<Derivation, String>,
}

/// Something to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derivation {
    /// Store path of the derivation; it ends in `.drv`.
    pub path: StorePath,
    /// Name of the derivation, such as `lix-2.93.1`.
    pub name: String,
    /// Store paths of the outputs, by name.
    pub outputs: BTreeMap<String, StorePath>,
}

impl Derivation {
    /// Returns the last part of its path without `.drv`, which is unique to its content.
    pub fn base_name(&self) -> &str {
        Derivation::base_name_of(&self.path)
    }

    /// Like [`Derivation::base_name`], for the path of a derivation.
    pub fn base_name_of(path: &StorePath) -> &str {
        let base = path.base_name();
        base.strip_suffix(".drv").unwrap_or(base)
    }
}

/// The evaluators' JSON, most of which is not used here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRow {
    attr_path: Vec<String>,
    error: Option<String>,
    drv_path: Option<String>,
    name: Option<String>,
    // Null for an output whose path is known only once it is built.
    outputs: Option<BTreeMap<String, Option<String>>>,
}

impl RawRow {
    fn into_row(self) -> Result<Row, String> {
        let shown = excerpt(&self.attr_path.join("."));
        let (path, name, outputs) = match (self.error, self.drv_path, self.name, self.outputs) {
            (Some(error), ..) => return Ok(Row { attr_path: self.attr_path, result: Err(error) }),
            (None, Some(path), Some(name), Some(outputs)) => (path, name, outputs),
            _ => return Err(format!("the row of `{shown}` has neither `drvPath`, `name` and `outputs` nor `error`")),
        };
        let parse = |path: &str| StorePath::parse(path).map_err(|why| format!("the row of `{shown}`: {why}"));
        let path = parse(&path)?;
        if !path.is_derivation() {
            return Err(format!("the row of `{shown}` names {path}, which is not a derivation"));
        }
        // Nix allows no others.
        if !is_name(&name) {
            return Err(format!("the row of `{shown}` has the name `{}`, which Nix does not allow", excerpt(&name)));
        }
        let outputs = outputs
            .into_iter()
            .map(|(name, path)| match path {
                Some(path) => Ok((name, parse(&path)?)),
                None => Err(format!("the output `{}` of `{shown}` has no path before it is built", excerpt(&name))),
            })
            .collect::<Result<_, String>>()?;
        Ok(Row { attr_path: self.attr_path, result: Ok(Derivation { path, name, outputs }) })
    }
}

impl Row {
    /// Parses one line of `nix-eval-jobs`.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn parse(line: &str) -> Result<Row, String> {
        let mut rows = serde_json::Deserializer::from_str(line).into_iter::<RawRow>();
        let row = rows.next().ok_or("it is empty")?.map_err(reason)?;
        match rows.next() {
            None => row.into_row(),
            Some(Ok(_)) => Err("it holds two rows".to_owned()),
            Some(Err(_)) => Err("something follows its row".to_owned()),
        }
    }

    /// Parses a JSON list of such rows.
    ///
    /// # Errors
    /// What is wrong with the first invalid row.
    pub fn parse_list(text: &str) -> Result<Vec<Row>, String> {
        let rows: Vec<RawRow> = serde_json::from_str(text).map_err(reason)?;
        rows.into_iter().map(RawRow::into_row).collect()
    }

    /// Whether this is one of the builds, and not made from them.
    pub fn is_build(&self) -> bool {
        self.attr_path.len() == 2 && self.attr_path[0] == BUILD
    }
}

/// Name of the set of builds by system.
pub const BUILD: &str = "build";
const TARBALLS: &str = "tarballs";

/// The jobs of a profile, complete and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jobs {
    /// Version as the builds' names spell it.
    pub version: String,
    pub builds: BTreeMap<System, Derivation>,
    /// The job that makes everything that is published.
    pub tarballs: Derivation,
}

/// The manual's job alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualJob {
    /// Version as the build's name spells it.
    pub version: String,
    pub build: Derivation,
}

impl Jobs {
    /// Sorts the rows, and checks that none is missing or duplicated.
    ///
    /// # Errors
    /// Every row that did not evaluate, or every row that is missing or duplicated.
    pub fn decide(product: &Product, rows: Vec<Row>) -> Result<Jobs, Problems> {
        // A missing job may be one that did not evaluate: that is reported first.
        let (builds, tarballs) = sort(rows)?;
        let mut problems = Problems::default();
        let missing = |what: &str| Problem::new(format!("the profile has no `{what}`"));
        if !builds.contains_key(&System::main()) {
            problems.push(missing(&format!("{BUILD}.{}", System::main())));
        }
        for (system, build) in &builds {
            let needed: &[&str] = if *system == System::main() { &[OUT, DOC] } else { &[OUT] };
            problems.extend(missing_outputs(&format!("{BUILD}.{system}"), build, needed));
        }
        let tarballs = problems.collect(tarballs.ok_or_else(|| missing(TARBALLS)));
        problems.extend(tarballs.iter().flat_map(|job| missing_outputs(TARBALLS, job, &[OUT])));
        let version = problems.collect(common_version(product, &builds));
        match (version, tarballs) {
            (Some(version), Some(tarballs)) if problems.is_empty() => Ok(Jobs { version, builds, tarballs }),
            _ => Err(problems),
        }
    }
}

/// Sorts the rows by what they are for.
fn sort(rows: Vec<Row>) -> Result<(BTreeMap<System, Derivation>, Option<Derivation>), Problems> {
    let (mut builds, mut tarballs, mut problems) = (BTreeMap::new(), None, Problems::default());
    for row in rows {
        let (attr, place) = (row.attr_path.join("."), row.attr_path.clone());
        let Some(derivation) = problems.collect(evaluated(row)) else { continue };
        let first = match place.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [BUILD, system] => match system.parse() {
                Ok(system) => builds.insert(system, derivation),
                Err(why) => {
                    problems.add(format!("`{attr}`: {why}"));
                    continue;
                }
            },
            [TARBALLS] => tarballs.replace(derivation),
            _ => {
                let what = format!("`{attr}` is not a job of a release: expected `build.SYSTEM` and `tarballs`");
                problems.add(what);
                continue;
            }
        };
        if let Some(first) = first {
            let what = format!("`{attr}` is defined twice, first as {}: which one is to be released?", first.path);
            problems.add(what);
        }
    }
    problems.into_result().map(|()| (builds, tarballs))
}

impl ManualJob {
    /// Checks the build that contains the manual.
    ///
    /// # Errors
    /// Nix's message, or what the build is missing.
    pub fn decide(product: &Product, row: Row) -> Result<ManualJob, Problems> {
        let build = evaluated(row)?;
        missing_outputs(&format!("{BUILD}.{}", System::main()), &build, &[DOC]).into_result()?;
        let version = version_in_name(product, &System::main(), &build)?;
        Ok(ManualJob { version, build })
    }

    /// Returns the store path that contains the manual.
    pub fn doc(&self) -> &StorePath {
        &self.build.outputs[DOC]
    }
}

fn evaluated(row: Row) -> Result<Derivation, Problem> {
    row.result.map_err(|message| {
        let attr = if row.attr_path.is_empty() { "the profile".to_owned() } else { row.attr_path.join(".") };
        let message = message.trim().replace('\n', "\n  ").replace("\n  \n", "\n\n");
        Problem::new(format!("{attr} does not evaluate:\n  {message}"))
    })
}

fn missing_outputs(attr: &str, job: &Derivation, needed: &[&str]) -> Problems {
    let missing = needed.iter().filter(|output| !job.outputs.contains_key(**output));
    missing.map(|output| Problem::new(format!("`{attr}` ({}) has no output `{output}`", job.path))).collect()
}

/// Returns the version of all builds; the first that differs is a problem.
fn common_version(product: &Product, builds: &BTreeMap<System, Derivation>) -> Result<String, Problems> {
    let mut problems = Problems::default();
    let mut versions: Vec<(&System, String)> = Vec::new();
    for (system, build) in builds {
        let version = version_in_name(product, system, build);
        versions.extend(problems.collect(version).map(|version| (system, version)));
    }
    if let Some([(one, a), (other, b)]) = versions.windows(2).find(|pair| pair[0].1 != pair[1].1) {
        problems.add(format!("`{BUILD}.{one}` is version {a}, but `{BUILD}.{other}` is {b}"));
    }
    problems.into_result()?;
    Ok(versions.into_iter().next().map(|(_, version)| version).unwrap_or_default())
}

fn version_in_name(product: &Product, system: &System, build: &Derivation) -> Result<String, Problem> {
    let version = build.name.strip_prefix(&product.prefix).and_then(|rest| rest.strip_prefix('-'));
    version.filter(|version| version.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned).ok_or_else(|| {
        let name = &build.name;
        Problem::new(format!("`{BUILD}.{system}` is called `{name}`, not {}-VERSION: is it the build?", product.prefix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn path(name: &str) -> String {
        format!("/nix/store/{}-{name}", "a".repeat(32))
    }

    /// As `nix-eval-jobs` writes it, with fields that are not used here.
    fn line(attr: &[&str], name: &str, outputs: &[&str]) -> String {
        let outputs: BTreeMap<_, _> =
            outputs.iter().map(|output| (output, path(&format!("{name}-{output}")))).collect();
        serde_json::json!({
            "attr": attr.join("."), "attrPath": attr, "drvPath": path(&format!("{name}.drv")), "isCached": false,
            "name": name, "outputs": outputs, "system": "x86_64-linux", "inputDrvs": {},
        })
        .to_string()
    }

    fn decide(lines: &[String]) -> Result<Jobs, String> {
        let rows = lines.iter().map(|line| Row::parse(line)).collect::<Result<_, _>>()?;
        Jobs::decide(&Product::built_in(), rows).map_err(|problems| problems.to_string())
    }

    const BOTH: &[&str] = &["out", "doc"];

    fn good() -> [String; 3] {
        [
            line(&["build", "x86_64-linux"], "lix-2.93.1", BOTH),
            line(&["build", "aarch64-darwin"], "lix-2.93.1", BOTH),
            line(&["tarballs"], "lix-release-tarballs-2.93.1", &["out"]),
        ]
    }

    #[test]
    fn lines_and_a_list_are_the_same_rows() {
        let lines = good();
        let rows: Result<Vec<Row>, _> = lines.iter().map(|line| Row::parse(line)).collect();
        assert_eq!(rows, Row::parse_list(&format!("[{}]", lines.join(","))));
        let jobs = decide(&lines).expect("good");
        assert_eq!((jobs.version.as_str(), jobs.builds.len()), ("2.93.1", 2));
        assert!(jobs.tarballs.base_name().ends_with("a-lix-release-tarballs-2.93.1"));
    }

    #[test]
    fn each_failing_attribute_is_shown_with_its_message() {
        let error =
            |attr: &[&str], error: &str| serde_json::json!({"attr": attr.join("."), "attrPath": attr, "error": error});
        let [build, ..] = good();
        let lines = [
            build,
            error(&["build", "aarch64-darwin"], "error: undefined variable 'x'\n\n       at flake.nix:1:2:\n")
                .to_string(),
            error(&["tarballs"], "error: called abort").to_string(),
            error(&[], "error: everything").to_string(),
        ];
        expect![[r#"
            build.aarch64-darwin does not evaluate:
              error: undefined variable 'x'
  
                     at flake.nix:1:2:
            tarballs does not evaluate:
              error: called abort
            the profile does not evaluate:
              error: everything
        "#]]
        .assert_eq(&(decide(&lines).expect_err("errors") + "\n"));
    }

    #[test]
    fn what_makes_no_release_is_refused() {
        let [x86, darwin, tarballs] = good();
        let build = |name: &str, outputs: &[&str]| line(&["build", "x86_64-linux"], name, outputs);
        let shown: Vec<String> = [
            vec![x86.clone(), darwin.clone()],
            vec![darwin.clone(), tarballs.clone()],
            vec![x86.clone(), build("lix-release-tarballs-2.93.1", BOTH), tarballs.clone()],
            vec![build("lix-release-tarballs-2.93.1", BOTH), tarballs.clone()],
            vec![build("lix-2.93.0", &["doc"]), darwin, tarballs.clone()],
            vec![build("lix-2.93.1", &["out"]), tarballs.clone(), line(&["tests", "a"], "a", &["out"])],
            vec![line(&["build", "linux"], "a", &["out"]), x86.clone(), line(&["tarballs"], "b", &["x"])],
            vec!["{}".to_owned()],
            vec![r#"{"attrPath": ["a"], "drvPath": "/b", "name": "c"}"#.to_owned()],
            vec![r#"{"attrPath": ["a"], "drvPath": "/b.drv", "name": "c", "outputs": {}}"#.to_owned()],
            vec![build("lix-2.93.1#x", &["out"])],
            vec![build("lix-2.93.1", &["out"]).replace(".drv", ".txt")],
            vec![build("lix-2.93.1", &["out"]).replace(&format!("{:?}", path("lix-2.93.1-out")), "null")],
        ]
        .iter()
        .map(|lines| decide(lines).expect_err("no release").replace(&"a".repeat(32), "HASH"))
        .collect();
        expect![[r#"
            the profile has no `tarballs`
            --
            the profile has no `build.x86_64-linux`
            --
            `build.x86_64-linux` is defined twice, first as /nix/store/HASH-lix-2.93.1.drv: which one is to be released?
            --
            `build.x86_64-linux` is called `lix-release-tarballs-2.93.1`, not lix-VERSION: is it the build?
            --
            `build.x86_64-linux` (/nix/store/HASH-lix-2.93.0.drv) has no output `out`
            `build.aarch64-darwin` is version 2.93.1, but `build.x86_64-linux` is 2.93.0
            --
            `tests.a` is not a job of a release: expected `build.SYSTEM` and `tarballs`
            --
            `build.linux`: `linux` is not a system: expected one such as x86_64-linux
            --
            missing field `attrPath` at line 1 column 2
            --
            the row of `a` has neither `drvPath`, `name` and `outputs` nor `error`
            --
            the row of `a`: `/b.drv` is not in /nix/store
            --
            the row of `build.x86_64-linux`: `HASH-lix-2.93.1#x.drv` is not a store path
            --
            the row of `build.x86_64-linux` names /nix/store/HASH-lix-2.93.1.txt, which is not a derivation
            --
            the output `out` of `build.x86_64-linux` has no path before it is built
        "#]]
        .assert_eq(&(shown.join("\n--\n") + "\n"));
    }

    #[test]
    fn the_manual_alone_needs_a_doc() {
        let job = |line: &str| ManualJob::decide(&Product::built_in(), Row::parse(line).expect("a row"));
        let [build, _, tarballs] = good();
        assert_eq!(job(&build).expect("good").doc().to_string(), path("lix-2.93.1-doc"));
        assert!(job(&tarballs).is_err());
    }
}
