//! The binary cache: signed by the right key or not at all, repaired where it is broken, and read by Nix.

pub mod repair;
pub mod users;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use expect_test::expect;

use crate::release::{Release, nix};
use crate::repo::make_executable;

pub const BUCKET: &str = "local-cache";

/// A release whose cache is signed with the manager's key, and the manager's directories.
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
        self.trust_also(public, &[]);
    }

    pub fn trust_also(&self, public: &str, also: &[&str]) {
        self.release.configure(|text| {
            let start = text.find("[environments.local.cache.").expect("a key");
            let end = start + text[start..].find("\n\n").expect("its end");
            let held = format!("[environments.local.cache.held]\nkey-file = \"test.key\"\npublic-key = \"{public}\"\nalso-trusts = {also:?}");
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

    /// Exit code and all output.
    pub fn run(&self, phase: &str, args: &[&str]) -> (Option<i32>, String) {
        let output = self.command(phase, args).output().expect("the tool runs");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code(), said.concat())
    }

    /// The error of an upload that must fail before it stages or sends anything.
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

    /// A `nix` that does something else if its arguments match a shell pattern.
    fn nix_where(&self, pattern: &str, script: &str) {
        let nix = self.place("bin").join("nix");
        let path = std::env::var("PATH").expect("a PATH");
        let script =
            format!("#!/bin/bash\nPATH='{path}'\ncase \"$*\" in {pattern}) {script} ;; *) exec nix \"$@\" ;; esac\n");
        fs::write(&nix, script).expect("written");
        make_executable(&nix);
    }

    /// A `nix` that does something else when it is to stage.
    pub fn nix_that_stages(&self, script: &str) {
        self.nix_where("*secret-key*", script);
    }
}

/// A secret key and its public half, made by Nix.
pub fn generate() -> (String, String) {
    generate_named("test-1")
}

pub fn generate_named(name: &str) -> (String, String) {
    let secret =
        nix("nix", &["--extra-experimental-features", "nix-command", "key", "generate-secret", "--key-name", name]);
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
    assert!(error.contains("`test.key` is not the signing key of local: its public half is test-1:"), "{error}");
    assert!(error.contains("but users trust PUBLIC"), "{error}");
    managed.key_file("test.key", &managed.public);
    errors.push(managed.refused());
    managed.key_file("test.key", "");
    errors.push(managed.refused());
    managed.trust("");
    errors.push(managed.refused());
    expect![[r#"
        the upload is not finished
          local is not ready, and nothing was published
          binary cache: the signing key `test.key` is missing: put it in one of these places
          BESIDE/config/lix-releng/test.key
          BESIDE/config/lix-releng/test.key.age
          BESIDE/tree/test.key
          BESIDE/tree/test.key.age

        the upload is not finished
          local is not ready, and nothing was published
          binary cache: BESIDE/config/lix-releng/test.key is not a signing key: this is a public key; expected a secret one

        the upload is not finished
          local is not ready, and nothing was published
          binary cache: BESIDE/config/lix-releng/test.key is not a signing key: a key has the form NAME:BASE64

        the upload is not finished
          this plan cannot be carried out:
          releases lix/lix-2.93.1/SHA256SUMS.sig, cache closures: `public-key` is missing in releng.toml, so it is unknown which key users of this cache trust: add what `nix key convert-secret-to-public < test.key` prints
    "#]]
    .assert_eq(&errors.join("\n"));
}

/// Whether a stand-in for a program ends soon after it is killed. Its process id may belong to another program by then.
pub fn is_gone(number: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    let runs = || fs::read_to_string(format!("/proc/{number}/cmdline")).ok();
    while runs().is_some_and(|words| words.contains("/bin/nix") || words.contains("sleep\x00600")) {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

pub fn files_below(dir: &Utf8PathBuf) -> Vec<Utf8PathBuf> {
    let entries = dir.read_dir_utf8().expect("a directory").map(|entry| entry.expect("an entry").into_path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn what_nix_did_not_sign_is_not_sent() {
    let managed = Managed::new();
    managed.key_file("test.key", &managed.secret);
    // As Nix does if it finds no key.
    managed.nix_that_stages("exec nix \"${@/&secret-key=*/}\"");
    let (code, said) = managed.run("upload", &["--noconfirm"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("what Nix staged in") && said.contains("Nix did not sign it"), "{said}");
    assert_eq!(fs::read_dir(managed.release.object(BUCKET)).expect("a bucket").count(), 0);
    fs::remove_file(managed.place("bin/nix")).expect("removed");
    let (code, said) = managed.run("upload", &["--noconfirm"]);
    assert_eq!(code, Some(0), "{said}");
}

/// Nix 2.33 and newer have another format, and an option to choose it.
#[test]
fn a_newer_nix_is_asked_for_the_format_that_is_read() {
    let managed = Managed::new();
    managed.key_file("test.key", &managed.secret);
    let fake = |script: &str| managed.nix_where("*path-info*", script);
    // Format 1 if it is asked for; otherwise an error, as Nix has announced.
    fake(
        "case \"$*\" in *'--json-format 1'*) ;; *) echo 'error: --json-format is required' >&2; exit 1 ;; esac
         args=(); for arg; do case $arg in --json-format | 1) ;; *) args+=(\"$arg\") ;; esac; done
         exec nix \"${args[@]}\"",
    );
    let (code, said) = managed.run("plan", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("add 10 paths"), "{said}");
    // Format 2, whatever is asked for.
    fake(
        "echo '{\"version\":2,\"storeDir\":\"/nix/store\",\"info\":{\"s1ph2ym3d4b06r86sv46dg4hz7cr0kzw-top\":{\"narHash\":{\"algorithm\":\"sha256\",\"format\":\"base64\",\"hash\":\"Hjcz5WiOrAWQN/TBS+5L8qR1x0HIZbtGDXqX++Bp/0w=\"},\"narSize\":216,\"references\":[]}}}'",
    );
    let (code, said) = managed.run("plan", &[]);
    assert!(code == Some(0) && said.contains("add 1 path "), "{said}");
    // Only an error about the store is a reason to build again.
    fake("echo oops");
    let (_, said) = managed.run("plan", &[]);
    assert!(
        said.contains("cannot read what `nix path-info --json` wrote") && !said.contains("build it again"),
        "{said}"
    );
    fake("echo 'error: database is locked' >&2; exit 1");
    let (_, said) = managed.run("plan", &[]);
    assert!(said.contains("cannot ask Nix about the build") && !said.contains("build it again"), "{said}");
    fake("echo \"error: path '/nix/store/x' is not valid\" >&2; exit 1");
    let (_, said) = managed.run("plan", &[]);
    assert!(said.contains("are no longer in the Nix store: build it again"), "{said}");
}
