//! The environment that other programs get: without the secrets that are meant for us.

use std::process::Command;

use xshell::Cmd;

/// Gives a command the environment that every program gets: without the secrets that are meant for us, and with
/// loopback addresses exempt from proxies.
pub fn prepared(cmd: Cmd) -> Cmd {
    prepared_with_secrets(secrets().fold(cmd, Cmd::env_remove))
}

/// Removes the secrets that are meant for us from the environment of a program that is not run through a shell of `xshell`.
pub fn without_secrets(command: &mut Command) {
    for name in secrets() {
        command.env_remove(name);
    }
}

/// Returns the names of the environment variables that hold a secret.
fn secrets() -> impl Iterator<Item = String> {
    variables().into_iter().filter(|name| is_secret(name))
}

/// Like [`prepared`], for the one program that makes access keys, which may need our secrets.
pub fn prepared_with_secrets(cmd: Cmd) -> Cmd {
    if !variables().iter().any(|name| name.to_ascii_lowercase().ends_with("_proxy")) {
        return cmd;
    }
    ["no_proxy", "NO_PROXY"].into_iter().fold(cmd, |cmd, name| {
        let exempt = std::env::var(name).ok().filter(|value| !value.is_empty());
        cmd.env(name, exempt.into_iter().chain(LOOPBACK.map(str::to_owned)).collect::<Vec<_>>().join(","))
    })
}

/// Returns the names of our environment variables, except those that are not UTF-8, which do not matter here.
fn variables() -> Vec<String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
}

/// Hosts that are never reached through a proxy.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "::1"];

/// Whether an environment variable holds a key of the buckets: `AWS_SECRET_ACCESS_KEY` and others like it.
fn is_secret(name: &str) -> bool {
    name.starts_with("AWS_") && ["SECRET", "TOKEN", "ACCESS_KEY", "PASSWORD"].iter().any(|word| name.contains(word))
}
