//! What is said of each way to differ.

use super::*;
use expect_test::expect;
use serde_json::json;
use xtask::domain::product::Product;

fn record(systems: &[&str]) -> Value {
    let facts = |byte: u8| json!({"size": byte, "sha256": format!("{byte:02x}").repeat(32)});
    let layout = Layout::new(&Product::built_in(), "2.93.1");
    let systems: Vec<System> = systems.iter().map(|system| system.parse().expect("a system")).collect();
    let path = |hash: char, name: &str| format!("/nix/store/{}-{name}", hash.to_string().repeat(32));
    let mut files = BTreeMap::new();
    let archives = layout.built_archives(&systems).into_iter().chain([layout.source()]);
    for name in archives.flat_map(|name| [side_file(&name), name]) {
        let byte = name.bytes().fold(0_u8, u8::wrapping_add);
        files.insert(name, facts(byte));
    }
    files.insert(MANIFEST.to_owned(), facts(90 + u8::try_from(systems.len()).expect("few")));
    files.insert("manual/index.html".to_owned(), facts(99));
    let build = |system: &System| {
        let hash = if *system == System::main() { 'a' } else { 'b' };
        let (derivation, out) = (path(hash, "lix-2.93.1.drv"), path(hash, "lix-2.93.1"));
        (system.to_string(), json!({"derivation": derivation, "outputs": {"out": out}, "closure": {out: 5}}))
    };
    json!({
        "format": 1, "version": "2.93.1", "name": "Bici Bici", "tag": "2.93.1", "commit": "c".repeat(40),
        "tree": "d".repeat(40), "committed": "2025-06-18T20:00:00Z", "tool": "0.1.0",
        "profile": if systems.len() > 1 { "all" } else { "x86_64-linux-only" },
        "builds": systems.iter().map(build).collect::<BTreeMap<_, _>>(),
        "image": {"digest": format!("sha256:{}", "7".repeat(64)), "platforms": []},
        "files": files,
    })
}

const ALL: [&str; 2] = ["x86_64-linux", "aarch64-linux"];
const ONE: [&str; 1] = ["x86_64-linux"];

fn parsed(record: &Value) -> Record {
    Record::parse_published(&record.to_string()).expect("a record")
}

/// Everything but what is the same.
fn compared(published: &Value, built: &Value) -> String {
    let layout = Layout::new(&Product::built_in(), "2.93.1");
    let Comparison { builds, without, record, files, same, unproven, unknown, newer } =
        compare(&parsed(published), published, &parsed(built), &[Digest::new([6; 32])], &layout);
    let mut lines: Vec<String> =
        builds.iter().flat_map(|(system, found)| found.iter().map(move |why| format!("{system}: {why}"))).collect();
    lines.extend(without.iter().map(|system| format!("without {system}")));
    lines.extend(record.iter().map(|why| format!("record: {why}")));
    lines.extend(files.iter().map(|(path, how)| format!("{how:?}: {path}")));
    lines.extend(unproven.iter().map(|what| format!("unproven: {what}")));
    lines.extend(unknown.iter().map(|what| format!("unknown: {what}")));
    lines.extend(newer.iter().map(|what| format!("newer: {what}")));
    lines.push(format!("{} the same", same.len()));
    lines.join("\n").replace(&"0".repeat(32), "HASH")
}

#[test]
fn the_published_record_says_what_is_compared() {
    let (all, one) = (record(&ALL), record(&ONE));
    let mut newer = all.clone();
    newer["tool"] = "0.2.0".into();
    newer["materials"] = json!({"repository": "x", "tag": null, "inputs": {}});
    newer["more"] = json!({"nixpkgs": "sha256-x"});
    newer["builds"]["x86_64-linux"]["nar"] = "sha256-y".into();
    newer["files"]["lix-2.93.1-x86_64-linux.cdx.json"] = json!({"size": 1, "sha256": "e".repeat(64)});
    let mut shown = format!("the same: {}\n", compared(&all, &all));
    shown += &format!("\nbuilt by a newer tool: {}\n", compared(&all, &newer));
    shown += &format!("\nbuilt by an older tool:\n{}\n", compared(&newer, &all));
    shown += &format!("\none of two systems:\n{}\n", compared(&all, &one));
    shown += &format!("\ntwo systems, and one was published:\n{}\n", compared(&one, &all));
    expect![[r#"
        the same: 14 the same

        built by a newer tool: newer: `materials` in the record
        newer: lix-2.93.1-x86_64-linux.cdx.json
        14 the same

        built by an older tool:
        unknown: `nar` of a build in the record
        unknown: `materials` in the record
        unknown: `more` in the record
        unknown: lix-2.93.1-x86_64-linux.cdx.json
        14 the same

        one of two systems:
        without aarch64-linux
        unproven: the index of the container images
        unproven: lix-2.93.1-aarch64-linux.tar.xz
        unproven: lix-2.93.1-aarch64-linux.tar.xz.sha256
        unproven: lix-2.93.1-docker-image-aarch64-linux.tar.gz
        unproven: lix-2.93.1-docker-image-aarch64-linux.tar.gz.sha256
        unproven: manifest.nix
        9 the same

        two systems, and one was published:
        record: aarch64-linux is built, and was not published
        NotPublished: lix-2.93.1-aarch64-linux.tar.xz
        NotPublished: lix-2.93.1-docker-image-aarch64-linux.tar.gz
        Content: manifest.nix
        9 the same
    "#]]
    .assert_eq(&shown);
}

#[test]
fn what_was_taken_out_of_a_record_is_named() {
    let mut built = record(&ONE);
    let path = |name: &str| format!("/nix/store/{}-{name}", "0".repeat(32));
    let nar = json!({"size": 1, "sha256": "e".repeat(64)});
    built["materials"] = json!({"repository": "x", "tag": null, "inputs": {}});
    built["builds"]["x86_64-linux"]["nars"] = json!({"doc": nar, "out": nar});
    built["builds"]["x86_64-linux"]["closure"][path("libc")] = 5.into();
    built["files"]["lix-2.93.1-x86_64-linux.cdx.json"] = nar.clone();
    let without = |pointer: &str, keys: &[&str]| {
        let mut changed = built.clone();
        let fields = changed.pointer_mut(pointer).and_then(Value::as_object_mut).expect(pointer);
        fields.retain(|key, _| !keys.contains(&key.as_str()));
        format!("record{pointer} without {}:\n{}\n", keys.join(", "), compared(&changed, &built))
    };
    let shown = [
        without("", &["materials"]),
        without("/builds/x86_64-linux", &["closure", "nars"]),
        without("/builds/x86_64-linux/closure", &[path("libc").as_str()]),
        without("/builds/x86_64-linux/nars", &["doc"]),
        without("/files", &["lix-2.93.1-x86_64-linux.cdx.json"]),
    ];
    expect![[r#"
        record without materials:
        newer: `materials` in the record
        11 the same
        record/builds/x86_64-linux without closure, nars:
        newer: `closure` of x86_64-linux in the record
        newer: `nars` of x86_64-linux in the record
        11 the same
        record/builds/x86_64-linux/closure without /nix/store/HASH-libc:
        x86_64-linux: the derivation is the same, but not what it gives: closure./nix/store/HASH-libc was not published
        11 the same
        record/builds/x86_64-linux/nars without doc:
        x86_64-linux: the derivation is the same, but not what it gives: nars.doc was not published
        11 the same
        record/files without lix-2.93.1-x86_64-linux.cdx.json:
        NotPublished: lix-2.93.1-x86_64-linux.cdx.json
        10 the same
    "#]]
    .assert_eq(&shown.concat().replace(&"0".repeat(32), "HASH"));
}

#[test]
fn each_state_of_a_file_is_described() {
    let mut lines = String::new();
    for there in [InBucket::AsRecorded, InBucket::Other, InBucket::Missing] {
        for is_built in [true, false] {
            let said = fault(there, is_built, is_built).unwrap_or_else(|| "nothing".to_owned());
            lines += &format!("{there:?}, {is_built}: {said}\n");
        }
    }
    expect![[r#"
        AsRecorded, true: nothing
        AsRecorded, false: it is what was recorded, and the tag builds something else
        Other, true: it is not what was signed, and the tag builds what was signed
        Other, false: it is not what was recorded, and the tag builds neither
        Missing, true: it is missing, and the tag builds what was signed
        Missing, false: it is missing, and the tag does not build what was recorded
    "#]]
    .assert_eq(&lines);
}

#[test]
fn inputs_and_outputs_are_told_apart() {
    let all = record(&ALL);
    let changed = |pointer: &str, value: Value| {
        let mut changed = all.clone();
        *changed.pointer_mut(pointer).expect(pointer) = value;
        format!("{pointer}:\n{}\n", compared(&changed, &all))
    };
    let other = |name: &str| json!(format!("/nix/store/{}-{name}", "0".repeat(32)));
    let shown = [
        changed("/builds/x86_64-linux/derivation", other("lix-2.93.1.drv")),
        changed("/builds/x86_64-linux/outputs/out", other("lix-2.93.1")),
        changed("/builds/x86_64-linux/closure", json!({"/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lix-2.93.1": 6})),
        changed("/name", json!("Bici\u{1b}[31m")),
        changed("/image", Value::Null),
        changed("/image/digest", json!(format!("sha256:{}", "06".repeat(32)))),
        changed("/files/lix-2.93.1.tar.gz/sha256", json!("0".repeat(64))),
        changed("/files/lix-2.93.1.tar.gz.sha256/sha256", json!("0".repeat(64))),
    ];
    expect![[r#"
        /builds/x86_64-linux/derivation:
        x86_64-linux: the inputs differ: the derivation /nix/store/HASH-lix-2.93.1.drv was published, and the tag gives /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lix-2.93.1.drv here
        14 the same
        /builds/x86_64-linux/outputs/out:
        x86_64-linux: the derivation is the same, but not its output `out`: /nix/store/HASH-lix-2.93.1 was published, /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lix-2.93.1 is built
        14 the same
        /builds/x86_64-linux/closure:
        x86_64-linux: the derivation is the same, but not what it gives: closure./nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lix-2.93.1: published as 6, built as 5
        14 the same
        /name:
        record: name: published as "Bici\u001b[31m", built as "Bici Bici"
        14 the same
        /image:
        record: the index of the container images: none was published, sha256:7777777777777777777777777777777777777777777777777777777777777777 is built
        14 the same
        /image/digest:
        newer: annotations of the index of the container images
        14 the same
        /files/lix-2.93.1.tar.gz/sha256:
        Content: lix-2.93.1.tar.gz
        13 the same
        /files/lix-2.93.1.tar.gz.sha256/sha256:
        Content: lix-2.93.1.tar.gz.sha256
        13 the same
    "#]].assert_eq(&shown.concat());
    let mut less = all.clone();
    less["files"].as_object_mut().expect("files").remove("manual/index.html");
    expect![[r#"
        NotPublished: manual/index.html
        13 the same

        NotBuilt: manual/index.html
        13 the same"#]]
    .assert_eq(&format!("{}\n\n{}", compared(&less, &all), compared(&all, &less)));
}

#[test]
fn what_can_be_built_here() {
    let shown = |record: &Value, able: &[&str]| {
        let decided = possible(&parsed(record), |system| able.contains(&system.to_string().as_str()));
        match decided {
            Ok(Possible { profile, without }) => format!(
                "{profile} without {}",
                if without.is_empty() { "nothing".to_owned() } else { super::shown(&without) }
            ),
            Err(why) => why,
        }
    };
    let (all, one) = (record(&ALL), record(&ONE));
    let mut newer = all.clone();
    newer["profile"] = "everything".into();
    let lines = [
        shown(&all, &ALL),
        shown(&all, &ONE),
        shown(&all, &["aarch64-linux"]),
        shown(&one, &ONE),
        shown(&one, &[]),
        shown(&newer, &ALL),
    ];
    expect![[r#"
        all without nothing
        x86_64-linux-only without aarch64-linux
        nothing here builds for x86_64-linux: `doctor` shows all builders
        x86_64-linux-only without nothing
        nothing here builds for x86_64-linux: `doctor` shows all builders
        it has the profile `everything`, which this tool does not know: use a newer one"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn a_tag_is_that_of_the_record() {
    let record = parsed(&record(&ONE));
    let oid = |digit: &str| -> Oid { digit.repeat(40).parse().expect("an object") };
    let cases = [(None, None), (Some("e"), Some("d")), (Some("c"), Some("e")), (Some("c"), Some("d"))];
    let lines = cases.map(|(commit, tree)| {
        let (commit, tree) = (commit.map(oid), tree.map(oid));
        tag_fault(&record, commit.as_ref(), tree.as_ref()).unwrap_or_else(|| "right".to_owned())
    });
    expect![[r#"
        the tag 2.93.1 is not an annotated one, and cccccccccccc was released
        the tag 2.93.1 is for eeeeeeeeeeee, but cccccccccccc was released: nothing is built. If yours is older, fetch it again
        the tag 2.93.1 is for cccccccccccc, but its tree is not the one that was released
        right"#]].assert_eq(&lines.join("\n"));
}
