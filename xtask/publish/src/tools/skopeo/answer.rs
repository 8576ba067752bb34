//! The meaning of skopeo's messages. Their words differ between versions and registries, so they are matched loosely,
//! and an error always quotes the original.

/// The meaning of a message from a registry, or from skopeo itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The thing does not exist.
    Absent,
    /// We are not allowed to do it.
    Denied,
    /// It may work later: the registry is busy, failing, or unreachable.
    Busy,
    /// It does not work now, and waiting a moment does not help: the host's name or network is unknown.
    Unreachable,
    /// Anything else.
    Other,
}

/// Words for something that does not exist. Proxies and new registries give only a status.
const ABSENT: [&str; 6] = [
    "manifest unknown",
    "name unknown",
    "blob unknown",
    "repository name not known to registry",
    "manifest_unknown",
    "name_unknown",
];
/// Words for something that is not allowed.
const DENIED: [&str; 6] = [
    "unauthorized",
    "denied",
    "authentication required",
    "invalid username/password",
    "insufficient_scope",
    "forbidden",
];
/// Words for a local file that cannot be read, which is not a registry's answer.
const LOCAL: [&str; 2] = ["permission denied", "operation not permitted"];
/// Words for something that may work later. The first come from servers, the others from the network.
const BUSY: [&str; 18] = [
    "toomanyrequests",
    "too many requests",
    "service unavailable",
    "bad gateway",
    "gateway time",
    "internal server error",
    "connection reset",
    "connection refused",
    "broken pipe",
    "eof",
    "timeout",
    "timed out",
    "deadline exceeded",
    "tls handshake",
    "network is unreachable",
    "no route to host",
    "temporary failure in name resolution",
    "server misbehaving",
];

/// Words for a host that is not found.
const UNREACHABLE: [&str; 1] = ["no such host"];

impl Answer {
    /// Interprets a message.
    pub fn of(message: &str) -> Answer {
        let mut said = message.to_lowercase();
        for words in LOCAL {
            said = said.replace(words, "");
        }
        let says = |words: &[&str]| words.iter().any(|words| said.contains(words));
        match status(&said) {
            // The words are more precise than the status.
            _ if says(&ABSENT) => Answer::Absent,
            Some(408 | 425 | 429 | 500 | 502..=504) => Answer::Busy,
            Some(404) => Answer::Absent,
            Some(401 | 403) => Answer::Denied,
            _ if says(&DENIED) => Answer::Denied,
            _ if says(&UNREACHABLE) => Answer::Unreachable,
            _ if says(&BUSY) => Answer::Busy,
            _ => Answer::Other,
        }
    }
}

/// Finds the HTTP status in a message, such as `unexpected HTTP status: 503 Service Unavailable`, `invalid status code
/// from registry 404 (Not Found)` or `StatusCode: 429`.
fn status(said: &str) -> Option<u16> {
    said.match_indices("status").find_map(|(at, word)| {
        let after: String = said[at + word.len()..].chars().take(40).collect();
        let mut numbers = after.split(|c: char| !c.is_ascii_digit());
        numbers.find(|number| number.len() == 3)?.parse().ok().filter(|status| (400..600).contains(status))
    })
}

/// Finds the reasons in the debug output of a failed copy: the registry's answer, and then skopeo's last message, which
/// for a refused index is only that skopeo will not convert it. Nothing else in that output may be shown.
pub fn reasons(stderr: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<(&str, String)> = text.lines().filter_map(entry).collect();
    if lines.is_empty() {
        // It failed before it logged anything, for instance because of a wrong option.
        return text
            .trim_end()
            .lines()
            .rev()
            .take(5)
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
    }
    let refused = |(level, message): &&(&str, String)| *level == "debug" && message.starts_with("Upload of ");
    let refusal = lines.iter().filter(refused).filter_map(|(_, message)| message.split_once(" failed: "));
    let refusal: Vec<String> = refusal.map(|(_, why)| why.to_owned()).collect();
    let last = lines.iter().filter(|(level, _)| ["fatal", "error"].contains(level)).map(|(_, message)| message.clone());
    let last = last.filter(|message| refusal.is_empty() || !message.contains("preserve digests"));
    let mut reasons: Vec<String> = refusal.iter().cloned().chain(last).collect();
    reasons.dedup();
    reasons
}

/// Parses a line of skopeo's log: `time="…" level=fatal msg="…"`.
fn entry(line: &str) -> Option<(&str, String)> {
    let (_, rest) = line.split_once(" level=")?;
    let (level, message) = rest.split_once(" msg=")?;
    let Some(quoted) = message.strip_prefix('"') else { return Some((level, message.to_owned())) };
    let (mut text, mut chars) = (String::new(), quoted.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push(' '),
                Some(c) => text.push(c),
                None => {}
            },
            c => text.push(c),
        }
    }
    Some((level, text.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn what_registries_and_skopeo_say() {
        // Seen with skopeo 1.9.3, 1.18.0 and 1.22.0.
        let said = [
            ("reading manifest latest in r/lix: manifest unknown: manifest unknown", Answer::Absent),
            ("reading manifest x in r/lix: StatusCode: 404, <html>", Answer::Absent),
            ("repository name not known to registry", Answer::Absent),
            ("reading manifest latest in r/lix: requested access to the resource is denied", Answer::Denied),
            ("unable to retrieve auth token: invalid username/password: unauthorized: bad login", Answer::Denied),
            ("denied: permission_denied: write_package", Answer::Denied),
            ("invalid status code from registry 403 (Forbidden)", Answer::Denied),
            ("open /run/user/0/containers/auth.json: permission denied", Answer::Other),
            ("writing manifest: received unexpected HTTP status: 503 Service Unavailable", Answer::Busy),
            ("received unexpected HTTP status: 500 Internal Server Error", Answer::Busy),
            ("toomanyrequests: slow down", Answer::Busy),
            ("StatusCode: 429, \"denied by the limit\"", Answer::Busy),
            (
                "Put \"https://r/v2/\": write tcp 127.0.0.1:1->127.0.0.1:2: write: connection reset by peer",
                Answer::Busy,
            ),
            ("Get \"https://r/v2/\": net/http: TLS handshake timeout", Answer::Busy),
            ("Get \"https://r/v2/\": EOF", Answer::Busy),
            ("dial tcp: lookup r: no such host", Answer::Unreachable),
            ("tag invalid: the tag is immutable", Answer::Other),
            ("x509: certificate signed by unknown authority", Answer::Other),
        ];
        for (message, answer) in said {
            assert_eq!(Answer::of(message), answer, "{message}");
        }
    }

    #[test]
    fn a_refused_tag_is_explained_by_the_registry() {
        let debug = r#"time="2026-11-25T13:24:15Z" level=debug msg="PUT http://r/v2/lix/manifests/latest"
time="2026-11-25T13:24:15Z" level=debug msg="Upload of manifest list type application/vnd.oci.image.index.v1+json failed: uploading manifest latest to r/lix: tag invalid: the tag is \"immutable\""
time="2026-11-25T13:24:15Z" level=fatal msg="Manifest list must be converted to type \"x\" to be written to destination, but we cannot modify it: \"Instructed to preserve digests\"""#;
        expect![[r#"uploading manifest latest to r/lix: tag invalid: the tag is "immutable""#]]
            .assert_eq(&reasons(debug.as_bytes()).join("\n"));
        expect!["unknown flag: --preserve-digests"]
            .assert_eq(&reasons(b"unknown flag: --preserve-digests\n").join("\n"));
    }
}
