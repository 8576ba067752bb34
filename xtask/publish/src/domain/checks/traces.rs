//! Home directories in what was built: they name people, and make builds differ from machine to machine.
//!
//! In programs and libraries, every home directory is a trace of a builder. Texts speak of imaginary ones; there, only the
//! homes of this machine count.

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

    /// Returns the first home directory in this piece of a content, or across its beginning.
    pub fn find(&mut self, piece: &[u8], is_binary: bool) -> Option<String> {
        let window = [&self.tail, piece].concat();
        self.tail = window[window.len().saturating_sub(LONGEST)..].to_vec();
        PLACES.iter().find_map(|place| {
            memmem::find_iter(&window, place.as_bytes()).find_map(|at| self.trace(&window, at, place.len(), is_binary))
        })
    }

    /// Returns the home directory at a place, with the slash at its end, if it is a trace.
    fn trace(&self, window: &[u8], at: usize, prefix: usize, is_binary: bool) -> Option<String> {
        // Otherwise this is the middle of another path, such as `per-user/root/`.
        let continues = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./".contains(byte);
        if at > 0 && continues(&window[at - 1]) {
            return None;
        }
        let rest = &window[at..window.len().min(at + LONGEST)];
        let name =
            rest[prefix..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte)).count();
        let home = if rest.starts_with(b"/root/") {
            &rest[..prefix]
        } else if name > 0 && rest.get(prefix + name) == Some(&b'/') {
            &rest[..=prefix + name]
        } else {
            return None;
        };
        let home = String::from_utf8_lossy(home).into_owned();
        let path = String::from_utf8_lossy(rest);
        let counts = is_binary || self.own.contains(&home);
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
                found |= traces.find(piece, false).is_some();
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
            let find = |is_binary| traces().find(content.as_bytes(), is_binary).unwrap_or_else(|| "-".to_owned());
            format!("{content}: {} in a text, {} in a program", find(false), find(true))
        });
        expect![[r#"
            see /home/builder/lix: /home/builder/ in a text, /home/builder/ in a program
            see /home/alice/: - in a text, /home/alice/ in a program
            /nix/var/nix/profiles/per-user/root/channels: - in a text, - in a program
            =/root/.cargo: - in a text, /root/ in a program
            /home/user/.config/nix: - in a text, - in a program
            /home/user/x: - in a text, /home/user/ in a program
            /home/: - in a text, - in a program
            /homeless-shelter/x: - in a text, - in a program
            /Users/a.b/: - in a text, /Users/a.b/ in a program
            /home//x: - in a text, - in a program"#]]
        .assert_eq(&shown.join("\n"));
        let mut traces = traces();
        assert_eq!(traces.find(b"/home/bui", true), None);
        traces.restart();
        assert_eq!(traces.find(b"lder/", true), None);
    }
}
