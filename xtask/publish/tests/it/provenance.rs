//! Statements of provenance: what programs that others wrote say about them, and about damaged ones; and that they are
//! planned, checked and repaired.

use std::fs;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;
use xtask::domain::build::record::Record;
use xtask_publish::domain::cache::signing::SecretKey;
use xtask_publish::domain::dsse;

use crate::check::stand_in::StandIn;
use crate::release::Release;
use crate::repo::{Ran, skip};

const JUDGE: &str = include_str!("provenance/judge.py");
const GUIDE: &str = include_str!("../../../../releng.md");

/// What the verifiers say of the envelope in a directory of this version: of Python, of openssl, and ours.
struct Judges<'a> {
    python: Utf8PathBuf,
    dir: &'a Utf8Path,
    version: &'a str,
    key: &'a SecretKey,
    statement: Vec<u8>,
}

impl Judges<'_> {
    fn envelope(&self) -> Utf8PathBuf {
        self.dir.join(format!("lix-{}.intoto.jsonl", self.version))
    }

    fn python(&self) -> Ran {
        let mut command = Command::new(&self.python);
        let key = self.key.public().to_string();
        command.args(["-c", JUDGE, &key, self.envelope().as_str(), self.dir.as_str()]);
        Ran::from(command.output().expect("Python runs"))
    }

    /// What the guide says to type.
    fn openssl(&self) -> Ran {
        let (_, section) = GUIDE.split_once("\n### Provenance\n").expect("the section");
        let (section, _) = section.split_once("\n### ").expect("the next one");
        let lines: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("    ")).collect();
        assert!(lines.len() == 6 && lines[4].starts_with("openssl"), "{lines:?}");
        let digits = BASE64.encode(self.key.public().bytes());
        let script = lines.join("\n").replace("VERSION", self.version).replace("KEY", &digits);
        let scratch = tempfile::tempdir().expect("a directory");
        for name in ["intoto.json", "intoto.jsonl"].map(|ending| format!("lix-{}.{ending}", self.version)) {
            fs::copy(self.dir.join(&name), scratch.path().join(&name)).expect("copied");
        }
        let mut command = Command::new("sh");
        Ran::from(command.args(["-euc", &script]).current_dir(scratch.path()).output().expect("sh runs"))
    }

    fn ours(&self) -> Result<(), String> {
        let keys = [self.key.public().clone()];
        let text = fs::read(self.envelope()).expect("an envelope");
        dsse::check(&text, &self.statement, &keys, &keys).map(|_| ())
    }
}

fn key_in(release_dir: &Utf8Path) -> SecretKey {
    fs::read_to_string(release_dir.join("local/cache.key")).expect("a key").parse().expect("a key")
}

/// A statement whose lines are changed, signed or not, in an envelope.
fn changed(text: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(text).expect("JSON");
    change(&mut value);
    value.to_string() + "\n"
}

#[test]
fn others_accept_what_is_published_and_nothing_that_was_changed() {
    let Some(python) = xtask_test_support::verifiers() else {
        return skip("the verifiers of others are not there: `.ci/verifiers`");
    };
    let stand_in = StandIn::built();
    stand_in.release(&["upload", "--env", "local", "--noconfirm"]).ok();
    let dir = stand_in.release_dir().join("local/s3/local-releases/lix/lix-0.1.0");
    let key = key_in(&stand_in.release_dir());
    let statement = fs::read(dir.join("lix-0.1.0.intoto.json")).expect("a statement");
    let judges = Judges { python, dir: &dir, version: "0.1.0", key: &key, statement };
    judges.python().ok();
    assert!(judges.openssl().ok().contains("Signature Verified Successfully"));
    assert_eq!(judges.ours(), Ok(()));
    // What is said of the sources is so.
    let value: Value = serde_json::from_slice(&judges.statement).expect("JSON");
    let dependencies = value["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().expect("a list");
    let digest = |name: &str, algorithm: &str| {
        let found = dependencies.iter().find(|one| one["name"] == name).expect(name);
        found["digest"][algorithm].as_str().expect(algorithm).to_owned()
    };
    let git = |revision: &str| stand_in.repo.git(&["rev-parse", revision]);
    assert_eq!(digest("source", "gitCommit"), git("0.1.0^{commit}"));
    assert_eq!(digest("source", "gitTree"), git("0.1.0^{tree}"));
    assert_eq!(digest("tag", "gitTag"), git("refs/tags/0.1.0"));
    let lock: Value = serde_json::from_str(&stand_in.repo.read("flake.lock")).expect("JSON");
    assert_eq!(digest("flake.lock/nixpkgs", "gitCommit"), lock["nodes"]["nixpkgs"]["locked"]["rev"]);

    let intact = fs::read_to_string(judges.envelope()).expect("an envelope");
    let payload = |envelope: &mut Value, change: fn(&mut Value)| {
        let text = BASE64.decode(envelope["payload"].as_str().expect("a text")).expect("base 64");
        let text = changed(std::str::from_utf8(&text).expect("UTF-8"), change);
        envelope["payload"] = BASE64.encode(text).into();
    };
    let thief: SecretKey =
        "lix-rehearsal:utOOCMym6GwNEDJO5IRfQKvy978RIqbJgMPgelFu1JAKidkcIdOIvXbk91SLbIJh+Mg2uRqgeBSRfkIf5tnMWw=="
            .parse()
            .expect("a key");
    let cases = [
        (
            "a digest",
            changed(&intact, |it| payload(it, |it| it["subject"][0]["digest"]["sha256"] = "0".repeat(64).into())),
        ),
        (
            "a commit",
            changed(&intact, |it| {
                payload(it, |it| it["predicate"]["buildDefinition"]["resolvedDependencies"] = Value::Array(Vec::new()))
            }),
        ),
        ("the type", changed(&intact, |it| it["payloadType"] = "application/json".into())),
        ("the signature", changed(&intact, |it| it["signatures"][0]["sig"] = BASE64.encode([7; 64]).into())),
        ("a thief", dsse::sign(&thief, &judges.statement)),
        ("no signature", changed(&intact, |it| it["signatures"] = Value::Array(Vec::new()))),
        ("half", intact[..intact.len() / 2].to_owned()),
        ("nothing", String::new()),
    ];
    for (what, text) in cases {
        fs::write(judges.envelope(), text).expect("written");
        assert_eq!(judges.python().code, Some(1), "{what}");
        assert!(judges.ours().is_err(), "{what}");
        assert_ne!(judges.openssl().code, Some(0), "{what}");
        let ran = stand_in.release(&["verify", "--env", "local"]);
        assert!(
            ran.code == Some(1) && ran.stdout.contains("SHA256SUMS.sig lix-0.1.0.intoto.jsonl "),
            "{what}: {}",
            ran.stdout
        );
    }
    fs::write(judges.envelope(), &intact).expect("written");
    let statement = dir.join("lix-0.1.0.intoto.json");
    fs::write(&statement, changed(std::str::from_utf8(&judges.statement).expect("UTF-8"), |_| ())).expect("written");
    assert_ne!(judges.openssl().code, Some(0), "another spelling");
}

fn published(release: &Release, name: &str) -> Utf8PathBuf {
    release.object(&format!("local-releases/lix/lix-{}/{name}", release.version))
}

#[test]
fn a_signed_statement_is_planned_and_repaired() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let envelope = published(&release, "lix-2.93.1.intoto.jsonl");
    let intact = fs::read_to_string(&envelope).expect("an envelope");
    let key = key_in(&release.release_dir());
    let repaired = |what: &str, text: Option<String>, planned: &str, verified: &str| {
        match text {
            Some(text) => fs::write(&envelope, text).expect("written"),
            None => fs::remove_file(&envelope).expect("removed"),
        }
        let plan = release.neutral(&release.release("plan", "local", &["--verbose"]).ok());
        assert!(plan.contains(planned), "{what}: {plan}");
        let ran = release.release("verify", "local", &[]);
        assert!(ran.code == Some(1) && ran.stdout.contains(verified), "{what}: {}", ran.stdout);
        // The sums are signed, so the rest is proven.
        assert!(ran.stdout.contains("\nok     cache"), "{what}: {}", ran.stdout);
        release.upload().ok();
        assert_eq!(fs::read_to_string(&envelope).expect("an envelope"), intact, "{what}");
        release.release("verify", "local", &[]).ok();
    };
    let again = |why: &str| {
        format!("sign lix-2.93.1.intoto.json DIGEST again in lix-2.93.1.intoto.jsonl: the signature there {why}")
    };
    let new = "sign lix-2.93.1.intoto.json DIGEST in lix-2.93.1.intoto.jsonl";
    repaired("deleted", None, new, "lix-2.93.1.intoto.jsonl is missing: `upload` signs lix-2.93.1.intoto.json");
    let odd = "is not a signed statement";
    repaired("damaged", Some("{}".to_owned()), &again(odd), odd);
    // What the key has signed for another release.
    let other = dsse::sign(&key, intact.as_bytes());
    let odd = "is not this statement, signed by a key that is known";
    repaired("of another release", Some(other), &again(odd), odd);
    let odd = "by lix-rehearsal is not written as it was signed";
    repaired(
        "a second line",
        Some(format!("{intact}{intact}").replace("}\n{", "}\n\n{") + "\n"),
        &again("is not a signed statement"),
        "is not a signed statement",
    );
    repaired("a blank line", Some(format!("{intact}\n")), &again(odd), odd);
    let odd = "does not name its key, lix-rehearsal";
    repaired("another name", Some(intact.replace("lix-rehearsal", "lix-rehearsed")), &again(odd), odd);
}

#[test]
fn what_an_older_tool_built_has_no_statement_and_needs_none() {
    let release = Release::new("2.93.1");
    let path = release.release_dir().join("release.json");
    let text = fs::read_to_string(&path).expect("a record");
    let older = Record { materials: None, ..Record::parse(&text).expect("valid") };
    fs::write(&path, older.to_json()).expect("written");
    fs::remove_file(release.version_dir().join("lix-2.93.1.intoto.json")).expect("removed");
    release.reseal();
    let sums = fs::read_to_string(release.version_dir().join("SHA256SUMS")).expect("sums");
    assert!(!sums.contains("intoto"), "{sums}");
    release.upload().ok();
    assert!(!published(&release, "lix-2.93.1.intoto.jsonl").exists());
    let page = fs::read_to_string(published(&release, "VERIFY.md")).expect("a page");
    assert!(!page.contains("intoto"), "{page}");
    release.release("verify", "local", &[]).ok();
    let plan: Value = serde_json::from_str(&release.release("plan", "local", &["--json"]).ok()).expect("JSON");
    assert!(plan["acts"].as_array().expect("acts").iter().all(|act| act["status"] == "same"), "{plan:#}");
    // A statement beside it is not its.
    fs::write(release.version_dir().join("lix-2.93.1.intoto.json"), "{}").expect("written");
    let error = release.upload().fails(1);
    assert!(error.contains("lix-2.93.1.intoto.json was not built with the rest"), "{error}");
}
