//! Bills of materials: against what Nix says about the closures, by the schema as others wrote it, and how Nix splits
//! names.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use xshell::cmd;
use xtask::domain::nix_hash::parse_hash;
use xtask::domain::store_path::StorePath;

use super::tree::{Tree, programs};
use crate::repo::skip;

const SYSTEMS: [&str; 3] = ["aarch64-darwin", "aarch64-linux", "x86_64-linux"];

/// Prints what is wrong with a document by the schema, and what its model has: the number of components and dependencies.
const JUDGE: &str = "
import json, sys
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
for name in sys.argv[1:]:
    text = open(name, encoding='utf-8').read()
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        sys.exit(f'{name}: {fault}')
    bom = Bom.from_json(json.loads(text))
    bom.validate()
    print(len(bom.components), len(bom.dependencies))
";

/// Whether the foreign tool finds the documents valid; `None` if it is not installed.
pub fn judged(tree: &Tree, documents: &[String]) -> Option<Result<String, String>> {
    let Some(python) = xtask_test_support::verifiers() else {
        skip("cyclonedx-python-lib is not installed: `.ci/verifiers` installs it");
        return None;
    };
    let output = cmd!(tree.sh, "{python} -c {JUDGE} {documents...}").quiet().ignore_status().output().expect("Python");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Some(if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) })
}

fn named<'a>(list: &'a Value, name: &str) -> &'a str {
    let named = list.as_array().expect("a list").iter().find(|property| property["name"] == name);
    named.and_then(|property| property["value"].as_str()).expect(name)
}

#[test]
fn each_system_has_a_bill_of_materials_that_is_valid_and_true() {
    if !programs() {
        return;
    }
    let tree = Tree::named("tree");
    tree.built(&[]);
    let record: Value = serde_json::from_str(&tree.read("release/release.json")).expect("JSON");
    let documents = SYSTEMS.map(|system| format!("release/artifacts/lix/lix-0.1.0/lix-0.1.0-{system}.cdx.json"));
    for (system, document) in SYSTEMS.iter().zip(&documents) {
        let text = tree.read(document);
        assert!(!text.contains(tree.root.as_str()), "it has the place of the tree");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let metadata = &document["metadata"];
        assert_eq!(metadata["timestamp"], record["committed"]);
        assert_eq!(named(&metadata["properties"], "git:commit"), record["commit"]);
        assert_eq!(named(&metadata["properties"], "nix:system"), *system);
        let out = record["builds"][system]["outputs"]["out"].as_str().expect("a path");
        assert_eq!(metadata["component"]["bom-ref"], out);
        let components = document["components"].as_array().expect("a list").iter().chain([&metadata["component"]]);
        let listed: BTreeMap<&str, &Value> =
            components.map(|component| (component["bom-ref"].as_str().expect("a path"), component)).collect();
        let nix = |what: &str, path: &str| cmd!(tree.sh, "nix-store --query {what} {path}").quiet().read().expect(path);
        let closure = nix("--requisites", out);
        assert_eq!(listed.keys().copied().collect::<BTreeSet<_>>(), closure.lines().collect(), "{system}");
        for (path, component) in listed {
            let digest = parse_hash(&nix("--hash", path)).expect("a hash").to_string();
            assert_eq!(component["hashes"], serde_json::json!([{"alg": "SHA-256", "content": digest}]));
            assert_eq!(named(&component["properties"], "nix:narSize"), nix("--size", path));
            let references = nix("--references", path);
            let references: BTreeSet<&str> = references.lines().filter(|to| *to != path).collect();
            let graph = document["dependencies"].as_array().expect("a list").iter().find(|node| node["ref"] == path);
            let depends = graph.expect(path)["dependsOn"].as_array().into_iter().flatten();
            assert_eq!(depends.map(|to| to.as_str().expect("a path")).collect::<BTreeSet<_>>(), references);
            // The library is reached through the build's arguments.
            let declared = serde_json::json!([{"license": {"id": "LGPL-2.1-or-later", "acknowledgement": "declared"}}]);
            assert_eq!(component["licenses"], declared, "{path}");
        }
        assert_eq!(metadata["component"]["externalReferences"][0]["url"], "https://lix.systems");
        assert_eq!(
            (&metadata["component"]["name"], &metadata["component"]["version"]),
            (&"lix".into(), &"0.1.0".into())
        );
        let nar = &record["builds"][system]["nars"]["out"];
        assert_eq!(metadata["component"]["hashes"][0]["content"], nar["sha256"]);
    }
    if let Some(judged) = judged(&tree, &documents) {
        assert_eq!(judged.as_deref(), Ok("1 2\n1 2\n1 2\n"));
        // The judge does judge.
        tree.write("odd.json", &tree.read(&documents[0]).replacen("LGPL-2.1-or-later", "Nonsense-1", 1));
        let objection = self::judged(&tree, &["odd.json".to_owned()]).and_then(Result::err);
        assert!(objection.is_some_and(|why| why.contains("Nonsense-1")));
    }
}

/// Licenses and home pages that throw beside others, or are odd.
#[test]
fn odd_statements_of_derivations_stop_nothing() {
    if !programs() {
        return;
    }
    let tree = Tree::named("tree");
    tree.edit(
        "stand-in/default.nix",
        "meta.license = {\n        spdxId = \"LGPL-2.1-or-later\";\n        fullName = \"GNU Lesser General Public License v2.1 or later\";\n      };",
        "meta = { license = throw \"no license\"; homepage = [ \"https://é\" 7 (throw \"x\") null \"https://liblix.example/a?b#c\" ]; };",
    );
    tree.edit(
        "stand-in/default.nix",
        "homepage = \"https://lix.systems\";\n        license = {",
        "homepage = { }; license = [ \"MIT\" { shortName = \"odd\\n\\\"\"; } { spdxId = \"Nonsense-1\"; } [ null (throw \"x\") ] { spdxId = throw \"x\"; } ] ++ [ {",
    );
    tree.edit(
        "stand-in/default.nix",
        "fullName = \"GNU Lesser General Public License v2.1 or later\";\n        };",
        "fullName = \"x\";\n        } ];",
    );
    tree.tag();
    tree.built(&["--profile", "x86_64-linux-only"]);
    let name = "release/artifacts/lix/lix-0.1.0/lix-0.1.0-x86_64-linux.cdx.json".to_owned();
    let document: Value = serde_json::from_str(&tree.read(&name)).expect("JSON");
    let licenses = |component: &Value| {
        let licenses = component["licenses"].as_array().into_iter().flatten().map(|license| &license["license"]);
        licenses.map(|license| format!("{} {}", license["id"], license["name"])).collect::<Vec<_>>()
    };
    let root = &document["metadata"]["component"];
    let expected = ["\"LGPL-2.1-or-later\" null", "\"MIT\" null", "null \"Nonsense-1\"", "null \"odd\\\\n\\\"\""];
    assert_eq!((licenses(root), &root["externalReferences"]), (expected.map(str::to_owned).into(), &Value::Null));
    let library = &document["components"][0];
    assert_eq!(licenses(library), [""; 0]);
    assert_eq!(
        library["externalReferences"],
        serde_json::json!([{"type": "website", "url": "https://liblix.example/a?b#c"}])
    );
    if let Some(judged) = judged(&tree, &[name]) {
        assert_eq!(judged.as_deref(), Ok("1 2\n"));
    }
}

#[test]
fn names_are_split_as_nix_splits_them() {
    if !programs() {
        return;
    }
    let tree = Tree::named("tree");
    let mut names: Vec<String> =
        ["lix-2.93.1", "-1", "a-", "a--1", "a-b-1-c", "a-?", "openssl-3.0.1-bin", "a-_1", "g++-1", "7zip", "-", "a-é"]
            .map(str::to_owned)
            .into();
    let mut runner = TestRunner::deterministic();
    let strategy = "[-a-zA-Z0-9+._?=]{1,12}|([a-z]{1,3}-){0,3}[0-9.]{1,5}(-[a-z]{1,3}){0,2}";
    let strategy = proptest::string::string_regex(strategy).expect("a pattern");
    names.extend((0..1000).map(|_| strategy.new_tree(&mut runner).expect("a name").current()));
    names.retain(|name| StorePath::of_base_name(&format!("{}-{name}", "a".repeat(32))).is_ok());
    assert!(names.len() > 900, "{}", names.len());
    let list: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let expression =
        format!("map (name: let d = builtins.parseDrvName name; in [ d.name d.version ]) [ {} ]", list.join(" "));
    let json = cmd!(tree.sh, "nix-instantiate --eval --strict --json --expr {expression}").quiet().read();
    let split: Vec<[String; 2]> = serde_json::from_str(&json.expect("Nix")).expect("JSON");
    assert_eq!(split.len(), names.len());
    for (name, [first, second]) in names.iter().zip(&split) {
        let path = StorePath::of_base_name(&format!("{}-{name}", "a".repeat(32))).expect(name);
        let expected = if first.is_empty() { (name.as_str(), "") } else { (first.as_str(), second.as_str()) };
        assert_eq!(path.name_and_version(), expected, "{name}");
    }
}
