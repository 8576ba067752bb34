//! Web addresses: that of a key below a base address, and that of a redirect.

use anyhow::{Context, Result, bail};

/// Returns the address of a key below a base address.
pub fn of(base: &str, key: &str) -> String {
    format!("{}/{}", base.trim_end_matches('/'), escape(key))
}

/// Percent-encodes a key for the path of a URL: everything except unreserved characters and `/`.
fn escape(key: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    key.bytes().map(escape).collect()
}

/// Resolves the location of a redirect.
///
/// # Errors
/// `from` is not a URL, or the redirect gives up encryption.
pub fn redirected(from: &str, to: &str) -> Result<String> {
    let (scheme, rest) = from.split_once("://").with_context(|| format!("{from} is not a URL"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let to = to.split('#').next().unwrap_or(to);
    if to.starts_with("http://") && scheme == "https" {
        bail!("the server redirects to an unencrypted address, {to}");
    }
    Ok(match to {
        _ if to.starts_with("http://") || to.starts_with("https://") => to.to_owned(),
        _ if to.starts_with("//") => format!("{scheme}:{to}"),
        _ if to.starts_with('/') => format!("{scheme}://{authority}{to}"),
        _ => {
            let path = from.split(['?', '#']).next().unwrap_or(from);
            let directory = path.rsplit_once('/').map_or(path, |(directory, _)| directory);
            format!("{directory}/{to}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_resolved_as_in_a_browser() -> Result<()> {
        let from = "https://docs.example.org/manual/lix/index.html?x";
        for (to, expected) in [
            ("https://other.example.org/x#there", "https://other.example.org/x"),
            ("//other.example.org/x", "https://other.example.org/x"),
            ("/x", "https://docs.example.org/x"),
            ("page.html", "https://docs.example.org/manual/lix/page.html"),
        ] {
            assert_eq!(redirected(from, to)?, expected);
        }
        assert!(redirected(from, "http://other.example.org/x").is_err());
        Ok(())
    }
}
