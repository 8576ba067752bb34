//! A list of preconditions, each met or with its remedy, as `doctor` shows it.

use serde::Serialize;
use xtask::domain::problem::{Problem, Problems};
use xtask::domain::shown::one_line;

/// Column at which the text begins, after the mark and the name of the precondition.
const TEXT: usize = 25;
/// Width of a page in columns, except for text that must not be broken.
const WIDTH: usize = 100;
/// Number of lines shown of another program's message; the JSON has all of it.
const LINES: usize = 8;
/// Number of these lines that are taken from the beginning. Programs give the reason at the end.
const FIRST: usize = 2;

/// The result for one precondition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum State {
    /// Met; the detail says what was found.
    Good { detail: String },
    /// Unusual or unknown, but not a failure.
    Note { detail: String },
    /// Not met; the remedy says what to do.
    Bad { remedy: String },
}

/// A precondition that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Section: the machine, the tree or an environment.
    pub of: String,
    pub what: String,
    #[serde(flatten)]
    pub state: State,
}

/// All preconditions, in the order in which they were checked.
///
/// As JSON, a list of entries with the stable keys `of`, `what`, `state` (`good`, `note` or `bad`), and `detail` or, if
/// bad, `remedy`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Checkup {
    entries: Vec<Entry>,
    #[serde(skip)]
    of: String,
}

impl Checkup {
    /// Starts a section: entries that are added from now on belong to it.
    pub fn begin(&mut self, of: &str) {
        of.clone_into(&mut self.of);
    }

    /// Adds a precondition. An error means that it is not met, and its message is the remedy.
    pub fn add(&mut self, what: &str, result: Result<String, String>) {
        self.push(
            what,
            match result {
                Ok(detail) => State::Good { detail },
                Err(remedy) => State::Bad { remedy },
            },
        );
    }

    pub fn note(&mut self, what: &str, detail: impl Into<String>) {
        self.push(what, State::Note { detail: detail.into() });
    }

    fn push(&mut self, what: &str, state: State) {
        self.entries.push(Entry { of: self.of.clone(), what: what.to_owned(), state });
    }

    /// Number of preconditions that are not met.
    pub fn failures(&self) -> usize {
        self.bad().count()
    }

    fn bad(&self) -> impl Iterator<Item = (&Entry, &String)> {
        self.entries.iter().filter_map(|entry| match &entry.state {
            State::Bad { remedy } => Some((entry, remedy)),
            State::Good { .. } | State::Note { .. } => None,
        })
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// # Errors
    /// Every precondition that is not met, with its remedy.
    pub fn into_result(self) -> Result<(), Problems> {
        let problem = |(entry, remedy): (&Entry, &String)| Problem::new(format!("{}: {remedy}", entry.what));
        self.bad().map(problem).collect::<Problems>().into_result()
    }

    /// Formats the page for people: a block for each section, a line for each precondition, more for a long remedy.
    pub fn to_text(&self) -> String {
        let (mut page, mut of) = (String::new(), None);
        for entry in &self.entries {
            if of != Some(&entry.of) {
                let gap = if page.is_empty() { "" } else { "\n" };
                page += &format!("{gap}{}\n", entry.of);
                of = Some(&entry.of);
            }
            let (mark, text) = match &entry.state {
                State::Good { detail } => ('✓', detail),
                State::Note { detail } => ('·', detail),
                State::Bad { remedy } => ('✗', remedy),
            };
            page += &format!("  {mark} {:<21}{}\n", entry.what, laid_out(text));
        }
        page
    }
}

/// Lays out a text from column [`TEXT`] to [`WIDTH`]. Text in backquotes is not broken, because it is for copying.
fn laid_out(text: &str) -> String {
    let all: Vec<&str> = text.trim_end().lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = match all.len() {
        n if n > LINES => [&all[..FIRST], &["…"], &all[n - (LINES - FIRST)..]].concat(),
        _ => all,
    };
    let lines: Vec<String> = shown.into_iter().flat_map(|line| wrap(&one_line(line))).collect();
    lines.join(&format!("\n{:TEXT$}", ""))
}

fn wrap(line: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words(line) {
        let current = lines.last_mut().expect("never empty");
        let fits = TEXT + current.chars().count() + 1 + word.chars().count() <= WIDTH;
        if current.is_empty() {
            *current = word;
        } else if fits {
            *current += &format!(" {word}");
        } else {
            lines.push(word);
        }
    }
    lines
}

/// Splits a line into words; text in backquotes counts as one word.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut in_quotes = false;
    for word in line.split(' ') {
        match words.last_mut().filter(|_| in_quotes) {
            Some(last) => *last += &format!(" {word}"),
            None => words.push(word.to_owned()),
        }
        in_quotes ^= word.matches('`').count() % 2 == 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn long_texts_are_shortened_and_wrapped() {
        let mut checkup = Checkup::default();
        checkup.begin("this machine");
        checkup.add("git", Ok("2.47.3".to_owned()));
        checkup.add("skopeo", Err("skopeo cannot be run: install it, or run `xtask/bootstrap`".to_owned()));
        let long: Vec<String> = (1..=12).map(|line| format!("line {line}")).collect();
        checkup.add("nix with flakes", Err(long.join("\n\n")));
        checkup.begin("staging");
        checkup.note("release notes", "none");
        let remedy = "nothing here builds aarch64-darwin: name a builder in /etc/nix/machines, or say \
                      `-- --builders 'ssh://HOST aarch64-darwin'` here and to `build`, and then go on with what is left";
        checkup.add("builders", Err(remedy.to_owned()));
        expect![[r#"
            this machine
              ✓ git                  2.47.3
              ✗ skopeo               skopeo cannot be run: install it, or run `xtask/bootstrap`
              ✗ nix with flakes      line 1
                                     line 2
                                     …
                                     line 7
                                     line 8
                                     line 9
                                     line 10
                                     line 11
                                     line 12

            staging
              · release notes        none
              ✗ builders             nothing here builds aarch64-darwin: name a builder in /etc/nix/machines, or
                                     say `-- --builders 'ssh://HOST aarch64-darwin'` here and to `build`, and
                                     then go on with what is left
        "#]]
        .assert_eq(&checkup.to_text());
        assert_eq!(checkup.failures(), 3);
        let why = checkup.into_result().expect_err("three are not met").to_string();
        assert!(why.starts_with("skopeo: skopeo cannot be run"), "{why}");
        assert_eq!(Checkup::default().into_result(), Ok(()));
    }

    #[test]
    fn json_has_everything() {
        let mut checkup = Checkup::default();
        checkup.begin("the tree");
        checkup.add("version", Err("say which".to_owned()));
        expect![[r#"[{"of":"the tree","what":"version","state":"bad","remedy":"say which"}]"#]]
            .assert_eq(&serde_json::to_string(&checkup).expect("JSON"));
    }
}
