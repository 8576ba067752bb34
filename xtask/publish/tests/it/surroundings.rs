//! The manager's environment variables: secrets reach only programs that need them, and a proxy is not used for servers
//! on this machine.

use std::fs;

use anyhow::Result;
use tempfile::TempDir;
use xtask_publish::tools::registry::Registry;

use crate::release::Release;
use crate::repo::make_executable;

const SECRETS: [&str; 3] = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"];
const PROXIES: [&str; 6] = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// A release whose images go to a registry on this machine, which runs until the returned value is dropped.
async fn with_registry() -> Result<Option<(Release, Registry, TempDir)>> {
    if !Registry::is_installed() {
        crate::repo::skip("docker-registry is not installed");
        return Ok(None);
    }
    let release = Release::new("2.93.1");
    let data = tempfile::tempdir()?;
    let registry = Registry::start(data.path(), None).await?;
    release.push_images_to(&format!("{}/lix/lix", registry.address()), false);
    Ok(Some((release, registry, data)))
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_the_environment_reach_no_program() -> Result<()> {
    let Some((release, _registry, _data)) = with_registry().await? else { return Ok(()) };
    let (bin, seen) = (release.repo.beside("bin"), release.repo.beside("seen"));
    fs::create_dir(&bin)?;
    let path = std::env::var("PATH")?;
    // Each writes down the environment with which it was started.
    for program in ["git", "nix", "nix-store", "nix-instantiate", "skopeo"] {
        let script = format!(
            "#!/bin/sh\n{{ echo \"{program}: $*\"; env; }} >> {seen} 2>&1\nPATH='{path}' exec {program} \"$@\"\n"
        );
        fs::write(bin.join(program), script)?;
        make_executable(&bin.join(program));
    }
    let mut all = String::new();
    for (phase, arguments) in [("plan", &["--verbose"][..]), ("upload", &["--noconfirm"]), ("verify", &[])] {
        let mut command = release.command(phase, "local", arguments);
        command.env("PATH", format!("{bin}:{path}"));
        for name in SECRETS {
            command.env(name, format!("canary-{name}"));
        }
        let output = command.output()?;
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "{said}");
        all += &said;
    }
    all += &fs::read_to_string(&seen)?;
    for program in ["git", "nix", "skopeo"] {
        assert!(all.contains(&format!("\n{program}: ")), "{program} was watched");
    }
    assert!(!all.contains("canary-"), "{}", all.lines().filter(|line| line.contains("canary-")).collect::<String>());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_not_asked_for_what_is_on_this_machine() -> Result<()> {
    let Some((release, _registry, _data)) = with_registry().await? else { return Ok(()) };
    for (phase, arguments) in [("upload", &["--noconfirm"][..]), ("verify", &["--deep"])] {
        let mut command = release.command(phase, "local", arguments);
        for name in PROXIES {
            // Nothing listens there.
            command.env(name, "http://127.0.0.1:9");
        }
        let output = command.output()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
