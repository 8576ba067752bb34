//! A standing as a page for people, and as JSON.

use std::fmt::Write;

use serde::Serialize;
use xtask::domain::shown::one_line;

use crate::domain::publication::receipt::Missing;

use super::{Command, Directory, EnvironmentStanding, Leads, Live, Lock, Pointer, Reviewed, Standing, State, Unread};

/// Width of a topic's name in characters.
const TOPIC: usize = 12;
/// Longest text in characters, after two spaces, the topic and the mark. The JSON has the full text.
const TEXT: usize = 100 - 2 - TOPIC - 3;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    pub state: State,
    pub text: String,
}

impl Line {
    pub fn done(text: impl Into<String>) -> Line {
        Line { state: State::Done, text: text.into() }
    }

    pub fn open(text: impl Into<String>) -> Line {
        Line { state: State::Open, text: text.into() }
    }
}

/// The findings about one phase or environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Topic {
    pub name: String,
    /// State of the topic as a whole.
    pub state: State,
    pub lines: Vec<Line>,
    /// The findings as values, for an environment that could be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Live>,
}

impl Topic {
    pub fn of(name: &str, line: Line) -> Topic {
        Topic { name: name.to_owned(), state: line.state, lines: vec![line], seen: None }
    }
}

/// A standing, ready to be shown.
///
/// As JSON, these keys are stable: `product`, `version`, `name` (`null` until it is chosen), `head`, `topics` (each
/// with `name`, `state` and `lines` of `state` and `text`; an environment's with `seen`, too), and `next`, a list of
/// `command` and `remark`, empty when the release is out. States are `done`, `open`, `waits`, `wrong` and `unknown`. In
/// `seen`: `directory` (with `is`: `absent`, `begun`, `unrecorded`, `unread`, `other` or `recorded`), `finished`,
/// `missing` (each with `target` and `why`), `withdrawn`, `pointers`, `review`, `installers`, `begun`, `lock` (`null` or
/// `owner`, `until` and `counts`) and `unread` (each with `why` and `is_damaged`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page {
    pub product: String,
    pub version: String,
    pub name: Option<String>,
    /// Where HEAD is, in words.
    pub head: String,
    pub topics: Vec<Topic>,
    pub next: Vec<Command>,
}

impl Page {
    /// Formats the page for people, within 100 columns.
    pub fn to_text(&self) -> String {
        let name = self.name.as_ref().map(|name| format!(" \"{}\"", one_line(name))).unwrap_or_default();
        let mut text = format!("{} {}{name}, {}\n\n", self.product, one_line(&self.version), one_line(&self.head));
        for topic in &self.topics {
            let mut title = topic.name.as_str();
            for line in &topic.lines {
                let _ = writeln!(text, "  {title:<TOPIC$} {} {}", mark(line.state), shortened(&line.text));
                title = "";
            }
        }
        if self.next.is_empty() {
            return text + "\nnext: nothing, this release is out\n";
        }
        let width = self.next.iter().map(|next| next.command.len()).max().unwrap_or_default();
        let mut title = "\nnext: ";
        for Command { command, remark } in &self.next {
            let remark = remark.as_ref().map(|remark| format!("  # {remark}")).unwrap_or_default();
            let _ = writeln!(text, "{}", format!("{title}{command:<width$}{remark}").trim_end());
            title = "      ";
        }
        text
    }
}

fn mark(state: State) -> char {
    match state {
        State::Done => '✓',
        State::Open => '·',
        State::Waits => '…',
        State::Wrong => '✗',
        State::Unknown => '?',
    }
}

impl Standing {
    pub fn page(&self) -> Page {
        let topic = |(name, line): (&str, &Line)| Topic::of(name, line.clone());
        let mut topics: Vec<Topic> =
            [("notes", &self.notes), ("tag", &self.tag), ("build", &self.build)].map(topic).into();
        topics.extend(self.check.iter().map(|line| topic(("check", line))));
        topics.extend(self.environments.iter().map(EnvironmentStanding::topic));
        topics.extend([("finish", &self.finish), ("announce", &self.announce)].map(topic));
        Page {
            product: self.product.clone(),
            version: self.version.clone(),
            name: Some(self.name.clone()),
            head: self.head.clone(),
            topics,
            next: self.next(),
        }
    }
}

impl EnvironmentStanding {
    fn topic(&self) -> Topic {
        let lines = match &self.live {
            Ok(live) => live.lines(),
            Err(why) => {
                vec![Line { state: State::Unknown, text: format!("could not be checked: {}", why) }]
            }
        };
        Topic { name: self.name.clone(), state: self.state(), lines, seen: self.live.as_ref().ok().cloned() }
    }
}

impl Live {
    fn lines(&self) -> Vec<Line> {
        let mut lines = vec![self.directory.line(self.finished, self.withdrawn)];
        if !self.missing.is_empty() {
            let missing = self.missing.iter().map(|Missing { target, why }| format!("{target} ({why})"));
            let missing = missing.collect::<Vec<_>>().join(", ");
            lines.push(Line::open(format!("the next upload completes what was left out: {missing}")));
        }
        lines.extend(pointers(&self.pointers));
        if self.is_half_rolled_back() {
            let text = "a rollback withdrew it but did not move all pointers: run `rollback` again".to_owned();
            lines.push(Line { state: State::Wrong, text });
        }
        lines.extend(self.unread.iter().map(Unread::line));
        lines.extend(self.review.as_ref().map(Reviewed::line));
        if !matches!(self.directory, Directory::Absent | Directory::Begun) {
            lines.push(if self.installers {
                Line::done("installers published")
            } else {
                Line::open("no installers yet")
            });
        }
        if !self.begun.is_empty() {
            let begun: Vec<&str> = self.begun.iter().map(String::as_str).collect();
            let begun = match begun.as_slice() {
                [one] => format!("the upload of {one} was begun here and is not finished"),
                all => format!("the uploads of {} were begun here and are not finished", listed(all)),
            };
            lines.push(Line::open(begun));
        }
        lines.extend(self.lock.as_ref().map(Lock::line));
        lines
    }
}

impl Unread {
    fn line(&self) -> Line {
        Line { state: self.state(), text: self.why.clone() }
    }
}

impl Lock {
    fn line(&self) -> Line {
        let Lock { owner, until, .. } = self;
        if self.counts {
            let text = format!("{owner} is publishing here; the lock expires at {until}");
            return Line { state: State::Waits, text };
        }
        Line::open(format!("{owner} left a lock here; the next upload removes it"))
    }
}

impl Directory {
    fn line(&self, finished: bool, withdrawn: bool) -> Line {
        let (same, files, broken) = match self {
            Directory::Absent => return Line::open("not published"),
            Directory::Begun => return Line::open("the upload is not finished: upload again"),
            Directory::Unrecorded => return Line::done("published by an older tool, without a record"),
            Directory::Unread(unread) => return unread.line(),
            Directory::Other { record } => {
                let record = &record[..record.len().min(12)];
                let text = format!("published with different content from release/ (record {record})");
                return Line { state: State::Wrong, text };
            }
            Directory::Recorded { same_as_release, files, broken } => (*same_as_release, *files, broken),
        };
        let what = match (finished, withdrawn) {
            (_, true) => ", and withdrawn by a rollback",
            (true, _) => "",
            (false, _) => ", unfinished: upload again",
        };
        let published = if same { "published as built" } else { "published" };
        let Some(first) = broken.first() else {
            let text = format!("{published}{what}; {files} files complete by name and size");
            return Line { state: if finished { State::Done } else { State::Open }, text };
        };
        let more = if broken.len() > 1 { ", …" } else { "" };
        let text = format!("{published}{what}; {} of {files} files incomplete: {first}{more}", broken.len());
        Line { state: State::Wrong, text }
    }
}

/// Describes in one line where the pointers lead; `None` if none of them exists.
fn pointers(pointers: &[Pointer]) -> Option<Line> {
    let all = |leads: Leads| -> Vec<&str> {
        pointers.iter().filter(|pointer| pointer.leads == leads).map(|pointer| pointer.what.as_str()).collect()
    };
    let several = |names: &[&str], one: &str, more: &str| {
        (!names.is_empty()).then(|| format!("{} {}", listed(names), if names.len() == 1 { one } else { more }))
    };
    let (here, others) = (all(Leads::Here), all(Leads::Elsewhere));
    let mut parts: Vec<String> = several(&here, "leads to it", "lead to it").into_iter().collect();
    for Pointer { what, leads, .. } in pointers {
        match leads {
            Leads::Here | Leads::Elsewhere => {}
            Leads::To(version) => parts.push(format!("{what} leads to {version}")),
            Leads::Nowhere => parts.push(format!("no {what}")),
        }
    }
    parts.extend(several(&others, "is another version's", "are another version's"));
    // Before the first release, no pointer exists.
    let any = pointers.iter().any(|pointer| pointer.leads != Leads::Nowhere);
    let state = if here.len() == pointers.len() { State::Done } else { State::Open };
    any.then(|| Line { state, text: parts.join("; ") })
}

impl Reviewed {
    fn line(&self) -> Line {
        let (state, text) = match self {
            Reviewed::NotPushed => (State::Open, "review: not pushed".to_owned()),
            Reviewed::Open => (State::Waits, "review: waiting to be submitted".to_owned()),
            Reviewed::Half => {
                let text = "review: the release commit is submitted, but its merge back is not: submit it, too";
                (State::Waits, text.to_owned())
            }
            Reviewed::Submitted => (State::Done, "review: submitted".to_owned()),
            Reviewed::Rewritten(oid) => {
                let oid = oid.short();
                (State::Wrong, format!("review: Gerrit rewrote the commit as {oid}; `upload` says what to do"))
            }
            Reviewed::Unknown(why) => (State::Unknown, format!("review: unknown, {}", why)),
        };
        Line { state, text }
    }
}

/// Returns the first line of a text, shortened if it is long.
fn shortened(text: &str) -> String {
    let line = &one_line(text.lines().next().unwrap_or_default());
    match line.char_indices().nth(TEXT) {
        Some(_) => line.chars().take(TEXT - 1).chain(['…']).collect(),
        None => line.to_owned(),
    }
}

/// Joins words as in `a, b and c`.
fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
