//! What a builder says when it is asked, and what is wrong with it: one line for each problem, with its remedy.
//!
//! Owns the words that SSH is called with, and the script that runs on the builder. Does not run them.

use std::collections::BTreeSet;

use super::builders::Builder;
use super::program::version;

/// Script that a builder is asked with. It has no quote, so that a login shell of any kind passes it on to `sh`.
pub const SCRIPT: &str = "sh -c 'echo version $(nix-store --version); \
    (nix --extra-experimental-features nix-command config show || nix --extra-experimental-features nix-command show-config) \
    2>/dev/null | grep -E \"^(system|extra-platforms|system-features) = \"; echo free $(df -Pk /nix/store | tail -n 1)'";

/// Free space in bytes below which a builder is not expected to build a release.
const ROOMY: u64 = 5_000_000_000;
/// The oldest Nix on a builder that this tool has been tried with.
const OLDEST: (u64, u64) = (2, 8);

/// How to reach a builder with SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// `HOST`, or `USER@HOST`.
    pub host: String,
    pub port: Option<String>,
    /// Path of the key to log in with.
    pub key: Option<String>,
    /// The public host key, as a list of known hosts spells it.
    pub host_key: Option<String>,
}

impl Destination {
    /// `None` if Nix does not reach the builder with SSH.
    pub fn of(builder: &Builder) -> Option<Destination> {
        let uri = &builder.uri;
        let rest = match uri.split_once("://") {
            Some(("ssh" | "ssh-ng", rest)) => rest,
            Some(_) => return None,
            // Nix takes a bare name for a host, except for these.
            None if uri.starts_with('/') || ["", "auto", "daemon", "local"].contains(&uri.as_str()) => return None,
            None => uri,
        };
        let (host, query) = rest.split_once('?').unwrap_or((rest, ""));
        let host = host.trim_end_matches('/');
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port))
                if !host.ends_with(':') && port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty() =>
            {
                (host, Some(port.to_owned()))
            }
            _ => (host, None),
        };
        let parameter = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        let or = |listed: &String, name| if listed.is_empty() { parameter(name) } else { Some(listed.clone()) };
        let host_key = or(&builder.host_key, "base64-ssh-public-host-key");
        Some(Destination {
            host: host.replace(['[', ']'], ""),
            port,
            key: or(&builder.key, "ssh-key"),
            host_key: host_key.and_then(|key| decode(&key)).map(|key| key.trim().to_owned()),
        })
    }

    /// Returns the arguments of `ssh`. `first` are the manager's own options, which win; `known_hosts` has the host key
    /// under the name [`ALIAS`], if one is listed.
    pub fn arguments(&self, first: &str, known_hosts: Option<&str>, patience: u64) -> Vec<String> {
        let mut words: Vec<String> = first.split_whitespace().map(str::to_owned).collect();
        words.extend(["-x", "-T", "-o", "BatchMode=yes", "-o"].map(str::to_owned));
        words.push(format!("ConnectTimeout={patience}"));
        words.extend(self.port.iter().flat_map(|port| ["-p".to_owned(), port.clone()]));
        words.extend(self.key.iter().flat_map(|key| ["-i".to_owned(), key.clone()]));
        if let Some(file) = known_hosts {
            words.extend(["-o".to_owned(), format!("UserKnownHostsFile={file}")]);
            words.extend(["-o".to_owned(), format!("HostKeyAlias={ALIAS}")]);
        }
        words.extend(["--".to_owned(), self.host.clone(), SCRIPT.to_owned()]);
        words
    }
}

/// Name of the host in a list of known hosts that is made for one question.
pub const ALIAS: &str = "releng-builder";

/// Decodes base64; `None` if it is not base64, or not text.
fn decode(text: &str) -> Option<String> {
    let value = |b: u8| match b {
        b'A'..=b'Z' => Some(b - b'A'),
        b'a'..=b'z' => Some(b - b'a' + 26),
        b'0'..=b'9' => Some(b - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for b in text.trim_end_matches('=').bytes() {
        held = (held << 6) | u32::from(value(b)?);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(((held >> bits) & 0xff) as u8);
        }
    }
    String::from_utf8(bytes).ok()
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// What [`SCRIPT`] wrote there.
    Says(String),
    /// It cannot be reached, or does not let us in: the messages of SSH or of Nix.
    Refused(String),
    /// There was no answer within this many seconds.
    Silent(u64),
    /// Nix reaches it, and it does not run the script.
    Unknown,
}

/// What is known of a builder after it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub builder: Builder,
    /// Whether Nix can build there at all.
    pub usable: bool,
    /// Whether another user of this machine might be let in, as Nix's daemon is.
    pub ours_alone: bool,
    /// What was found, for people.
    pub detail: String,
    /// What is wrong, with the remedies.
    pub problems: Vec<String>,
}

impl Verdict {
    /// Judges an answer; `own` is the system of this machine.
    pub fn new(builder: &Builder, own: &str, answer: &Answer) -> Verdict {
        let mut verdict = Verdict {
            builder: builder.clone(),
            usable: true,
            ours_alone: false,
            detail: String::new(),
            problems: Vec::new(),
        };
        match answer {
            Answer::Unknown => "answers, but does not say anything of itself".clone_into(&mut verdict.detail),
            Answer::Silent(seconds) => {
                let why = format!("does not answer within {seconds} s: is it running, and not overloaded?");
                verdict.unusable(why);
            }
            Answer::Refused(says) => {
                let (ours_alone, why) = refusal(builder, says);
                verdict.ours_alone = ours_alone;
                verdict.unusable(why);
            }
            Answer::Says(text) => verdict.read(own, text),
        }
        verdict
    }

    fn unusable(&mut self, why: String) {
        self.usable = false;
        self.problems.push(why);
    }

    fn read(&mut self, own: &str, text: &str) {
        let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start)).map(str::trim);
        let words = |start: &str| -> BTreeSet<&str> { line(start).unwrap_or_default().split_whitespace().collect() };
        let Some(nix) = line("version ").filter(|nix| !nix.is_empty()) else {
            let why = "has no `nix-store` on the PATH of a session without a terminal: install Nix there, or put it on that PATH";
            return self.unusable(why.to_owned());
        };
        let mut found = Vec::new();
        let systems = &words("system = ") | &words("extra-platforms = ");
        if let Some(system) = line("system = ") {
            found.push(system.to_owned());
            let listed = &self.builder.systems;
            let listed: Vec<&str> =
                if listed.is_empty() { vec![own] } else { listed.iter().map(String::as_str).collect() };
            let wrong: Vec<&str> =
                listed.into_iter().filter(|listed| *listed != "builtin" && !systems.contains(listed)).collect();
            if !wrong.is_empty() {
                self.problems.push(format!(
                    "is listed for {}, but builds for {system}: correct the list of builders, or `extra-platforms` there",
                    wrong.join(", ")
                ));
            }
            let features = words("system-features = ");
            let lacking: Vec<&str> =
                self.builder.features.iter().map(String::as_str).filter(|name| !features.contains(name)).collect();
            if !lacking.is_empty() {
                self.problems.push(format!(
                    "is listed with {}, which it does not have: correct the list of builders, or `system-features` there",
                    lacking.join(", ")
                ));
            }
        }
        // `nix-store (Nix) 2.8.0`
        let number = nix.rsplit(' ').next().unwrap_or(nix);
        found.push(format!("Nix {number}"));
        if version(nix).is_some_and(|found| found < OLDEST) {
            let (major, minor) = OLDEST;
            self.problems
                .push(format!("has Nix {number}, and {major}.{minor} or newer was tried: install a newer one there"));
        }
        if let Some(free) = line("free ").and_then(free_space) {
            let room = format!("{:.1} GB free", free as f64 / 1e9);
            if free < ROOMY {
                let sudo = "`nix-collect-garbage` there frees some";
                self.problems.push(format!("has only {room} in /nix/store: {sudo}"));
            }
            found.push(room);
        }
        self.detail = found.join(", ");
    }

    /// Returns what is known, on one line.
    pub fn line(&self) -> String {
        let what = if self.problems.is_empty() { self.detail.clone() } else { self.problems.join("; it ") };
        let gap = if self.problems.is_empty() { ": " } else { " " };
        format!("{}{gap}{what}", self.builder.uri)
    }
}

/// Reads the last line of `df -P`, in blocks of 1,024 bytes.
fn free_space(line: &str) -> Option<u64> {
    // The name of the file system may have spaces: size, used, available, capacity and place come last.
    line.split_whitespace().rev().nth(2)?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Explains why SSH does not get through. Returns also whether it is about our own keys and lists.
fn refusal(builder: &Builder, says: &str) -> (bool, String) {
    let has = |signs: &[&str]| signs.iter().any(|sign| says.contains(sign));
    let host = Destination::of(builder).map_or_else(|| builder.uri.clone(), |there| there.host);
    let name = host.rsplit('@').next().unwrap_or(&host);
    let key = if builder.key.is_empty() {
        "every key that SSH offers".to_owned()
    } else {
        format!("the key {}", builder.key)
    };
    if has(&["REMOTE HOST IDENTIFICATION HAS CHANGED", "host key for", "Host key for"]) && !builder.host_key.is_empty()
    {
        return (
            false,
            "has another host key than the list of builders says: ask who runs it, then correct the list".to_owned(),
        );
    }
    if has(&["REMOTE HOST IDENTIFICATION HAS CHANGED"]) {
        return (
            true,
            format!("has another host key than before: ask who runs it; if that is right, `ssh-keygen -R {name}`"),
        );
    }
    if has(&["Host key verification failed"]) && builder.host_key.is_empty() {
        return (true, format!("has a host key that is not known here: `ssh {host}` once, and compare what it shows"));
    }
    if has(&["Host key verification failed"]) {
        return (
            false,
            "has another host key than the list of builders says: ask who runs it, then correct the list".to_owned(),
        );
    }
    if has(&["UNPROTECTED PRIVATE KEY FILE"]) {
        return (true, format!("is not asked with a key that others can read: `chmod 600 {}`", builder.key));
    }
    if has(&["Identity file"]) && has(&["not accessible"]) {
        return (
            true,
            format!("needs the key {}, which cannot be read here: correct its path or its owner", builder.key),
        );
    }
    if has(&["Permission denied"]) {
        let remedy = format!("the public half belongs into `authorized_keys` of {host}");
        return (true, format!("rejects {key}: {remedy}"));
    }
    let why = if has(&["Could not resolve", "not known", "nodename nor servname"]) {
        "cannot be found: is its name right, and the network (or the VPN) there?"
    } else if has(&["Connection refused"]) {
        "is there, but has no SSH server at that port: start it, or correct the port"
    } else if has(&["timed out", "No route to host", "unreachable"]) {
        "cannot be reached: is it running, and the network (or the VPN) there?"
    } else if has(&["cannot run `ssh"]) {
        "cannot be asked, because `ssh` is not installed here: install it"
    } else {
        let last = says.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("ssh says nothing").trim();
        return (false, format!("cannot be used: {last}; `ssh {host} nix-store --version` tries it"));
    };
    (false, why.to_owned())
}

#[cfg(test)]
mod tests;
