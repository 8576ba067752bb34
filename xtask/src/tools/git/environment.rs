//! Which of our environment variables and of the user's settings reach git: identity, and how to reach a server, but
//! nothing that leads git to another repository, or changes what it makes or prints.

use std::ffi::OsStr;

use xshell::Cmd;

/// Prefixes of the variables that are kept. Every other `GIT_*` is dropped: git sets some for its hooks and for
/// `git rebase --exec`, and users set others for other work.
const KEPT: [&str; 15] = [
    "GIT_ALLOW_PROTOCOL",
    "GIT_ASKPASS",
    "GIT_AUTHOR_",
    "GIT_COMMITTER_",
    // Not `GIT_CONFIG`, which would replace the repository's own file.
    "GIT_CONFIG_",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_EXEC_PATH",
    "GIT_HTTP_",
    "GIT_PROTOCOL",
    "GIT_PROXY_",
    "GIT_SSH",
    "GIT_SSL_",
    "GIT_TERMINAL_PROMPT",
    // Only if it names a file: on stderr, it would bury the reason for a failure.
    "GIT_TRACE",
    "GIT_USER_AGENT",
];

/// Settings for every command, whatever the user has configured.
const SETTINGS: [(&str, &str); 8] = [
    ("color.ui", "false"),
    // What a later step relies on survives a power cut.
    ("core.fsync", "all"),
    ("core.quotePath", "false"),
    // A program that reports changed files, and may be wrong.
    ("core.fsmonitor", "false"),
    ("i18n.commitEncoding", "UTF-8"),
    ("i18n.logOutputEncoding", "UTF-8"),
    ("log.showSignature", "false"),
    // Only the tree itself is released; submodules stay where they are.
    ("submodule.recurse", "false"),
];

/// Variable in which `git -c` passes its settings to programs that it starts; the last value wins.
const PARAMETERS: &str = "GIT_CONFIG_PARAMETERS";

/// Removes the variables that lead git elsewhere, from a git command or that of a program that runs git.
pub fn undirected(mut cmd: Cmd<'_>) -> Cmd<'_> {
    for (name, value) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("GIT_") && !is_kept(&text, &value) {
            cmd = cmd.env_remove(&name);
        }
    }
    // `git replace` and grafts show other objects than those that are published. No graft file can exist at that path.
    cmd.env("GIT_NO_REPLACE_OBJECTS", "1").env("GIT_GRAFT_FILE", "/dev/null/grafts")
}

fn is_kept(name: &str, value: &OsStr) -> bool {
    let to_terminal = name.starts_with("GIT_TRACE") && !value.to_string_lossy().starts_with('/');
    !to_terminal && KEPT.iter().any(|kept| name.starts_with(kept))
}

/// Like [`undirected`], for git itself: also makes it speak English and keep to [`SETTINGS`].
pub fn plain(cmd: Cmd<'_>) -> Cmd<'_> {
    let inherited = std::env::var(PARAMETERS).unwrap_or_default();
    let ours = SETTINGS.map(|(key, value)| parameter(key, value)).join(" ");
    undirected(cmd)
        .env(PARAMETERS, format!("{inherited} {ours}").trim_start())
        // We match and show untranslated messages, and `LANGUAGE` takes precedence over `LC_ALL`.
        .env("LC_ALL", "C.UTF-8")
        .env_remove("LANGUAGE")
        // Commands that only read take no locks.
        .env("GIT_OPTIONAL_LOCKS", "0")
}

/// Like [`plain`], for a repository that we made for ourselves: only `settings` and ours apply there.
pub fn without_settings<'a>(cmd: Cmd<'a>, settings: &[(String, String)]) -> Cmd<'a> {
    let mut cmd = plain(cmd);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_CONFIG_") {
            cmd = cmd.env_remove(&name);
        }
    }
    let theirs = settings.iter().map(|(key, value)| parameter(key, value));
    let parameters = theirs.chain(SETTINGS.map(|(key, value)| parameter(key, value)));
    cmd.env(PARAMETERS, parameters.collect::<Vec<_>>().join(" "))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_ATTR_NOSYSTEM", "1")
}

/// Returns one setting in the format of [`PARAMETERS`].
fn parameter(key: &str, value: &str) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\'', r"'\''").replace('!', r"'\!'"));
    format!("{}={}", quote(key), quote(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_kept_and_what_leads_elsewhere_is_dropped() {
        let kept = |(name, value): &(&str, &str)| is_kept(name, OsStr::new(value));
        let variables = [
            ("GIT_AUTHOR_NAME", "x"),
            ("GIT_COMMITTER_DATE", "x"),
            ("GIT_CONFIG_GLOBAL", "x"),
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_SSH_COMMAND", "ssh -v"),
            ("GIT_SSL_CAINFO", "x"),
            ("GIT_TRACE", "/tmp/trace"),
        ];
        assert_eq!(variables.iter().filter(|variable| !kept(variable)).count(), 0);
        let dropped = [
            "GIT_CONFIG",
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_NAMESPACE",
            "GIT_ATTR_SOURCE",
            "GIT_LITERAL_PATHSPECS",
            "GIT_ICASE_PATHSPECS",
            "GIT_REPLACE_REF_BASE",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES",
            "GIT_DEFAULT_HASH",
            "GIT_DEFAULT_REF_FORMAT",
            "GIT_TEMPLATE_DIR",
            "GIT_QUARANTINE_PATH",
            "GIT_EXTERNAL_DIFF",
            "GIT_DIFF_OPTS",
            "GIT_PAGER",
            "GIT_EDITOR",
            "GIT_TRACE",
            "GIT_TRACE2_EVENT",
            "GIT_CEILING_DIRECTORIES",
            "GIT_SHALLOW_FILE",
            "GIT_MERGE_VERBOSITY",
        ];
        assert_eq!(dropped.iter().filter(|name| kept(&(name, "1"))).collect::<Vec<_>>(), Vec::<&&str>::new());
    }
}
