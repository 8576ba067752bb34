//! What a pointer leads to must be proven, too: somebody who can write to the bucket makes up a newer version.

use std::fs;

use crate::release::Release;

#[test]
fn a_newer_version_that_nobody_signed_is_named() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let object = |key: &str| release.object(&format!("local-releases/{key}"));
    let record = fs::read_to_string(object("lix/lix-2.93.1/release.json")).expect("a record");
    let forged =
        record.replace("\"version\": \"2.93.1\"", "\"version\": \"2.93.9\"").replace("-lix-2.93.1", "-lix-2.93.9");
    fs::create_dir(object("lix/lix-2.93.9")).expect("made");
    for name in ["SHA256SUMS", "SHA256SUMS.sig", "manifest.nix"] {
        fs::copy(object(&format!("lix/lix-2.93.1/{name}")), object(&format!("lix/lix-2.93.9/{name}"))).expect(name);
    }
    fs::write(object("lix/lix-2.93.9/release.json"), forged).expect("written");
    fs::write(object("receipts/lix-2.93.9.json"), "{}").expect("written");
    let manifest = fs::read_to_string(object("manifest.nix")).expect("a manifest");
    fs::write(object("manifest.nix"), manifest.replace("-lix-2.93.1", "-lix-2.93.9")).expect("written");

    let ran = release.release("verify", "local", &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    let lines = ran.stdout.lines().filter(|line| line.contains("not proven"));
    let said = lines.fold(String::new(), |said, line| said + &release.neutral(line.trim_end()) + "\n");
    expect_test::expect![[r#""#]].assert_eq(&said);
}
