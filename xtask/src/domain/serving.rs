//! How published files are served: their content type and how long they may be cached.
//!
//! Our own table, so that it does not depend on the machine that uploads: the host's has nothing for `.nix` and
//! `.sha256`, which then download as binary. Refuses to know any server.

/// Of a versioned file: it never changes.
pub const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// Of pointers and of trees that move.
pub const MOVING: &str = "public, max-age=60";

/// Of a key, by the end of its name.
pub fn content_type(key: &str) -> &'static str {
    let name = key.rsplit('/').next().unwrap_or(key);
    let known = TYPES.iter().find(|(ending, _)| name.ends_with(ending));
    known.map_or("application/octet-stream", |(_, content_type)| content_type)
}

/// The first ending that fits counts.
const TYPES: [(&str, &str); 26] = [
    ("SHA256SUMS", TEXT),
    (".sha256", TEXT),
    (".nix", TEXT),
    (".txt", TEXT),
    (".md", TEXT),
    (".html", "text/html; charset=utf-8"),
    (".css", "text/css; charset=utf-8"),
    (".js", "text/javascript; charset=utf-8"),
    (".json", "application/json"),
    (".ls", "application/json"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_open_is_text() {
        for key in ["manifest.nix", "lix/lix-2.93.1/SHA256SUMS", "lix/lix-2.93.1/lix-2.93.1.tar.gz.sha256"] {
            assert_eq!(content_type(key), TEXT, "{key}");
        }
        assert_eq!(content_type("lix/lix-2.93.1/lix-2.93.1.tar.gz"), "application/gzip");
        assert_eq!(content_type("manual/lix/2.93/index.html"), "text/html; charset=utf-8");
        assert_eq!(content_type("lix/lix-installer-x86_64-linux"), "application/octet-stream");
    }
}
