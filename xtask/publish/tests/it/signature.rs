//! Signed sums: what `ssh-keygen` says about them, what a user types, and what is said of what is not signed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use camino::{Utf8Path, Utf8PathBuf};
use xtask::domain::build::record::Record;
use xtask::tools::files;
use xtask::tree::seal::Seal;
use xtask_publish::domain::cache::signing::SecretKey;
use xtask_publish::domain::sshsig;

use crate::release::Release;
use crate::repo::Ran;

const DIRECTORY: &str = "local-releases/lix/lix-2.93.1";

fn key_of(release: &Release) -> SecretKey {
    let text = fs::read_to_string(release.release_dir().join("local/cache.key")).expect("a key");
    text.parse().expect("a key")
}

fn published(release: &Release, name: &str) -> Utf8PathBuf {
    release.object(&format!("{DIRECTORY}/{name}"))
}

fn sh(script: &str, dir: &Utf8Path) -> Ran {
    Ran::from(Command::new("sh").args(["-euc", script]).current_dir(dir).output().expect("sh runs"))
}

/// The lines of `VERIFY.md` that a user types.
fn commands(page: &str) -> Vec<&str> {
    let indented = page.lines().filter_map(|line| line.strip_prefix("    "));
    indented
        .filter(|line| ["echo ", "curl ", "ssh-keygen ", "sha256sum "].iter().any(|start| line.starts_with(start)))
        .collect()
}

#[test]
fn what_the_page_says_is_what_a_user_types() {
    let release = Release::new("2.93.1");
    // A server of files is enough for users.
    let public = release.object("local-releases");
    let address = format!("file://{public}");
    let others = ["cache", "docs", "install"].map(|name| format!("{name} = \"file:///{name}\"\n")).concat();
    let page = |release: &Release| fs::read_to_string(published(release, "VERIFY.md")).expect("a page");
    release.upload().ok();
    // Without an address, the files are where the page is.
    let text = page(&release);
    let lines = commands(&text);
    assert_eq!(lines.len(), 3, "{text}");
    let said = sh(&lines.join("\n"), published(&release, "").as_path());
    let (code, said) = (said.code, said.stdout + &said.stderr);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Good \"lix-release\" signature for lix-release with ED25519 key"), "{said}");
    assert!(said.contains("lix-2.93.1.tar.gz: OK\n") && said.contains("release.json: OK\n"), "{said}");

    // The list that the user wrote does for `verify`, too.
    let signers = release.repo.beside("signers");
    fs::rename(published(&release, "lix-release.signers"), &signers).expect("written by the first line");
    let (code, said) = verify(&release, &["--allowed-signers", signers.as_str()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("ok     releases lix/lix-2.93.1/SHA256SUMS.sig by lix-release\n"), "{said}");
    let list = fs::read_to_string(&signers).expect("a list");
    fs::write(&signers, list.replace("namespaces=\"lix-release\"", "namespaces=\"git\"")).expect("written");
    let error = release.release("verify", "local", &["--allowed-signers", signers.as_str()]).fails(1);
    assert!(error.contains("lists no ed25519 key for the namespace `lix-release`"), "{error}");

    let other = Release::new("2.93.1");
    other.configure(|text| {
        text.replacen(
            "[environments.local.buckets]",
            &format!("[environments.local.public]\n{others}releases = \"{address}\"\n\n[environments.local.buckets]"),
            1,
        )
    });
    // Only the page is asked for: nothing answers at these addresses but files.
    let environment = xtask::tree::config(&other.config).expect("a configuration");
    let environment = environment.environment("local").expect("it exists").clone();
    let record = fs::read_to_string(release.release_dir().join("release.json")).expect("a record");
    let record = Record::parse(&record).expect("valid");
    let layout = xtask::domain::layout::Layout::new(&xtask::domain::product::Product::built_in(), "2.93.1");
    let key = key_of(&release);
    let address = environment.public.as_ref().map(|public| public.releases.as_str());
    let text = xtask_publish::domain::publication::signature::page(&record, &layout, key.public(), address);
    let lines = commands(&text);
    assert_eq!(lines.len(), 4, "{text}");
    assert!(text.contains(&key.public().to_string()), "{text}");
    // This small release has no archive of binaries.
    fs::write(published(&release, "lix-2.93.1-aarch64-linux.tar.xz"), "not listed").expect("written");
    let home = other.repo.beside("home");
    fs::create_dir(&home).expect("made");
    let said = sh(&lines.join("\n"), &home);
    let (code, said) = (said.code, said.stdout + &said.stderr);
    assert!(said.contains("Good \"lix-release\" signature"), "{code:?} {said}");
    assert!(home.join("SHA256SUMS.sig").exists(), "{said}");
    // Nothing that is listed was downloaded, and coreutils says so.
    assert_eq!(code, Some(1), "{said}");
}

/// A key that `ssh-keygen` made, as Nix would write it, and its file.
fn openssh_key(dir: &Utf8Path) -> (SecretKey, Utf8PathBuf) {
    let path = dir.join("key");
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path.as_str()]).status();
    assert!(made.expect("OpenSSH is installed").success());
    let text = fs::read_to_string(&path).expect("a key");
    let digits: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let blob = BASE64.decode(digits).expect("base 64");
    let at = blob.windows(4).position(|window| window == [0, 0, 0, 64]).expect("a secret key") + 4;
    let key = format!("ours:{}", BASE64.encode(&blob[at..at + 64]));
    (key.parse().expect("an ed25519 key"), path)
}

#[test]
fn openssh_makes_the_same_signature() {
    let scratch = tempfile::tempdir().expect("a directory");
    let dir = Utf8Path::from_path(scratch.path()).expect("UTF-8");
    let (key, path) = openssh_key(dir);
    let public = fs::read_to_string(path.with_extension("pub")).expect("a public key");
    assert_eq!(public.trim(), sshsig::public_line(key.public()));
    let lengths = [0, 1, 64, 127, 128, 5000];
    for message in lengths.map(|length| "x".repeat(length)) {
        let file = dir.join("message");
        fs::write(&file, &message).expect("written");
        let ours = sshsig::sign(&key, "lix-release", message.as_bytes());
        for hash in ["sha512", "sha256"] {
            let _ = fs::remove_file(dir.join("message.sig"));
            let option = format!("hashalg={hash}");
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-Y", "sign", "-n", "lix-release", "-O", &option, "-f", path.as_str(), file.as_str()]);
            assert!(command.stderr(Stdio::null()).status().expect("it runs").success());
            let theirs = fs::read_to_string(dir.join("message.sig")).expect("a signature");
            if hash == "sha512" {
                assert_eq!(theirs, ours);
            }
            let by = sshsig::check(theirs.as_bytes(), "lix-release", message.as_bytes(), [key.public()]);
            assert_eq!(by, Ok(key.public()), "{hash}");
        }
    }
}

/// What `verify` says, with its exit code.
fn verify(release: &Release, args: &[&str]) -> (Option<i32>, String) {
    let ran = release.release("verify", "local", args);
    (ran.code, release.neutral(&(ran.stdout + &ran.stderr)))
}

/// Makes the published directory say something else everywhere, as someone would who can write to the bucket.
fn forge(release: &Release) {
    let archive = published(release, "lix-2.93.1.tar.gz");
    fs::write(&archive, "a back door\n").expect("written");
    let digest = |name: &str| files::digest_of(&fs::read(published(release, name)).expect(name));
    let side = format!("{}\n", digest("lix-2.93.1.tar.gz").sha256);
    fs::write(published(release, "lix-2.93.1.tar.gz.sha256"), side).expect("written");
    let record = published(release, "release.json");
    let mut forged = Record::parse(&fs::read_to_string(&record).expect("a record")).expect("valid");
    for name in ["lix-2.93.1.tar.gz", "lix-2.93.1.tar.gz.sha256"] {
        forged.files.insert(name.to_owned(), digest(name));
    }
    fs::write(&record, forged.to_json()).expect("written");
    for (name, text) in Seal::of(&forged, digest("release.json").sha256, &release.layout()).texts() {
        fs::write(published(release, name), text).expect("written");
    }
    let receipt = release.object("local-releases/receipts/lix-2.93.1.json");
    let text = fs::read_to_string(&receipt).expect("a receipt");
    let mut value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    value["record"] = digest("release.json").sha256.to_string().into();
    fs::write(&receipt, value.to_string()).expect("written");
}

#[test]
fn nothing_that_is_forged_is_proven() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let (code, said) = verify(&release, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("ok     releases lix/lix-2.93.1/SHA256SUMS.sig by lix-rehearsal\n"), "{said}");
    let intact = fs::read(published(&release, "SHA256SUMS.sig")).expect("a signature");

    forge(&release);
    let others = |said: &str| said.lines().filter(|line| line.starts_with("ok ")).count();
    let fails = |with: &str, expected: &str| {
        let (code, said) = verify(&release, &[]);
        assert_eq!(code, Some(1), "{with}: {said}");
        assert!(said.contains(expected), "{with}: {said}");
        assert_eq!(others(&said), 0, "{with}: nothing else is said to be good: {said}");
        assert!(said.contains("\nunproven cache closures "), "{with}: {said}");
        let status = release.repo.xtask(&["release", "status", "--config", release.config.as_str()]).stdout;
        assert!(status.contains("✗ release.json is not proven: "), "{with}: {status}");
        let rollback = release.release("rollback", "local", &["--to", "2.93.1", "--noconfirm"]).fails(1);
        assert!(rollback.contains("2.93.1 is not complete in local"), "{with}: {rollback}");
    };
    fails("the old signature", "the signature of SHA256SUMS by lix-rehearsal is not of this content");
    let sums = fs::read(published(&release, "SHA256SUMS")).expect("sums");
    let scratch = tempfile::tempdir().expect("a directory");
    let (thief, _) = openssh_key(Utf8Path::from_path(scratch.path()).expect("UTF-8"));
    let sign = |key: &SecretKey, namespace: &str, text: &[u8]| {
        fs::write(published(&release, "SHA256SUMS.sig"), sshsig::sign(key, namespace, text)).expect("written");
    };
    sign(&thief, "lix-release", &sums);
    fails("another key", "the signature of SHA256SUMS is by a key that is not known");
    // The right key for another purpose, and the right sums beside another record.
    sign(&key_of(&release), "lix-receipt", &sums);
    fails("another purpose", "the signature of SHA256SUMS by lix-rehearsal is not for `lix-release`");
    fs::remove_file(published(&release, "SHA256SUMS.sig")).expect("removed");
    fails("no signature", "SHA256SUMS is not signed");
    let original = fs::read(release.version_dir().join("SHA256SUMS")).expect("sums");
    fs::write(published(&release, "SHA256SUMS"), original).expect("written");
    fs::write(published(&release, "SHA256SUMS.sig"), &intact).expect("written");
    fails("the signed sums", "SHA256SUMS is signed, but for another release.json");
    fs::remove_file(published(&release, "SHA256SUMS")).expect("removed");
    fails("no sums", "SHA256SUMS is missing");

    // What the manager named must have signed.
    let (code, said) = verify(&release, &["--key", &thief.public().to_string()]);
    assert_eq!(code, Some(1), "{said}");
    let error = release.release("verify", "local", &["--key", "lix"]).fails(1);
    assert!(error.contains("`--key`: a key has the form NAME:BASE64"), "{error}");
}

#[test]
fn a_signature_is_planned_and_repaired() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let intact = |name: &str| fs::read(published(&release, name)).expect(name);
    let (signature, page) = (intact("SHA256SUMS.sig"), intact("VERIFY.md"));
    let planned = || {
        let plan = release.release("plan", "local", &["--verbose"]).ok();
        let (_, act) = plan.split_once("lix-2.93.1/SHA256SUMS.sig").expect("the act");
        let lines: Vec<&str> = act.lines().take(2).map(str::trim).collect();
        release.neutral(&lines.join(" | "))
    };
    let repaired = |what: &str, expected: &str| {
        let planned = planned();
        assert!(planned.contains(expected), "{what}: {planned}");
        assert_eq!(verify(&release, &[]).0, Some(1), "{what}");
        release.upload().ok();
        assert_eq!((intact("SHA256SUMS.sig"), intact("VERIFY.md")), (signature.clone(), page.clone()), "{what}");
        assert_eq!(verify(&release, &[]).0, Some(0), "{what}");
    };
    assert!(planned().starts_with("nothing to do"), "{}", planned());
    fs::remove_file(published(&release, "SHA256SUMS.sig")).expect("removed");
    repaired("deleted", "sign SHA256SUMS DIGEST");
    fs::write(published(&release, "SHA256SUMS.sig"), "damaged").expect("written");
    repaired("damaged", "again in SHA256SUMS.sig: the signature there is not an OpenSSH signature by an ed25519 key");
    fs::remove_file(published(&release, "VERIFY.md")).expect("removed");
    repaired("no page", "write VERIFY.md");
    fs::write(published(&release, "VERIFY.md"), "Trust me.\n").expect("written");
    repaired("another page", "rewrite VERIFY.md");
}

#[test]
fn what_an_older_key_signed_stays_signed() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let old = key_of(&release);
    let scratch = tempfile::tempdir().expect("a directory");
    let (new, _) = openssh_key(Utf8Path::from_path(scratch.path()).expect("UTF-8"));
    let held = |also: &str| {
        format!("cache.held]\nkey-file = \"new.key\"\npublic-key = \"{}\"\nalso-trusts = [{also}]\n", new.public())
    };
    let made = "cache.made]\nkey-file = \"release/local/cache.key\"\nname = \"lix-rehearsal\"\n";
    let also = held(&format!("\"{}\"", old.public()));
    release.configure(|text| text.replacen(made, &also, 1));
    let signature = || release.release("verify", "local", &[]).stdout.lines().next().map(str::to_owned);
    assert_eq!(signature().as_deref(), Some("ok     releases lix/lix-2.93.1/SHA256SUMS.sig by lix-rehearsal"));
    // Once the old key is no longer trusted, because it was stolen, what it signed is signed again.
    release.configure(|text| text.replacen(&also, &held(""), 1));
    let said = signature().expect("a line");
    assert!(said.contains("is by a key that is not known"), "{said}");
    let key = release.repo.root.join("new.key");
    fs::write(&key, new.expose()).expect("a key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("private");
    release.repo.write(".git/info/exclude", "release\nnew.key\n");
    release.upload().ok();
    assert_eq!(signature().as_deref(), Some("ok     releases lix/lix-2.93.1/SHA256SUMS.sig by ours"));
    let page = fs::read_to_string(published(&release, "VERIFY.md")).expect("a page");
    assert!(page.contains(&new.public().to_string()), "{page}");
}

#[test]
fn no_one_without_the_key_approves_or_withdraws() {
    let release = Release::new("2.93.1");
    crate::staging::with_second(&release);
    release.upload().ok();
    let receipt = release.object("local-releases/receipts/lix-2.93.1.json");
    let text = fs::read_to_string(&receipt).expect("a receipt");
    let second = || release.release("upload", "second", &["--noconfirm"]);
    // The receipt of another build, forged for ours: as it was signed, and with no signature.
    let forged = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        change(&mut value);
        fs::write(&receipt, value.to_string()).expect("written");
    };
    forged(&|value| value["published"] = "2020-01-01T00:00:00Z".into());
    let error = second().fails(1);
    assert!(error.contains("is not proven: its signature by lix-rehearsal is not of this content"), "{error}");
    forged(&|value| drop(value.as_object_mut().expect("an object").remove("signature")));
    let error = second().fails(1);
    assert!(
        error.contains("receipts/lix-2.93.1.json of local is not signed: `upload --env local` rewrites it"),
        "{error}"
    );
    let (code, said) = verify(&release, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("broken releases receipts/lix-2.93.1.json  it is not signed: run the upload again"),
        "{said}"
    );
    release.upload().ok();
    assert_eq!(verify(&release, &[]).0, Some(0));
    // How it is written does not matter.
    let text = fs::read_to_string(&receipt).expect("a receipt");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    fs::write(&receipt, value.to_string()).expect("written");
    second().ok();
    // The second environment's own receipt does not open its gate if it is forged.
    let own = release.release_dir().join("second/s3/local-releases/receipts/lix-2.93.1.json");
    let of_first = fs::read_to_string(&receipt).expect("a receipt").replace("\"local\"", "\"second\"");
    fs::write(&own, of_first).expect("written");
    fs::remove_file(&receipt).expect("removed");
    let error = second().fails(1);
    assert!(error.contains("local has no receipt for it"), "{error}");
}

#[test]
fn the_list_of_withdrawn_versions_is_proven_by_its_copy() {
    let (old, new) = (Release::new("2.93.1"), Release::new("2.93.2"));
    new.share(&old);
    old.upload().ok();
    new.upload().ok();
    let rollback = |to: &str| old.release("rollback", "local", &["--to", to, "--noconfirm"]);
    let (list, copy) =
        (old.object("local-releases/withdrawn.json"), old.object("local-releases/receipts/withdrawn.json"));
    let refused = |expected: &str| {
        let error = new.upload().fails(1);
        assert!(
            error.contains(expected) && error.contains("it is unknown which versions a rollback withdrew"),
            "{error}"
        );
        let (code, said) = verify(&old, &["2.93.1"]);
        assert!(code == Some(1) && said.contains(expected), "{said}");
    };
    // A list that someone made up.
    fs::write(&list, r#"["2.93.2"]"#).expect("written");
    refused("withdrawn.json is not signed: s3://local-releases/receipts/withdrawn.json is missing");
    fs::write(&copy, r#"["2.93.2"]"#).expect("written");
    refused("withdrawn.json is not proven: s3://local-releases/receipts/withdrawn.json is not signed");
    rollback("2.93.1").ok();
    let live = || fs::read_to_string(old.object("local-releases/manifest.nix")).expect("a manifest");
    assert!(live().contains("-lix-2.93.1\""));
    new.upload().ok();
    assert!(live().contains("-lix-2.93.1\""), "2.93.2 stays withdrawn");
    // What was withdrawn is not offered again by someone who can write the list.
    for text in ["[]", r#"["2.93.1", "2.93.2"]"#] {
        fs::write(&list, text).expect("written");
        refused("withdrawn.json is not what was signed in s3://local-releases/receipts/withdrawn.json");
    }
    let signed = fs::read_to_string(&copy).expect("a copy");
    fs::write(&list, "[]").expect("written");
    fs::write(&copy, signed.replace("\"2.93.2\"", "")).expect("written");
    refused("its signature by lix-rehearsal is not of this content");
    rollback("2.93.1").ok();
    assert_eq!(verify(&old, &["2.93.1"]).0, Some(0));
}

#[test]
fn a_version_that_should_be_signed_is_not_taken_for_an_old_one() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    for name in ["release.json", "SHA256SUMS", "SHA256SUMS.sig", "VERIFY.md"] {
        fs::remove_file(published(&release, name)).expect("removed");
    }
    let said = verify(&release, &[]);
    assert!(said.0 == Some(0) && said.1.contains("and nothing proves those"), "{}", said.1);
    let from = |version: &str| {
        let key = format!("[environments.local]\nsigned-from = \"{version}\"\n");
        release.configure(|text| text.replacen("[environments.local]\n", &key, 1));
        let said = verify(&release, &[]);
        release.configure(|text| text.replacen(&key, "[environments.local]\n", 1));
        said
    };
    assert_eq!(from("2.93.2").0, Some(0));
    let (code, said) = from("2.93.1");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("has neither release.json nor a signature, and every version since 2.93.1 has both"),
        "{said}"
    );
}
