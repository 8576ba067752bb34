//! The manager's environment variables: a proxy is not used for servers on this machine.

use anyhow::Result;
use tempfile::TempDir;
use xtask_publish::tools::registry::Registry;

use crate::release::Release;

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
