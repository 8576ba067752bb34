//! Hostile data: what may be found where a file of ours should be, and a judge of how a program takes it.
//!
//! A damage is made from the valid content, so that the rest of it is believed. The judge looks at what a manager would
//! suffer from: a panic, a program that does not end or takes all memory, and foreign text that reaches the terminal as
//! it is.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use serde_json::Value;

/// Longest time that one command may take: far more than any takes, and less than a wait without end.
const PATIENCE: Duration = Duration::from_secs(300);
/// Most memory that one command may take, in kB: all its limits together, in an unoptimised build.
const MEMORY: u64 = 600 << 10;
/// Most that one command may print, in bytes.
const TEXT: usize = 256 << 10;
/// Word at the start of a line that only foreign text can have put there.
const FORGED: &str = "FORGED";
/// A text that clears the terminal, begins a line, and turns the direction of writing.
pub const NASTY: &str = "x\u{1b}[2J\u{1b}]0;title\u{7}\r\nFORGED: all is well\n\u{202e}\u{9b}31m\u{200b}\u{7f}";
/// Name of a file that appears only if a path leads out of its directory.
pub const ESCAPED: &str = "escaped-from-its-directory";

/// A way to damage content; the number chooses among several places. `None` if the content has no such place.
pub type Damage = fn(&[u8], usize) -> Option<Vec<u8>>;

/// All damages, by name.
pub const DAMAGES: [(&str, Damage); 17] = [
    ("empty", |_, _| Some(Vec::new())),
    ("cut off", |content, _| Some(content[..content.len() * 2 / 3].to_vec())),
    ("escapes alone", |_, _| Some(NASTY.into())),
    ("not UTF-8", |content, at| with_word(content, at, b"\xff\xfe/\xc0\xaf")),
    ("`../`", |content, at| with_word(content, at, format!("../../{ESCAPED}").as_bytes())),
    ("absolute", |content, at| with_word(content, at, format!("/tmp/{ESCAPED}").as_bytes())),
    ("no name", |content, at| with_word(content, at, b"")),
    ("`.`", |content, at| with_word(content, at, b".")),
    ("1,024 bytes", |content, at| with_word(content, at, "é".repeat(512).as_bytes())),
    ("escapes", |content, at| with_word(content, at, NASTY.as_bytes())),
    ("option", |content, at| with_word(content, at, b"--upload-pack=touch /tmp/escaped-from-its-directory")),
    ("key", |content, at| with_key(content, at)),
    ("100 MB", |content, _| Some(with_more(content, &"a".repeat(100 << 20)))),
    ("deep", |content, _| Some(with_more(content, &"[".repeat(100_000)))),
    ("10^18", |content, _| with_numbers(content, "1000000000000000000")),
    ("2^64-1", |content, _| with_numbers(content, "18446744073709551615")),
    ("twice", |content, _| Some(twice(content))),
];

/// Number of places of a damage that are tried in some content, at most: `RELENG_HOSTILE`, or one.
pub fn places() -> usize {
    std::env::var("RELENG_HOSTILE").ok().and_then(|places| places.parse().ok()).unwrap_or(1)
}

fn json(content: &[u8]) -> Option<Value> {
    serde_json::from_slice(content).ok().filter(|value: &Value| value.is_object() || value.is_array())
}

/// Replaces a string of a JSON text, or else a word.
fn with_word(content: &[u8], at: usize, word: &[u8]) -> Option<Vec<u8>> {
    const MARK: &str = "a-place-that-is-replaced";
    if let Some(mut value) = json(content) {
        let places = strings(&mut value).len();
        *strings(&mut value).into_iter().nth(at.checked_rem(places)?)? = MARK.to_owned();
        let escaped = match std::str::from_utf8(word) {
            Ok(word) => serde_json::to_string(word).ok()?[1..].trim_end_matches('"').to_owned().into_bytes(),
            Err(_) => word.to_vec(),
        };
        return Some(replaced(&serde_json::to_vec_pretty(&value).ok()?, MARK.as_bytes(), &escaped));
    }
    let text = std::str::from_utf8(content).ok()?;
    let words: Vec<&str> = text.split_whitespace().filter(|word| word.len() > 2).collect();
    // The last ones first: they are the values.
    let old = words.iter().rev().nth(at.checked_rem(words.len())?)?;
    let start = old.as_ptr() as usize - text.as_ptr() as usize;
    Some([&content[..start], word, &content[start + old.len()..]].concat())
}

fn strings(value: &mut Value) -> Vec<&mut String> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter_mut().flat_map(strings).collect(),
        Value::Object(object) => object.values_mut().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// Replaces a name in a JSON text.
fn with_key(content: &[u8], at: usize) -> Option<Vec<u8>> {
    fn names(value: &Value) -> Vec<String> {
        match value {
            Value::Array(list) => list.iter().flat_map(names).collect(),
            Value::Object(object) => {
                object.iter().flat_map(|(name, value)| std::iter::once(name.clone()).chain(names(value))).collect()
            }
            _ => Vec::new(),
        }
    }
    let names = names(&json(content)?);
    // The last ones first: they are the names of files and systems.
    let name = names.iter().rev().nth(at.checked_rem(names.len())?)?;
    let new = [&format!("../../{ESCAPED}"), NASTY, "", "/etc/passwd"][at % 4].to_owned();
    let (old, new) = (serde_json::to_vec(name).ok()?, serde_json::to_vec(&new).ok()?);
    Some(replaced(content, &[&old[..], b":"].concat(), &[&new[..], b":"].concat()))
}

fn replaced(content: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    match content.windows(old.len()).position(|window| window == old) {
        Some(start) => [&content[..start], new, &content[start + old.len()..]].concat(),
        None => content.to_vec(),
    }
}

/// Adds a value to a JSON object under a new name, or else text at the end.
fn with_more(content: &[u8], more: &str) -> Vec<u8> {
    let more = if more.starts_with('[') { format!("{more}{}", "]".repeat(more.len())) } else { format!("\"{more}\"") };
    match json(content) {
        Some(Value::Object(_)) => {
            let start = content.iter().position(|byte| *byte == b'{').unwrap_or_default() + 1;
            [&content[..start], b"\"more\": ", more.as_bytes(), b", ", &content[start..]].concat()
        }
        Some(_) => more.into_bytes(),
        None => [content, more.as_bytes()].concat(),
    }
}

/// Replaces every number.
fn with_numbers(content: &[u8], number: &str) -> Option<Vec<u8>> {
    fn set(value: &mut Value, number: &serde_json::Number) {
        match value {
            Value::Number(old) => *old = number.clone(),
            Value::Array(list) => list.iter_mut().for_each(|value| set(value, number)),
            Value::Object(object) => object.values_mut().for_each(|value| set(value, number)),
            _ => {}
        }
    }
    if let Some(mut value) = json(content) {
        set(&mut value, &number.parse::<u64>().ok()?.into());
        return serde_json::to_vec(&value).ok();
    }
    let words = std::str::from_utf8(content).ok()?.split_inclusive(char::is_whitespace);
    let new = |word: &str| {
        let is_number = word.trim_end().parse::<u64>().is_ok();
        if is_number { word.replace(word.trim_end(), number) } else { word.to_owned() }
    };
    Some(words.map(new).collect::<String>().into_bytes())
}

/// Has every name of a JSON object twice, or else everything.
fn twice(content: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(content);
    match text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        Some(inner) if json(content).is_some() => format!("{{{inner},{inner}}}").into_bytes(),
        _ => [content, content].concat(),
    }
}

/// Runs a command on hostile data, and returns what a manager would suffer from.
///
/// # Panics
/// The command cannot be run.
pub fn suffered(command: &mut Command) -> Vec<String> {
    let streams = [0; 2].map(|_| tempfile::tempfile().expect("a temporary file"));
    let [out, err] = streams.each_ref().map(|file| Stdio::from(file.try_clone().expect("a descriptor")));
    let mut child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().expect("the tool runs");
    let (deadline, mut memory) = (Instant::now() + PATIENCE, 0);
    let mut suffered = Vec::new();
    let status = loop {
        memory = memory.max(most_memory(child.id()));
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if Instant::now() > deadline || memory > 4 * MEMORY {
            suffered.push("does not end".to_owned());
            child.kill().expect("ours");
            break child.wait().expect("a child");
        }
        std::thread::sleep(Duration::from_millis(3));
    };
    let text: String = streams.into_iter().map(all).collect();
    if suffered.is_empty() && !matches!(status.code(), Some(0 | 1 | 3)) || text.contains("panicked at") {
        suffered.push(format!("{status} {}", status.signal().map(|signal| signal.to_string()).unwrap_or_default()));
    }
    if memory > MEMORY {
        suffered.push(format!("takes {} MB", memory >> 10));
    }
    if text.len() > TEXT {
        suffered.push(format!("prints {} kB", text.len() >> 10));
    }
    if let Some(c) = text.chars().find(|c| is_raw(*c)) {
        suffered.push(format!("prints {}", c.escape_unicode()));
    }
    if let Some(line) =
        text.lines().find(|line| line.trim_start_matches(' ').starts_with(FORGED) && !line.starts_with("  "))
    {
        suffered.push(format!("forges `{line}`"));
    }
    if !suffered.is_empty() && std::env::var_os("RELENG_HOSTILE_SHOWS").is_some() {
        eprintln!("--- {suffered:?}\n{}", text.chars().take(4000).collect::<String>().escape_debug());
    }
    suffered
}

/// Whether a character does more to a terminal than to be shown.
pub fn is_raw(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Most memory that a process has taken so far, in kB; known on Linux only.
fn most_memory(number: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or_default()
}

fn all(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().expect("a file");
    file.read_to_end(&mut bytes).expect("readable");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What may stand where a file should be.
pub const KINDS: [&str; 9] =
    ["link out", "dangling", "loop", "pipe", "/dev/zero", "directory", "hard link", "200 GB", "unreadable name"];

/// Puts something that is not the file in its place.
///
/// # Panics
/// It cannot be made.
pub fn put(kind: &str, file: &Utf8Path, outside: &Utf8Path) {
    let _ = fs::remove_file(file);
    let linked = |to: &str| symlink(to, file).expect("a link");
    match kind {
        "link out" => linked(outside.as_str()),
        "dangling" => linked("../nowhere"),
        "loop" => linked(file.file_name().expect("a name")),
        "pipe" => assert!(Command::new("mkfifo").arg(file).status().is_ok_and(|status| status.success())),
        "/dev/zero" => linked("/dev/zero"),
        "directory" => fs::create_dir(file).expect("a directory"),
        "hard link" => fs::hard_link(outside, file).expect("a link"),
        "200 GB" => fs::File::create(file).and_then(|file| file.set_len(200 << 30)).expect("a file"),
        "unreadable name" => {
            fs::write(file, "").expect("a file");
            let name = [file.parent().expect("in the tree").as_str().as_bytes(), b"/\xff\x1b[2J.md"].concat();
            let path = PathBuf::from(OsString::from_vec(name));
            fs::write(path, "x").expect("a file");
        }
        other => panic!("{other}"),
    }
}

/// Whether a file was made outside of its directory, below `beside` or in the directory for temporary files.
///
/// # Panics
/// `find` is not installed.
pub fn has_escaped(beside: &Utf8Path) -> bool {
    let mut find = Command::new("find");
    find.args([beside.as_str(), "/tmp", "-maxdepth", "4", "-name", ESCAPED, "-print", "-quit"]);
    !find.output().expect("find runs").stdout.is_empty()
}

/// A table of readers and damages: what was suffered in each cell.
#[derive(Default)]
pub struct Table {
    cells: usize,
    bad: Vec<(String, String, String)>,
}

/// Whether a cell is tried: every one with `RELENG_HOSTILE`, and otherwise some of every row and of every column.
pub fn is_tried(row: usize, column: usize, every: usize) -> bool {
    std::env::var_os("RELENG_HOSTILE").is_some() || (row * 7 + column).is_multiple_of(every)
}

impl Table {
    /// Notes what was suffered.
    pub fn note(&mut self, row: &str, column: &str, suffered: Vec<String>) {
        self.cells += 1;
        self.bad.extend(suffered.into_iter().map(|what| (row.to_owned(), column.to_owned(), what)));
    }

    /// # Panics
    /// A cell is bad: with the table of these.
    pub fn check(self, least: usize) {
        let line = |(row, column, what): &(String, String, String)| format!("{row:<44} {column:<14} {what}\n");
        let lines: String = self.bad.iter().map(line).collect();
        assert!(self.bad.is_empty(), "{} cells, of which these are bad:\n{lines}", self.cells);
        assert!(self.cells >= least, "{} cells", self.cells);
        eprintln!("{} cells, all good", self.cells);
    }
}
