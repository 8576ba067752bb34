//! A target that is down does not hold back the rest: with `--without` the publication is done except for it, and
//! without the option everything that does not need it is done before the failure is reported.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use camino::Utf8Path;
use expect_test::expect;
use tempfile::TempDir;
use tokio::net::TcpSocket;
use xtask_publish::tools::registry::Registry;

use crate::registry::Front;
use crate::release::Release;
use crate::repo::{Ran, make_executable};

/// An address on this machine at which connections are refused, as long as this is kept.
fn nobody() -> Result<(TcpSocket, String)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let address = socket.local_addr()?.to_string();
    Ok((socket, address))
}

/// Makes `local` push its images to a registry, too.
fn also_push_to(release: &Release, repository: &str) {
    release.configure(|text| {
        text.replacen(r#"["oci:"#, &format!(r#"["docker://{repository}", "oci:"#), 1)
            .replacen("tls-verify = true", "tls-verify = false", 1)
            .replacen("login = true", "login = false", 1)
    });
}

/// Output without the number of a port, and without the lines about further attempts.
fn shown(release: &Release, ran: &Ran, address: &str) -> String {
    let text = release.neutral(&format!("{}{}", ran.stdout, ran.stderr)).replace(address, "HOST:PORT");
    let keep = |line: &&str| !line.contains("trying again in") && !line.contains(" act");
    // The width of a column depends on the number of a port.
    let plain = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n";
    text.lines().filter(keep).map(plain).collect()
}

/// Everything that a successful run says.
fn done(ran: &Ran) -> String {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    format!("{}{}", ran.stdout, ran.stderr)
}

fn receipt(release: &Release) -> serde_json::Value {
    let text = fs::read(release.object("local-releases/receipts/lix-2.93.1.json")).expect("a receipt");
    serde_json::from_slice(&text).expect("JSON")
}

fn status(release: &Release) -> String {
    release.repo.xtask(&["release", "status", "--config", release.config.as_str()]).ok()
}

#[test]
fn a_registry_that_is_not_there_holds_nothing_back() -> Result<()> {
    let release = Release::new("2.93.1");
    let (_kept, address) = nobody()?;
    let target = format!("{address}/lix");
    also_push_to(&release, &target);

    let plan = release.release("plan", "local", &[]);
    assert_eq!(plan.code, Some(1), "{plan:?}");
    expect![[r#"
        Lix 2.93.1 to local (patch)

        contents
        + releases lix/lix-2.93.1/ add 14 (28 kB)
        + releases lix/lix-2.93.1/SHA256SUMS.sig sign OBJECT
        + cache closures add 10 paths (3 kB unpacked)
        + docs manual/lix/2.93/ add 8 (208 B): the newest release of 2.93 here
        ? images HOST:PORT/lix cannot be asked: HOST:PORT is not available: connect: connection refused; `--without HOST:PORT/lix` publishes everything else
        + images release/local/images push OBJECT (4 kB)

        git
        + branch release-2.93 to OBJECT
        + tag 2.93.1 to OBJECT

        pointers
        + releases manifest.nix to 2.93.1: the newest stable release here
        + docs manual/lix/stable/ add 8 (208 B): the newest stable release here
        ? image HOST:PORT/lix:2.93.1 cannot be asked: HOST:PORT did not answer before
        + image release/local/images:2.93.1 to OBJECT
        ? image HOST:PORT/lix:2.93 cannot be asked: HOST:PORT did not answer before
        + image release/local/images:2.93 to OBJECT: the newest release of 2.93 here
        ? image HOST:PORT/lix:latest cannot be asked: HOST:PORT did not answer before
        + image release/local/images:latest to OBJECT: the newest stable release here

        receipt
        + releases receipts/lix-2.93.1.json says that everything is done

        plan DIGEST
        error: cannot plan the publication
        not everything could be looked at
        images HOST:PORT/lix: HOST:PORT is not available: connect: connection refused; `--without HOST:PORT/lix` publishes everything else
    "#]].assert_eq(&shown(&release, &plan, &address));

    let upload = release.upload();
    assert_eq!(upload.code, Some(1), "{upload:?}");
    let (_, end) = upload.stderr.split_once("error: ").expect("it fails");
    let end = release.neutral(end).replace(&address, "HOST:PORT");
    expect![[r#"
        the upload is not finished
          everything that does not need it is done; not tried: image HOST:PORT/lix:2.93.1, image HOST:PORT/lix:2.93, image HOST:PORT/lix:latest, releases receipts/lix-2.93.1.json
          HOST:PORT is not available: connect: connection refused; `--without HOST:PORT/lix` publishes everything else
        next: run the same command again; what is done stays done
    "#]].assert_eq(&end);
    assert_eq!(upload.stderr.matches("trying again").count(), 4, "one act asks it, once: {}", upload.stderr);
    let image = |tag: &str| {
        let index = fs::read_to_string(release.release_dir().join("local/images/index.json")).expect("an index");
        index.contains(&format!("\"{tag}\""))
    };
    for tag in ["2.93.1", "2.93", "latest"] {
        assert!(image(tag), "{tag} is in the other target");
    }
    assert!(release.object("local-releases/manifest.nix").exists(), "users get the release");
    assert!(!release.object("local-releases/receipts/lix-2.93.1.json").exists(), "and it is not complete");

    let without = done(&release.release("upload", "local", &["--noconfirm", "--without", &target]));
    assert!(!without.contains("trying again"), "it is not asked: {without}");
    assert!(without.contains(&format!("without {target}, which the next upload completes")), "{without}");
    let left = receipt(&release);
    assert_eq!(left["missing"][0]["target"], target.as_str(), "{left}");
    let why = left["missing"][0]["why"].as_str().unwrap_or_default();
    assert!(why.contains("connection refused"), "{why}");
    let again = done(&release.release("upload", "local", &["--noconfirm", "--without", &target]));
    assert!(!again.contains(" in 0."), "nothing is left to do: {again}");

    let verify = release.release("verify", "local", &[]);
    assert_eq!(verify.code, Some(3), "{verify:?}");
    let lines: Vec<&str> = verify.stdout.lines().filter(|line| line.contains(&address)).collect();
    assert!(matches!(lines[..], [line] if line.starts_with("missing")), "one line: {}", verify.stdout);
    assert!(verify.stderr.contains("was left out; next: "), "{}", verify.stderr);
    let page = status(&release);
    let lines: Vec<&str> = page.lines().filter(|line| line.contains("left out")).collect();
    assert!(
        matches!(lines[..], [line, next] if line.contains(&target) && next.contains("upload --env local")),
        "{page}"
    );

    let refused = |args: &[&str]| {
        let ran = release.release("upload", "local", &[&["--noconfirm"], args].concat());
        assert_eq!(ran.code, Some(1), "{ran:?}");
        release.neutral(&ran.stderr).replace(&address, "HOST:PORT")
    };
    let said = [
        refused(&["--without", "ghcr.io/lix"]),
        refused(&["--without", &target, "--without", "git"]),
        refused(&["--without", "local-cache"]),
        refused(&["--target", "manual", "--without", &target]),
    ];
    expect![[r#"
        error: the upload is not finished
          this upload to local does not go to `ghcr.io/lix`: what can be left out is HOST:PORT/lix and release/local/images
        error: the upload is not finished
          `--without git` is not possible: pointers move only once the branch and the tag are there, because users must be able to get the source
        error: the upload is not finished
          `--without local-cache` is not possible: the manifest that users follow leads to store paths that only that bucket has
        error: the upload is not finished
          this upload to local does not go to `HOST:PORT/lix`: nothing of it can be left out
    "#]].assert_eq(&said.concat());
    Ok(())
}

/// A registry that can be down.
struct Outage {
    front: Front,
    down: Arc<AtomicBool>,
    // Dropped after the servers.
    _registry: Registry,
    _data: TempDir,
}

impl Outage {
    /// The registry goes down for good at the first request that writes if `in_the_middle`.
    async fn start(in_the_middle: bool) -> Result<Option<Outage>> {
        if !Registry::is_installed() {
            crate::repo::skip("docker-registry is not installed");
            return Ok(None);
        }
        let data = tempfile::tempdir()?;
        let registry = Registry::start(data.path(), None).await?;
        let (down, armed) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(in_the_middle));
        let is_down = Arc::clone(&down);
        let plan = move |log: &[String]| {
            let writes = log.last().is_some_and(|request| !crate::registry::is_read(request));
            if writes && armed.swap(false, Ordering::SeqCst) {
                is_down.store(true, Ordering::SeqCst);
            }
            is_down.load(Ordering::SeqCst).then_some(503)
        };
        let front = Front::start(registry.address(), plan).await?;
        Ok(Some(Outage { front, down, _registry: registry, _data: data }))
    }

    fn target(&self) -> String {
        format!("{}/lix", self.front.address)
    }

    fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_goes_down_is_completed_by_the_next_upload() -> Result<()> {
    let Some(outage) = Outage::start(true).await? else { return Ok(()) };
    let release = Release::new("2.93.1");
    let target = outage.target();
    also_push_to(&release, &target);
    let upload = release.upload().fails(1);
    let (_, end) = upload.split_once("error: ").expect("it fails");
    let end = release.neutral(end).replace(&outage.front.address.to_string(), "HOST:PORT");
    expect![[r#"
        the upload is not finished
          everything that does not need it is done; not tried: image HOST:PORT/lix:2.93.1, image HOST:PORT/lix:2.93, image HOST:PORT/lix:latest, releases receipts/lix-2.93.1.json
          cannot publish images HOST:PORT/lix
          HOST:PORT is not available: pinging container registry HOST:PORT: invalid status code from registry 503 (Service Unavailable)
        next: run the same command again; what is done stays done (or leave it out with `--without HOST:PORT/lix`)
    "#]].assert_eq(&end);
    assert!(release.object("local-docs/manual/lix/stable/index.html").exists(), "users get the release");
    assert!(!release.object("local-releases/receipts/lix-2.93.1.json").exists(), "and it is not complete");

    release.release("upload", "local", &["--noconfirm", "--without", &target]).ok();
    assert_eq!(receipt(&release)["missing"][0]["target"], target.as_str());
    // A rollback to this version and an upload of a newer one do not stumble over it either.
    let rollback = done(&release.release("rollback", "local", &["--to", "2.93.1", "--noconfirm"]));
    assert!(rollback.contains("on 2.93.1 already"), "{rollback}");

    outage.set_down(false);
    let plan = release.release("plan", "local", &[]).ok();
    assert!(plan.contains(&format!("+ images {target}")) && plan.contains("~ releases receipts"), "{plan}");
    release.upload().ok();
    assert!(receipt(&release).get("missing").is_none(), "{}", receipt(&release));
    release.release("verify", "local", &["--deep"]).ok();
    let page = status(&release);
    assert!(!page.contains("left out"), "{page}");

    // A registry that is down is asked once by `verify`, whatever the number of its tags.
    outage.set_down(true);
    let verify = release.release("verify", "local", &[]);
    assert_eq!(verify.code, Some(1), "{verify:?}");
    assert_eq!(verify.stdout.matches("did not answer before").count(), 3, "{}", verify.stdout);
    assert!(verify.stderr.matches("trying again").count() <= 4, "{}", verify.stderr);
    Ok(())
}

#[test]
fn a_remote_that_refuses_holds_back_the_pointers_and_not_the_contents() {
    let release = Release::new("2.93.1");
    let remote = release.release_dir().join("local/git");
    fs::create_dir_all(&remote).expect("made");
    release.repo.git(&["init", "--quiet", "--bare", remote.as_str()]);
    let hook = remote.join("hooks/pre-receive");
    fs::create_dir_all(remote.join("hooks")).expect("made");
    fs::write(&hook, "#!/bin/sh\necho 'closed for tonight' >&2\nexit 1\n").expect("written");
    make_executable(&hook);
    let upload = release.upload().fails(1);
    let (_, end) = upload.split_once("error: ").expect("it fails");
    expect![[r#"
        the upload is not finished
          everything that does not need it is done; not tried: tag 2.93.1, releases manifest.nix, docs manual/lix/stable/, image release/local/images:2.93.1 and 3 more
          cannot publish branch release-2.93
          cannot push to TREE/release/local/git
          refs/heads/release-2.93 was refused: pre-receive hook declined
            closed for tonight
          the change was abandoned or submitted already: look at it in Gerrit, where an abandoned one can be restored
        next: fix that, then run the same command again; what is done stays done
    "#]].assert_eq(&release.neutral(end));
    assert!(release.object("local-releases/lix/lix-2.93.1/release.json").exists(), "contents are there");
    assert!(release.release_dir().join("local/images/blobs").exists(), "and images");
    assert!(!release.object("local-releases/manifest.nix").exists(), "no pointer has moved");
    fs::remove_file(&hook).expect("removed");
    release.upload().ok();
    release.release("verify", "local", &[]).ok();
}

#[test]
fn a_train_leaves_out_the_same_for_all() -> Result<()> {
    let releases = ["2.94.2", "2.93.4"].map(Release::new);
    let (_kept, address) = nobody()?;
    let target = format!("{address}/lix");
    also_push_to(&releases[0], &target);
    let train = |args: &[&str]| {
        let trees = releases.iter().flat_map(|release| ["--repo", release.repo.root.as_str()]);
        let words = ["release", "train", "--env", "local", "--config", releases[0].config.as_str(), "--noconfirm"];
        crate::repo::xtask(&words.into_iter().chain(trees).chain(args.iter().copied()).collect::<Vec<_>>())
    };
    let failed = train(&[]).fails(1);
    assert!(failed.contains("2 failures; everything that does not need what failed is done"), "{failed}");
    let has = |version: &str| releases[0].object(&format!("local-releases/receipts/lix-{version}.json")).exists();
    assert!(releases[0].object("local-releases/manifest.nix").exists() && !has("2.94.2") && !has("2.93.4"));
    let said = done(&train(&["--without", &target]));
    assert!(said.contains(&format!("without {target}")) && has("2.94.2") && has("2.93.4"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_publication_names_everything_that_is_to_be_made() -> Result<()> {
    if !Registry::is_installed() {
        crate::repo::skip("docker-registry is not installed");
        return Ok(());
    }
    let Some(world) = crate::real::World::start(|_, _| None).await? else { return Ok(()) };
    let release = &world.release;
    let data = tempfile::tempdir()?;
    let htpasswd = data.path().join("htpasswd");
    fs::write(&htpasswd, crate::images::HTPASSWD)?;
    let registry = Registry::start(&data.path().join("registry"), Some(&htpasswd)).await?;
    let address = registry.address().to_string();
    release.push_images_to(&format!("{address}/lix"), true);
    release.configure(|text| {
        text.replacen("[environments.local.git.directory]\npath = \"release/local/git\"", NO_REPOSITORY, 1)
            .replacen("\"local-cache\"", "\"no-cache\"", 1)
            .replacen("\"local-docs\"", "\"no-docs\"", 1)
    });
    let nowhere = Utf8Path::from_path(data.path()).expect("UTF-8").join("auth.json");
    let fails = || -> Result<String> {
        let output =
            release.command("upload", "local", &["--noconfirm"]).env("REGISTRY_AUTH_FILE", &nowhere).output()?;
        assert_eq!(output.status.code(), Some(1));
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let all = ["no-cache", "no-docs", "/nowhere/lix.git", &format!("skopeo login {address}")];
    let said = fails()?;
    let (_, said) = said.split_once("error: ").expect("it fails");
    for what in all {
        assert!(said.contains(what), "{what}: {said}");
    }
    // Also if the bucket that is looked at first does not exist.
    release.configure(|text| text.replacen("\"local-releases\"", "\"no-releases\"", 1));
    let said = fails()?;
    for what in all.into_iter().chain(["no-releases"]) {
        assert!(said.contains(what), "{what}: {said}");
    }
    let writes = world.writes(|| ());
    assert!(writes.is_empty(), "{writes:?}");
    assert!(world.store("local-releases").list("").await?.is_empty(), "nothing was sent");
    Ok(())
}

const NO_REPOSITORY: &str = "[environments.local.git.plain]\nurl = \"file:///nowhere/lix.git\"";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_write_is_noticed_before_anything_is_sent() -> Result<()> {
    let Some(world) = crate::real::World::start(|_, _| None).await? else { return Ok(()) };
    let script = fs::read_to_string(&world.keys)?;
    fs::write(
        &world.keys,
        script.replace(&world.writer.id, &world.reader.id).replace(&world.writer.secret, &world.reader.secret),
    )?;
    let said = world.release.upload().fails(1);
    for bucket in ["local-cache", "local-docs", "local-releases"] {
        assert!(said.contains(&format!("bucket {bucket}: ")), "{said}");
    }
    assert!(said.contains("local is not ready, and nothing was published"), "{said}");
    for bucket in ["local-cache", "local-docs", "local-releases"] {
        assert!(world.store(bucket).list("").await?.is_empty(), "nothing was sent");
    }
    Ok(())
}
