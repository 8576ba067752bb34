//! `world up`, a release to these servers with the `releng.toml` that it wrote, and `world down`.

use std::process::Command;

use anyhow::{Context, Result};
use xtask_publish::tools::test_servers::TestServers;

use crate::release::Release;
use crate::repo::Ran;

/// Stops the servers, however the test ends.
struct Up<'a>(&'a Release);

impl Up<'_> {
    fn world(&self, what: &str) -> Ran {
        self.0.repo.xtask(&["world", what])
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        let _ = self.world("down");
    }
}

#[test]
fn it_stays_until_it_is_taken_down_and_a_release_goes_there() -> Result<()> {
    let skopeo = Command::new("skopeo").arg("--version").output().is_ok_and(|output| output.status.success());
    if !skopeo || !TestServers::is_installed() {
        crate::repo::skip("skopeo, garage or docker-registry is not installed");
        return Ok(());
    }
    let release = Release::new("2.93.1");
    let up = Up(&release);
    assert!(up.world("down").stderr.contains("no servers were running"));
    let said = up.world("up").fails(0);
    let config = release.release_dir().join("world/releng.toml");
    assert!(said.contains(config.as_str()), "{said}");

    let run = |args: &[&str]| {
        let args = [&["release"], args, &["--env", "world", "--config", config.as_str()]].concat();
        release.repo.xtask(&args)
    };
    run(&["upload", "--noconfirm"]).ok();
    run(&["verify", "--deep"]).ok();
    // After a restart on other ports, the branch, the buckets and the images are still there.
    up.world("up").ok();
    let again = run(&["upload", "--noconfirm"]).fails(0);
    assert!(!again.contains(" + ") && !again.contains(" ~ "), "{again}");

    // Looking is done with a key that cannot write.
    let keys = release.release_dir().join("world/keys");
    let key = |access: &[&str]| -> Result<String> {
        let printed = Command::new(&keys).args(access).arg("world-docs").output()?.stdout;
        let printed: serde_json::Value = serde_json::from_slice(&printed)?;
        Ok(printed["name"].as_str().context("a name")?.to_owned())
    };
    assert_eq!(key(&["--read"])?, "world-Read");
    assert_eq!(key(&["--read", "--write"])?, "world-ReadWrite");

    assert!(up.world("down").stderr.contains("down:"));
    assert!(up.world("down").stderr.contains("no servers were running"));
    Ok(())
}
