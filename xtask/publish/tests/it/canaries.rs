//! Secrets, looked for wherever they must not be: in the arguments and environments of other programs, in everything
//! that is printed, and in every file; after success, after an error, and after every signal.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;
use xtask_publish::tools::garage::{Access, Garage};
use xtask_publish::tools::registry::Registry;
use xtask_publish::tools::store::{Credentials, Store};

use crate::cache::{Managed, files_below, is_gone};
use crate::repo::make_executable;

const BUCKETS: [&str; 4] = ["local-cache", "local-docs", "local-install", "local-releases"];
/// `htpasswd -B`: the user `releng` with the password `secret`; and the same as skopeo keeps it.
const HTPASSWD: &str = "releng:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
const LOGIN: &str = "cmVsZW5nOnNlY3JldA==";

/// Where the keys of the buckets come from.
#[derive(Clone, Copy, Debug)]
enum Way {
    Environment,
    Profile,
    Command,
}

/// A Garage and a registry that let nobody in without a secret, and a release whose key is encrypted.
struct World {
    // Dropped in this order: the servers before their data.
    garage: Garage,
    _registry: Registry,
    managed: Managed,
    key: Credentials,
    /// Each secret, with its name.
    secrets: Vec<(&'static str, String)>,
    /// Files in which the manager keeps them.
    kept: Vec<Utf8PathBuf>,
    _data: TempDir,
}

impl World {
    /// `None`, with a line that says so, if something is not installed.
    async fn start() -> Result<Option<World>> {
        let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
        if !(Garage::is_installed() && Registry::is_installed() && has("age") && has("skopeo")) {
            crate::repo::skip("garage, docker-registry, age or skopeo is not installed");
            return Ok(None);
        }
        let data = tempfile::tempdir()?;
        let garage = Garage::start(&data.path().join("garage"), &BUCKETS).await?;
        let key = garage.make_key("writer", &BUCKETS, Access::ReadWrite, None).await?;
        let htpasswd = data.path().join("htpasswd");
        fs::write(&htpasswd, HTPASSWD)?;
        let registry = Registry::start(&data.path().join("registry"), Some(&htpasswd)).await?;

        let managed = Managed::new();
        for place in ["home/.aws", "config/age", "tmp"] {
            fs::create_dir_all(managed.place(place))?;
        }
        let address = registry.address().to_string();
        managed.release.push_images_to(&format!("{address}/lix"), true);
        let auth = managed.place("auth.json");
        fs::write(&auth, serde_json::json!({ "auths": { address: { "auth": LOGIN } } }).to_string())?;
        let identity = encrypt(&managed)?;
        let keys = managed.place("keys");
        let printed = serde_json::json!({ "id": key.id, "secret_key": key.secret });
        fs::write(&keys, format!("#!/bin/sh\necho '{printed}'\n"))?;
        make_executable(&keys);
        let profile = managed.place("home/.aws/credentials");
        let (_, signing) = managed.secret.split_once(':').expect("NAME:BASE64");
        let secrets = vec![
            ("the buckets' key", key.secret.clone()),
            ("the signing key", signing.to_owned()),
            ("the age identity", identity),
            ("the registry's login", LOGIN.to_owned()),
        ];
        let kept = vec![keys, profile, auth, managed.place("config/age/keys.txt")];
        Ok(Some(World { garage, _registry: registry, managed, key, secrets, kept, _data: data }))
    }

    /// Chooses where the keys come from.
    fn use_way(&self, way: Way) {
        let credentials = match way {
            Way::Environment | Way::Profile => "credentials.aws = {}".to_owned(),
            Way::Command => format!(
                "credentials.command.program = [\"{}\", \"{{access}}\", \"{{buckets}}\"]\n\
                 credentials.command.renew-after-minutes = 1",
                self.managed.place("keys")
            ),
        };
        let storage = format!(
            "[environments.local.storage.s3]\nendpoint = \"{}\"\nregion = \"garage\"\n{credentials}",
            self.garage.endpoint().url
        );
        self.managed.release.configure(|text| {
            let start = text.find("[environments.local.storage.").expect("a storage");
            let end = start + text[start..].find("\n\n").expect("its end");
            format!("{}{storage}{}", &text[..start], &text[end..])
        });
        let profile =
            format!("[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n", self.key.id, self.key.secret);
        let profile = if matches!(way, Way::Profile) { profile } else { String::new() };
        fs::write(self.managed.place("home/.aws/credentials"), profile).expect("written");
    }

    fn command(&self, way: Way, phase: &str, args: &[&str]) -> Command {
        let mut command = self.managed.command(phase, args);
        command.env("TMPDIR", self.managed.place("tmp")).env("REGISTRY_AUTH_FILE", self.managed.place("auth.json"));
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        if matches!(way, Way::Environment) {
            command.env("AWS_ACCESS_KEY_ID", &self.key.id).env("AWS_SECRET_ACCESS_KEY", &self.key.secret);
            // Of no use here, but secrets all the same.
            for name in ["AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_SESSION_TOKEN_OF_OLD"] {
                command.env(name, &self.key.secret);
            }
        }
        command
    }

    /// Runs a phase, which must succeed, and returns what it prints.
    fn run(&self, way: Way, phase: &str, args: &[&str]) -> String {
        let output = self.command(way, phase, args).output().expect("it runs");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "{way:?}: {said}");
        said
    }

    /// Looks for each secret in a text.
    #[track_caller]
    fn is_clean(&self, place: &str, text: &str) {
        for (name, secret) in &self.secrets {
            let seen = text.lines().find(|line| line.contains(secret.as_str()));
            assert!(seen.is_none(), "{name} is in {place}: {seen:?}");
        }
    }

    /// Looks for each secret in every file beside the tree and in it.
    #[track_caller]
    fn files_are_clean(&self, when: &str) {
        for path in files_below(&self.managed.place("")).into_iter().filter(|path| !self.kept.contains(path)) {
            // It may be removed meanwhile.
            let content = fs::read(&path).unwrap_or_default();
            self.is_clean(&format!("{path} {when}"), &String::from_utf8_lossy(&content));
        }
    }

    /// Makes every program write down its arguments and environment, and the arguments of all others.
    fn watch(&self) -> Utf8PathBuf {
        let (seen, path) = (self.managed.place("seen"), std::env::var("PATH").expect("a PATH"));
        for program in ["git", "nix", "nix-store", "nix-instantiate", "skopeo", "age"] {
            let all = if program == "git" { "" } else { "ps axww;" };
            let script = format!(
                "#!/bin/sh\n{{ echo \"{program}: $*\"; env; {all} }} >> {seen} 2>&1\nPATH='{path}' exec {program} \"$@\"\n"
            );
            let program = self.managed.place("bin").join(program);
            fs::write(&program, script).expect("written");
            make_executable(&program);
        }
        seen
    }
}

/// Encrypts the signing key, and returns the secret part of the identity that opens it.
fn encrypt(managed: &Managed) -> Result<String> {
    let identity = managed.place("config/age/keys.txt");
    anyhow::ensure!(Command::new("age-keygen").arg("--output").arg(&identity).output()?.status.success());
    let text = fs::read_to_string(&identity)?;
    let after = |start: &str| text.split(start).nth(1).and_then(|rest| rest.lines().next()).expect("an identity");
    let (recipient, secret) = (after("public key: "), after("AGE-SECRET-KEY-"));
    let (plain, encrypted) = (managed.place("plain.key"), managed.place("config/lix-releng/test.key.age"));
    fs::write(&plain, &managed.secret)?;
    let mut age = Command::new("age");
    age.args(["--recipient", recipient, "--armor", "--output"]).args([&encrypted, &plain]);
    anyhow::ensure!(age.status()?.success());
    fs::remove_file(&plain)?;
    Ok(secret.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_seen_wherever_the_keys_come_from() -> Result<()> {
    let Some(world) = World::start().await? else { return Ok(()) };
    let seen = world.watch();
    for way in [Way::Environment, Way::Profile, Way::Command] {
        world.use_way(way);
        // What was uploaded before is uploaded again.
        let docs = Store::new(world.garage.endpoint(), world.key.clone(), "local-docs");
        docs.delete("manual/lix/stable/page-1.html").await?;
        for (phase, args) in
            [("plan", &["--verbose"][..]), ("upload", &["--verbose", "--noconfirm"]), ("verify", &["--deep"])]
        {
            world.is_clean(&format!("the output of {phase}"), &world.run(way, phase, args));
        }
        world.files_are_clean(&format!("with {way:?}"));
        let watched = fs::read_to_string(&seen)?;
        for program in ["git", "nix", "skopeo"] {
            assert!(watched.contains(&format!("\n{program}: ")), "{program} was watched with {way:?}");
        }
        fs::remove_file(&seen)?;
    }
    for place in ["tmp", "runtime"] {
        assert_eq!(files_below(&world.managed.place(place)), Vec::<Utf8PathBuf>::new());
    }
    Ok(())
}

/// Signals that are taken as a wish to end: what was begun is undone, and what users see is said.
const HEEDED: [i32; 8] = [1, 2, 3, 10, 12, 14, 15, 24];
/// Signals that a run survives, or that only make it pause.
const SURVIVED: [i32; 12] = [7, 11, 13, 17, 18, 19, 20, 21, 22, 23, 25, 28];

/// The signals to send: with `RELENG_SIGNALS=all`, every one.
fn signals() -> Vec<i32> {
    match std::env::var("RELENG_SIGNALS").as_deref() {
        Ok("all") => (1..=31).collect(),
        _ => vec![1, 2, 3, 6, 9, 11, 14, 15, 24],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_left_after_an_error_or_a_signal() -> Result<()> {
    let Some(world) = World::start().await? else { return Ok(()) };
    let managed = &world.managed;
    world.use_way(Way::Command);
    managed.nix_that_stages("echo 'error: it does not work' >&2; exit 1");
    let output = world.command(Way::Command, "upload", &["--noconfirm", "--verbose"]).output()?;
    assert_eq!(output.status.code(), Some(1));
    world.is_clean("an error", &String::from_utf8_lossy(&output.stderr));
    world.files_are_clean("after an error");

    let pid = managed.place("nix-pid");
    // It has read the key.
    managed.nix_that_stages(&format!("cat > /dev/null; echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 600"));
    for signal in signals() {
        let mut command = world.command(Way::Command, "upload", &["--noconfirm", "--verbose"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let nix = begun(&pid);
        world.files_are_clean("while Nix signs");
        let limits = fs::read_to_string(format!("/proc/{}/limits", child.id()))?;
        let cores = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
        assert_eq!(cores.split_whitespace().nth(4), Some("0"), "{cores}");

        xtask_test_support::send(child.id(), signal);
        if SURVIVED.contains(&signal) {
            xtask_test_support::send(child.id(), 18);
            xtask_test_support::send(child.id(), 15);
        }
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(is_gone(nix.trim()), "after signal {signal}, Nix goes on");
        fs::remove_file(&pid)?;
        let when = format!("after signal {signal}");
        world.is_clean(&when, &said);
        world.files_are_clean(&when);
        if HEEDED.contains(&signal) {
            let last: Vec<&str> = said.lines().rev().take(2).collect();
            let first =
                last[1].starts_with("warning: stopped by ") && last[1].ends_with("users see what they saw before");
            assert!(first && last[0].trim() == "finished work is kept: run the same command again", "{said}");
            assert_eq!(output.status.code(), Some(128 + signal));
            let docs = Store::new(world.garage.endpoint(), world.key.clone(), "local-docs");
            assert!(docs.list("release.lock").await?.is_empty(), "{when}, the lock stays");
        }
    }
    fs::remove_file(managed.place("bin/nix"))?;
    world.run(Way::Command, "upload", &["--noconfirm"]);
    for place in ["tmp", "runtime"] {
        let left: Vec<_> =
            managed.place(place).read_dir_utf8()?.map(|entry| entry.map(|entry| entry.into_path())).collect();
        assert!(left.is_empty(), "what killed runs left is gone: {left:?}");
    }
    Ok(())
}

/// Waits until Nix has begun, and returns its process id.
fn begun(pid: &Utf8Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        match fs::read_to_string(pid) {
            Ok(number) => return number,
            Err(_) => assert!(Instant::now() < deadline, "Nix does not begin"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
