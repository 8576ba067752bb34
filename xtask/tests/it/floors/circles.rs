//! Files that use each other in a circle: none of them can be read, or moved, without the others.
//!
//! A file uses another where its code, but for its own tests, has a path that leads into it. That a file declares
//! another as its part (`mod`) is not a use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{at, visit};

/// The packages, by their sources.
const PACKAGES: [&str; 3] = ["src", "domain/src", "publish/src"];

type Module = Vec<String>;

#[test]
fn no_two_files_use_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for package in PACKAGES {
        let uses = uses(package);
        let all = uses.keys().collect::<Vec<_>>();
        assert!(all.len() > 30, "the source of {package} was not found");
        let reached: BTreeMap<&Module, BTreeSet<&Module>> =
            all.iter().map(|file| (*file, reach(&uses, file))).collect();
        let mut seen = BTreeSet::new();
        for file in all {
            let circle: Vec<&Module> =
                reached[file].iter().copied().filter(|other| reached[*other].contains(file)).collect();
            if circle.len() > 1 && seen.insert(circle[0]) {
                circles.push(circle.iter().map(|file| format!("{package}/{}", file.join("/"))).collect::<Vec<_>>());
            }
        }
    }
    let told: Vec<String> = circles.iter().map(|circle| circle.join(", ")).collect();
    assert!(circles.is_empty(), "files that use each other in a circle:\n{}", told.join("\n"));
}

/// Every file that a file uses, directly or indirectly.
fn reach<'a>(uses: &'a BTreeMap<Module, BTreeSet<Module>>, file: &Module) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut todo: Vec<&Module> = uses[file].iter().collect();
    while let Some(next) = todo.pop() {
        if reached.insert(next) {
            todo.extend(&uses[next]);
        }
    }
    reached
}

/// The files of a package, by the paths of their modules, and the files that each uses.
fn uses(package: &str) -> BTreeMap<Module, BTreeSet<Module>> {
    let root = at(package);
    let mut texts = BTreeMap::new();
    visit(&root, &mut |path, text| drop(texts.insert(module(&root, path), code(text))));
    let files: BTreeSet<Module> = texts.keys().cloned().collect();
    let used = |(file, text): (Module, String)| {
        let used =
            paths(&text, &HERE).into_iter().filter_map(|path| target(&files, &file, &path)).filter(|to| *to != file);
        let used = used.collect();
        (file, used)
    };
    texts.into_iter().map(used).collect()
}

fn module(root: &Path, path: &Path) -> Module {
    let path = path.strip_prefix(root).expect("below the root").with_extension("");
    let mut parts: Module = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// The text of a file without comments, and without the tests at its end.
pub fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// How a path begins that leads to something in its own package.
const HERE: [&str; 3] = ["crate::", "super::", "self::"];

/// The paths that begin with one of these roots, with those in braces written out.
pub fn paths<'a>(text: &'a str, roots: &[&str]) -> Vec<Vec<&'a str>> {
    let mut paths = Vec::new();
    for root in roots {
        for (at, _) in text.match_indices(root) {
            let before = text[..at].chars().next_back();
            if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                write_out(&[], &text[at..], &mut paths);
            }
        }
    }
    paths
}

/// Reads one path, and returns the rest of the text.
fn write_out<'a>(above: &[&'a str], text: &'a str, paths: &mut Vec<Vec<&'a str>>) -> &'a str {
    let mut path = above.to_vec();
    let mut rest = text.trim_start();
    loop {
        if let Some(mut inner) = rest.strip_prefix('{') {
            loop {
                inner = inner.trim_start();
                match inner.as_bytes().first() {
                    None => return inner,
                    Some(b'}') => return &inner[1..],
                    Some(b',') => inner = &inner[1..],
                    Some(_) => {
                        let after = write_out(&path, inner, paths);
                        // ` as NAME`, `*`, or something other than a list of paths.
                        let end = after.find([',', '}']).unwrap_or(after.len());
                        inner = &after[end..];
                    }
                }
            }
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        path.push(&rest[..end]);
        rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(more) if more.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '{') => rest = more,
            _ => break,
        }
    }
    paths.push(path);
    rest
}

/// The file to which a path leads from another file.
fn target(files: &BTreeSet<Module>, from: &Module, path: &[&str]) -> Option<Module> {
    let mut whole = from.clone();
    for (at, part) in path.iter().enumerate() {
        match *part {
            "crate" => whole.clear(),
            "super" => drop(whole.pop()),
            "self" if at == 0 => {}
            part => whole.push(part.to_owned()),
        }
    }
    while !whole.is_empty() && !files.contains(&whole) {
        whole.pop();
    }
    // The root of a package names its modules, and none of them uses it.
    (!whole.is_empty()).then_some(whole)
}

#[test]
fn a_path_leads_into_the_file_that_has_what_it_names() {
    let files: BTreeSet<Module> =
        ["a", "a/b", "c", "c/d"].map(|file| file.split('/').map(str::to_owned).collect()).into();
    let text = code(
        "use super::{b::{X, self}, Y as Z};\nuse crate::c::d::E; // crate::a\nlet x = self::f::<crate::c::E>();\n",
    );
    let from = vec!["a".to_owned(), "g".to_owned()];
    let found: Vec<String> =
        paths(&text, &HERE).iter().filter_map(|path| target(&files, &from, path)).map(|file| file.join("/")).collect();
    assert_eq!(found, ["c/d", "c", "a/b", "a/b", "a", "a"]);
}
