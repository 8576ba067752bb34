//! Registries, through skopeo with its transports, logins and credential helpers.
//!
//! A registry that is busy, failing or unreachable is asked again, for reads and writes. Its answers are interpreted in
//! [`answer`].

mod answer;

use std::fmt;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use camino::Utf8Path;
use xtask::domain::digest::Digest;
use xtask::tools::process;

use self::answer::Answer;
use super::child::{self, Wait};
use super::progress;
use super::wire::CannotAsk;

/// Number of attempts.
const ATTEMPTS: u32 = 5;
/// Pause before the second attempt, doubled before each further one.
const PAUSE: Duration = Duration::from_secs(1);
/// Time limit for a manifest.
const LONGEST: Duration = Duration::from_secs(60);
/// Time limit for a registry that is only asked whether it answers.
const SHORT: Duration = Duration::from_secs(10);
/// Time for which a registry may be silent while images are transferred.
const SILENT: Duration = Duration::from_secs(120);
/// Option to copy an index with all of its images.
const ALL: &str = "--multi-arch=all";

/// A registry's refusal to let us read or write, which may only mean that the repository does not exist yet.
#[derive(Debug)]
pub struct Denied(String);

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Denied {}

/// Whether an error is a registry's refusal.
pub fn is_denied(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Denied>().is_some()
}

/// skopeo, for one repository in one registry.
#[derive(Debug, Clone)]
pub struct Skopeo {
    /// `REGISTRY/REPOSITORY`
    repository: String,
    tls_verify: bool,
}

/// A part of an image.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    Manifest,
    /// The configuration that the manifest names.
    Config,
}

impl Skopeo {
    pub fn new(repository: &str, tls_verify: bool) -> Skopeo {
        Skopeo { repository: repository.to_owned(), tls_verify }
    }

    /// Makes a full reference from `:TAG` or `@DIGEST`.
    fn reference(&self, which: &str) -> String {
        format!("docker://{}{which}", self.repository)
    }

    /// Host of the registry, as for `skopeo login`.
    pub fn registry(&self) -> &str {
        self.repository.split('/').next().unwrap_or(&self.repository)
    }

    /// Reads the manifest that a tag points to; `None` if the tag does not exist.
    ///
    /// # Errors
    /// The registry gives no clear answer, or does not let us read.
    pub async fn tagged(&self, tag: &str) -> Result<Option<Vec<u8>>> {
        self.inspect(self.reference(&format!(":{tag}")), Part::Manifest).await
    }

    /// Reads a manifest or an index, or the configuration that a manifest names; `None` if it does not exist.
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
        let wait = self.wait().at_most(LONGEST);
        let failed = || format!("cannot look at {reference}");
        let mut patience = Patience::default();
        loop {
            let (shown, output) = run(&args, &wait).await.with_context(failed)?;
            if output.status.success() {
                return Ok(Some(output.stdout));
            }
            let said = answer::reasons(&output.stderr).join("\n");
            match Answer::of(&said) {
                Answer::Absent => return Ok(None),
                Answer::Busy if patience.pauses(self.registry(), &said).await => {}
                Answer::Denied => {
                    let remedy = format!("{} does not let us read: `skopeo login {0}`", self.registry());
                    return Err(failure(&shown, &output, &said).context(Denied(remedy)).context(failed()));
                }
                Answer::Busy | Answer::Unreachable => return Err(self.not_available(&said).context(failed())),
                Answer::Other => return Err(failure(&shown, &output, &said).context(failed())),
            }
        }
    }

    /// Asks the registry once, and not for long.
    ///
    /// # Errors
    /// It does not answer, or not as a registry does.
    pub async fn answers(&self) -> Result<()> {
        let verify = format!("--tls-verify={}", self.tls_verify);
        let args = ["inspect", "--raw", &verify, &self.reference(":latest")].map(str::to_owned);
        let (shown, output) = run(&args, &self.wait().at_most(SHORT)).await?;
        let said = answer::reasons(&output.stderr).join("\n");
        match Answer::of(&said) {
            _ if output.status.success() => Ok(()),
            Answer::Absent | Answer::Denied => Ok(()),
            Answer::Busy | Answer::Unreachable => Err(self.not_available(&said)),
            Answer::Other => Err(failure(&shown, &output, &said)),
        }
    }

    /// Makes the error of a registry that cannot be asked now.
    fn not_available(&self, said: &str) -> anyhow::Error {
        CannotAsk(format!("{} is not available: {}", self.registry(), last_reason(said))).into()
    }

    fn wait(&self) -> Wait {
        Wait::for_(format!("the registry {}", self.registry()))
    }

    /// Pushes an OCI directory's index and everything below it, by digest only, without a tag.
    ///
    /// # Errors
    /// The registry's error, as skopeo shows it.
    pub async fn push(&self, layout: &Utf8Path, name: &str, index: Digest) -> Result<()> {
        self.copy(ALL, Some(layout), &format!("oci:.:{name}"), &self.reference(&format!("@{}", index.oci()))).await
    }

    /// Points a tag to an index that the registry has. Only the index is sent.
    ///
    /// # Errors
    /// As for [`Skopeo::push`].
    pub async fn tag(&self, index: Digest, tag: &str) -> Result<()> {
        let from = self.reference(&format!("@{}", index.oci()));
        self.copy("--multi-arch=index-only", None, &from, &self.reference(&format!(":{tag}"))).await
    }

    /// Downloads everything below an index into the new directory `to`; skopeo checks every digest.
    ///
    /// # Errors
    /// A part is missing or damaged, or the registry gives no clear answer.
    pub async fn download(&self, index: Digest, to: &Utf8Path) -> Result<()> {
        self.copy(ALL, Some(to), &self.reference(&format!("@{}", index.oci())), "dir:.").await
    }

    /// Runs `skopeo copy` in `dir`, to which local references are relative: skopeo takes a `:` in a directory's name
    /// for its end.
    async fn copy(&self, images: &str, dir: Option<&Utf8Path>, from: &str, to: &str) -> Result<()> {
        // Only the debug output quotes the registry when it refuses an index.
        let words = ["--debug", "--insecure-policy", "copy", "--quiet", images, "--preserve-digests"];
        let mut args: Vec<String> = words.map(str::to_owned).into();
        for (side, reference) in [("src", from), ("dest", to)] {
            if reference.starts_with("docker://") {
                args.push(format!("--{side}-tls-verify={}", self.tls_verify));
            }
        }
        args.extend([from.to_owned(), to.to_owned()]);
        let wait = self.wait().unless_silent(SILENT);
        let mut patience = Patience::default();
        loop {
            let (shown, output) = run_in(dir.unwrap_or(Utf8Path::new(".")), &args, &wait).await?;
            if output.status.success() {
                return Ok(());
            }
            let said = answer::reasons(&output.stderr).join("\n");
            let error = failure(&shown, &output, &said);
            match Answer::of(&said) {
                Answer::Busy if patience.pauses(self.registry(), &said).await => {}
                Answer::Denied => {
                    let registry = self.registry();
                    let remedy = format!(
                        "{registry} does not let us push: `skopeo login {registry}`, with a login that may push"
                    );
                    return Err(error.context(Denied(remedy)));
                }
                Answer::Busy | Answer::Unreachable => return Err(self.not_available(&said)),
                Answer::Absent | Answer::Other => return Err(error),
            }
        }
    }

    /// Checks that skopeo has a login and the registry accepts it, without asking the manager or writing anything.
    ///
    /// Whether the login may push shows only when pushing.
    ///
    /// # Errors
    /// The message says what to type.
    pub async fn check_login(&self) -> Result<()> {
        let (registry, verify) = (self.registry(), format!("--tls-verify={}", self.tls_verify));
        let remedy = format!("type `skopeo login {registry}`, with a login that may push to {}", self.repository);
        let login = |args: &[&str]| ["login"].iter().chain(args).map(|&arg| arg.to_owned()).collect::<Vec<_>>();
        let wait = self.wait().at_most(LONGEST);
        let (shown, known) = run(&login(&["--get-login", &self.repository]), &wait).await?;
        if !known.status.success() {
            let said = answer::reasons(&known.stderr).join("\n");
            if said.contains("not logged in") {
                bail!("not logged in to {registry}: {remedy}");
            }
            // For instance, a credential helper is not installed or a file cannot be read: a login would fail, too.
            return Err(failure(&shown, &known, &said).context(format!("skopeo cannot look up a login for {registry}")));
        }
        // skopeo tries its login. If the registry rejects it, skopeo asks for another one, and fails without a stdin.
        let (_, tried) = run(&login(&[&verify, &self.repository]), &wait).await?;
        let user = String::from_utf8_lossy(&known.stdout).trim().to_owned();
        let said = answer::reasons(&tried.stderr).join("\n");
        if !tried.status.success() && matches!(Answer::of(&said), Answer::Busy | Answer::Unreachable) {
            return Err(self.not_available(&said));
        }
        ensure!(tried.status.success(), "{registry} rejects the login {user}: {remedy}\n{said}");
        Ok(())
    }
}

/// The attempts at one request.
struct Patience {
    asked: u32,
    pause: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { asked: 1, pause: PAUSE }
    }
}

impl Patience {
    /// Waits before the next attempt, and says so; returns `false` if there are no more.
    async fn pauses(&mut self, registry: &str, said: &str) -> bool {
        if self.asked == ATTEMPTS {
            return false;
        }
        self.asked += 1;
        let (seconds, why) = (self.pause.as_secs(), last_reason(said));
        progress::say(format_args!(
            "  {registry} is not available, trying again in {seconds} s ({} of {ATTEMPTS}): {why}",
            self.asked
        ));
        tokio::time::sleep(self.pause).await;
        self.pause *= 2;
        true
    }
}

/// Returns the end of a message, whose start only repeats the request.
fn last_reason(said: &str) -> &str {
    let said = said.lines().last().unwrap_or_default();
    said.rmatch_indices(": ").nth(1).map_or(said, |(at, _)| &said[at + 2..])
}

/// Makes the error of a failed skopeo, with the reason from its output.
fn failure(shown: &str, output: &Output, said: &str) -> anyhow::Error {
    anyhow!("`{shown}` failed ({})\n{said}", output.status)
}

/// Runs skopeo, and returns the command for messages and the output, whatever the exit status.
async fn run(args: &[String], wait: &Wait) -> Result<(String, Output)> {
    run_in(Utf8Path::new("."), args, wait).await
}

async fn run_in(dir: &Utf8Path, args: &[String], wait: &Wait) -> Result<(String, Output)> {
    let (shown, running) = {
        let sh = process::shell_in(dir)?;
        let cmd = sh.cmd("skopeo").args(args);
        (cmd.to_string(), child::capture(cmd, wait))
    };
    Ok((shown, running.await?))
}
