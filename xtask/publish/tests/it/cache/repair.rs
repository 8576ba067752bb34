//! Broken paths in the cache are named and repaired, and the rest stays.

use std::fs;

use camino::Utf8PathBuf;

use super::BUCKET;
use crate::release::Release;

/// The file of a narinfo in the embedded bucket, by a part of the path's name.
pub fn narinfo(release: &Release, name: &str) -> (Utf8PathBuf, String) {
    let entries = release.object(BUCKET).read_dir_utf8().expect("a bucket");
    let mut narinfos = entries.map(|entry| entry.expect("an entry").into_path());
    let found = narinfos.find_map(|path| {
        let text = (path.extension() == Some("narinfo")).then(|| fs::read_to_string(&path).expect("text"))?;
        text.lines().next().is_some_and(|line| line.ends_with(name)).then_some((path, text))
    });
    found.expect("a narinfo")
}

pub fn nar(release: &Release, name: &str) -> Utf8PathBuf {
    let (_, text) = narinfo(release, name);
    let url = text.lines().find_map(|line| line.strip_prefix("URL: ")).expect("a URL").to_owned();
    release.object(BUCKET).join(url)
}

#[test]
fn what_is_broken_is_named_and_repaired_and_the_rest_stays() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    release.release("verify", "local", &["--deep"]).ok();
    let (unsigned, text) = narinfo(&release, "liblix-2.93.1");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("Sig: ")).collect();
    fs::write(unsigned, lines.join("\n") + "\n").expect("written");
    fs::remove_file(nar(&release, "liblix-2.93.1.drv")).expect("removed");
    let truncated = nar(&release, "-lix-2.93.1.drv");
    let bytes = fs::read(&truncated).expect("a NAR");
    fs::write(&truncated, &bytes[1..]).expect("written");
    let (other, text) = narinfo(&release, "-lix-2.93.1-doc");
    let hash = text.lines().find(|line| line.starts_with("NarHash: ")).expect("a hash");
    let empty = "NarHash: sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
    fs::write(other, text.replace(hash, empty)).expect("written");

    let broken = release.release("verify", "local", &[]);
    assert_eq!(broken.code, Some(1));
    for why in ["is not signed by the key", "its NAR is missing", " bytes instead of "] {
        assert!(broken.stdout.contains(why), "{why}: {}", broken.stdout);
    }
    let plan = release.release("plan", "local", &["--verbose"]).ok();
    let act = plan.lines().find(|line| line.starts_with("  ~ cache closures "));
    assert!(act.is_some_and(|line| line.contains(" repair 3, sign 1, same 6 paths")), "{plan}");
    for why in ["its NAR is missing", " bytes instead of ", "has the NAR hash"] {
        assert!(plan.lines().any(|line| line.starts_with("      repair /nix/store/") && line.contains(why)), "{plan}");
    }
    let sign = |line: &str| line.starts_with("      sign /nix/store/") && line.contains("is not signed by the key");
    assert!(plan.lines().any(sign), "{plan}");
    let untouched =
        |release: &Release| fs::metadata(nar(release, "-lix-2.93.1")).and_then(|nar| nar.modified()).expect("a time");
    let before = untouched(&release);
    release.upload().ok();
    assert_eq!(untouched(&release), before, "what was good is not sent again");
    release.release("verify", "local", &["--deep"]).ok();
    let again = release.upload();
    assert!(!again.stderr.contains("  ok "), "{}", again.stderr);
    assert!(!release.release_dir().join("cache").exists(), "the stage is gone");
}

#[test]
fn damage_that_keeps_the_size_is_found_by_looking_deep() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let path = nar(&release, "liblix-2.93.1");
    let mut bytes = fs::read(&path).expect("a NAR");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).expect("written");
    release.release("verify", "local", &[]).ok();
    let broken = release.release("verify", "local", &["--deep"]);
    assert!(broken.code == Some(1) && broken.stdout.contains("its NAR has SHA-256"), "{}", broken.stdout);
}
