//! The machines that Nix builds on: which they are, and what each says when it is asked.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{Access, access};
use xshell::Cmd;

use super::super::{files, process};
use super::{EXPERIMENTAL, Nix, json};
use crate::domain::build::builder_answer::{ALIAS, Answer, Destination, Verdict};
use crate::domain::build::builders::{self, Builder, Line, Machines};

/// How long a builder may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time in seconds that SSH may take to connect.
const CONNECTING: u64 = 6;
/// Exit code of `ssh` if the connection failed.
const NO_CONNECTION: i32 = 255;

impl Nix {
    /// Returns the machines that Nix is configured to build on.
    ///
    /// # Errors
    /// Nix does not show its configuration.
    pub fn machines(&self) -> Result<Machines> {
        // Old versions know the first spelling, new ones the second.
        let show = |words: &[&str]| {
            process::read_bytes(self.sh.cmd("nix").args(EXPERIMENTAL).args(words).arg("--json").args(&self.args.config))
        };
        let config = show(&["show-config"]).or_else(|error| show(&["config", "show"]).map_err(|_| error))?;
        let config: serde_json::Value = json(&config)?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let mut here = vec![text(&config["system"]["value"])];
        here.extend(config["extra-platforms"]["value"].as_array().into_iter().flatten().map(text));
        let mut machines = Machines { here, jobs: config["max-jobs"]["value"].as_u64(), builders: Vec::new() };
        let mut lists = vec![text(&config["builders"]["value"])];
        let mut read = Vec::new();
        while let Some(list) = lists.pop() {
            for line in builders::parse(&list) {
                match line {
                    Line::Builder(builder) => machines.builders.push(builder),
                    // Nix, too, takes a missing file for an empty one.
                    Line::File(path) if !read.contains(&path) => {
                        lists.push(files::read_if_there(Utf8Path::new(&path))?.unwrap_or_default());
                        read.push(path);
                    }
                    Line::File(_) => {}
                }
            }
        }
        Ok(machines)
    }

    /// Asks every builder, all at the same time, whether it could build now.
    pub fn ask(&self, machines: &Machines) -> Vec<Verdict> {
        let question = Question {
            dir: self.sh.current_dir().try_into().unwrap_or_else(|_| "/".into()),
            scratch: self.scratch.path(),
            options: std::env::var("NIX_SSHOPTS").unwrap_or_default(),
        };
        let own = machines.here.first().map_or("", String::as_str);
        let through_daemon = is_daemon_in_between();
        let ask = |(number, builder): (usize, &Builder)| {
            let answer = question.ask(builder, number).unwrap_or_else(|error| Answer::Refused(format!("{error:#}")));
            let mut verdict = Verdict::new(builder, own, &answer);
            // The daemon logs in as root, with other keys and another list of known hosts.
            if verdict.ours_alone && through_daemon {
                verdict.usable = true;
            }
            verdict
        };
        let ask = &ask;
        std::thread::scope(|scope| {
            let asked: Vec<_> =
                machines.builders.iter().enumerate().map(|pair| scope.spawn(move || ask(pair))).collect();
            asked.into_iter().map(|thread| thread.join().expect("a question does not panic")).collect()
        })
    }
}

/// Whether a daemon, which may be another user, does the building.
fn is_daemon_in_between() -> bool {
    match std::env::var("NIX_REMOTE").as_deref() {
        Ok("daemon") => true,
        Ok("" | "auto") | Err(_) => {
            let socket = Utf8Path::new("/nix/var/nix/daemon-socket/socket");
            socket.exists() && access("/nix/var/nix", Access::WRITE_OK).is_err()
        }
        Ok(other) => other.starts_with("unix://"),
    }
}

/// What is the same for every builder that is asked.
struct Question<'a> {
    /// Directory to run programs in.
    dir: Utf8PathBuf,
    /// Directory for lists of known hosts.
    scratch: &'a Utf8Path,
    /// The manager's options for SSH, which Nix uses, too.
    options: String,
}

impl Question<'_> {
    fn ask(&self, builder: &Builder, number: usize) -> Result<Answer> {
        let sh = process::shell_in(&self.dir)?;
        if let Some(there) = Destination::of(builder) {
            let known_hosts = match &there.host_key {
                None => None,
                Some(key) => {
                    let path = self.scratch.join(format!("known-hosts-{number}"));
                    files::write_atomic(&path, &format!("{ALIAS} {key}\n"))?;
                    Some(path)
                }
            };
            let words = there.arguments(&self.options, known_hosts.as_ref().map(|path| path.as_str()), CONNECTING);
            let Some(output) = within(sh.cmd("ssh").args(words), &format!("ssh {}", there.host))? else {
                return Ok(Answer::Silent(PATIENCE.as_secs()));
            };
            let says = String::from_utf8_lossy(&output.stdout).into_owned();
            if says.lines().any(|line| line.starts_with("version")) {
                return Ok(Answer::Says(says));
            }
            if output.status.code() == Some(NO_CONNECTION) {
                return Ok(Answer::Refused(String::from_utf8_lossy(&output.stderr).into_owned()));
            }
        }
        // It is not reached with SSH, or runs only Nix's own program.
        let words = ["store", "ping", "--store", &builder.uri];
        let shown = format!("nix store ping --store {}", builder.uri);
        Ok(match within(sh.cmd("nix").args(EXPERIMENTAL).args(words), &shown)? {
            None => Answer::Silent(PATIENCE.as_secs()),
            Some(output) if output.status.success() => Answer::Unknown,
            Some(output) => Answer::Refused(String::from_utf8_lossy(&output.stderr).into_owned()),
        })
    }
}

/// Runs a program to its end; `None` if it takes too long, and is stopped.
fn within(cmd: Cmd, shown: &str) -> Result<Option<std::process::Output>> {
    let deadline = Instant::now() + PATIENCE;
    let mut late = false;
    let ran = process::capture_watched(cmd, shown, |_| {
        late = Instant::now() >= deadline;
        if late {
            bail!("`{shown}` takes too long");
        }
        Ok(())
    });
    if late { Ok(None) } else { ran.map(Some) }
}
