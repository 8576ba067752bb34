//! What a command is about to move in a work tree, and how far an earlier run got.
//!
//! git moves a branch, the index and files one after the other, and a power cut can stop it between any two of them. So
//! a command first records where everything is and where it goes. When it is run again, it compares that with what it
//! finds. `tree::movement` keeps the record, and completes movements.

use serde::{Deserialize, Serialize};

use crate::format::Format;
use crate::oid::Oid;

/// The record of a movement that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    pub format: Format,
    /// The command that moves: `prepare`, `tag` or `finish`.
    pub command: String,
    pub refs: Vec<RefMove>,
    pub head: Way<Place>,
    /// The commits whose files are checked out before and after.
    pub files: Way<Oid>,
}

/// A ref to move, provided that it still is where it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefMove {
    /// Full name of the ref, `refs/…`.
    pub name: String,
    /// Object that the ref must still name; `None` if it must not exist yet.
    pub from: Option<Oid>,
    pub to: Oid,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way<T> {
    pub from: T,
    pub to: T,
}

/// What HEAD names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A branch, without `refs/heads/`.
    Branch(String),
    /// A commit: HEAD is detached.
    Commit(Oid),
}

/// How much of an intent is in a repository and its work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The values of the intent's refs, in its order.
    pub refs: Vec<Option<Oid>>,
    pub head: Place,
    /// The paths that differ between the two commits.
    pub paths: Vec<SeenPath>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenPath {
    pub path: String,
    pub index: At,
    /// `None` for a path that has no file here: a submodule, or one outside of a sparse checkout.
    pub file: Option<At>,
}

/// Which of the two commits a path agrees with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    From,
    To,
    /// git was stopped while it wrote the file: it is missing, or only its beginning is there.
    Between,
    /// Neither commit has this content.
    Elsewhere,
}

/// How far a movement got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Nothing has moved. The tree may have been changed since.
    NotBegun,
    /// Everything is at its start, at its end, or where git leaves it in between.
    Halfway,
    /// Everything has moved.
    Done,
    /// It has begun, and the tree has been changed since: what is neither at its start nor at its end.
    Changed(Vec<String>),
}

impl Intent {
    /// Judges how far the movement got.
    pub fn progress(&self, seen: &Seen) -> Progress {
        let mut changed = Vec::new();
        let (mut has_moved, mut at_end) = (false, true);
        let mut note = |what: &dyn Fn() -> String, is_from: bool, is_to: bool, is_between: bool| {
            has_moved |= !is_from && (is_to || is_between);
            at_end &= is_to;
            if !(is_from || is_to || is_between) {
                changed.push(what());
            }
        };
        for (moved, now) in self.refs.iter().zip(&seen.refs) {
            let what = || match now {
                Some(now) => format!("{} is at {}", moved.name, now.short()),
                None => format!("{} is gone", moved.name),
            };
            note(&what, *now == moved.from, now.as_ref() == Some(&moved.to), false);
        }
        let what = || match &seen.head {
            Place::Branch(branch) => format!("HEAD is on {branch}"),
            Place::Commit(commit) => format!("HEAD is detached at {}", commit.short()),
        };
        note(&what, seen.head == self.head.from, seen.head == self.head.to, false);
        for SeenPath { path, index, file } in &seen.paths {
            note(&|| format!("{path} is staged with another content"), *index == At::From, *index == At::To, false);
            if let Some(file) = file {
                let what = || format!("{path} has another content");
                note(&what, *file == At::From, *file == At::To, *file == At::Between);
            }
        }
        match (has_moved, changed.is_empty(), at_end) {
            (false, ..) => Progress::NotBegun,
            (true, false, _) => Progress::Changed(changed),
            (true, true, true) => Progress::Done,
            (true, true, false) => Progress::Halfway,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(digit: char) -> Oid {
        digit.to_string().repeat(40).parse().expect("an object name")
    }

    fn intent() -> Intent {
        Intent {
            format: Format,
            command: "tag".to_owned(),
            refs: vec![
                RefMove { name: "refs/tags/2.95.0".to_owned(), from: None, to: oid('1') },
                RefMove { name: "refs/heads/main".to_owned(), from: Some(oid('2')), to: oid('3') },
            ],
            head: Way { from: Place::Branch("main".to_owned()), to: Place::Commit(oid('4')) },
            files: Way { from: oid('2'), to: oid('4') },
        }
    }

    fn seen(refs: [Option<char>; 2], head: Place, index: At, file: At) -> Seen {
        let paths = vec![SeenPath { path: "flake.nix".to_owned(), index, file: Some(file) }];
        Seen { refs: refs.map(|digit| digit.map(oid)).to_vec(), head, paths }
    }

    #[test]
    fn whatever_lies_between_start_and_end_is_halfway() {
        let (branch, tag) = (Place::Branch("main".to_owned()), Place::Commit(oid('4')));
        let start = seen([None, Some('2')], branch.clone(), At::From, At::From);
        let end = seen([Some('1'), Some('3')], tag.clone(), At::To, At::To);
        assert_eq!(intent().progress(&start), Progress::NotBegun);
        assert_eq!(intent().progress(&end), Progress::Done);
        for refs in [[None, Some('2')], [Some('1'), Some('2')], [None, Some('3')], [Some('1'), Some('3')]] {
            for head in [&branch, &tag] {
                for index in [At::From, At::To] {
                    for file in [At::From, At::To, At::Between] {
                        let now = seen(refs, head.clone(), index, file);
                        if now != start && now != end {
                            assert_eq!(intent().progress(&now), Progress::Halfway, "{now:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn whatever_is_at_neither_end_was_changed() {
        let branch = Place::Branch("main".to_owned());
        let not_begun = seen([None, Some('5')], branch.clone(), At::From, At::Elsewhere);
        assert_eq!(intent().progress(&not_begun), Progress::NotBegun);
        let changed = |seen: Seen| match intent().progress(&seen) {
            Progress::Changed(what) => what.join("; "),
            other => panic!("{other:?}"),
        };
        let now = [
            seen([Some('5'), Some('3')], branch.clone(), At::From, At::From),
            seen([Some('1'), None], branch.clone(), At::From, At::From),
            seen([Some('1'), Some('2')], Place::Branch("other".to_owned()), At::From, At::From),
            seen([Some('1'), Some('2')], Place::Commit(oid('6')), At::From, At::From),
            seen([None, Some('2')], branch.clone(), At::Elsewhere, At::Between),
            seen([None, Some('2')], branch, At::To, At::Elsewhere),
        ];
        expect_test::expect![[r#"
            refs/tags/2.95.0 is at 555555555555
            refs/heads/main is gone
            HEAD is on other
            HEAD is detached at 666666666666
            flake.nix is staged with another content
            flake.nix has another content"#]]
        .assert_eq(&now.map(changed).join("\n"));
    }

    #[test]
    fn the_record_reads_back_and_a_torn_one_does_not() {
        let text = serde_json::to_string(&intent()).expect("JSON");
        assert_eq!(crate::format::parse::<Intent>(&text, "an intent"), Ok(intent()));
        for length in 0..text.len() {
            assert!(crate::format::parse::<Intent>(&text[..length], "an intent").is_err(), "{length}");
        }
    }
}
