//! Bills of materials in `check`: one that is of another build, and what has changed since the release before.

use std::fs;

use xtask::domain::digest::FileFacts;
use xtask::domain::layout::{self, Layout};
use xtask::domain::product::Product;
use xtask::domain::system::System;
use xtask::tools::files;

use super::stand_in::StandIn;

const LGPL: &str = "LGPL-2.1-or-later";

#[test]
fn one_that_is_of_another_build_is_found() {
    let stand_in = StandIn::built();
    let (bad, text) = stand_in.bad();
    assert!(
        bad.is_empty() && text.contains("lix-0.1.0-x86_64-linux.cdx.json, x86_64-linux.doc: as recorded"),
        "{text}"
    );
    let path = stand_in.version_dir().join(stand_in.layout().sbom(&System::main()));
    let whole = files::read_text(&path).expect("a bill of materials");
    let found = |text: &str| {
        assert_ne!(text, whole);
        fs::write(&path, text).expect("written");
        stand_in.seal();
        let (bad, text) = stand_in.bad();
        assert_eq!(bad.iter().map(String::as_str).collect::<Vec<_>>(), ["outputs"], "{text}");
        text
    };
    let output = stand_in.record().builds[&System::main()].outputs["out"].to_string();
    let other = output.replace("-lix-0.1.0", "-lix-0.1.1");
    let text = found(&whole.replace(&output, &other));
    assert!(text.contains(&format!("cdx.json is not of this build: it is of {other}")), "{text}");
    let size = whole.rfind("nix:narSize").and_then(|at| whole[at..].find("value\": \"").map(|more| at + more + 9));
    let (before, after) = whole.split_at(size.expect("a size"));
    let text = found(&format!("{before}9{after}"));
    assert!(text.contains("is not of this build: the size of /nix/store/"), "{text}");
    assert!(found("{}").contains("cdx.json is not a bill of materials: missing field"));
}

#[test]
fn what_changed_since_the_release_before_is_told_by_both() {
    let stand_in = StandIn::built();
    let releases = stand_in.release_dir().join("local/s3/local-releases");
    let layout = Layout::new(&Product::built_in(), "0.0.9");
    let dir = releases.join(layout.version_directory());
    let now = files::read_text(&stand_in.version_dir().join(stand_in.layout().sbom(&System::main()))).expect("text");
    let publish = |sbom: &str, facts: FileFacts| {
        let mut before = stand_in.record();
        before.version = "0.0.9".to_owned();
        before.tag = Some("0.0.9".parse().expect("a version"));
        before.files.insert(layout.sbom(&System::main()), facts);
        fs::create_dir_all(&dir).expect("directories");
        fs::write(dir.join(layout.sbom(&System::main())), sbom).expect("written");
        fs::write(dir.join(layout::RECORD), before.to_json()).expect("written");
    };
    let compared = || {
        let ran = stand_in.check(&["--only", "growth", "--against", "0.0.9"]);
        (ran.code, ran.stdout)
    };
    let publish_well = |sbom: &str| publish(sbom, files::digest_of(sbom.as_bytes()));
    publish_well(&now);
    let (code, said) = compared();
    assert!(code == Some(0) && said.contains("compared with 0.0.9"), "{said}");

    // The library, which is listed after the build itself, had another license.
    let at = now.rfind(LGPL).expect("it is there");
    publish_well(&format!("{}MIT{}", &now[..at], &now[at + LGPL.len()..]));
    let (code, said) = compared();
    let expected = format!("with other licenses than 0.0.9: liblix (MIT) → ({LGPL})");
    assert!(code == Some(1) && said.contains(&expected), "{said}");

    // What is new says under which license.
    publish_well(&now.replace("liblix", "libnix"));
    let (_, said) = compared();
    assert!(
        said.contains("new since 0.0.9: liblix (0.1.0-x86_64-linux, ") && said.contains(", LGPL-2.1-or-later)"),
        "{said}"
    );
    assert!(said.contains("gone: libnix ("), "{said}");

    // What the record does not prove is not compared with.
    publish(&format!("{now} "), files::digest_of(now.as_bytes()));
    let (_, said) = compared();
    assert!(said.contains("not run  growth") && said.contains("cdx.json is not what release.json lists"), "{said}");
    publish_well("{}");
    let (_, said) = compared();
    assert!(said.contains("not run  growth") && said.contains("cdx.json is not a bill of materials"), "{said}");
    fs::remove_file(dir.join(layout.sbom(&System::main()))).expect("removed");
    let (_, said) = compared();
    assert!(said.contains("not run  growth") && said.contains("which release.json lists, does not exist"), "{said}");
}

#[test]
fn what_is_damaged_in_the_bucket_is_found_by_verify() {
    let stand_in = StandIn::built();
    let name = stand_in.layout().sbom(&System::main());
    stand_in.release(&["upload", "--env", "local", "--noconfirm"]).ok();
    let published = stand_in.release_dir().join("local/s3/local-releases").join(stand_in.layout().version_directory());
    let (path, whole) = (published.join(&name), files::read_text(&published.join(&name)).expect("published"));
    // The headers are right, too.
    stand_in.release(&["verify", "--env", "local"]).ok();
    let sums = files::read_text(&published.join(layout::SUMS)).expect("published");
    assert!(sums.contains(&format!("{}  {name}\n", files::digest_of(whole.as_bytes()).sha256)), "{sums}");
    let broken = |why: &str| {
        let said = stand_in.release(&["verify", "--env", "local"]);
        let line = said.stdout.lines().find(|line| line.starts_with("broken")).unwrap_or_default().to_owned();
        assert!(said.code == Some(1) && line.contains(&name), "{why}: {}{}", said.stdout, said.stderr);
    };
    fs::write(&path, whole.replacen("LGPL-2.1-or-later", "LGPL-3.0-or-later", 1)).expect("written");
    broken("another license");
    fs::remove_file(&path).expect("removed");
    broken("missing");
    stand_in.release(&["upload", "--env", "local", "--noconfirm"]).ok();
    stand_in.release(&["verify", "--env", "local"]).ok();
}
