//! What a pointer leads to must be proven, too: somebody who can write to the bucket makes up a newer version.

use std::fs;

use crate::release::Release;

#[test]
fn a_newer_version_that_nobody_signed_is_named() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let object = |key: &str| release.object(&format!("local-releases/{key}"));
    let record = fs::read_to_string(object("lix/lix-2.93.1/release.json")).expect("a record");
    let forged = record.replace("\"2.93.1\"", "\"2.93.9\"").replace("-lix-2.93.1", "-lix-2.93.9");
    fs::create_dir(object("lix/lix-2.93.9")).expect("made");
    for name in ["SHA256SUMS", "SHA256SUMS.sig", "manifest.nix"] {
        fs::copy(object(&format!("lix/lix-2.93.1/{name}")), object(&format!("lix/lix-2.93.9/{name}"))).expect(name);
    }
    fs::write(object("lix/lix-2.93.9/release.json"), forged).expect("written");
    fs::write(object("receipts/lix-2.93.9.json"), "{}").expect("written");
    let manifest = fs::read_to_string(object("manifest.nix")).expect("a manifest");
    fs::write(object("manifest.nix"), manifest.replace("-lix-2.93.1", "-lix-2.93.9")).expect("written");

    let mut said = String::new();
    let mut verify = || {
        let ran = release.release("verify", "local", &[]);
        assert_eq!(ran.code, Some(1), "{}", ran.stdout);
        let lines = ran.stdout.lines().filter(|line| line.contains("2.93.9"));
        said += &lines.fold(String::new(), |said, line| said + &release.neutral(line.trim_end()) + "\n");
    };
    verify();
    // Nor is it better if nobody can read it.
    fs::write(object("lix/lix-2.93.9/release.json"), "{").expect("written");
    verify();
    expect_test::expect![[r#"
        broken docs manual/lix/2.93/              should lead to 2.93.9, which is not proven: SHA256SUMS is signed, but for another release.json; affects everyone who follows it
        broken releases manifest.nix              it should lead to 2.93.9, which is not proven: SHA256SUMS is signed, but for another release.json; affects everyone who runs `nix upgrade-nix`
        broken docs manual/lix/stable/            should lead to 2.93.9, which is not proven: SHA256SUMS is signed, but for another release.json; affects everyone who follows it
        broken image release/local/images:2.93    should lead to 2.93.9, which is not proven: SHA256SUMS is signed, but for another release.json; affects everyone who follows it
        broken image release/local/images:latest  should lead to 2.93.9, which is not proven: SHA256SUMS is signed, but for another release.json; affects everyone who follows it
        note   install lix/lix-installer-*        should lead to 2.93.9, which has no installers
        broken docs manual/lix/2.93/              should lead to 2.93.9, which is not proven: the published lix/lix-2.93.9/release.json is not a record of a release: EOF while parsing an object at line 1 column 1; affects everyone who follows it
        broken releases manifest.nix              it should lead to 2.93.9, which is not proven: the published lix/lix-2.93.9/release.json is not a record of a release: EOF while parsing an object at line 1 column 1; affects everyone who runs `nix upgrade-nix`
        broken docs manual/lix/stable/            should lead to 2.93.9, which is not proven: the published lix/lix-2.93.9/release.json is not a record of a release: EOF while parsing an object at line 1 column 1; affects everyone who follows it
        broken image release/local/images:2.93    should lead to 2.93.9, which is not proven: the published lix/lix-2.93.9/release.json is not a record of a release: EOF while parsing an object at line 1 column 1; affects everyone who follows it
        broken image release/local/images:latest  should lead to 2.93.9, which is not proven: the published lix/lix-2.93.9/release.json is not a record of a release: EOF while parsing an object at line 1 column 1; affects everyone who follows it
        note   install lix/lix-installer-*        should lead to 2.93.9, which has no installers
    "#]].assert_eq(&said);
}
