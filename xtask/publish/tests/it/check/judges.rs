//! Other programs judge the same archives: where they find damage, the checks do, and where they find none, neither do these.

use std::fs;
use std::process::{Command, Output};

use camino::Utf8Path;
use serde_json::Value;

use super::stand_in::StandIn;
use super::{ARM, IMAGE, TARBALL};

/// A change of an archive's bytes, with its name.
type Damage = (String, Box<dyn Fn(&mut Vec<u8>)>);

fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).output().unwrap_or_else(|why| panic!("{program}: {why}"))
}

/// One flipped bit and one cut at places all over the archive, and what is appended.
fn damages() -> Vec<Damage> {
    let places = (0..8).map(|eighth| move |length: usize| (length - 1) * eighth / 7);
    let flips = places.clone().enumerate().map(|(eighth, place)| -> Damage {
        (
            format!("flip {eighth}"),
            Box::new(move |bytes| {
                let at = place(bytes.len());
                bytes[at] ^= 0x10;
            }),
        )
    });
    let cuts = places.enumerate().map(|(eighth, place)| -> Damage {
        (format!("cut {eighth}"), Box::new(move |bytes| bytes.truncate(place(bytes.len()))))
    });
    let more: [Damage; 2] = [
        ("nothing".to_owned(), Box::new(|_| {})),
        ("garbage behind it".to_owned(), Box::new(|bytes| bytes.extend_from_slice(b"more of it"))),
    ];
    flips.chain(cuts).chain(more).collect()
}

/// Asserts that the check and a program that tests archives find the same damages. Returns how many are damages.
fn agree(archive: &str, check: &str, judge: impl Fn(&Utf8Path) -> Output) -> usize {
    let stand_in = StandIn::built();
    let path = stand_in.version_dir().join(archive);
    let sound = fs::read(&path).expect("an archive");
    let mut bad = 0;
    for (name, damage) in damages() {
        let mut bytes = sound.clone();
        damage(&mut bytes);
        fs::write(&path, bytes).expect("written");
        stand_in.seal();
        let judged = judge(&path);
        let said = stand_in.check(&["--json", "--only", check]);
        let checks: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{name}: {}", said.stderr));
        let outcome = &checks["checks"][check];
        let judges = String::from_utf8_lossy(&judged.stderr);
        assert_eq!(outcome["outcome"] == "passed", judged.status.success(), "{name}: {outcome}; the judge: {judges}");
        bad += usize::from(!judged.status.success());
    }
    bad
}

#[test]
fn xz_finds_the_same_damage() {
    assert_eq!(agree(TARBALL, "tarballs", |path| run("xz", &["--test", path.as_str()])), 17);
}

#[test]
fn gzip_finds_the_same_damage() {
    assert!(agree(IMAGE, "images", |path| run("gzip", &["--test", path.as_str()])) >= 15);
}

#[test]
fn tar_readelf_and_skopeo_say_what_the_checks_say() {
    let stand_in = StandIn::built();
    let says = |program: &str, args: &[&str]| {
        let output = run(program, args);
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let problem = |check: &str| stand_in.check(&["--only", check]).stdout;

    // tar calls the members by the names that the check knows.
    let tarball = stand_in.version_dir().join(TARBALL);
    stand_in.repack(TARBALL, &["--absolute-names", "--transform=s,^x$,../x,"], "touch x");
    let (_, members) = says("tar", &["--list", "--absolute-names", "--file", tarball.as_str()]);
    assert!(members.lines().any(|member| member == "../x"), "{members}");
    assert!(problem("tarballs").contains("`../x` leaves"));

    let stand_in = StandIn::built();
    let problem = |check: &str| stand_in.check(&["--only", check]).stdout;
    let arm = stand_in.repo.beside("arm");
    let output = run("sh", &["-euc", &format!("{{ {ARM}; head -c 44 /dev/zero; }} > {arm}")]);
    assert!(output.status.success());
    let (_, header) = says("readelf", &["--file-header", arm.as_str()]);
    assert!(header.contains("AArch64"), "{header}");
    stand_in.repack(TARBALL, &[], &format!("cd */store/*-lix-0.1.0/bin; cp {arm} arm; chmod +x arm"));
    assert!(problem("tarballs").contains("is an executable for aarch64-linux"));

    // Some versions of skopeo cannot read a small archive that is compressed.
    let image = || {
        let (from, to) = (stand_in.version_dir().join(IMAGE), stand_in.repo.beside("image.tar"));
        assert!(run("sh", &["-euc", &format!("gzip --decompress --stdout {from} > {to}")]).status.success());
        format!("docker-archive:{to}")
    };
    let config = || {
        let said = run("skopeo", &["inspect", "--config", &image()]);
        let why = String::from_utf8_lossy(&said.stderr);
        let config: Value = serde_json::from_slice(&said.stdout).unwrap_or_else(|_| panic!("{why}"));
        format!("{}/{}", config["os"].as_str().expect("text"), config["architecture"].as_str().expect("text"))
    };
    assert_eq!(config(), "linux/amd64");
    stand_in.repack(IMAGE, &[], "sed -i s/amd64/arm64/ config.json");
    assert_eq!(config(), "linux/arm64");
    assert!(problem("images").contains("for linux/arm64, not for linux/amd64"));
    stand_in.repack(
        IMAGE,
        &[],
        "sed -i s/arm64/amd64/ config.json; printf damage | dd of=layer.tar bs=1 seek=1600 conv=notrunc",
    );
    let copy = format!("dir:{}", stand_in.repo.beside("copied"));
    let copied = run("skopeo", &["--insecure-policy", "copy", &image(), &copy]);
    assert!(!copied.status.success(), "skopeo takes a damaged layer");
    assert!(problem("images").contains("has the digest"));
}
