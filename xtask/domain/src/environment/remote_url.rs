//! The address of a git remote, for people: without credentials.

/// Returns a URL without its password. Over HTTP, where a user name may be a token, it is left out, too, and so is a
/// query.
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

/// Replaces every URL in a text by its [`shown`] form, and removes the other credentials of `urls`.
pub fn redact<'u>(text: &str, urls: impl IntoIterator<Item = &'u str>) -> String {
    let text = urls.into_iter().fold(text.to_owned(), |text, url| {
        let text = text.replace(url, &shown(url));
        // A shorter word is not a credential, and replacing it would make other words unreadable.
        let secrets = secrets(url).into_iter().filter(|secret| secret.len() > 3);
        secrets.fold(text, |text, secret| text.replace(secret, "***"))
    });
    let ends = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '<' | '>' | '`');
    let word = |word: &str| {
        let end = word.len() - word.chars().next_back().filter(|c| ends(*c)).map_or(0, char::len_utf8);
        shown_in(&word[..end]) + &word[end..]
    };
    text.split_inclusive(ends).map(word).collect()
}

/// Redacts a word that may be a URL, or end with one.
fn shown_in(word: &str) -> String {
    let Some(at) = word.find("://") else { return word.to_owned() };
    let scheme = word[..at].rfind(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | '.'));
    let (before, url) = word.split_at(scheme.map_or(0, |at| at + 1));
    format!("{before}{}", shown(url))
}

/// Returns the credentials in a URL.
fn secrets(url: &str) -> Vec<&str> {
    let Some((scheme, rest)) = url.split_once("://") else { return Vec::new() };
    let is_http = scheme.to_ascii_lowercase().starts_with("http");
    let authority = rest.split('/').next().unwrap_or(rest);
    let Some((user, _)) = authority.rsplit_once('@') else { return Vec::new() };
    match user.split_once(':') {
        Some((name, password)) if is_http => vec![password, name],
        Some((_, password)) => vec![password],
        None if is_http => vec![user],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown() {
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
        assert_eq!(redact(said, [url]), "fatal: 'https://git.example/lix/': ***");
        // A URL that git made of another one by its settings.
        let said = "fatal: unable to access 'https://tok:en@git.example/lix?a=b/': x (https://token@git.example/lix).";
        let expected = "fatal: unable to access 'https://git.example/lix': x (https://git.example/lix).";
        assert_eq!(redact(said, []), expected);
        let ssh = "ssh://manager@gerrit.example/lix";
        assert_eq!(
            redact("manager@gerrit.example: Permission denied", [ssh]),
            "manager@gerrit.example: Permission denied"
        );
    }
}
