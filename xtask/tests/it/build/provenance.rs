//! What `build` records of the sources: the tag, and the inputs of the flake; of official releases and of others.

use serde_json::Value;

use super::tree::{Tree, VERSION, programs};

fn materials(tree: &Tree) -> Value {
    let record: Value = serde_json::from_str(&tree.read("release/release.json")).expect("JSON");
    record["materials"].clone()
}

/// The statement in the version directory.
fn statement(tree: &Tree, version: &str) -> Value {
    let path = format!("release/artifacts/lix/lix-{version}/lix-{version}.intoto.json");
    serde_json::from_str(&tree.read(&path)).expect("JSON")
}

const SMALL: [&str; 2] = ["--profile", "x86_64-linux-only"];

#[test]
fn the_sources_are_those_that_were_built() {
    if !programs() {
        return;
    }
    let tree = Tree::named("tree");
    tree.built(&SMALL);
    let lock: Value = serde_json::from_str(&tree.read("flake.lock")).expect("JSON");
    let locked = &lock["nodes"]["nixpkgs"]["locked"];
    let official = materials(&tree);
    assert_eq!(official["tag"], tree.git(&["rev-parse", VERSION]));
    assert_eq!(official["inputs"]["nixpkgs"]["narHash"], locked["narHash"]);
    assert_eq!(official["inputs"]["nixpkgs"]["rev"], locked["rev"]);
    assert_eq!(official["inputs"]["nixpkgs"]["from"], "github:NixOS/nixpkgs");
    assert_eq!(official["modified"], Value::Null);
    let said = statement(&tree, VERSION);
    assert_eq!(said["predicate"]["buildDefinition"]["externalParameters"]["tag"], VERSION);

    // Another input, which no job uses: no one can tell from the outputs.
    tree.write("../other/flake.nix", "{ outputs = _: { }; }");
    let other = format!("path:{}", tree.path("../other"));
    let said = tree.built(&[&SMALL[..], &["--", "--override-input", "nixpkgs", &other]].concat());
    let warning = "with --override-input, the inputs may be others than those of flake.lock: the provenance says so";
    assert!(said.contains(warning), "{said}");
    assert_eq!(materials(&tree)["modified"], true);
    let said = statement(&tree, VERSION);
    assert_eq!(said["predicate"]["buildDefinition"]["internalParameters"]["modified"], true);

    // The work tree, with a lock file that is not committed.
    tree.git(&["tag", "--delete", VERSION]);
    tree.edit("flake.lock", "62463162b3ce92919f19ada41a70a0d943a08da8", &"1".repeat(40));
    tree.built(&[&SMALL[..], &["--no-check-git"]].concat());
    let modified = materials(&tree);
    assert_eq!(modified["inputs"]["nixpkgs"]["rev"], "1".repeat(40));
    assert_eq!((&modified["tag"], &modified["modified"]), (&Value::Null, &Value::Bool(true)));

    // Committed, and not tagged; and no inputs at all.
    tree.edit("flake.nix", "inputs.nixpkgs.url = \"github:NixOS/nixpkgs/nixos-26.05-small\";", "");
    tree.edit("flake.nix", "{ self, nixpkgs }:", "{ self }:");
    tree.edit("flake.nix", "nixpkgs.legacyPackages", "{ }");
    tree.git(&["rm", "--quiet", "--force", "flake.lock"]);
    tree.git(&["commit", "--quiet", "--all", "--message", "no inputs"]);
    tree.built(&[&SMALL[..], &["--no-check-git"]].concat());
    let none = materials(&tree);
    assert_eq!(none["inputs"], serde_json::json!({}));
    assert_eq!((&none["tag"], &none["modified"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_lock_file_that_is_not_understood_is_not_left_out() {
    if !programs() {
        return;
    }
    let tree = Tree::named("tree");
    tree.edit("flake.lock", "\"type\": \"github\"", "\"type\": \"gopher\"");
    tree.tag();
    let error = tree.refused(&SMALL);
    let expected = "flake.lock is not a lock file that this tool can read: its node `nixpkgs` is of type `gopher`, which \
                    this tool does not know";
    assert!(error.contains(expected), "{error}");
}
