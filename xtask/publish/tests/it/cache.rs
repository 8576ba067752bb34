//! The binary cache: signed by the right key or not at all, repaired where it is broken, and read by Nix.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use camino::Utf8PathBuf;
use expect_test::expect;
use xtask_publish::tools::anonymous::Anonymous;
use xtask_publish::tools::embedded::Embedded;
use xtask_publish::tools::store::Store;

use crate::release::{Release, nix};
use crate::repo::{NIX_CONFIG, make_executable};

const BUCKET: &str = "local-cache";

/// A release whose cache is signed by a key that a manager has, and the places of that manager.
pub struct Managed {
    pub release: Release,
    pub secret: String,
    pub public: String,
}

impl Managed {
    pub fn new() -> Managed {
        let release = Release::new("2.93.1");
        let (secret, public) = generate();
        let managed = Managed { release, secret, public };
        managed.trust(&managed.public);
        for place in ["config/lix-releng", "runtime", "bin"] {
            fs::create_dir_all(managed.place(place)).expect("a directory");
        }
        managed
    }

    pub fn trust(&self, public: &str) {
        self.release.configure(|text| {
            let start = text.find("[environments.local.cache.").expect("a key");
            let end = start + text[start..].find("\n\n").expect("its end");
            let held = format!("[environments.local.cache.held]\nkey-file = \"test.key\"\npublic-key = \"{public}\"");
            format!("{}{held}{}", &text[..start], &text[end..])
        });
    }

    pub fn place(&self, name: &str) -> Utf8PathBuf {
        self.release.repo.beside(name)
    }

    pub fn key_file(&self, name: &str, text: &str) {
        fs::write(self.place("config/lix-releng").join(name), text).expect("written");
    }

    pub fn command(&self, phase: &str, args: &[&str]) -> Command {
        let mut command = self.release.command(phase, "local", args);
        command.env("XDG_CONFIG_HOME", self.place("config")).env("XDG_RUNTIME_DIR", self.place("runtime"));
        command.env("HOME", self.place("home")).env_remove("AGE_IDENTITY");
        let path = std::env::var("PATH").expect("a PATH");
        command.env("PATH", format!("{}:{path}", self.place("bin")));
        command
    }

    /// Exit code and everything that was said.
    pub fn run(&self, phase: &str, args: &[&str]) -> (Option<i32>, String) {
        let output = self.command(phase, args).output().expect("the tool runs");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code(), said.concat())
    }

    /// What an upload says that must fail with nothing staged and nothing sent.
    #[track_caller]
    fn refused(&self) -> String {
        let (code, said) = self.run("upload", &["--noconfirm"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(!self.release.release_dir().join("cache").exists(), "nothing is staged");
        for bucket in [BUCKET, "local-releases", "local-docs"] {
            let sent = fs::read_dir(self.release.object(bucket)).expect("a bucket").count();
            assert_eq!(sent, 0, "{bucket} is empty");
        }
        let error = said.split("error:").last().unwrap_or_default();
        error.trim_start().replace(self.place("").as_str(), "BESIDE/").replace(&self.public, "PUBLIC")
    }

    /// A `nix` that does something else when it is to stage.
    fn nix_that_stages(&self, script: &str) {
        let nix = self.place("bin").join("nix");
        let path = std::env::var("PATH").expect("a PATH");
        let script = format!(
            "#!/bin/bash\nPATH='{path}'\ncase \"$*\" in *secret-key*) {script} ;; *) exec nix \"$@\" ;; esac\n"
        );
        fs::write(&nix, script).expect("written");
        make_executable(&nix);
    }

    fn secrets_in_runtime(&self) -> Vec<Utf8PathBuf> {
        let entries = self.place("runtime").read_dir_utf8().expect("a directory");
        entries.map(|entry| entry.expect("an entry").into_path()).collect()
    }
}

/// A secret key and its public half, by Nix.
pub fn generate() -> (String, String) {
    let secret =
        nix("nix", &["--extra-experimental-features", "nix-command", "key", "generate-secret", "--key-name", "test-1"]);
    let convert = Command::new("nix")
        .args(["--extra-experimental-features", "nix-command", "key", "convert-secret-to-public"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            std::io::Write::write_all(&mut child.stdin.take().expect("piped"), secret.as_bytes())?;
            child.wait_with_output()
        });
    let public = String::from_utf8(convert.expect("Nix runs").stdout).expect("UTF-8").trim().to_owned();
    (secret, public)
}

#[test]
fn without_the_right_key_nothing_is_staged_and_nothing_is_sent() {
    let managed = Managed::new();
    let mut errors = vec![managed.refused()];
    let (other, _) = generate();
    managed.key_file("test.key", &other);
    let error = managed.refused();
    assert!(error.contains("`test.key` is not the key of local: its public half is test-1:"), "{error}");
    assert!(error.contains("and users trust PUBLIC"), "{error}");
    managed.key_file("test.key", &managed.public);
    errors.push(managed.refused());
    managed.key_file("test.key", "");
    errors.push(managed.refused());
    managed.trust("");
    errors.push(managed.refused());
    expect![[r#"
        the release is not published
          local is not ready, and nothing was published
          binary cache: the signing key `test.key` is in none of its places: put it in one of them
          BESIDE/config/lix-releng/test.key
          BESIDE/config/lix-releng/test.key.age
          BESIDE/tree/test.key
          BESIDE/tree/test.key.age

        the release is not published
          local is not ready, and nothing was published
          binary cache: BESIDE/config/lix-releng/test.key is no signing key: this is a public key, where a secret one belongs

        the release is not published
          local is not ready, and nothing was published
          binary cache: BESIDE/config/lix-releng/test.key is no signing key: a key is written NAME:BASE64

        the release is not published
          the plan may not be carried out:
          cache closures: releng.toml does not say yet which `public-key` users of this cache trust: put in what `nix key convert-secret-to-public < test.key` prints
    "#]]
    .assert_eq(&errors.join("\n"));
}

#[test]
fn an_encrypted_key_signs_and_is_seen_nowhere() {
    let managed = Managed::new();
    let identity = managed.place("identity.txt");
    let made = Command::new("age-keygen").arg("--output").arg(&identity).output();
    if !made.is_ok_and(|output| output.status.success()) {
        crate::repo::skip("age is not installed");
        return;
    }
    let recipient = fs::read_to_string(&identity).expect("an identity");
    let recipient = recipient.split("public key: ").nth(1).and_then(|rest| rest.lines().next()).expect("a recipient");
    let plain = managed.place("plain.key");
    fs::write(&plain, &managed.secret).expect("written");
    let encrypted = managed.place("config/lix-releng/test.key.age");
    let ran =
        Command::new("age").args(["--recipient", recipient, "--armor", "--output"]).args([&encrypted, &plain]).status();
    assert!(ran.expect("age runs").success());

    let error = managed.refused();
    assert!(error.contains("there is no age identity"), "{error}");
    fs::create_dir_all(managed.place("config/age")).expect("a directory");
    fs::copy(&identity, managed.place("config/age/keys.txt")).expect("copied");
    // What Nix is started with, and what it is given to read.
    let seen = managed.place("seen");
    managed.nix_that_stages(&format!(
        "{{ env; echo \"$@\"; ps axww; stat --format '%a' {}/*; }} >> {seen}; exec nix \"$@\"",
        managed.place("runtime")
    ));
    let mut all = String::new();
    for (phase, args) in
        [("plan", &["--verbose"][..]), ("upload", &["--verbose", "--noconfirm"]), ("verify", &["--deep"])]
    {
        let (code, said) = managed.run(phase, args);
        assert_eq!(code, Some(0), "{said}");
        all += &said;
    }
    assert!(managed.secrets_in_runtime().is_empty(), "it is gone");
    let watched = fs::read_to_string(&seen).expect("Nix staged");
    assert!(watched.lines().any(|line| line == "600"), "{watched}");
    all += &watched;
    for file in files_below(&managed.release.release_dir()) {
        all += &String::from_utf8_lossy(&fs::read(file).expect("a file"));
    }
    let (_, secret) = managed.secret.split_once(':').expect("NAME:BASE64");
    assert!(all.contains("secret-key=") && !all.contains(secret), "the secret is seen");
    assert!(all.contains("Sig: test-1:"), "the look was worth something");
}

fn files_below(dir: &Utf8PathBuf) -> Vec<Utf8PathBuf> {
    let entries = dir.read_dir_utf8().expect("a directory").map(|entry| entry.expect("an entry").into_path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn the_opened_key_is_gone_after_an_error_and_after_signals() {
    let managed = Managed::new();
    managed.key_file("test.key", &managed.secret);
    managed.nix_that_stages("echo 'error: disk full' >&2; exit 1");
    let (code, said) = managed.run("upload", &["--noconfirm"]);
    assert!(code == Some(1) && said.contains("disk full"), "{said}");
    assert!(managed.secrets_in_runtime().is_empty());

    managed.nix_that_stages("exec sleep 60");
    for signal in ["INT", "TERM", "HUP"] {
        let mut child: Child = managed
            .command("upload", &["--noconfirm"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the tool runs");
        let deadline = Instant::now() + Duration::from_secs(60);
        let files = loop {
            match managed.secrets_in_runtime() {
                files if !files.is_empty() => break files,
                _ => assert!(Instant::now() < deadline, "no key was opened"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let mode = fs::metadata(&files[0]).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let kill = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        assert!(kill.expect("kill runs").success());
        child.wait().expect("it ends");
        assert!(managed.secrets_in_runtime().is_empty(), "{signal} leaves the key behind");
    }
}

#[test]
fn what_nix_did_not_sign_is_not_sent() {
    let managed = Managed::new();
    managed.key_file("test.key", &managed.secret);
    // As Nix does where it finds no key.
    managed.nix_that_stages("exec nix \"${@/&secret-key=*/}\"");
    let (code, said) = managed.run("upload", &["--noconfirm"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Nix did not stage in") && said.contains("is not signed by the key of this cache"), "{said}");
    assert_eq!(fs::read_dir(managed.release.object(BUCKET)).expect("a bucket").count(), 0);
    fs::remove_file(managed.place("bin/nix")).expect("removed");
    let (code, said) = managed.run("upload", &["--noconfirm"]);
    assert_eq!(code, Some(0), "{said}");
}

/// The narinfo of a path in the embedded bucket, by a part of the path's name.
fn narinfo(release: &Release, name: &str) -> (Utf8PathBuf, String) {
    let entries = release.object(BUCKET).read_dir_utf8().expect("a bucket");
    let mut narinfos = entries.map(|entry| entry.expect("an entry").into_path());
    let found = narinfos.find_map(|path| {
        let text = (path.extension() == Some("narinfo")).then(|| fs::read_to_string(&path).expect("text"))?;
        text.lines().next().is_some_and(|line| line.ends_with(name)).then_some((path, text))
    });
    found.expect("a narinfo")
}

fn nar(release: &Release, name: &str) -> Utf8PathBuf {
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
    fs::write(unsigned, lines.join("\n")).expect("written");
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
    for why in ["is not signed by the key", "its NAR is gone", " bytes instead of "] {
        assert!(broken.stdout.contains(why), "{why}: {}", broken.stdout);
    }
    let plan = release.release("plan", "local", &["--verbose"]).ok();
    let act = plan.lines().find(|line| line.starts_with("  ~ cache closures "));
    assert!(act.is_some_and(|line| line.contains(" repair 4, same 6 paths")), "{plan}");
    for why in ["is not signed by the key", "its NAR is gone", " bytes instead of ", "has another NAR hash"] {
        assert!(plan.lines().any(|line| line.starts_with("      repair /nix/store/") && line.contains(why)), "{plan}");
    }
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

/// Fetches the output of a release from a cache into an empty store, as a user who trusts `key`.
fn substitute(url: &str, key: &str, release: &Release) -> Result<(bool, String)> {
    let store = tempfile::tempdir()?;
    let out = release.output("x86_64-linux", "out");
    let output = Command::new("nix")
        .args(["--extra-experimental-features", "nix-command", "copy", "--from", url])
        .args(["--to", &format!("local?root={}", store.path().display())])
        .args(["--option", "require-sigs", "true", "--option", "trusted-public-keys", key, &out])
        .env("NIX_CONFIG", NIX_CONFIG)
        .env("XDG_CACHE_HOME", store.path().join("memory"))
        .output()?;
    let arrived = store.path().join(out.trim_start_matches('/')).exists();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.success(), arrived, "{said}");
    Ok((arrived, said))
}

/// What users trust, who download from `release`'s environment.
fn trusted(release: &Release) -> String {
    let secret = fs::read_to_string(release.release_dir().join("local/cache.key")).expect("a key");
    secret.parse::<xtask::domain::signing::SecretKey>().expect("valid").public().to_string()
}

pub async fn is_substituted_by_nix(store: Store, release: &Release) -> Result<()> {
    let server = Anonymous::start(store).await?;
    let (url, key) = (server.url().to_owned(), trusted(release));
    let (_, wrong) = generate();
    tokio::task::block_in_place(|| {
        let (arrived, said) = substitute(&url, &key, release)?;
        assert!(arrived, "{said}");
        for wrong in [&wrong, &wrong.replacen("test-1", "lix-rehearsal", 1)] {
            let (arrived, said) = substitute(&url, wrong, release)?;
            assert!(!arrived && said.contains("lacks a"), "{said}");
        }
        Ok(())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn nix_substitutes_with_the_right_key_and_refuses_with_another() -> Result<()> {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let embedded = Embedded::start(release.object("").as_std_path(), &[BUCKET]).await?;
    let store = Store::new(embedded.endpoint(), Embedded::credentials(), BUCKET);
    is_substituted_by_nix(store, &release).await
}
