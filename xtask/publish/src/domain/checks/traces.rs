//! Home directories in what was built: they name people, and make builds differ from machine to machine.
//!
//! In programs, libraries, scripts and settings, every home directory is a trace of a builder. Documentation speaks of
//! imaginary ones; there, only the homes of this machine count.

use memchr::memmem;

/// Where home directories are.
const PLACES: [&str; 3] = ["/home/", "/Users/", "/root/"];
/// Longest trace, in bytes.
const LONGEST: usize = 128;

/// Looks for home directories in contents that come piece by piece.
#[derive(Debug, Clone)]
pub struct Traces {
    /// Home directories of this machine, with a slash at the end.
    own: Vec<String>,
    /// Beginnings of paths that are not traces.
    allowed: Vec<String>,
    /// The end of the piece before: a path may lie across two pieces.
    tail: Vec<u8>,
}

impl Traces {
    pub fn new(own: Vec<String>, allowed: Vec<String>) -> Traces {
        Traces { own, allowed, tail: Vec::new() }
    }

    /// Starts another content.
    pub fn restart(&mut self) {
        self.tail.clear();
    }

    /// Returns the first home directory in this piece of a content, or across its beginning; `is_prose` says that the
    /// content is documentation.
    pub fn find(&mut self, piece: &[u8], is_prose: bool) -> Option<String> {
        let window = [&self.tail, piece].concat();
        self.tail = window[window.len().saturating_sub(LONGEST)..].to_vec();
        PLACES.iter().find_map(|place| {
            memmem::find_iter(&window, place.as_bytes()).find_map(|at| self.trace(&window, at, place.len(), is_prose))
        })
    }

    /// Returns the home directory at a place, with the slash at its end, if it is a trace.
    fn trace(&self, window: &[u8], at: usize, prefix: usize, is_prose: bool) -> Option<String> {
        // Otherwise this is the middle of another path, such as `per-user/root/`.
        let continues = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./".contains(byte);
        if at > 0 && continues(&window[at - 1]) {
            return None;
        }
        let rest = &window[at..window.len().min(at + LONGEST)];
        let name =
            rest[prefix..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte)).count();
        let end = if rest.starts_with(b"/root/") {
            prefix
        } else if name > 0 {
            prefix + name
        } else {
            return None;
        };
        let home = String::from_utf8_lossy(&rest[..end]).trim_end_matches('/').to_owned() + "/";
        let path = String::from_utf8_lossy(rest);
        // A word such as `/home/manager` is a home only if this machine has that user, or if a path goes on.
        let goes_on = rest[..end].ends_with(b"/") || rest.get(end) == Some(&b'/');
        let counts = (goes_on && !is_prose) || self.own.contains(&home);
        (counts && !self.allowed.iter().any(|allowed| path.starts_with(allowed))).then_some(home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use proptest::prelude::*;

    fn traces() -> Traces {
        Traces::new(vec!["/home/builder/".to_owned()], vec!["/home/user/.config".to_owned()])
    }

    proptest! {
        #[test]
        fn a_home_is_found_however_the_content_is_cut(
            before in 0usize..40,
            cuts in prop::collection::vec(1usize..12, 1..40),
        ) {
            let content = [vec![b'\n'; before], b"/home/builder/lix".to_vec(), vec![b'.'; 20]].concat();
            let (mut traces, mut rest, mut found) = (traces(), &content[..], false);
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at(rest.len().min(*cut));
                found |= traces.find(piece, true).is_some();
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert!(found);
        }
    }

    #[test]
    fn what_is_a_trace() {
        let contents = [
            "see /home/builder/lix",
            "see /home/alice/",
            "HOME=/home/builder",
            "HOME=/home/builder2",
            "/nix/var/nix/profiles/per-user/root/channels",
            "=/root/.cargo",
            "/home/user/.config/nix",
            "/home/user/x",
            "/home/",
            "/homeless-shelter/x",
            "/Users/a.b/",
            "/home//x",
        ];
        let shown = contents.map(|content| {
            let find = |is_prose| traces().find(content.as_bytes(), is_prose).unwrap_or_else(|| "-".to_owned());
            format!("{content}: {} in documentation, {} elsewhere", find(true), find(false))
        });
        expect![[r#"
            see /home/builder/lix: /home/builder/ in documentation, /home/builder/ elsewhere
            see /home/alice/: - in documentation, /home/alice/ elsewhere
            HOME=/home/builder: /home/builder/ in documentation, /home/builder/ elsewhere
            HOME=/home/builder2: - in documentation, - elsewhere
            /nix/var/nix/profiles/per-user/root/channels: - in documentation, - elsewhere
            =/root/.cargo: - in documentation, /root/ elsewhere
            /home/user/.config/nix: - in documentation, - elsewhere
            /home/user/x: - in documentation, /home/user/ elsewhere
            /home/: - in documentation, - elsewhere
            /homeless-shelter/x: - in documentation, - elsewhere
            /Users/a.b/: - in documentation, /Users/a.b/ elsewhere
            /home//x: - in documentation, - elsewhere"#]]
        .assert_eq(&shown.join("\n"));
        let mut traces = traces();
        assert_eq!(traces.find(b"/home/bui", false), None);
        traces.restart();
        assert_eq!(traces.find(b"lder/", false), None);
    }
}
