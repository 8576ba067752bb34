//! The address of a git remote, for people: nothing that opens it is shown.

/// A URL without a password. Where a user name may be a token, as over HTTP, it is left out, too, and so is a query.
pub fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let is_http = scheme.to_ascii_lowercase().starts_with("http");
    let path = if is_http { path.split('?').next().unwrap_or(path) } else { path };
    match authority.rsplit_once('@') {
        Some((user, host)) if !is_http => {
            format!("{scheme}://{}@{host}{path}", user.split(':').next().unwrap_or(user))
        }
        Some((_, host)) => format!("{scheme}://{host}{path}"),
        None => format!("{scheme}://{authority}{path}"),
    }
}

/// A text in which nothing is left that [`shown`] leaves out of a URL.
pub fn redact(text: &str, url: &str) -> String {
    let text = text.replace(url, &shown(url));
    let Some((_, rest)) = url.split_once("://") else { return text };
    let authority = rest.split('/').next().unwrap_or(rest);
    let Some((user, _)) = authority.rsplit_once('@') else { return text };
    let secrets = match user.split_once(':') {
        Some((name, password)) if url.starts_with("http") => vec![password, name],
        Some((_, password)) => vec![password],
        None if url.starts_with("http") => vec![user],
        None => Vec::new(),
    };
    // A word as short as this opens nothing, and would make other words unreadable.
    let secrets = secrets.into_iter().filter(|secret| secret.len() > 3);
    secrets.fold(text, |text, secret| text.replace(secret, "***"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_opens_it_is_shown() {
        for (url, expected) in [
            ("ssh://me@gerrit.example:2022/lix", "ssh://me@gerrit.example:2022/lix"),
            ("ssh://me:hunter2@gerrit.example/a@b", "ssh://me@gerrit.example/a@b"),
            ("https://me:p@ss@git.example/lix.git", "https://git.example/lix.git"),
            ("https://ghp_token@git.example/lix", "https://git.example/lix"),
            ("HTTPS://git.example/lix?private_token=hunter2", "HTTPS://git.example/lix"),
            ("https://git.example/@scope/lix", "https://git.example/@scope/lix"),
            ("me@git.example:lix", "me@git.example:lix"),
            ("/srv/a?b@c", "/srv/a?b@c"),
            ("file:///srv/a?b", "file:///srv/a?b"),
        ] {
            assert_eq!(shown(url), expected);
        }
        let (url, said) =
            ("https://me:hunter2@git.example/lix", "fatal: 'https://me:hunter2@git.example/lix/': hunter2");
        assert_eq!(redact(said, url), "fatal: 'https://git.example/lix/': ***");
        let ssh = "ssh://manager@gerrit.example/lix";
        assert_eq!(
            redact("manager@gerrit.example: Permission denied", ssh),
            "manager@gerrit.example: Permission denied"
        );
    }
}
