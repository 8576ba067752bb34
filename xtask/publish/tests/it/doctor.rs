//! `release doctor`: its findings and remedies, and that it leaves nothing behind.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use expect_test::expect;
use hyper::Method;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use xtask_publish::tools::embedded::Embedded;
use xtask_publish::tools::garage::{Access, Garage};
use xtask_publish::tools::store::{Credentials, Endpoint};

use crate::cache::{Managed, generate};
use crate::gerrit::reviewed;
use crate::proxy::{Fault, Proxy};
use crate::release::Release;
use crate::repo::{Ran, command, make_executable, xtask};

const BUCKETS: [&str; 4] = ["local-cache", "local-docs", "local-install", "local-releases"];

/// Jobs of this system and of another one.
const FLAKE: &str = r#"{
  outputs = _: {
    release-jobs =
      let
        job = system: derivation { name = "lix"; inherit system; builder = "/bin/sh"; };
        jobs = systems: { build = builtins.listToAttrs (map (name: { inherit name; value = job name; }) systems); };
      in
      { all = jobs [ "x86_64-linux" "aarch64-darwin" ]; x86_64-linux-only = jobs [ "x86_64-linux" ]; };
  };
}
"#;

pub fn doctor(release: &Release, args: &[&str]) -> Ran {
    let mut all = vec!["release", "doctor", "--config", release.config.as_str(), "--repo", release.repo.root.as_str()];
    all.extend(args);
    // `--repo` comes before the arguments for Nix.
    xtask(&all)
}

/// Like [`doctor`], with an `ssh` that plays builders: each says that it is a Mac, except `closed`, which lets nobody in.
fn doctor_with_builders(release: &Release, args: &[&str]) -> Ran {
    let bin = release.repo.beside("bin");
    fs::create_dir_all(&bin).expect("a directory");
    let script = "#!/bin/sh\n\
        case \"$*\" in *closed*) echo 'closed: Permission denied (publickey).' >&2; exit 255 ;; esac\n\
        echo 'version nix-store (Nix) 2.34.8'\n\
        echo 'system = aarch64-darwin'\n\
        echo 'free /dev/disk 264212084 67570216 27715672 71% /nix'\n";
    fs::write(bin.join("ssh"), script).expect("written");
    make_executable(&bin.join("ssh"));
    let path = std::env::var("PATH").expect("a PATH");
    let mut all = vec!["release", "doctor", "--config", release.config.as_str(), "--repo", release.repo.root.as_str()];
    all.extend(args);
    let output = command(&all).env("PATH", format!("{bin}:{path}")).env_remove("NIX_REMOTE").output();
    Ran::from(output.expect("the tool runs"))
}

/// A release whose flake evaluates.
fn with_flake(release: &Release) {
    release.repo.write("flake.nix", FLAKE);
    release.repo.commit_all("a flake");
}

/// The page, without what differs between machines.
fn page(stdout: &str) -> String {
    let of_machine = ["git", "nix", "skopeo", "cargo", "disk", "git remote", "namespaces"];
    let mut shortened = false;
    let line = |line: &str| {
        let what: String = line.chars().skip(4).take(21).collect();
        if shortened && what.starts_with("      ") {
            return String::new();
        }
        shortened = of_machine.contains(&what.trim_end());
        if shortened { format!("{}…\n", line.chars().take(25).collect::<String>()) } else { format!("{line}\n") }
    };
    stdout.lines().map(line).collect()
}

/// The lines about one thing with their continuations, moved to the left.
pub fn about(stdout: &str, what: &str) -> String {
    let mut lines = Vec::new();
    let mut ours = false;
    for line in stdout.lines() {
        if line.starts_with("  ") && !line.starts_with("      ") {
            ours = line.chars().skip(4).collect::<String>().starts_with(what);
        } else if !line.starts_with(' ') {
            ours = false;
        }
        if ours {
            lines.push(line.strip_prefix("  ").unwrap_or(line));
        }
    }
    lines.join("\n")
}

/// A text on one line, because wrapping depends on the machine's paths.
pub fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Moves the environment `local` to a server, with keys from a program.
fn behind(release: &Release, endpoint: &Endpoint, keys: &Credentials) {
    let program = release.repo.beside("keys");
    let printed = serde_json::json!({ "name": "x", "id": keys.id, "secret_key": keys.secret });
    fs::write(&program, format!("#!/bin/sh\necho '{printed}'\n")).expect("written");
    make_executable(&program);
    let storage = format!(
        "[environments.local.storage.s3]\nendpoint = \"{}\"\nregion = \"{}\"\n\
         [environments.local.storage.s3.credentials.command]\n\
         program = [\"{program}\", \"{{access}}\", \"{{buckets}}\"]\nrenew-after-minutes = 45\n",
        endpoint.url, endpoint.region
    );
    release.configure(|text| {
        text.replacen("[environments.local.storage.embedded]\ndirectory = \"release/local/s3\"", &storage, 1)
    });
}

#[test]
fn a_healthy_environment_and_what_is_left_behind() {
    let release = Release::tagged("2.93.1");
    with_flake(&release);
    let builders = "ssh://mac aarch64-darwin";
    let ran = doctor_with_builders(&release, &["--env", "local", "--", "--builders", builders]);
    expect![[r#"
        this machine
          ✓ git                  …
          ✓ nix                  …
          ✓ skopeo               …
          ✓ cargo                …
          ✓ nix with flakes      evaluates release-jobs, for all and x86_64-linux-only
          ✓ builder              ssh://mac: aarch64-darwin, Nix 2.34.8, 28.4 GB free
          ✓ builders             aarch64-darwin by ssh://mac; x86_64-linux here (profile all)
          ✓ namespaces           …
          ✓ disk                 …

        the tree
          ✓ git identity         Release Manager <manager@example.org>
          · commit-msg hook      none; only Gerrit requires it
          ✓ clone                complete
          ✓ work tree            clean
          ✓ release notes        0 fragments in doc/manual/rl-next, no problems
          ✓ version              2.93.1 "Bici Bici"

        local
          · endpoint             none: this tool serves release/local/s3 itself
          ✓ git remote           …
          ✓ images               release/local/images is a directory, which needs no login
          · signing key          release/local/cache.key does not exist yet: `upload` makes it
          ✓ key for reading      obtained
          ✓ published            0 versions
          ✓ key for writing      obtained
          ✓ bucket               local-cache: write, read and delete succeeded
          ✓ bucket               local-docs: write, read and delete succeeded
          ✓ bucket               local-install: write, read and delete succeeded
          ✓ bucket               local-releases: write, read and delete succeeded
    "#]]
    .assert_eq(&page(&ran.stdout));
    assert!(ran.stderr.contains("no problems"), "{}", ran.stderr);
    ran.ok();
    for bucket in BUCKETS {
        let left = fs::read_dir(release.object(bucket)).expect("a bucket").count();
        assert_eq!(left, 0, "the probe is removed from {bucket}");
    }
    assert!(!release.release_dir().join("local/cache.key").exists(), "no key is made");
    assert_eq!(release.repo.git(&["status", "--porcelain"]), "");
}

#[test]
fn what_is_wrong_comes_with_its_remedy() {
    let release = Release::tagged("2.93.1");
    release.repo.write("doc/manual/rl-next/bad.md", "---\nsynopsys: x\n---\n");
    release.repo.write(".gitignore", "/release\n/x\n");
    let ran = doctor(&release, &[]);
    for expected in [
        "✗ nix with flakes",
        "· builders ",
        "✗ work tree            commit or stash .gitignore",
        "unknown key `synopsys`",
    ] {
        assert!(ran.stdout.contains(expected), "{expected}: {}", ran.stdout);
    }
    assert!(ran.fails(1).contains("not ready: 3 to fix"));
    let json: serde_json::Value = serde_json::from_str(&doctor(&release, &["--json"]).stdout).expect("JSON");
    let entries = json.as_array().expect("a list");
    assert!(entries.iter().any(|entry| entry["of"] == "the tree" && entry["state"] == "bad"), "{json:#}");
}

#[test]
fn somebody_has_to_build_for_each_system_of_the_environments_profile() {
    let release = Release::tagged("2.93.1");
    with_flake(&release);
    let builders = |args: &[&str]| about(&doctor_with_builders(&release, args).stdout, "builder");
    let list = release.repo.beside("machines");
    fs::write(&list, "# ours\nssh://list aarch64-darwin\n").expect("written");
    let mut shown = vec![builders(&["--", "--builders", ""]), builders(&["--", "--builders", &format!("@{list}")])];
    shown.push(builders(&["--", "--builders", "ssh://closed aarch64-darwin /key; ssh://mac x86_64-darwin"]));
    release.configure(|text| text.replacen("[\"all\", \"x86_64-linux-only\"]", "[\"all\"]", 1));
    shown.push(builders(&["--env", "local", "--", "--builders", ""]));
    release.configure(|text| text.replacen("[\"all\"]", "[\"x86_64-linux-only\"]", 1));
    shown.push(builders(&["--env", "local", "--", "--builders", ""]));
    expect![[r#"
        ✗ builders             there is no builder for aarch64-darwin: list a builder in
                               /etc/nix/machines; try `-- --builders 'ssh://HOST aarch64-darwin'`, here
                               and with `build`; or for a trial, build with `--profile x86_64-linux-only`
        ✓ builder              ssh://list: aarch64-darwin, Nix 2.34.8, 28.4 GB free
        ✓ builders             aarch64-darwin by ssh://list; x86_64-linux here (profile all)
        ✗ builder              ssh://closed rejects the key /key: the public half belongs into
                               `authorized_keys` of closed
        ✗ builder              ssh://mac is listed for x86_64-darwin, but builds for aarch64-darwin:
                               correct the list of builders, or `extra-platforms` there
        · builders             aarch64-darwin by ssh://closed; x86_64-linux here (profile all), once they
                               all answer
        ✗ builders             there is no builder for aarch64-darwin: list a builder in
                               /etc/nix/machines; or try `-- --builders 'ssh://HOST aarch64-darwin'`, here
                               and with `build`
        ✓ builders             x86_64-linux here (profile x86_64-linux-only)"#]]
    .assert_eq(&shown.join("\n"));
}

#[test]
fn gerrit_demands_its_hook() {
    let (release, gerrit) = reviewed();
    let hook = || about(&doctor(&release, &["--env", "local"]).stdout, "commit-msg hook");
    expect![[r#"
        ✗ commit-msg hook      Gerrit requires the Change-Id that its hook adds, and the hook is not
                               installed or not executable:
                               `hook=$(git rev-parse --git-path hooks/commit-msg)`
                               `curl --location --output "$hook" https://GERRIT/tools/hooks/commit-msg && chmod +x "$hook"`"#]].assert_eq(&hook());
    let path = release.repo.root.join(".git/hooks/commit-msg");
    fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    fs::write(&path, "#!/bin/sh\n").expect("written");
    assert!(hook().contains("✗ commit-msg hook"), "it is no program, so git does not run it");
    make_executable(&path);
    assert_eq!(hook(), "✓ commit-msg hook      installed");

    let remote = || about(&doctor(&release, &["--env", "local"]).stdout, "git remote");
    assert!(remote().contains("✓ git remote") && remote().contains("can be reached"), "{}", remote());
    fs::remove_dir_all(&gerrit).expect("removed");
    assert!(remote().contains("✗ git remote"), "{}", remote());
    release.repo.git(&["remote", "remove", "gerrit"]);
    assert!(remote().contains("git remote add gerrit"), "{}", remote());
}

#[test]
fn the_signing_key_is_opened_and_compared() {
    let managed = Managed::new();
    let about = |what: &str| {
        let (_, said) = managed.run("doctor", &[]);
        let shown = flat(&about(&said, what)).replace(managed.place("").as_str(), "BESIDE/");
        shown.replace(&managed.public, "PUBLIC")
    };
    let mut shown = vec![about("signing key")];
    managed.key_file("test.key", &managed.secret);
    shown.push(about("signing key"));
    let (other, public) = generate();
    managed.key_file("test.key", &other);
    shown.push(about("signing key").replace(&public, "ANOTHER"));
    managed.trust("");
    shown.push(about("signing key"));
    expect![[r#"
        ✗ signing key the signing key `test.key` is missing: put it in one of these places BESIDE/config/lix-releng/test.key BESIDE/config/lix-releng/test.key.age BESIDE/tree/test.key BESIDE/tree/test.key.age
        ✓ signing key BESIDE/config/lix-releng/test.key, public half PUBLIC
        ✗ signing key the binary cache cannot be signed: `test.key` is not the signing key of local: its public half is ANOTHER, but users trust PUBLIC
        ✗ signing key the binary cache cannot be signed: `public-key` is missing in releng.toml, so it is unknown which key users of this cache trust: add what `nix key convert-secret-to-public < test.key` prints"#]].assert_eq(&shown.join("\n"));
}

#[test]
fn an_encrypted_key_needs_what_decrypts_it() {
    let managed = Managed::new();
    managed.key_file("test.key.age", "-----BEGIN AGE ENCRYPTED FILE-----\n");
    // Everything that `doctor` runs, except age.
    let bin = managed.place("few");
    fs::create_dir(&bin).expect("made");
    for program in ["git", "nix", "skopeo", "cargo", "sh"] {
        let path = std::env::var("PATH").expect("a PATH");
        let found = path.split(':').map(|dir| format!("{dir}/{program}")).find(|path| fs::metadata(path).is_ok());
        if let Some(found) = found {
            symlink(found, bin.join(program)).expect("linked");
        }
    }
    let output = managed.command("doctor", &[]).env("PATH", &bin).output().expect("the tool runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let shown = flat(&[about(&stdout, "age"), about(&stdout, "signing key")].join("\n"));
    expect!["✗ age BESIDE/config/lix-releng/test.key.age is encrypted: install age (or rage)"]
        .assert_eq(&shown.replace(managed.place("").as_str(), "BESIDE/"));
}

/// A server that refuses everything as Garage does, with a wrong clock.
async fn refuse(listener: TcpListener) {
    while let Ok((socket, _)) = listener.accept().await {
        let service = service_fn(|_| async {
            let response = hyper::Response::builder().status(403).header("date", "Mon, 01 Jan 2024 00:00:00 GMT");
            response.body("<Error><Code>AccessDenied</Code><Region>garage</Region></Error>".to_owned())
        });
        tokio::spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_says_where_it_is_and_what_time_it_is() -> Result<()> {
    let release = Release::tagged("2.93.1");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let server = tokio::spawn(refuse(listener));
    let endpoint = Endpoint { url: url.clone(), region: "global".into() };
    behind(&release, &endpoint, &Embedded::credentials());
    let ran = doctor(&release, &["--env", "local"]);
    let clock = flat(&about(&ran.stdout, "clock"));
    let clock = clock.split(' ').map(|word| if word.parse::<u64>().is_ok() { "N" } else { word });
    let shown = [
        about(&ran.stdout, "endpoint").replace(&url, "URL"),
        about(&ran.stdout, "region"),
        clock.collect::<Vec<_>>().join(" "),
        about(&ran.stdout, "buckets"),
    ];
    expect![[r#"
        ✓ endpoint             URL answers
        ✗ region               the server's region is `garage`, and it rejects signatures for `global`:
                               set `region = "garage"` in `[environments.local.storage.s3]` of releng.toml
        ✗ clock this machine's clock is N s off the server's: correct it, because signatures contain the time
        · buckets              not tried, because the server cannot be used"#]]
    .assert_eq(&shown.join("\n"));
    server.abort();
    // Nothing listens there any more.
    let _ = server.await;
    let ran = doctor(&release, &["--env", "local"]);
    let endpoint = about(&ran.stdout, "endpoint");
    assert!(endpoint.contains("✗ endpoint") && endpoint.contains("does not answer"), "{endpoint}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probe_is_removed_when_something_fails_in_between() -> Result<()> {
    let release = Release::tagged("2.93.1");
    let data = tempfile::tempdir()?;
    let embedded = Embedded::start(data.path(), &BUCKETS).await?;
    // First the server itself, what is published, and what is withdrawn; then only probes are read.
    let reads = AtomicUsize::new(0);
    let proxy = Proxy::start(embedded.endpoint(), move |_, method| {
        let read = *method == Method::GET && reads.fetch_add(1, Ordering::SeqCst) >= 3;
        read.then_some(Fault::Status(403))
    })
    .await?;
    behind(&release, &proxy.endpoint, &Embedded::credentials());
    let ran = doctor(&release, &["--env", "local"]);
    assert_eq!(ran.stdout.matches("✗ bucket").count(), 4, "{}", ran.stdout);
    assert!(ran.stdout.contains("the server answered 403"), "{}", ran.stdout);
    assert_eq!(proxy.requests().iter().filter(|method| **method == Method::PUT).count(), 4);
    for bucket in BUCKETS {
        assert_eq!(fs::read_dir(data.path().join(bucket))?.count(), 0, "the probe is removed from {bucket}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn garage_is_healthy_or_says_its_region() -> Result<()> {
    if !Garage::is_installed() {
        crate::repo::skip("garage is not installed");
        return Ok(());
    }
    let release = Release::tagged("2.93.1");
    let data = tempfile::tempdir()?;
    let garage = Garage::start(data.path(), &BUCKETS).await?;
    let keys = garage.make_key("doctor", &BUCKETS, Access::ReadWrite, None).await?;
    behind(&release, garage.endpoint(), &keys);
    let stdout = doctor(&release, &["--env", "local"]).stdout;
    for line in ["✓ endpoint ", "✓ region               garage", "✓ clock ", "✓ key for writing "] {
        assert!(stdout.contains(line), "{line}: {stdout}");
    }
    assert_eq!(stdout.matches("✓ bucket ").count(), 4, "{stdout}");

    release.configure(|text| text.replacen("region = \"garage\"", "region = \"global\"", 1));
    let stdout = doctor(&release, &["--env", "local"]).stdout;
    assert!(flat(&about(&stdout, "region")).contains("set `region = \"garage\"` in"), "{stdout}");
    assert!(stdout.contains("· buckets "), "{stdout}");

    // A key that can only read.
    let reader = garage.make_key("reader", &BUCKETS, Access::Read, None).await?;
    let program = release.repo.beside("keys");
    let printed = serde_json::json!({ "name": "x", "id": reader.id, "secret_key": reader.secret });
    fs::write(&program, format!("#!/bin/sh\necho '{printed}'\n")).context("written")?;
    release.configure(|text| text.replacen("region = \"global\"", "region = \"garage\"", 1));
    let stdout = doctor(&release, &["--env", "local"]).stdout;
    assert_eq!(stdout.matches("✗ bucket ").count(), 4, "{stdout}");
    assert!(!stdout.contains(&reader.secret), "no secret is seen");
    Ok(())
}
