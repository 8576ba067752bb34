//! `verify --rebuild`: what is said of a release that is what its tag builds, and of one that is not.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use camino::Utf8PathBuf;
use expect_test::expect;
use serde_json::Value;
use xtask::domain::build::image::Index;
use xtask::domain::build::record::Record;
use xtask::tools::files;
use xtask::tree::seal::Seal;
use xtask_publish::domain::cache::signing::SecretKey;
use xtask_publish::domain::dsse;
use xtask_publish::domain::sshsig;

use crate::check::stand_in::{StandIn, VERSION};
use crate::edge::World;
use crate::headers::set_in;
use crate::release::Release;
use crate::repo::Ran;

const TARBALL: &str = "lix-0.1.0-x86_64-linux.tar.xz";
const DIRECTORY: &str = "local-releases/lix/lix-0.1.0";

impl StandIn {
    fn publish(&self) {
        self.release(&["upload", "--env", "local", "--noconfirm"]).ok();
    }

    fn published(&self, name: &str) -> Utf8PathBuf {
        self.release_dir().join("local/s3").join(DIRECTORY).join(name)
    }

    /// Runs `verify --rebuild` with a directory for temporary files, and asserts that nothing stays there.
    fn rebuild(&self, args: &[&str]) -> Ran {
        let command = self.rebuilding(args);
        let ran = Ran::from({ command }.output().expect("it runs"));
        self.nothing_stays();
        ran
    }

    fn temporary(&self) -> Utf8PathBuf {
        self.repo.beside("tmp")
    }

    fn rebuilding(&self, args: &[&str]) -> Command {
        let config = self.release_dir().join("releng.toml");
        let all = ["release", "verify", "--env", "local", "--rebuild", "--config", config.as_str()];
        let mut command = self.repo.command(&[&all, args].concat());
        fs::create_dir_all(self.temporary()).expect("made");
        command.env("TMPDIR", self.temporary());
        command
    }

    fn nothing_stays(&self) {
        let left: Vec<_> =
            fs::read_dir(self.temporary()).expect("a directory").map(|entry| entry.expect("one")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// The lines about building again.
fn lines(ran: &Ran) -> String {
    let all = ran.stdout.lines().filter(|line| line.contains(" rebuild"));
    all.map(|line| format!("{line}\n")).collect()
}

/// Changes the published record, and signs it again with the key: as someone would who has it.
fn change_record(stand_in: &StandIn, change: impl FnOnce(&mut Value)) {
    let path = stand_in.published("release.json");
    let mut record: Value = serde_json::from_slice(&fs::read(&path).expect("a record")).expect("JSON");
    change(&mut record);
    let text = serde_json::to_string_pretty(&record).expect("JSON") + "\n";
    fs::write(&path, &text).expect("written");
    let parsed = Record::parse_published(&text).expect("a record");
    let seal = Seal::of(&parsed, files::digest_of(text.as_bytes()).sha256, &stand_in.layout());
    let key = fs::read_to_string(stand_in.release_dir().join("local/cache.key")).expect("a key");
    let key: SecretKey = key.parse().expect("a key");
    for (name, text) in seal.texts() {
        fs::write(stand_in.published(name), text).expect("written");
    }
    let stated = seal.statement.map(|statement| dsse::sign(&key, statement.text.as_bytes()));
    let envelope = stand_in.published(&stand_in.layout().envelope());
    match stated {
        Some(stated) => fs::write(envelope, stated).expect("written"),
        None => fs::remove_file(envelope).expect("an envelope"),
    }
    fs::write(stand_in.published("SHA256SUMS.sig"), sshsig::sign(&key, "lix-release", seal.sums.as_bytes()))
        .expect("written");
    let receipt = stand_in.release_dir().join("local/s3/local-releases/receipts/lix-0.1.0.json");
    // It is of the earlier record.
    let _ = fs::remove_file(receipt);
}

#[test]
fn what_the_tag_builds_is_the_same() {
    let stand_in = StandIn::built();
    stand_in.publish();
    let refs = stand_in.repo.git(&["for-each-ref"]);
    // Only the tag is built.
    stand_in.repo.write("stand-in/manual.sh", "exit 1\n");
    let ran = stand_in.rebuild(&[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(stand_in.repo.git(&["for-each-ref"]), refs);
    assert!(ran.stderr.ends_with("0.1.0 in local is what was released, and what its tag builds\n"), "{}", ran.stderr);
    let bytes = without_size(&lines(&ran));
    expect![[r#"
        ok     rebuild x86_64-linux               the same derivation, outputs and closure
        ok     rebuild lix/lix-0.1.0/             18 files, SIZE: the same bytes
        ok     rebuild, once more                 4 derivations gave the same outputs again
    "#]]
    .assert_eq(&bytes);

    // The tag is at the remote only.
    stand_in.repo.git(&["tag", "--delete", VERSION]);
    stand_in.rebuild(&["--json"]).ok();
    // An older tool recorded less, and added nothing to the images' labels.
    change_record(&stand_in, |record| {
        record["tool"] = "0.0.1".into();
        let index = record["image"]["digest"].as_str().expect("a digest").trim_start_matches("sha256:").to_owned();
        let index = fs::read(stand_in.release_dir().join("images/blobs/sha256").join(index)).expect("an index");
        let older = Index::parse(&index).expect("an index").of_older_tools().pop().expect("without both");
        record["image"]["digest"] = files::digest_of(older.to_json().as_bytes()).sha256.oci().into();
        record.as_object_mut().expect("a record").remove("materials");
        for build in record["builds"].as_object_mut().expect("builds").values_mut() {
            let fields = build.as_object_mut().expect("a build");
            fields.retain(|field, _| !["closure", "nars"].contains(&field.as_str()));
        }
    });
    let ran = stand_in.rebuild(&[]);
    assert_eq!(lines(&ran).lines().filter(|line| line.starts_with("ok ")).count(), 3, "{}", ran.stdout);
    let newer = "not compared, because an older tool published it: `closure` of x86_64-linux in the record, \
                 `nars` of x86_64-linux in the record, `materials` in the record, \
                 annotations of the index of the container images\n";
    assert!(lines(&ran).contains(newer), "{}", ran.stdout);
    assert!(lines(&ran).contains(" the same derivation and outputs\n"), "{}", ran.stdout);
}

/// Text without a size.
fn without_size(text: &str) -> String {
    let sized =
        |line: &str| match line.split_once(" files, ").and_then(|(start, end)| Some((start, end.split_once(':')?.1))) {
            Some((start, end)) => format!("{start} files, SIZE:{end}\n"),
            None => format!("{line}\n"),
        };
    text.lines().map(sized).collect()
}

#[test]
fn what_was_signed_and_is_not_built_is_named() {
    let stand_in = StandIn::built();
    // Someone with the manager's tree and key publishes a back door, with sums, signature and receipt.
    stand_in.repack(
        TARBALL,
        &["--sort=name", "--mtime=@1", "--owner=0", "--group=0"],
        "cd lix-0.1.0-x86_64-linux/store/*-lix-0.1.0/bin; echo : >> nix",
    );
    stand_in.publish();
    stand_in.release(&["verify", "--env", "local"]).ok();
    let ran = stand_in.rebuild(&[]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    let said = lines(&ran);
    assert!(
        said.contains(&format!(
            "{TARBALL}: it is what was signed, and the tag builds something else: `lix-0.1.0-x86_64-linux/store/"
        )),
        "{said}"
    );
    assert!(said.contains("-lix-0.1.0/bin/nix` has other content; affects"), "{said}");
    assert!(said.contains("ok     rebuild x86_64-linux "), "{said}");
    let json: Value = serde_json::from_str(&stand_in.rebuild(&["--json"]).stdout).expect("JSON");
    let broken: Vec<&Value> = json.as_array().expect("a list").iter().filter(|check| check["good"] == false).collect();
    assert!(matches!(&broken[..], [check] if check["what"] == "rebuild lix/lix-0.1.0/"), "{broken:?}");

    // What goes into the build, and what comes out of it.
    let output = stand_in.record().builds.values().next().expect("a build").outputs["out"].to_string();
    change_record(&stand_in, |record| record["builds"]["x86_64-linux"]["closure"][&output] = 1.into());
    let said = lines(&stand_in.rebuild(&[]));
    assert!(said.contains("the derivation is the same, but not what it gives: closure."), "{said}");
    change_record(&stand_in, |record| {
        let other = format!("/nix/store/{}-lix-0.1.0.drv", "0".repeat(32));
        record["builds"]["x86_64-linux"]["derivation"] = other.into();
    });
    let said = lines(&stand_in.rebuild(&[]));
    assert!(
        said.contains("rebuild x86_64-linux               the inputs differ: the derivation /nix/store/0000"),
        "{said}"
    );
}

#[test]
fn what_is_in_the_bucket_and_was_not_signed_is_named() {
    let stand_in = StandIn::built();
    stand_in.publish();
    let path = stand_in.published(TARBALL);
    let intact = fs::read(&path).expect("an archive");
    stand_in.repack(TARBALL, &[], "touch lix-0.1.0-x86_64-linux/store/more");
    fs::copy(stand_in.version_dir().join(TARBALL), &path).expect("copied");
    let source = format!("{}/lix-0.1.0.tar.gz", DIRECTORY.split_once('/').expect("a bucket").1);
    set_in(&stand_in.release_dir().join("local/s3"), "local-releases", &source, "cache_control", "no-store");
    let ran = stand_in.rebuild(&[]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    let said = lines(&ran);
    // A header is no content.
    assert!(ran.stdout.contains("lix-0.1.0.tar.gz is served with Cache-Control no-store"), "{}", ran.stdout);
    assert!(!said.contains("lix-0.1.0.tar.gz"), "{said}");
    let expected = "it is not what was signed, and the tag builds what was signed: \
                    `lix-0.1.0-x86_64-linux/store/more` was published, and is not built";
    assert!(said.contains(expected), "{said}");
    // Not an archive any more.
    fs::write(&path, &intact[..intact.len() / 2]).expect("written");
    let said = lines(&stand_in.rebuild(&[]));
    assert!(said.contains("what was published cannot be read as an archive"), "{said}");
}

#[test]
fn what_is_built_otherwise_each_time_is_named() {
    let stand_in = StandIn::with(|repo| {
        let nix = repo.read("stand-in/default.nix");
        let changing = "cat $liblix/lib/liblix\n        # $(cat /proc/sys/kernel/random/uuid)\n";
        repo.write("stand-in/default.nix", &nix.replacen("cat $liblix/lib/liblix\n", changing, 1));
    });
    stand_in.publish();
    // What the store here has already is not enough.
    let said = lines(&stand_in.rebuild(&[]));
    assert!(said.contains("broken rebuild, once more                 /nix/store/"), "{said}");
    assert!(said.contains("-lix-0.1.0.drv gives other outputs than the store here has"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_can_do_it_without_a_key() -> Result<()> {
    let stand_in = StandIn::built();
    let config = stand_in.release_dir().join("releng.toml");
    let release = Release { repo: stand_in.repo, version: VERSION.to_owned(), config };
    let error = release.release("verify", "local", &["--public", VERSION]).fails(1);
    assert!(error.contains("local has no public addresses in releng.toml"), "{error}");
    let world = World::of(&release).await?;
    release.upload().ok();
    world.forget();
    // Neither a key nor `release/` is there.
    fs::write(release.repo.beside("keys"), "#!/bin/sh\nexit 1\n")?;
    let said = release.release("verify", "local", &[]).fails(1);
    assert!(said.contains("cannot get an access key"), "{said}");
    let said = release.release("verify", "local", &["--public", "--rebuild"]);
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
    // No one else can change what is there; what was deleted is missing to users.
    let archive = world.object(&format!("local-releases/lix/lix-0.1.0/{TARBALL}"));
    let intact = fs::read(&archive)?;
    fs::write(&archive, "a back door")?;
    world.forget();
    let said = release.release("verify", "local", &["--public", "--rebuild"]);
    assert!(lines(&said).contains("it is not what was signed, and the tag builds what was signed"), "{}", said.stdout);
    fs::write(&archive, intact)?;
    fs::remove_file(world.object("local-releases/manifest.nix"))?;
    fs::remove_file(world.object("local-releases/lix/lix-0.1.0/SHA256SUMS.sig"))?;
    world.forget();
    let said = release.release("verify", "local", &["--public"]);
    let broken: Vec<&str> = said.stdout.lines().filter(|line| line.starts_with("broken")).collect();
    assert!(
        matches!(&broken[..], [signature, manifest] if signature.contains("is not signed") && manifest.contains("manifest.nix")),
        "{}",
        said.stdout
    );
    // A tag that only another remote has is not asked for there.
    release.repo.git(&["tag", "--delete", VERSION]);
    let remotes = release.repo.git(&["remote"]);
    assert!(!remotes.lines().any(|name| name == "origin"), "{remotes}");
    let bare = release.release_dir().join("local/git");
    release.repo.git(&["remote", "add", "other", bare.as_str()]);
    world.forget();
    let said = release.release("verify", "local", &["--public", "--rebuild", VERSION]);
    let why = "the tag 0.1.0 is missing: this repository does not have it, and no remote to fetch it from";
    assert!(lines(&said).contains(why), "{}{}", said.stdout, said.stderr);
    Ok(())
}

#[test]
fn a_tag_that_is_another_one_is_not_built() {
    let stand_in = StandIn::built();
    stand_in.publish();
    stand_in.repo.git(&["tag", "--force", "--annotate", "--message=x", VERSION, "HEAD^"]);
    let ran = stand_in.rebuild(&[]);
    let said = lines(&ran);
    assert!(said.starts_with("broken rebuild                            the tag 0.1.0 is for "), "{said}");
    assert!(said.contains("was released: nothing is built"), "{said}");
    stand_in.repo.git(&["tag", "--delete", VERSION]);
    let bare = stand_in.release_dir().join("local/git");
    stand_in.repo.git(&["--git-dir", bare.as_str(), "tag", "--delete", VERSION]);
    let said = lines(&stand_in.rebuild(&[]));
    assert!(said.contains("could not be checked: the tag 0.1.0 is missing"), "{said}");
}

#[test]
fn ctrl_c_leaves_nothing() {
    let stand_in = StandIn::built();
    stand_in.publish();
    let command = stand_in.rebuilding(&[]);
    let mut command = xtask_test_support::heeding_ctrl_c(&command);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let began = Instant::now();
    let builds = || {
        let mut entries = stand_in.temporary().read_dir_utf8().expect("a directory").flatten();
        entries.any(|entry| entry.path().join("tmp").exists())
    };
    while !builds() {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing is built");
        std::thread::sleep(Duration::from_millis(10));
    }
    xtask_test_support::send(child.id(), xtask_test_support::SIGINT);
    let ran = Ran::from(child.wait_with_output().expect("it ends"));
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert!(ran.stderr.contains("stopped by Ctrl-C: nothing has changed for users"), "{}", ran.stderr);
    stand_in.nothing_stays();
}
