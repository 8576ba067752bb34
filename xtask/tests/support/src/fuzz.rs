//! Fuzz targets: a reader gets valid texts with changes, and must keep its promises about all of them.
//!
//! The texts are a directory of the corpus, `tests/corpus/TARGET/` of the package, which is read unchanged, too. Changes
//! flip bits, cut, repeat, exchange words, and splice in words from other texts and from [`WORDS`]. A failure is reduced
//! to few changes, and printed as a text that belongs into the corpus once the reader is fixed.
//!
//! By default a target takes a fraction of a second, and always tries the same. `RELENG_FUZZ=SECONDS` tries something
//! new for that long.

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

/// Number of texts that each target tries by default.
const FEW: u32 = 256;
/// Most changes to one text.
const CHANGES: usize = 6;
/// Longest text that is made, in bytes.
const LONGEST: usize = 1 << 16;

/// Words that readers stumble over.
const WORDS: [&str; 44] = [
    "",
    ".",
    "..",
    "../",
    "../../etc/passwd",
    "/",
    "/etc/passwd",
    "//",
    "\\",
    "-",
    "--",
    "-x",
    "\0",
    "\n",
    "\r\n",
    "\t",
    "\u{1b}[2J",
    "\u{9b}31m",
    "\u{202e}",
    "\u{200b}",
    "\u{feff}",
    "\u{10ffff}",
    "é",
    "\"",
    "\\\"",
    "\\ud800",
    "'",
    "`",
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    ",",
    "---\n",
    "#",
    "null",
    "0",
    "-1",
    "1000000000000000000",
    "18446744073709551615",
    "18446744073709551616",
    "1e999",
];

/// A change to a text. Places are fractions of its length.
#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Cut(Index),
    Remove(Index, Index),
    Repeat(Index, Index),
    /// A word of ours at some place.
    Insert(Index, Index),
    /// A word of ours instead of one in the text.
    Replace(Index, Index),
    /// A word of another text instead of one in this text.
    Splice(Index, Index, Index),
    /// One word many times.
    Nest(Index, Index, u16),
    /// A byte that is not text.
    Byte(Index, u8),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        1 => (at(), 0..8_u8).prop_map(|(place, bit)| Change::Flip(place, bit)),
        1 => at().prop_map(Change::Cut),
        1 => (at(), at()).prop_map(|(from, to)| Change::Remove(from, to)),
        1 => (at(), at()).prop_map(|(from, to)| Change::Repeat(from, to)),
        1 => (at(), at()).prop_map(|(place, word)| Change::Insert(place, word)),
        4 => (at(), at()).prop_map(|(old, new)| Change::Replace(old, new)),
        3 => (at(), at(), at()).prop_map(|(old, text, new)| Change::Splice(old, text, new)),
        1 => (at(), at(), 2..3000_u16).prop_map(|(place, word, times)| Change::Nest(place, word, times)),
        1 => (at(), any::<u8>()).prop_map(|(place, byte)| Change::Byte(place, byte)),
    ]
}

/// Returns where the words of a text are: runs of letters, digits and what paths, versions and numbers have.
fn words(text: &[u8]) -> Vec<(usize, usize)> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"./-_+".contains(byte) || *byte >= 0x80;
    let (mut words, mut start) = (Vec::new(), None);
    for (place, byte) in text.iter().chain(b"\n").enumerate() {
        match start {
            None if is_word(byte) => start = Some(place),
            Some(from) if !is_word(byte) => {
                words.push((from, place));
                start = None;
            }
            _ => {}
        }
    }
    words
}

impl Change {
    fn apply(&self, text: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let place = |index: &Index, text: &[u8]| index.index(text.len() + 1);
        let range = |a: &Index, b: &Index, text: &[u8]| {
            let (a, b) = (place(a, text), place(b, text));
            // Short pieces are more like what goes wrong.
            (a.min(b), a.max(b).min(a.min(b) + 200))
        };
        let ours = |index: &Index| index.get(&WORDS).as_bytes().to_vec();
        let put = |old: &Index, new: &[u8], text: &mut Vec<u8>| {
            let words = words(text);
            if !words.is_empty() {
                let (from, to) = *old.get(&words);
                text.splice(from..to, new.iter().copied());
            }
        };
        match self {
            Change::Flip(index, bit) if !text.is_empty() => {
                let place = index.index(text.len());
                text[place] ^= 1 << bit;
            }
            Change::Flip(..) => {}
            Change::Cut(index) => text.truncate(place(index, text)),
            Change::Remove(a, b) => {
                let (from, to) = range(a, b, text);
                text.drain(from..to);
            }
            Change::Repeat(a, b) => {
                let (from, to) = range(a, b, text);
                let piece = text[from..to].to_vec();
                text.splice(to..to, piece);
            }
            Change::Insert(index, word) => {
                let place = place(index, text);
                text.splice(place..place, ours(word));
            }
            Change::Replace(old, word) => put(old, &ours(word), text),
            Change::Splice(old, other, word) => {
                let other = other.get(corpus);
                let words = words(other);
                if !words.is_empty() {
                    let (from, to) = *word.get(&words);
                    put(old, &other[from..to], text);
                }
            }
            Change::Nest(index, word, times) => {
                let place = place(index, text);
                text.splice(place..place, ours(word).repeat(usize::from(*times)));
            }
            Change::Byte(index, byte) => {
                let place = place(index, text);
                text.splice(place..place, [*byte]);
            }
        }
        text.truncate(LONGEST);
    }
}

/// Reads a directory of the corpus.
fn corpus(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let read = |entry: fs::DirEntry| {
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("a text of the corpus"))
    };
    let mut texts: Vec<_> = entries.map(|entry| read(entry.expect("an entry"))).collect();
    texts.sort();
    texts
}

/// Tries a target on `tests/corpus/TARGET/` of the package at `package`, and on changes of it.
///
/// # Panics
/// `promise` panics, or returns what was broken, for a text; which is printed.
pub fn target(package: &str, name: &str, promise: impl Fn(&[u8]) -> Result<(), String>) {
    let texts = corpus(&Path::new(package).join("tests/corpus").join(name));
    assert!(!texts.is_empty(), "the corpus of {name} is empty");
    for (file, text) in &texts {
        if let Err(why) = promise(text) {
            panic!("{name}, {file}: {why}");
        }
    }
    let texts: Vec<Vec<u8>> = texts.into_iter().map(|(_, text)| text).collect();
    let strategy = (any::<Index>(), vec(change(), 1..=CHANGES));
    let make = |(text, changes): &(Index, Vec<Change>)| {
        let mut text = text.get(&texts).clone();
        changes.iter().for_each(|change| change.apply(&mut text, &texts));
        text
    };
    let seconds: Option<u64> = std::env::var("RELENG_FUZZ").ok().and_then(|seconds| seconds.parse().ok());
    let config = Config { cases: FEW, failure_persistence: None, max_shrink_iters: 4096, ..Config::default() };
    let (start, mut tried) = (Instant::now(), 0);
    loop {
        // A runner that has tried its texts tries no more.
        let mut runner = match seconds {
            Some(_) => TestRunner::new(config.clone()),
            None => TestRunner::new_with_rng(config.clone(), TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
        };
        let run = runner.run(&strategy, |value| promise(&make(&value)).map_err(TestCaseError::fail));
        match run {
            Ok(()) => {}
            Err(TestError::Fail(why, value)) => {
                let text = make(&value);
                panic!("{name}: {why}\nfor this text:\n{}\n", text.escape_ascii());
            }
            Err(TestError::Abort(why)) => panic!("{name}: {why}"),
        }
        tried += FEW;
        if start.elapsed() >= Duration::from_secs(seconds.unwrap_or_default()) {
            break;
        }
    }
    if seconds.is_some() {
        eprintln!("{name}: {tried} texts");
    }
}

/// Whether a reader kept a promise, or how it did not.
pub type Promise = Result<(), String>;

/// Returns bytes as text.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Checks a message, or what was read.
///
/// # Errors
/// As for [`check_message`], or for `promise`.
pub fn check<T>(read: Result<T, impl ToString>, promise: impl FnOnce(T) -> Promise) -> Promise {
    match read {
        Ok(value) => promise(value),
        Err(error) => check_message(&error.to_string()),
    }
}

/// Checks that a message, whose lines are put under each other when it is shown, has nothing that is hidden.
///
/// # Errors
/// It has.
pub fn check_message(message: &str) -> Result<(), String> {
    match message.chars().find(|c| *c != '\n' && super::hostile::is_raw(*c)) {
        Some(c) => Err(format!("the message has {}: {}", c.escape_unicode(), message.escape_debug())),
        None if message.len() > 16 << 10 => Err(format!("the message has {} bytes", message.len())),
        None => Ok(()),
    }
}

/// Checks that two values are the same.
///
/// # Errors
/// They differ.
pub fn check_same<T: PartialEq + std::fmt::Debug>(what: &str, a: &T, b: &T) -> Result<(), String> {
    if a == b { Ok(()) } else { Err(format!("{what}: {a:?} and {b:?}")) }
}
