//! `$Format:…$` in files with the attribute `export-subst`: git fills it in when it archives them. Some placeholders
//! are the same in every clone, and some are not.

/// Start of a piece that git fills in, up to the next `$`.
const OPEN: &[u8] = b"$Format:";

/// Splits a file into pieces that stay and pieces that are filled in, by turns. The first and the last stay.
fn pieces(content: &[u8]) -> (Vec<&[u8]>, Vec<&[u8]>) {
    let (mut stays, mut formats, mut rest) = (Vec::new(), Vec::new(), content);
    while let Some(start) = find(rest, OPEN) {
        let format = &rest[start + OPEN.len()..];
        let Some(end) = find(format, b"$") else { break };
        stays.push(&rest[..start]);
        formats.push(&format[..end]);
        rest = &format[end + 1..];
    }
    stays.push(rest);
    (stays, formats)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Returns the placeholders of a file that depend on the clone or the time: names of refs and distances from them,
/// notes, the reflog, signatures as this machine's keys verify them, and relative dates.
pub fn unstable(content: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for format in pieces(content).1 {
        let mut rest = format;
        while let Some(percent) = find(rest, b"%") {
            rest = &rest[percent + 1..];
            // A prefix of a placeholder that may be empty.
            let bare = rest.strip_prefix(b"+").or_else(|| rest.strip_prefix(b"-")).or_else(|| rest.strip_prefix(b" "));
            let bare = bare.unwrap_or(rest);
            let length = match bare {
                [b'd' | b'D' | b'S' | b'N', ..] => 1,
                [b'g' | b'G', _, ..] => 2,
                [b'a' | b'c', b'r' | b'h', ..] => 2,
                _ if bare.starts_with(b"(describe") || bare.starts_with(b"(decorate") => {
                    find(bare, b")").map_or(bare.len(), |end| end + 1)
                }
                // `%%` is one character.
                [b'%', ..] => {
                    rest = &bare[1..];
                    continue;
                }
                _ => continue,
            };
            found.push(format!("%{}", String::from_utf8_lossy(&bare[..length])));
        }
    }
    found
}

/// Whether `filled` is `content` with every placeholder filled in, by whatever text.
pub fn is_filled(content: &[u8], filled: &[u8]) -> bool {
    let (stays, _) = pieces(content);
    let [first, between @ .., last] = &stays[..] else { return content == filled };
    let Some(mut rest) = filled.strip_prefix(*first) else { return false };
    for piece in between {
        let Some(start) = find_or_start(rest, piece) else { return false };
        rest = &rest[start + piece.len()..];
    }
    rest.ends_with(last)
}

fn find_or_start(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() { Some(0) } else { find(haystack, needle) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_clone_fills_in_otherwise_is_found() {
        let unstable = |text: &str| unstable(text.as_bytes()).join(" ");
        assert_eq!(unstable("$Format:%H %cI %aN %s%n$ and $Format:%h$"), "");
        assert_eq!(unstable("%d outside, $Format:%D|%h$, %d $Format:%d"), "%D");
        assert_eq!(unstable("$Format:%+d% D%-N%G?%gs$"), "%d %D %N %G? %gs");
        assert_eq!(unstable("$Format:%(describe:tags=true,match=*) %(trailers)$"), "%(describe:tags=true,match=*)");
        assert_eq!(unstable("$Format:%ar %ch %ad$"), "%ar %ch");
        assert_eq!(unstable("$Format:%%d %%%d$"), "%d");
    }

    #[test]
    fn what_was_filled_in_may_be_anything_and_the_rest_may_not() {
        let template = b"v $Format:%H$, $Format:%s$$Format:%b$ end";
        for filled in ["v abc, x end", "v ,  end", "v a, b, c end end"] {
            assert!(is_filled(template, filled.as_bytes()), "{filled}");
        }
        for other in ["w abc, x end", "v abc x end", "v abc, x", "", "v "] {
            assert!(!is_filled(template, other.as_bytes()), "{other}");
        }
        assert!(is_filled(b"plain", b"plain") && !is_filled(b"plain", b"plainer"));
        assert!(!is_filled(b"ab$Format:x$ba", b"aba"));
    }
}
