//! Registries, through skopeo: its transports, its logins, its credential helpers.
//!
//! Owns what skopeo's failures mean. Registries are asked again after anything but a clear answer, since they answer
//! 429 and 503 when they are busy. Refuses to know which images there should be.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8Path;
use xtask::domain::digest::Digest;
use xtask::tools::process;

/// How often a question is asked.
const ATTEMPTS: u32 = 4;
/// Before the second time; doubled before each further one.
const PAUSE: Duration = Duration::from_millis(500);
/// Every image of an index, and the index.
const ALL: &str = "--multi-arch=all";
/// skopeo's own, of a whole copy: what is there by then is not sent again.
const COPIES: &str = "--retry-times=3";

/// How skopeo words that there is no such thing. The status alone comes from proxies and from young registries.
const ABSENT: [&str; 5] = ["manifest unknown", "name unknown", "blob unknown", "404 (Not Found)", "StatusCode: 404"];
/// How it words that we may not.
const DENIED: [&str; 4] = ["unauthorized", "denied", "authentication required", "invalid username/password"];

/// skopeo, for one repository in one registry.
#[derive(Debug, Clone)]
pub struct Skopeo {
    /// `REGISTRY/REPOSITORY`
    repository: String,
    tls_verify: bool,
}

/// What is asked about a manifest.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    Manifest,
    /// The configuration that it names.
    Config,
}

impl Skopeo {
    pub fn new(repository: &str, tls_verify: bool) -> Skopeo {
        Skopeo { repository: repository.to_owned(), tls_verify }
    }

    /// `:TAG`, or `@DIGEST`, made a whole reference.
    fn reference(&self, which: &str) -> String {
        format!("docker://{}{which}", self.repository)
    }

    /// The host, as `skopeo login` takes it.
    pub fn registry(&self) -> &str {
        self.repository.split('/').next().unwrap_or(&self.repository)
    }

    /// The bytes that a tag leads to; `None` if there is no such tag.
    ///
    /// # Errors
    /// The registry gives no clear answer, or does not let us read.
    pub async fn tagged(&self, tag: &str) -> Result<Option<Vec<u8>>> {
        self.inspect(self.reference(&format!(":{tag}")), Part::Manifest).await
    }

    /// The bytes of a manifest or an index, or of the configuration that a manifest names; `None` if it is not there.
    ///
    /// # Errors
    /// As for [`Skopeo::tagged`].
    pub async fn read(&self, digest: Digest, part: Part) -> Result<Option<Vec<u8>>> {
        self.inspect(self.reference(&format!("@{}", digest.oci())), part).await
    }

    async fn inspect(&self, reference: String, part: Part) -> Result<Option<Vec<u8>>> {
        let verify = format!("--tls-verify={}", self.tls_verify);
        let config = matches!(part, Part::Config).then_some("--config");
        let args = ["inspect", "--raw", &verify].into_iter().chain(config).chain([reference.as_str()]);
        let args: Vec<String> = args.map(str::to_owned).collect();
        let mut pause = PAUSE;
        for attempt in 1.. {
            let (shown, output) = run(args.clone()).await?;
            if output.status.success() {
                return Ok(Some(output.stdout));
            }
            let said = String::from_utf8_lossy(&output.stderr);
            if ABSENT.iter().any(|words| said.contains(words)) {
                return Ok(None);
            }
            let failed = || format!("cannot look at {reference}");
            if DENIED.iter().any(|words| said.contains(words)) {
                let remedy = format!("{} does not let us read: `skopeo login {0}`", self.registry());
                return process::check(&shown, &output).context(remedy).with_context(failed).map(|()| None);
            }
            if attempt == ATTEMPTS {
                return process::check(&shown, &output).with_context(failed).map(|()| None);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        unreachable!("the last attempt returns")
    }

    /// Sends everything of a layout's index, and the index under its digest: no tag leads there.
    ///
    /// # Errors
    /// skopeo's, which are the registry's.
    pub async fn push(&self, layout: &Utf8Path, name: &str, index: Digest) -> Result<()> {
        self.copy(ALL, &format!("oci:{layout}:{name}"), &self.reference(&format!("@{}", index.oci()))).await
    }

    /// Makes a tag lead to what the registry has under a digest. Nothing but the index is sent.
    ///
    /// # Errors
    /// As for [`Skopeo::push`].
    pub async fn tag(&self, index: Digest, tag: &str) -> Result<()> {
        let from = self.reference(&format!("@{}", index.oci()));
        self.copy("--multi-arch=index-only", &from, &self.reference(&format!(":{tag}"))).await
    }

    /// Downloads everything of an index into the new directory `to`; skopeo compares each blob with its digest.
    ///
    /// # Errors
    /// Something is missing or damaged, or the registry gives no clear answer: skopeo's words.
    pub async fn download(&self, index: Digest, to: &Utf8Path) -> Result<()> {
        self.copy(ALL, &self.reference(&format!("@{}", index.oci())), &format!("dir:{to}")).await
    }

    async fn copy(&self, images: &str, from: &str, to: &str) -> Result<()> {
        let mut args: Vec<String> =
            ["--insecure-policy", "copy", "--quiet", images, "--preserve-digests", COPIES].map(str::to_owned).into();
        for (side, reference) in [("src", from), ("dest", to)] {
            if reference.starts_with("docker://") {
                args.push(format!("--{side}-tls-verify={}", self.tls_verify));
            }
        }
        args.extend([from.to_owned(), to.to_owned()]);
        let (shown, output) = run(args).await?;
        let result = process::check(&shown, &output);
        let said = String::from_utf8_lossy(&output.stderr);
        match result {
            Err(error) if DENIED.iter().any(|words| said.contains(words)) => {
                let remedy =
                    format!("{} does not let us: `skopeo login {0}`, as somebody who may push", self.registry());
                Err(error.context(remedy))
            }
            result => result,
        }
    }

    /// Whether the registry knows us: skopeo has a login, and the registry takes it. Asks nobody, writes nothing.
    ///
    /// Whether that login may push, no question of skopeo's tells: the push does.
    ///
    /// # Errors
    /// What to type.
    pub async fn check_login(&self) -> Result<()> {
        let (registry, verify) = (self.registry(), format!("--tls-verify={}", self.tls_verify));
        let remedy = format!("type `skopeo login {registry}`, as somebody who may push to {}", self.repository);
        let login = |args: &[&str]| ["login"].iter().chain(args).map(|&arg| arg.to_owned()).collect::<Vec<_>>();
        let (_, known) = run(login(&["--get-login", &self.repository])).await?;
        if !known.status.success() {
            bail!("{registry} does not know us: {remedy}");
        }
        // With a login at hand, skopeo tries it. If the registry refuses, it asks for another one, and finds no stdin.
        let (_, tried) = run(login(&[&verify, &self.repository])).await?;
        let user = String::from_utf8_lossy(&known.stdout).trim().to_owned();
        ensure!(tried.status.success(), "{registry} does not take our login as {user}: {remedy}");
        Ok(())
    }
}

/// Runs skopeo to its end, whatever its exit status; the command is for messages.
async fn run(args: Vec<String>) -> Result<(String, Output)> {
    let running = move || {
        let sh = process::shell_in(Utf8Path::new("."))?;
        let cmd = sh.cmd("skopeo").args(args);
        let shown = cmd.to_string();
        process::capture(cmd).map(|output| (shown, output))
    };
    tokio::task::spawn_blocking(running).await?
}
