//! Registries, through skopeo: its transports, its logins, its credential helpers.
//!
//! Registries that are busy, out of order or not reached are asked again, for reading as for writing; what they say is
//! read in [`answer`]. Refuses to know which images there should be.

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

/// How often something is asked for.
const ATTEMPTS: u32 = 5;
/// Before the second time; doubled before each further one.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a registry may take for a manifest.
const LONGEST: Duration = Duration::from_secs(60);
/// How long it may be silent while images go there or come from there.
const SILENT: Duration = Duration::from_secs(120);
/// Every image of an index, and the index.
const ALL: &str = "--multi-arch=all";

/// That a registry does not let us read or write: perhaps only because there is no such repository yet.
#[derive(Debug)]
pub struct Denied(String);

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Denied {}

/// Whether an error comes from a registry that does not let us.
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
                Answer::Busy | Answer::Other => return Err(failure(&shown, &output, &said).context(failed())),
            }
        }
    }

    fn wait(&self) -> Wait {
        Wait::for_(format!("the registry {}", self.registry()))
    }

    /// Sends everything of a layout's index, and the index under its digest: no tag leads there.
    ///
    /// # Errors
    /// skopeo's, which are the registry's.
    pub async fn push(&self, layout: &Utf8Path, name: &str, index: Digest) -> Result<()> {
        self.copy(ALL, Some(layout), &format!("oci:.:{name}"), &self.reference(&format!("@{}", index.oci()))).await
    }

    /// Makes a tag lead to what the registry has under a digest. Nothing but the index is sent.
    ///
    /// # Errors
    /// As for [`Skopeo::push`].
    pub async fn tag(&self, index: Digest, tag: &str) -> Result<()> {
        let from = self.reference(&format!("@{}", index.oci()));
        self.copy("--multi-arch=index-only", None, &from, &self.reference(&format!(":{tag}"))).await
    }

    /// Downloads everything of an index into the new directory `to`; skopeo compares each blob with its digest.
    ///
    /// # Errors
    /// Something is missing or damaged, or the registry gives no clear answer: skopeo's words.
    pub async fn download(&self, index: Digest, to: &Utf8Path) -> Result<()> {
        self.copy(ALL, Some(to), &self.reference(&format!("@{}", index.oci())), "dir:.").await
    }

    /// `dir` is what a directory's name is relative to: skopeo takes a `:` in it for the end of the name.
    async fn copy(&self, images: &str, dir: Option<&Utf8Path>, from: &str, to: &str) -> Result<()> {
        // Only the debugging output has the registry's words about an index that it refused.
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
                    let remedy =
                        format!("{} does not let us: `skopeo login {0}`, with a login that may push", self.registry());
                    return Err(error.context(Denied(remedy)));
                }
                Answer::Absent | Answer::Busy | Answer::Other => return Err(error),
            }
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
        let remedy = format!("type `skopeo login {registry}`, with a login that may push to {}", self.repository);
        let login = |args: &[&str]| ["login"].iter().chain(args).map(|&arg| arg.to_owned()).collect::<Vec<_>>();
        let wait = self.wait().at_most(LONGEST);
        let (shown, known) = run(&login(&["--get-login", &self.repository]), &wait).await?;
        if !known.status.success() {
            let said = answer::reasons(&known.stderr).join("\n");
            if said.contains("not logged in") {
                bail!("{registry} does not know us: {remedy}");
            }
            // A credential helper that is not installed, a file that cannot be read: a login would fail, too.
            return Err(failure(&shown, &known, &said).context(format!("skopeo cannot look up a login for {registry}")));
        }
        // With a login at hand, skopeo tries it. If the registry refuses, it asks for another one, and finds no stdin.
        let (_, tried) = run(&login(&[&verify, &self.repository]), &wait).await?;
        let user = String::from_utf8_lossy(&known.stdout).trim().to_owned();
        let said = answer::reasons(&tried.stderr).join("\n");
        ensure!(tried.status.success(), "{registry} does not take our login as {user}: {remedy}\n{said}");
        Ok(())
    }
}

/// How often a registry was asked for the same thing.
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
    /// Waits before the next attempt, and says so; `false` if there is none.
    async fn pauses(&mut self, registry: &str, said: &str) -> bool {
        if self.asked == ATTEMPTS {
            return false;
        }
        self.asked += 1;
        // The beginning only says what was asked for.
        let said = said.lines().last().unwrap_or_default();
        let (seconds, why) =
            (self.pause.as_secs(), said.rmatch_indices(": ").nth(1).map_or(said, |(at, _)| &said[at + 2..]));
        progress::say(format_args!(
            "  {registry} cannot do it now, and is asked again in {seconds} s ({} of {ATTEMPTS}): {why}",
            self.asked
        ));
        tokio::time::sleep(self.pause).await;
        self.pause *= 2;
        true
    }
}

/// A failed skopeo, with the reason that was found in what it wrote.
fn failure(shown: &str, output: &Output, said: &str) -> anyhow::Error {
    anyhow!("`{shown}` failed ({})\n{said}", output.status)
}

/// Runs skopeo to its end, whatever its exit status; the command is for messages.
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
