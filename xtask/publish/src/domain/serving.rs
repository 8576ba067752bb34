//! How published files are served: their content type and how long they may be cached.
//!
//! The table is our own, so that headers do not depend on the machine that uploads: the host's MIME table has no entry
//! for `.nix` and `.sha256`, which would then be downloaded as binary files.

/// `Cache-Control` of versioned files, which never change.
pub const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// `Cache-Control` of pointers and of trees that are replaced.
pub const MOVING: &str = "public, max-age=60";

/// Returns the content type for a key, by the end of its name.
pub fn content_type(key: &str) -> &'static str {
    let name = key.rsplit('/').next().unwrap_or(key);
    let known = TYPES.iter().find(|(ending, _)| name.ends_with(ending));
    known.map_or("application/octet-stream", |(_, content_type)| content_type)
}

/// Whether a key is a text that only this program and people read. Pages and files that Nix reads are not: browsers and
/// Nix depend on how those are served.
pub fn is_text(key: &str) -> bool {
    let served_to_nix = [".narinfo", ".ls", "nix-cache-info"].iter().any(|ending| key.ends_with(ending));
    !served_to_nix && matches!(content_type(key), TEXT | JSON | STATEMENT | BILL_OF_MATERIALS)
}

/// The headers with which a server serves an object, as far as clients depend on them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Served {
    /// `Content-Type` of the object.
    pub content_type: Option<String>,
    /// `Cache-Control` of the object.
    pub cache_control: Option<String>,
    /// `Content-Encoding` of the object; we never set one.
    pub content_encoding: Option<String>,
    /// `Content-Disposition` of the object; we never set one.
    pub content_disposition: Option<String>,
}

impl Served {
    /// Whether clients decode the object.
    pub fn is_encoded(&self) -> bool {
        let names = self.content_encoding.as_deref().unwrap_or_default().split(',').map(str::trim);
        names.into_iter().any(|name| !matches!(name.to_ascii_lowercase().as_str(), "" | "identity" | "aws-chunked"))
    }

    /// Describes each header that differs from what it should be, if clients would notice the difference.
    pub fn faults(&self, content_type: &str, cache_control: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let served = self.content_type.as_deref().unwrap_or_default();
        if !same_type(served, content_type) {
            faults.push(format!("Content-Type {} instead of {content_type}", named(served)));
        }
        let served = self.cache_control.as_deref().unwrap_or_default();
        if directives(served) != directives(cache_control) {
            faults.push(format!("Cache-Control {} instead of {cache_control}", named(served)));
        }
        if self.is_encoded() {
            faults.push(format!("Content-Encoding {}", self.content_encoding.as_deref().unwrap_or_default()));
        }
        match self.content_disposition.as_deref().map(str::trim) {
            None | Some("") => {}
            Some(disposition) => faults.push(format!("Content-Disposition {disposition}")),
        }
        faults
    }
}

fn named(value: &str) -> &str {
    if value.is_empty() { "missing" } else { value }
}

/// Whether two content types mean the same to a client. A server may add a charset if we set none, and spell it
/// differently.
fn same_type(served: &str, ours: &str) -> bool {
    let parts = |value: &str| -> (String, Option<String>) {
        let mut parts = value.split(';').map(|part| part.trim().to_ascii_lowercase());
        let essence = parts.next().unwrap_or_default();
        let charset = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            (name.trim() == "charset").then(|| value.trim().trim_matches('"').replace("utf8", "utf-8"))
        });
        (essence, charset)
    };
    let ((served, served_charset), (ours, our_charset)) = (parts(served), parts(ours));
    served == ours && (our_charset.is_none() || served_charset == our_charset)
}

/// Returns the directives of a `Cache-Control`, ignoring order, case and blanks.
fn directives(value: &str) -> Vec<String> {
    let mut directives: Vec<String> = value
        .split(',')
        .map(|directive| directive.to_ascii_lowercase().split_whitespace().collect::<String>())
        .filter(|directive| !directive.is_empty())
        .collect();
    directives.sort_unstable();
    directives
}

/// Content types by the end of a key; the first match counts.
const TYPES: [(&str, &str); 29] = [
    ("SHA256SUMS", TEXT),
    (".sig", TEXT),
    (".sha256", TEXT),
    (".nix", TEXT),
    (".txt", TEXT),
    (".md", TEXT),
    (".html", "text/html; charset=utf-8"),
    (".css", "text/css; charset=utf-8"),
    (".js", "text/javascript; charset=utf-8"),
    (".cdx.json", BILL_OF_MATERIALS),
    (".json", JSON),
    (".intoto.jsonl", STATEMENT),
    (".ls", JSON),
    (".narinfo", "text/x-nix-narinfo"),
    ("nix-cache-info", "text/x-nix-cache-info"),
    (".nar.zst", "application/x-nix-nar"),
    (".gz", "application/gzip"),
    (".xz", "application/x-xz"),
    (".zst", "application/zstd"),
    (".svg", "image/svg+xml"),
    (".png", "image/png"),
    (".jpg", "image/jpeg"),
    (".gif", "image/gif"),
    (".ico", "image/vnd.microsoft.icon"),
    (".woff", "font/woff"),
    (".woff2", "font/woff2"),
    (".ttf", "font/ttf"),
    (".xml", "application/xml"),
    (".wasm", "application/wasm"),
];

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// Signed statements, one a line.
const STATEMENT: &str = "application/vnd.in-toto.bundle";
const BILL_OF_MATERIALS: &str = "application/vnd.cyclonedx+json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_people_open_are_text() {
        for key in ["manifest.nix", "lix/lix-2.93.1/SHA256SUMS", "lix/lix-2.93.1/lix-2.93.1.tar.gz.sha256"] {
            assert_eq!(content_type(key), TEXT, "{key}");
        }
        assert_eq!(content_type("lix/lix-2.93.1/lix-2.93.1.tar.gz"), "application/gzip");
        let bill = "lix/lix-2.93.1/lix-2.93.1-x86_64-linux.cdx.json";
        assert_eq!((content_type(bill), is_text(bill)), ("application/vnd.cyclonedx+json", true));
        assert_eq!(content_type("manual/lix/2.93/index.html"), "text/html; charset=utf-8");
        assert_eq!(content_type("lix/lix-installer-x86_64-linux"), "application/octet-stream");
    }

    #[test]
    fn only_differences_that_clients_notice_count() {
        let served = |content_type: &str, cache_control: &str| Served {
            content_type: Some(content_type.to_owned()),
            cache_control: Some(cache_control.to_owned()),
            ..Served::default()
        };
        let ours = ("text/html; charset=utf-8", MOVING);
        for same in [
            served(ours.0, ours.1),
            served("Text/HTML;charset=UTF-8", "max-age=60,public"),
            served("text/html; charset=\"utf8\"", "public, max-age = 60"),
            Served { content_encoding: Some("identity".to_owned()), ..served(ours.0, ours.1) },
        ] {
            assert_eq!(same.faults(ours.0, ours.1), [""; 0], "{same:?}");
        }
        assert_eq!(served("application/json; charset=utf-8", MOVING).faults(JSON, MOVING), [""; 0]);
        for (other, fault) in [
            (served("text/html", MOVING), "Content-Type text/html instead of text/html; charset=utf-8"),
            (
                served("binary/octet-stream", MOVING),
                "Content-Type binary/octet-stream instead of text/html; charset=utf-8",
            ),
            (
                served(ours.0, IMMUTABLE),
                "Cache-Control public, max-age=31536000, immutable instead of public, max-age=60",
            ),
            (
                Served { cache_control: None, ..served(ours.0, "") },
                "Cache-Control missing instead of public, max-age=60",
            ),
            (Served { content_encoding: Some("GZIP".to_owned()), ..served(ours.0, ours.1) }, "Content-Encoding GZIP"),
            (
                Served { content_disposition: Some("attachment".to_owned()), ..served(ours.0, ours.1) },
                "Content-Disposition attachment",
            ),
        ] {
            assert_eq!(other.faults(ours.0, ours.1), [fault]);
        }
    }

    #[test]
    fn our_own_texts_are_known() {
        let signed =
            xtask::domain::layout::Layout::new(&xtask::domain::product::Product::built_in(), "2.93.1").signed();
        let others = ["manifest.nix", "lix/lix-2.93.1/release.json", "withdrawn.json", "lix/lix-2.93.1/SHA256SUMS"];
        for key in others.into_iter().chain(signed.iter().map(String::as_str)) {
            assert!(is_text(key), "{key}");
        }
        for key in ["x.narinfo", "x.ls", "nix-cache-info", "manual/lix/stable/index.html", "nar/x.nar.zst", "x.tar.gz"]
        {
            assert!(!is_text(key), "{key}");
        }
    }
}
