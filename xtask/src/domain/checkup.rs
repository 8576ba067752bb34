//! A list of preconditions, each met or with its remedy: what `doctor` finds. Refuses to find out anything.

use serde::Serialize;

/// How one precondition stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum State {
    /// Met; the detail says what was found.
    Good { detail: String },
    /// Odd, or not to be found out; nothing fails for it.
    Note { detail: String },
    /// Not met, and what to do.
    Bad { remedy: String },
}

/// A precondition that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub what: String,
    #[serde(flatten)]
    pub state: State,
}

/// All of them, in the order in which they were looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Checkup(Vec<Entry>);

impl Checkup {
    /// An error is a precondition that is not met: its message is the remedy.
    pub fn add(&mut self, what: &str, result: Result<String, String>) {
        let state = match result {
            Ok(detail) => State::Good { detail },
            Err(remedy) => State::Bad { remedy },
        };
        self.0.push(Entry { what: what.to_owned(), state });
    }

    pub fn note(&mut self, what: &str, detail: impl Into<String>) {
        self.0.push(Entry { what: what.to_owned(), state: State::Note { detail: detail.into() } });
    }

    /// How many preconditions are not met.
    pub fn failures(&self) -> usize {
        self.0.iter().filter(|entry| matches!(entry.state, State::Bad { .. })).count()
    }

    pub fn entries(&self) -> &[Entry] {
        &self.0
    }
}
